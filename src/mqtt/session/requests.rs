//! Subscriptions: which are wanted, and what the broker was asked and said.

use super::options::Limits;
use super::quarantine::Suspected;
use crate::mqtt::packet::{Packet, PacketId, Properties, Reason, Subscribe, Subscription};
use crate::mqtt::packet::{Unsubscribe, Version};
use crate::mqtt::sorted::Sorted;
use crate::mqtt::topic::{Qos, TopicFilter};
use std::collections::VecDeque;

/// What stands for one call of subscribe or unsubscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(u64);

/// All subscriptions of a session. They outlive links and sessions.
#[derive(Debug, Default)]
pub(super) struct Requests {
    wanted: Vec<Wanted>,
    /// Filters to be given up.
    leaving: VecDeque<Leaving>,
    /// What was asked on this link and not answered.
    asked: Sorted<PacketId, Asked>,
    /// Answers that the broker will not give, because a later call took the place of an earlier one.
    overtaken: Vec<(Kind, Answer)>,
    last: u64,
}

/// What an answer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Subscribe,
    Unsubscribe,
}

#[derive(Debug)]
struct Wanted {
    request: Request,
    /// Whether the broker ever answered that call.
    answered: bool,
    /// Calls for the same filter that this one took the place of before they were answered.
    earlier: Vec<Request>,
    subscription: Subscription,
    properties: Properties,
    /// Whether the broker was asked on this link.
    asked: bool,
}

#[derive(Debug)]
struct Leaving {
    request: Request,
    filter: TopicFilter,
    properties: Properties,
}

impl Leaving {
    /// Bytes of an UNSUBSCRIBE for it alone.
    fn len(&self, version: Version) -> usize {
        FRAME + self.properties.len(version) + 2 + self.filter.as_str().len()
    }
}

#[derive(Debug)]
enum Asked {
    Subscribe(Vec<(Request, TopicFilter)>),
    Unsubscribe(Vec<Leaving>),
}

/// What the broker said to one filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) request: Request,
    pub(super) filter: TopicFilter,
    pub(super) reason: Reason,
}

impl Wanted {
    /// The calls that are still to be answered.
    fn unanswered(mut self) -> Vec<Request> {
        if !self.answered {
            self.earlier.push(self.request);
        }
        self.earlier
    }

    /// Its call is answered; the earlier ones that are so with it.
    fn answered(&mut self) -> Vec<Request> {
        self.answered = true;
        std::mem::take(&mut self.earlier)
    }

    /// Whether the next answer of the broker is one to this call.
    fn has(&self, request: Request) -> bool {
        self.request == request || self.earlier.contains(&request)
    }
}

impl Requests {
    fn next(&mut self) -> Request {
        self.last += 1;
        Request(self.last)
    }

    /// Wants filters from now on; one that was wanted before is asked for anew.
    pub(super) fn subscribe(
        &mut self,
        filters: Vec<Subscription>,
        properties: &Properties,
    ) -> Request {
        let request = self.next();
        for subscription in filters {
            let same = |w: &Wanted| w.subscription.filter == subscription.filter;
            let before = self.wanted.iter().position(same).map(|at| self.wanted.remove(at));
            let earlier = before.map(Wanted::unanswered).unwrap_or_default();
            let (stale, rest): (VecDeque<_>, _) =
                self.leaving.drain(..).partition(|leaving| leaving.filter == subscription.filter);
            self.leaving = rest;
            self.overtake(Kind::Unsubscribe, calls(stale));
            let properties = properties.clone();
            let (answered, asked) = (false, false);
            self.wanted.push(Wanted {
                request,
                answered,
                earlier,
                subscription,
                properties,
                asked,
            });
        }
        request
    }

    /// Wants filters no more.
    pub(super) fn unsubscribe(
        &mut self,
        filters: Vec<TopicFilter>,
        properties: &Properties,
    ) -> Request {
        let request = self.next();
        let gone = |wanted: &mut Wanted| filters.contains(&wanted.subscription.filter);
        let gone: Vec<_> = self.wanted.extract_if(.., gone).collect();
        for wanted in gone {
            let filter = wanted.subscription.filter.clone();
            // What the broker was asked already it answers itself.
            let asked = wanted.asked.then_some(wanted.request);
            let unanswered = wanted.unanswered().into_iter().filter(|call| Some(*call) != asked);
            let stale = unanswered.map(|call| (call, filter.clone())).collect();
            self.overtake(Kind::Subscribe, stale);
        }
        let leaving = |filter| Leaving { request, filter, properties: properties.clone() };
        self.leaving.extend(filters.into_iter().map(leaving));
        request
    }

    fn overtake(&mut self, kind: Kind, calls: Vec<(Request, TopicFilter)>) {
        let reason = match kind {
            Kind::Subscribe => Reason::IMPLEMENTATION_SPECIFIC_ERROR,
            Kind::Unsubscribe => Reason::SUCCESS,
        };
        let answer = |(request, filter)| (kind, Answer { request, filter, reason });
        self.overtaken.extend(calls.into_iter().map(answer));
    }

    /// Answers to calls that the broker will not answer any more: none of them waits for ever.
    pub(super) fn overtaken(&mut self) -> Vec<(Kind, Answer)> {
        std::mem::take(&mut self.overtaken)
    }

    /// Whether a call for a filter gets another answer on the next link.
    pub(super) fn asks_again(&self, request: Request, filter: &TopicFilter) -> bool {
        self.wanted.iter().any(|w| w.request == request && w.subscription.filter == *filter)
    }

    /// The QoS that is wanted for a filter.
    pub(super) fn qos(&self, filter: &TopicFilter) -> Option<Qos> {
        let wanted = self.wanted.iter().find(|wanted| wanted.subscription.filter == *filter);
        wanted.map(|wanted| wanted.subscription.qos)
    }

    /// Whether something is to be asked.
    pub(super) fn is_due(&self) -> bool {
        !self.leaving.is_empty() || self.wanted.iter().any(|wanted| !wanted.asked)
    }

    /// A filter is not asked for on this link, unless [`Requests::alone`] does.
    pub(super) fn pass_over(&mut self, filter: &TopicFilter) {
        let same = |wanted: &&mut Wanted| wanted.subscription.filter == *filter;
        if let Some(wanted) = self.wanted.iter_mut().find(same) {
            wanted.asked = true;
        }
    }

    /// Whether a filter is wanted.
    pub(super) fn wants(&self, filter: &TopicFilter) -> bool {
        self.wanted.iter().any(|wanted| wanted.subscription.filter == *filter)
    }

    /// Asks for one filter.
    pub(super) fn alone(&mut self, filter: &TopicFilter, id: PacketId) -> Option<Packet> {
        let same = |wanted: &&mut Wanted| wanted.subscription.filter == *filter;
        let wanted = self.wanted.iter_mut().find(same)?;
        wanted.asked = true;
        let (filters, properties) = (vec![wanted.subscription.clone()], wanted.properties.clone());
        self.asked.insert(id, Asked::Subscribe(vec![(wanted.request, filter.clone())]));
        Some(Packet::Subscribe(Subscribe { id, filters, properties }))
    }

    /// The first of what a packet asks for.
    pub(super) fn first_of(&self, id: PacketId) -> Option<Suspected> {
        match self.asked.get(id)? {
            Asked::Subscribe(asked) => {
                asked.first().map(|(_, it)| Suspected::Subscribe(it.clone()))
            }
            Asked::Unsubscribe(asked) => {
                asked.first().map(|it| Suspected::Unsubscribe(it.filter.clone()))
            }
        }
    }

    /// The broker ends links at a filter: those who asked for it are answered.
    pub(super) fn give_up_subscribe(
        &mut self,
        filter: &TopicFilter,
        reason: Reason,
    ) -> Vec<Answer> {
        let same = |wanted: &&mut Wanted| wanted.subscription.filter == *filter;
        let Some(wanted) = self.wanted.iter_mut().find(same) else { return Vec::new() };
        let calls = wanted.answered().into_iter().chain([wanted.request]);
        calls.map(|request| Answer { request, filter: filter.clone(), reason }).collect()
    }

    /// The broker ends links when it is to give up a filter: it is not asked any more.
    pub(super) fn give_up_unsubscribe(&mut self, filter: &TopicFilter) -> Vec<Answer> {
        let is_it = |leaving: &mut Leaving| leaving.filter == *filter;
        let mut gone = Vec::new();
        for asked in self.asked.values_mut() {
            if let Asked::Unsubscribe(asked) = asked {
                gone.extend(asked.extract_if(.., is_it));
            }
        }
        let (same, rest): (VecDeque<_>, _) =
            self.leaving.drain(..).partition(|leaving| leaving.filter == *filter);
        self.leaving = rest;
        gone.extend(same);
        answers(calls(gone), std::iter::repeat(Reason::UNSPECIFIED_ERROR))
    }

    /// What the broker said beforehand that it refuses: it is not asked.
    pub(super) fn refused(&mut self, limits: &Limits, version: Version) -> Vec<Answer> {
        let mut answers = Vec::new();
        for wanted in self.wanted.iter_mut().filter(|wanted| !wanted.asked) {
            let size = FRAME + wanted.properties.len(version) + wanted.subscription.len();
            let too_long = size > limits.largest || !wanted.properties.are_writable();
            let too_long = too_long.then_some(Reason::PACKET_TOO_LARGE);
            let refused = limits.refuses(&wanted.subscription, &wanted.properties);
            if let Some(reason) = refused.or(too_long) {
                wanted.asked = true;
                let filter = wanted.subscription.filter.clone();
                for request in wanted.answered().into_iter().chain([wanted.request]) {
                    answers.push(Answer { request, filter: filter.clone(), reason });
                }
            }
        }
        answers
    }

    /// Filters that the broker cannot even be asked to give up; it never had them.
    pub(super) fn too_long(&mut self, largest: usize, version: Version) -> Vec<Answer> {
        let (long, rest): (VecDeque<_>, _) = self.leaving.drain(..).partition(|leaving| {
            leaving.len(version) > largest || !leaving.properties.are_writable()
        });
        self.leaving = rest;
        answers(calls(long), std::iter::repeat(Reason::PACKET_TOO_LARGE))
    }

    /// The next thing to ask: as many filters of one kind as fit into a packet of `largest` bytes; of
    /// 0 bytes fits one.
    pub(super) fn next_packet(
        &mut self,
        id: PacketId,
        largest: usize,
        version: Version,
    ) -> Option<Packet> {
        self.next_unsubscribe(id, largest, version)
            .or_else(|| self.next_subscribe(id, largest, version))
    }

    fn next_unsubscribe(
        &mut self,
        id: PacketId,
        largest: usize,
        version: Version,
    ) -> Option<Packet> {
        let first = self.leaving.pop_front()?;
        let properties = first.properties.clone();
        let mut room = largest.saturating_sub(first.len(version));
        let mut asked = vec![first];
        while let Some(next) = self.leaving.front()
            && next.properties == properties
            && next.filter.as_str().len() + 2 <= room
        {
            room -= next.filter.as_str().len() + 2;
            asked.extend(self.leaving.pop_front());
        }
        let filters = asked.iter().map(|leaving| leaving.filter.clone()).collect();
        self.asked.insert(id, Asked::Unsubscribe(asked));
        Some(Packet::Unsubscribe(Unsubscribe { id, filters, properties }))
    }

    fn next_subscribe(&mut self, id: PacketId, largest: usize, version: Version) -> Option<Packet> {
        let first = self.wanted.iter().find(|wanted| !wanted.asked)?;
        let properties = first.properties.clone();
        let mut room = largest.saturating_sub(FRAME + properties.len(version));
        let (mut asked, mut filters) = (Vec::new(), Vec::new());
        for wanted in self.wanted.iter_mut().filter(|wanted| !wanted.asked) {
            let len = wanted.subscription.len();
            if wanted.properties != properties || !filters.is_empty() && len > room {
                continue;
            }
            room = room.saturating_sub(len);
            wanted.asked = true;
            asked.push((wanted.request, wanted.subscription.filter.clone()));
            filters.push(wanted.subscription.clone());
        }
        self.asked.insert(id, Asked::Subscribe(asked));
        Some(Packet::Subscribe(Subscribe { id, filters, properties }))
    }

    /// SUBACK; `None` if it does not answer what was asked.
    pub(super) fn subscribed(&mut self, id: PacketId, reasons: &[Reason]) -> Option<Vec<Answer>> {
        match self.asked.remove(id)? {
            Asked::Subscribe(asked) if asked.len() == reasons.len() => {
                let mut answers = answers(asked, reasons.iter().copied());
                for at in 0..answers.len() {
                    let Answer { request, filter, reason } = answers[at].clone();
                    let same = |wanted: &&mut Wanted| wanted.subscription.filter == filter;
                    let Some(wanted) = self.wanted.iter_mut().find(same) else { continue };
                    if wanted.request != request {
                        wanted.earlier.retain(|earlier| *earlier != request);
                        continue;
                    }
                    for request in wanted.answered() {
                        answers.push(Answer { request, filter: filter.clone(), reason });
                    }
                }
                Some(answers)
            }
            _ => None,
        }
    }

    /// UNSUBACK; before 5.0 it gives no reasons.
    pub(super) fn unsubscribed(
        &mut self,
        id: PacketId,
        reasons: &[Reason],
        version: Version,
    ) -> Option<Vec<Answer>> {
        match self.asked.remove(id)? {
            Asked::Unsubscribe(asked) if version < Version::V5 => {
                Some(answers(calls(asked), std::iter::repeat(Reason::SUCCESS)))
            }
            Asked::Unsubscribe(asked) if asked.len() == reasons.len() => {
                Some(answers(calls(asked), reasons.iter().copied()))
            }
            _ => None,
        }
    }

    /// The link is gone: everything is asked anew on the next one. Also of a session that the broker
    /// still has, because what is wanted may have changed since.
    pub(super) fn link_lost(&mut self) {
        for wanted in &mut self.wanted {
            wanted.asked = false;
        }
        for asked in std::mem::take(&mut self.asked).into_values().rev() {
            match asked {
                Asked::Unsubscribe(filters) => {
                    filters.into_iter().rev().for_each(|leaving| self.leaving.push_front(leaving));
                }
                Asked::Subscribe(mut filters) => {
                    filters.retain(|(request, filter)| {
                        let same = |w: &Wanted| w.subscription.filter == *filter && w.has(*request);
                        !self.wanted.iter().any(same)
                    });
                    self.overtake(Kind::Subscribe, filters);
                }
            }
        }
    }
}

/// Bytes of SUBSCRIBE and UNSUBSCRIBE besides properties and filters: the fixed header, the
/// identifier.
const FRAME: usize = 5 + 2;

fn calls(leaving: impl IntoIterator<Item = Leaving>) -> Vec<(Request, TopicFilter)> {
    leaving.into_iter().map(|leaving| (leaving.request, leaving.filter)).collect()
}

fn answers(
    asked: Vec<(Request, TopicFilter)>,
    reasons: impl Iterator<Item = Reason>,
) -> Vec<Answer> {
    let answer = |((request, filter), reason)| Answer { request, filter, reason };
    asked.into_iter().zip(reasons).map(answer).collect()
}

/// The QoS that a SUBACK grants.
pub(super) fn granted(reason: Reason) -> Result<Qos, Reason> {
    Qos::try_from(u64::from(reason.code())).map_err(|_| reason)
}
