//! A command message on its way to a device, and who hears what becomes of it.

use crate::device::command::CommandError;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Properties, Property};
use crate::mqtt::topic::Topic;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;

#[derive(Debug)]
pub struct Inbound {
    /// The topic it was published to.
    pub topic: Topic,
    pub payload: Bytes,
    /// Whether the broker had kept it from before.
    pub retain: bool,
    /// When it was sent, for `max_age`; `None`: nobody knows, so it is taken for too old.
    pub since: Option<Instant>,
    /// When its sender's message expiry is over (MQTT 5.0, 3.3.2.3.3).
    pub expires: Option<Instant>,
    /// Where its sender wants to hear what becomes of it (MQTT 5.0, 4.10).
    pub respond: Option<Respond>,
    pub receipt: Receipt,
}

/// Where the sender of a command wants to hear what becomes of it (MQTT 5.0, 4.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    pub topic: Topic,
    /// What the answer repeats, so that the sender knows to what it belongs.
    pub correlation: Option<Bytes>,
}

impl Respond {
    /// The answer with this text.
    pub fn message(self, text: String) -> Message {
        let properties = self
            .correlation
            .map(|data| Arc::new(Properties(vec![Property::CorrelationData(data)])));
        Message { properties, ..Message::new(self.topic, text) }
    }
}

/// Who hears what becomes of a command. A device carries it and does not use it.
#[derive(Debug, Default)]
pub struct Receipt {
    /// Acknowledges the message to the broker.
    pub ack: Option<AckGuard>,
    /// Gets one result for each command that the message becomes; the last is followed by the end
    /// of the channel.
    pub outcome: Option<Outcome>,
}

/// Where the results of a command message go.
pub type Outcome = mpsc::Sender<Result<Written, CommandError>>;

/// A command was written in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many bytes.
    pub bytes: usize,
    /// Whether its device said that it is done.
    pub has_answered: bool,
}

impl Receipt {
    /// One more, for another command of the same message.
    pub fn share(&self) -> Receipt {
        Receipt { ack: self.ack.as_ref().map(AckGuard::share), outcome: self.outcome.clone() }
    }

    /// Whether whoever asked for the command has stopped waiting for it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.outcome.as_ref().is_some_and(Outcome::is_closed)
    }

    /// Tells whoever asked for the command.
    pub fn tell(&self, result: Result<Written, CommandError>) {
        if let Some(outcome) = &self.outcome {
            // The channel has room for the results of all commands; its other end may be gone.
            let _ = outcome.try_send(result);
        }
    }

    /// The command was written or refused, and that was reported: the broker may forget it.
    pub fn acknowledge(self) {
        self.ack.into_iter().for_each(AckGuard::done);
    }
}

/// One share in the acknowledgement of a command message. The broker gets it once each share is
/// [done](AckGuard::done). A share that is dropped without that withholds it for good: the broker
/// then gives the message again to the next link that resumes the session.
#[derive(Debug)]
pub struct AckGuard {
    last: Option<Arc<Last>>,
}

struct Last {
    acknowledge: Box<dyn Fn() + Send + Sync>,
    withheld: AtomicBool,
}

impl fmt::Debug for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Last").field("withheld", &self.withheld).finish_non_exhaustive()
    }
}

impl AckGuard {
    /// `acknowledge` is called once, when all shares are done.
    pub fn new(acknowledge: impl Fn() + Send + Sync + 'static) -> AckGuard {
        let (acknowledge, withheld) = (Box::new(acknowledge), AtomicBool::new(false));
        AckGuard { last: Some(Arc::new(Last { acknowledge, withheld })) }
    }

    pub fn share(&self) -> AckGuard {
        AckGuard { last: self.last.clone() }
    }

    /// This share's part of the command was written or refused.
    pub fn done(mut self) {
        self.last = None;
    }
}

impl Drop for AckGuard {
    fn drop(&mut self) {
        if let Some(last) = &self.last {
            last.withheld.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        if !*self.withheld.get_mut() {
            (self.acknowledge)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_that_are_all_done_acknowledge() {
        let acknowledged = Arc::new(AtomicBool::new(false));
        let new = || {
            let acknowledged = acknowledged.clone();
            AckGuard::new(move || assert!(!acknowledged.swap(true, Ordering::Relaxed)))
        };
        let taken = new();
        let share = taken.share();
        taken.done();
        assert!(!acknowledged.load(Ordering::Relaxed));
        share.done();
        assert!(acknowledged.swap(false, Ordering::Relaxed));
        let taken = new();
        drop(taken.share());
        taken.done();
        assert!(!acknowledged.load(Ordering::Relaxed), "a share was dropped without a word");
    }
}
