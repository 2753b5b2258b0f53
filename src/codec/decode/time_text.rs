//! Dates and times from their parts, as ISO 8601 spells them.

/// Writes a date; `false` if it is none.
pub(super) fn date(out: &mut String, year: u16, month: u8, day: u8) -> bool {
    if year > 9999 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return false;
    }
    two(out, (year / 100) as u8);
    two(out, (year % 100) as u8);
    out.push('-');
    two(out, month);
    out.push('-');
    two(out, day);
    true
}

/// Writes what stands between a date and a time.
pub(super) fn separated(out: &mut String) -> bool {
    out.push('T');
    true
}

/// Writes a time of the day; `false` if it is none.
pub(super) fn time_of_day(out: &mut String, hour: u8, minute: u8, second: Option<u8>) -> bool {
    if hour > 23 || minute > 59 || second.is_some_and(|second| second > 59) {
        return false;
    }
    two(out, hour);
    out.push(':');
    two(out, minute);
    if let Some(second) = second {
        out.push(':');
        two(out, second);
    }
    true
}

/// Writes by how many minutes local time is ahead of UTC.
pub(super) fn zone(out: &mut String, minutes: i16) {
    out.push(if minutes < 0 { '-' } else { '+' });
    let minutes = minutes.unsigned_abs();
    two(out, (minutes / 60) as u8);
    out.push(':');
    two(out, (minutes % 60) as u8);
}

fn two(out: &mut String, number: u8) {
    out.push(char::from(b'0' + number / 10 % 10));
    out.push(char::from(b'0' + number % 10));
}
