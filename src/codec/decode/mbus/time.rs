//! Dates and times of the M-Bus: types F, G, I and J (EN 13757-3, annex A).

use crate::codec::decode::time_text::{self, separated};
use crate::codec::endian::Endian;

/// What some bytes are as a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Time {
    At(String),
    /// They name no point in time: the clock is marked as wrong, a part of them means "every", or the
    /// date was never set.
    Never,
    /// So many bytes are no time.
    Unknown,
}

/// The time in some bytes: `2014-03-13`, `2014-03-13T11:11`, `2014-03-13T11:11:30` or `11:11:30`.
pub(super) fn read(bytes: &[u8], order: Endian) -> Time {
    let mut turned = [0; 6];
    let bytes = match (order, turned.get_mut(..bytes.len())) {
        (Endian::Big, Some(turned)) => {
            turned.copy_from_slice(bytes);
            turned.reverse();
            turned
        }
        _ => bytes,
    };
    let mut text = String::with_capacity(19);
    let is_time = match *bytes {
        // Type G.
        [low, high] => date(&mut text, low, high, 0),
        // Type J.
        [second, minute, hour] => clock(&mut text, hour, minute, Some(second)),
        // Type F: the highest bit of the minutes says that the clock is wrong.
        [minute, hour, low, high] => {
            minute & 0x80 == 0
                && date(&mut text, low, high, hour >> 5 & 3)
                && separated(&mut text)
                && clock(&mut text, hour, minute, None)
        }
        // Type I.
        [second, minute, hour, low, high, _] => {
            minute & 0x80 == 0
                && date(&mut text, low, high, 0)
                && separated(&mut text)
                && clock(&mut text, hour, minute, Some(second))
        }
        _ => return Time::Unknown,
    };
    if is_time { Time::At(text) } else { Time::Never }
}

/// Writes the date of type G, and of the last bytes of the others; `false` if it is none.
fn date(out: &mut String, low: u8, high: u8, centuries: u8) -> bool {
    let (day, month) = (low & 0x1F, high & 0xF);
    let year = u16::from(low >> 5 | (high & 0xF0) >> 1);
    // Two digits of a year are of 1981 to 2080.
    let since = if centuries == 0 && year <= 80 { 2000 } else { 1900 };
    let year_of_all = since + 100 * u16::from(centuries) + year;
    year <= 99 && time_text::date(out, year_of_all, month, day)
}

fn clock(out: &mut String, hour: u8, minute: u8, second: Option<u8>) -> bool {
    time_text::time_of_day(out, hour & 0x1F, minute & 0x3F, second.map(|second| second & 0x3F))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_each_length() {
        for (bytes, expected) in [
            // Electricity meters and heat meters, of the frames that libmbus is tested with.
            (&[0x0B, 0x0B, 0xCD, 0x13][..], "2014-03-13T11:11"),
            (&[0x7E, 0x15], "2011-05-30"),
            (&[0x9F, 0x1C], "2012-12-31"),
            // Made: 1999 by the two digits alone, and with its century.
            (&[0x7F, 0xCC], "1999-12-31"),
            (&[0x00, 0x20, 0xC1, 0x31], "2030-01-01T00:00"),
            (&[30, 11, 12, 0xCD, 0x13, 0], "2014-03-13T12:11:30"),
            (&[30, 11, 12], "12:11:30"),
        ] {
            assert_eq!(read(bytes, Endian::Little), Time::At(expected.into()), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_names_no_point_in_time() {
        for bytes in [
            &[0x00, 0x00][..],
            &[0xFF, 0xFF],
            // Every year.
            &[0xE1, 0xF1],
            // The clock is wrong.
            &[0x8B, 0x0B, 0xCD, 0x13],
            &[0x00, 0x1F, 0xCD, 0x13],
            &[0x3F, 0x0B, 0xCD, 0x13],
            &[0xFF, 0xFF, 0xFF],
        ] {
            assert_eq!(read(bytes, Endian::Little), Time::Never, "{bytes:02x?}");
        }
        assert_eq!(
            read(&[0x13, 0xCD, 0x0B, 0x0B], Endian::Big),
            Time::At("2014-03-13T11:11".into())
        );
        assert_eq!(read(&[1], Endian::Little), Time::Unknown);
        assert_eq!(read(&[], Endian::Little), Time::Unknown);
    }
}
