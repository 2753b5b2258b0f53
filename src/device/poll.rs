//! A poll: what a device is asked at an interval, and when it is due.

use super::step::{ReplySettings, StepSettings};
use crate::base::clock::{Now, Stamp};
use crate::base::one_by_one;
use crate::base::scalar::Span;
use crate::codec::decode::Decode;
use crate::codec::encode::Send;
use crate::device::mapping::Mapping;
use serde::Deserialize;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// A request that the device gets at an interval: `send` with its `reply`, or a `dialogue` of several
/// steps. The reply is decoded by the poll's own `decode`: `{interval: 5s, send: "QPIGS{checksum}\r",
/// reply: {refused: NAK}, decode: {fields: {separator: " ", names: [{name: voltage, unit: V}]}}}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PollSettings {
    /// Time from one poll to the next, 10ms to 7d. Default: `interval` of the device.
    pub interval: Option<Span>,
    /// How long the reply may take, from the last bit of the request to the end of the reply; in a
    /// dialogue each of them. Default: `timeout` of the device.
    pub timeout: Option<Span>,
    /// How often a poll that failed is repeated before its next interval; the other polls that are due
    /// come first. Default: `retries` of the device.
    pub retries: Option<u8>,
    /// What is written: a text, `"read\r\n"`, or bytes behind `hex:`, `"hex:AA {address} 01
    /// {checksum}"`. `{checksum}` is the device's `checksum` over everything before it, `{address}` the
    /// device's `address`, in `hex:` a byte. Nothing is appended unless it is written here.
    pub send: Option<Send>,
    /// What is awaited: `frame`, one frame of the device's own `framing` and `checksum`; `none`; or a map,
    /// `{end: ">"}`. Default: `frame`.
    pub reply: ReplySettings,
    /// Several steps, one after the other, in place of `send` and `reply`: `[{send: "wake\r", reply:
    /// {end: ">"}}, {send: "read\r", reply: frame}]`. The last reply is decoded.
    #[serde(deserialize_with = "one_by_one::list")]
    pub dialogue: Vec<StepSettings>,
    /// How the fields of the reply are read. Default: `decode` of the device, or `text`.
    pub decode: Option<Decode>,
    /// What is published. Default: `messages` of the device.
    #[serde(deserialize_with = "one_by_one::optional_list")]
    pub messages: Option<Vec<Mapping>>,
}

/// When a poll is due. Its phase is kept: a late poll does not shift the next ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recurrence {
    interval: Duration,
    /// Whether it comes at whole multiples of the interval on the wall clock, once that is set.
    align: bool,
    /// `None` until the line is open.
    due: Option<Instant>,
    /// The next time in its phase; `due` is sooner while a failed try is repeated.
    next: Option<Instant>,
    /// Whether that is a whole multiple on the wall clock.
    is_aligned: bool,
}

impl Recurrence {
    pub(super) fn new(interval: Duration, align: bool) -> Recurrence {
        Recurrence { interval, align, due: None, next: None, is_aligned: false }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Its phase begins: it is due now.
    pub(super) fn start(&mut self, now: Instant) {
        (self.next, self.due, self.is_aligned) = (Some(now), Some(now), false);
    }

    /// It is due now, whatever its phase says.
    pub(super) fn at_once(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// It was done: the next one is due in its phase. Returns how many were skipped because it is late
    /// by more than an interval.
    pub(super) fn done(&mut self, now: Now) -> u64 {
        let mut skipped = 0;
        let mut next = self.next.unwrap_or(now.mono);
        if self.align
            && Stamp(now.wall).is_synchronised()
            && let Ok(since) = now.wall.duration_since(UNIX_EPOCH)
        {
            let into = since.as_nanos() % self.interval.as_nanos().max(1);
            let into = Duration::from_nanos(u64::try_from(into).unwrap_or_default());
            let mut aligned = now.mono + (self.interval - into.min(self.interval));
            if self.is_aligned {
                // The two clocks do not run quite alike: this may be the same time again, a bit later.
                if aligned < next + self.interval / 2 {
                    aligned += self.interval;
                }
                let passed = aligned.saturating_duration_since(next) + self.interval / 2;
                let turns = passed.as_nanos() / self.interval.as_nanos().max(1);
                skipped = u64::try_from(turns).unwrap_or(u64::MAX).saturating_sub(1);
            }
            (next, self.is_aligned) = (aligned, true);
        } else {
            self.is_aligned = false;
            next += self.interval;
            if let Some(late) = now.mono.checked_duration_since(next) {
                let times = late.as_nanos() / self.interval.as_nanos().max(1) + 1;
                skipped = u64::try_from(times).unwrap_or(u64::MAX);
                let step = u32::try_from(times).unwrap_or(u32::MAX);
                next += self.interval.saturating_mul(step);
            }
        }
        (self.next, self.due) = (Some(next), Some(next));
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn opened(interval: Duration, align: bool, now: Now) -> Recurrence {
        let mut recurrence = Recurrence::new(interval, align);
        recurrence.start(now.mono);
        recurrence
    }

    #[test]
    fn a_late_one_keeps_the_phase_and_what_was_missed_is_skipped_and_counted() {
        let start = Now::read();
        let mut poll = opened(SECOND, false, start);
        assert_eq!(poll.done(start.after(SECOND / 2)), 0);
        assert_eq!(poll.due(), Some(start.mono + SECOND));
        assert_eq!(poll.done(start.after(SECOND * 3 + SECOND / 4)), 2);
        assert_eq!(poll.due(), Some(start.mono + SECOND * 4));
        // A poll that is done exactly when the next one is due is not late, and not done twice.
        assert_eq!(poll.done(start.after(SECOND * 4)), 0);
        assert_eq!(poll.due(), Some(start.mono + SECOND * 5));
    }

    #[test]
    fn a_repeated_try_does_not_shift_the_phase() {
        let start = Now::read();
        let mut poll = opened(SECOND, false, start);
        poll.at_once(start.mono + SECOND / 4);
        poll.done(start.after(SECOND / 2));
        assert_eq!(poll.due(), Some(start.mono + SECOND));
    }

    #[test]
    fn aligned_polls_come_at_whole_intervals_of_the_wall_clock_once_it_is_set() {
        let day = 86_400;
        let set = UNIX_EPOCH + Duration::from_secs(21_000 * day + 7);
        let now = Now { wall: set, ..Now::read() };
        let mut poll = opened(SECOND * 60, true, now);
        poll.done(now);
        assert_eq!(poll.due(), Some(now.mono + SECOND * 53));
        // The wall clock was set back a little, so that the minute comes once more; then two are missed.
        let again = Now { mono: now.mono + SECOND * 53, wall: set + SECOND * 52 };
        assert_eq!(poll.done(again), 0);
        assert_eq!(poll.due(), Some(again.mono + SECOND * 61));
        let late = again.after(SECOND * 61 * 3);
        assert_eq!(poll.done(late), 2);
        let unset = Now { wall: UNIX_EPOCH + SECOND * 7, ..now };
        let mut poll = opened(SECOND * 60, true, unset);
        poll.done(unset);
        assert_eq!(poll.due(), Some(now.mono + SECOND * 60));
    }
}
