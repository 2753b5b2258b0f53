//! What the records of the M-Bus mean: the tables of value information (EN 13757-3, section 6.4).

/// What a table says about a value information field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    /// The number is to be multiplied by this power of ten.
    pub(super) power: i8,
    pub(super) kind: Kind,
}

/// What the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A signed number.
    Number,
    /// A number without sign: bits, and numbers that only name something.
    Bits,
    /// A date, or a date with a time.
    Time,
}

/// Some neighbouring codes.
struct Row {
    codes: (u8, u8),
    name: &'static str,
    unit: &'static str,
    steps: Steps,
}

/// How the codes of a row differ.
#[derive(Clone, Copy)]
enum Steps {
    /// Each is ten times the one before it; the first one has this power.
    Powers(i8),
    /// They count in seconds, minutes, hours and days; or in what follows the unit of the row.
    Spans,
    Bits,
    Time,
}

use Steps::{Bits, Powers, Spans, Time};

const fn row(first: u8, last: u8, name: &'static str, unit: &'static str, steps: Steps) -> Row {
    Row { codes: (first, last), name, unit, steps }
}

const SPANS: [&str; 6] = ["s", "min", "h", "d", "month", "year"];

/// Primary codes (table 10).
#[rustfmt::skip]
const PRIMARY: &[Row] = &[
    row(0x00, 0x07, "energy", "Wh", Powers(-3)),
    row(0x08, 0x0F, "energy", "J", Powers(0)),
    row(0x10, 0x17, "volume", "m³", Powers(-6)),
    row(0x18, 0x1F, "mass", "kg", Powers(-3)),
    row(0x20, 0x23, "on_time", "s", Spans),
    row(0x24, 0x27, "operating_time", "s", Spans),
    row(0x28, 0x2F, "power", "W", Powers(-3)),
    row(0x30, 0x37, "power", "J/h", Powers(0)),
    row(0x38, 0x3F, "flow", "m³/h", Powers(-6)),
    row(0x40, 0x47, "flow", "m³/min", Powers(-7)),
    row(0x48, 0x4F, "flow", "m³/s", Powers(-9)),
    row(0x50, 0x57, "mass_flow", "kg/h", Powers(-3)),
    row(0x58, 0x5B, "flow_temperature", "°C", Powers(-3)),
    row(0x5C, 0x5F, "return_temperature", "°C", Powers(-3)),
    row(0x60, 0x63, "temperature_difference", "K", Powers(-3)),
    row(0x64, 0x67, "external_temperature", "°C", Powers(-3)),
    row(0x68, 0x6B, "pressure", "bar", Powers(-3)),
    row(0x6C, 0x6C, "date", "", Time),
    row(0x6D, 0x6D, "datetime", "", Time),
    row(0x6E, 0x6E, "heat_cost", "", Powers(0)),
    row(0x70, 0x73, "averaging_duration", "s", Spans),
    row(0x74, 0x77, "actuality_duration", "s", Spans),
    row(0x78, 0x78, "fabrication_number", "", Bits),
    row(0x79, 0x79, "identification", "", Bits),
    row(0x7A, 0x7A, "bus_address", "", Bits),
    row(0x7E, 0x7E, "any", "", Powers(0)),
];

/// Codes behind `FB` (table 14).
#[rustfmt::skip]
const BEHIND_FB: &[Row] = &[
    row(0x00, 0x01, "energy", "Wh", Powers(5)),
    row(0x02, 0x03, "reactive_energy", "kvarh", Powers(0)),
    row(0x04, 0x05, "apparent_energy", "kVAh", Powers(0)),
    row(0x08, 0x09, "energy", "J", Powers(8)),
    row(0x0C, 0x0F, "energy", "Mcal", Powers(-1)),
    row(0x10, 0x11, "volume", "m³", Powers(2)),
    row(0x14, 0x17, "reactive_power", "kvar", Powers(-3)),
    row(0x18, 0x19, "mass", "kg", Powers(5)),
    row(0x1A, 0x1B, "humidity", "%", Powers(-1)),
    row(0x20, 0x20, "volume", "ft³", Powers(0)),
    row(0x21, 0x21, "volume", "ft³", Powers(-1)),
    row(0x28, 0x29, "power", "W", Powers(5)),
    row(0x2A, 0x2A, "phase_voltages", "°", Powers(-1)),
    row(0x2B, 0x2B, "phase_current", "°", Powers(-1)),
    row(0x2C, 0x2F, "frequency", "Hz", Powers(-3)),
    row(0x30, 0x31, "power", "J/h", Powers(8)),
    row(0x34, 0x37, "apparent_power", "kVA", Powers(-3)),
    row(0x74, 0x77, "temperature_limit", "°C", Powers(-3)),
    row(0x78, 0x7F, "cumulated_power", "W", Powers(-3)),
];

/// Codes behind `FD` (table 12).
#[rustfmt::skip]
const BEHIND_FD: &[Row] = &[
    row(0x00, 0x03, "credit", "", Powers(-3)),
    row(0x04, 0x07, "debit", "", Powers(-3)),
    row(0x08, 0x08, "transmission_count", "", Bits),
    row(0x09, 0x09, "device_type", "", Bits),
    row(0x0A, 0x0A, "manufacturer_code", "", Bits),
    row(0x0B, 0x0B, "parameter_set", "", Bits),
    row(0x0C, 0x0C, "model", "", Bits),
    row(0x0D, 0x0D, "hardware_version", "", Bits),
    row(0x0E, 0x0E, "firmware_version", "", Bits),
    row(0x0F, 0x0F, "software_version", "", Bits),
    row(0x10, 0x10, "customer_location", "", Bits),
    row(0x11, 0x11, "customer", "", Bits),
    row(0x16, 0x16, "password", "", Bits),
    row(0x17, 0x17, "error_flags", "", Bits),
    row(0x18, 0x18, "error_mask", "", Bits),
    row(0x1A, 0x1A, "digital_output", "", Bits),
    row(0x1B, 0x1B, "digital_input", "", Bits),
    row(0x1C, 0x1C, "baud_rate", "Bd", Bits),
    row(0x1D, 0x1D, "response_delay", "", Bits),
    row(0x1E, 0x1E, "retry", "", Bits),
    row(0x20, 0x20, "first_storage", "", Bits),
    row(0x21, 0x21, "last_storage", "", Bits),
    row(0x22, 0x22, "storage_size", "", Bits),
    row(0x24, 0x29, "storage_interval", "s", Spans),
    row(0x2C, 0x2F, "since_readout", "s", Spans),
    row(0x30, 0x30, "tariff_start", "", Time),
    row(0x31, 0x33, "tariff_duration", "min", Spans),
    row(0x34, 0x39, "tariff_period", "s", Spans),
    row(0x3A, 0x3A, "dimensionless", "", Powers(0)),
    row(0x3C, 0x3F, "transmission_period", "s", Spans),
    row(0x40, 0x4F, "voltage", "V", Powers(-9)),
    row(0x50, 0x5F, "current", "A", Powers(-12)),
    row(0x60, 0x60, "reset_counter", "", Bits),
    row(0x61, 0x61, "cumulation_counter", "", Bits),
    row(0x62, 0x62, "control_signal", "", Bits),
    row(0x63, 0x63, "weekday", "", Bits),
    row(0x64, 0x64, "week", "", Bits),
    row(0x66, 0x66, "parameter_activation", "", Bits),
    row(0x67, 0x67, "supplier", "", Bits),
    row(0x68, 0x6B, "since_cumulation", "h", Spans),
    row(0x6C, 0x6F, "battery_operating_time", "h", Spans),
    row(0x70, 0x70, "battery_change", "", Time),
    row(0x71, 0x71, "signal_strength", "dBm", Powers(0)),
    row(0x74, 0x74, "battery_remaining", "d", Powers(0)),
];

/// The tables of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Primary,
    Fb,
    Fd,
}

impl Table {
    /// What a code means; `None` if the table does not say it, or the value has a form of its own.
    pub(super) fn find(self, code: u8) -> Option<Quantity> {
        let rows = match self {
            Table::Primary => PRIMARY,
            Table::Fb => BEHIND_FB,
            Table::Fd => BEHIND_FD,
        };
        let row = rows.iter().find(|row| (row.codes.0..=row.codes.1).contains(&code))?;
        let n = code - row.codes.0;
        let (unit, power, kind) = match row.steps {
            Powers(first) => (row.unit, first + n as i8, Kind::Number),
            Spans => (span(row.unit, n), 0, Kind::Number),
            Bits => (row.unit, 0, Kind::Bits),
            Time => ("", 0, Kind::Time),
        };
        Some(Quantity { name: row.name, unit, power, kind })
    }
}

/// The n-th unit of time from the first one on.
fn span(first: &'static str, n: u8) -> &'static str {
    let units = SPANS.iter().skip_while(|unit| **unit != first);
    units.copied().nth(n.into()).unwrap_or(first)
}

/// What a code behind another one makes of the value (table 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It says which value it is.
    Kept,
    /// The unit is another one, which no table spells.
    NoUnit,
    /// Another power of ten.
    Power(i8),
    /// It is a time that has to do with the value.
    Time,
    /// It is a duration that has to do with the value.
    Duration(&'static str),
    /// The device has no valid value.
    NoValue,
}

struct Suffix {
    codes: (u8, u8),
    word: &'static str,
    effect: Effect,
}

#[derive(Clone, Copy)]
enum Effect {
    Keeps,
    NoUnit,
    Powers(i8),
    Time,
    Durations,
    NoValue,
}

const fn suffix(first: u8, last: u8, word: &'static str, effect: Effect) -> Suffix {
    Suffix { codes: (first, last), word, effect }
}

#[rustfmt::skip]
const SUFFIXES: &[Suffix] = &[
    suffix(0x00, 0x00, "", Effect::Keeps),
    suffix(0x01, 0x1F, "", Effect::NoValue),
    suffix(0x20, 0x20, "per_s", Effect::NoUnit),
    suffix(0x21, 0x21, "per_min", Effect::NoUnit),
    suffix(0x22, 0x22, "per_h", Effect::NoUnit),
    suffix(0x23, 0x23, "per_day", Effect::NoUnit),
    suffix(0x24, 0x24, "per_week", Effect::NoUnit),
    suffix(0x25, 0x25, "per_month", Effect::NoUnit),
    suffix(0x26, 0x26, "per_year", Effect::NoUnit),
    suffix(0x27, 0x27, "per_revolution", Effect::NoUnit),
    suffix(0x28, 0x28, "per_input_pulse_0", Effect::Keeps),
    suffix(0x29, 0x29, "per_input_pulse_1", Effect::Keeps),
    suffix(0x2A, 0x2A, "per_output_pulse_0", Effect::Keeps),
    suffix(0x2B, 0x2B, "per_output_pulse_1", Effect::Keeps),
    suffix(0x2C, 0x2C, "per_l", Effect::NoUnit),
    suffix(0x2D, 0x2D, "per_m3", Effect::NoUnit),
    suffix(0x2E, 0x2E, "per_kg", Effect::NoUnit),
    suffix(0x2F, 0x2F, "per_K", Effect::NoUnit),
    suffix(0x30, 0x30, "per_kWh", Effect::NoUnit),
    suffix(0x31, 0x31, "per_GJ", Effect::NoUnit),
    suffix(0x32, 0x32, "per_kW", Effect::NoUnit),
    suffix(0x39, 0x39, "start", Effect::Time),
    suffix(0x3A, 0x3A, "uncorrected", Effect::Keeps),
    suffix(0x3B, 0x3B, "forward", Effect::Keeps),
    suffix(0x3C, 0x3C, "backward", Effect::Keeps),
    suffix(0x3D, 0x3D, "non_metric", Effect::NoUnit),
    suffix(0x3E, 0x3E, "base_conditions", Effect::Keeps),
    suffix(0x40, 0x40, "lower_limit", Effect::Keeps),
    suffix(0x41, 0x41, "below_count", Effect::NoUnit),
    suffix(0x42, 0x42, "below_first_begin", Effect::Time),
    suffix(0x43, 0x43, "below_first_end", Effect::Time),
    suffix(0x46, 0x46, "below_last_begin", Effect::Time),
    suffix(0x47, 0x47, "below_last_end", Effect::Time),
    suffix(0x48, 0x48, "upper_limit", Effect::Keeps),
    suffix(0x49, 0x49, "above_count", Effect::NoUnit),
    suffix(0x4A, 0x4A, "above_first_begin", Effect::Time),
    suffix(0x4B, 0x4B, "above_first_end", Effect::Time),
    suffix(0x4E, 0x4E, "above_last_begin", Effect::Time),
    suffix(0x4F, 0x4F, "above_last_end", Effect::Time),
    suffix(0x50, 0x53, "below_first_duration", Effect::Durations),
    suffix(0x54, 0x57, "below_last_duration", Effect::Durations),
    suffix(0x58, 0x5B, "above_first_duration", Effect::Durations),
    suffix(0x5C, 0x5F, "above_last_duration", Effect::Durations),
    suffix(0x60, 0x63, "first_duration", Effect::Durations),
    suffix(0x64, 0x67, "last_duration", Effect::Durations),
    suffix(0x68, 0x68, "below", Effect::Keeps),
    suffix(0x69, 0x69, "leakage", Effect::Keeps),
    suffix(0x6A, 0x6A, "first_begin", Effect::Time),
    suffix(0x6B, 0x6B, "first_end", Effect::Time),
    suffix(0x6C, 0x6C, "above", Effect::Keeps),
    suffix(0x6D, 0x6D, "overflow", Effect::Keeps),
    suffix(0x6E, 0x6E, "last_begin", Effect::Time),
    suffix(0x6F, 0x6F, "last_end", Effect::Time),
    suffix(0x70, 0x77, "", Effect::Powers(-6)),
    suffix(0x7D, 0x7D, "", Effect::Powers(3)),
    suffix(0x7E, 0x7E, "future", Effect::Keeps),
];

/// What a code behind a value information field means: the word for the value's name, which may be
/// empty, and what it makes of the value. `None` if it is not known.
pub(super) fn change(code: u8) -> Option<(&'static str, Change)> {
    let suffix = SUFFIXES.iter().find(|it| (it.codes.0..=it.codes.1).contains(&code))?;
    let n = code - suffix.codes.0;
    let change = match suffix.effect {
        Effect::Keeps => Change::Kept,
        Effect::NoUnit => Change::NoUnit,
        Effect::Powers(first) => Change::Power(first + n as i8),
        Effect::Time => Change::Time,
        Effect::Durations => Change::Duration(span("s", n)),
        Effect::NoValue => Change::NoValue,
    };
    Some((suffix.word, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_and_units_of_time_count_up_along_a_row() {
        let shown = |table: Table, code| {
            let it = table.find(code).unwrap();
            (it.name, it.unit, it.power)
        };
        assert_eq!(shown(Table::Primary, 0x06), ("energy", "Wh", 3));
        assert_eq!(shown(Table::Primary, 0x13), ("volume", "m³", -3));
        assert_eq!(shown(Table::Primary, 0x27), ("operating_time", "d", 0));
        assert_eq!(shown(Table::Fb, 0x01), ("energy", "Wh", 6));
        assert_eq!(shown(Table::Fd, 0x48), ("voltage", "V", -1));
        assert_eq!(shown(Table::Fd, 0x33), ("tariff_duration", "d", 0));
        assert_eq!(shown(Table::Fd, 0x6F), ("battery_operating_time", "year", 0));
        assert_eq!(change(0x76), Some(("", Change::Power(0))));
        assert_eq!(change(0x58), Some(("above_first_duration", Change::Duration("s"))));
        assert_eq!(change(0x7F), None);
    }

    #[test]
    fn no_code_stands_twice_in_a_table() {
        for rows in [PRIMARY, BEHIND_FB, BEHIND_FD] {
            assert!(rows.is_sorted_by(|a, b| a.codes.1 < b.codes.0));
        }
        assert!(SUFFIXES.is_sorted_by(|a, b| a.codes.1 < b.codes.0));
    }
}
