//! The outbox as what the MQTT client sends from.

use super::Outbox;
use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::Verdict;
use crate::mqtt::source::{
    Deferred, InFlightId, IsWanted, MessageId, Outcome, RefusedMessage, Source,
};
use crate::mqtt::topic::Qos;
use std::time::Instant;

impl Source for Outbox {
    fn tick(&mut self, now: Instant) {
        Outbox::tick(self, now);
    }

    fn deadline(&self) -> Option<Instant> {
        Outbox::deadline(self)
    }

    fn is_paused(&self) -> bool {
        self.pause.until().is_some()
    }

    fn front(&self) -> Option<&Message> {
        Outbox::front(self)
    }

    fn is_birth(&self) -> bool {
        self.urgent.is_some()
    }

    fn sent(&mut self, qos: Qos) -> Option<InFlightId> {
        Outbox::sent(self, qos)
    }

    fn refuse_front(&mut self, reason: Reason) -> Option<RefusedMessage> {
        Outbox::refuse_front(self, reason)
    }

    fn message(&self, id: InFlightId) -> Option<&Message> {
        self.in_flight.get(id).map(|held| &held.entry.message)
    }

    fn sender_of(&self, id: InFlightId) -> u16 {
        self.in_flight.get(id).map_or(0, |held| held.entry.port)
    }

    fn retransmit(&mut self, id: InFlightId) -> Option<&Message> {
        Outbox::again(self, id)
    }

    fn settled(&mut self, id: InFlightId, reason: Reason) {
        self.acknowledged(id, reason);
    }

    fn defer(&mut self, id: InFlightId, now: Instant) -> Option<Deferred> {
        self.pause.defer(id, &mut self.in_flight.get_mut(id)?.tries, now)
    }

    fn requeue(&mut self) {
        Outbox::requeue(self);
    }

    fn connected(&mut self) {
        Outbox::connected(self);
    }

    fn seed(&mut self, chance: u32) {
        self.pause.seed(chance);
    }

    fn quarantine_front(&mut self) {
        self.set_front_aside();
    }

    fn quarantined(&self, wanted: IsWanted<'_>) -> Option<&Message> {
        self.aside(wanted)
    }

    fn sent_quarantined(&mut self, wanted: IsWanted<'_>, qos: Qos) -> Option<InFlightId> {
        self.sent_aside(wanted, qos)
    }

    fn delivered_quarantined(&mut self, wanted: IsWanted<'_>) {
        self.taken_aside(wanted);
    }

    fn reconsider(&mut self, verdict: &dyn Fn(&Message) -> Verdict) -> Option<RefusedMessage> {
        Outbox::reconsider(self, verdict)
    }

    fn refused_unacknowledged(&mut self) {
        self.counts.refused += 1;
    }

    fn is_empty(&self) -> bool {
        Outbox::is_empty(self)
    }

    fn outcome(&mut self) -> Option<(MessageId, Outcome)> {
        Outbox::outcome(self)
    }

    fn wants_owner(&self) -> bool {
        self.wants_batch()
    }
}
