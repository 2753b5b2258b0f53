//! Messages from the broker: who has them, and what it was told (4.3, 4.6).

use crate::mqtt::packet::{Ack, Packet, PacketId, Properties, Property, Publish, Reason};
use crate::mqtt::sorted::Sorted;
use crate::mqtt::topic::{Qos, Topic};
use std::collections::VecDeque;

/// What stands for the acknowledgement of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    id: PacketId,
    /// The link that the message came on.
    link: u32,
}

impl Token {
    /// The packet identifier that the broker gave the message.
    pub fn id(self) -> PacketId {
        self.id
    }
}

/// The receiver's side.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Messages that are not acknowledged, in the order in which they came: so they are answered
    /// ([MQTT-4.6.0-2]).
    unanswered: VecDeque<Unanswered>,
    /// QoS 2 messages that somebody took, and that the broker may still repeat, with the link on
    /// which they came last. Outlives links.
    taken: Sorted<PacketId, u32>,
    /// What the broker's aliases stand for, from 1 on. Ends with the link.
    aliases: Vec<Alias>,
    /// Counts links.
    link: u32,
}

/// What an alias stands for.
#[derive(Clone, Debug)]
pub(super) enum Alias {
    Nothing,
    Topic(Topic),
    /// A topic with a wildcard: its messages are passed over.
    Wildcard,
}

#[derive(Debug)]
struct Unanswered {
    id: PacketId,
    qos: Qos,
    answer: Option<(Reason, Properties)>,
}

impl Inbound {
    /// A message came. `Some` if somebody is to get it, with what to acknowledge.
    pub(super) fn came(&mut self, qos: Qos, id: Option<PacketId>) -> Option<Option<Token>> {
        let Some(id) = id else { return Some(None) };
        // A broker that repeats what was taken did not hear that it was.
        let repeated = qos == Qos::ExactlyOnce
            && (self.taken.contains(id) || self.unanswered.iter().any(|u| u.id == id));
        if let Some(link) = self.taken.get_mut(id).filter(|_| repeated) {
            *link = self.link;
        }
        let answer = repeated.then_some((Reason::SUCCESS, Properties::NONE));
        let waits = |u: &Unanswered| u.id == id && u.qos == qos;
        if !(repeated && self.unanswered.iter().any(waits)) {
            self.unanswered.push_back(Unanswered { id, qos, answer });
        }
        (!repeated).then_some(Some(Token { id, link: self.link }))
    }

    /// Messages of QoS 1 and 2 that are under way, as the receive maximum counts them: of this link
    /// only, for with each the broker counts anew (4.9).
    pub(super) fn under_way(&self) -> usize {
        let untaken = self.unanswered.iter().filter(|u| !self.taken.contains(u.id));
        let taken = self.taken.values().filter(|link| **link == self.link);
        untaken.count() + taken.count()
    }

    /// Messages that nobody acknowledged yet.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Somebody took a message: if it is of QoS 2, a repetition is none of anybody's business.
    pub(super) fn taken(&mut self, token: Token) {
        let qos_2 = |u: &Unanswered| u.id == token.id && u.qos == Qos::ExactlyOnce;
        if token.link == self.link && self.unanswered.iter().any(qos_2) {
            self.taken.insert(token.id, self.link);
        }
    }

    /// What a message is to be answered with. Nothing, if its link is gone: the broker repeats it.
    pub(super) fn answer(&mut self, token: Token, reason: Reason, properties: Properties) {
        if token.link != self.link {
            return;
        }
        let open = |u: &&mut Unanswered| u.id == token.id && u.answer.is_none();
        if let Some(unanswered) = self.unanswered.iter_mut().find(open) {
            unanswered.answer = Some((reason, properties));
        }
    }

    /// The next answer whose turn it is.
    pub(super) fn next_answer(&mut self) -> Option<Packet> {
        self.unanswered.front()?.answer.as_ref()?;
        let Unanswered { id, qos, answer } = self.unanswered.pop_front()?;
        let (reason, properties) = answer?;
        if qos != Qos::ExactlyOnce {
            return Some(Packet::PubAck(Ack { id, reason, properties }));
        }
        if reason.is_error() {
            self.taken.remove(id);
        } else {
            self.taken.insert(id, self.link);
        }
        Some(Packet::PubRec(Ack { id, reason, properties }))
    }

    /// PUBREL: the broker will not repeat it. The reason says whether there was such a message.
    pub(super) fn released(&mut self, id: PacketId) -> Reason {
        match self.taken.remove(id).is_some() {
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
    ) -> Result<(), (Reason, &'static str)> {
        let Some(alias) = publish.properties.topic_alias().copied() else { return Ok(()) };
        let known = self.alias(alias, maximum)?;
        match &publish.topic {
            Some(topic) => *known = Alias::Topic(topic.clone()),
            None => match known {
                Alias::Nothing => {
                    return Err((Reason::PROTOCOL_ERROR, "a topic alias that stands for nothing"));
                }
                Alias::Topic(topic) => publish.topic = Some(topic.clone()),
                Alias::Wildcard => {}
            },
        }
        publish.properties.0.retain(|property| !matches!(property, Property::TopicAlias(_)));
        Ok(())
    }

    /// A place to keep what an alias stands for.
    pub(super) fn alias(
        &mut self,
        alias: u16,
        maximum: u16,
    ) -> Result<&mut Alias, (Reason, &'static str)> {
        if alias == 0 || alias > maximum {
            return Err((Reason::TOPIC_ALIAS_INVALID, "a topic alias above our maximum"));
        }
        let at = usize::from(alias) - 1;
        if self.aliases.len() <= at {
            self.aliases.resize(at + 1, Alias::Nothing);
        }
        Ok(&mut self.aliases[at])
    }

    /// The link is gone.
    pub(super) fn link_lost(&mut self) {
        self.unanswered.clear();
        self.aliases.clear();
        self.link = self.link.wrapping_add(1);
    }

    /// The broker knows nothing of this session.
    pub(super) fn forget(&mut self) {
        self.taken.clear();
    }
}
