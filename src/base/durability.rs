//! What a message survives while it waits for the broker: a word of the configuration.

use serde::Deserialize;
use std::fmt;

/// What a message survives while it waits for the broker. Messages of QoS 0 always wait in memory.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// An outage of the broker, as long as the gateway runs. Nothing is written to a disk.
    #[default]
    Memory,
    /// Long outages, too: messages go to the journal once the broker has been away for
    /// `spill_after`, or when memory gets short. When the gateway is stopped, it saves what waits;
    /// a power failure before that loses it.
    Spill,
    /// Also a crash of the gateway and, as far as `sync` goes, a power failure: each message goes
    /// to the journal before it is sent to the broker.
    Always,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Memory => "memory",
            Durability::Spill => "spill",
            Durability::Always => "always",
        })
    }
}
