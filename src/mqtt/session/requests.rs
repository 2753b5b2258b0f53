//! Subscriptions: which are wanted, and what the broker was asked and answered.

use super::event::Event;
use super::options::Limits;
use super::quarantine::Suspected;
use crate::base::sorted::Sorted;
use crate::mqtt::packet::{Packet, PacketId, Properties, Reason, Subscribe, Subscription};
use crate::mqtt::packet::{Unsubscribe, Version};
use crate::mqtt::topic::{Qos, TopicFilter};

/// Stands for one call of subscribe or unsubscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(u64);

/// All subscriptions of a session. They outlive links and sessions.
#[derive(Debug, Default)]
pub(super) struct Requests {
    wanted: Vec<Wanted>,
    /// Filters to unsubscribe from.
    leaving: Vec<Leaving>,
    /// Requests of this link that the broker has not answered.
    asked: Sorted<PacketId, Asked>,
    /// Answers that the broker will not give, because a later call took the place of an earlier one:
    /// so no call waits for ever.
    pub(super) overtaken: Vec<Event>,
    last: u64,
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

#[derive(Debug)]
enum Asked {
    Subscribe(Vec<(Request, TopicFilter)>),
    Unsubscribe(Vec<Leaving>),
}

/// Bytes of SUBSCRIBE and UNSUBSCRIBE besides properties and filters: the fixed header and the packet
/// identifier.
const FRAME: usize = 5 + 2;

impl Leaving {
    /// Bytes of the filter in UNSUBSCRIBE.
    fn len(&self) -> usize {
        2 + self.filter.as_str().len()
    }

    fn answered(self, reason: Reason) -> Event {
        Event::Unsubscribed { request: self.request, filter: self.filter, reason }
    }
}

impl Wanted {
    fn is_for(&self, filter: &TopicFilter) -> bool {
        self.subscription.filter == *filter
    }

    /// The calls that an answer of the broker is for: this one, and earlier ones without an answer.
    fn answered(&mut self) -> Vec<Request> {
        self.answered = true;
        let mut calls = std::mem::take(&mut self.earlier);
        calls.push(self.request);
        calls
    }
}

/// The answer to calls of subscribe for one filter.
fn subscribed(
    calls: Vec<Request>,
    filter: TopicFilter,
    granted: Result<Qos, Reason>,
) -> impl Iterator<Item = Event> {
    let event = move |request| Event::Subscribed { request, filter: filter.clone(), granted };
    calls.into_iter().map(event)
}

impl Requests {
    fn next(&mut self) -> Request {
        self.last += 1;
        Request(self.last)
    }

    fn wanted(&mut self, filter: &TopicFilter) -> Option<&mut Wanted> {
        self.wanted.iter_mut().find(|wanted| wanted.is_for(filter))
    }

    pub(super) fn wants(&self, filter: &TopicFilter) -> bool {
        self.wanted.iter().any(|wanted| wanted.is_for(filter))
    }

    /// Wants filters from now on; the broker is asked again for one that was wanted before.
    pub(super) fn subscribe(
        &mut self,
        filters: Vec<Subscription>,
        properties: &Properties,
    ) -> Request {
        let request = self.next();
        for subscription in filters {
            let before = self.wanted.iter().position(|it| it.is_for(&subscription.filter));
            let mut earlier = Vec::new();
            if let Some(mut before) = before.map(|at| self.wanted.remove(at)) {
                earlier.append(&mut before.earlier);
                earlier.extend((!before.answered).then_some(before.request));
            }
            let stale = self.leaving.extract_if(.., |it| it.filter == subscription.filter);
            self.overtaken.extend(stale.map(|it| it.answered(Reason::SUCCESS)));
            self.wanted.push(Wanted {
                request,
                answered: false,
                earlier,
                subscription,
                properties: properties.clone(),
                asked: false,
            });
        }
        request
    }

    pub(super) fn unsubscribe(
        &mut self,
        filters: Vec<TopicFilter>,
        properties: &Properties,
    ) -> Request {
        let request = self.next();
        let is_gone = |wanted: &mut Wanted| filters.contains(&wanted.subscription.filter);
        for Wanted { request, answered, earlier: mut calls, subscription, asked, .. } in
            self.wanted.extract_if(.., is_gone)
        {
            // A call that the broker was asked for is answered by the broker.
            calls.extend((!answered && !asked).then_some(request));
            let granted = Err(Reason::IMPLEMENTATION_SPECIFIC_ERROR);
            self.overtaken.extend(subscribed(calls, subscription.filter, granted));
        }
        let leaving = |filter| Leaving { request, filter, properties: properties.clone() };
        self.leaving.extend(filters.into_iter().map(leaving));
        request
    }

    /// Whether a call for a filter gets another answer on the next link.
    pub(super) fn asks_again(&self, request: Request, filter: &TopicFilter) -> bool {
        self.wanted.iter().any(|wanted| wanted.request == request && wanted.is_for(filter))
    }

    pub(super) fn is_due(&self) -> bool {
        !self.leaving.is_empty() || self.wanted.iter().any(|wanted| !wanted.asked)
    }

    /// Whether a call has no answer yet.
    pub(super) fn are_open(&self) -> bool {
        let is_open = |wanted: &Wanted| !wanted.answered || !wanted.earlier.is_empty();
        !self.leaving.is_empty() || !self.asked.is_empty() || self.wanted.iter().any(is_open)
    }

    /// The broker is not asked for a filter on this link, unless [`Requests::alone`] does.
    pub(super) fn pass_over(&mut self, filter: &TopicFilter) {
        if let Some(wanted) = self.wanted(filter) {
            wanted.asked = true;
        }
    }

    pub(super) fn alone(&mut self, filter: &TopicFilter, id: PacketId) -> Option<Packet> {
        let wanted = self.wanted(filter)?;
        wanted.asked = true;
        let (filters, properties) = (vec![wanted.subscription.clone()], wanted.properties.clone());
        let asked = Asked::Subscribe(vec![(wanted.request, filter.clone())]);
        self.asked.insert(id, asked);
        Some(Packet::Subscribe(Subscribe { id, filters, properties }))
    }

    pub(super) fn first_of(&self, id: PacketId) -> Option<Suspected> {
        Some(match self.asked.get(id)? {
            Asked::Subscribe(asked) => Suspected::Subscribe(asked.first()?.1.clone()),
            Asked::Unsubscribe(asked) => Suspected::Unsubscribe(asked.first()?.filter.clone()),
        })
    }

    /// The broker ends links at a filter: this answers the calls for it.
    pub(super) fn give_up_subscribe(&mut self, filter: &TopicFilter, reason: Reason) -> Vec<Event> {
        let calls = self.wanted(filter).map(Wanted::answered).unwrap_or_default();
        subscribed(calls, filter.clone(), Err(reason)).collect()
    }

    /// The broker ends links at an UNSUBSCRIBE for a filter: it is not asked any more.
    pub(super) fn give_up_unsubscribe(&mut self, filter: &TopicFilter) -> Vec<Event> {
        let is_it = |leaving: &mut Leaving| leaving.filter == *filter;
        let mut gone = Vec::new();
        for asked in self.asked.values_mut() {
            if let Asked::Unsubscribe(asked) = asked {
                gone.extend(asked.extract_if(.., is_it));
            }
        }
        gone.extend(self.leaving.extract_if(.., is_it));
        gone.into_iter().map(|it| it.answered(Reason::UNSPECIFIED_ERROR)).collect()
    }

    /// Answers calls that the broker refuses by its limits, without asking it. It never had a filter
    /// that is too long for an UNSUBSCRIBE.
    pub(super) fn refused(&mut self, limits: &Limits, version: Version) -> Vec<Event> {
        let is_too_long = |filter: usize, properties: &Properties| {
            FRAME + properties.len(version) + filter > limits.largest || !properties.are_writable()
        };
        let mut events = Vec::new();
        for wanted in self.wanted.iter_mut().filter(|wanted| !wanted.asked) {
            let too_long = is_too_long(wanted.subscription.len(), &wanted.properties)
                .then_some(Reason::PACKET_TOO_LARGE);
            let refused = limits.refuses(&wanted.subscription, &wanted.properties);
            if let Some(reason) = refused.or(too_long) {
                wanted.asked = true;
                let filter = wanted.subscription.filter.clone();
                events.extend(subscribed(wanted.answered(), filter, Err(reason)));
            }
        }
        let long = self.leaving.extract_if(.., |it| is_too_long(it.len(), &it.properties));
        events.extend(long.map(|it| it.answered(Reason::PACKET_TOO_LARGE)));
        events
    }

    /// The next request: as many filters of one kind as fit into a packet of `largest` bytes, but at
    /// least one.
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
        let properties = self.leaving.first()?.properties.clone();
        let mut room = largest.saturating_sub(FRAME + properties.len(version));
        let mut filters = Vec::new();
        let mut fits = |leaving: &Leaving| {
            let fits = filters.is_empty() || leaving.len() <= room;
            let fits = fits && leaving.properties == properties;
            if fits {
                room = room.saturating_sub(leaving.len());
                filters.push(leaving.filter.clone());
            }
            fits
        };
        let n = self.leaving.iter().take_while(|leaving| fits(leaving)).count();
        let asked = self.leaving.drain(..n).collect();
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

    /// SUBACK: what it answers; `None` if it does not answer what was asked.
    pub(super) fn subscribed(&mut self, id: PacketId, reasons: &[Reason]) -> Option<Vec<Event>> {
        let Asked::Subscribe(asked) = self.asked.remove(id)? else { return None };
        if asked.len() != reasons.len() {
            return None;
        }
        let mut events = Vec::new();
        for ((request, filter), reason) in asked.into_iter().zip(reasons) {
            let granted = Qos::try_from(u64::from(reason.code())).map_err(|_| *reason);
            let mut calls = vec![request];
            if let Some(wanted) = self.wanted(&filter) {
                if let Ok(granted) = granted
                    && granted < wanted.subscription.qos
                {
                    let wanted = wanted.subscription.qos.bits();
                    // The target is not the session's, which is that of the packets.
                    tracing::warn!(
                        target: "tty2mqtt::mqtt::link",
                        "the broker grants QoS {} to {}, not {wanted}",
                        granted.bits(),
                        filter.as_str()
                    );
                }
                if wanted.request == request {
                    calls = wanted.answered();
                } else {
                    wanted.earlier.retain(|earlier| *earlier != request);
                }
            }
            events.extend(subscribed(calls, filter, granted));
        }
        Some(events)
    }

    /// UNSUBACK: what it answers; `None` if it does not answer what was asked.
    pub(super) fn unsubscribed(
        &mut self,
        id: PacketId,
        mut reasons: Vec<Reason>,
        version: Version,
    ) -> Option<Vec<Event>> {
        let Asked::Unsubscribe(asked) = self.asked.remove(id)? else { return None };
        if version < Version::V5 {
            reasons = vec![Reason::SUCCESS; asked.len()];
        }
        let answered = |(leaving, reason): (Leaving, _)| leaving.answered(reason);
        (asked.len() == reasons.len())
            .then(|| asked.into_iter().zip(reasons).map(answered).collect())
    }

    /// The link is gone: everything is asked again on the next one, also of a broker that has kept the
    /// session, because what is wanted may have changed since.
    pub(super) fn link_lost(&mut self) {
        for wanted in &mut self.wanted {
            wanted.asked = false;
        }
        for asked in std::mem::take(&mut self.asked).into_values().rev() {
            match asked {
                Asked::Unsubscribe(filters) => drop(self.leaving.splice(0..0, filters)),
                Asked::Subscribe(asked) => {
                    for (request, filter) in asked {
                        let wanted = self.wanted(&filter);
                        let is_wanted = wanted.is_some_and(|wanted| {
                            wanted.request == request || wanted.earlier.contains(&request)
                        });
                        if !is_wanted {
                            let granted = Err(Reason::IMPLEMENTATION_SPECIFIC_ERROR);
                            self.overtaken.extend(subscribed(vec![request], filter, granted));
                        }
                    }
                }
            }
        }
    }
}
