//! A moment on the wall clock, printed as strftime does in the C locale.

use super::zone::{LocalTimeType, TimeZone};
use crate::base::calendar::{Date, days_to};
use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: &str = "January February March April May June July August September October \
                      November December";

/// A moment, as the clocks of a time zone showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 in UTC.
    unix: i64,
    nanos: u32,
    local: LocalTimeType,
    /// Days since 1970 on the local clock, and the seconds of that day.
    days: i64,
    of_day: i64,
    date: Date,
}

impl Moment {
    /// The local time of a zone at `time`.
    pub fn new(time: SystemTime, zone: &TimeZone) -> Moment {
        // A clock that shows a date before 1970 is wrong.
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix = since.as_secs() as i64;
        let local = zone.at(unix);
        let shifted = unix + i64::from(local.offset);
        let (days, of_day) = (shifted.div_euclid(86_400), shifted.rem_euclid(86_400));
        let date = Date::from_days(days);
        Moment { unix, nanos: since.subsec_nanos(), local, days, of_day, date }
    }

    /// `2016-08-10T09:47:38+0100`
    pub fn iso(&self) -> String {
        format!("{}T{}", self.text("F"), self.text("Tz"))
    }

    /// `2020-05-06T22:12:00.000000Z+0100`, as mosquitto_sub has it in JSON.
    pub fn json(&self) -> String {
        let micros = self.nanos / 1000;
        format!("{}T{}.{micros:06}Z{}", self.text("F"), self.text("T"), self.text("z"))
    }

    /// `1470818943.786368637`
    pub fn unix(&self) -> String {
        format!("{}.{:09}", self.unix, self.nanos)
    }

    /// Appends what strftime makes of `%` and this letter; `N` prints nanoseconds. A letter without
    /// a meaning is printed with its `%`.
    pub fn format(&self, letter: u8, out: &mut Vec<u8>) {
        let Date { year, month, day } = self.date;
        // 0 is Sunday, and 0 is the first of January.
        let (weekday, day_of_year) = ((self.days + 4).rem_euclid(7), self.days - days_to(year, 1));
        let from_monday = (weekday + 6) % 7;
        let (hour, minute, second) = (self.of_day / 3600, self.of_day / 60 % 60, self.of_day % 60);
        let hour_12 = (hour + 11) % 12 + 1;
        let weekday_name = DAYS[weekday as usize % 7];
        let month_name = MONTHS.split(' ').nth(usize::from(month) - 1).unwrap_or_default();
        // ISO 8601 counts a week to the year of its Thursday.
        let thursday = self.days - from_monday + 3;
        let iso_year = Date::from_days(thursday).year;
        let text = match letter {
            b'a' => weekday_name[..3].into(),
            b'A' => weekday_name.into(),
            b'b' | b'h' => month_name[..3].into(),
            b'B' => month_name.into(),
            b'c' => self.text("a b e T Y"),
            b'C' => format!("{:02}", year.div_euclid(100)),
            b'd' => format!("{day:02}"),
            b'D' | b'x' => self.text("m/d/y"),
            b'e' => format!("{day:2}"),
            b'F' => self.text("Y-m-d"),
            b'g' => format!("{:02}", iso_year.rem_euclid(100)),
            b'G' => iso_year.to_string(),
            b'H' => format!("{hour:02}"),
            b'I' => format!("{hour_12:02}"),
            b'j' => format!("{:03}", day_of_year + 1),
            b'k' => format!("{hour:2}"),
            b'l' => format!("{hour_12:2}"),
            b'm' => format!("{month:02}"),
            b'M' => format!("{minute:02}"),
            b'n' => "\n".into(),
            b'N' => format!("{:09}", self.nanos),
            b'p' => if hour < 12 { "AM" } else { "PM" }.into(),
            b'P' => if hour < 12 { "am" } else { "pm" }.into(),
            b'r' => self.text("I:M:S p"),
            b'R' => self.text("H:M"),
            b's' => self.unix.to_string(),
            b'S' => format!("{second:02}"),
            b't' => "\t".into(),
            b'T' | b'X' => self.text("H:M:S"),
            b'u' => (from_monday + 1).to_string(),
            b'U' => format!("{:02}", (day_of_year + 7 - weekday) / 7),
            b'V' => format!("{:02}", (thursday - days_to(iso_year, 1)) / 7 + 1),
            b'w' => weekday.to_string(),
            b'W' => format!("{:02}", (day_of_year + 7 - from_monday) / 7),
            b'y' => format!("{:02}", year.rem_euclid(100)),
            b'Y' => year.to_string(),
            b'z' => {
                let sign = if self.local.offset < 0 { '-' } else { '+' };
                let minutes = self.local.offset.abs() / 60;
                format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
            b'Z' => self.local.name.clone(),
            b'%' => "%".into(),
            other => return out.extend_from_slice(&[b'%', other]),
        };
        out.extend_from_slice(text.as_bytes());
    }

    /// Each letter as [`Moment::format`] prints it; all else as it stands.
    fn text(&self, format: &str) -> String {
        let mut out = Vec::new();
        for byte in format.bytes() {
            if byte.is_ascii_alphabetic() { self.format(byte, &mut out) } else { out.push(byte) }
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}
