//! The outbox and its journal, as the user wrote them.

use crate::base::durability::Durability;
use crate::base::scalar::{ScalarError, Size, Span, deserialize_from_str, wrong};
use serde::Deserialize;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

deserialize_from_str!(SyncPolicy: "each, never or a time span");

/// How much is kept while the broker is away, and what it survives. What comes in beyond either
/// bound pushes out older messages, which are counted in `{gateway}/status/broker`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct OutboxBounds {
    /// Most messages that wait in memory. Default: 50000.
    pub messages: u32,
    /// Most memory that waiting messages take, their administration included. Default:
    /// 8MiB.
    pub bytes: Size,
    /// Which message goes when the outbox is full, or the journal.
    pub drop: Drop,
    /// How many messages a second go out of what piled up before there was a link, 1 to
    /// 1000000. New ones do not wait for it, as far as `order` lets them. Default: 1000.
    #[serde(default = "drain")]
    #[cfg_attr(test, schemars(with = "u32"))]
    pub drain: Option<NonZeroU32>,
    /// Which messages must not overtake each other.
    pub order: Order,
    /// What waiting messages survive. Each entry of `messages` can have its own.
    pub durability: Durability,
    /// With `spill`: how long the broker may be away before what waits goes to the journal.
    /// Default: 60s.
    pub after: Span,
    /// Where messages go that are to survive more than the broker's absence.
    pub journal: Option<Journal>,
}

impl OutboxBounds {
    /// What holds for a gateway whose configuration says nothing.
    pub fn of_gateway() -> OutboxBounds {
        OutboxBounds { drain: drain(), ..OutboxBounds::default() }
    }
}

fn drain() -> Option<NonZeroU32> {
    NonZeroU32::new(1000)
}

impl Default for OutboxBounds {
    fn default() -> OutboxBounds {
        OutboxBounds {
            messages: 50_000,
            bytes: Size::from_bytes(8 << 20),
            drop: Drop::Oldest,
            drain: None,
            order: Order::Port,
            durability: Durability::Memory,
            after: Span::from_secs(60),
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
    /// The oldest waiting message: the broker gets the latest readings.
    #[default]
    Oldest,
    /// The message that just came: the broker gets the first readings of an outage.
    Newest,
}

/// Which messages must not overtake each other after an outage.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Those of a port: its new messages wait until its old ones have gone.
    #[default]
    Port,
    /// Those of a topic. What waits in the journal alone keeps the order of its port.
    Topic,
    /// None: new messages go at once, old ones as `drain` lets them.
    None,
}

/// The journal: waiting messages on a disk. Nothing is written to it but messages whose
/// `durability` is `spill` or `always`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// A folder of its own, on a disk that stays: `/var` and `/tmp` are memory on OpenWrt. It is
    /// made if it is not there. A relative path counts from the configuration file's folder.
    pub path: PathBuf,
    /// Most bytes on the disk, 1MiB to 1024MiB. Default: 32MiB.
    #[serde(default = "size")]
    pub size: Size,
    /// When what was written is safe from a power failure: `each` (before a message is offered to
    /// the broker), a time span (so much may be lost), or `never` (when the system likes to).
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
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<SyncPolicy, ScalarError> {
        match text.trim_start_matches("every ") {
            "each" => Ok(SyncPolicy::Each),
            "never" => Ok(SyncPolicy::Never),
            span => match span.parse() {
                Ok(span) => Ok(SyncPolicy::Every(span)),
                Err(_) => wrong(format!("{text:?} is no sync policy; write each, never or 1s")),
            },
        }
    }
}
