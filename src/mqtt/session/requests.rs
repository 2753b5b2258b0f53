//! Subscriptions: which are wanted, and what the broker was asked and said.

use super::options::Limits;
use crate::mqtt::packet::{Packet, PacketId, Properties, Reason, Subscribe, Subscription};
use crate::mqtt::packet::{Unsubscribe, Version};
use crate::mqtt::topic::{Qos, TopicFilter};
use std::collections::{BTreeMap, VecDeque};

/// What stands for one call of subscribe or unsubscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(u64);

/// All subscriptions of a session. They outlive links and sessions.
#[derive(Debug, Default)]
pub(super) struct Requests {
    wanted: Vec<Wanted>,
    /// Filters to be given up.
    leaving: VecDeque<(Request, TopicFilter)>,
    /// What was asked on this link and not answered.
    asked: BTreeMap<PacketId, Asked>,
    last: u64,
}

#[derive(Debug)]
struct Wanted {
    request: Request,
    subscription: Subscription,
    properties: Properties,
    /// Whether the broker was asked on this link.
    asked: bool,
}

#[derive(Debug)]
enum Asked {
    Subscribe(Vec<(Request, TopicFilter)>),
    Unsubscribe(Vec<(Request, TopicFilter)>),
}

/// What the broker said to one filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) request: Request,
    pub(super) filter: TopicFilter,
    pub(super) reason: Reason,
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
            self.wanted.retain(|wanted| !same(wanted));
            self.leaving.retain(|(_, filter)| *filter != subscription.filter);
            let properties = properties.clone();
            self.wanted.push(Wanted { request, subscription, properties, asked: false });
        }
        request
    }

    /// Wants filters no more.
    pub(super) fn unsubscribe(&mut self, filters: Vec<TopicFilter>) -> Request {
        let request = self.next();
        self.wanted.retain(|wanted| !filters.contains(&wanted.subscription.filter));
        self.leaving.extend(filters.into_iter().map(|filter| (request, filter)));
        request
    }

    /// Whether something is to be asked.
    pub(super) fn is_due(&self) -> bool {
        !self.leaving.is_empty() || self.wanted.iter().any(|wanted| !wanted.asked)
    }

    /// What the broker said beforehand that it refuses: it is not asked.
    pub(super) fn refused(&mut self, limits: &Limits, version: Version) -> Vec<Answer> {
        let mut answers = Vec::new();
        for wanted in self.wanted.iter_mut().filter(|wanted| !wanted.asked) {
            let size = FRAME + wanted.properties.len(version) + wanted.subscription.len();
            let too_long = (size > limits.largest).then_some(Reason::PACKET_TOO_LARGE);
            let refused = limits.refuses(&wanted.subscription, &wanted.properties);
            if let Some(reason) = refused.or(too_long) {
                wanted.asked = true;
                let (request, filter) = (wanted.request, wanted.subscription.filter.clone());
                answers.push(Answer { request, filter, reason });
            }
        }
        answers
    }

    /// Filters that the broker cannot even be asked to give up; it never had them.
    pub(super) fn too_long(&mut self, largest: usize) -> Vec<Answer> {
        let is_long = |filter: &TopicFilter| FRAME + 1 + 2 + filter.as_str().len() > largest;
        let (long, rest): (Vec<_>, _) =
            self.leaving.drain(..).partition(|(_, filter)| is_long(filter));
        self.leaving = rest.into();
        answers(long, std::iter::repeat(Reason::PACKET_TOO_LARGE))
    }

    /// The next thing to ask: as many filters of one kind as fit into a packet of `largest` bytes.
    pub(super) fn next_packet(
        &mut self,
        id: PacketId,
        largest: usize,
        version: Version,
    ) -> Option<Packet> {
        self.next_unsubscribe(id, largest).or_else(|| self.next_subscribe(id, largest, version))
    }

    fn next_unsubscribe(&mut self, id: PacketId, largest: usize) -> Option<Packet> {
        // The length of no properties takes a byte.
        let mut room = largest.saturating_sub(FRAME + 1);
        let mut asked = Vec::new();
        while let Some((_, filter)) = self.leaving.front()
            && (asked.is_empty() || filter.as_str().len() + 2 <= room)
        {
            room = room.saturating_sub(filter.as_str().len() + 2);
            asked.extend(self.leaving.pop_front());
        }
        if asked.is_empty() {
            return None;
        }
        let filters = asked.iter().map(|(_, filter)| filter.clone()).collect();
        self.asked.insert(id, Asked::Unsubscribe(asked));
        Some(Packet::Unsubscribe(Unsubscribe { id, filters, properties: Properties::NONE }))
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
        match self.asked.remove(&id)? {
            Asked::Subscribe(asked) if asked.len() == reasons.len() => {
                Some(answers(asked, reasons.iter().copied()))
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
        match self.asked.remove(&id)? {
            Asked::Unsubscribe(asked) if version < Version::V5 => {
                Some(answers(asked, std::iter::repeat(Reason::SUCCESS)))
            }
            Asked::Unsubscribe(asked) if asked.len() == reasons.len() => {
                Some(answers(asked, reasons.iter().copied()))
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
            if let Asked::Unsubscribe(filters) = asked {
                filters.into_iter().rev().for_each(|leaving| self.leaving.push_front(leaving));
            }
        }
    }
}

/// Bytes of SUBSCRIBE and UNSUBSCRIBE besides properties and filters: the fixed header, the
/// identifier.
const FRAME: usize = 5 + 2;

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
