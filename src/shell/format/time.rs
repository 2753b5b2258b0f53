//! A moment on the wall clock, printed as strftime does in the C locale.

use super::zone::{Local, Zone};
use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A moment, and what a clock on the wall showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 in UTC.
    unix: i64,
    nanos: u32,
    local: Local,
    year: i64,
    month: u8,
    day: u8,
    /// 0 is Sunday.
    weekday: i64,
    /// 0 is the first of January.
    day_of_year: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Moment {
    /// What the clocks of a zone showed.
    pub fn new(time: SystemTime, zone: &Zone) -> Moment {
        let (unix, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => (since.as_secs() as i64, since.subsec_nanos()),
            // Before 1970 no clock of ours is right.
            Err(_) => (0, 0),
        };
        let local = zone.at(unix);
        let shifted = unix + i64::from(local.offset);
        let (days, of_day) = (shifted.div_euclid(86_400), shifted.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        Moment {
            unix,
            nanos,
            local,
            year,
            month,
            day,
            weekday: (days + 4).rem_euclid(7),
            day_of_year: days - days_before(year, 1, 1),
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    /// `2016-08-10T09:47:38+0100`
    pub fn iso(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.format_all(b"FTz", [b"", b"T", b""], &mut out);
        out
    }

    /// `2020-05-06T22:12:00.000000Z+0100`, as mosquitto_sub has it in JSON.
    pub fn json(&self) -> String {
        let mut out = Vec::new();
        self.format(b'F', &mut out);
        out.push(b'T');
        self.format(b'T', &mut out);
        out.extend_from_slice(format!(".{:06}Z", self.nanos / 1000).as_bytes());
        self.format(b'z', &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// `1470818943.786368637`
    pub fn unix(&self) -> String {
        format!("{}.{:09}", self.unix, self.nanos)
    }

    /// Appends what strftime makes of `%` and this letter; `N` are nanoseconds. A letter that
    /// means nothing is printed with its `%`.
    pub fn format(&self, letter: u8, out: &mut Vec<u8>) {
        let hour_12 = (self.hour + 11) % 12 + 1;
        let pm = self.hour >= 12;
        let weekday = DAYS[self.weekday as usize % 7];
        let month = MONTHS[(usize::from(self.month) + 11) % 12];
        let (iso_year, iso_week) = self.iso_week();
        let text = match letter {
            b'a' => weekday[..3].into(),
            b'A' => weekday.into(),
            b'b' | b'h' => month[..3].into(),
            b'B' => month.into(),
            b'c' => return self.format_all(b"abeTY", [b"", b" ", b" ", b" ", b" "], out),
            b'C' => format!("{:02}", self.year.div_euclid(100)),
            b'd' => format!("{:02}", self.day),
            b'D' | b'x' => return self.format_all(b"mdy", [b"", b"/", b"/"], out),
            b'e' => format!("{:2}", self.day),
            b'F' => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
            b'g' => format!("{:02}", iso_year.rem_euclid(100)),
            b'G' => iso_year.to_string(),
            b'H' => format!("{:02}", self.hour),
            b'I' => format!("{hour_12:02}"),
            b'j' => format!("{:03}", self.day_of_year + 1),
            b'k' => format!("{:2}", self.hour),
            b'l' => format!("{hour_12:2}"),
            b'm' => format!("{:02}", self.month),
            b'M' => format!("{:02}", self.minute),
            b'n' => "\n".into(),
            b'N' => format!("{:09}", self.nanos),
            b'p' => if pm { "PM" } else { "AM" }.into(),
            b'P' => if pm { "pm" } else { "am" }.into(),
            b'r' => return self.format_all(b"IMSp", [b"", b":", b":", b" "], out),
            b'R' => format!("{:02}:{:02}", self.hour, self.minute),
            b's' => self.unix.to_string(),
            b'S' => format!("{:02}", self.second),
            b't' => "\t".into(),
            b'T' | b'X' => format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second),
            b'u' => ((self.weekday + 6) % 7 + 1).to_string(),
            b'U' => format!("{:02}", (self.day_of_year + 7 - self.weekday) / 7),
            b'V' => format!("{iso_week:02}"),
            b'w' => self.weekday.to_string(),
            b'W' => format!("{:02}", (self.day_of_year + 7 - (self.weekday + 6) % 7) / 7),
            b'y' => format!("{:02}", self.year.rem_euclid(100)),
            b'Y' => self.year.to_string(),
            b'z' => {
                let (sign, minutes) = match self.local.offset {
                    offset if offset < 0 => ('-', -offset / 60),
                    offset => ('+', offset / 60),
                };
                format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
            b'Z' => self.local.name.clone(),
            b'%' => "%".into(),
            other => return out.extend_from_slice(&[b'%', other]),
        };
        out.extend_from_slice(text.as_bytes());
    }

    /// Letters with something in front of each.
    fn format_all<const N: usize>(&self, letters: &[u8; N], front: [&[u8]; N], out: &mut Vec<u8>) {
        for (letter, front) in letters.iter().zip(front) {
            out.extend_from_slice(front);
            self.format(*letter, out);
        }
    }

    /// Year and week of ISO 8601: weeks begin on Monday, week 1 has the year's first Thursday.
    fn iso_week(&self) -> (i64, i64) {
        let from_monday = (self.weekday + 6) % 7;
        let thursday = self.day_of_year - from_monday + 3;
        let this_year = year_len(self.year);
        match thursday {
            before if before < 0 => (self.year - 1, (before + year_len(self.year - 1)) / 7 + 1),
            after if after >= this_year => (self.year + 1, (after - this_year) / 7 + 1),
            thursday => (self.year, thursday / 7 + 1),
        }
    }
}

fn year_len(year: i64) -> i64 {
    days_before(year + 1, 1, 1) - days_before(year, 1, 1)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
pub(super) fn days_before(year: i64, month: u8, day: u8) -> i64 {
    let month = i64::from(month);
    // The year begins in March, so that leap days come last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// The date of a number of days since 1970-01-01.
pub(super) fn civil(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u8, day as u8)
}
