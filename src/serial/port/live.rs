//! What happens on a port, for those who look on. It costs nothing while nobody does.

use crate::clock::Now;
use crate::command::Refused;
use crate::mqtt::topic::Topic;
use crate::pipeline::FrameSeen;
use crate::status::{self, PortState};
use bytes::Bytes;
use tokio::sync::mpsc;

/// How many may look on at once. One more is turned away: its channel ends.
pub const MONITORS: usize = 8;

/// Bytes of a command or of a read that are shown.
const LONGEST: usize = FrameSeen::LONGEST;

/// Something that happened on a port.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Now,
    /// What.
    pub what: Live,
    /// How many events before this one the monitor was too slow for.
    pub missed: u64,
}

/// What can happen on a port.
#[derive(Clone, Debug)]
pub enum Live {
    /// Bytes as they were read, cut to 1024, with how many there were.
    Read(Bytes, usize),
    /// A frame came.
    Frame(FrameSeen),
    /// A command was written in full: its topic, its bytes cut to 1024, how many there were.
    Wrote(Topic, Bytes, usize),
    /// A command was refused.
    Refused(Topic, Refused),
    /// The port is in another state; with the last thing that went wrong.
    State(PortState, Option<String>),
}

impl Live {
    pub(super) fn wrote(topic: &Topic, bytes: &Bytes) -> Live {
        Live::Wrote(topic.clone(), bytes.slice(..bytes.len().min(LONGEST)), bytes.len())
    }
}

impl status::Port {
    /// The state, as monitors get it.
    pub(super) fn live(&self) -> Live {
        Live::State(self.state, self.last_error.clone())
    }
}

/// Somebody who looks on.
#[derive(Debug)]
pub struct Monitor {
    /// Where events go. When it is full they are missed, and counted.
    pub events: mpsc::Sender<Event>,
    /// Whether it also wants bytes as they are read.
    pub raw: bool,
    /// Events missed since the last one that it got.
    pub missed: u64,
}

/// All who look on at a port.
#[derive(Debug, Default)]
pub(super) struct Monitors {
    list: Vec<Monitor>,
}

impl Monitors {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whoever has gone makes room.
    pub(super) fn add(&mut self, monitor: Monitor) {
        self.list.retain(|monitor| !monitor.events.is_closed());
        if self.list.len() < MONITORS {
            self.list.push(monitor);
        }
    }

    pub(super) fn tell(&mut self, at: Now, what: impl Fn() -> Live) {
        self.list.retain_mut(|monitor| monitor.tell(at, &what));
    }

    pub(super) fn tell_raw(&mut self, at: Now, bytes: &[u8]) {
        let what =
            || Live::Read(Bytes::copy_from_slice(&bytes[..bytes.len().min(LONGEST)]), bytes.len());
        self.list.retain_mut(|monitor| !monitor.raw || monitor.tell(at, &what));
    }
}

impl Monitor {
    /// Whether it is still there.
    fn tell(&mut self, at: Now, what: &impl Fn() -> Live) -> bool {
        match self.events.try_reserve() {
            Ok(room) => {
                room.send(Event { at, what: what(), missed: std::mem::take(&mut self.missed) });
                true
            }
            Err(mpsc::error::TrySendError::Full(())) => {
                self.missed += 1;
                true
            }
            Err(mpsc::error::TrySendError::Closed(())) => false,
        }
    }
}
