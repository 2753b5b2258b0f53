//! What we send on our own initiative: subscriptions and messages.

use super::in_flight::SentPacket;
use super::quarantine::Id;
use super::{OUTPUT_LIMIT, Session, State};
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Ack, Outgoing, Packet, PacketId, Property, Reason, Version};
use crate::mqtt::source::Source;
use crate::mqtt::topic::{Qos, TopicFilter};

/// Bytes that a topic alias adds at most: itself, and a byte more for each of the two lengths.
const ALIAS: usize = 3 + 2;

impl Session {
    /// Puts into the output what is to be sent, as far as it, the broker and the window for
    /// unacknowledged messages have room: subscriptions, what has to be sent again, what is new.
    pub fn send(&mut self, source: &mut dyn Source) {
        if !matches!(self.state, State::Up(_)) {
            return;
        }
        self.go_on(source);
        if self.requests.is_due() && self.may_ask() {
            self.ask();
        }
        while self.output.len() < OUTPUT_LIMIT
            && !source.is_paused()
            && self.may_send()
            && let Some((id, what)) = self.in_flight.again()
        {
            if self.is_kept_back(id, what, source) {
                continue;
            }
            if let Some(message) = what.message().and_then(|id| source.message(id))
                && self.has_to_wait(message)
            {
                self.in_flight.not_yet(id, what);
                break;
            }
            self.send_again(id, what, source);
        }
        while self.output.len() < OUTPUT_LIMIT && self.in_flight.has_room() && self.may_send() {
            self.sift(source);
            let Some(message) = source.front() else { break };
            if self.has_to_wait(message) {
                break;
            }
            let qos = message.qos.min(self.limits.qos);
            let Some(id) = self.id_for(qos) else { return };
            if let Err(reason) = self.put_message(message, qos, id, false) {
                id.inspect(|id| self.in_flight.give_up(*id));
                if let Some(refused) = source.refuse_front(reason) {
                    self.tell_refused(refused, 0);
                }
                continue;
            }
            match id {
                None => self.note_sent(message),
                Some(_) if source.is_birth() => self.note_birth(message),
                Some(_) => {}
            }
            let sent = source.sent(qos);
            if let Some(id) = id {
                let birth = SentPacket::Birth(qos);
                let what = sent.map_or(birth, |sent| SentPacket::Message(sent, qos));
                self.in_flight.sent(id, what, self.queued);
            }
        }
        self.ask_for_proof();
    }

    /// The packet identifier for a message, which has one above QoS 0. The outer `None`: all of them
    /// are in use.
    fn id_for(&mut self, qos: Qos) -> Option<Option<PacketId>> {
        match qos {
            Qos::AtMostOnce => Some(None),
            Qos::AtLeastOnce | Qos::ExactlyOnce => self.in_flight.id().map(Some),
        }
    }

    /// Sends a message in quarantine as a new one. `false`: that is not possible.
    pub(super) fn send_quarantined(&mut self, suspect: Id, source: &mut dyn Source) -> bool {
        let quarantine = &self.quarantine;
        let Some(message) = source.quarantined(&|it| quarantine.is_of(suspect, it)).cloned() else {
            return false;
        };
        let qos = message.qos.min(self.limits.qos);
        let Some(id) = self.id_for(qos) else { return false };
        if self.put_message(&message, qos, id, false).is_err() {
            // It is refused once it is out of quarantine.
            id.inspect(|id| self.in_flight.give_up(*id));
            return false;
        }
        if id.is_none() {
            self.note_sent(&message);
        }
        let quarantine = &self.quarantine;
        let sent = source.sent_quarantined(&|it| quarantine.is_of(suspect, it), qos);
        if let (Some(id), Some(sending)) = (id, sent) {
            self.in_flight.sent(id, SentPacket::Message(sending, qos), self.queued);
        }
        true
    }

    /// Subscribes to one filter. `false`: it is not wanted any more.
    pub(super) fn ask_for(&mut self, filter: &TopicFilter) -> bool {
        let Some(id) = self.in_flight.id() else { return false };
        let Some(packet) = self.requests.alone(filter, id) else {
            self.in_flight.give_up(id);
            return false;
        };
        self.put(&packet);
        self.in_flight.sent(id, SentPacket::Request, self.queued);
        true
    }

    fn ask(&mut self) {
        for filter in self.quarantine.filters() {
            self.requests.pass_over(filter);
        }
        let refused = self.requests.refused(&self.limits, self.version());
        self.tell_all(refused);
        let largest = if self.asks_one_by_one() { 0 } else { self.limits.largest };
        while self.output.len() < OUTPUT_LIMIT && self.requests.is_due() && self.may_ask() {
            let Some(id) = self.in_flight.id() else { return };
            let Some(packet) = self.requests.next_packet(id, largest, self.version()) else {
                return self.in_flight.give_up(id);
            };
            let begin = self.queued;
            self.put(&packet);
            self.in_flight.sent(id, SentPacket::Request, self.queued);
            self.note_asked(id, begin);
        }
    }

    pub(super) fn send_again(&mut self, id: PacketId, what: SentPacket, source: &mut dyn Source) {
        match what {
            SentPacket::Message(ticket, qos) => {
                let sent = match source.retransmit(ticket) {
                    Some(message) => self.put_message(message, qos, Some(id), true),
                    None => return self.in_flight.give_up(id),
                };
                if let Err(reason) = sent {
                    self.in_flight.give_up(id);
                    return self.settled(Some(what), reason, source);
                }
            }
            SentPacket::Release(_) => self.put(&Packet::PubRel(Ack::new(id, Reason::SUCCESS))),
            SentPacket::Birth(_) | SentPacket::Request => return self.in_flight.give_up(id),
        }
        self.in_flight.sent(id, what, self.queued);
    }

    /// Puts a message into the output; `Err` if it is larger than the broker takes.
    fn put_message(
        &mut self,
        message: &Message,
        qos: Qos,
        id: Option<PacketId>,
        dup: bool,
    ) -> Result<(), Reason> {
        self.had_qos_2 |= qos == Qos::ExactlyOnce;
        let retain = message.retain && self.limits.retain;
        let mut properties = std::mem::take(&mut self.scratch);
        properties.0.clear();
        if self.version() == Version::V5
            && let Some(more) = &message.properties
        {
            // Subscriptions are numbered by the broker only (3.3.4-6), aliases by the session.
            let ours = |it: &&Property| {
                !matches!(it, Property::SubscriptionId(_) | Property::TopicAlias(_))
            };
            properties.0.extend(more.0.iter().filter(ours).cloned());
        }
        let (topic, payload) = (message.topic.as_bytes(), &*message.payload);
        let publish = Outgoing { topic, payload, qos, id, dup, retain, properties: &properties };
        let room = self.limits.largest.checked_sub(publish.size(self.version()));
        let Some(room) = room.filter(|_| properties.are_writable()) else {
            self.scratch = properties;
            return Err(Reason::PACKET_TOO_LARGE);
        };
        let mut topic = topic;
        if room >= ALIAS
            && let Some((alias, known)) = self.aliases.of(&message.topic)
        {
            properties.0.push(Property::TopicAlias(alias));
            topic = if known { &[] } else { topic };
        }
        let publish = Outgoing { topic, payload, qos, id, dup, retain, properties: &properties };
        tracing::trace!("sending {publish}");
        let (before, version) = (self.output.len(), self.fallback.version);
        publish.write(&mut self.output, version);
        self.queued += (self.output.len() - before) as u64;
        self.scratch = properties;
        Ok(())
    }
}
