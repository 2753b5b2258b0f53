//! The way of a command message to a port, and who hears that it is done with.

use crate::device::Topic;
use crate::device::command::{CommandError, LONGEST};
use crate::mqtt::session::Token;
use bytes::Bytes;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// How many command messages wait for a port at most. A broker that keeps to our receive maximum
/// sends fewer at once; some send many more.
pub const INBOX: usize = 256;

/// Bytes of topics and payloads that wait for a port at most.
pub const INBOX_BYTES: usize = 32 * 1024;

/// A command message on its way to a port.
#[derive(Debug)]
pub struct Inbound {
    /// The topic it was published to.
    pub topic: Topic,
    /// Its payload.
    pub payload: Bytes,
    /// Whether the broker had kept it from before.
    pub retain: bool,
    /// Since when it counts as sent, for `max_age`; `None`: nobody knows, so it counts as too old.
    pub since: Option<Instant>,
    /// When its sender's message expiry is over (MQTT 5.0, 3.3.2.3.3).
    pub expires: Option<Instant>,
    /// Acknowledges it to the broker.
    pub taken: Option<AckGuard>,
    /// Gets what becomes of it: one result for each command of the port that wants it. All is said
    /// when the channel ends.
    pub outcome: Option<Outcome>,
}

/// Where the results of a command message go: bytes written, or why not.
pub type Outcome = mpsc::Sender<Result<usize, CommandError>>;

/// One share in the acknowledgement of a command message. The broker gets it once each share is
/// [done](AckGuard::done). A share that is dropped without a word withholds it for good: the broker
/// then gives the message again to the next link that resumes the session.
#[derive(Debug)]
pub struct AckGuard {
    last: Option<Arc<Last>>,
}

#[derive(Debug)]
struct Last {
    token: Token,
    back: mpsc::Sender<Token>,
    withheld: AtomicBool,
}

impl AckGuard {
    /// Sends the token back in the end; the channel has room for all that there can be.
    pub fn new(token: Token, back: mpsc::Sender<Token>) -> AckGuard {
        let withheld = AtomicBool::new(false);
        AckGuard { last: Some(Arc::new(Last { token, back, withheld })) }
    }

    /// Another share.
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
            // Nobody listens any more when the link is gone; then the broker repeats it.
            let _ = self.back.try_send(self.token);
        }
    }
}

/// The end of an inbox that takes command messages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    queue: mpsc::Sender<Parcel>,
    room: Arc<Semaphore>,
    full: Arc<watch::Sender<Overflow>>,
}

/// The port's end.
#[derive(Debug)]
pub struct InboxEnd {
    queue: mpsc::Receiver<Parcel>,
    full: watch::Receiver<Overflow>,
    /// How many of those that found no room were told.
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

/// What comes out of an inbox.
#[derive(Debug)]
pub enum InboxItem {
    /// A command message.
    Message(Inbound),
    /// So many messages found no room, the last of them with this topic.
    Overflow(Topic, u32),
}

/// Why an inbox did not take a message.
#[derive(Debug)]
pub enum OfferError {
    /// No room. The port counts and reports it, and it is acknowledged.
    Full,
    /// The port has ended; the message is given back.
    Closed(Box<Inbound>),
}

/// A new inbox.
pub fn inbox() -> (Inbox, InboxEnd) {
    let (sender, queue) = mpsc::channel(INBOX);
    let (full, overflow) = watch::channel(Overflow::default());
    let room = Arc::new(Semaphore::new(INBOX_BYTES));
    let inbox = Inbox { queue: sender, room, full: Arc::new(full) };
    (inbox, InboxEnd { queue, full: overflow, told: 0 })
}

impl Inbox {
    /// Hands a message to the port without waiting.
    pub fn offer(&self, mut inbound: Inbound) -> Result<(), OfferError> {
        // One byte more than a command may have says that it has too many; and a copy of a few
        // bytes does not hold on to the whole buffer that they were read into.
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
        if let Some(taken) = inbound.taken {
            taken.done();
        }
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
    use crate::mqtt::packet::PacketId;

    fn inbound(payload: usize, taken: Option<AckGuard>) -> Inbound {
        Inbound {
            topic: "t".parse().unwrap(),
            payload: vec![b'x'; payload].into(),
            retain: false,
            since: None,
            expires: None,
            taken,
            outcome: None,
        }
    }

    fn token() -> Token {
        Token::of(PacketId::new(7).unwrap())
    }

    #[test]
    fn only_shares_that_are_all_done_acknowledge() {
        let (back, mut tokens) = mpsc::channel(4);
        let taken = AckGuard::new(token(), back.clone());
        let share = taken.share();
        taken.done();
        assert!(tokens.try_recv().is_err());
        share.done();
        assert_eq!(tokens.try_recv(), Ok(token()));
        let taken = AckGuard::new(token(), back);
        drop(taken.share());
        taken.done();
        assert!(tokens.try_recv().is_err(), "a share was dropped without a word");
    }

    #[tokio::test]
    async fn what_finds_no_room_is_acknowledged_and_counted() {
        let (back, mut tokens) = mpsc::channel(4);
        let (inbox, mut end) = inbox();
        let fits = INBOX_BYTES / 1001;
        for _ in 0..fits {
            inbox.offer(inbound(1000, None)).unwrap();
        }
        for _ in 0..3 {
            let taken = AckGuard::new(token(), back.clone());
            assert!(matches!(inbox.offer(inbound(1000, Some(taken))), Err(OfferError::Full)));
            assert_eq!(tokens.try_recv(), Ok(token()));
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
