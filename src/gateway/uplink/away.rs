//! What the log is told of links that end or do not come about.

use crate::base::log::lasting::{Again, Lasting};
use crate::mqtt::link::{CloseReason, LinkError};
use std::time::{Duration, Instant};

/// Number of faults that are remembered; there are few brokers, and few kinds of faults.
const MOST: usize = 64;

/// After a link that lasted this long, every fault is a new one.
const GOOD: Duration = Duration::from_secs(300);

/// What the log was told. Each broker fails in its own way, one after the other, and each kind of
/// each broker is a fault of its own.
#[derive(Debug, Default)]
pub(super) struct AwayLog {
    faults: Vec<Fault>,
    /// The broker of the last link that the log was told of, and of the link that there is.
    told: Option<String>,
    up: Option<(String, Instant)>,
    /// Whether the log was told of the last end.
    end_was_told: bool,
}

#[derive(Debug)]
struct Fault {
    broker: String,
    kind: (CloseReason, i16),
    lasting: Lasting,
}

impl AwayLog {
    /// A broker accepted the connection. Whether the log is to be told.
    pub(super) fn connected(&mut self, broker: &str, now: Instant) -> bool {
        self.up = Some((broker.to_owned(), now));
        let is_news = self.end_was_told || self.told.as_deref() != Some(broker);
        if is_news {
            self.told = Some(broker.to_owned());
        }
        is_news
    }

    /// A link was left on purpose, which the log is told always.
    pub(super) fn left(&mut self) {
        self.up = None;
        self.end_was_told = true;
    }

    /// A link ended, or did not come about. `Some`: the log is to be told.
    pub(super) fn ended(&mut self, broker: &str, why: &LinkError, now: Instant) -> Option<Again> {
        if let Some((host, since)) = self.up.take()
            && now.saturating_duration_since(since) >= GOOD
        {
            self.faults.retain(|fault| fault.broker != host);
        }
        let kind = (why.close_reason(), why.code());
        let is_it = |fault: &Fault| fault.broker == broker && fault.kind == kind;
        let at = match self.faults.iter().position(is_it) {
            Some(at) => at,
            None => {
                if self.faults.len() >= MOST {
                    self.faults.remove(0);
                }
                let broker = broker.to_owned();
                self.faults.push(Fault { broker, kind, lasting: Lasting::default() });
                self.faults.len() - 1
            }
        };
        let again = self.faults[at].lasting.occurred(now);
        self.end_was_told = again.is_some();
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::packet::{ConnAck, Reason};
    use crate::mqtt::session::SessionError;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused() -> LinkError {
        LinkError::Session(SessionError::Refused(ConnAck::new(false, Reason::SERVER_UNAVAILABLE)))
    }

    #[test]
    fn a_day_of_three_brokers_in_turn_is_said_once_each_and_ever_more_seldom() {
        let (mut log, start) = (AwayLog::default(), Instant::now());
        let mut lines = 0;
        for second in 0..86_400 {
            let now = start + SECOND * second;
            let (broker, why) = match second % 3 {
                0 => ("mqtt://a", refused()),
                1 => ("mqtt://b", LinkError::Closed),
                _ => ("mqtt://c", LinkError::Closed),
            };
            lines += u32::from(log.ended(broker, &why, now).is_some());
        }
        assert_eq!(lines, 3 * 7);
    }

    #[test]
    fn a_day_of_a_link_that_ends_each_minute_fits_eight_kilobytes() {
        let (mut log, start) = (AwayLog::default(), Instant::now());
        let mut lines = 0;
        for minute in 0..1440 {
            let now = start + 60 * SECOND * minute;
            lines += u32::from(log.connected("mqtt://a", now));
            lines += u32::from(log.ended("mqtt://a", &LinkError::Closed, now + SECOND).is_some());
        }
        // A line has some 150 bytes.
        assert!(lines <= 16, "{lines}");
    }

    #[test]
    fn what_ends_after_a_good_while_is_news_and_so_is_another_broker() {
        let (mut log, start) = (AwayLog::default(), Instant::now());
        assert!(log.connected("mqtt://a", start));
        assert!(log.ended("mqtt://a", &LinkError::Closed, start + SECOND).is_some());
        assert!(log.connected("mqtt://a", start + 2 * SECOND));
        assert!(log.ended("mqtt://a", &LinkError::Closed, start + 3 * SECOND).is_none());
        // The last line says that it is away: not so any more.
        assert!(log.connected("mqtt://b", start + 4 * SECOND));
        assert!(log.ended("mqtt://b", &LinkError::Closed, start + 5 * SECOND).is_some());
        assert!(log.connected("mqtt://a", start + 6 * SECOND));
        assert!(log.ended("mqtt://a", &LinkError::Closed, start + 306 * SECOND).is_some());
    }
}
