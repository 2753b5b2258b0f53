//! When to ask whether the broker is still there (MQTT 3.1.1, 3.1.2.10 and 3.12).

use std::time::{Duration, Instant};

/// How long the broker may take to answer PINGREQ; less if the keepalive is shorter.
pub(super) const PING_DEADLINE: Duration = Duration::from_secs(10);

/// The keepalive of one link. Silence in either direction asks for a ping: the broker must hear us,
/// and what we send must not hide that nothing comes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeepAlive {
    pub(super) interval: Duration,
    last_received: Instant,
    last_sent: Instant,
    ping: Ping,
}

/// At most one PINGREQ is unanswered.
#[derive(Clone, Copy, Debug)]
enum Ping {
    Idle,
    /// In the output, where it ends at this byte of all that was ever put there. The link itself
    /// detects a write that is stuck.
    Queued(u64),
    /// Written; PINGRESP is due.
    Due(Instant),
}

/// What is due.
#[derive(Debug)]
pub(super) enum Due {
    /// PINGREQ.
    Ping,
    /// The end of the link: no PINGRESP came.
    End,
}

impl KeepAlive {
    /// Starts at a connect; an interval of 0 means never to ask (3.1.2.10).
    pub(super) fn new(interval: Duration, now: Instant) -> KeepAlive {
        KeepAlive { interval, last_received: now, last_sent: now, ping: Ping::Idle }
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// So much of the output was written by now.
    pub(super) fn wrote(&mut self, written: u64, now: Instant) {
        self.last_sent = now;
        if let Ping::Queued(end) = self.ping
            && written >= end
        {
            self.ping = Ping::Due(now + PING_DEADLINE.min(self.interval));
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.ping {
            Ping::Idle if self.interval.is_zero() => None,
            Ping::Idle => Some(self.last_received.min(self.last_sent) + self.interval),
            Ping::Queued(_) => None,
            Ping::Due(due) => Some(due),
        }
    }

    pub(super) fn due(&self, now: Instant) -> Option<Due> {
        self.deadline().filter(|due| *due <= now)?;
        Some(if matches!(self.ping, Ping::Due(_)) { Due::End } else { Due::Ping })
    }

    /// Whether PINGREQ may be put into the output, and would be waited for.
    pub(super) fn may_ask(&self) -> bool {
        matches!(self.ping, Ping::Idle) && !self.interval.is_zero()
    }

    /// PINGREQ was put into the output, where it ends at `end`.
    pub(super) fn asked(&mut self, end: u64) {
        self.ping = Ping::Queued(end);
    }

    /// PINGRESP came. Without a PINGREQ it means nothing.
    pub(super) fn answered(&mut self) {
        if let Ping::Due(_) = self.ping {
            self.ping = Ping::Idle;
        }
    }
}
