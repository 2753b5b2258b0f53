//! Bytes → frames.

use crate::config::scalar::Line;
use bytes::Bytes;
use serde::Deserialize;
use std::time::{Duration, Instant};

/// Where a frame begins and ends.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Text lines.
    #[default]
    Lines,
}

/// Checksum at the end of each frame.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Checksum {}

impl Framing {
    /// The running framer. `line` is the port's speed, for silences given in characters; TCP
    /// ports may have none.
    pub fn build(
        &self,
        _checksum: Option<&Checksum>,
        _line: Option<&Line>,
    ) -> Result<Framer, String> {
        Ok(Framer {})
    }
}

/// Cuts one port's bytes into frames. Sans-io.
#[derive(Debug)]
pub struct Framer {}

/// What a framer has seen since it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Bytes that came in.
    pub bytes: u64,
    /// Good frames.
    pub frames: u64,
    /// Bytes that belonged to no frame.
    pub skipped: u64,
    /// Bad frames: the checksum did not match.
    pub bad_checksum: u64,
    /// Bad frames: longer than the limit.
    pub too_long: u64,
    /// Bad frames: cut off by a hang-up, by silence or by the start of another.
    pub cut: u64,
    /// Bad frames: escape sequences or length fields that cannot be.
    pub malformed: u64,
}

impl Framer {
    /// The port was opened at `at`: forgets what was half read (counted as `cut`).
    pub fn open(&mut self, _at: Instant) {}

    /// Takes bytes that were read at `at`. Call [`Framer::frame`] until it has no more.
    pub fn push(&mut self, _bytes: &[u8], _at: Instant) {}

    /// The next whole frame, without delimiters and checksum.
    pub fn frame(&mut self) -> Option<Bytes> {
        None
    }

    /// When [`Framer::timeout`] is due, where silence matters to the rule.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// It is `at`, and nothing more was read. Call [`Framer::frame`] afterwards.
    pub fn timeout(&mut self, _at: Instant) {}

    /// What was seen so far.
    pub fn counts(&self) -> &FrameCounts {
        const NONE: FrameCounts = FrameCounts {
            bytes: 0,
            frames: 0,
            skipped: 0,
            bad_checksum: 0,
            too_long: 0,
            cut: 0,
            malformed: 0,
        };
        &NONE
    }
}
const _: Option<Duration> = None;
