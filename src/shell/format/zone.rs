//! Time zones, read from files of the zone database (RFC 9636) and POSIX's `TZ` texts, such as
//! OpenWrt has in `/etc/TZ`.

use crate::base::calendar::{Date, days_to};
use std::path::Path;

/// Local time at some moment, relative to UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTimeType {
    /// Seconds east of UTC.
    pub offset: i32,
    /// Such as `CEST`.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone {
    /// Moments of change in seconds since 1970, ascending, and the local time from then on.
    changes: Vec<(i64, LocalTimeType)>,
    /// Local time before the first change.
    first: LocalTimeType,
    /// Takes effect after the last change.
    rule: Option<PosixRule>,
}

/// POSIX's rule: standard time, and perhaps daylight saving time between two days of each year.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PosixRule {
    standard: LocalTimeType,
    daylight: Option<(LocalTimeType, Change, Change)>,
}

/// When clocks change, on the clock from before the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds after midnight; may be negative or beyond a day.
    time: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// 1 to 365, not counting 29 February.
    Julian(u16),
    /// 0 to 365, counting 29 February.
    Count(u16),
    /// Month, week (5 is the last) and weekday.
    Week(u8, u8, u8),
}

impl TimeZone {
    /// The zone of this machine: `TZ`, else `/etc/localtime`, else `/etc/TZ`, else UTC.
    pub fn of_machine() -> TimeZone {
        let file = |path: &Path| TimeZone::from_file(&std::fs::read(path).ok()?);
        let found = match std::env::var("TZ") {
            Ok(text) => {
                let name = text.trim_start_matches(':');
                file(&Path::new("/usr/share/zoneinfo").join(name))
                    .or_else(|| TimeZone::from_posix(name))
            }
            Err(_) => file(Path::new("/etc/localtime"))
                .or_else(|| TimeZone::from_posix(std::fs::read_to_string("/etc/TZ").ok()?.trim())),
        };
        let utc = LocalTimeType { offset: 0, name: "UTC".into() };
        found.unwrap_or(TimeZone { changes: Vec::new(), first: utc, rule: None })
    }

    /// Parses a text such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub fn from_posix(text: &str) -> Option<TimeZone> {
        let rule = PosixRule::parse(text)?;
        Some(TimeZone { changes: Vec::new(), first: rule.standard.clone(), rule: Some(rule) })
    }

    /// Parses a file of the zone database.
    pub fn from_file(mut bytes: &[u8]) -> Option<TimeZone> {
        let (version, zone) = take_block(&mut bytes, 4)?;
        if version == 0 {
            return zone;
        }
        // The second block repeats the first with 64-bit times, and a rule for later ones follows.
        let mut zone = take_block(&mut bytes, 8)?.1?;
        let rule = bytes.strip_prefix(b"\n").and_then(|rest| rest.strip_suffix(b"\n"));
        zone.rule = rule.and_then(|rule| PosixRule::parse(std::str::from_utf8(rule).ok()?));
        Some(zone)
    }

    /// Local time at a moment in seconds since 1970.
    pub fn at(&self, unix: i64) -> LocalTimeType {
        let past = self.changes.partition_point(|(from, _)| *from <= unix);
        match (&self.rule, past) {
            (Some(rule), past) if past == self.changes.len() => rule.at(unix),
            (_, 0) => self.first.clone(),
            (_, past) => self.changes[past - 1].1.clone(),
        }
    }
}

/// Takes a header and the data behind it (RFC 9636, 3.1 and 3.2) off `rest`, with times of `size` bytes.
/// Returns the version and the zone.
fn take_block(rest: &mut &[u8], size: usize) -> Option<(u8, Option<TimeZone>)> {
    let mut take = |count: usize, size: usize| {
        let (taken, left) = rest.split_at_checked(count.saturating_mul(size))?;
        *rest = left;
        Some(taken)
    };
    let header = take(44, 1)?.strip_prefix(b"TZif")?;
    let count = |n: usize| number(header.get(16 + 4 * n..20 + 4 * n)?).try_into().ok();
    let (utc, standard, leap, changes) = (count(0)?, count(1)?, count(2)?, count(3)?);
    let times = take(changes, size)?;
    // For each time the type that takes effect then.
    let kinds = take(changes, 1)?;
    // Six bytes each: offset, daylight saving time or not, where the name begins.
    let types = take(count(4)?, 6)?;
    let names = take(count(5)?, 1)?;
    take(leap, size + 4)?;
    take(standard, 1)?;
    take(utc, 1)?;
    let local = |kind: u8| {
        let (offset, rest) = types.chunks(6).nth(kind.into())?.split_at(4);
        let name = names.get(rest[1].into()..)?.split(|b| *b == 0).next()?;
        let name = String::from_utf8_lossy(name).into_owned();
        Some(LocalTimeType { offset: number(offset) as i32, name })
    };
    let changes = times.chunks(size).map(number).zip(kinds);
    let changes = changes.map(|(time, kind)| Some((time, local(*kind)?))).collect();
    let zone = Option::zip(changes, local(0));
    Some((header[0], zone.map(|(changes, first)| TimeZone { changes, first, rule: None })))
}

/// A signed number in network order.
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |n, byte| n << 8 | i64::from(*byte))
}

impl PosixRule {
    fn parse(text: &str) -> Option<PosixRule> {
        let mut text = TzText(text);
        let name = text.name()?;
        let standard = LocalTimeType { offset: -text.time()?, name };
        if text.0.is_empty() {
            return Some(PosixRule { standard, daylight: None });
        }
        let name = text.name()?;
        let offset = match text.0.chars().next() {
            None | Some(',') => standard.offset + 3600,
            Some(_) => -text.time()?,
        };
        if text.0.is_empty() {
            // POSIX leaves this open; every system uses these dates.
            text.0 = ",M3.2.0,M11.1.0";
        }
        let daylight = (LocalTimeType { offset, name }, text.change()?, text.change()?);
        text.0.is_empty().then_some(PosixRule { standard, daylight: Some(daylight) })
    }

    fn at(&self, unix: i64) -> LocalTimeType {
        let Some((daylight, begin, end)) = &self.daylight else { return self.standard.clone() };
        let shifted = unix + i64::from(self.standard.offset);
        let year = Date::from_days(shifted.div_euclid(86_400)).year;
        let begin = begin.in_year(year) - i64::from(self.standard.offset);
        let end = end.in_year(year) - i64::from(daylight.offset);
        let summer = if begin <= end {
            (begin..end).contains(&unix)
        } else {
            // The southern hemisphere: from one year into the next.
            !(end..begin).contains(&unix)
        };
        if summer { daylight.clone() } else { self.standard.clone() }
    }
}

impl Change {
    /// Seconds since 1970 on the local clock.
    fn in_year(self, year: i64) -> i64 {
        let first = days_to(year, 1);
        let leap = days_to(year, 3) - first == 60;
        let day = match self.day {
            Day::Julian(day) => first + i64::from(day) - 1 + i64::from(leap && day >= 60),
            Day::Count(day) => first + i64::from(day),
            Day::Week(month, week, weekday) => {
                let begin = days_to(year, month);
                let to_weekday = (i64::from(weekday) - (begin + 4)).rem_euclid(7);
                let day = begin + to_weekday + 7 * (i64::from(week) - 1);
                let next = days_to(year + i64::from(month / 12), month % 12 + 1);
                if day >= next { day - 7 } else { day }
            }
        };
        day * 86_400 + i64::from(self.time)
    }
}

/// The part of a `TZ` text that is not parsed yet.
struct TzText<'t>(&'t str);

impl TzText<'_> {
    fn skip(&mut self, letter: char) -> bool {
        let rest = self.0.strip_prefix(letter);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Letters, or anything in `<…>`.
    fn name(&mut self) -> Option<String> {
        let (name, rest) = match self.0.strip_prefix('<') {
            Some(rest) => rest.split_once('>')?,
            None => {
                let end = self.0.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.0.len());
                self.0.split_at(end)
            }
        };
        self.0 = rest;
        (name.len() >= 3).then(|| name.into())
    }

    fn number(&mut self) -> Option<u16> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (number, rest) = self.0.split_at(end);
        self.0 = rest;
        number.parse().ok().filter(|n| *n < 1000)
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    fn time(&mut self) -> Option<i32> {
        let sign = if self.skip('-') { -1 } else { 1 };
        self.skip('+');
        let mut seconds = i32::from(self.number()?) * 3600;
        if self.skip(':') {
            seconds += i32::from(self.number()?) * 60;
            if self.skip(':') {
                seconds += i32::from(self.number()?);
            }
        }
        Some(sign * seconds)
    }

    /// `,M3.5.0/2`, `,J60` or `,59`.
    fn change(&mut self) -> Option<Change> {
        if !self.skip(',') {
            return None;
        }
        let day = if self.skip('M') {
            let month = self.number().filter(|month| (1..=12).contains(month))?;
            let week = self.skip('.').then(|| self.number())?.filter(|w| (1..=5).contains(w))?;
            let weekday = self.skip('.').then(|| self.number())?.filter(|day| *day <= 6)?;
            Day::Week(month as u8, week as u8, weekday as u8)
        } else if self.skip('J') {
            Day::Julian(self.number().filter(|day| (1..=365).contains(day))?)
        } else {
            Day::Count(self.number().filter(|day| *day <= 365)?)
        };
        let time = if self.skip('/') { self.time()? } else { 7200 };
        Some(Change { day, time })
    }
}
