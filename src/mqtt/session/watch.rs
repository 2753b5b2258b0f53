//! Finds out what a broker ends links at, and keeps it from delaying everything else.
//!
//! - *Calm*: nothing is done.
//! - *Alert*, for some minutes after the broker ended a link: PINGREQ follows messages of QoS 0, because
//!   its answer shows which of them the broker has taken.
//! - *Wary* of what was unanswered when links ended again and again: it is sent while nothing else is
//!   unanswered, on a link that has answered a PINGREQ, until it was answered once. If the link ends
//!   then, it is a suspect.
//! - A suspect is put in quarantine, and the others are sent. Now and then it is tried alone, see
//!   [`trial`].

mod trial;

use super::event::Event;
use super::in_flight::SentPacket;
use super::quarantine::{Id, Quarantine, Suspected, Verdict, size};
use super::version_fallback::VersionFallback;
use super::{Known, Session};
use crate::base::backoff;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{PacketId, Reason};
use crate::mqtt::source::{RefusedMessage, Source};
use std::collections::VecDeque;
use std::mem::replace;
use std::time::{Duration, Instant};
use trial::{Alone, DWELL, Stage};

/// For how long the next links are watched closely after one ended.
const ALERT: Duration = Duration::from_secs(600);

/// For how long after a suspect was found the next one is looked for without delay.
const HUNT: Duration = Duration::from_secs(120);

/// A shorter link is of no use to anybody.
const SHORT: Duration = Duration::from_secs(10);

/// This many links in a row that ended at the same call for care.
const SAME: u32 = 2;

/// This many short links in a row that ended with something unanswered call for care, whatever it
/// was.
const SHORT_LINKS: u32 = 4;

/// This many ends of links within [`ALERT`] call for care, even if the links delivered messages.
const ENDS: u32 = 3;

/// Upper bound of topics and filters that are handled with care.
const MOST_WARY: usize = 64;

/// Upper bound of messages of QoS 0 that are remembered.
const NOTED: usize = 128;

/// How many links that end at a suspect are followed by another without delay: this many at once,
/// and one more after each [`ANOTHER`].
const QUICK: u32 = 200;
const ANOTHER: Duration = Duration::from_secs(15);

/// Above this many suspects at once, something else is the cause.
const TOO_MANY: usize = 32;

/// How a link ended.
#[derive(Clone, Copy, Debug)]
pub struct LinkEnd {
    /// Whether the other side ended it, in whatever way, for no reason of its own.
    pub by_broker: bool,
    /// What it said, if anything.
    pub reason: Reason,
    /// When.
    pub at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct PoisonSearch {
    /// What was unanswered first when the last link ended, and how many times in a row.
    last: Option<Suspected>,
    times: u32,
    short: u32,
    /// How many links ended since the last [`ALERT`] without any.
    ends: u32,
    alert_until: Option<Instant>,
    hunt_until: Option<Instant>,
    /// How many links in a row ended before a suspect could be tried on them.
    unreached: u32,
    quick: Quick,
    /// Events for after the session's link is gone.
    pub(super) judged: Vec<Event>,
    birth: Option<Suspected>,
    is_alert: bool,
    /// What is handled with care.
    wary: Vec<Suspected>,
    /// The one of these that is unanswered, and where it begins in the output.
    one: Option<(Suspected, u64)>,
    /// Whether the link has answered a PINGREQ.
    is_alive: bool,
    /// Whether what is in quarantine is to be judged again.
    changed: bool,
    /// When CONNECT was sent, and when the broker let us in.
    pub(super) asked: Option<Instant>,
    up: Option<Instant>,
    /// Messages of QoS 0 that the broker may not have taken yet, and where they end; none in a calm
    /// session.
    noted: VecDeque<(Suspected, u64)>,
    /// Where the last message of QoS 0 ends.
    qos_0_end: u64,
    /// Where the unanswered PINGREQ ends.
    pub(super) ping: Option<u64>,
    stage: Stage,
}

/// How many links were made without delay lately.
#[derive(Debug, Default)]
struct Quick {
    used: u32,
    /// When `used` was last reduced.
    since: Option<Instant>,
}

impl Quick {
    fn refill(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since).as_secs() / ANOTHER.as_secs();
        if passed > 0 {
            self.used = self.used.saturating_sub(u32::try_from(passed).unwrap_or(QUICK));
            self.since = Some(now);
        }
    }
}

impl PoisonSearch {
    pub(super) fn is_calm(&self) -> bool {
        !self.is_alert && self.wary.is_empty() && self.stage == Stage::Off
    }

    /// PINGRESP: up to where the broker has answered.
    pub(super) fn pong(&mut self) -> Option<u64> {
        self.is_alive |= self.ping.is_some();
        self.ping.take()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let alert = self.alert_until.filter(|_| self.is_alert);
        [alert, self.stage.deadline()].into_iter().flatten().min()
    }

    pub(super) fn link_lost(&mut self) {
        self.noted.clear();
        (self.qos_0_end, self.ping, self.birth) = (0, None, None);
        (self.stage, self.up, self.asked) = (Stage::Off, None, None);
        (self.one, self.is_alive) = (None, false);
    }
}

fn suspected(message: &Message) -> Suspected {
    Suspected::Message { topic: message.topic.clone(), bytes: size(message) }
}

impl Session {
    /// The next link is to another broker, of which this is known. Returns what is known of the one
    /// before.
    pub(in crate::mqtt) fn change_broker(&mut self, known: Option<Known>) -> Known {
        let watch = &mut self.watch;
        (watch.last, watch.times, watch.short, watch.ends) = (None, 0, 0, 0);
        watch.wary.clear();
        let nothing = || (VersionFallback::new(self.options.version), Quarantine::default());
        let (fallback, quarantine) = known.unwrap_or_else(nothing);
        (replace(&mut self.fallback, fallback), replace(&mut self.quarantine, quarantine))
    }

    /// The broker let us in: from now on this link may show what the broker does not take. `chance`
    /// is any number, evenly spread over its range.
    pub fn watch(&mut self, source: &mut dyn Source, now: Instant, chance: u32) {
        source.seed(chance);
        let watch = &mut self.watch;
        watch.up = Some(now);
        watch.is_alert = watch.alert_until.is_some_and(|until| now < until);
        if !watch.is_alert {
            watch.wary.clear();
        }
        watch.quick.refill(now);
        self.quarantine.look_again(now);
        if self.quarantine.open() > 0 {
            let took = watch.asked.map(|asked| now.saturating_duration_since(asked));
            let wait = (took.unwrap_or_default() * 8).clamp(DWELL, 20 * DWELL);
            let wait = wait / 2_u32.pow(watch.unreached.min(5));
            let wait = if watch.quick.used >= QUICK { wait.max(60 * DWELL) } else { wait };
            watch.stage = Stage::Dwell(now + wait / 2 + backoff::part(wait, chance));
        }
        self.reconsider(source);
    }

    /// Whether anything but a suspect may be sent.
    pub(super) fn may_send(&self) -> bool {
        !self.watch.stage.holds_others() && (self.watch.one.is_none() || self.all_is_answered())
    }

    /// Whether filters are subscribed to one by one.
    pub(super) fn asks_one_by_one(&self) -> bool {
        let is_request = |it: &Suspected| !matches!(it, Suspected::Message { .. });
        self.watch.wary.iter().any(is_request)
    }

    /// Whether a request may be sent now.
    pub(super) fn may_ask(&mut self) -> bool {
        self.may_send()
            && (!self.asks_one_by_one() || self.watch.is_alive && self.all_is_answered())
    }

    /// A request was put into the output, where it begins at `begin`.
    pub(super) fn note_asked(&mut self, id: PacketId, begin: u64) {
        if self.asks_one_by_one() {
            self.watch.one = self.requests.first_of(id).map(|it| (it, begin));
        }
    }

    /// Whether a message has to wait until everything else is answered.
    pub(super) fn has_to_wait(&mut self, message: &Message) -> bool {
        if self.watch.wary.is_empty() {
            return false;
        }
        let it = suspected(message);
        if !self.watch.wary.iter().any(|wary| wary.is_like(&it)) {
            return false;
        }
        if self.watch.is_alive && self.all_is_answered() {
            self.watch.one = Some((it, self.queued));
            return false;
        }
        true
    }

    fn all_is_answered(&self) -> bool {
        self.in_flight.is_idle() && self.watch.qos_0_end <= self.in_flight.answered_to
    }

    /// A message of QoS 0 was put at the end of the output.
    pub(super) fn note_sent(&mut self, message: &Message) {
        self.watch.qos_0_end = self.queued;
        if !self.watch.is_calm() && self.watch.noted.len() < NOTED {
            self.watch.noted.push_back((suspected(message), self.queued));
        }
    }

    pub(super) fn note_birth(&mut self, birth: &Message) {
        self.watch.birth = Some(suspected(birth));
    }

    /// Moves suspects from the front of the source into quarantine.
    pub(super) fn sift(&mut self, source: &mut dyn Source) {
        if self.quarantine.is_empty() {
            return;
        }
        while let Some(message) = source.front() {
            match self.quarantine.verdict(message) {
                Verdict::Good => return,
                Verdict::Aside => source.quarantine_front(),
                Verdict::Refused(reason) => {
                    if let Some(refused) = source.refuse_front(reason) {
                        let links = self.quarantine.ends_of(&refused.message);
                        self.tell_refused(refused, links);
                    }
                }
            }
        }
    }

    /// Whether a packet is not to be retransmitted now.
    pub(super) fn is_kept_back(
        &mut self,
        id: PacketId,
        what: SentPacket,
        source: &mut dyn Source,
    ) -> bool {
        let Some(message) = what.message().and_then(|id| source.message(id)) else { return false };
        match self.quarantine.verdict(message) {
            Verdict::Good => return false,
            Verdict::Aside => self.in_flight.set_aside(id, what),
            Verdict::Refused(reason) => {
                self.in_flight.give_up(id);
                self.settled(Some(what), reason, source);
            }
        }
        true
    }

    pub(super) fn tell_refused(&mut self, refused: RefusedMessage, links: u32) {
        let RefusedMessage { message, sender, reason } = refused;
        self.tell(Event::refused(&message, sender, reason, links));
    }

    fn reconsider(&mut self, source: &mut dyn Source) {
        self.in_flight.reconsider();
        while let Some(refused) = source.reconsider(&|message| self.quarantine.verdict(message)) {
            let links = self.quarantine.ends_of(&refused.message);
            self.tell_refused(refused, links);
        }
    }

    pub(super) fn watch_timeout(&mut self, now: Instant) {
        if self.watch.alert_until.is_some_and(|until| until <= now) {
            (self.watch.is_alert, self.watch.alert_until) = (false, None);
            (self.watch.ends, self.watch.last) = (0, None);
            self.watch.wary.clear();
        }
        self.watch.stage.timeout(now);
        if self.quarantine.deadline().is_some_and(|due| due <= now) {
            self.quarantine.look_again(now);
            self.watch.changed = true;
            if self.watch.stage == Stage::Off && self.watch.up.is_some() {
                self.watch.stage = Stage::Ready;
            }
        }
    }

    /// When [`Session::watch_timeout`] is due.
    pub(super) fn watch_deadline(&self) -> Option<Instant> {
        [self.watch.deadline(), self.quarantine.deadline()].into_iter().flatten().min()
    }

    pub(super) fn watch_wrote(&mut self, now: Instant) {
        let written = self.written();
        self.watch.stage.wrote(written, now);
    }

    /// Goes on with care and trial as far as the broker has answered.
    pub(super) fn go_on(&mut self, source: &mut dyn Source) {
        if std::mem::take(&mut self.watch.changed) {
            self.reconsider(source);
        }
        if self.watch.is_calm() {
            return;
        }
        let answered_to = self.in_flight.answered_to;
        while self.watch.noted.front().is_some_and(|(_, end)| *end <= answered_to) {
            self.watch.noted.pop_front();
        }
        self.go_on_with_care();
        self.go_on_with_trial(source);
    }

    /// Sends PINGREQ where its answer shows what the broker has taken that it does not acknowledge.
    pub(super) fn ask_for_proof(&mut self) {
        if self.watch.is_calm() {
            return;
        }
        let answered_to = self.in_flight.answered_to;
        let is_close = self.watch.is_alert
            || !self.watch.wary.is_empty()
            || matches!(self.watch.stage, Stage::Draining | Stage::Alone(_));
        let waits = is_close && self.watch.qos_0_end > answered_to;
        let wants_ping = waits || !self.watch.wary.is_empty() && !self.watch.is_alive;
        if wants_ping && self.watch.ping.is_none() {
            self.ping();
        }
    }

    fn go_on_with_care(&mut self) {
        let is_sent = |(_, begin): &mut (Suspected, u64)| *begin < self.queued;
        if self.all_is_answered()
            && let Some((it, _)) = self.watch.one.take_if(is_sent)
        {
            self.watch.wary.retain(|wary| !wary.is_like(&it));
        }
    }

    /// The link has ended, and the session does not know yet. Whether that is a step towards getting
    /// rid of a suspect: then the next link need not be waited for.
    pub(in crate::mqtt) fn ended(&mut self, end: LinkEnd, source: &mut dyn Source) -> bool {
        let now = end.at;
        let Some(up) = self.watch.up.take() else { return false };
        if let Stage::Dwell(_) | Stage::Ready | Stage::Draining | Stage::Control(_) =
            self.watch.stage
        {
            self.watch.unreached += 1;
        }
        if !end.by_broker {
            return false;
        }
        self.watch.quick.refill(now);
        self.watch.alert_until = Some(now + ALERT);
        let explains = match self.watch.stage {
            Stage::Alone(Alone { id, since: Some(since), .. }) => {
                let lived = since.saturating_duration_since(up);
                let within = now.saturating_duration_since(since);
                if self.quarantine.ended_at(id, (lived, within), end.reason, now) {
                    self.refuse(id, end.reason, source);
                }
                true
            }
            _ => {
                self.quarantine.ended_elsewhere();
                self.look_for_suspect(now < up + SHORT, now, source)
            }
        };
        let explains =
            explains && self.quarantine.open() <= TOO_MANY && self.watch.quick.used < QUICK;
        if explains {
            self.watch.quick.used += 1;
        }
        explains
    }

    /// What is unanswered, oldest first, as far as that is known.
    fn under_way(&self, source: &dyn Source) -> Vec<Suspected> {
        let answered_to = self.in_flight.answered_to;
        let noted = self.watch.noted.iter().filter(|(_, end)| *end > answered_to);
        let mut all: Vec<_> = noted.cloned().collect();
        for (id, sent, end) in self.in_flight.sent_now() {
            let what = match (sent.message(), sent) {
                (Some(message), _) => source.message(message).map(suspected),
                (None, SentPacket::Request) => self.requests.first_of(id),
                (None, _) => self.watch.birth.clone(),
            };
            all.extend(what.map(|what| (what, end)));
        }
        // The broker may have an opinion on what it has not seen all of.
        let written = self.written();
        all.retain(|(what, end)| written + what.len() > *end);
        all.sort_by_key(|(_, end)| *end);
        all.into_iter().map(|(what, _)| what).collect()
    }

    /// The link ended without a suspect under trial. Whether something of ours may be the cause.
    fn look_for_suspect(&mut self, was_short: bool, now: Instant, source: &dyn Source) -> bool {
        let under_way = self.under_way(source);
        let is_one = self.watch.one.as_ref().is_some_and(|(_, begin)| *begin < self.written());
        let are_known = !self.watch.is_calm() || self.watch.qos_0_end <= self.in_flight.answered_to;
        let watch = &mut self.watch;
        watch.ends += 1;
        match (was_short, under_way.is_empty() && are_known) {
            (true, false) => watch.short += 1,
            (true, true) => return false,
            (false, _) => watch.short = 0,
        }
        let Some(first) = under_way.first().cloned() else { return !are_known };
        if is_one {
            (watch.last, watch.times, watch.short) = (None, 0, 0);
            watch.hunt_until = Some(now + HUNT);
            watch.wary.retain(|wary| !wary.is_like(&first));
            self.suspect(first, now);
            return true;
        }
        let is_hunt = watch.hunt_until.is_some_and(|until| now < until);
        let is_same = watch.last.as_ref().is_some_and(|last| last.is_like(&first));
        watch.times = if is_same { watch.times + 1 } else { 1 };
        watch.last = Some(first).filter(|_| are_known);
        let is_long = !was_short && watch.ends >= ENDS;
        if watch.times >= SAME || watch.short >= SHORT_LINKS || is_hunt || is_long {
            for what in under_way {
                let is_new = !watch.wary.iter().any(|wary| wary.is_like(&what));
                if is_new && watch.wary.len() < MOST_WARY {
                    watch.wary.push(what);
                }
            }
        }
        true
    }

    /// A link ended while only this was unanswered.
    fn suspect(&mut self, what: Suspected, now: Instant) {
        if let Suspected::Unsubscribe(filter) = &what {
            self.watch.judged.extend(self.requests.give_up_unsubscribe(filter));
        } else if self.quarantine.add(&what, now) {
            self.watch.judged.push(Event::Suspected(what));
        }
    }

    fn refuse(&mut self, id: Id, reason: Reason, source: &mut dyn Source) {
        let links = self.quarantine.ends(id);
        if let Some(filter) = self.quarantine.filter_of(id).cloned() {
            return self.watch.judged.extend(self.requests.give_up_subscribe(&filter, reason));
        }
        let before = self.watch.judged.len();
        if let Some((_, oldest, _)) = self.in_flight.sent_now().next()
            && let Some(sending) = oldest.message()
            && let Some(message) = source.message(sending)
        {
            let refused = Event::refused(message, source.sender_of(sending), reason, links);
            self.watch.judged.push(refused);
            source.settled(sending, reason);
        }
        while let Some(RefusedMessage { message, sender, reason }) =
            source.reconsider(&|message| self.quarantine.verdict(message))
        {
            self.watch.judged.push(Event::refused(&message, sender, reason, links));
        }
        if self.watch.judged.len() == before {
            // It was of QoS 0, and is gone.
            source.refused_unacknowledged();
            if let Some((Suspected::Message { topic, bytes }, _)) = self.watch.noted.pop_front() {
                let refused = Event::Refused { topic, reason, bytes, sender: 0, links };
                self.watch.judged.push(refused);
            }
        }
    }
}
