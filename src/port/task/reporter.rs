//! What a port reports: its messages, its status and the fate of commands, to the outbox, the log and
//! subscribers.

use super::availability::{Availability, Line};
use super::complaints::Complaints;
use super::inbox::InboxEnd;
use super::leftover::{Farewell, Leftover};
use super::monitor::{PortEvent, Subscriber, Subscribers};
use super::refused::{RefusalReport, RefusedCommands};
use super::retry;
use crate::base::bucket::Bucket;
use crate::base::clock::{Now, Stamp};
use crate::base::log::lasting::{Again, Lasting};
use crate::base::scalar::{Name, Span};
use crate::device::command::CommandError;
use crate::device::inbound::Written;
use crate::device::{Concluded, Device, Newcomer, Publication, Topic, Unwritten};
use crate::outbox::entry::Entry;
use crate::outbox::inlet::{self, Full};
use crate::port::devices::DeviceReport;
use crate::port::status::{
    DeviceSnapshot, PortReport, PortState, PortStatus, PortTopics, Snapshot, command_report,
};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub(super) struct Reporter {
    pub(super) name: Name,
    topics: PortTopics,
    intake: inlet::Sender,
    /// How often the status is published when nothing changes.
    interval: Duration,
    next_status: Instant,
    pub(super) status: PortStatus,
    /// Lets a second's worth of messages through at once after a pause.
    bucket: Option<Bucket>,
    refusals: RefusedCommands,
    complaints: Complaints,
    availability: Availability,
    line_refused: Lasting,
    /// Takes the fields that only frames name.
    pub(super) newcomers: Option<mpsc::Sender<Newcomer>>,
    pub(super) subscribers: Subscribers,
}

impl Reporter {
    pub(super) fn new(
        name: Name,
        mut topics: PortTopics,
        intake: inlet::Sender,
        interval: Duration,
        rate_limit: Option<NonZeroU32>,
        now: Now,
    ) -> Reporter {
        Reporter {
            availability: Availability::new(std::mem::take(&mut topics.devices)),
            name,
            topics,
            intake,
            interval,
            next_status: now.mono + interval,
            status: PortStatus::away(now),
            bucket: rate_limit.map(|limit| Bucket::new(limit, limit.get())),
            refusals: RefusedCommands::default(),
            complaints: Complaints::default(),
            line_refused: Lasting::default(),
            newcomers: None,
            subscribers: Subscribers::default(),
        }
    }

    /// Passes on what the last step resulted in. `messages` is empty afterwards.
    pub(super) fn settle(
        &mut self,
        device: &mut Device,
        messages: &mut Vec<Publication>,
        now: Now,
    ) {
        self.show_frames(device, now);
        if let Some(bucket) = &mut self.bucket {
            let before = messages.len();
            bucket.fill(now.mono);
            messages.retain(|_| bucket.take());
            self.status.report.limited += (before - messages.len()) as u64;
        }
        self.pass_on(std::mem::take(messages).into_iter().map(entry).collect());
        for concluded in device.concluded() {
            self.conclude(concluded, now);
        }
        for report in self.refusals.due(now.mono) {
            self.report(&report, now);
        }
        for notice in device.notices() {
            tracing::warn!("port {}: {notice}", self.name);
        }
        let (entries, lines) = self.availability.changes(device, now);
        self.pass_on(entries);
        for line in lines {
            match line {
                Line::Warn(line) => tracing::warn!("port {}: {line}", self.name),
                Line::Info(line) => tracing::info!("port {}: {line}", self.name),
            }
        }
        if let (Some(to), Some(newcomers)) = (&self.newcomers, device.newcomers()) {
            // What finds no room is told at the next step.
            newcomers.retain(|newcomer| to.try_send(newcomer.clone()).is_err());
        }
        // Refused readings, bad frames and drops.
        let bad = device.pipeline().frame_counts().bad.total();
        let lost = self.status.report.dropped + self.status.report.limited;
        let refused = device.pipeline_mut().complaints();
        for line in self.complaints.lines(refused, bad, lost, now.mono) {
            tracing::warn!("port {}: {line}", self.name);
        }
    }

    /// When [`Reporter::tick`] or [`Reporter::settle`] has something to report.
    pub(super) fn deadline(&self) -> Instant {
        let held = [self.refusals.deadline(), self.availability.deadline()];
        held.into_iter().flatten().fold(self.next_status, Instant::min)
    }

    /// Publishes the status when that is due.
    pub(super) fn tick(&mut self, device: &Device, now: Now) {
        if self.next_status <= now.mono {
            self.publish_status(device, now);
            self.pass_on(self.availability.all(device, now));
        }
    }

    /// Reports what became of a command. It is acknowledged to the broker last.
    fn conclude(&mut self, concluded: Concluded, now: Now) {
        let Concluded { topic, receipt, result, has_answered, messages } = concluded;
        self.pass_on(messages.into_iter().map(|it| Entry::from(it).of_device(now)).collect());
        let written = result.as_ref().map(|bytes| Written { bytes: bytes.len(), has_answered });
        receipt.tell(written.map_err(Clone::clone));
        match result {
            Ok(bytes) => {
                self.status.report.commands.sent += 1;
                self.subscribers.publish(now, || PortEvent::wrote(&topic, &bytes));
                tracing::debug!(port = %self.name, %topic, "command sent");
                let report = command_report(&self.topics.command, topic.as_str(), Ok(()), 1, now);
                self.pass_on(vec![report]);
            }
            Err(why) => self.refused(RefusalReport { topic, why, count: 1 }, now),
        }
        receipt.acknowledge();
    }

    /// `count` command messages found no room; the last of them had this topic.
    pub(super) fn overflow(&mut self, topic: Topic, count: u32, now: Now) {
        self.refused(RefusalReport { topic, why: CommandError::QueueFull, count }, now);
    }

    fn refused(&mut self, report: RefusalReport, now: Now) {
        let RefusalReport { topic, why, count } = &report;
        let is_late = why.is_late();
        let counts = &mut self.status.report.commands;
        let counted = if is_late { &mut counts.failed } else { &mut counts.refused };
        *counted += u64::from(*count);
        self.subscribers.publish(now, || PortEvent::Refused(topic.clone(), why.clone()));
        let (topic, why) = (topic.clone(), why.clone());
        let (again, report) = self.refusals.refused(report, now.mono);
        if let Some(again) = again {
            let failed = if is_late { "failed" } else { "refused" };
            let (name, why) = (&self.name, why.reason());
            tracing::warn!("port {name}: command {topic} {failed}: {why}{again}");
        }
        if let Some(report) = report {
            self.report(&report, now);
        }
    }

    fn report(&mut self, report: &RefusalReport, now: Now) {
        let RefusalReport { topic, why, count } = report;
        let report = command_report(&self.topics.command, topic.as_str(), Err(why), *count, now);
        self.pass_on(vec![report]);
    }

    pub(super) fn snapshot(&self, device: &Device) -> Snapshot {
        let devices = device.members().map(|(name, status)| DeviceSnapshot {
            name: name.to_owned(),
            report: DeviceReport::of(status),
            answered: status.answered,
        });
        Snapshot {
            report: self.status.report(device),
            last_rx: self.status.last_rx,
            devices: devices.collect(),
            values: device.pipeline().last_values().to_vec(),
        }
    }

    pub(super) fn subscribe(&mut self, subscriber: Subscriber, device: &mut Device) {
        device.pipeline_mut().show_frames(true);
        self.subscribers.add(subscriber);
        self.publish_state(Now::read());
    }

    fn publish_state(&mut self, now: Now) {
        let PortReport { state, error, .. } = &self.status.report;
        self.subscribers.publish(now, || PortEvent::State(*state, error.clone()));
    }

    /// A subscriber is found to have gone with whatever event comes next: only here is decided, after
    /// each step, whether frames are kept for somebody.
    fn show_frames(&mut self, device: &mut Device, now: Now) {
        for frame in device.pipeline_mut().seen() {
            self.subscribers.publish(now, || PortEvent::Frame(frame.clone()));
        }
        device.pipeline_mut().show_frames(!self.subscribers.is_empty());
    }

    fn pass_on(&mut self, entries: Vec<Entry>) {
        if let Err(Full(lost)) = self.intake.offer(entries) {
            self.status.report.dropped += lost.len() as u64;
        }
    }

    fn publish_status(&mut self, device: &Device, now: Now) {
        self.next_status = now.mono + self.interval;
        self.pass_on(vec![self.status.message(&self.topics.status, device)]);
    }

    /// The port is in this state from now on, or still.
    pub(super) fn change(&mut self, state: PortState, device: &Device, now: Now) {
        if self.status.report.state != state {
            self.status.report.state = state;
            self.status.report.since = Stamp(now.wall).to_string();
            self.publish_state(now);
        }
        self.publish_status(device, now);
    }

    /// The port fell silent. `told`: for how long nothing came, if that is to be logged.
    pub(super) fn fell_silent(&mut self, told: Option<(Span, Again)>, device: &Device, now: Now) {
        if let Some((span, again)) = told {
            tracing::warn!("port {}: not a byte for {span}{again}", self.name);
        }
        self.change(PortState::Silent, device, now);
    }

    /// Bytes came. `silent`: for how long none had come, if that is to be logged.
    pub(super) fn received(&mut self, silent: Option<Span>, device: &Device, now: Now) {
        self.status.last_rx = Some(now);
        if let Some(span) = silent {
            tracing::info!("port {}: it speaks again, after {span}", self.name);
        }
        if self.status.report.state == PortState::Silent {
            self.change(PortState::Open, device, now);
        }
    }

    pub(super) fn opened(&mut self, opened: String, is_told: bool, device: &Device, now: Now) {
        let again = if self.status.report.opens > 0 { " again" } else { "" };
        if is_told {
            tracing::info!("port {}: {opened} is open{again}", self.name);
        }
        self.status.report.opens += 1;
        self.status.report.device = Some(opened);
        self.change(PortState::Open, device, now);
    }

    pub(super) fn does_not_close(&self) {
        let device = self.status.report.device.as_deref().unwrap_or("it");
        tracing::warn!("port {}: {device} does not close; not waiting for it", self.name);
    }

    /// The line keeps its speed and format, though a turn needs others.
    pub(super) fn line_not_set(&mut self, what: &str, now: Now) {
        if let Some(again) = self.line_refused.occurred(now.mono) {
            tracing::warn!("port {}: {what}{again}", self.name);
        }
    }

    /// The port is away, for this reason; each new reason is published. `again`: it is to be logged.
    pub(super) fn went_away(&mut self, why: &str, again: Option<Again>, device: &Device, now: Now) {
        if let Some(again) = again {
            tracing::warn!("{}", retry::line(self.name.as_str(), why, again));
        }
        let is_known = self.status.report.error.as_deref() == Some(why);
        if self.status.report.state != PortState::Away || !is_known {
            self.status.report.error = Some(why.to_owned());
            self.status.report.device = None;
            self.change(PortState::Away, device, now);
        }
    }

    /// The task ends: reports what was held back.
    pub(super) fn stopped(&mut self, device: &Device, now: Now) {
        for report in self.refusals.rest() {
            self.report(&report, now);
        }
        self.status.report.device = None;
        self.change(PortState::Stopped, device, now);
    }

    /// What is left for the next task of the port, or to be refused.
    pub(super) fn leave(
        self,
        inbox: InboxEnd,
        unwritten: Unwritten,
        farewell: Farewell,
    ) -> Leftover {
        let Reporter { name, topics, intake, .. } = self;
        Leftover { inbox, unwritten, name, command_topic: topics.command, farewell, intake }
    }

    /// What is to be said of its devices when no other task goes on with them.
    pub(super) fn farewell(&self, device: &Device, now: Now) -> Farewell {
        self.availability.farewell(device, now)
    }

    /// Says it of those of an earlier task that this one does not know.
    pub(super) fn bid_farewell(&mut self, earlier: Farewell) {
        let gone = earlier.into_iter().filter(|(topic, _)| !self.availability.has(topic));
        let entries = gone.flat_map(|(_, entries)| entries).collect();
        self.pass_on(entries);
    }
}

fn entry(Publication { message, durability, measured }: Publication) -> Entry {
    Entry { durability, measured: Some(measured), ..message.into() }
}
