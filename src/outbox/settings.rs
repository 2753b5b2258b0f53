//! The settings of the outbox and its journal.

use crate::base::durability::Durability;
use crate::base::path::BuildError;
use crate::base::scalar::{Size, Span, deserialize_from_str, wrong};
use serde::Deserialize;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

deserialize_from_str!(SyncPolicy: "each, never or a time span");

/// How many messages wait while the broker cannot be reached, and what they survive. When
/// `messages` or `bytes` is reached, messages are dropped as `drop` says and counted in
/// `{gateway}/status/broker`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct OutboxBounds {
    /// The most messages that wait in memory. Default: 50000.
    pub messages: u32,
    /// The most memory that waiting messages take, including their bookkeeping. Default: 8MiB.
    pub bytes: Size,
    /// Which message is dropped when the outbox or the journal is full.
    pub drop: Drop,
    /// How many messages per second of the backlog are sent after an outage, 1 to 1000000. New
    /// messages do not wait for the backlog, as far as `ordering` allows. Default: 1000.
    #[serde(default = "backlog_rate")]
    #[cfg_attr(test, schemars(with = "u32"))]
    pub backlog_rate: Option<NonZeroU32>,
    /// Which messages must keep their order.
    pub ordering: Order,
    /// What waiting messages survive. Each entry of `messages` can override it.
    pub durability: Durability,
    /// With `durability: spill`: how long the broker may be away before waiting messages go to the
    /// journal. Default: 60s.
    pub spill_after: Span,
    /// Where messages are stored that must survive more than an outage of the broker.
    pub journal: Option<Journal>,
}

impl OutboxBounds {
    /// The bounds of a gateway whose configuration does not set them.
    pub fn of_gateway() -> OutboxBounds {
        OutboxBounds { backlog_rate: backlog_rate(), ..OutboxBounds::default() }
    }
}

fn backlog_rate() -> Option<NonZeroU32> {
    NonZeroU32::new(1000)
}

impl Default for OutboxBounds {
    fn default() -> OutboxBounds {
        OutboxBounds {
            messages: 50_000,
            bytes: Size::from_bytes(8 << 20),
            drop: Drop::Oldest,
            backlog_rate: None,
            ordering: Order::Port,
            durability: Durability::Memory,
            spill_after: Span::from_secs(60),
            journal: None,
        }
    }
}

/// Which message goes when the outbox is full. A retained message first replaces a waiting one of
/// the same topic.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Drop {
    /// The oldest waiting message, so that the broker gets the latest readings.
    #[default]
    Oldest,
    /// The message that just arrived, so that the broker gets the first readings of an outage.
    Newest,
}

/// Which messages must keep their order after an outage.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The messages of a port: its new messages wait until its old ones are sent.
    #[default]
    Port,
    /// The messages of a topic. Those that wait in the journal alone keep the order of their port.
    Topic,
    /// None: new messages are sent at once, old ones at `backlog_rate`.
    None,
}

/// The journal: waiting messages on a disk. Only messages whose `durability` is `spill` or `always`
/// are written to it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// A folder for the journal alone, on a disk that keeps its files: on OpenWrt `/var` and `/tmp`
    /// are in memory. It is created if it does not exist. A relative path starts at the folder of
    /// the configuration file.
    pub path: PathBuf,
    /// The most bytes on the disk, 1MiB to 1024MiB. Default: 32MiB.
    #[serde(default = "size")]
    pub size: Size,
    /// When written messages are safe from a power failure: `each` (before a message is sent to the
    /// broker), a time span (at most that much is lost), or `never` (when the system decides).
    /// Default: 1s.
    #[serde(default = "sync")]
    pub sync: SyncPolicy,
}

fn size() -> Size {
    Size::from_bytes(32 << 20)
}

fn sync() -> SyncPolicy {
    SyncPolicy::Every(Span::from_secs(1))
}

/// When what was written to a disk is safe from a power failure: `each`, `never` or a time span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before it counts as written.
    Each,
    /// After so long.
    Every(Span),
    /// When the system likes to.
    Never,
}

impl FromStr for SyncPolicy {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<SyncPolicy, BuildError> {
        match text.trim_start_matches("every ") {
            "each" => Ok(SyncPolicy::Each),
            "never" => Ok(SyncPolicy::Never),
            span => match span.parse() {
                Ok(span) => Ok(SyncPolicy::Every(span)),
                Err(_) => wrong(
                    format!("{text:?} is not a valid sync policy"),
                    "write each, never or a time span such as 1s",
                ),
            },
        }
    }
}
