//! The way of a command message to a port: a queue that is bounded in messages and in bytes.

use crate::device::Topic;
use crate::device::command::LONGEST;
use crate::device::inbound::Inbound;
use bytes::Bytes;
use std::future::pending;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// At most this many command messages wait for a port. A broker that keeps to our receive maximum
/// sends fewer at once; some send many more.
pub const INBOX: usize = 256;

/// At most this many bytes of topics and payloads wait for a port.
pub const INBOX_BYTES: usize = 32 * 1024;

/// The end of an inbox that takes command messages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    queue: mpsc::Sender<Parcel>,
    room: Arc<Semaphore>,
    full: watch::Sender<Overflow>,
}

#[derive(Debug)]
pub struct InboxEnd {
    queue: mpsc::Receiver<Parcel>,
    full: watch::Receiver<Overflow>,
    /// How many of the messages that found no room were reported.
    told: u32,
}

#[derive(Debug)]
struct Parcel {
    inbound: Inbound,
    _room: OwnedSemaphorePermit,
}

/// Messages that found no room: how many since the start, and the topic of the last one.
#[derive(Clone, Debug, Default)]
struct Overflow {
    count: u32,
    topic: Option<Topic>,
}

#[derive(Debug)]
pub enum InboxItem {
    Message(Inbound),
    /// This many messages found no room; the last of them had this topic.
    Overflow(Topic, u32),
}

#[derive(Debug)]
pub enum OfferError {
    /// No room. The port counts and reports it, and it is acknowledged.
    Full,
    /// The port has ended; the message is given back.
    Closed(Box<Inbound>),
}

pub fn inbox() -> (Inbox, InboxEnd) {
    let (sender, queue) = mpsc::channel(INBOX);
    let (full, overflow) = watch::channel(Overflow::default());
    let room = Arc::new(Semaphore::new(INBOX_BYTES));
    (Inbox { queue: sender, room, full }, InboxEnd { queue, full: overflow, told: 0 })
}

impl Inbox {
    /// Hands a message to the port without waiting.
    pub fn offer(&self, mut inbound: Inbound) -> Result<(), OfferError> {
        // One byte more than a command may have is enough to see that it is too long; and a small copy
        // does not keep the whole buffer that the message was read into.
        let kept = inbound.payload.len().min(LONGEST + 1);
        inbound.payload = Bytes::copy_from_slice(&inbound.payload[..kept]);
        let bytes = (inbound.topic.as_str().len() + kept).min(INBOX_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(bytes) else {
            return Err(self.overflow(inbound));
        };
        let sent = self.queue.try_send(Parcel { inbound, _room: room });
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(parcel) => self.overflow(parcel.inbound),
            mpsc::error::TrySendError::Closed(parcel) => {
                OfferError::Closed(Box::new(parcel.inbound))
            }
        })
    }

    fn overflow(&self, inbound: Inbound) -> OfferError {
        if self.queue.is_closed() {
            return OfferError::Closed(Box::new(inbound));
        }
        self.full.send_modify(|overflow| {
            overflow.count = overflow.count.wrapping_add(1);
            overflow.topic = Some(inbound.topic);
        });
        inbound.receipt.acknowledge();
        OfferError::Full
    }
}

impl InboxEnd {
    /// What comes next; messages only if they are wanted. Cancel-safe.
    pub async fn next(&mut self, messages: bool) -> InboxItem {
        loop {
            tokio::select! {
                Some(parcel) = self.queue.recv(), if messages => {
                    return InboxItem::Message(parcel.inbound);
                }
                Ok(()) = self.full.changed() => {
                    if let Some(overflow) = self.overflow() {
                        return overflow;
                    }
                }
                else => return pending().await,
            }
        }
    }

    fn overflow(&mut self) -> Option<InboxItem> {
        let overflow = self.full.borrow_and_update();
        let more = overflow.count.wrapping_sub(std::mem::replace(&mut self.told, overflow.count));
        let topic = overflow.topic.clone().filter(|_| more > 0)?;
        Some(InboxItem::Overflow(topic, more))
    }

    /// All that is left, at the end: nothing more comes.
    pub fn drain(mut self) -> Vec<InboxItem> {
        self.queue.close();
        let mut all = Vec::new();
        while let Ok(parcel) = self.queue.try_recv() {
            all.push(InboxItem::Message(parcel.inbound));
        }
        all.extend(self.overflow());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::inbound::{AckGuard, Receipt};
    use std::sync::atomic::{AtomicU32, Ordering};

    fn inbound(payload: usize, ack: Option<AckGuard>) -> Inbound {
        Inbound {
            topic: "t".parse().unwrap(),
            payload: vec![b'x'; payload].into(),
            retain: false,
            since: None,
            expires: None,
            respond: None,
            receipt: Receipt { ack, outcome: None },
        }
    }

    #[tokio::test]
    async fn what_finds_no_room_is_acknowledged_and_counted() {
        let acknowledged = Arc::new(AtomicU32::new(0));
        let (inbox, mut end) = inbox();
        let fits = INBOX_BYTES / 1001;
        for _ in 0..fits {
            inbox.offer(inbound(1000, None)).unwrap();
        }
        for _ in 0..3 {
            let count = acknowledged.clone();
            let ack = AckGuard::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert!(matches!(inbox.offer(inbound(1000, Some(ack))), Err(OfferError::Full)));
            assert_eq!(acknowledged.swap(0, Ordering::Relaxed), 1);
        }
        assert!(matches!(end.next(false).await, InboxItem::Overflow(_, 3)));
        for _ in 0..fits {
            assert!(matches!(end.next(true).await, InboxItem::Message(_)));
        }
        // One that is larger than all the room is for the port to refuse.
        inbox.offer(inbound(2 * INBOX_BYTES, None)).unwrap();
        let all = end.drain();
        let [InboxItem::Message(large)] = &all[..] else { panic!("{all:?}") };
        assert_eq!(large.payload.len(), LONGEST + 1);
        assert!(matches!(inbox.offer(inbound(1, None)), Err(OfferError::Closed(_))));
    }
}
