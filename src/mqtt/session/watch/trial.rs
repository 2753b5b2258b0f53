//! The trial of a suspect. The other messages are held back for a moment: the link answers a PINGREQ,
//! then the suspect is sent alone. See [`quarantine`](super::super::quarantine) for what that proves.

use crate::mqtt::session::Session;
use crate::mqtt::session::in_flight::SentPacket;
use crate::mqtt::session::quarantine::{Id, Quarantine};
use crate::mqtt::source::Source;
use std::time::{Duration, Instant};

/// How long all other messages wait for the answer to a suspect.
const PATIENCE: Duration = Duration::from_secs(10);

/// For how long at least the others are sent before a suspect is tried.
pub(super) const DWELL: Duration = Duration::from_millis(500);

/// How far a trial has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Off,
    /// Other messages are sent until then.
    Dwell(Instant),
    /// The trial begins as soon as there is something to try.
    Ready,
    /// The broker is answering what was sent before.
    Draining,
    /// The answer to a PINGREQ, which ends here, shows that the link is alive.
    Control(u64),
    /// The link is alive: the suspect is next.
    Go,
    /// The suspect was sent.
    Alone(Alone),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alone {
    pub(super) id: Id,
    /// Where it begins and ends.
    begin: u64,
    end: u64,
    /// When its first byte was written.
    pub(super) since: Option<Instant>,
    /// Whether an acknowledgement is due.
    acknowledged: bool,
}

impl Stage {
    /// Whether only the suspect may be sent.
    pub(super) fn holds_others(self) -> bool {
        !matches!(self, Stage::Off | Stage::Dwell(_) | Stage::Ready)
    }

    /// When [`Stage::timeout`] is due.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Stage::Dwell(until) => Some(until),
            Stage::Alone(Alone { since, .. }) => Some(since? + PATIENCE),
            _ => None,
        }
    }

    /// A deadline may have come.
    pub(super) fn timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|due| due <= now) {
            *self = match self {
                // It may still be answered, but nothing else waits for that.
                Stage::Alone(_) => Stage::Dwell(now + 2 * PATIENCE),
                _ => Stage::Ready,
            };
        }
    }

    /// That many bytes of the link's output were written.
    pub(super) fn wrote(&mut self, written: u64, now: Instant) {
        if let Stage::Alone(alone) = self
            && alone.begin < written
        {
            alone.since.get_or_insert(now);
        }
    }
}

fn is_of(quarantine: &Quarantine, id: Id, what: SentPacket, source: &dyn Source) -> bool {
    let message = what.message().and_then(|id| source.message(id));
    message.is_some_and(|message| quarantine.is_of(id, message))
}

impl Session {
    /// Goes on with the trial as far as the broker has answered.
    pub(super) fn go_on_with_trial(&mut self, source: &mut dyn Source) {
        match self.watch.stage {
            Stage::Ready if self.candidate(source).is_some() => {
                self.watch.stage = Stage::Draining;
                self.go_on_with_trial(source);
            }
            Stage::Draining if self.all_is_answered() && self.watch.ping.is_none() => {
                self.ping();
                self.watch.stage = Stage::Control(self.queued);
            }
            Stage::Control(end) if self.in_flight.answered_to >= end => {
                self.watch.stage = Stage::Go;
                self.go_on_with_trial(source);
            }
            Stage::Go => {
                let begin = self.queued;
                let sent = self.candidate(source).filter(|id| self.send_suspect(*id, source));
                self.watch.stage = match sent {
                    Some(id) => {
                        self.watch.unreached = 0;
                        let end = self.queued;
                        let (since, acknowledged) = (None, !self.in_flight.is_idle());
                        Stage::Alone(Alone { id, begin, end, since, acknowledged })
                    }
                    None => Stage::Ready,
                };
            }
            Stage::Alone(alone) => {
                let answered = self.in_flight.is_idle()
                    && (alone.acknowledged || self.in_flight.answered_to >= alone.end);
                if answered {
                    let quarantine = &self.quarantine;
                    source.delivered_quarantined(&|message| quarantine.is_of(alone.id, message));
                    self.quarantine.clear(alone.id);
                    self.watch.hunt_until = None;
                    self.reconsider(source);
                    let is_last = self.quarantine.open() == 0;
                    self.watch.stage = if is_last { Stage::Off } else { Stage::Ready };
                }
            }
            _ => {}
        }
    }

    /// The suspect whose turn it is, of which there is something to send.
    fn candidate(&self, source: &dyn Source) -> Option<Id> {
        if source.is_paused() {
            return None;
        }
        self.quarantine.tried().find(|id| {
            self.quarantine.filter_of(*id).is_some_and(|filter| self.requests.wants(filter))
                || self.in_flight.has_aside(|what| is_of(&self.quarantine, *id, what, source))
                || source.quarantined(&|message| self.quarantine.is_of(*id, message)).is_some()
        })
    }

    /// Sends something of a suspect.
    fn send_suspect(&mut self, id: Id, source: &mut dyn Source) -> bool {
        if let Some(filter) = self.quarantine.filter_of(id).cloned() {
            return self.ask_for(&filter);
        }
        let quarantine = &self.quarantine;
        let is_aside = |what| is_of(quarantine, id, what, source);
        if let Some((packet, what)) = self.in_flight.take_aside(is_aside) {
            self.send_again(packet, what, source);
            return true;
        }
        self.send_quarantined(id, source)
    }
}
