//! Is it a message of ours that makes the broker end each link?

use super::LinkError;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::{Session, SessionError};
use crate::outbox::{Outbox, Ticket};

/// So many links in a row are no accident. From then on the message goes alone.
const TIMES: u32 = 3;

/// When so many links more ended at the message, although the broker had answered what went before it
/// and nothing else was in flight, it will never be taken.
const ALONE: u32 = 10;

/// The message at which the broker ended the last links. A broker that is overloaded, or that another
/// client of our name keeps busy, looks much the same, and that must cost no reading: it would have
/// to happen between two packets, each time.
#[derive(Debug, Default)]
pub(super) struct Suspect {
    ticket: Option<Ticket>,
    times: u32,
    alone: u32,
}

impl Suspect {
    /// A link ended, and the session does not know yet.
    pub(super) fn ended(&mut self, error: &LinkError, session: &mut Session, outbox: &mut Outbox) {
        // A network that fails proves nothing, in neither direction.
        if !is_by_broker(error) {
            return;
        }
        let oldest = session.oldest_unanswered();
        let ticket = oldest.and_then(|sending| outbox.ticket_of(sending));
        if ticket.is_none() || ticket != self.ticket {
            *self = Suspect { ticket, ..Suspect::default() };
        }
        self.times += 1;
        self.alone += u32::from(session.is_alone());
        session.set_careful(ticket.filter(|_| self.times >= TIMES));
        let Some(sending) = oldest else { return };
        let Some(topic) = outbox.message(sending).map(|message| message.topic.clone()) else {
            return;
        };
        let times = self.times;
        if self.alone >= ALONE {
            tracing::error!(
                "a message to {topic} is lost: the broker ended {times} links at it, and takes others"
            );
            outbox.acknowledged(sending, reason(error));
            *self = Suspect::default();
            session.set_careful(None);
        } else if times == TIMES {
            tracing::error!(
                "the broker ended {times} links at the same message to {topic}, which holds up all \
                 others; may we publish there, and is it not too large?"
            );
        }
    }
}

/// Why the broker did not take it.
fn reason(error: &LinkError) -> Reason {
    match error {
        LinkError::Session(SessionError::Disconnected(it)) => it.reason,
        _ => Reason::UNSPECIFIED_ERROR,
    }
}

/// Whether the broker ended it as it does with what it will not take: before 5.0 without a word
/// (3.1.1, 3.3.5).
fn is_by_broker(error: &LinkError) -> bool {
    let reasons = [
        Reason::NOT_AUTHORIZED,
        Reason::TOPIC_NAME_INVALID,
        Reason::PACKET_TOO_LARGE,
        Reason::PAYLOAD_FORMAT_INVALID,
    ];
    match error {
        LinkError::Closed => true,
        LinkError::Session(SessionError::Disconnected(it)) => reasons.contains(&it.reason),
        _ => false,
    }
}
