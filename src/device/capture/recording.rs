//! A recording of a line: a line of text for each read, as `tty2mqtt monitor --raw --hex` prints it.

use std::time::Duration;

/// How a recording begins, so that it is told from bytes.
pub(crate) const BEGINS: &str = "# tty2mqtt sniff ";

/// Bytes that came together, all of them whole, or all with an error of the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    pub bytes: Vec<u8>,
    pub is_damaged: bool,
}

/// Appends a piece that was read at `at` to a recording:
/// `2026-11-27T20:20:58.579Z <- 3 bytes: 42 4d 01`, with `<!` for damaged bytes.
#[cfg(feature = "tools")]
pub(crate) fn record(out: &mut String, at: std::time::SystemTime, piece: &Piece) {
    use crate::base::clock::Stamp;
    use std::fmt::Write;
    let sign = if piece.is_damaged { "<!" } else { "<-" };
    // Writing to a string cannot fail, here and below.
    let _ = write!(out, "{} {sign} {} bytes:", Stamp(at), piece.bytes.len());
    for byte in &piece.bytes {
        let _ = write!(out, " {byte:02x}");
    }
    out.push('\n');
}

/// The line of a recording, or of `monitor`: the time, and the rest behind it.
pub(super) fn stamped(line: &str) -> Option<(Duration, &str)> {
    let (stamp, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (date, clock) = stamp.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let mut part = || parts.next()?.parse::<u16>().ok();
    let (year, month, day) = (part()?, part()?, part()?);
    let month = u8::try_from(month).ok().filter(|month| (1..=12).contains(month))?;
    let days = crate::base::calendar::days_to(year.into(), month) + i64::from(day) - 1;
    let midnight = Duration::from_secs(u64::try_from(days).ok()? * 86_400);
    let rest = rest.strip_prefix("unsynchronised ").unwrap_or(rest);
    Some((midnight + time_of_day(clock)?, rest))
}

/// `20:20:58.579` as the time since midnight.
pub(super) fn time_of_day(text: &str) -> Option<Duration> {
    let mut parts = text.splitn(3, ':');
    let hour = parts.next()?.parse::<u8>().ok().filter(|hour| *hour < 24)?;
    let minute = parts.next()?.parse::<u8>().ok().filter(|minute| *minute < 60)?;
    let second = seconds(parts.next()?).filter(|second| second.as_secs() < 61)?;
    Some(Duration::from_secs(u64::from(hour) * 3600 + u64::from(minute) * 60) + second)
}

/// `58.579` in nanoseconds, without a number that rounds them.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some(Duration::new(whole.parse().ok()?, digits.parse().ok()?))
}
