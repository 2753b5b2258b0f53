//! Home Assistant's classes of sensors: the units and state classes that each goes with.
//!
//! Read from the constants of Home Assistant 2026.2.3; later versions have more, and take all of these.

use crate::codec::field::StateClass;

/// Which state classes a class goes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum States {
    /// Its values are no numbers.
    No,
    Now,
    Angle,
    Total,
    Totals,
    NowOrTotals,
    Any,
}

impl States {
    pub(super) fn has(self, state: StateClass) -> bool {
        match state {
            StateClass::Measurement => {
                matches!(self, States::Now | States::NowOrTotals | States::Any)
            }
            StateClass::MeasurementAngle => matches!(self, States::Angle | States::Any),
            StateClass::Total => !matches!(self, States::No | States::Now | States::Angle),
            StateClass::TotalIncreasing => {
                matches!(self, States::Totals | States::NowOrTotals | States::Any)
            }
        }
    }

    /// What holds where the settings do not say it.
    pub(super) fn usual(self) -> Option<StateClass> {
        match self {
            States::No => None,
            States::Now | States::NowOrTotals | States::Any => Some(StateClass::Measurement),
            States::Angle => Some(StateClass::MeasurementAngle),
            States::Total => Some(StateClass::Total),
            States::Totals => Some(StateClass::TotalIncreasing),
        }
    }
}

/// Each class, the units that it goes with, parted by `|`, of which an empty one is none and `*` is any, and
/// its state classes.
#[rustfmt::skip]
pub(super) const CLASSES: &[(&str, &str, States)] = &[
    ("absolute_humidity", "g/m³|mg/m³", States::Now),
    ("apparent_power", "kVA|mVA|VA", States::Now),
    ("aqi", "", States::Now),
    ("area", "ac|cm²|ft²|ha|in²|km²|mi²|mm²|m²|yd²", States::Any),
    ("atmospheric_pressure", "bar|cbar|hPa|inHg|inH₂O|kPa|mbar|mmHg|mPa|Pa|psi", States::Now),
    ("battery", "%", States::Now),
    ("blood_glucose_concentration", "mg/dL|mmol/L", States::Now),
    ("carbon_dioxide", "ppm", States::Now),
    ("carbon_monoxide", "mg/m³|ppb|ppm|μg/m³", States::Now),
    ("conductivity", "mS/cm|S/cm|μS/cm", States::Now),
    ("current", "A|mA", States::Now),
    ("data_rate", "B/s|bit/s|GB/s|Gbit/s|GiB/s|kB/s|kbit/s|KiB/s|MB/s|Mbit/s|MiB/s", States::Now),
    ("data_size", "B|bit|EB|EiB|GB|Gbit|GiB|kB|kbit|KiB|MB|Mbit|MiB|PB|PiB|TB|TiB|YB|YiB|ZB|ZiB", States::Any),
    ("date", "", States::No),
    ("distance", "cm|ft|in|km|m|mi|mm|nmi|yd", States::Any),
    ("duration", "d|h|min|ms|s|μs", States::Any),
    ("energy", "cal|Gcal|GJ|GWh|J|kcal|kJ|kWh|Mcal|MJ|MWh|mWh|TWh|Wh", States::Totals),
    ("energy_distance", "km/kWh|kWh/100km|mi/kWh|Wh/km", States::Now),
    ("energy_storage", "cal|Gcal|GJ|GWh|J|kcal|kJ|kWh|Mcal|MJ|MWh|mWh|TWh|Wh", States::Now),
    ("enum", "", States::No),
    ("frequency", "GHz|Hz|kHz|MHz", States::Now),
    ("gas", "CCF|ft³|L|MCF|m³", States::Totals),
    ("humidity", "%", States::Now),
    ("illuminance", "lx", States::Now),
    ("irradiance", "BTU/(h⋅ft²)|W/m²", States::Now),
    ("moisture", "%", States::Now),
    ("monetary", "*", States::Total),
    ("nitrogen_dioxide", "ppb|μg/m³", States::Now),
    ("nitrogen_monoxide", "ppb|μg/m³", States::Now),
    ("nitrous_oxide", "μg/m³", States::Now),
    ("ozone", "ppb|μg/m³", States::Now),
    ("ph", "", States::Now),
    ("pm1", "μg/m³", States::Now),
    ("pm10", "μg/m³", States::Now),
    ("pm25", "μg/m³", States::Now),
    ("pm4", "μg/m³", States::Now),
    ("power", "GW|kW|MW|mW|TW|W", States::Now),
    ("power_factor", "|%", States::Now),
    ("precipitation", "cm|in|mm", States::Any),
    ("precipitation_intensity", "in/d|in/h|mm/d|mm/h", States::Now),
    ("pressure", "bar|cbar|hPa|inHg|inH₂O|kPa|mbar|mmHg|mPa|Pa|psi", States::Now),
    ("reactive_energy", "kvarh|varh", States::Totals),
    ("reactive_power", "kvar|mvar|var", States::Now),
    ("signal_strength", "dB|dBm", States::Now),
    ("sound_pressure", "dB|dBA", States::Now),
    ("speed", "Beaufort|ft/s|in/d|in/h|in/s|km/h|kn|m/min|m/s|mm/d|mm/h|mm/s|mph", States::Now),
    ("sulphur_dioxide", "ppb|μg/m³", States::Now),
    ("temperature", "K|°C|°F", States::Now),
    ("temperature_delta", "K|°C|°F", States::Now),
    ("timestamp", "", States::No),
    ("volatile_organic_compounds", "mg/m³|μg/m³", States::Now),
    ("volatile_organic_compounds_parts", "ppb|ppm", States::Now),
    ("voltage", "kV|MV|mV|V|μV", States::Now),
    ("volume", "CCF|fl. oz.|ft³|gal|L|MCF|mL|m³", States::Totals),
    ("volume_flow_rate", "ft³/min|gal/d|gal/h|gal/min|L/h|L/min|L/s|mL/s|m³/h|m³/min|m³/s", States::Now),
    ("volume_storage", "CCF|fl. oz.|ft³|gal|L|MCF|mL|m³", States::Now),
    ("water", "CCF|ft³|gal|L|MCF|m³", States::Totals),
    ("weight", "g|kg|lb|mg|oz|st|μg", States::NowOrTotals),
    ("wind_direction", "°", States::Angle),
    ("wind_speed", "Beaufort|ft/s|in/s|km/h|kn|m/min|m/s|mm/s|mph", States::Now),
];

/// Classes of what is on or off.
pub(super) const BINARY: &[&str] = &[
    "battery",
    "battery_charging",
    "carbon_monoxide",
    "cold",
    "connectivity",
    "door",
    "garage_door",
    "gas",
    "heat",
    "light",
    "lock",
    "moisture",
    "motion",
    "moving",
    "occupancy",
    "opening",
    "plug",
    "power",
    "presence",
    "problem",
    "running",
    "safety",
    "smoke",
    "sound",
    "tamper",
    "update",
    "vibration",
    "window",
];
