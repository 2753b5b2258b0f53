//! What the end of a link means: which broker is next, and after how long.

use super::{Event, Link, LinkError, Phase, State, now};
use crate::mqtt::session::{Ending, LinkEnd};
use crate::mqtt::source::Source;
use std::time::{Duration, Instant};

/// A link that ends so soon after the broker let us in was not wanted.
const SHORT: Duration = Duration::from_secs(10);

/// So many short links in a row are no accident.
const SHORT_LINKS: u32 = 3;

impl Link {
    /// The link ended, or did not come about.
    pub(super) fn down(&mut self, error: LinkError, source: &mut dyn Source) -> Event {
        let now = now();
        let at = self.ended.take().unwrap_or(now);
        let (by_broker, reason) = (error.is_by_broker(), error.reason());
        // A link that showed what the broker does not take says nothing about anything else.
        let explains = self.session.ended(LinkEnd { by_broker, reason, at }, source);
        let asked = matches!(error, LinkError::Asked);
        let ours = asked || matches!(error, LinkError::BetterBroker);
        let up_since = self.up_since.take().filter(|_| !explains);
        let was_short = up_since.map(|since| !ours && now < since + SHORT);
        let error = self.judge(error, was_short);
        if let Some(dialer) = &mut self.dialer
            && (explains || was_short == Some(false))
        {
            // One that throws us out right away leaves the turn to the next.
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

    /// How long to wait before the next try: shortly if another broker is next.
    fn wait_after(&mut self, error: &LinkError, now: Instant) -> Duration {
        let chance = self.chance();
        // One of several that may be back at any time is not kept waiting for by the others.
        let least_wait = self.least_wait.min(error.least_wait());
        match &self.dialer {
            // The next try is another one, of few.
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

    /// A broker that throws us out again and again right after it let us in has a reason, which
    /// before 5.0 it cannot say.
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
