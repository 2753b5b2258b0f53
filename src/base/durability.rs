//! What a message survives while it waits for the broker: a word of the configuration.

use serde::Deserialize;
use std::fmt;

/// What a message that waits for the broker survives. A message of QoS 0 waits in memory always.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The broker's absence, as long as the gateway runs. Nothing is written to a disk.
    #[default]
    Memory,
    /// Also long absences: to the journal once the broker has been away for `after`, or memory gets
    /// short. A stop saves what waits; a power failure before that loses it.
    Spill,
    /// Also the gateway's sudden end and, as far as `sync` goes, a power failure: to the journal
    /// before it is offered to the broker.
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
