//! What happens on a port, for those who look on. It costs nothing while nobody does.

use crate::base::clock::Now;
use crate::device::Topic;
use crate::device::command::CommandError;
use crate::device::frame_seen::FrameSeen;
use crate::port::status::{PortState, PortStatus};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How many may look on at once. One more is turned away: its channel ends.
pub const MAX_SUBSCRIBERS: usize = 8;

/// How many events wait for somebody who looks on; what is beyond is missed, and counted.
const EVENTS: usize = 256;

/// So much memory they take at most, in bytes: who looks on may have stopped to read.
const MOST_BYTES: usize = 32 << 10;

/// Bytes of a command or of a read that are shown.
const LONGEST: usize = FrameSeen::LONGEST;

/// Something that happened on a port.
#[derive(Clone, Debug)]
pub struct TimedEvent {
    pub at: Now,
    pub what: PortEvent,
    /// How many events before this one the subscriber was too slow for.
    pub missed: u64,
}

/// What can happen on a port.
#[derive(Clone, Debug)]
pub enum PortEvent {
    /// Bytes as they were read, cut to 1024, with how many there were.
    Read(Bytes, usize),
    Frame(FrameSeen),
    /// A command was written in full: its topic, its bytes cut to 1024, how many there were.
    Wrote(Topic, Bytes, usize),
    Refused(Topic, CommandError),
    /// The port is in another state; with the last thing that went wrong.
    State(PortState, Option<String>),
}

impl PortEvent {
    /// Bytes of memory that it takes while it waits, about.
    fn cost(&self) -> usize {
        let text = match self {
            PortEvent::Read(bytes, _) => bytes.len(),
            PortEvent::Frame(frame) => frame.cost(),
            PortEvent::Wrote(topic, bytes, _) => topic.len() + bytes.len(),
            PortEvent::Refused(topic, _) => topic.len(),
            PortEvent::State(_, error) => error.as_ref().map_or(0, String::len),
        };
        size_of::<Waiting>() + text
    }

    pub(super) fn wrote(topic: &Topic, bytes: &Bytes) -> PortEvent {
        PortEvent::Wrote(topic.clone(), bytes.slice(..bytes.len().min(LONGEST)), bytes.len())
    }
}

impl PortStatus {
    /// The state, as subscribers get it.
    pub(super) fn event(&self) -> PortEvent {
        PortEvent::State(self.state, self.last_error.clone())
    }
}

/// Somebody who looks on.
#[derive(Debug)]
pub struct Subscriber {
    /// Where events go. When it is full they are missed, and counted.
    events: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    /// Whether it also wants bytes as they are read.
    raw: bool,
    /// Events missed since the last one that it got.
    missed: u64,
}

/// What happens on a port, for somebody who looks on. It ends with the port.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Waiting>);

#[derive(Debug)]
struct Waiting {
    event: TimedEvent,
    _room: OwnedSemaphorePermit,
}

impl Subscriber {
    /// The port's end and the other one; `raw`: also bytes as they are read.
    pub fn new(raw: bool) -> (Subscriber, Events) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let room = Arc::new(Semaphore::new(MOST_BYTES));
        (Subscriber { events, room, raw, missed: 0 }, Events(receiver))
    }
}

impl Events {
    /// The next one; `None` when the port has ended, was set up anew or has too many who look on.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<TimedEvent> {
        self.0.recv().await.map(|waiting| waiting.event)
    }
}

/// All who look on at a port.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    list: Vec<Subscriber>,
}

impl Subscribers {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whoever has gone makes room.
    pub(super) fn add(&mut self, subscriber: Subscriber) {
        self.list.retain(|subscriber| !subscriber.events.is_closed());
        if self.list.len() < MAX_SUBSCRIBERS {
            self.list.push(subscriber);
        }
    }

    pub(super) fn publish(&mut self, at: Now, what: impl Fn() -> PortEvent) {
        self.list.retain_mut(|subscriber| subscriber.publish(at, &what));
    }

    pub(super) fn publish_raw(&mut self, at: Now, bytes: &[u8]) {
        let what = || {
            PortEvent::Read(Bytes::copy_from_slice(&bytes[..bytes.len().min(LONGEST)]), bytes.len())
        };
        self.list.retain_mut(|subscriber| !subscriber.raw || subscriber.publish(at, &what));
    }
}

impl Subscriber {
    /// Whether it is still there.
    fn publish(&mut self, at: Now, what: &impl Fn() -> PortEvent) -> bool {
        let place = match self.events.try_reserve() {
            Ok(place) => place,
            Err(mpsc::error::TrySendError::Full(())) => {
                self.missed += 1;
                return true;
            }
            Err(mpsc::error::TrySendError::Closed(())) => return false,
        };
        if self.room.available_permits() == 0 {
            self.missed += 1;
            return true;
        }
        let what = what();
        // One that is larger than all the room goes when nothing else waits.
        let cost = what.cost().min(MOST_BYTES) as u32;
        match self.room.clone().try_acquire_many_owned(cost) {
            Ok(room) => {
                let missed = std::mem::take(&mut self.missed);
                place.send(Waiting { event: TimedEvent { at, what, missed }, _room: room });
            }
            Err(_) => self.missed += 1,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_read_takes_a_bounded_memory() {
        let now = Now::read();
        let (subscriber, mut events) = Subscriber::new(true);
        let mut subscribers = Subscribers::default();
        subscribers.add(subscriber);
        let bytes = [b'x'; 5000];
        (0..1000).for_each(|_| subscribers.publish_raw(now, &bytes));
        (0..1000)
            .for_each(|_| subscribers.publish(now, || PortEvent::State(PortState::Open, None)));
        let (mut held, mut count, mut missed) = (0, 0, 0);
        let mut take = |event: TimedEvent| {
            held += event.what.cost();
            count += 1;
            missed += event.missed;
        };
        while let Ok(waiting) = events.0.try_recv() {
            take(waiting.event);
        }
        // Room again: the next one says how many were missed.
        subscribers.publish(now, || PortEvent::State(PortState::Open, None));
        take(events.0.try_recv().unwrap().event);
        assert!(held <= MOST_BYTES + 1000 && count > 20, "{count} events, {held} bytes");
        assert_eq!(count + missed, 2001);
    }

    #[test]
    fn an_event_that_is_larger_than_the_room_comes_alone() {
        let now = Now::read();
        let (subscriber, mut events) = Subscriber::new(false);
        let mut subscribers = Subscribers::default();
        subscribers.add(subscriber);
        let error = "x".repeat(2 * MOST_BYTES);
        for _ in 0..3 {
            subscribers.publish(now, || PortEvent::State(PortState::Away, Some(error.clone())));
            assert!(events.0.try_recv().is_ok());
        }
    }
}
