//! Poison messages: which messages and subscriptions may be what a broker ends links at, and what
//! speaks against them.
//!
//! A link may end by chance at any time, and mostly something is unanswered then. So a suspect is
//! tried alone, on a link that has proved to be alive, after a wait of random length. If a link lived
//! for a time `c` without the suspect and ends within a time `w` after it was sent, chance does that
//! once in `(c + w) / w` ends; the binary logarithm of that number is the bits that speak against the
//! suspect. Each end of a link without it halves them, an answer to the suspect clears it.

use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::topic::{Topic, TopicFilter};
use std::time::{Duration, Instant};

/// This many bits are a proof: chance does that once in 16 million.
const PROOF: u32 = 24;

/// Upper bound of the bits that one end gives: a proof takes at least six ends in a row.
const MOST_BITS: u32 = 4;

/// What was refused is tried once more after this time, because rights and limits may have changed.
const AGAIN: Duration = Duration::from_secs(3600);

/// A suspect of which nothing more came for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(1800);

/// Upper bound of the suspects that are known.
const MOST: usize = 256;

/// No broker finds a message of this many bytes too large: the topic is the cause.
const SMALL: usize = 128;

/// What was under way first when a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspected {
    /// A message.
    Message {
        /// Where it should have gone.
        topic: Topic,
        /// Bytes of topic and payload.
        bytes: usize,
    },
    /// A SUBSCRIBE.
    Subscribe(TopicFilter),
    /// An UNSUBSCRIBE.
    Unsubscribe(TopicFilter),
}

impl Suspected {
    /// Bytes of a packet with it, at least.
    pub(super) fn len(&self) -> u64 {
        match self {
            Suspected::Message { bytes, .. } => *bytes as u64,
            Suspected::Subscribe(filter) | Suspected::Unsubscribe(filter) => {
                filter.as_str().len() as u64
            }
        }
    }

    /// Whether it goes to the same place.
    pub(super) fn is_like(&self, other: &Suspected) -> bool {
        match (self, other) {
            (Suspected::Message { topic, .. }, Suspected::Message { topic: other, .. }) => {
                topic == other
            }
            _ => self == other,
        }
    }
}

/// What a message is to the broker of this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Good,
    /// It is tried alone, later.
    Aside,
    /// The broker ends links at such.
    Refused(Reason),
}

/// All suspects of one broker.
#[derive(Debug, Default)]
pub(in crate::mqtt) struct Quarantine {
    list: Vec<PoisonMessage>,
    last: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u32);

#[derive(Debug)]
struct PoisonMessage {
    id: Id,
    matter: Matter,
    state: State,
    /// When it last ended a link, or was found.
    touched: Instant,
    /// Links that ended at it.
    ends: u32,
}

#[derive(Debug)]
enum Matter {
    /// Messages to a topic, from so many bytes on.
    Messages {
        topic: Topic,
        from: usize,
        /// The largest to that topic that the broker has taken since.
        taken: usize,
    },
    Filter(TopicFilter),
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// This many bits speak against it.
    Suspected(u32),
    Refused(Reason, Instant),
}

/// Bytes of a message that the broker may have an opinion on.
pub(super) fn size(message: &Message) -> usize {
    message.topic.len() + message.payload.len()
}

impl PoisonMessage {
    /// From how many bytes on messages to a topic are suspected, and the largest one that the broker
    /// has taken since.
    fn limits_of(&self, wanted: &Topic) -> Option<(usize, usize)> {
        match &self.matter {
            Matter::Messages { topic, from, taken } if topic == wanted => Some((*from, *taken)),
            _ => None,
        }
    }

    fn is_of(&self, message: &Message) -> bool {
        self.limits_of(&message.topic).is_some_and(|(from, _)| from <= size(message))
    }

    fn filter(&self) -> Option<&TopicFilter> {
        match &self.matter {
            Matter::Filter(filter) => Some(filter),
            Matter::Messages { .. } => None,
        }
    }
}

impl Quarantine {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are neither proved nor cleared.
    pub(super) fn open(&self) -> usize {
        self.tried().count()
    }

    pub(super) fn verdict(&self, message: &Message) -> Verdict {
        let mut verdict = Verdict::Good;
        for suspect in self.list.iter().filter(|suspect| suspect.is_of(message)) {
            match suspect.state {
                State::Refused(reason, _) => return Verdict::Refused(reason),
                State::Suspected(_) => verdict = Verdict::Aside,
            }
        }
        verdict
    }

    /// Filters that are not to be subscribed to with the others.
    pub(super) fn filters(&self) -> impl Iterator<Item = &TopicFilter> {
        self.list.iter().filter_map(PoisonMessage::filter)
    }

    /// Those that are to be tried, in the order of their turns.
    pub(super) fn tried(&self) -> impl Iterator<Item = Id> {
        let open = |it: &&PoisonMessage| matches!(it.state, State::Suspected(_));
        self.list.iter().filter(open).map(|it| it.id)
    }

    fn find(&self, id: Id) -> Option<&PoisonMessage> {
        self.list.iter().find(|it| it.id == id)
    }

    /// Whether a message is one of a suspect's.
    pub(super) fn is_of(&self, id: Id, message: &Message) -> bool {
        self.find(id).is_some_and(|suspect| suspect.is_of(message))
    }

    /// The filter, if it is a subscription.
    pub(super) fn filter_of(&self, id: Id) -> Option<&TopicFilter> {
        self.find(id)?.filter()
    }

    /// How many links have ended at such a message.
    pub(super) fn ends_of(&self, message: &Message) -> u32 {
        let ends = self.list.iter().filter(|it| it.is_of(message)).map(|it| it.ends);
        ends.max().unwrap_or_default()
    }

    /// How many links have ended at it.
    pub(super) fn ends(&self, id: Id) -> u32 {
        self.find(id).map_or(0, |it| it.ends)
    }

    /// A link ended at something while nothing else was under way. Whether that is new.
    pub(super) fn add(&mut self, what: &Suspected, now: Instant) -> bool {
        let matter = match what {
            Suspected::Message { topic, bytes } => {
                let known: Vec<_> = self.list.iter().filter_map(|it| it.limits_of(topic)).collect();
                // The size does not matter for a topic of which the broker takes nothing.
                let from = match known.iter().map(|(_, taken)| *taken).max() {
                    Some(0) => 0,
                    Some(taken) if taken < *bytes => taken + 1,
                    Some(_) => *bytes,
                    None if *bytes <= SMALL => 0,
                    None => *bytes,
                };
                if known.iter().any(|(least, _)| *least <= from) {
                    return false;
                }
                Matter::Messages { topic: topic.clone(), from, taken: 0 }
            }
            Suspected::Subscribe(filter) => {
                if self.filters().any(|it| it == filter) {
                    return false;
                }
                Matter::Filter(filter.clone())
            }
            Suspected::Unsubscribe(_) => return false,
        };
        if self.list.len() >= MOST {
            let decided = |it: &PoisonMessage| matches!(it.state, State::Refused(..));
            match self.list.iter().position(decided) {
                Some(at) => drop(self.list.remove(at)),
                None => return false,
            }
        }
        self.last = self.last.wrapping_add(1);
        let state = State::Suspected(0);
        self.list.push(PoisonMessage { id: Id(self.last), matter, state, touched: now, ends: 1 });
        true
    }

    /// A link that had lived for a time without the suspect ended so soon after it. Whether it is
    /// proved by that: then it counts as refused.
    pub(super) fn ended_at(
        &mut self,
        id: Id,
        (lived, within): (Duration, Duration),
        reason: Reason,
        now: Instant,
    ) -> bool {
        let Some(at) = self.list.iter().position(|it| it.id == id) else { return false };
        let suspect = &mut self.list[at];
        let State::Suspected(bits) = &mut suspect.state else { return false };
        let within = within.max(Duration::from_millis(1)).as_millis();
        let ratio = (lived.as_millis() + within) / within;
        *bits += ratio.ilog2().min(MOST_BITS);
        let is_proved = *bits >= PROOF;
        (suspect.touched, suspect.ends) = (now, suspect.ends + 1);
        if is_proved {
            suspect.state = State::Refused(reason, now + AGAIN);
            self.absorb(at);
        }
        is_proved
    }

    /// What was refused of a topic covers what was refused of it with more bytes.
    fn absorb(&mut self, at: usize) {
        let Matter::Messages { topic, from, .. } = &self.list[at].matter else { return };
        let (id, topic, from) = (self.list[at].id, topic.clone(), *from);
        let is_covered =
            |it: &PoisonMessage| it.limits_of(&topic).is_some_and(|(least, _)| least >= from);
        self.list.retain(|it| it.id == id || !is_covered(it));
    }

    /// A link ended while no suspect was tried, as happens by chance.
    pub(super) fn ended_elsewhere(&mut self) {
        for suspect in &mut self.list {
            if let State::Suspected(bits) = &mut suspect.state {
                *bits /= 2;
            }
        }
    }

    pub(super) fn clear(&mut self, id: Id) {
        self.list.retain(|it| it.id != id);
    }

    pub(super) fn taken(&mut self, message: &Message) {
        for suspect in &mut self.list {
            if let Matter::Messages { topic, taken, .. } = &mut suspect.matter
                && *topic == message.topic
            {
                *taken = size(message).max(*taken);
            }
        }
    }

    /// What was refused long ago is suspected again, with one more end to prove it.
    pub(super) fn look_again(&mut self, now: Instant) {
        for suspect in &mut self.list {
            if let State::Refused(_, until) = suspect.state
                && until <= now
            {
                (suspect.state, suspect.touched) = (State::Suspected(PROOF - 1), now);
            }
        }
        self.list.retain(|it| match it.state {
            State::Suspected(_) => now.saturating_duration_since(it.touched) < FORGOTTEN,
            State::Refused(..) => true,
        });
    }

    /// When [`Quarantine::look_again`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let until = |it: &PoisonMessage| match it.state {
            State::Refused(_, until) => until,
            State::Suspected(_) => it.touched + FORGOTTEN,
        };
        self.list.iter().map(until).min()
    }
}
