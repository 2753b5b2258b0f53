//! Finds out what a broker ends links at, and keeps it out of the way of all else.
//!
//! - *Calm*: nothing is done.
//! - *Alert*, for some minutes after a link ended by the other side: PINGREQ follows messages of
//!   QoS 0, so that it shows which of them the broker has answered for.
//! - *Wary* of what was under way when links ended again and again: such goes with nothing else under
//!   way, on a link that has answered a PINGREQ, until it was answered once. If the link ends then, it is
//!   a suspect.
//! - A suspect is set aside, and the others flow. Now and then they are held back for a moment: the
//!   link answers a PINGREQ, then the suspect goes alone. See [`super::quarantine`] for what that proves.

use super::Session;
use super::event::Event;
use super::in_flight::SentPacket;
use super::quarantine::{Id, Quarantine, Suspected, Verdict, size};
use crate::base::backoff;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{PacketId, Reason};
use crate::mqtt::source::{RefusedMessage, Source};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So long after the end of a link the next ones are watched closely.
const ALERT: Duration = Duration::from_secs(600);

/// When a suspect was found so lately, the next one is looked for without delay.
const HUNT: Duration = Duration::from_secs(120);

/// A link that ends so soon is of no use to anybody.
const SHORT: Duration = Duration::from_secs(10);

/// When so many links in a row ended at the same, that calls for care.
const SAME: u32 = 2;

/// So many short links in a row that ended with something under way call for care, whatever it was.
const SHORT_LINKS: u32 = 4;

/// So many ends of links in [`ALERT`] call for care, even if the links were good for something.
const ENDS: u32 = 3;

/// As many kinds of messages and filters are gone about with care.
const MOST_WARY: usize = 64;

/// As many messages of QoS 0 are kept in mind.
const NOTED: usize = 128;

/// How long all else waits for the answer to a suspect.
const PATIENCE: Duration = Duration::from_secs(10);

/// Links that end at a suspect are made anew without delay: so many at once, and one more in a while.
const QUICK: u32 = 200;
const ANOTHER: Duration = Duration::from_secs(15);

/// Beyond so many suspects at once, something else is the matter.
const TOO_MANY: usize = 32;

/// Before a suspect is tried, others flow for at least so long.
const DWELL: Duration = Duration::from_millis(500);

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
    /// What was under way first when the last link ended, and how often in a row.
    last: Option<Suspected>,
    times: u32,
    short: u32,
    /// Links that ended since the other side ended none for long.
    ends: u32,
    alert_until: Option<Instant>,
    hunt_until: Option<Instant>,
    /// Links on which a suspect was to be tried, and that ended before.
    unreached: u32,
    quick: Quick,
    /// What is told when the session knows that its link is gone.
    pub(super) judged: Vec<Event>,
    /// The birth message of this link.
    birth: Option<Suspected>,
    is_alert: bool,
    /// What is gone about with care.
    wary: Vec<Suspected>,
    /// What of it is under way, and where it began.
    one: Option<(Suspected, u64)>,
    /// Whether the link has answered a PINGREQ.
    is_alive: bool,
    /// Whether what is set aside is to be judged anew.
    changed: bool,
    /// When CONNECT was sent, and when the broker let us in.
    asked: Option<Instant>,
    up: Option<Instant>,
    /// Messages of QoS 0 that the broker has not answered for, and where they end; in a calm session
    /// only where the first and the last end.
    noted: VecDeque<(Suspected, u64)>,
    unanswered: (u64, u64),
    /// Where the PINGREQ ends that is under way.
    ping: Option<u64>,
    stage: Stage,
}

/// How far a trial has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Off,
    /// Others flow until then.
    Dwell(Instant),
    /// As soon as there is something to try.
    Ready,
    /// All that is under way is being answered.
    Draining,
    /// A PINGREQ that ends here shows that the link is alive.
    Control(u64),
    /// It is.
    Go,
    Alone(Alone),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Alone {
    id: Id,
    /// Where it begins and ends.
    begin: u64,
    end: u64,
    /// When the first of it was written.
    since: Option<Instant>,
    /// Whether an acknowledgement is due.
    acknowledged: bool,
}

/// How many links may be made anew without delay.
#[derive(Debug)]
struct Quick {
    left: u32,
    since: Option<Instant>,
}

impl Default for Quick {
    fn default() -> Quick {
        Quick { left: QUICK, since: None }
    }
}

impl Quick {
    fn refill(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since).as_secs() / ANOTHER.as_secs();
        let more = u32::try_from(passed).unwrap_or(QUICK).min(QUICK);
        if more > 0 {
            self.left = (self.left + more).min(QUICK);
            self.since = Some(now);
        }
    }
}

impl PoisonSearch {
    /// Whether nothing has to be done for any message.
    pub(super) fn is_calm(&self) -> bool {
        !self.is_alert && self.wary.is_empty() && self.stage == Stage::Off
    }

    /// A link is asked for.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// PINGREQ ends here.
    pub(super) fn pinged(&mut self, end: u64) {
        self.ping = Some(end);
    }

    /// PINGRESP: how far the broker has come.
    pub(super) fn pong(&mut self) -> Option<u64> {
        self.is_alive |= self.ping.is_some();
        self.ping.take()
    }

    /// A message of QoS 0 ends here.
    fn sent_qos_0(&mut self, message: &Message, end: u64, answered_to: u64) {
        if self.unanswered.0 <= answered_to {
            self.unanswered.0 = end;
        }
        self.unanswered.1 = end;
        if !self.is_calm() && self.noted.len() < NOTED {
            self.noted.push_back((suspected(message), end));
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let alert = self.alert_until.filter(|_| self.is_alert);
        let stage = match self.stage {
            Stage::Dwell(until) => Some(until),
            Stage::Alone(Alone { since: Some(since), .. }) => Some(since + PATIENCE),
            _ => None,
        };
        [alert, stage].into_iter().flatten().min()
    }

    /// The link is gone.
    pub(super) fn link_lost(&mut self) {
        self.noted.clear();
        (self.unanswered, self.ping, self.birth) = ((0, 0), None, None);
        (self.stage, self.up, self.asked) = (Stage::Off, None, None);
        (self.one, self.is_alive) = (None, false);
    }

    /// The next link is to another broker.
    pub(super) fn another_broker(&mut self) {
        (self.last, self.times, self.short, self.ends) = (None, 0, 0, 0);
        self.wary.clear();
    }
}

fn is_of(quarantine: &Quarantine, id: Id, what: SentPacket, source: &dyn Source) -> bool {
    let message = what.message().and_then(|id| source.message(id));
    message.is_some_and(|message| quarantine.is_of(id, message))
}

fn suspected(message: &Message) -> Suspected {
    Suspected::Message { topic: message.topic.clone(), bytes: size(message) }
}

impl Session {
    /// Takes over what is known of another broker, and gives back what is known of the one before.
    pub(in crate::mqtt) fn change_quarantine(&mut self, known: Option<Quarantine>) -> Quarantine {
        self.watch.another_broker();
        std::mem::replace(&mut self.quarantine, known.unwrap_or_default())
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
            let wait = if watch.quick.left == 0 { wait.max(60 * DWELL) } else { wait };
            watch.stage = Stage::Dwell(now + wait / 2 + backoff::part(wait, chance));
        }
        self.reconsider(source);
    }

    /// Whether what is not a suspect may be sent.
    pub(super) fn may_send(&self) -> bool {
        match self.watch.stage {
            Stage::Off | Stage::Dwell(_) | Stage::Ready => {
                self.watch.one.is_none() || self.all_is_answered()
            }
            Stage::Draining | Stage::Control(_) | Stage::Go | Stage::Alone(_) => false,
        }
    }

    /// Whether subscriptions go one by one.
    pub(super) fn asks_one_by_one(&self) -> bool {
        let is_request = |it: &Suspected| !matches!(it, Suspected::Message { .. });
        self.watch.wary.iter().any(is_request)
    }

    /// Whether a request may be sent, and with care.
    pub(super) fn may_ask(&mut self) -> bool {
        self.may_send()
            && (!self.asks_one_by_one() || self.watch.is_alive && self.all_is_answered())
    }

    /// A request is in the output, from there on.
    pub(super) fn note_asked(&mut self, id: PacketId, begin: u64) {
        if self.asks_one_by_one() {
            self.watch.one = self.requests.first_of(id).map(|it| (it, begin));
        }
    }

    /// Whether a message that may be sent has to wait until nothing else is under way.
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
        let last = self.watch.unanswered.1;
        self.in_flight.is_idle() && last <= self.in_flight.answered_to
    }

    /// A message of QoS 0 is in the output, where it ends now.
    pub(super) fn note_sent(&mut self, message: &Message) {
        self.watch.sent_qos_0(message, self.queued, self.in_flight.answered_to);
    }

    /// A birth message is in the output.
    pub(super) fn note_birth(&mut self, birth: &Message) {
        self.watch.birth = Some(suspected(birth));
    }

    /// Takes the suspects out of the way, from the front of what waits.
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

    /// Whether something is not to be sent again now.
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

    /// What is suspected has changed.
    fn reconsider(&mut self, source: &mut dyn Source) {
        self.in_flight.reconsider();
        while let Some(refused) = source.reconsider(&|message| self.quarantine.verdict(message)) {
            let links = self.quarantine.ends_of(&refused.message);
            self.tell_refused(refused, links);
        }
    }

    /// A deadline may have come.
    pub(super) fn watch_timeout(&mut self, now: Instant) {
        if self.watch.alert_until.is_some_and(|until| until <= now) {
            (self.watch.is_alert, self.watch.alert_until) = (false, None);
            (self.watch.ends, self.watch.last) = (0, None);
            self.watch.wary.clear();
        }
        match self.watch.stage {
            Stage::Dwell(until) if until <= now => self.watch.stage = Stage::Ready,
            Stage::Alone(Alone { since: Some(since), .. }) if since + PATIENCE <= now => {
                // It may still be answered, but nothing else waits for that.
                self.watch.stage = Stage::Dwell(now + 2 * PATIENCE);
            }
            _ => {}
        }
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

    /// So much of the output was written.
    pub(super) fn watch_wrote(&mut self, now: Instant) {
        let written = self.written();
        if let Stage::Alone(alone) = &mut self.watch.stage
            && alone.since.is_none()
            && alone.begin < written
        {
            alone.since = Some(now);
        }
    }

    /// Goes on with what the broker has answered, after all was sent that may be.
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

    /// Asks the broker to answer for what it does not acknowledge, where that matters.
    pub(super) fn ask_for_proof(&mut self) {
        if self.watch.is_calm() {
            return;
        }
        let answered_to = self.in_flight.answered_to;
        let is_close = self.watch.is_alert
            || !self.watch.wary.is_empty()
            || matches!(self.watch.stage, Stage::Draining | Stage::Alone(_));
        let waits = is_close && self.watch.unanswered.1 > answered_to;
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

    fn go_on_with_trial(&mut self, source: &mut dyn Source) {
        match self.watch.stage {
            Stage::Ready if self.candidate(source).is_some() => {
                self.watch.stage = Stage::Draining;
                self.go_on_with_trial(source);
            }
            Stage::Draining if self.all_is_answered() && self.watch.ping.is_none() => {
                self.ping();
                self.watch.stage = Stage::Control(self.queued);
            }
            Stage::Control(end) if self.in_flight.answered_to >= end => {
                self.watch.stage = Stage::Go;
                self.go_on_with_trial(source);
            }
            Stage::Go => {
                let begin = self.queued;
                let sent = self.candidate(source).filter(|id| self.send_suspect(*id, source));
                self.watch.stage = match sent {
                    Some(id) => {
                        self.watch.unreached = 0;
                        let end = self.queued;
                        let (since, acknowledged) = (None, !self.in_flight.is_idle());
                        Stage::Alone(Alone { id, begin, end, since, acknowledged })
                    }
                    None => Stage::Ready,
                };
            }
            Stage::Alone(alone) => {
                let answered = self.in_flight.is_idle()
                    && (alone.acknowledged || self.in_flight.answered_to >= alone.end);
                if answered {
                    let quarantine = &self.quarantine;
                    source.delivered_quarantined(&|message| quarantine.is_of(alone.id, message));
                    self.quarantine.clear(alone.id);
                    self.watch.hunt_until = None;
                    self.reconsider(source);
                    let is_last = self.quarantine.open() == 0;
                    self.watch.stage = if is_last { Stage::Off } else { Stage::Ready };
                }
            }
            _ => {}
        }
    }

    /// The suspect whose turn it is, of which there is something to send.
    fn candidate(&self, source: &dyn Source) -> Option<Id> {
        if source.is_paused() {
            return None;
        }
        self.quarantine.tried().find(|id| {
            self.quarantine.filter_of(*id).is_some_and(|filter| self.requests.wants(filter))
                || self.in_flight.has_aside(|what| is_of(&self.quarantine, *id, what, source))
                || source.quarantined(&|message| self.quarantine.is_of(*id, message)).is_some()
        })
    }

    /// Sends something of a suspect.
    fn send_suspect(&mut self, id: Id, source: &mut dyn Source) -> bool {
        if let Some(filter) = self.quarantine.filter_of(id).cloned() {
            return self.ask_for(&filter);
        }
        let quarantine = &self.quarantine;
        let is_aside = |what| is_of(quarantine, id, what, source);
        if let Some((packet, what)) = self.in_flight.take_aside(is_aside) {
            self.send_again(packet, what, source);
            return true;
        }
        self.send_quarantined(id, source)
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
        let explains = explains && self.quarantine.open() <= TOO_MANY && self.watch.quick.left > 0;
        if explains {
            self.watch.quick.left -= 1;
        }
        explains
    }

    /// What was under way, oldest first, as far as that is known.
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

    /// Something ended the link, or chance did. Whether it may have been something of ours.
    fn look_for_suspect(&mut self, was_short: bool, now: Instant, source: &dyn Source) -> bool {
        let under_way = self.under_way(source);
        let is_one = self.watch.one.as_ref().is_some_and(|(_, begin)| *begin < self.written());
        let zeros = self.watch.unanswered;
        let are_known = !self.watch.is_calm() || zeros.1 <= self.in_flight.answered_to;
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

    /// A link ended with nothing but this under way.
    fn suspect(&mut self, what: Suspected, now: Instant) {
        if let Suspected::Unsubscribe(filter) = &what {
            self.watch.judged.extend(self.requests.give_up_unsubscribe(filter));
        } else if self.quarantine.add(&what, now) {
            self.watch.judged.push(Event::Suspected(what));
        }
    }

    /// Nothing of a suspect is sent any more.
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
