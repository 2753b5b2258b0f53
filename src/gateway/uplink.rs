//! The MQTT task of the gateway: messages from the ports go to the outbox, commands to the ports,
//! and the broker is told how the gateway is.

mod age;
mod announce;
mod away;
mod command;
mod event;
mod formatted;
mod leftover;
mod namesake;
mod presence;
mod refused;
mod request;
mod saving;
mod update;

pub use command::Route;
pub use request::{REQUESTS, UplinkReport, UplinkRequest};
pub use update::{UplinkConfig, UplinkUpdate};

use crate::base::clock::{Now, Stamp};
use crate::base::log::lasting::Lasting;
use crate::device::Newcomer;
use crate::gateway::discovery::Announcer;
use crate::gateway::format::Format;
use crate::gateway::status::{BrokerReport, Program};
use crate::gateway::topics;
use crate::mqtt::link::{self, Link};
use crate::mqtt::packet::Reason;
use crate::mqtt::session::AckToken;
use crate::outbox::Outbox;
use crate::outbox::entry::Entry;
use crate::outbox::inlet;
use crate::outbox::journal::{Journal, Order};
use age::Ages;
use away::AwayLog;
use leftover::Leftovers;
use namesake::Namesakes;
use refused::RefusedLog;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// The MQTT task's ends of the channels.
pub struct UplinkEnds {
    /// Messages from the ports; its end is the end of the gateway.
    pub outlet: inlet::Receiver,
    /// Changed configurations.
    pub updates: mpsc::Receiver<UplinkUpdate>,
    /// Fields that only frames name.
    pub newcomers: mpsc::Receiver<Newcomer>,
    pub requests: mpsc::Receiver<UplinkRequest>,
    /// What is said about the program at each connect.
    pub program: Program,
}

/// Runs the MQTT task until every port has ended and what they left was sent, or the grace time
/// for that is over. Returns how many messages could not be delivered.
pub async fn run(
    ends: UplinkEnds,
    mut config: UplinkConfig,
    link: Link,
    outbox: Outbox,
    journal: Option<Journal>,
) -> usize {
    let now = Now::read();
    let mut announcer = Announcer::default();
    announcer.update(config.announcement.take(), now.mono);
    let (taken, takes) = mpsc::channel(TAKEN);
    let clock_is_set = Stamp(now.wall).is_synchronised();
    let mut task = UplinkTask {
        clock_is_set,
        next_status: now.mono + config.interval,
        format: config.format.take(),
        next_format: None,
        format_log: Lasting::default(),
        ends,
        config,
        link,
        outbox,
        journal,
        status: BrokerReport::away(now),
        away: AwayLog::default(),
        namesakes: Namesakes::default(),
        next_link: None,
        ended: None,
        hanging: Lasting::default(),
        is_resumed: false,
        leftovers: Leftovers::default(),
        wildcards: Lasting::default(),
        ages: Ages::default(),
        announcer,
        taken,
        takes,
        refused: RefusedLog::default(),
    };
    task.outbox.disconnected(now.mono);
    if clock_is_set && let Some(journal) = &mut task.journal {
        journal.tell(Order::ClockIsSet(now));
    }
    task.run().await
}

/// Capacity of the channel of new fields; what finds no room waits at its port.
pub const NEWCOMERS: usize = 64;

/// As many as there are packet identifiers: no more messages can be unacknowledged.
const TAKEN: usize = 65_536;

struct UplinkTask {
    ends: UplinkEnds,
    config: UplinkConfig,
    /// The client. Its subscriptions are those of the routes.
    link: Link,
    outbox: Outbox,
    /// The form of what is published, if it is not the gateway's own; and the one that comes with `next_link`.
    format: Option<Format>,
    next_format: Option<Format>,
    /// What the log was told of commands that this form has none of.
    format_log: Lasting,
    /// Keeps messages on the disk, which are to survive more than the broker's absence.
    journal: Option<Journal>,
    status: BrokerReport,
    away: AwayLog,
    namesakes: Namesakes,
    next_status: Instant,
    /// Takes over when the present link has sent DISCONNECT.
    next_link: Option<Link>,
    /// When every port had ended.
    ended: Option<Instant>,
    /// Whether the log was told that the journal's disk hangs.
    hanging: Lasting,
    /// Whether the broker had kept the session of this link.
    is_resumed: bool,
    leftovers: Leftovers,
    /// What the log was told of messages whose topic had a wildcard.
    wildcards: Lasting,
    /// How old messages from the broker are.
    ages: Ages,
    /// What is announced to Home Assistant.
    announcer: Announcer,
    /// A port that is done with a command returns its token here, to be acknowledged.
    taken: mpsc::Sender<AckToken>,
    takes: mpsc::Receiver<AckToken>,
    clock_is_set: bool,
    /// What the log was told of messages that the broker does not take.
    refused: RefusedLog,
}

impl UplinkTask {
    async fn run(mut self) -> usize {
        loop {
            let outbox = &self.outbox;
            let journal = self.journal.as_ref();
            let journal = journal.and_then(|_| outbox.journal_deadline(Instant::now()));
            let due = journal.into_iter().chain(self.announcer.deadline());
            let due = due.fold(self.next_status, Instant::min);
            tokio::select! {
                event = formatted::event(&mut self.link, &mut self.outbox, &mut self.format) => match event {
                    link::Event::Session(event) => self.on_event(event),
                    // Handled after the `select!`, as after every other event.
                    link::Event::SourceWants | link::Event::Emptied | link::Event::Outcome(..) => {}
                    link::Event::Down(why) => self.down(&why),
                    link::Event::Stopped if self.next_link.is_none() => break,
                    link::Event::Stopped => self.take_over(),
                },
                Some(update) = self.ends.updates.recv() => self.update(update),
                Some(newcomer) = self.ends.newcomers.recv() => {
                    self.announcer.meet(newcomer, Instant::now());
                }
                Some(request) = self.ends.requests.recv() => self.answer(request),
                batch = self.ends.outlet.next(), if self.takes_more() => match batch {
                    Some(entries) => self.store(entries),
                    None => self.end(),
                },
                Some(token) = self.takes.recv() => {
                    self.link.session.acknowledge(token, Reason::SUCCESS);
                }
                event = saving::event(&mut self.journal) => self.hear_journal(event),
                () = sleep_until(due.into()) => {
                    if self.next_status <= Instant::now() {
                        self.publish_status(Now::read());
                        self.look_for_namesakes();
                    }
                    self.announce();
                }
            }
            if !self.clock_is_set {
                self.look_at_the_clock();
            }
            self.follow_format();
            let session = &mut self.link.session;
            if self.ages.wants_to_ask() && !session.owes_answers() && session.ask_for_pong() {
                self.ages.asked();
            }
            self.tell_journal();
            if self.ended.is_some() {
                // The broker must not repeat the commands that the ports wrote last.
                while let Ok(token) = self.takes.try_recv() {
                    self.link.session.acknowledge(token, Reason::SUCCESS);
                }
                // Without a link nothing can be sent.
                if !self.status.connected {
                    self.link.leave(Reason::SUCCESS);
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
        self.outbox.correct(now);
        if let Some(journal) = &mut self.journal {
            journal.tell(Order::ClockIsSet(now));
        }
        tracing::info!("the clock is set: it is {}", Stamp(now.wall));
    }

    /// Stores what the ports sent: several batches at once, so that they share a write.
    fn store(&mut self, entries: Vec<Entry>) {
        let mut next = Some(entries);
        // Bounded, so that a flood of messages does not keep the link waiting.
        for _ in 0..64 {
            let Some(entries) = next else { return };
            self.push(entries);
            if !self.takes_more() {
                return;
            }
            next = self.ends.outlet.try_next();
        }
        self.push(next.unwrap_or_default());
    }

    fn push(&mut self, entries: Vec<Entry>) {
        if self.format.is_some() {
            return self.push_formed(entries);
        }
        let now = Instant::now();
        for entry in entries {
            if entry.is_about_us() {
                self.tell_about_us(entry);
            } else {
                self.announcer.note(&entry.message, now);
                self.outbox.push(entry);
            }
        }
    }

    /// Every port has ended: the broker is told that the gateway is leaving.
    fn end(&mut self) {
        let now = Instant::now();
        self.ended = Some(now);
        self.announcer.link_lost();
        self.publish_status(Now::read());
        if let Some(farewell) = topics::gateway(&self.config.topics, false) {
            self.outbox.push(farewell);
        }
        self.format.iter_mut().for_each(Format::leave);
        self.link.leave_when_sent(Reason::SUCCESS, Some(now + self.config.grace));
    }
}
