//! Dates and times of the M-Bus: types F, G, I and J (EN 13757-3, annex A).

use crate::base::calendar::Date;
use crate::codec::endian::Endian;
use crate::codec::spelled::Spelled;
use crate::codec::time::Moment;

/// What some bytes are as a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Time {
    At(Spelled<'static>),
    /// They name no point in time: the clock is marked as wrong, a part of them means "every", or the
    /// date was never set.
    Never,
    /// So many bytes are no time.
    Unknown,
}

/// The time in some bytes: `2014-03-13`, `2014-03-13T11:11:30` or `11:11:30`.
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
    let (date, clock, is_wrong) = match *bytes {
        // Type G.
        [low, high] => (Some(date(low, high, 0)), None, false),
        // Type J.
        [second, minute, hour] => (None, Some(clock(hour, minute, second)), false),
        // Types F and I: the highest bit of the minutes says that the clock is wrong.
        [minute, hour, low, high] => {
            let date = date(low, high, hour >> 5 & 3);
            (Some(date), Some(clock(hour, minute, 0)), minute & 0x80 != 0)
        }
        [second, minute, hour, low, high, _] => {
            (Some(date(low, high, 0)), Some(clock(hour, minute, second)), minute & 0x80 != 0)
        }
        _ => return Time::Unknown,
    };
    let moment = Moment { date: date.flatten(), clock, ..Moment::default() };
    // A date that was never set is none, and a year of 127 means every year.
    if is_wrong || date == Some(None) || !moment.is_valid() {
        return Time::Never;
    }
    Time::At(moment.spelled())
}

/// The date of type G, and of the last bytes of the others; `None` without one.
fn date(low: u8, high: u8, centuries: u8) -> Option<Date> {
    let (day, month) = (low & 0x1F, high & 0xF);
    let year = low >> 5 | (high & 0xF0) >> 1;
    // Two digits of a year are of 1981 to 2080.
    let since = if centuries == 0 && year <= 80 { 2000 } else { 1900 };
    let year_of_all = since + 100 * i64::from(centuries) + i64::from(year);
    (year <= 99).then_some(Date { year: year_of_all, month, day })
}

fn clock(hour: u8, minute: u8, second: u8) -> (u8, u8, u8) {
    (hour & 0x1F, minute & 0x3F, second & 0x3F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_each_length() {
        for (bytes, expected) in [
            // Electricity meters and heat meters, of the frames that libmbus is tested with.
            (&[0x0B, 0x0B, 0xCD, 0x13][..], "2014-03-13T11:11:00"),
            (&[0x7E, 0x15], "2011-05-30"),
            (&[0x9F, 0x1C], "2012-12-31"),
            // Made: 1999 by the two digits alone, and with its century.
            (&[0x7F, 0xCC], "1999-12-31"),
            (&[0x00, 0x20, 0xC1, 0x31], "2030-01-01T00:00:00"),
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
            Time::At("2014-03-13T11:11:00".into())
        );
        assert_eq!(read(&[1], Endian::Little), Time::Unknown);
        assert_eq!(read(&[], Endian::Little), Time::Unknown);
    }
}
