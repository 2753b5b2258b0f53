//! What the gateway says about its program, its link and its outbox: the JSON that is published
//! under `{gateway}/status` and that the control socket answers.

use super::topics::{Topics, latest};
use crate::base::clock::{Now, Stamp};
use crate::base::json;
use crate::mqtt::topic::Qos;
use crate::outbox::entry::Entry;
use crate::outbox::{Drops, JournalStatus, Outbox};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the gateway says about the program it is.
#[derive(Clone, Debug)]
pub struct Program {
    pub started: Now,
    /// How often the ones before it ended unexpectedly.
    pub crashes: Crashes,
}

/// Starts before this one that did not end as they should.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crashes {
    pub count: u32,
    /// Within how many seconds before this start.
    pub within: u64,
    /// What the last of them said about it, if it could.
    pub panic: Option<String>,
}

/// The program's status as it is published and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramReport {
    pub version: String,
    pub started: String,
    pub unexpected_ends: Crashes,
    /// [`mark`] of the client identifier; unknown while the MQTT task does not answer.
    pub instance: Option<String>,
}

impl Program {
    /// The status message; `instance` is [`mark`]'s.
    pub fn message(&self, topics: &Topics, instance: String) -> Entry {
        let text = json::text(&self.report(Some(instance)));
        latest(topics.program(), text, Qos::AtMostOnce)
    }

    /// What the status message and the control socket say.
    pub fn report(&self, instance: Option<String>) -> ProgramReport {
        ProgramReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Stamp(self.started.wall).to_string(),
            unexpected_ends: self.crashes.clone(),
            instance,
        }
    }
}

/// What tells gateways of one name apart: a checksum of the client identifier, which no two clients
/// of a broker share. The identifier itself would let others take over our session.
pub fn mark(client_id: &str) -> String {
    format!("{:08x}", crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(client_id.as_bytes()))
}

impl BrokerReport {
    /// No link yet.
    pub fn away(now: Now) -> BrokerReport {
        BrokerReport { since: Stamp(now.wall).to_string(), ..BrokerReport::default() }
    }

    pub fn connected(&mut self, now: Now) {
        (self.connected, self.since) = (true, Stamp(now.wall).to_string());
        self.connects += 1;
    }

    /// The link ended, or did not come about.
    pub fn lost(&mut self, why: String, now: Now) {
        if std::mem::take(&mut self.connected) {
            self.since = Stamp(now.wall).to_string();
        }
        self.error = Some(why);
    }

    pub fn message(&self, topics: &Topics, outbox: &Outbox, ports: &[String]) -> Entry {
        let text = json::text(&self.with_counts(outbox, ports));
        latest(topics.broker(), text, Qos::AtMostOnce)
    }

    /// The same with what the outbox counts, as the status message and the control socket say it.
    pub fn with_counts(&self, outbox: &Outbox, ports: &[String]) -> BrokerReport {
        let counts = outbox.counts();
        let drops = outbox.drops().map(|(port, drops)| (sender(port, ports).to_owned(), drops));
        BrokerReport {
            outbox: Backlog { messages: outbox.messages(), bytes: outbox.bytes() },
            sent: counts.sent,
            acknowledged: counts.acknowledged,
            dropped: counts.dropped,
            dropped_of: drops.collect(),
            refused: counts.refused,
            replaced: counts.replaced,
            journal: outbox.journal_status(),
            ..self.clone()
        }
    }
}

/// The status of the link and the outbox as it is published and answered; docs/CONTROL.md says what
/// each field means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerReport {
    pub connected: bool,
    pub since: String,
    pub connects: u64,
    pub outbox: Backlog,
    pub sent: u64,
    pub acknowledged: u64,
    pub dropped: u64,
    /// By the name of each port, and `gateway` for its own messages.
    pub dropped_of: BTreeMap<String, Drops>,
    pub refused: u64,
    pub replaced: u64,
    /// Messages that were passed over because their topic had a wildcard.
    pub passed_over: u64,
    pub journal: Option<JournalStatus>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    pub messages: usize,
    pub bytes: usize,
}

/// The name of a sender by its number; `ports` has the names from number 1 on.
pub fn sender(port: u16, ports: &[String]) -> &str {
    match usize::from(port).checked_sub(1) {
        Some(at) => ports.get(at).map_or("", String::as_str),
        None => "gateway",
    }
}
