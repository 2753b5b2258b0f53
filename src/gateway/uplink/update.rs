//! How the MQTT task goes over to a changed configuration.

use super::age::Ages;
use super::command::Route;
use super::{TAKEN, UplinkTask};
use crate::base::clock::Now;
use crate::gateway::discovery::Announcement;
use crate::gateway::format::Format;
use crate::gateway::topics::{self, Topics};
use crate::mqtt::link::Link;
use crate::mqtt::packet::{Properties, Reason, Subscription};
use crate::mqtt::session::{Clean, Session};
use crate::mqtt::source::Source;
use crate::mqtt::topic::TopicFilter;
use crate::outbox::journal::Order;
use crate::outbox::settings::OutboxBounds;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// What the configuration says about the MQTT task, besides the link.
#[derive(Debug)]
pub struct UplinkConfig {
    pub routes: Vec<Route>,
    pub subscriptions: Vec<Subscription>,
    pub topics: Topics,
    /// The form of what is published; taken out when it is in effect.
    pub format: Option<Format>,
    /// Names of the ports, by their numbers from 1 on.
    pub ports: Vec<String>,
    /// How often the broker's status is published when nothing changes.
    pub interval: Duration,
    pub bounds: OutboxBounds,
    /// How long the outbox may take to empty itself when the gateway ends.
    pub grace: Duration,
    /// Whether the broker sends a command again that is not acknowledged when the gateway ends.
    pub broker_keeps: bool,
    /// What is announced to Home Assistant; the announcer takes it.
    pub announcement: Option<Announcement>,
}

/// What a changed configuration means to the MQTT task.
#[derive(Debug)]
pub struct UplinkUpdate {
    /// Replaces the present link.
    pub link: Option<Link>,
    pub config: UplinkConfig,
    /// Told when the new routes are in effect.
    pub routed: oneshot::Sender<()>,
}

impl UplinkTask {
    /// Puts a changed configuration into effect. The outbox keeps its messages.
    pub(super) fn update(&mut self, UplinkUpdate { link, mut config, routed }: UplinkUpdate) {
        self.announcer.update(config.announcement.take(), Instant::now());
        let format = config.format.take();
        let farewell = topics::gateway(&self.config.topics, false);
        let place = topics::gateway(&config.topics, false).map(|entry| entry.message.topic);
        // A renamed gateway is offline under its old name.
        if let Some(farewell) = farewell.filter(|old| Some(&old.message.topic) != place.as_ref()) {
            self.outbox.push(farewell);
        }
        self.outbox.set_bounds(&config.bounds);
        self.outbox.share(config.ports.len());
        let named = self.config.ports.iter().zip(&config.ports).zip(1_u16..);
        for (_, number) in named.filter(|((old, new), _)| old != new) {
            self.outbox.given_anew(number);
        }
        if let Some(journal) = &mut self.journal {
            journal.tell(Order::Ports(config.ports.clone()));
        }
        match link {
            Some(mut link) => {
                if link.session.options().clean != Clean::Always {
                    // The same broker may have kept the subscriptions in its session.
                    let gone = gone(&self.config.subscriptions, &config.subscriptions);
                    link.session.unsubscribe(gone, &Properties::NONE);
                }
                self.next_link = Some(link);
                self.next_format = format;
                self.link.leave(Reason::SUCCESS);
            }
            None => {
                if self.next_link.is_some() {
                    self.next_format = format;
                } else {
                    self.go_on_in(format, true);
                }
                // Of two reloads in a second the first may have named another broker.
                let link = self.next_link.as_mut().unwrap_or(&mut self.link);
                subscribe(&mut link.session, &self.config.subscriptions, &config.subscriptions);
                if link.refresh() {
                    tracing::info!("certificates or the password were renewed");
                }
            }
        }
        if self.config.topics != config.topics
            && let Some(filter) = self.namesakes.begin_again()
        {
            self.link.session.unsubscribe(vec![filter], &Properties::NONE);
        }
        self.config = config;
        // The waiting side may have gone.
        let _ = routed.send(());
        self.publish_status(Now::read());
    }

    /// Readings take this form from now on.
    fn go_on_in(&mut self, mut format: Option<Format>, is_same_link: bool) {
        if let (Some(new), Some(old)) = (&mut format, self.format.take()) {
            new.adopt(old, is_same_link);
        }
        self.format = format;
    }

    /// Replaces a link that has ended; the new one delivers what it left.
    pub(super) fn take_over(&mut self) {
        let Some(mut link) = self.next_link.take() else { return };
        let before = &mut self.link;
        let client_id = |link: &Link| link.session.options().client_id.clone();
        if before.broker() == link.broker() && client_id(before) == client_id(&link) {
            // Commands that the ports still have are acknowledged on the new link.
            link.session.take_over(&mut before.session);
            self.ages.lost(Instant::now());
        } else {
            (self.taken, self.takes) = mpsc::channel(TAKEN);
            self.ages = Ages::default();
        }
        self.outbox.requeue();
        self.announcer.link_lost();
        self.link = link;
        let format = self.next_format.take();
        self.go_on_in(format, false);
        let _ = self.namesakes.begin_again();
        self.status.lost("the configuration names another broker".into(), Now::read());
    }
}

/// Filters of the old subscriptions that the new ones do not have.
fn gone(old: &[Subscription], new: &[Subscription]) -> Vec<TopicFilter> {
    let is_gone = |old: &&Subscription| !new.iter().any(|new| new.filter == old.filter);
    old.iter().filter(is_gone).map(|old| old.filter.clone()).collect()
}

/// Subscribes to what is new, and ends what is gone.
fn subscribe(session: &mut Session, old: &[Subscription], new: &[Subscription]) {
    let gone = gone(old, new);
    let added: Vec<_> = new.iter().filter(|new| !old.contains(new)).cloned().collect();
    if !gone.is_empty() {
        session.unsubscribe(gone, &Properties::NONE);
    }
    if !added.is_empty() {
        session.subscribe(added, &Properties::NONE);
    }
}
