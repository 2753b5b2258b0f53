//! What happens on a port, for its subscribers. It costs nothing while there are none.

use crate::base::clock::Now;
use crate::device::Topic;
use crate::device::command::CommandError;
use crate::device::frame_seen::FrameSeen;
use crate::port::status::PortState;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// At most this many subscribers a port has. One more is turned away: its channel ends.
pub const MAX_SUBSCRIBERS: usize = 8;

/// At most this many events wait for a subscriber; further ones are missed and counted.
const EVENTS: usize = 256;

/// At most this many bytes of memory these events take: a subscriber may have stopped reading.
const MOST_BYTES: usize = 32 << 10;

/// Bytes of a command or of a read that are shown.
const LONGEST: usize = FrameSeen::LONGEST;

#[derive(Clone, Debug)]
pub struct TimedEvent {
    pub at: Now,
    pub what: PortEvent,
    /// How many events before this one the subscriber was too slow for.
    pub missed: u64,
}

#[derive(Clone, Debug)]
pub enum PortEvent {
    /// Bytes as they were read, cut to 1024, with how many there were.
    Read(Bytes, usize),
    /// Bytes as the line took them, cut to 1024, with how many there were.
    Write(Bytes, usize),
    Frame(FrameSeen),
    /// A command was written in full: its topic, its bytes cut to 1024, how many there were.
    Wrote(Topic, Bytes, usize),
    Refused(Topic, CommandError),
    /// The port is in another state; with the last error.
    State(PortState, Option<String>),
}

impl PortEvent {
    /// About how many bytes of memory it takes while it waits.
    fn cost(&self) -> usize {
        let text = match self {
            PortEvent::Read(bytes, _) | PortEvent::Write(bytes, _) => bytes.len(),
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

/// Somebody who wants to know what happens on a port.
#[derive(Debug)]
pub struct Subscriber {
    /// Where events go. When it is full they are missed, and counted.
    events: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    /// Whether it also wants bytes as they are read and written.
    raw: bool,
    /// Events missed since the last one that was sent.
    missed: u64,
}

/// The subscriber's end. It ends with the port.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Waiting>);

#[derive(Debug)]
struct Waiting {
    event: TimedEvent,
    _room: OwnedSemaphorePermit,
}

impl Subscriber {
    /// The port's end and the subscriber's; with `raw` bytes come as they are read and written, too.
    pub fn new(raw: bool) -> (Subscriber, Events) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let room = Arc::new(Semaphore::new(MOST_BYTES));
        (Subscriber { events, room, raw, missed: 0 }, Events(receiver))
    }
}

impl Events {
    /// The next event; `None` when the port has ended, was set up anew or has too many subscribers.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<TimedEvent> {
        self.0.recv().await.map(|waiting| waiting.event)
    }
}

#[derive(Debug, Default)]
pub(super) struct Subscribers(Vec<Subscriber>);

impl Subscribers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A subscriber that has gone makes room for the new one.
    pub(super) fn add(&mut self, subscriber: Subscriber) {
        self.0.retain(|subscriber| !subscriber.events.is_closed());
        if self.0.len() < MAX_SUBSCRIBERS {
            self.0.push(subscriber);
        }
    }

    pub(super) fn publish(&mut self, at: Now, what: impl Fn() -> PortEvent) {
        self.0.retain_mut(|subscriber| subscriber.publish(at, &what));
    }

    /// Bytes that were read, for those who want them.
    pub(super) fn publish_read(&mut self, at: Now, bytes: &[u8]) {
        self.publish_raw(at, bytes, PortEvent::Read);
    }

    /// Bytes that were written, for those who want them.
    pub(super) fn publish_write(&mut self, at: Now, bytes: &[u8]) {
        self.publish_raw(at, bytes, PortEvent::Write);
    }

    fn publish_raw(&mut self, at: Now, bytes: &[u8], event: fn(Bytes, usize) -> PortEvent) {
        let shown = &bytes[..bytes.len().min(LONGEST)];
        let what = || event(Bytes::copy_from_slice(shown), bytes.len());
        self.0.retain_mut(|subscriber| !subscriber.raw || subscriber.publish(at, &what));
    }
}

impl Subscriber {
    /// Whether the subscriber is still there.
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
        // An event larger than all the room is sent when nothing else waits.
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
        (0..1000).for_each(|_| subscribers.publish_read(now, &bytes));
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
