//! The outbox in another form: what the MQTT client sends from.

use super::Format;
use crate::base::clock::Now;
use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::Verdict;
use crate::mqtt::source::{
    Deferred, InFlightId, IsWanted, MessageId, Outcome, RefusedMessage, Source,
};
use crate::mqtt::topic::Qos;
use crate::outbox::Outbox;
use std::cell::OnceCell;
use std::time::Instant;

/// An outbox whose messages take their form when they are sent, with births and deaths between them.
pub struct Formatted<'a> {
    outbox: &'a mut Outbox,
    format: &'a mut Format,
    now: Now,
    /// What stands aside in the outbox, as it would be sent now.
    aside: OnceCell<Option<Message>>,
}

impl<'a> Formatted<'a> {
    pub fn new(outbox: &'a mut Outbox, format: &'a mut Format, now: Now) -> Formatted<'a> {
        let mut formatted = Formatted { outbox, format, now, aside: OnceCell::new() };
        formatted.prepare();
        formatted
    }

    fn prepare(&mut self) {
        while self.format.prepare(self.outbox, self.now) {
            self.outbox.sent(Qos::AtMostOnce);
        }
        self.aside = OnceCell::new();
    }
}

impl Source for Formatted<'_> {
    fn tick(&mut self, now: Instant) {
        self.now = self.now.after(now.saturating_duration_since(self.now.mono));
        self.outbox.tick(now);
        self.prepare();
    }

    fn deadline(&self) -> Option<Instant> {
        self.outbox.deadline()
    }

    fn is_paused(&self) -> bool {
        self.outbox.is_paused()
    }

    fn front(&self) -> Option<&Message> {
        self.format.next(self.outbox)
    }

    fn sent(&mut self, qos: Qos) -> Option<InFlightId> {
        let sent = if self.format.sent(true, self.now) { self.outbox.sent(qos) } else { None };
        self.prepare();
        sent
    }

    fn refuse_front(&mut self, reason: Reason) -> Option<RefusedMessage> {
        let message = self.front().cloned();
        let refused = match self.format.sent(false, self.now) {
            true => self.outbox.refuse_front(reason),
            false => message.map(|message| RefusedMessage { message, sender: 0, reason }),
        };
        self.prepare();
        refused
    }

    fn message(&self, id: InFlightId) -> Option<&Message> {
        self.outbox.message(id)
    }

    fn sender_of(&self, id: InFlightId) -> u16 {
        self.outbox.sender_of(id)
    }

    fn retransmit(&mut self, id: InFlightId) -> Option<&Message> {
        self.outbox.retransmit(id)
    }

    fn settled(&mut self, id: InFlightId, reason: Reason) {
        self.outbox.settled(id, reason);
    }

    fn defer(&mut self, id: InFlightId, now: Instant) -> Option<Deferred> {
        self.outbox.defer(id, now)
    }

    fn requeue(&mut self) {
        self.outbox.requeue();
        self.prepare();
    }

    fn will(&mut self) -> Option<Message> {
        Some(self.format.will(self.now))
    }

    fn connected(&mut self) {
        self.outbox.connected();
        self.format.connected();
        self.prepare();
    }

    fn seed(&mut self, chance: u32) {
        self.outbox.seed(chance);
    }

    /// A birth or a death that may end links is left out; the next link tries it again.
    fn quarantine_front(&mut self) {
        if self.format.sent(false, self.now) {
            self.outbox.quarantine_front();
        }
        self.prepare();
    }

    fn quarantined(&self, wanted: IsWanted<'_>) -> Option<&Message> {
        let entry = self.outbox.quarantined_entry(wanted)?;
        let formed = self.aside.get_or_init(|| self.format.aside(entry, self.now));
        Some(formed.as_ref().unwrap_or(&entry.message))
    }

    fn sent_quarantined(&mut self, wanted: IsWanted<'_>, qos: Qos) -> Option<InFlightId> {
        self.format.sent_aside();
        let sent = self.outbox.sent_quarantined(wanted, qos);
        self.prepare();
        sent
    }

    fn delivered_quarantined(&mut self, wanted: IsWanted<'_>) {
        self.outbox.delivered_quarantined(wanted);
    }

    fn reconsider(&mut self, verdict: &dyn Fn(&Message) -> Verdict) -> Option<RefusedMessage> {
        let refused = self.outbox.reconsider(verdict);
        self.prepare();
        refused
    }

    fn refused_unacknowledged(&mut self) {
        self.outbox.refused_unacknowledged();
    }

    fn is_empty(&self) -> bool {
        self.outbox.is_empty() && !self.format.owes_farewell()
    }

    fn outcome(&mut self) -> Option<(MessageId, Outcome)> {
        self.outbox.outcome()
    }

    fn wants_owner(&self) -> bool {
        self.outbox.wants_owner() || self.format.has_left() || self.format.wants_another_broker()
    }
}
