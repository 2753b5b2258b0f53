//! What makers of meters leave out of the lists that they push.

use super::data::{Bytes, Item};

/// Whose list it is, which its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    Unknown,
    /// `KFM_001`
    Kaifa,
    /// `Kamstrup_V0001`
    Kamstrup,
}

/// The code of the name of a list.
pub(super) const NAME_OF_LIST: [u8; 6] = [1, 1, 0, 2, 129, 255];

impl Maker {
    /// Learns from a text of the list who made it; whether that is its name.
    pub(super) fn learn(&mut self, item: &Item<'_>) -> bool {
        let (Item::Text(text) | Item::Octets(text)) = item else { return false };
        let maker = match text {
            _ if text.starts_with(b"KFM_") => Maker::Kaifa,
            _ if text.starts_with(b"Kamstrup_") => Maker::Kamstrup,
            _ => return false,
        };
        *self = maker;
        true
    }

    /// What a value without them is in.
    pub(super) fn power_and_unit(self, [_, _, c, d, ..]: [u8; 6]) -> (i8, Option<&'static str>) {
        let (kaifa, kamstrup, unit) = match (c, d) {
            (1 | 2, 7) => (0, 0, "W"),
            (3 | 4, 7) => (0, 0, "var"),
            (31 | 51 | 71, 7) => (-3, -2, "A"),
            (32 | 52 | 72, 7) => (-1, 0, "V"),
            (1 | 2, 8) => (0, 1, "Wh"),
            (3 | 4, 8) => (0, 1, "varh"),
            _ => return (0, None),
        };
        match self {
            Maker::Unknown => (0, None),
            Maker::Kaifa => (kaifa, Some(unit)),
            Maker::Kamstrup => (kamstrup, Some(unit)),
        }
    }
}

/// The codes of Kaifa's lists in Norway, which have none: the number of elements tells which list it is.
/// They begin with name of the list, number and type of the meter, unless there is one element only.
#[rustfmt::skip]
const LIST: [[u8; 6]; 18] = [
    [1, 0, 0, 2, 129, 255], [0, 0, 96, 1, 0, 255], [0, 0, 96, 1, 7, 255],
    [1, 0, 1, 7, 0, 255], [1, 0, 2, 7, 0, 255], [1, 0, 3, 7, 0, 255], [1, 0, 4, 7, 0, 255],
    [1, 0, 31, 7, 0, 255], [1, 0, 51, 7, 0, 255], [1, 0, 71, 7, 0, 255],
    [1, 0, 32, 7, 0, 255], [1, 0, 52, 7, 0, 255], [1, 0, 72, 7, 0, 255],
    [0, 0, 1, 0, 0, 255],
    [1, 0, 1, 8, 0, 255], [1, 0, 2, 8, 0, 255], [1, 0, 3, 8, 0, 255], [1, 0, 4, 8, 0, 255],
];

/// The places in [`LIST`] of a list's elements.
fn places(count: usize) -> Option<&'static [[u8; 6]]> {
    /// Meters with one phase leave out the others.
    const ONE_PHASE: [[u8; 6]; 14] = [
        LIST[0], LIST[1], LIST[2], LIST[3], LIST[4], LIST[5], LIST[6], LIST[7], LIST[10], LIST[13],
        LIST[14], LIST[15], LIST[16], LIST[17],
    ];
    match count {
        1 => LIST.get(3..4),
        9 | 14 => ONE_PHASE.get(..count),
        13 | 18 => LIST.get(..count),
        _ => None,
    }
}

/// The codes of a list that has none of its own; `rest` are its elements.
pub(super) fn codes(rest: &[u8], count: usize) -> Option<&'static [[u8; 6]]> {
    let places = places(count)?;
    let mut rest = Bytes(rest);
    let is_kaifas = match rest.item().ok()? {
        Item::Whole(..) => count == 1,
        item => Maker::Unknown.learn(&item) && count > 1,
    };
    // The next element would be a code.
    let has_codes = matches!(rest.item(), Ok(Item::Octets(code)) if code.len() == 6);
    Some(places).filter(|_| is_kaifas && !has_codes)
}
