//! Readings → messages.

use serde::Deserialize;

/// What is published of a frame's readings.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The topic.
    pub topic: Template,
}

/// A text with `{placeholders}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Template(String);
