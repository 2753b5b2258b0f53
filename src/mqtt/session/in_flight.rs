//! Packets that were sent and that the broker has to answer.

use super::ids::Ids;
use crate::base::deque;
use crate::mqtt::packet::PacketId;
use crate::mqtt::source::InFlightId;
use crate::mqtt::topic::Qos;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the oldest packet may stay unanswered once it was written. MQTT has a client repeat a
/// message on a new link only (4.4), so an answer that got lost would hold a place in the window
/// for ever. Long, because brokers that write to a disk first may take their time.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// The largest window. It leaves some of the 65,535 identifiers for everything else, so that a
/// subscription never waits for one.
const LARGEST_WINDOW: usize = 65_000;

#[derive(Debug)]
pub(super) struct InFlight {
    /// Sent on this link and not answered, oldest first.
    sent: VecDeque<Unacked>,
    /// What was sent on an earlier link of this session and not answered: to be sent again, oldest
    /// first.
    again: VecDeque<(PacketId, SentPacket)>,
    /// Packets of `again` in quarantine: they wait until they are tried alone.
    aside: Vec<(PacketId, SentPacket)>,
    ids: Ids,
    window: usize,
    /// A large window is filled again when half of it is free, so that many messages share a write
    /// and not each acknowledgement makes one.
    pub(super) is_full: bool,
    /// Up to this byte of the link's output the broker has answered.
    pub(super) answered_to: u64,
    /// When the front of `sent` must have been answered; `None` until it was written.
    pub(super) due: Option<Instant>,
    probe: Option<Probe>,
    /// How long the broker took to answer the packet that was timed last, from writing its last byte
    /// to the answer. `None` before the first answer of a link.
    pub(super) round_trip: Option<Duration>,
}

/// One packet at a time is timed, however many are in flight.
#[derive(Debug)]
struct Probe {
    id: PacketId,
    /// Where it ends among all bytes of the link's output.
    end: u64,
    written: Option<Instant>,
    answered: bool,
}

/// From this size on a window is filled again when half of it is free. In a smaller one each
/// acknowledgement is followed by the next message: a broker that has not turned off Nagle's
/// algorithm sends its second acknowledgement only after it received something from us, and our
/// system would wait 40 ms before it acknowledges the first by itself.
const LARGE: usize = 50;

/// A packet that the broker has to answer.
#[derive(Debug)]
struct Unacked {
    id: PacketId,
    what: SentPacket,
    /// Where it ends among all bytes of the link's output.
    end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentPacket {
    /// A message of the source, with QoS 1 or 2.
    Message(InFlightId, Qos),
    /// PUBREL for a QoS 2 message that the broker has.
    Release(Option<InFlightId>),
    /// A message that is not worth repeating: the next connect makes a new one.
    Birth(Qos),
    /// SUBSCRIBE or UNSUBSCRIBE.
    Request,
}

impl SentPacket {
    /// The message of the source that it is a part of.
    pub(super) fn message(self) -> Option<InFlightId> {
        match self {
            SentPacket::Message(id, _) | SentPacket::Release(Some(id)) => Some(id),
            SentPacket::Release(None) | SentPacket::Birth(_) | SentPacket::Request => None,
        }
    }

    /// Whether it is a PUBLISH of QoS 2.
    pub(super) fn is_qos_2(self) -> bool {
        matches!(self, SentPacket::Message(_, qos) | SentPacket::Birth(qos) if qos == Qos::ExactlyOnce)
    }
}

impl InFlight {
    /// Begins with the identifier `first`.
    pub(super) fn new(first: u16) -> InFlight {
        InFlight {
            sent: VecDeque::new(),
            again: VecDeque::new(),
            aside: Vec::new(),
            answered_to: 0,
            ids: Ids::new(first),
            window: 1,
            is_full: false,
            due: None,
            probe: None,
            round_trip: None,
        }
    }

    pub(super) fn set_window(&mut self, window: u16) {
        self.window = usize::from(window).clamp(1, LARGEST_WINDOW);
        self.is_full = self.sent.len() >= self.window;
    }

    /// An identifier for a packet that is about to be sent; [`InFlight::sent`] follows.
    pub(super) fn id(&mut self) -> Option<PacketId> {
        self.ids.take()
    }

    /// A packet was put into the output, where it ends at `end`.
    pub(super) fn sent(&mut self, id: PacketId, what: SentPacket, end: u64) {
        self.sent.push_back(Unacked { id, what, end });
        self.probe.get_or_insert(Probe { id, end, written: None, answered: false });
        self.is_full |= self.sent.len() >= self.window;
    }

    /// What is to be sent again next, on a resumed session, if the window has room;
    /// [`InFlight::sent`] or [`InFlight::give_up`] follows.
    pub(super) fn again(&mut self) -> Option<(PacketId, SentPacket)> {
        if self.sent.len() >= self.window {
            return None;
        }
        self.again.pop_front()
    }

    /// The packet that the identifier was for is not sent.
    pub(super) fn give_up(&mut self, id: PacketId) {
        self.ids.give_back(id);
    }

    /// Whether a new message may be sent: nothing is to be retransmitted, and the window has room.
    pub(super) fn has_room(&mut self) -> bool {
        self.is_full &= self.window >= LARGE && self.sent.len() > self.window / 2;
        self.again.is_empty() && !self.is_full && self.sent.len() < self.window
    }

    /// PUBACK: what it acknowledges. Its identifier is free again. It is the answer to QoS 1; a
    /// broker that takes QoS 2 as QoS 1 gives it to QoS 2 as well, and no other.
    pub(super) fn acknowledged(&mut self, id: PacketId) -> Option<SentPacket> {
        self.land(id, |what| matches!(what, SentPacket::Message(..) | SentPacket::Birth(_)))
    }

    /// PUBREC: the PUBREL that follows takes the message's place, and ends at `end`. Whether it answers
    /// a message.
    pub(super) fn received(&mut self, id: PacketId, end: u64) -> bool {
        let Some(at) = self.sent.iter().position(|flight| flight.id == id) else { return false };
        let flight = &mut self.sent[at];
        flight.what = match flight.what {
            SentPacket::Message(message, Qos::ExactlyOnce) => SentPacket::Release(Some(message)),
            SentPacket::Birth(Qos::ExactlyOnce) => SentPacket::Release(None),
            SentPacket::Release(message) => SentPacket::Release(message),
            _ => return false,
        };
        self.answered_to = self.answered_to.max(flight.end);
        flight.end = end;
        if at == 0 {
            self.due = None;
        }
        self.mark_answered(id);
        true
    }

    /// PUBREC with an error ends the exchange. Its identifier is free again.
    pub(super) fn rejected(&mut self, id: PacketId) -> Option<SentPacket> {
        self.land(id, SentPacket::is_qos_2)
    }

    /// PUBCOMP: what it completes. Its identifier is free again.
    pub(super) fn completed(&mut self, id: PacketId) -> Option<SentPacket> {
        self.land(id, |what| matches!(what, SentPacket::Release(_)))
    }

    /// SUBACK or UNSUBACK: whether it answers a request. The identifier is free again.
    pub(super) fn answered(&mut self, id: PacketId) -> bool {
        self.land(id, |what| what == SentPacket::Request).is_some()
    }

    fn land(&mut self, id: PacketId, fits: impl Fn(SentPacket) -> bool) -> Option<SentPacket> {
        // Brokers answer in order, so the first look nearly always finds it.
        let at = self.sent.iter().position(|flight| flight.id == id && fits(flight.what))?;
        let flight = deque::take(&mut self.sent, at)?;
        self.answered_to = self.answered_to.max(flight.end);
        self.ids.give_back(id);
        if at == 0 {
            self.due = None;
        }
        self.mark_answered(id);
        Some(flight.what)
    }

    fn mark_answered(&mut self, id: PacketId) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.id == id) {
            probe.answered = true;
        }
    }

    /// So much of the output was written by now: starts the time for the oldest answer, and for the
    /// packet that is timed; ends that of one whose answer has come.
    pub(super) fn watch(&mut self, written: u64, now: Instant) {
        if let Some(probe) = &mut self.probe {
            if probe.answered {
                let took = probe.written.map(|at| now.saturating_duration_since(at));
                self.round_trip = took.or(self.round_trip);
                self.probe = None;
            } else if probe.written.is_none() && probe.end <= written {
                probe.written = Some(now);
            }
        }
        if self.due.is_none() && self.sent.front().is_some_and(|flight| flight.end <= written) {
            self.due = Some(now + ANSWER_DEADLINE);
        }
    }

    /// All packets of this link that are not answered, oldest first, and where they end.
    pub(super) fn sent_now(&self) -> impl Iterator<Item = (PacketId, SentPacket, u64)> {
        self.sent.iter().map(|flight| (flight.id, flight.what, flight.end))
    }

    /// Takes back what [`InFlight::again`] gave.
    pub(super) fn not_yet(&mut self, id: PacketId, what: SentPacket) {
        self.again.push_front((id, what));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.sent.is_empty()
    }

    /// PINGRESP: a broker answers in order, so it has answered everything before the PINGREQ.
    pub(super) fn pong(&mut self, end: u64) {
        self.answered_to = self.answered_to.max(end);
    }

    /// Puts into quarantine what [`InFlight::again`] gave.
    pub(super) fn set_aside(&mut self, id: PacketId, what: SentPacket) {
        self.aside.push((id, what));
    }

    /// Takes the first wanted packet out of quarantine.
    pub(super) fn take_aside(
        &mut self,
        wanted: impl Fn(SentPacket) -> bool,
    ) -> Option<(PacketId, SentPacket)> {
        let at = self.aside.iter().position(|(_, what)| wanted(*what))?;
        Some(self.aside.remove(at))
    }

    pub(super) fn has_aside(&self, wanted: impl Fn(SentPacket) -> bool) -> bool {
        self.aside.iter().any(|(_, what)| wanted(*what))
    }

    /// Ends the quarantine: its packets are retransmitted with the rest.
    pub(super) fn reconsider(&mut self) {
        for it in std::mem::take(&mut self.aside).into_iter().rev() {
            self.again.push_front(it);
        }
    }

    /// The broker has lost the session.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.again.clear();
        self.aside.clear();
        self.ids.give_back_all();
        self.is_full = false;
        self.due = None;
        self.probe = None;
    }

    /// The link is gone: its messages are retransmitted on the next one. Birth messages and
    /// requests are not, because each link makes new ones.
    pub(super) fn link_lost(&mut self) {
        self.answered_to = 0;
        // PUBREL goes in the order in which PUBREC came (4.6), and before the messages.
        self.sent.make_contiguous().sort_by_key(|flight| match flight.what {
            SentPacket::Release(_) => (0, flight.end),
            _ => (1, 0),
        });
        // What was sent on this link is older than what had not been sent again yet.
        while let Some(Unacked { id, what, .. }) = self.sent.pop_back() {
            match what {
                SentPacket::Message(..) | SentPacket::Release(_) => {
                    self.again.push_front((id, what))
                }
                SentPacket::Birth(_) | SentPacket::Request => self.ids.give_back(id),
            }
        }
        self.is_full = false;
        self.due = None;
        self.probe = None;
        self.round_trip = None;
    }
}
