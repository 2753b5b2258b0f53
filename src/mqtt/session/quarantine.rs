//! What a broker ends links at: which messages and subscriptions are suspected of it, and what
//! speaks against them.
//!
//! A link may end by chance at any time, and then something was under way mostly. So a suspect is
//! tried alone, on a link that has proved to be alive, after a wait whose length is left to chance.
//! If a link that lived for a time `c` without the suspect ends within a time `w` of it, chance does
//! that once in `(c + w) / w` ends; that many bits speak against the suspect. Each end elsewhere
//! halves them, an answer to the suspect clears it.

use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::topic::{Topic, TopicFilter};
use std::time::{Duration, Instant};

/// So many bits are a proof: once in 16 million is no chance.
const PROOF: u32 = 24;

/// More bits than this a single end does not give: six ends in a row at least are a proof.
const MOST_BITS: u32 = 4;

/// What was refused is tried once more after this time, because rights and limits may have changed.
const AGAIN: Duration = Duration::from_secs(3600);

/// A suspect of which nothing more came for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(1800);

/// As many are known at once.
const MOST: usize = 256;

/// Up to so many bytes no broker finds a message too large: it is the topic that matters.
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

/// What a suspect is called.
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
    /// So many bits speak against it.
    Suspected(u32),
    Refused(Reason, Instant),
}

/// Bytes of a message that the broker may have an opinion on.
pub(super) fn size(message: &Message) -> usize {
    message.topic.len() + message.payload.len()
}

impl PoisonMessage {
    fn is_of(&self, message: &Message) -> bool {
        match &self.matter {
            Matter::Messages { topic, from, .. } => {
                *topic == message.topic && *from <= size(message)
            }
            Matter::Filter(_) => false,
        }
    }

    fn is_topic(&self, wanted: &Topic) -> bool {
        matches!(&self.matter, Matter::Messages { topic, .. } if topic == wanted)
    }
}

impl Quarantine {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are not decided.
    pub(super) fn open(&self) -> usize {
        self.list.iter().filter(|it| matches!(it.state, State::Suspected(_))).count()
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
        self.list.iter().filter_map(|suspect| match &suspect.matter {
            Matter::Filter(filter) => Some(filter),
            Matter::Messages { .. } => None,
        })
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
        match &self.find(id)?.matter {
            Matter::Filter(filter) => Some(filter),
            Matter::Messages { .. } => None,
        }
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
                let same = |it: &&PoisonMessage| it.is_topic(topic);
                let known = self.list.iter().filter(same).filter_map(|it| match &it.matter {
                    Matter::Messages { taken, .. } => Some(*taken),
                    Matter::Filter(_) => None,
                });
                // Of a topic of which the broker takes nothing, the size does not matter.
                let from = match known.max() {
                    Some(0) => 0,
                    Some(taken) if taken < *bytes => taken + 1,
                    Some(_) => *bytes,
                    None if *bytes <= SMALL => 0,
                    None => *bytes,
                };
                let at_same = |it: &PoisonMessage| {
                    let is_from = |matter: &Matter| matches!(matter, Matter::Messages { from: other, .. } if *other <= from);
                    it.is_topic(topic) && is_from(&it.matter)
                };
                if self.list.iter().any(at_same) {
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
        self.list.retain(|it| match &it.matter {
            Matter::Messages { topic: other, from: least, .. } => {
                it.id == id || *other != topic || *least < from
            }
            Matter::Filter(_) => true,
        });
    }

    /// A link ended without a suspect under way: that happens by chance, too.
    pub(super) fn ended_elsewhere(&mut self) {
        for suspect in &mut self.list {
            if let State::Suspected(bits) = &mut suspect.state {
                *bits /= 2;
            }
        }
    }

    /// The broker has taken it.
    pub(super) fn clear(&mut self, id: Id) {
        self.list.retain(|it| it.id != id);
    }

    /// The broker has taken a message.
    pub(super) fn taken(&mut self, message: &Message) {
        for suspect in self.list.iter_mut().filter(|it| it.is_topic(&message.topic)) {
            if let Matter::Messages { taken, .. } = &mut suspect.matter {
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
