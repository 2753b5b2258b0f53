//! The fixed structure of the M-Bus: two counters, whose units are numbers (EN 1434-3, 6.2).

use super::record::{bcd, integer};
use crate::codec::decode::content::Content;
use crate::codec::endian::Endian;

/// The units from code 2 on: each is ten times the one before it, until the next row.
#[rustfmt::skip]
const UNITS: &[(u8, &str, &str, i8)] = &[
    (0x02, "energy", "Wh", 0),
    (0x0B, "energy", "J", 3),
    (0x14, "power", "W", 0),
    (0x1D, "power", "J/h", 3),
    (0x26, "volume", "m³", -6),
    (0x2F, "flow", "m³/h", -6),
    (0x38, "temperature", "°C", -3),
    (0x39, "heat_cost", "", 0),
    (0x3A, "counter", "", 0),
];

/// A counter.
pub(super) struct Counter<'a> {
    pub(super) name: &'static str,
    /// Whether it is the value of the fixed date.
    pub(super) is_stored: bool,
    pub(super) unit: &'static str,
    pub(super) content: Content<'a>,
}

/// The data of a telegram behind its number, access number and status.
pub(super) fn counters<'a>(status: u8, data: &'a [u8], order: Endian) -> Option<[Counter<'a>; 2]> {
    let (units, counters) = data.split_at_checked(2)?;
    let (first, second) = counters.split_at_checked(4).filter(|(_, second)| second.len() == 4)?;
    let &[unit, other] = units else { return None };
    let (unit, other) = (unit & 0x3F, other & 0x3F);
    // Unit 3E says: as the first counter, but at the fixed date.
    let (other, is_historic) = if other == 0x3E { (unit, true) } else { (other, false) };
    let counter = |bytes: &'a [u8], unit: u8, is_stored| {
        let row = UNITS.iter().rfind(|row| row.0 <= unit);
        let (from, name, text, power) = row.copied().unwrap_or((unit, "time", "", 0));
        let number = if status & 1 == 0 { bcd(bytes, order) } else { integer(bytes, order, false) };
        let content = match number {
            Some(number) => Content::Whole(number, power + (unit - from) as i8),
            None => Content::Wrong("decimal digits, the first one F for a negative number"),
        };
        Counter { name, is_stored, unit: text, content }
    };
    let is_stored = status & 2 != 0;
    Some([counter(first, unit, is_stored), counter(second, other, is_stored || is_historic)])
}
