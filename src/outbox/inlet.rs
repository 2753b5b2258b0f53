//! The channel from the ports to the MQTT task, bounded in messages and in bytes.
//!
//! It holds what comes in while the MQTT thread is busy with a TLS handshake or a slow name
//! look-up. A port never waits for it: what does not fit is counted by the port and gone.

use crate::mqtt::message::{COST, Message};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The ports' end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    sender: mpsc::Sender<Batch>,
    room: Arc<Semaphore>,
    port: u16,
}

/// The MQTT task's end.
#[derive(Debug)]
pub struct Outlet {
    receiver: mpsc::Receiver<Batch>,
}

/// The messages of one read, with the room that they take up.
#[derive(Debug)]
struct Batch {
    messages: Vec<Message>,
    _room: OwnedSemaphorePermit,
}

/// The channel full; the messages are given back.
#[derive(Debug)]
pub struct Full(pub Vec<Message>);

/// A channel that holds at most `bytes` of messages (by [`Message::cost`]).
pub fn channel(bytes: usize) -> (Intake, Outlet) {
    let bytes = bytes.min(Semaphore::MAX_PERMITS);
    // A batch costs at least one message, so the bytes bound the batches too.
    let batches = (bytes / COST).max(1);
    let (sender, receiver) = mpsc::channel(batches);
    (Intake { sender, room: Arc::new(Semaphore::new(bytes)), port: 0 }, Outlet { receiver })
}

impl Intake {
    /// The end of one port, by its number from 1 on: its messages carry it.
    pub fn of_port(&self, port: u16) -> Intake {
        Intake { port, ..self.clone() }
    }

    /// Passes messages on, all or none, without waiting. Leaves `messages` empty on success.
    pub fn offer(&self, messages: &mut Vec<Message>) -> Result<(), Full> {
        if messages.is_empty() {
            return Ok(());
        }
        let cost = messages.iter().map(Message::cost).sum::<usize>();
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        let mut messages = std::mem::take(messages);
        messages.iter_mut().for_each(|message| message.port = self.port);
        let Ok(room) = self.room.clone().try_acquire_many_owned(cost) else {
            return Err(Full(messages));
        };
        self.sender
            .try_send(Batch { messages, _room: room })
            .map_err(|error| Full(error.into_inner().messages))
    }
}

impl Outlet {
    /// The messages of the next read; `None` once every port has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<Message>> {
        self.receiver.recv().await.map(|batch| batch.messages)
    }

    /// The same without waiting; `None` also when there is nothing right now.
    pub fn try_next(&mut self) -> Option<Vec<Message>> {
        self.receiver.try_recv().ok().map(|batch| batch.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new("a".parse().unwrap(), "b")
    }

    #[tokio::test]
    async fn what_does_not_fit_is_given_back_and_room_returns() {
        let (intake, mut outlet) = channel(2 * message().cost());
        assert!(intake.offer(&mut vec![message(), message()]).is_ok());
        let Full(back) = intake.offer(&mut vec![message()]).unwrap_err();
        assert_eq!(back.len(), 1);
        assert_eq!(outlet.next().await.unwrap().len(), 2);
        assert!(intake.of_port(7).offer(&mut vec![message()]).is_ok());
        drop(intake);
        let last = outlet.next().await.unwrap();
        assert_eq!((last.len(), last[0].port), (1, 7));
        assert!(outlet.next().await.is_none());
    }
}
