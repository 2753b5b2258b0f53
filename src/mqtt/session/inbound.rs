//! Messages from the broker: who has them, and what it was told (4.3, 4.6).

use super::{SessionError, protocol};
use crate::base::sorted::Sorted;
use crate::mqtt::packet::{Ack, Packet, PacketId, Properties, Property, Publish, Reason};
use crate::mqtt::topic::{Qos, Topic};
use std::collections::VecDeque;

/// Acknowledges one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    id: PacketId,
    /// The link that the message came on.
    link: u32,
}

impl AckToken {
    /// The packet identifier that the broker gave the message.
    pub fn id(self) -> PacketId {
        self.id
    }
}

#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Messages that are not acknowledged, in the order in which they came: so they are answered
    /// ([MQTT-4.6.0-2]).
    unanswered: VecDeque<Unanswered>,
    /// Messages that somebody took, and that the broker may still repeat: of QoS 1 until PUBACK, of
    /// QoS 2 until PUBREL. Outlives links.
    taken: Sorted<PacketId, Taken>,
    /// What the broker's aliases stand for, from 1 on. Ends with the link.
    aliases: Vec<Alias>,
    /// Counts links.
    link: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Alias {
    Nothing,
    Topic(Topic),
    /// A topic with a wildcard: its messages are passed over.
    Wildcard,
}

#[derive(Debug)]
struct Taken {
    qos: Qos,
    /// The link of its token, on which it came first.
    link: u32,
    answer: Option<(Reason, Properties)>,
}

#[derive(Debug)]
struct Unanswered {
    id: PacketId,
    qos: Qos,
    answer: Option<(Reason, Properties)>,
}

impl Inbound {
    /// Receives a message. `Some` with its token if it is to be delivered, `None` if it is a
    /// repetition.
    pub(super) fn came(
        &mut self,
        qos: Qos,
        id: Option<PacketId>,
        dup: bool,
    ) -> Option<Option<AckToken>> {
        let Some(id) = id else { return Some(None) };
        let waits = |u: &Unanswered| u.id == id && u.qos == qos;
        let waits = self.unanswered.iter().any(waits);
        // A broker that repeats what was taken did not hear that it was. Of QoS 1 only what was not
        // answered is the same message, on a link that goes on with the session (4.3.2).
        let repeated = match (qos, self.taken.get_mut(id)) {
            (Qos::ExactlyOnce, Some(taken)) if taken.qos == qos => Some(taken.answer.clone()),
            (Qos::ExactlyOnce, None) if waits => Some(Some((Reason::SUCCESS, Properties::NONE))),
            (Qos::AtLeastOnce, Some(taken)) if dup && taken.link != self.link && !waits => {
                Some(taken.answer.clone())
            }
            _ => None,
        };
        let is_new = repeated.is_none();
        if is_new || !(waits && qos == Qos::ExactlyOnce) {
            self.unanswered.push_back(Unanswered { id, qos, answer: repeated.flatten() });
        }
        is_new.then_some(Some(AckToken { id, link: self.link }))
    }

    /// How many messages are not acknowledged.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Whether the exchange of each message is over.
    pub(super) fn is_settled(&self) -> bool {
        self.unanswered.is_empty() && self.taken.is_empty()
    }

    /// The message was delivered: a repetition is not delivered again.
    pub(super) fn taken(&mut self, token: AckToken) {
        let waits = self.unanswered.iter().find(|u| u.id == token.id && u.answer.is_none());
        if let Some(qos) = waits.map(|u| u.qos).filter(|_| token.link == self.link) {
            self.taken.insert(token.id, Taken { qos, link: token.link, answer: None });
        }
    }

    /// What a message is to be answered with. If its link is gone, the broker gets the answer when it
    /// repeats the message on one that goes on with the session.
    pub(super) fn answer(&mut self, token: AckToken, reason: Reason, properties: Properties) {
        let taken = self.taken.get_mut(token.id);
        let taken = taken.filter(|taken| taken.link == token.link && taken.answer.is_none());
        if token.link != self.link && taken.is_none() {
            return;
        }
        let answer = Some((reason, properties));
        if let Some(taken) = taken {
            taken.answer.clone_from(&answer);
        }
        let open = |u: &&mut Unanswered| u.id == token.id && u.answer.is_none();
        if let Some(unanswered) = self.unanswered.iter_mut().find(open) {
            unanswered.answer = answer;
        }
    }

    /// The next acknowledgement, in the order of the messages.
    pub(super) fn next_answer(&mut self) -> Option<Packet> {
        self.unanswered.front()?.answer.as_ref()?;
        let Unanswered { id, qos, answer } = self.unanswered.pop_front()?;
        let (reason, properties) = answer?;
        if qos != Qos::ExactlyOnce {
            self.taken.remove(id);
            return Some(Packet::PubAck(Ack { id, reason, properties }));
        }
        if reason.is_error() {
            self.taken.remove(id);
        } else {
            let answer = Some((Reason::SUCCESS, Properties::NONE));
            self.taken.insert(id, Taken { qos, link: self.link, answer });
        }
        Some(Packet::PubRec(Ack { id, reason, properties }))
    }

    /// PUBREL: the broker does not repeat the message. The reason says whether there was one.
    pub(super) fn released(&mut self, id: PacketId) -> Reason {
        let is_taken = |taken: &mut Taken| taken.qos == Qos::ExactlyOnce;
        match self.taken.get_mut(id).is_some_and(is_taken) && self.taken.remove(id).is_some() {
            true => Reason::SUCCESS,
            false => Reason::PACKET_IDENTIFIER_NOT_FOUND,
        }
    }

    /// Puts the topic into a message that has an alias; without one afterwards, it is one with a
    /// wildcard. `Err` for an alias that we did not allow, or that stands for nothing (3.3.2.3.4).
    pub(super) fn resolve(
        &mut self,
        publish: &mut Publish,
        maximum: u16,
    ) -> Result<(), SessionError> {
        let Some(alias) = publish.properties.topic_alias().copied() else { return Ok(()) };
        let known = self.alias(alias, maximum)?;
        match &publish.topic {
            Some(topic) => *known = Alias::Topic(topic.clone()),
            None => match known {
                Alias::Nothing => {
                    return Err(protocol("a topic alias that stands for nothing"));
                }
                Alias::Topic(topic) => publish.topic = Some(topic.clone()),
                Alias::Wildcard => {}
            },
        }
        publish.properties.0.retain(|property| !matches!(property, Property::TopicAlias(_)));
        Ok(())
    }

    /// What an alias stands for.
    pub(super) fn alias(&mut self, alias: u16, maximum: u16) -> Result<&mut Alias, SessionError> {
        if alias == 0 || alias > maximum {
            let reason = Reason::TOPIC_ALIAS_INVALID;
            return Err(SessionError::Protocol(reason, "a topic alias above our maximum"));
        }
        let at = usize::from(alias) - 1;
        if self.aliases.len() <= at {
            self.aliases.resize(at + 1, Alias::Nothing);
        }
        Ok(&mut self.aliases[at])
    }

    pub(super) fn link_lost(&mut self) {
        self.unanswered.clear();
        self.aliases.clear();
        self.link = self.link.wrapping_add(1);
    }

    pub(super) fn forget(&mut self) {
        self.taken.clear();
    }
}
