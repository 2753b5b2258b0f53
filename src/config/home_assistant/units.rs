//! Units as serial devices spell them, and as Home Assistant wants them.

use std::borrow::Cow;

/// A unit of Home Assistant, the class that it stands for where that is clear, and other spellings of it,
/// parted by `|`. Capital letters matter only where a spelling is not found otherwise.
#[rustfmt::skip]
pub(super) const UNITS: &[(&str, &str, &str)] = &[
    ("°C", "temperature", "C|degC|deg C|'C|oC|celsius|grdC|gradC|*C|ºC"),
    ("°F", "temperature", "F|degF|deg F|fahrenheit"),
    ("K", "temperature", "kelvin"),
    ("W", "power", "w|watt|watts"),
    ("kW", "power", ""),
    ("MW", "power", ""),
    ("mW", "power", ""),
    ("Wh", "energy", ""),
    ("kWh", "energy", "kW*h|kW.h|kW-h"),
    ("MWh", "energy", ""),
    ("mWh", "energy", ""),
    ("kJ", "energy", ""),
    ("MJ", "energy", ""),
    ("GJ", "energy", ""),
    ("kcal", "energy", ""),
    ("Gcal", "energy", ""),
    ("V", "voltage", "v|volt|volts|V AC|VAC|V DC|VDC|V~|V="),
    ("mV", "voltage", ""),
    ("kV", "voltage", ""),
    ("μV", "voltage", "uV|µV"),
    ("A", "current", "a|amp|ampere|A AC|A DC|Aac|Adc"),
    ("mA", "current", ""),
    ("VA", "apparent_power", ""),
    ("kVA", "apparent_power", ""),
    ("var", "reactive_power", "vars"),
    ("kvar", "reactive_power", ""),
    ("varh", "reactive_energy", ""),
    ("kvarh", "reactive_energy", ""),
    ("Hz", "frequency", "hertz"),
    ("kHz", "frequency", ""),
    ("MHz", "frequency", ""),
    ("Ω", "", "ohm|ohms|Ω"),
    ("%", "", "pct|percent"),
    ("%", "humidity", "% RH|%RH|% r.F.|%rF|rH%"),
    ("%", "moisture", "%VWC"),
    ("g/m³", "absolute_humidity", "g/m3"),
    ("", "power_factor", "PF|cosphi|cos phi|cos φ"),
    ("Pa", "pressure", ""),
    ("hPa", "pressure", ""),
    ("kPa", "pressure", ""),
    ("mbar", "pressure", "mb|millibar"),
    ("bar", "pressure", "bar(g)|barg"),
    ("psi", "pressure", ""),
    ("mmHg", "pressure", "torr"),
    ("inHg", "pressure", ""),
    ("inH₂O", "pressure", "inH2O"),
    ("lx", "illuminance", "lux"),
    ("W/m²", "irradiance", "W/m2|W/m^2"),
    ("UV index", "", "UV|UVI"),
    ("μg/m³", "", "ug/m3|ug/m^3|µg/m3|µg/m³|mcg/m3|ugm3"),
    ("mg/m³", "", "mg/m3"),
    ("ppm", "", ""),
    ("ppb", "", ""),
    ("", "aqi", "AQI|IAQ"),
    ("", "ph", "pH"),
    ("μS/cm", "conductivity", "uS/cm|µS/cm|uS"),
    ("mS/cm", "conductivity", "mS"),
    ("m³", "", "m3|m^3|cbm|Nm3"),
    ("L", "", "l|ltr|liter|litre|dm3|dm³"),
    ("mL", "", ""),
    ("gal", "", ""),
    ("ft³", "", "ft3|cf"),
    ("m³/h", "volume_flow_rate", "m3/h|m^3/h|cbm/h|m3ph"),
    ("L/h", "volume_flow_rate", "ltr/h|lph"),
    ("L/min", "volume_flow_rate", "lpm|l/m"),
    ("L/s", "volume_flow_rate", ""),
    ("m/s", "", "mps"),
    ("km/h", "", "kmh|kph|kmph"),
    ("mph", "", ""),
    ("kn", "", "kt|kts|knots"),
    ("Beaufort", "wind_speed", "Bft"),
    ("°", "", "deg|degree|degrees"),
    ("mm/h", "precipitation_intensity", ""),
    ("mm", "", ""),
    ("cm", "distance", ""),
    ("m", "distance", ""),
    ("km", "distance", ""),
    ("ft", "distance", ""),
    ("nmi", "distance", "NM"),
    ("mg", "weight", ""),
    ("g", "weight", ""),
    ("kg", "weight", "kgs"),
    ("lb", "weight", ""),
    ("rpm", "", "r/min|U/min|1/min|min-1"),
    ("s", "duration", "sec|secs|seconds|Sek"),
    ("ms", "duration", ""),
    ("μs", "duration", "us|µs"),
    ("min", "duration", "mins|minutes"),
    ("h", "duration", "hr|hrs|hours|Std"),
    ("d", "duration", "days|Tage"),
    ("dBm", "signal_strength", ""),
    ("dB", "", ""),
    ("dBA", "sound_pressure", "dB(A)"),
    ("B", "data_size", ""),
    ("kB", "data_size", ""),
    ("KiB", "data_size", ""),
    ("MB", "data_size", ""),
    ("bit/s", "data_rate", "bps|baud"),
    ("kbit/s", "data_rate", "kbps"),
    ("μSv/h", "", "uSv/h|µSv/h"),
    ("Bq/m³", "", "Bq/m3"),
    ("EUR", "", "€"),
];

/// Units of what only grows.
const COUNTERS: &[&str] = &["VAh", "kVAh", "imp", "pulses", "counts", "cycles"];

/// The unit as Home Assistant spells it, if it is to have one, and the class that it stands for. A unit that
/// it does not know is taken as it is, without a class.
pub(super) fn translate(spelled: &str) -> (Option<Cow<'_, str>>, Option<&'static str>) {
    let spelled = spelled.trim();
    if matches!(spelled, "" | "-" | "n/a") {
        return (None, None);
    }
    let is_exact = |unit: &str| unit == spelled;
    // MW is a thousand million mW, and one letter alone says too little.
    let is_like = |unit: &str| {
        let is_m = |text: &str| text.starts_with(['m', 'M']);
        let is_same_m = !is_m(unit) && !is_m(spelled) || unit.get(..1) == spelled.get(..1);
        spelled.len() > 1 && is_same_m && unit.to_lowercase() == spelled.to_lowercase()
    };
    let find = |is_it: &dyn Fn(&str) -> bool| {
        let of_row =
            |(unit, _, others): &&(&str, &str, &str)| is_it(unit) || others.split('|').any(is_it);
        UNITS.iter().find(of_row)
    };
    match find(&is_exact).or_else(|| find(&is_like)) {
        Some((unit, class, _)) => {
            let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
            (some(unit).map(Cow::Borrowed), some(class))
        }
        None => (Some(Cow::Borrowed(spelled)), None),
    }
}

/// Whether what has this unit only grows.
pub(super) fn is_counter(unit: &str) -> bool {
    COUNTERS.contains(&unit)
}
