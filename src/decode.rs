//! Frame → readings.

use crate::value::{Reading, Refusal};
use serde::Deserialize;

/// How a frame is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Decode {
    /// The frame as it is, one field.
    #[default]
    Text,
}

impl Decode {
    /// The running decoder; an error names what is wrong and the remedy.
    pub fn build(&self) -> Result<Decoder, String> {
        Ok(Decoder {})
    }
}

/// A running decoder.
#[derive(Debug)]
pub struct Decoder {}

/// What one frame held.
#[derive(Debug, Default)]
pub struct Decoded<'a> {
    /// The readings, in the frame's order.
    pub readings: Vec<Reading<'a>>,
    /// What was refused.
    pub refusals: Vec<Refusal<'a>>,
}

impl Decoder {
    /// Reads one frame. Never fails as a whole: what cannot be read becomes a refusal.
    pub fn decode<'a>(&'a self, _frame: &'a [u8]) -> Decoded<'a> {
        Decoded::default()
    }
}
