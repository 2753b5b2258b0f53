//! The announcement to Home Assistant on the link.

use super::UplinkTask;
use crate::base::clock::Now;
use crate::gateway::discovery::Heard;
use crate::mqtt::session::Received;
use crate::outbox::entry::Entry;
use std::time::{Duration, Instant};

/// While more bytes wait in the outbox, nothing is announced: readings go first.
const MUCH: usize = 512 << 10;

/// How long that is waited for.
const WAIT: Duration = Duration::from_millis(200);

impl UplinkTask {
    /// Publishes what is due of the announcement.
    pub(super) fn announce(&mut self) {
        let now = Instant::now();
        if self.announcer.deadline().is_none_or(|due| due > now) {
            return;
        }
        if self.outbox.bytes() > MUCH {
            return self.announcer.postpone(now + WAIT);
        }
        for message in self.announcer.messages(now) {
            let latest_only = message.retain;
            self.outbox.push(Entry { latest_only, ..message.into() });
        }
    }

    /// Takes a message of the discovery. Whether it was one.
    pub(super) fn hear_discovery(&mut self, message: &Received) -> bool {
        let Received { topic, payload, retain, .. } = message;
        let now = Now::read();
        match self.announcer.hear(topic, payload, *retain, now.mono) {
            Heard::Nothing => return false,
            Heard::Own => {}
            Heard::Birth => {
                tracing::debug!("Home Assistant has started");
                self.publish_status(now);
            }
            Heard::Deleted => tracing::info!(
                "{topic} was emptied: what Home Assistant deleted is announced again at the next reload or start"
            ),
        }
        true
    }
}
