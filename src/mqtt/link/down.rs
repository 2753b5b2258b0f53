//! What the end of a link means: which broker is next, and after how long.

use super::{Event, Link, LinkError, Phase, State, now};
use crate::mqtt::session::{Ending, LinkEnd};
use crate::mqtt::source::Source;
use std::time::{Duration, Instant};

/// A link that ends within this time after CONNACK is short: the broker did not want it.
const SHORT: Duration = Duration::from_secs(10);

/// From this many short links in a row on, they are reported as [`LinkError::ThrownOut`].
const SHORT_LINKS: u32 = 3;

impl Link {
    /// The link ended, or the attempt to connect failed.
    pub(super) fn down(&mut self, error: LinkError, source: &mut dyn Source) -> Event {
        let now = now();
        let at = self.ended.take().unwrap_or(now);
        let (by_broker, reason) = (error.is_by_broker(), error.reason());
        // A link that showed what the broker does not take says nothing about anything else.
        let explains = self.session.ended(LinkEnd { by_broker, reason, at }, source);
        let asked = matches!(error, LinkError::Asked);
        let moved_on = matches!(error, LinkError::MovedOn);
        let ours = asked || moved_on || matches!(error, LinkError::BetterBroker);
        let up_since = self.up_since.take().filter(|_| !explains);
        let was_short = up_since.map(|since| !ours && now < since + SHORT);
        let error = self.judge(error, was_short);
        if let Some(dialer) = &mut self.dialer
            && (explains || was_short == Some(false) && !moved_on)
        {
            // After a short link, and one that was left for it, the next broker is tried instead.
            dialer.begin_again();
        }
        let at_once = match &error {
            LinkError::Session(error) => self.session.tries_again_at_once(error),
            _ => false,
        };
        let ending = if error.is_hang_up() { Ending::HangUp } else { Ending::Other };
        self.session.disconnected(ending);
        let has_another_way = self.session.has_another_way();
        let wait = match at_once || asked {
            true => Duration::ZERO,
            false if explains => self.backoff.soon(now, self.chance()),
            false => self.wait_after(&error, now),
        };
        match &mut self.phase {
            Phase::Waiting(until) if self.options.reconnect || has_another_way => {
                *until = now + wait;
                let cause = error.to_string();
                self.state.send_replace(State::Backoff { until: *until, cause });
            }
            _ => self.stop(),
        }
        Event::Down(error)
    }

    fn chance(&self) -> u32 {
        if self.options.jitter { (self.options.random)() } else { u32::MAX }
    }

    /// How long to wait before the next attempt: a short time if it is for another broker.
    fn wait_after(&mut self, error: &LinkError, now: Instant) -> Duration {
        let chance = self.chance();
        // The broker that may be tried soonest decides, so that others do not delay its return.
        let least_wait = self.least_wait.min(error.least_wait());
        match &self.dialer {
            // The session has another version or will to try; there are few of them.
            _ if self.session.has_untried_way() => self.backoff.soon(now, chance),
            Some(dialer) if dialer.has_another() => {
                self.least_wait = least_wait;
                self.backoff.soon(now, chance)
            }
            _ => {
                self.least_wait = Duration::MAX;
                self.backoff.down(now, chance).max(least_wait)
            }
        }
    }

    /// A broker that closes one short link after the other has a reason, which it cannot give before
    /// 5.0.
    fn judge(&mut self, error: LinkError, was_short: Option<bool>) -> LinkError {
        match was_short {
            Some(true) => self.short_links += 1,
            Some(false) => self.short_links = 0,
            None => {}
        }
        if self.short_links < SHORT_LINKS || was_short.is_none() {
            return error;
        }
        match error {
            LinkError::Closed | LinkError::Io(_) => LinkError::ThrownOut {
                times: self.short_links,
                client_id: self.session.options().client_id.clone(),
            },
            other => other,
        }
    }
}
