//! Times as devices spell them, and as ISO 8601 has them.

use super::spelled::Spelled;
use crate::base::calendar::Date;
use crate::base::path::BuildError;
use crate::base::scalar::{deserialize_from_str, wrong};
use std::fmt::{self, Write};
use std::str::FromStr;

/// A date, a time of day, or both, as ISO 8601 spells them: `2024-01-12T23:18:15+01:00`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment<'a> {
    pub date: Option<Date>,
    /// Hour, minute and second.
    pub clock: Option<(u8, u8, u8)>,
    /// Digits behind the second's point; empty for none.
    pub fraction: &'a str,
    /// What local time is ahead of UTC, where that is known.
    pub zone: Option<Zone>,
}

impl Moment<'_> {
    pub fn spelled(&self) -> Spelled<'static> {
        Spelled::of(format_args!("{self}"))
    }

    /// Whether there is such a date and such a time of day. A second of 60 is a leap second.
    pub fn is_valid(&self) -> bool {
        let is_date = |date: Date| {
            (1..=12).contains(&date.month) && (1..=days_of_month(date)).contains(&date.day)
        };
        let is_clock = |(hour, minute, second)| hour < 24 && minute < 60 && second <= 60;
        self.date.is_none_or(is_date) && self.clock.is_none_or(is_clock)
    }
}

fn days_of_month(date: Date) -> u8 {
    match date.month {
        2 if date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Date { year, month, day }) = self.date {
            write!(f, "{year:04}-{month:02}-{day:02}")?;
        }
        let Some((hour, minute, second)) = self.clock else { return Ok(()) };
        if self.date.is_some() {
            f.write_char('T')?;
        }
        write!(f, "{hour:02}:{minute:02}:{second:02}")?;
        if !self.fraction.is_empty() {
            write!(f, ".{}", self.fraction)?;
        }
        self.zone.map_or(Ok(()), |zone| zone.fmt(f))
    }
}

/// The year that two digits mean: 69 to 99 are of the last century (POSIX, `strptime`, `%y`).
pub fn century(year: u8) -> i64 {
    i64::from(year) + if year < 69 { 2000 } else { 1900 }
}

/// How far a local time is ahead of UTC, in minutes: `+01:00`, `-03:30`, `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(i16);

impl Zone {
    pub const UTC: Zone = Zone(0);
    /// Central European Time, which the meters of the Netherlands, Belgium, Luxembourg, France and Sweden
    /// have in winter.
    pub const CET: Zone = Zone(60);

    pub fn ahead(minutes: i16) -> Zone {
        Zone(minutes)
    }

    /// Daylight saving time.
    pub fn in_summer(self) -> Zone {
        Zone(self.0.saturating_add(60))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Zone::UTC {
            return f.write_char('Z');
        }
        let minutes = self.0.unsigned_abs();
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for Zone {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Zone, BuildError> {
        let minutes = || {
            let (sign, digits) = match text.strip_prefix('-') {
                Some(digits) => (-1, digits),
                None => (1, text.strip_prefix('+')?),
            };
            let (hours, minutes) = digits.split_once(':').filter(|_| digits.len() == 5)?;
            let (hours, minutes): (i16, i16) = (hours.parse().ok()?, minutes.parse().ok()?);
            let is_possible = (0..=14).contains(&hours) && (0..60).contains(&minutes);
            is_possible.then_some(sign * (60 * hours + minutes))
        };
        match minutes() {
            Some(minutes) => Ok(Zone(minutes)),
            None if text == "Z" => Ok(Zone::UTC),
            None => wrong(format!("{text:?} is not a zone"), "write \"+01:00\" or Z"),
        }
    }
}

/// How a device spells a time: `YYMMDDhhmmss`, or the word `epoch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// Seconds since 1970-01-01T00:00:00Z.
    Epoch,
    /// Milliseconds since then.
    EpochMs,
    Pieces(Vec<Piece>),
}

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Year4,
    Year2,
    Month,
    Day,
    Hour,
    Minute,
    /// The second, and its decimals if there are some.
    Second,
    /// A letter: summer or winter.
    Season,
    /// Exactly this character.
    Other(u8),
}

const PIECES: [(&str, Piece); 8] = [
    ("YYYY", Piece::Year4),
    ("YY", Piece::Year2),
    ("MM", Piece::Month),
    ("DD", Piece::Day),
    ("hh", Piece::Hour),
    ("mm", Piece::Minute),
    ("ss", Piece::Second),
    ("X", Piece::Season),
];

impl Piece {
    /// How many characters it has; a second without its decimals.
    fn width(self) -> usize {
        match self {
            Piece::Year4 => 4,
            Piece::Season | Piece::Other(_) => 1,
            _ => 2,
        }
    }
}

deserialize_from_str!(TimeFormat: "time format", Zone: "zone");

impl FromStr for TimeFormat {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<TimeFormat, BuildError> {
        let mut pieces = Vec::new();
        let mut rest = match text {
            "epoch" => return Ok(TimeFormat::Epoch),
            "epoch_ms" => return Ok(TimeFormat::EpochMs),
            text => text,
        };
        let bad = || {
            let remedy = "write epoch, epoch_ms, or the time's parts as in YYMMDDhhmmss, DD.MM.YYYY \
                          or hhmmss; X is the letter of summer and winter";
            wrong(format!("{text:?} is not a format of times"), remedy)
        };
        while let Some(first) = rest.chars().next() {
            let known = PIECES.iter().find(|(name, _)| rest.starts_with(name));
            let (length, piece) = match known {
                Some((name, piece)) => (name.len(), *piece),
                None if first.is_ascii() && !first.is_ascii_alphanumeric() || first == 'T' => {
                    (1, Piece::Other(first as u8))
                }
                None => return bad(),
            };
            pieces.push(piece);
            rest = rest.get(length..).unwrap_or_default();
        }
        let has = |wanted: Piece| pieces.iter().filter(|piece| **piece == wanted).count() == 1;
        let year = has(Piece::Year4) || has(Piece::Year2);
        let is_date = year && has(Piece::Month) && has(Piece::Day);
        let is_clock = has(Piece::Hour) && has(Piece::Minute);
        if is_date || is_clock { Ok(TimeFormat::Pieces(pieces)) } else { bad() }
    }
}

impl TimeFormat {
    /// How many characters such a time has, without a second's decimals; `None` for a number.
    pub fn width(&self) -> Option<usize> {
        match self {
            TimeFormat::Pieces(pieces) => Some(pieces.iter().map(|piece| piece.width()).sum()),
            TimeFormat::Epoch | TimeFormat::EpochMs => None,
        }
    }

    /// Whether such a time has a date, and whether it has a time of day.
    pub fn parts(&self) -> (bool, bool) {
        match self {
            TimeFormat::Epoch | TimeFormat::EpochMs => (true, true),
            TimeFormat::Pieces(pieces) => {
                (pieces.contains(&Piece::Day), pieces.contains(&Piece::Hour))
            }
        }
    }

    /// Whether the text of such a time ends with its zone.
    pub fn has_zone(&self, zone: Option<Zone>) -> bool {
        match self {
            TimeFormat::Epoch | TimeFormat::EpochMs => true,
            TimeFormat::Pieces(pieces) => zone.is_some() || pieces.contains(&Piece::Season),
        }
    }

    /// Whether it is digits only, which packed BCD can hold.
    pub fn is_digits(&self) -> bool {
        let is_digits = |piece: &Piece| !matches!(piece, Piece::Season | Piece::Other(_));
        matches!(self, TimeFormat::Pieces(pieces) if pieces.iter().all(is_digits))
    }

    /// The time in ISO 8601. `zone` is that of winter where the device names the season, and Central
    /// European Time if nothing is said; `None` if the text is not such a time.
    pub fn read(&self, text: &str, zone: Option<Zone>) -> Option<Spelled<'static>> {
        let TimeFormat::Pieces(pieces) = self else {
            return self.since_1970(text.parse().ok()?);
        };
        let mut rest = text.as_bytes();
        let mut moment = Moment { zone, ..Moment::default() };
        let mut date = Date { year: 0, month: 0, day: 0 };
        let mut clock = (0, 0, 0);
        let fits = |piece: &Piece| matches!(piece, Piece::Hour | Piece::Minute);
        let has_clock = pieces.iter().any(fits);
        let has_date = pieces.contains(&Piece::Day);
        for piece in pieces {
            let (part, after) = rest.split_at_checked(piece.width())?;
            rest = after;
            match piece {
                Piece::Year4 => date.year = i64::from(number(part)?),
                Piece::Year2 => date.year = century(number(part)?.try_into().ok()?),
                Piece::Month => date.month = number(part)?.try_into().ok()?,
                Piece::Day => date.day = number(part)?.try_into().ok()?,
                Piece::Hour => clock.0 = number(part)?.try_into().ok()?,
                Piece::Minute => clock.1 = number(part)?.try_into().ok()?,
                Piece::Second => {
                    clock.2 = number(part)?.try_into().ok()?;
                    if let Some(behind) = rest.strip_prefix(b".") {
                        let digits = behind.iter().take_while(|b| b.is_ascii_digit()).count();
                        let (fraction, after) = behind.split_at_checked(digits)?;
                        moment.fraction = std::str::from_utf8(fraction).ok()?;
                        rest = after;
                    }
                }
                Piece::Season => moment.zone = season(part, zone)?,
                Piece::Other(wanted) => (part == [*wanted]).then_some(())?,
            }
        }
        moment.date = has_date.then_some(date);
        moment.clock = has_clock.then_some(clock);
        (rest.is_empty() && moment.is_valid()).then(|| moment.spelled())
    }

    /// The time of a number since 1970; `None` beyond the year 9999 and for a format in pieces.
    pub fn since_1970(&self, number: u64) -> Option<Spelled<'static>> {
        let (seconds, millis) = match self {
            TimeFormat::Epoch => (number, None),
            TimeFormat::EpochMs => (number / 1000, Some(number % 1000)),
            TimeFormat::Pieces(_) => return None,
        };
        let days = i64::try_from(seconds / 86_400).ok().filter(|days| *days < 2_932_897)?;
        let second = seconds % 86_400;
        let part = |n: u64| u8::try_from(n).ok();
        let clock = (part(second / 3600)?, part(second / 60 % 60)?, part(second % 60)?);
        let fraction =
            millis.map(|millis| Spelled::of(format_args!("{millis:03}"))).unwrap_or_default();
        let (date, clock) = (Some(Date::from_days(days)), Some(clock));
        Some(Moment { date, clock, fraction: &fraction, zone: Some(Zone::UTC) }.spelled())
    }
}

/// The zone that a letter of the season says: `W` and `H` (French) are winter, `S` and `E` summer. In
/// lower case the clock was not set lately; a blank says nothing.
fn season(letter: &[u8], zone: Option<Zone>) -> Option<Option<Zone>> {
    let winter = zone.unwrap_or(Zone::CET);
    match letter {
        b"W" | b"w" | b"H" | b"h" => Some(Some(winter)),
        b"S" | b"s" | b"E" | b"e" => Some(Some(winter.in_summer())),
        b" " => Some(None),
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| 10 * number + u16::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Option<Spelled<'static>> {
        format.parse::<TimeFormat>().unwrap().read(text, None)
    }

    #[test]
    fn times_become_iso_8601() {
        for (format, text, expected) in [
            ("YYMMDDhhmmssX", "240112231815W", "2024-01-12T23:18:15+01:00"),
            ("YYMMDDhhmmssX", "231031120000S", "2023-10-31T12:00:00+02:00"),
            ("XYYMMDDhhmmss", "H241202043910", "2024-12-02T04:39:10+01:00"),
            ("XYYMMDDhhmmss", " 241202043910", "2024-12-02T04:39:10"),
            ("DDMMYY", "230394", "1994-03-23"),
            ("hhmmss", "123519", "12:35:19"),
            ("hhmmss", "123519.250", "12:35:19.250"),
            ("hhmm", "2359", "23:59:00"),
            ("DD.MM.YYYY hh:mm:ss", "29.02.2024 23:59:60", "2024-02-29T23:59:60"),
            ("YYYY-MM-DDThh:mm", "2000-02-29T00:00", "2000-02-29T00:00:00"),
            ("epoch", "1705101495", "2024-01-12T23:18:15Z"),
            ("epoch_ms", "1705101495042", "2024-01-12T23:18:15.042Z"),
        ] {
            assert_eq!(read(format, text).as_deref(), Some(expected), "{format} of {text}");
        }
        let format: TimeFormat = "hhmmss".parse().unwrap();
        assert_eq!(format.read("123519", Some(Zone::UTC)).unwrap(), "12:35:19Z");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for (format, text) in [
            ("YYMMDDhhmmssX", "632525252525W"),
            ("YYMMDD", "230229"),
            ("YYMMDD", "000000"),
            ("YYMMDD", "2301"),
            ("YYMMDD", "2301012"),
            ("YYMMDD", "2301é"),
            ("hhmmss", "246000"),
            ("hhmmss", "1235 9"),
            ("YYMMDDhhmmssX", "240112231815Q"),
            ("DD.MM.YYYY", "29-02-2024"),
            ("epoch", "-1"),
            ("epoch", "99999999999999999999"),
            ("epoch", "9999999999999"),
        ] {
            assert_eq!(read(format, text), None, "{format} of {text}");
        }
    }

    #[test]
    fn formats_and_zones_parse_themselves() {
        for bad in ["", "YYMM", "hh", "YYMMDDYY", "yymmdd", "seconds"] {
            assert!(bad.parse::<TimeFormat>().is_err(), "{bad}");
        }
        for (text, expected) in [("+01:00", "+01:00"), ("-03:30", "-03:30"), ("Z", "Z")] {
            assert_eq!(text.parse::<Zone>().unwrap().to_string(), expected);
        }
        for bad in ["1", "+1:00", "+15:00", "+01:60", "CET", "+-1:00"] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
    }
}
