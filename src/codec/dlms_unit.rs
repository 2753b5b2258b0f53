//! The units of DLMS and SML, which send a number for each.

/// The units from code 1 on (DLMS UA 1000-1, enumerated values for physical units). Empty ones are
/// reserved.
#[rustfmt::skip]
const UNITS: [&str; 72] = [
    // Times
    "a", "mo", "wk", "d", "h", "min", "s",
    "°", "°C", "currency", "m", "m/s",
    // Volumes and flows; each second one is corrected by temperature and pressure
    "m³", "m³", "m³/h", "m³/h", "m³/d", "m³/d", "L",
    "kg", "N", "Nm", "Pa", "bar", "J", "J/h",
    "W", "VA", "var", "Wh", "VAh", "varh", "A", "C", "V", "V/m", "F", "Ω", "Ωm²/m", "Wb", "T", "A/m",
    "H", "Hz",
    // Constants of meters
    "1/Wh", "1/varh", "1/VAh", "V²h", "A²h", "kg/s", "S", "K", "1/V²h", "1/A²h", "1/m³",
    "%", "Ah", "", "", "Wh/m³", "J/m³", "mol%", "g/m³", "Pa·s", "J/kg", "g/cm²", "atm", "", "",
    "dBm", "dBµV", "dB",
];

/// The unit of this code. None for 255 (no unit, a count), 254 (another unit), 0, which some meters
/// send with texts, and reserved codes.
pub fn unit(code: u8) -> Option<&'static str> {
    let unit = UNITS.get(usize::from(code.checked_sub(1)?))?;
    Some(*unit).filter(|unit| !unit.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_by_their_codes() {
        for (code, expected) in [
            (8, "°"),
            (13, "m³"),
            (19, "L"),
            (27, "W"),
            (30, "Wh"),
            (33, "A"),
            (35, "V"),
            (44, "Hz"),
            (56, "%"),
            (57, "Ah"),
            (60, "Wh/m³"),
            (72, "dB"),
        ] {
            assert_eq!(unit(code), Some(expected), "{code}");
        }
        for code in [0, 58, 68, 73, 254, 255] {
            assert_eq!(unit(code), None, "{code}");
        }
    }
}
