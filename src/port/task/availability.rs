//! Which devices on a port answer: what is published of that, and what the log is told.

use crate::base::clock::Now;
use crate::base::log::lasting::Lasting;
use crate::device::{Device, Ending, MemberStatus, Topic};
use crate::outbox::entry::Entry;
use crate::port::devices::{DeviceReport, DeviceTopics};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Details of a device that change all the time are published no more often.
const LEAST: Duration = Duration::from_secs(1);

/// What was published and logged of the devices of a port that are asked, in their order.
#[derive(Debug)]
pub(super) struct Availability {
    topics: BTreeMap<String, DeviceTopics>,
    told: Vec<Told>,
}

/// What was published and logged of one device.
#[derive(Debug, Default)]
struct Told {
    changes: u64,
    online: Option<bool>,
    /// When details may be published again.
    again: Option<Instant>,
    /// Whether there are other ones by now.
    is_behind: bool,
    offline: Lasting,
    /// When the log was told that it does not answer, if it was.
    logged: Option<Instant>,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Warn(String),
    Info(String),
}

impl Availability {
    pub(super) fn new(topics: BTreeMap<String, DeviceTopics>) -> Availability {
        Availability { topics, told: Vec::new() }
    }

    /// What is to be published and logged of what has changed.
    pub(super) fn changes(&mut self, device: &Device, now: Now) -> (Vec<Entry>, Vec<Line>) {
        let (mut entries, mut lines) = (Vec::new(), Vec::new());
        for (n, (name, status)) in device.members().enumerate() {
            if n >= self.told.len() {
                self.told.push(Told::default());
            }
            let Some(told) = self.told.get_mut(n) else { continue };
            if told.changes != status.changes {
                told.changes = status.changes;
                told.is_behind = true;
            }
            if !told.is_behind {
                continue;
            }
            let topics = self.topics.get(name);
            if let Some(online) = status.online.filter(|_| told.online != status.online) {
                entries.extend(topics.map(|topics| topics.availability(online, now)));
                lines.extend(told.turned(name, status, online, now.mono));
                (told.online, told.again) = (status.online, None);
            }
            if told.again.is_none_or(|again| again <= now.mono) {
                (told.again, told.is_behind) = (Some(now.mono + LEAST), false);
                let details =
                    |topics: &DeviceTopics| topics.details(&DeviceReport::of(status), now);
                entries.extend(topics.and_then(details));
            }
        }
        (entries, lines)
    }

    /// When [`Availability::changes`] has something that it held back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.told.iter().filter(|told| told.is_behind).filter_map(|told| told.again).min()
    }

    /// All that is known of the devices.
    pub(super) fn all(&self, device: &Device, now: Now) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (name, status) in device.members() {
            let Some(topics) = self.topics.get(name) else { continue };
            entries.extend(status.online.map(|online| topics.availability(online, now)));
            entries.extend(topics.details(&DeviceReport::of(status), now));
        }
        entries
    }

    /// What is to be published once nobody asks the devices any more, with the topic of each.
    pub(super) fn farewell(&self, device: &Device, now: Now) -> Vec<(Topic, Vec<Entry>)> {
        let farewell = |(name, status): (&str, &MemberStatus)| {
            let topics = self.topics.get(name)?;
            let details = topics.details(&DeviceReport::of(status).stopped(), now);
            let entries = [topics.availability(false, now)].into_iter().chain(details).collect();
            Some((topics.availability.clone(), entries))
        };
        device.members().filter_map(farewell).collect()
    }

    /// Whether a device of the port publishes there.
    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.topics.values().any(|topics| topics.availability == *topic)
    }
}

impl Told {
    /// The device answers from now on, or does not.
    fn turned(
        &mut self,
        name: &str,
        status: &MemberStatus,
        online: bool,
        now: Instant,
    ) -> Option<Line> {
        if online {
            let since = self.logged.take()?;
            let seconds = now.saturating_duration_since(since).as_secs();
            return Some(Line::Info(format!("{name} answers again, after {seconds} s")));
        }
        // Of a port that is away the log has a line already.
        let ending = status.last.as_ref().filter(|_| !status.away)?;
        let again = self.offline.occurred(now)?;
        self.logged = Some(now);
        let remedy = remedy(ending);
        Some(Line::Warn(format!("{name} is offline: {ending}: {remedy}{again}")))
    }
}

/// What may help when requests end so.
fn remedy(ending: &Ending) -> &'static str {
    match ending {
        Ending::NoAnswer => "check its address, its wiring (A and B exchanged?) and the speed",
        Ending::BadChecksum => {
            "check the speed, the wiring, and that no two devices have the same address"
        }
        Ending::Exception(_) => "check the tables and addresses of its registers",
        Ending::Refused | Ending::Answered => "check what it is asked",
    }
}
