//! The channel from the ports to the MQTT task, bounded in messages and in bytes.
//!
//! It buffers messages while the MQTT thread is busy with a TLS handshake or a slow name look-up. A
//! port never waits for it: the port counts and drops what does not fit.

use crate::mqtt::message::COST;
use crate::outbox::entry::{Entry, GATEWAY};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The ports' end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    sender: mpsc::Sender<Batch>,
    room: Arc<Semaphore>,
    port: u16,
}

/// The MQTT task's end.
#[derive(Debug)]
pub struct Receiver {
    receiver: mpsc::Receiver<Batch>,
}

/// The messages of one read, with the room that they take up.
#[derive(Debug)]
struct Batch {
    entries: Vec<Entry>,
    _room: OwnedSemaphorePermit,
}

/// The channel is full; it returns the messages.
#[derive(Debug)]
pub struct Full(pub Vec<Entry>);

/// A channel that holds at most `bytes` of messages (by [`Entry::cost`]).
pub fn channel(bytes: usize) -> (Sender, Receiver) {
    let bytes = bytes.min(Semaphore::MAX_PERMITS);
    // A batch costs at least one message, so the bytes bound the batches too.
    let batches = (bytes / COST).max(1);
    let (sender, receiver) = mpsc::channel(batches);
    let room = Arc::new(Semaphore::new(bytes));
    (Sender { sender, room, port: GATEWAY }, Receiver { receiver })
}

impl Sender {
    /// The sender of one port, by its number from 1 on, which is written into its messages.
    pub fn of_port(&self, port: u16) -> Sender {
        Sender { port, ..self.clone() }
    }

    /// Passes messages on, all or none, without waiting.
    pub fn offer(&self, mut entries: Vec<Entry>) -> Result<(), Full> {
        if entries.is_empty() {
            return Ok(());
        }
        let cost = entries.iter().map(Entry::cost).sum::<usize>();
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        entries.iter_mut().for_each(|entry| entry.port = self.port);
        let Ok(room) = self.room.clone().try_acquire_many_owned(cost) else {
            return Err(Full(entries));
        };
        self.sender
            .try_send(Batch { entries, _room: room })
            .map_err(|error| Full(error.into_inner().entries))
    }
}

impl Receiver {
    /// The messages of the next read; `None` once every port has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<Entry>> {
        self.receiver.recv().await.map(|batch| batch.entries)
    }

    /// The same without waiting; `None` also when there is nothing right now.
    pub fn try_next(&mut self) -> Option<Vec<Entry>> {
        self.receiver.try_recv().ok().map(|batch| batch.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::message::Message;

    fn message() -> Entry {
        Message::new("a".parse().unwrap(), "b").into()
    }

    #[tokio::test]
    async fn what_does_not_fit_is_given_back_and_room_returns() {
        let (intake, mut outlet) = channel(2 * message().cost());
        assert!(intake.offer(vec![message(), message()]).is_ok());
        let Full(back) = intake.offer(vec![message()]).unwrap_err();
        assert_eq!(back.len(), 1);
        assert_eq!(outlet.next().await.unwrap().len(), 2);
        assert!(intake.of_port(7).offer(vec![message()]).is_ok());
        drop(intake);
        let last = outlet.next().await.unwrap();
        assert_eq!((last.len(), last[0].port), (1, 7));
        assert!(outlet.next().await.is_none());
    }
}
