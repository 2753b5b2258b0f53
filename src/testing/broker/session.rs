//! What the broker remembers of one client.

use super::Connection;
use crate::mqtt::packet::{PacketId, Property, Publish, Reason, Subscription, Varint};
use crate::mqtt::topic::{Qos, Topic, TopicFilter};
use std::collections::{BTreeMap, VecDeque};

/// How many messages wait for one absent client at most.
const QUEUE: usize = 100_000;

/// How many of them are sent to a present one without its acknowledgement.
const WINDOW: usize = 1000;

/// A client, present or not.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Whether nothing of it outlives its link.
    pub(super) ends_with_link: bool,
    pub(super) link: Option<Connection>,
    /// QoS 2 messages of the client that it has not released yet.
    pub(super) held: BTreeMap<PacketId, Publish>,
    subscriptions: Vec<Subscriber>,
    /// Not sent yet.
    queue: VecDeque<Publish>,
    /// To be sent again.
    again: VecDeque<Sent>,
    /// Sent, not acknowledged.
    in_flight: VecDeque<Sent>,
    /// How many the client takes without acknowledgement.
    window: usize,
    last_id: u16,
}

/// A subscription of a client.
#[derive(Clone, Debug)]
pub(super) struct Subscriber {
    pub(super) wanted: Subscription,
    pub(super) id: Option<u32>,
}

#[derive(Clone, Debug)]
enum Sent {
    Publish(Publish),
    /// QoS 2, and the client has it.
    Released(PacketId),
}

impl Sent {
    fn id(&self) -> Option<PacketId> {
        match self {
            Sent::Publish(publish) => publish.id,
            Sent::Released(id) => Some(*id),
        }
    }
}

/// What a client is to be told next.
#[derive(Debug)]
pub(super) enum Step {
    Publish(Publish),
    Release(PacketId),
}

impl Subscriber {
    /// The message as this subscription gets it; `None` if it does not match.
    pub(super) fn copy_of(&self, publish: &Publish) -> Option<Publish> {
        let topic = publish.topic.as_ref().map_or("", Topic::as_str);
        if !self.wanted.filter.matches(topic) {
            return None;
        }
        let mut copy = publish.clone();
        copy.qos = publish.qos.min(self.wanted.qos);
        copy.retain &= self.wanted.retain_as_published;
        (copy.dup, copy.id) = (false, None);
        copy.properties.0.extend(self.id.map(|id| Property::SubscriptionId(Varint(id))));
        Some(copy)
    }
}

impl Session {
    /// A link is there: what was on its way when the last one broke comes first again.
    pub(super) fn resume(&mut self, receive_maximum: Option<u16>) {
        self.window = receive_maximum.map_or(WINDOW, |n| WINDOW.min(usize::from(n)));
        while let Some(sent) = self.in_flight.pop_back() {
            self.again.push_front(sent);
        }
    }

    /// Whether there was no such subscription before.
    pub(super) fn subscribe(&mut self, new: Subscriber) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|known| known.wanted.filter != new.wanted.filter);
        let is_new = self.subscriptions.len() == before;
        self.subscriptions.push(new);
        is_new
    }

    pub(super) fn unsubscribe(&mut self, filters: &[TopicFilter]) -> Vec<Reason> {
        let mut gone = |filter: &TopicFilter| {
            let before = self.subscriptions.len();
            self.subscriptions.retain(|known| known.wanted.filter != *filter);
            match self.subscriptions.len() < before {
                true => Reason::SUCCESS,
                false => Reason::NO_SUBSCRIPTION_EXISTED,
            }
        };
        filters.iter().map(&mut gone).collect()
    }

    /// A message as this client gets it, once for all of its subscriptions that match.
    pub(super) fn copy_of(&self, publish: &Publish, own: bool) -> Option<Publish> {
        let wants = |subscriber: &&Subscriber| !(own && subscriber.wanted.no_local);
        let copies = self.subscriptions.iter().filter(wants);
        copies.filter_map(|subscriber| subscriber.copy_of(publish)).reduce(|mut all, copy| {
            all.qos = all.qos.max(copy.qos);
            all.retain |= copy.retain;
            let ids = copy.properties.0.into_iter();
            all.properties.0.extend(ids.filter(|p| matches!(p, Property::SubscriptionId(_))));
            all
        })
    }

    pub(super) fn enqueue(&mut self, publish: Publish) {
        // Nobody waits for QoS 0 (3.1.2.4).
        let waits = publish.qos != Qos::AtMostOnce || self.link.is_some();
        if self.queue.len() < QUEUE && waits {
            self.queue.push_back(publish);
        }
    }

    pub(super) fn enqueue_all(&mut self, messages: Vec<Publish>) {
        messages.into_iter().for_each(|publish| self.enqueue(publish));
    }

    /// The client has the message, and its identifier is free.
    pub(super) fn forget(&mut self, id: PacketId) {
        self.in_flight.retain(|sent| sent.id() != Some(id));
    }

    /// The client has the QoS 2 message.
    pub(super) fn release(&mut self, id: PacketId) {
        for sent in &mut self.in_flight {
            if sent.id() == Some(id) {
                *sent = Sent::Released(id);
            }
        }
    }

    /// What is to be sent next, as far as the window has room.
    pub(super) fn next(&mut self) -> Option<Step> {
        if let Some(sent) = self.again.pop_front() {
            self.in_flight.push_back(sent.clone());
            return Some(match sent {
                Sent::Publish(publish) => Step::Publish(Publish { dup: true, ..publish }),
                Sent::Released(id) => Step::Release(id),
            });
        }
        if self.in_flight.len() >= self.window {
            return None;
        }
        let mut publish = self.queue.pop_front()?;
        if publish.qos != Qos::AtMostOnce {
            publish.id = self.free_id();
            self.in_flight.push_back(Sent::Publish(publish.clone()));
        }
        Some(Step::Publish(publish))
    }

    /// The next identifier that no message in flight has; fewer than all of them are.
    fn free_id(&mut self) -> Option<PacketId> {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = PacketId::new(self.last_id);
            let used = |sent: &Sent| sent.id() == id;
            if id.is_some() && !self.in_flight.iter().any(used) && !self.again.iter().any(used) {
                return id;
            }
        }
    }
}
