//! Time zones: files of the zone database (RFC 9636) and POSIX's `TZ` texts, such as OpenWrt has
//! in `/etc/TZ`.

use super::time::{civil, days_before};
use std::path::Path;

/// What a zone's clocks are off UTC at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Seconds east of UTC.
    pub offset: i32,
    /// Such as `CEST`.
    pub name: String,
}

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Moments of change in seconds since 1970, ascending, and what counts from then on.
    changes: Vec<(i64, Local)>,
    /// What counts before the first change.
    first: Local,
    /// What counts behind the last one.
    rule: Option<Rule>,
}

/// POSIX's rule: standard time, and perhaps daylight saving time between two days of each year.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    standard: Local,
    daylight: Option<(Local, Change, Change)>,
}

/// When clocks change, on the clock that counts before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds after midnight; may be negative or beyond a day.
    time: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// 1 to 365, 29 February does not count.
    Julian(u16),
    /// 0 to 365, 29 February counts.
    Count(u16),
    /// Month, week (5 is the last) and weekday.
    Week(u8, u8, u8),
}

impl Zone {
    /// The zone of this machine: `TZ`, else `/etc/localtime`, else `/etc/TZ`, else UTC.
    pub fn of_machine() -> Zone {
        const DATABASE: &str = "/usr/share/zoneinfo";
        let found = match std::env::var("TZ") {
            Ok(text) => {
                let name = text.trim_start_matches(':');
                let path = Path::new(DATABASE).join(name);
                let file = std::fs::read(path).ok().filter(|_| !name.is_empty());
                file.and_then(|bytes| Zone::from_file(&bytes)).or_else(|| Zone::from_posix(name))
            }
            Err(_) => std::fs::read("/etc/localtime")
                .ok()
                .and_then(|bytes| Zone::from_file(&bytes))
                .or_else(|| Zone::from_posix(std::fs::read_to_string("/etc/TZ").ok()?.trim())),
        };
        found.unwrap_or_else(Zone::utc)
    }

    /// UTC.
    pub fn utc() -> Zone {
        let first = Local { offset: 0, name: "UTC".into() };
        Zone { changes: Vec::new(), first, rule: None }
    }

    /// Parses a text such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub fn from_posix(text: &str) -> Option<Zone> {
        let rule = Rule::parse(text)?;
        Some(Zone { changes: Vec::new(), first: rule.standard.clone(), rule: Some(rule) })
    }

    /// Parses a file of the zone database.
    pub fn from_file(bytes: &[u8]) -> Option<Zone> {
        let header = Header::read(bytes)?;
        if header.version == 0 {
            return header.body(bytes.get(44..)?, 4).map(|(zone, _)| zone);
        }
        // The second part repeats the first with 64-bit times, and has a rule behind it.
        let second = bytes.get(44 + header.len(4)..)?;
        let header = Header::read(second)?;
        let (mut zone, rest) = header.body(second.get(44..)?, 8)?;
        let rule = rest.strip_prefix(b"\n").and_then(|rest| rest.strip_suffix(b"\n"));
        zone.rule = rule.and_then(|rule| Rule::parse(std::str::from_utf8(rule).ok()?));
        Some(zone)
    }

    /// What this zone's clocks are off UTC at a moment in seconds since 1970.
    pub fn at(&self, unix: i64) -> Local {
        let past = self.changes.partition_point(|(from, _)| *from <= unix);
        match (&self.rule, past) {
            (Some(rule), past) if past == self.changes.len() => rule.at(unix),
            (_, 0) => self.first.clone(),
            (_, past) => self.changes[past - 1].1.clone(),
        }
    }
}

/// The numbers at the begin of a zone file (RFC 9636, 3.1).
struct Header {
    version: u8,
    leap: usize,
    changes: usize,
    types: usize,
    names: usize,
    flags: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        if bytes.get(..4)? != b"TZif" {
            return None;
        }
        let count = |n: usize| number(bytes, 20 + 4 * n, 4).and_then(|n| usize::try_from(n).ok());
        Some(Header {
            version: *bytes.get(4)?,
            flags: count(0)?.checked_add(count(1)?)?,
            leap: count(2)?,
            changes: count(3)?,
            types: count(4)?,
            names: count(5)?,
        })
    }

    /// Bytes of the body with times of `size` bytes. The counts are below 2³¹ and the file is in
    /// memory: with saturation a wrong one only ends behind the file.
    fn len(&self, size: usize) -> usize {
        self.changes
            .saturating_mul(size + 1)
            .saturating_add(self.types.saturating_mul(6))
            .saturating_add(self.names)
            .saturating_add(self.leap.saturating_mul(size + 4))
            .saturating_add(self.flags)
    }

    /// The zone in a body, and what stands behind it.
    fn body<'b>(&self, body: &'b [u8], size: usize) -> Option<(Zone, &'b [u8])> {
        let rest = body.get(self.len(size)..)?;
        let kinds = self.changes * size;
        let types = kinds + self.changes;
        let names = body.get(types + self.types * 6..)?.get(..self.names)?;
        let local = |kind: usize| {
            let offset = number(body, types + kind * 6, 4)?;
            let name = names.get(usize::from(*body.get(types + kind * 6 + 5)?)..)?;
            let name = name.split(|b| *b == 0).next()?;
            let name = String::from_utf8_lossy(name).into_owned();
            (kind < self.types).then_some(Local { offset: offset as i32, name })
        };
        let mut changes = Vec::new();
        for n in 0..self.changes {
            changes.push((number(body, n * size, size)?, local(usize::from(body[kinds + n]))?));
        }
        Some((Zone { changes, first: local(0)?, rule: None }, rest))
    }
}

/// A signed number in network order.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<i64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    let first = i64::from(*bytes.first()? as i8);
    Some(bytes[1..].iter().fold(first, |n, byte| n << 8 | i64::from(*byte)))
}

impl Rule {
    fn parse(text: &str) -> Option<Rule> {
        let mut text = Text(text);
        let name = text.name()?;
        let standard = Local { offset: -text.time()?, name };
        if text.0.is_empty() {
            return Some(Rule { standard, daylight: None });
        }
        let name = text.name()?;
        let offset = match text.0.chars().next() {
            None | Some(',') => standard.offset + 3600,
            Some(_) => -text.time()?,
        };
        if text.0.is_empty() {
            // What POSIX leaves open, and every system fills in like this.
            text.0 = ",M3.2.0,M11.1.0";
        }
        let daylight = (Local { offset, name }, text.change()?, text.change()?);
        text.0.is_empty().then_some(Rule { standard, daylight: Some(daylight) })
    }

    fn at(&self, unix: i64) -> Local {
        let Some((daylight, begin, end)) = &self.daylight else { return self.standard.clone() };
        let shifted = unix + i64::from(self.standard.offset);
        let (year, ..) = civil(shifted.div_euclid(86_400));
        let begin = begin.in_year(year) - i64::from(self.standard.offset);
        let end = end.in_year(year) - i64::from(daylight.offset);
        let summer = match begin <= end {
            true => (begin..end).contains(&unix),
            // The southern hemisphere: from one year into the next.
            false => !(end..begin).contains(&unix),
        };
        if summer { daylight.clone() } else { self.standard.clone() }
    }
}

impl Change {
    /// Seconds since 1970 on the local clock.
    fn in_year(self, year: i64) -> i64 {
        let first = days_before(year, 1, 1);
        let leap = days_before(year, 3, 1) - first == 60;
        let day = match self.day {
            Day::Julian(day) => first + i64::from(day) - 1 + i64::from(leap && day >= 60),
            Day::Count(day) => first + i64::from(day),
            Day::Week(month, week, weekday) => {
                let begin = days_before(year, month, 1);
                let to_weekday = (i64::from(weekday) - (begin + 4)).rem_euclid(7);
                let day = begin + to_weekday + 7 * (i64::from(week) - 1);
                let next = match month {
                    12 => days_before(year + 1, 1, 1),
                    month => days_before(year, month + 1, 1),
                };
                if day >= next { day - 7 } else { day }
            }
        };
        day * 86_400 + i64::from(self.time)
    }
}

/// A text that is taken apart from its begin.
struct Text<'t>(&'t str);

impl Text<'_> {
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
