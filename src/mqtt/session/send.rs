//! What we say of our own accord: subscriptions and messages.

use super::event::Event;
use super::in_flight::SentPacket;
use super::requests::Answer;
use super::{OUTPUT_LIMIT, Session, State};
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Ack, Packet, PacketId, Property, Publish, Reason, Version};
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
            if let SentPacket::Message(sending, _) | SentPacket::Release(Some(sending)) = what
                && let Some(message) = source.message(sending)
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
            let qos = self.limits.qos(message.qos);
            if qos == Qos::AtMostOnce {
                match self.put_message(message, qos, None, false) {
                    Ok(()) => {
                        self.note_sent(message);
                        source.sent(qos);
                    }
                    Err(reason) => self.refuse_front(reason, source),
                }
                continue;
            }
            let Some(id) = self.in_flight.id() else { return };
            match self.put_message(message, qos, Some(id), false) {
                Ok(()) => {
                    if source.is_birth() {
                        self.note_birth(message);
                    }
                    let sent = source.sent(qos);
                    let what = sent
                        .map_or(SentPacket::Birth(qos), |ticket| SentPacket::Message(ticket, qos));
                    self.in_flight.sent(id, what, self.queued);
                }
                Err(reason) => {
                    self.in_flight.give_up(id);
                    self.refuse_front(reason, source);
                }
            }
        }
        self.ask_for_proof();
    }

    /// Sends a suspect, as a new message. `false`: there is no way to.
    pub(super) fn send_aside(
        &mut self,
        wanted: impl Fn(&Session, &Message) -> bool,
        source: &mut dyn Source,
    ) -> bool {
        let Some(message) = source.quarantined(&|message| wanted(self, message)).cloned() else {
            return false;
        };
        let qos = self.limits.qos(message.qos);
        let id = if qos == Qos::AtMostOnce { None } else { self.in_flight.id() };
        if qos != Qos::AtMostOnce && id.is_none() {
            return false;
        }
        if self.put_message(&message, qos, id, false).is_err() {
            // Among what flows it is refused in words.
            id.into_iter().for_each(|id| self.in_flight.give_up(id));
            return false;
        }
        if qos == Qos::AtMostOnce {
            self.note_sent(&message);
        }
        let sent = source.sent_quarantined(&|message| wanted(self, message), qos);
        if let (Some(id), Some(sending)) = (id, sent) {
            self.in_flight.sent(id, SentPacket::Message(sending, qos), self.queued);
        }
        true
    }

    /// Asks for one filter. `false`: nobody wants it any more.
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
        self.subscribed(refused);
        for Answer { request, filter, reason } in
            self.requests.too_long(self.limits.largest, self.version())
        {
            self.tell(Event::Unsubscribed { request, filter, reason });
        }
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

    fn refuse_front(&mut self, reason: Reason, source: &mut dyn Source) {
        if let Some(refused) = source.refuse_front(reason) {
            self.tell(Event::refused(&refused.message, refused.sender, reason, 0));
        }
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
        let retain = self.limits.retain(message.retain);
        let mut properties = std::mem::take(&mut self.scratch);
        properties.0.clear();
        let (topic, payload) = (Some(message.topic.clone()), message.payload.clone());
        if self.version() == Version::V5
            && let Some(more) = &message.properties
        {
            // Subscriptions are numbered by the broker only (3.3.4-6), aliases by the session.
            let ours = |it: &&Property| {
                !matches!(it, Property::SubscriptionId(_) | Property::TopicAlias(_))
            };
            properties.0.extend(more.0.iter().filter(ours).cloned());
        }
        let mut publish = Publish { topic, payload, qos, id, dup, retain, properties };
        let room = match publish.properties.are_writable() {
            true => self.limits.largest.checked_sub(publish.size(self.version())),
            false => None,
        };
        let fits = room.is_some();
        if fits {
            if room >= Some(ALIAS)
                && let Some((alias, known)) = self.aliases.of(&message.topic)
            {
                publish.properties.0.push(Property::TopicAlias(alias));
                publish.topic = publish.topic.filter(|_| !known);
            }
            let packet = Packet::Publish(publish);
            self.put(&packet);
            let Packet::Publish(sent) = packet else { return Ok(()) };
            publish = sent;
        }
        self.scratch = publish.properties;
        if fits { Ok(()) } else { Err(Reason::PACKET_TOO_LARGE) }
    }
}
