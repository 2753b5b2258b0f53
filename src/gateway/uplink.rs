//! The MQTT task of the gateway: messages from the ports go to the outbox, commands to the ports,
//! and the broker is told how the gateway is.

mod age;
mod away;
mod leftover;
mod namesake;
mod refused;
mod saving;

use crate::base::clock::{Now, Stamp};
use crate::base::log::lasting::Lasting;
use crate::device::command::CommandError;
use crate::device::inbound::{AckGuard, Inbound, Receipt};
use crate::gateway::status::{BrokerReport, BrokerStatus, Program, mark, sender};
use crate::gateway::topics::{self, Topics};
use crate::mqtt::link::{self, Link, LinkError};
use crate::mqtt::packet::{ConnAck, Properties, Reason, Subscription};
use crate::mqtt::session::{AckToken, Clean, Event, Received, Session};
use crate::mqtt::topic::{Qos, Topic, TopicFilter};
use crate::mqtt::url::BrokerUrl;
use crate::outbox::Outbox;
use crate::outbox::entry::Entry;
use crate::outbox::inlet;
use crate::outbox::journal::Journal;
use crate::outbox::settings::OutboxBounds;
use crate::port::status::command_report;
use crate::port::task::{Inbox, OfferError};
use age::Ages;
use away::AwayLog;
use leftover::Leftovers;
use namesake::Namesakes;
use refused::RefusedLog;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

/// Where the messages of some subscriptions go.
#[derive(Clone, Debug)]
pub struct Route {
    pub filters: Vec<TopicFilter>,
    /// Takes each message that one of the filters matches, once.
    pub inbox: Inbox,
    /// Where a message is reported whose port has ended.
    pub report: Topic,
}

/// All that the MQTT task owns.
#[derive(Debug)]
pub struct Uplink {
    /// The client. Its subscriptions are those of the routes.
    pub link: Link,
    pub outbox: Outbox,
    /// Where messages wait that are to survive more than the broker's absence, and how it stands.
    pub journal: Option<Journal>,
    /// Messages from the ports; its end is the end of the gateway.
    pub outlet: inlet::Receiver,
    /// What a changed configuration means to this task.
    pub updates: mpsc::Receiver<UplinkUpdate>,
    pub requests: mpsc::Receiver<UplinkRequest>,
    pub config: UplinkConfig,
    /// What is said about the program at each connect.
    pub program: Program,
}

/// What others want of the MQTT task.
#[derive(Debug)]
pub enum UplinkRequest {
    /// How the link and the outbox are.
    Status(oneshot::Sender<UplinkReport>),
    /// Reconnect now. Replies with the previous state of the link.
    Reconnect(oneshot::Sender<link::State>),
}

/// How the link and the outbox are: what the broker's status message says, and more.
#[derive(Debug)]
pub struct UplinkReport {
    pub broker: BrokerReport,
    pub url: Option<String>,
    pub state: String,
    /// Seconds from the write of a packet to the broker's answer.
    pub round_trip: Option<f64>,
    /// What tells gateways of one name apart.
    pub instance: String,
}

/// Capacity of the request channel.
pub const REQUESTS: usize = 16;

/// What the configuration says about the MQTT task, besides the link.
#[derive(Debug)]
pub struct UplinkConfig {
    pub routes: Vec<Route>,
    pub subscriptions: Vec<Subscription>,
    pub topics: Topics,
    /// Names of the ports, by their numbers from 1 on.
    pub ports: Vec<String>,
    /// How often the broker's status is published when nothing changes.
    pub interval: Duration,
    pub bounds: OutboxBounds,
    /// How long the outbox may take to empty itself when the gateway ends.
    pub grace: Duration,
    /// Whether the broker gives a command again that is not acknowledged when the gateway ends.
    pub broker_keeps: bool,
}

/// What a changed configuration means to the MQTT task.
#[derive(Debug)]
pub struct UplinkUpdate {
    /// Another link, in place of the one that there is.
    pub link: Option<Link>,
    pub config: UplinkConfig,
    /// Told when messages go by the new routes.
    pub routed: oneshot::Sender<()>,
}

/// Runs the MQTT task until every port has ended and what they left was sent, or the grace time
/// for that is over. Returns how many messages could not be delivered.
pub async fn run(uplink: Uplink) -> usize {
    let now = Now::read();
    let (taken, takes) = mpsc::channel(TAKEN);
    let clock_is_set = Stamp(now.wall).is_synchronised();
    let mut running = UplinkTask {
        clock_is_set,
        next_status: now.mono + uplink.config.interval,
        uplink,
        status: BrokerStatus::away(now),
        away: AwayLog::default(),
        namesakes: Namesakes::default(),
        next_link: None,
        ended: None,
        hanging: Lasting::default(),
        is_resumed: false,
        leftovers: Leftovers::default(),
        wildcards: Lasting::default(),
        ages: Ages::default(),
        taken,
        takes,
        refused: RefusedLog::default(),
    };
    running.uplink.outbox.disconnected(now.mono);
    if clock_is_set && let Some(journal) = &mut running.uplink.journal {
        journal.clock_is_set(now);
    }
    running.run().await
}

/// As many as there are packet identifiers: no more messages can be unacknowledged.
const TAKEN: usize = 65_536;

struct UplinkTask {
    uplink: Uplink,
    status: BrokerStatus,
    away: AwayLog,
    namesakes: Namesakes,
    next_status: Instant,
    /// Takes over when the link there is has said goodbye.
    next_link: Option<Link>,
    /// When every port had ended.
    ended: Option<Instant>,
    /// The journal's disk hangs, for the log.
    hanging: Lasting,
    /// Whether the link goes on with a session that the broker kept, and what was found in it.
    is_resumed: bool,
    leftovers: Leftovers,
    /// Messages whose topic had a wildcard.
    wildcards: Lasting,
    /// How old messages from the broker are.
    ages: Ages,
    /// Lent to each command message, and where they come back.
    taken: mpsc::Sender<AckToken>,
    takes: mpsc::Receiver<AckToken>,
    clock_is_set: bool,
    /// What the log was told of messages that the broker does not take.
    refused: RefusedLog,
}

impl UplinkTask {
    async fn run(mut self) -> usize {
        loop {
            let ended = self.ended.filter(|_| !self.uplink.link.is_parting());
            let grace = ended.map(|ended| ended + self.uplink.config.grace);
            let outbox = &self.uplink.outbox;
            let journal = self.uplink.journal.as_ref();
            let journal = journal.and_then(|_| outbox.journal_deadline(Instant::now()));
            let due = [grace, journal];
            let due = due.into_iter().flatten().fold(self.next_status, Instant::min);
            tokio::select! {
                event = self.uplink.link.event(&mut self.uplink.outbox) => match event {
                    link::Event::Session(event) => self.tell(event),
                    // The journal is told below, and whether nothing is left to be sent is looked at there.
                    link::Event::SourceWants | link::Event::Emptied | link::Event::Outcome(..) => {}
                    link::Event::Down(why) => self.down(&why),
                    link::Event::Stopped if self.next_link.is_none() => break,
                    link::Event::Stopped => {}
                },
                Some(update) = self.uplink.updates.recv() => self.update(update),
                Some(request) = self.uplink.requests.recv() => self.answer(request),
                batch = self.uplink.outlet.next(), if self.takes_more() => match batch {
                    Some(entries) => self.store(entries),
                    None => self.end(),
                },
                Some(token) = self.takes.recv() => {
                    self.uplink.link.session.acknowledge(token, Reason::SUCCESS);
                }
                event = saving::event(&mut self.uplink.journal) => self.hear_journal(event),
                () = sleep_until(due.into()) => {
                    if self.next_status <= Instant::now() {
                        self.publish_status(Now::read());
                        self.look_for_namesakes();
                    }
                }
            }
            if !self.clock_is_set {
                self.look_at_the_clock();
            }
            let session = &mut self.uplink.link.session;
            if self.ages.wants_to_ask() && !session.owes_answers() && session.ask_for_pong() {
                self.ages.asked();
            }
            self.tell_journal();
            if self.uplink.link.is_stopped() {
                self.take_over();
            }
            if self.ended.is_some() {
                // What the ports wrote last is not to come again.
                while let Ok(token) = self.takes.try_recv() {
                    self.uplink.link.session.acknowledge(token, Reason::SUCCESS);
                }
            }
            if self.may_leave() {
                self.uplink.link.leave(Reason::SUCCESS);
                if self.uplink.link.is_stopped() {
                    break;
                }
            }
        }
        self.save().await
    }

    /// A router without a clock chip learns the time minutes after its boot.
    fn look_at_the_clock(&mut self) {
        let now = Now::read();
        if !Stamp(now.wall).is_synchronised() {
            return;
        }
        self.clock_is_set = true;
        self.uplink.outbox.correct(now);
        if let Some(journal) = &mut self.uplink.journal {
            journal.clock_is_set(now);
        }
        tracing::info!("the clock is set: it is {}", Stamp(now.wall));
    }

    /// Goes on by a changed configuration. The outbox stays as it is.
    fn update(&mut self, UplinkUpdate { link, config, routed }: UplinkUpdate) {
        let uplink = &mut self.uplink;
        let farewell = topics::gateway(&uplink.config.topics, false);
        let place = topics::gateway(&config.topics, false).map(|entry| entry.message.topic);
        // Under its old name the gateway is gone.
        if let Some(farewell) = farewell.filter(|old| Some(&old.message.topic) != place.as_ref()) {
            uplink.outbox.push(farewell);
        }
        uplink.outbox.set_bounds(&config.bounds);
        uplink.outbox.share(config.ports.len());
        let named = uplink.config.ports.iter().zip(&config.ports).zip(1_u16..);
        for (_, number) in named.filter(|((old, new), _)| old != new) {
            uplink.outbox.given_anew(number);
        }
        if let Some(journal) = &mut uplink.journal {
            journal.name_ports(config.ports.clone());
        }
        match link {
            Some(mut link) => {
                if link.session.options().clean != Clean::Always {
                    // It may be the same broker, which keeps them.
                    let gone = gone(&uplink.config.subscriptions, &config.subscriptions);
                    link.session.unsubscribe(gone);
                }
                self.next_link = Some(link);
                uplink.link.leave(Reason::SUCCESS);
            }
            None => {
                // Of two reloads in a second the first may have named another broker.
                let link = self.next_link.as_mut().unwrap_or(&mut uplink.link);
                subscribe(&mut link.session, &uplink.config.subscriptions, &config.subscriptions);
                if link.refresh() {
                    tracing::info!("certificates or the password were renewed");
                }
            }
        }
        if uplink.config.topics != config.topics
            && let Some(filter) = self.namesakes.begin_again()
        {
            uplink.link.session.unsubscribe(vec![filter]);
        }
        uplink.config = config;
        // Who waits for it may have gone.
        let _ = routed.send(());
        self.publish_status(Now::read());
    }

    fn answer(&mut self, request: UplinkRequest) {
        let link = &mut self.uplink.link;
        // Who asked may have gone.
        match request {
            UplinkRequest::Status(reply) => {
                let _ = reply.send(UplinkReport {
                    broker: self.status.report(&self.uplink.outbox, &self.uplink.config.ports),
                    url: link.broker().map(BrokerUrl::to_string),
                    state: link.state().borrow().to_string(),
                    round_trip: link.round_trip().map(|took| took.as_secs_f64()),
                    instance: mark(&link.session.options().client_id),
                });
            }
            UplinkRequest::Reconnect(reply) => {
                let _ = reply.send(link.state().borrow().clone());
                link.reconnect();
            }
        }
    }

    /// The link before has ended; what it did not deliver, the new one will.
    fn take_over(&mut self) {
        let Some(mut link) = self.next_link.take() else { return };
        let before = &mut self.uplink.link;
        let client_id = |link: &Link| link.session.options().client_id.clone();
        if before.broker() == link.broker() && client_id(before) == client_id(&link) {
            // What ports hold will be acknowledged on the new link.
            link.session.take_over(&mut before.session);
            self.ages.lost(Instant::now());
        } else {
            (self.taken, self.takes) = mpsc::channel(TAKEN);
            self.ages = Ages::default();
        }
        self.uplink.outbox.requeue();
        self.uplink.link = link;
        let _ = self.namesakes.begin_again();
        self.status.lost("the configuration names another broker".into(), Now::read());
    }

    /// Takes in what the ports sent, several reads at once so that they share a write.
    fn store(&mut self, entries: Vec<Entry>) {
        let mut next = Some(entries);
        // Bounded, so that a flood of messages does not keep the link waiting.
        for _ in 0..64 {
            let Some(entries) = next else { return };
            self.push(entries);
            if !self.takes_more() {
                return;
            }
            next = self.uplink.outlet.try_next();
        }
        self.push(next.unwrap_or_default());
    }

    fn push(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if entry.is_about_us() {
                self.tell_about_us(entry);
                continue;
            }
            self.uplink.outbox.push(entry);
        }
    }

    /// Publishes what the gateway says about itself, as far as it is to say anything.
    fn tell_about_us(&mut self, entry: Entry) {
        if let Some(entry) = self.uplink.config.topics.admit(entry) {
            self.uplink.outbox.push(entry);
        }
    }

    /// Every port has ended: the broker is told that the gateway is leaving.
    fn end(&mut self) {
        self.ended = Some(Instant::now());
        self.publish_status(Now::read());
        if let Some(farewell) = topics::gateway(&self.uplink.config.topics, false) {
            self.uplink.outbox.push(farewell);
        }
    }

    /// Whether nothing is left to be sent, or there is no more time for it. Without a link nothing
    /// can be sent.
    fn may_leave(&self) -> bool {
        let Some(ended) = self.ended else { return false };
        let nothing_left = self.uplink.outbox.is_empty();
        nothing_left
            || !self.status.is_connected()
            || Instant::now() >= ended + self.uplink.config.grace
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Connected(answer) => self.connected(&answer),
            Event::Message(message) => {
                self.hear_namesakes(&message);
                self.route(message);
            }
            Event::Subscribed { filter, granted, .. }
                if self.namesakes.answered(&filter, granted.is_ok()) =>
            {
                let filter = filter.as_str();
                match granted {
                    Ok(_) => tracing::debug!("subscribed to {filter}, for others of our name"),
                    Err(why) => tracing::info!(
                        "another gateway of our name would not be noticed: the broker refuses the \
                         subscription to {filter}: {why}"
                    ),
                }
            }
            Event::Subscribed { filter, granted, .. } => {
                let filter = filter.as_str();
                match granted {
                    Ok(qos) => {
                        tracing::debug!("subscribed to {filter} with QoS {}", qos.bits());
                    }
                    Err(why) => {
                        tracing::error!("the broker refuses the subscription to {filter}: {why}");
                    }
                }
            }
            Event::Oversize { topic, bytes, .. } => {
                tracing::warn!("a message of {bytes} bytes to {topic} was too large for us");
            }
            Event::WildcardTopic { topic } => {
                self.status.passed_over();
                if let Some(again) = self.wildcards.occurred(Instant::now()) {
                    let topic = topic.as_deref().unwrap_or("a topic with a wildcard");
                    tracing::warn!(
                        "a message to {topic:?} was passed over: nobody may publish to a wildcard. \
                         RabbitMQ makes such of a `*`; with it, set `broker.amqp_topics`{again}"
                    );
                }
            }
            Event::Refused { .. } | Event::Suspected(_) | Event::PutOff { .. } => {
                let ports = &self.uplink.config.ports;
                let name = |port| sender(port, ports).to_owned();
                self.refused.tell(&event, name, Instant::now());
            }
            Event::Pong => self.ages.answered(),
            Event::Unsubscribed { .. } | Event::Authenticated => {}
        }
    }

    fn connected(&mut self, answer: &ConnAck) {
        let now = Now::read();
        let version = self.uplink.link.session.version();
        let session = if answer.session_present { ", session resumed" } else { "" };
        self.is_resumed = answer.session_present;
        if self.away.connected(&self.broker(), now.mono) {
            tracing::info!("connected to {} with MQTT {version}{session}", self.broker());
        }
        self.status.connected(now);
        self.ages.connected(answer.session_present);
        self.say_online();
        self.tell_about_us(self.uplink.program.message(&self.uplink.config.topics, self.mark()));
        self.publish_status(now);
    }

    /// Hands a command message to every port that wants it. It is acknowledged when the last of them
    /// is done with it.
    fn route(&mut self, message: Received) {
        let Received { topic, payload, retain, token, properties, .. } = message;
        let config = &self.uplink.config;
        let is_wanted = |route: &Route| route.filters.iter().any(|it| it.matches(topic.as_str()));
        let is_program = || config.topics.seen_program().as_ref() == Some(&topic);
        if self.is_resumed && !config.routes.iter().any(is_wanted) && !is_program() {
            return self.end_leftover(&topic, token);
        }
        let now = Now::read();
        let ack = token.map(|token| {
            let taken = self.taken.clone();
            AckGuard::new(move || {
                // Nobody listens any more when the link is gone; then the broker repeats it.
                let _ = taken.try_send(token);
            })
        });
        let receipt = Receipt { ack, outcome: None };
        let expiry = properties.message_expiry().copied();
        let expires = expiry.map(|seconds| now.mono + Duration::from_secs(seconds.into()));
        let since = self.ages.came(retain, now.mono);
        for route in &self.uplink.config.routes {
            if !route.filters.iter().any(|filter| filter.matches(topic.as_str())) {
                continue;
            }
            let (topic, payload) = (topic.clone(), payload.clone());
            let receipt = receipt.share();
            let inbound = Inbound { topic, payload, retain, since, expires, receipt };
            if let Err(OfferError::Closed(inbound)) = route.inbox.offer(inbound) {
                // Ports end before this task does.
                let Inbound { topic, receipt, .. } = *inbound;
                if self.uplink.config.broker_keeps && receipt.ack.is_some() {
                    continue;
                }
                tracing::warn!("command {topic} refused: {}", CommandError::Ending);
                let refused = Err(&CommandError::Ending);
                let report = command_report(&route.report, topic.as_str(), refused, 1, now);
                let report = self.uplink.config.topics.admit(report);
                report.map(|report| self.uplink.outbox.push(report));
                receipt.acknowledge();
            }
        }
        receipt.acknowledge();
    }

    /// A message that no command wants: an earlier configuration subscribed to it, in a session that
    /// the broker kept.
    fn end_leftover(&mut self, topic: &Topic, token: Option<AckToken>) {
        let Uplink { link, config, .. } = &mut self.uplink;
        if let Some(token) = token {
            link.session.acknowledge(token, Reason::SUCCESS);
        }
        let wanted = config.subscriptions.iter().map(|wanted| &wanted.filter);
        let filters = self.leftovers.end(topic, wanted);
        if !filters.is_empty() {
            tracing::info!("an earlier configuration subscribed to {topic}; that is ended");
            link.session.unsubscribe(filters);
        }
    }

    fn down(&mut self, why: &LinkError) {
        if self.status.is_connected() {
            self.ages.lost(Instant::now());
        }
        self.uplink.outbox.disconnected(Instant::now());
        if let Some(filter) = self.namesakes.link_lost() {
            self.uplink.link.session.unsubscribe(vec![filter]);
        }
        if matches!(why, LinkError::BetterBroker | LinkError::Asked) {
            self.away.left();
        }
        if matches!(why, LinkError::BetterBroker) {
            return tracing::info!("{why}; leaving {} for it", self.broker());
        }
        if matches!(why, LinkError::Asked) {
            return tracing::info!("{}: {why}", self.broker());
        }
        let now = Now::read();
        // A broker that stays away is worth one line, until it fails in another way.
        if let Some(again) = self.away.ended(&self.broker(), why, now.mono) {
            tracing::warn!("{}: {why}; trying again until it works{again}", self.broker());
        }
        self.status.lost(why.to_string(), now);
    }

    /// Where another gateway of our name would be seen. Only on a link that has stood for a while.
    fn look_for_namesakes(&mut self) {
        if !self.status.is_connected() || self.ended.is_some() {
            return;
        }
        let topic = self.uplink.config.topics.seen_program();
        if let Some(filter) = self.namesakes.ask(topic) {
            let wanted = Subscription::new(filter, Qos::AtMostOnce);
            self.uplink.link.session.subscribe(vec![wanted], &Properties::NONE);
        }
    }

    /// What others write to the topic of our program's status.
    fn hear_namesakes(&mut self, message: &Received) {
        let (mark, now) = (self.mark(), Instant::now());
        let Received { topic, payload, .. } = message;
        let Some(again) = self.namesakes.hear(topic, payload, &mark, now) else { return };
        tracing::error!(
            "another gateway publishes to {topic} too, so that neither status can be trusted: give \
             each a name of its own, the key `gateway`{again}"
        );
        // It is to find us, too.
        self.tell_about_us(self.uplink.program.message(&self.uplink.config.topics, mark));
    }

    /// What tells us from another gateway of our name.
    fn mark(&self) -> String {
        mark(&self.uplink.link.session.options().client_id)
    }

    /// For the log.
    fn broker(&self) -> String {
        self.uplink.link.broker().map(BrokerUrl::to_string).unwrap_or_default()
    }

    /// Before everything else, which a backlog would delay.
    fn say_online(&mut self) {
        if let Some(birth) = topics::gateway(&self.uplink.config.topics, true) {
            self.uplink.outbox.push_first(birth);
        }
    }

    fn publish_status(&mut self, now: Now) {
        self.next_status = now.mono + self.uplink.config.interval;
        let Uplink { outbox, config: UplinkConfig { topics, ports, .. }, .. } = &self.uplink;
        let status = self.status.message(topics, outbox, ports);
        self.tell_about_us(status);
        // Whoever wrote `offline` meanwhile, such as a broker that gave up an older link of ours.
        if self.status.is_connected() && self.ended.is_none() {
            self.say_online();
        }
    }
}

/// What was wanted and is no more.
fn gone(old: &[Subscription], new: &[Subscription]) -> Vec<TopicFilter> {
    let is_gone = |old: &&Subscription| !new.iter().any(|new| new.filter == old.filter);
    old.iter().filter(is_gone).map(|old| old.filter.clone()).collect()
}

/// Subscribes to what is new, and ends what is gone.
fn subscribe(session: &mut Session, old: &[Subscription], new: &[Subscription]) {
    let gone = gone(old, new);
    let added: Vec<_> = new.iter().filter(|new| !old.contains(new)).cloned().collect();
    if !gone.is_empty() {
        session.unsubscribe(gone);
    }
    if !added.is_empty() {
        session.subscribe(added, &Properties::NONE);
    }
}
