//! Is it a message of ours that makes the broker end each link?

use super::LinkError;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::{Session, SessionError};
use crate::outbox::{Outbox, Ticket};

/// So many links in a row are no accident.
const TIMES: u32 = 3;

/// The message at which the broker ended the last links. It stays: a broker that is overloaded, or
/// that another client of our name keeps busy, looks the same, and that must cost no reading.
#[derive(Debug, Default)]
pub(super) struct Suspect {
    ticket: Option<Ticket>,
    times: u32,
}

impl Suspect {
    /// A link ended, and the session does not know yet. Says what to tell the operator: at the third
    /// time, and then ever more seldom.
    pub(super) fn ended(
        &mut self,
        error: &LinkError,
        session: &Session,
        outbox: &Outbox,
    ) -> Option<String> {
        // A network that fails proves nothing, in neither direction.
        if !is_by_broker(error) {
            return None;
        }
        let oldest = session.oldest_unanswered();
        let ticket = oldest.and_then(|sending| outbox.ticket_of(sending));
        if ticket.is_none() || ticket != self.ticket {
            (self.ticket, self.times) = (ticket, 0);
        }
        self.times += 1;
        let topic = &outbox.message(oldest?)?.topic;
        let times = self.times;
        let is_told = times.is_multiple_of(TIMES) && (times / TIMES).is_power_of_two();
        is_told.then(|| {
            format!(
                "the broker ended {times} links at the same message to {topic}, which holds up all \
                 others; may we publish there, and is it not too large?"
            )
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OutboxBounds;
    use crate::message::Message;
    use crate::mqtt::packet::{Ack, ConnAck, Packet, PacketId, Version};
    use crate::mqtt::session::Options;
    use bytes::BytesMut;
    use std::time::Instant;

    struct World {
        session: Session,
        outbox: Outbox,
        suspect: Suspect,
        now: Instant,
    }

    impl World {
        fn broker(&mut self, packet: Packet) {
            let mut bytes = BytesMut::new();
            packet.encode(&mut bytes, Version::V311);
            self.session.receive(&mut bytes, &mut self.outbox, self.now).unwrap();
        }

        /// A link on which the messages go out, the first `acks` identifiers are acknowledged, and
        /// that ends so.
        fn link(&mut self, acks: u16, error: &LinkError) -> Option<String> {
            self.session.connect(self.now).unwrap();
            self.broker(Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS)));
            self.session.send(&mut self.outbox);
            self.session.output().clear();
            self.session.wrote(self.now);
            for id in 1..=acks {
                let id = PacketId::new(id).unwrap();
                self.broker(Packet::PubAck(Ack::new(id, Reason::SUCCESS)));
            }
            let told = self.suspect.ended(error, &self.session, &self.outbox);
            self.session.disconnected(false);
            told
        }
    }

    #[test]
    fn a_message_at_which_the_broker_ends_each_link_is_named_and_kept() {
        let options =
            Options { client_id: "c".into(), version: Some(Version::V311), ..Options::default() };
        let mut world = World {
            session: Session::new(options),
            outbox: Outbox::new(&OutboxBounds::default()),
            suspect: Suspect::default(),
            now: Instant::now(),
        };
        for topic in ["forbidden", "good"] {
            world.outbox.push(Message::new(topic.parse().unwrap(), "x"));
        }
        let mut told = Vec::new();
        for n in 1..=24 {
            // What the network does between does not count.
            assert_eq!(world.link(0, &LinkError::Stuck), None);
            if let Some(text) = world.link(0, &LinkError::Closed) {
                assert!(text.contains("to forbidden") && text.contains(&n.to_string()), "{text}");
                told.push(n);
            }
        }
        assert_eq!(told, [3, 6, 12, 24]);
        assert_eq!((world.outbox.len(), world.outbox.counts().refused), (2, 0));
        // It was not the message after all.
        assert_eq!(world.link(1, &LinkError::Closed), None);
        assert_eq!(world.link(0, &LinkError::Closed), None);
        assert!(world.link(0, &LinkError::Closed).is_some_and(|text| text.contains("to good")));
        // A link without anything unanswered says nothing.
        assert_eq!(world.link(1, &LinkError::Closed), None);
    }
}
