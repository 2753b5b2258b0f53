//! The one place where time enters: shell loops read [`Now`] once and hand it to the cores.

use crate::base::calendar::Date;
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks. Deadlines use `mono`; `wall` is only printed, because a router
/// without a clock chip boots in 1970 and is set right minutes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic clock, for every deadline and age.
    pub mono: Instant,
    /// Wall clock, for time stamps that people and databases read.
    pub wall: SystemTime,
}

impl Now {
    /// Reads both clocks. Called by the shell loops only.
    pub fn read() -> Now {
        Now { mono: Instant::now(), wall: SystemTime::now() }
    }

    /// The later of the two, by the monotonic clock.
    pub fn max(self, other: Now) -> Now {
        if other.mono > self.mono { other } else { self }
    }

    /// Both clocks `by` later, for cores that are driven by recorded times.
    pub fn after(self, by: Duration) -> Now {
        Now { mono: self.mono + by, wall: self.wall + by }
    }
}

/// Seconds since 1970 before which a wall clock is surely not set: 2026-11-01T00:00:00Z, shortly
/// before the first release. A date fixed in the source keeps builds reproducible.
const NOT_BEFORE: u64 = 1_793_491_200;

/// A wall-clock time as RFC 3339 in UTC with milliseconds. A clock that shows a date before this
/// program was written is not set yet: the text then ends in ` unsynchronised`, so that nobody
/// takes it for a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub SystemTime);

impl Stamp {
    /// Whether the wall clock had plausibly been set.
    pub fn is_synchronised(self) -> bool {
        self.since_epoch().as_secs() >= NOT_BEFORE
    }

    /// Milliseconds since 1970.
    #[cfg(feature = "formats")]
    pub fn millis(self) -> u64 {
        u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    fn since_epoch(self) -> Duration {
        self.0.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since_epoch();
        let seconds = since.as_secs();
        let Date { year, month, day } = Date::from_days((seconds / 86_400) as i64);
        let of_day = seconds % 86_400;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60,
            since.subsec_millis()
        )?;
        if self.is_synchronised() { Ok(()) } else { f.write_str(" unsynchronised") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339_in_utc() {
        for (seconds, expected) in [
            (1_793_491_200, "2026-11-01T00:00:00.000Z"),
            (1_835_395_199, "2028-02-28T23:59:59.000Z"),
            (1_835_395_200, "2028-02-29T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Stamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), expected);
        }
    }

    #[test]
    fn a_clock_that_was_never_set_says_so() {
        let boot = Stamp(UNIX_EPOCH + Duration::from_millis(12_345));
        assert_eq!(boot.to_string(), "1970-01-01T00:00:12.345Z unsynchronised");
    }
}
