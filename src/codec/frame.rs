//! Bytes → frames: one framing rule a file. Each is a value that its settings build, and the same
//! [`Framer`] runs them all.

mod delimited;
mod fixed;
mod framer;
mod gap;
mod hdlc;
mod length;
mod lines;
mod p1;
mod raw;
mod sml;
mod ve_direct;

pub use super::checksum::{Checksum, OwnChecksum};
pub use framer::{BadFrames, FrameCounts, Framer};

use super::checksum::Summer;
use crate::base::line::Line;
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Size, deserialize_from_str, wrong};
use bytes::Bytes;
use serde::Deserialize;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// Where a frame begins and ends. A word alone, such as `gap`, takes a rule with its defaults.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Lines of text.
    Lines(lines::Lines),
    /// A start and an end, with or without escape sequences between them.
    Delimited(delimited::Delimited),
    /// Always the same number of bytes.
    Fixed(fixed::Fixed),
    /// A length field in the frame's head.
    Length(length::Length),
    /// Silence ends a frame, as on Modbus RTU.
    Gap(gap::Gap),
    /// HDLC frames of DLMS/COSEM meters.
    Hdlc(hdlc::Hdlc),
    /// Telegrams of electricity meters, `/…!`.
    P1(p1::P1),
    /// Files of SML meters.
    Sml(sml::Sml),
    /// VE.Direct of Victron, text and HEX lines.
    #[serde(rename = "ve-direct")]
    VeDirect(ve_direct::VeDirect),
    /// No frames: whatever comes in within a time.
    Raw(raw::Raw),
}

impl Default for Framing {
    fn default() -> Framing {
        Framing::Lines(lines::Lines::default())
    }
}

impl Framing {
    /// Frames that end with these bytes, such as a prompt.
    pub fn ending_with(end: &ByteString) -> Framing {
        Framing::Delimited(delimited::Delimited::ending_with(end))
    }

    /// The running framer. Errors are in the keys `framing` and `checksum`. `line` is the port's speed,
    /// for silences given in characters; a port on the network may have none.
    pub fn build(
        &self,
        checksum: Option<&Checksum>,
        line: Option<&Line>,
    ) -> Result<Framer, BuildError> {
        self.build_for(checksum, std::iter::empty(), line)
    }

    /// As [`Framing::build`], for frames of several kinds: how each begins, and the checksum that it has in
    /// place of the others'. Errors are in the keys `framing`, `checksum` and `frames`.
    pub fn build_for<'a>(
        &self,
        checksum: Option<&Checksum>,
        kinds: impl Iterator<Item = (&'a ByteString, Option<&'a OwnChecksum>)>,
        line: Option<&Line>,
    ) -> Result<Framer, BuildError> {
        let kinds: Vec<_> = kinds.collect();
        if let Some(word) = self.with_own_checksum() {
            let error = BuildError::new(format!("`{word}` verifies checksums of its own"));
            let error = error.remedy("leave it out").at("checksum");
            if checksum.is_some() {
                return Err(error);
            }
            if let Some(n) = kinds.iter().position(|(_, own)| own.is_some()) {
                return Err(error.item(n).at("frames"));
            }
        }
        let build = |checksum: &Checksum| checksum.build().map_err(|e| e.at("checksum"));
        let default = checksum.map(build).transpose()?;
        let mut checks = Checks { default, kinds: Vec::new() };
        for (n, (prefix, own)) in kinds.into_iter().enumerate() {
            let summer = match own {
                None => checks.default.clone(),
                Some(OwnChecksum(own)) => {
                    own.as_ref().map(build).transpose().map_err(|e| e.item(n).at("frames"))?
                }
            };
            checks.kinds.push((prefix.as_bytes().to_vec(), summer));
        }
        let rule = self.rule(checks.cover_all(), line).map_err(|error| error.at("framing"))?;
        Ok(Framer::new(rule, checks))
    }

    fn rule(&self, has_checksum: bool, line: Option<&Line>) -> Result<Rule, BuildError> {
        let (word, rule) = match self {
            Framing::Lines(lines) => ("lines", lines.build()),
            Framing::Delimited(delimited) => ("delimited", delimited.build()),
            Framing::Fixed(fixed) => ("fixed", fixed.build(has_checksum)),
            Framing::Length(length) => ("length", length.build(has_checksum)),
            Framing::Gap(gap) => ("gap", Ok(gap.build(line))),
            Framing::Hdlc(hdlc) => ("hdlc", Ok(hdlc.build())),
            Framing::P1(p1) => ("p1", Ok(p1.build())),
            Framing::Sml(sml) => ("sml", Ok(sml.build())),
            Framing::VeDirect(ve_direct) => ("ve-direct", Ok(ve_direct.build())),
            Framing::Raw(raw) => ("raw", Ok(raw.build())),
        };
        rule.map_err(|error| error.at(word))
    }

    /// The word of a rule that is about one protocol only, checksums included.
    fn with_own_checksum(&self) -> Option<&'static str> {
        match self {
            Framing::Hdlc(_) => Some("hdlc"),
            Framing::P1(_) => Some("p1"),
            Framing::Sml(_) => Some("sml"),
            Framing::VeDirect(_) => Some("ve-direct"),
            _ => None,
        }
    }

    /// How many bits of a frame, by its delimiters, and of its own checksum would be right by chance only.
    #[cfg(feature = "tools")]
    pub fn proof(&self) -> (u64, u64) {
        let bits = |bytes: &ByteString| 8 * bytes.as_bytes().len() as u64;
        match self {
            Framing::Lines(_) | Framing::Gap(_) | Framing::Raw(_) => (0, 0),
            Framing::Delimited(delimited) => (bits(&delimited.start), 0),
            Framing::Fixed(fixed) => (bits(&fixed.prefix), 0),
            Framing::Length(length) => (bits(&length.prefix), 0),
            Framing::P1(_) => (8, 16),
            Framing::Hdlc(_) => (16, 16),
            Framing::Sml(_) => (64, 16),
            Framing::VeDirect(_) => (64, 8),
        }
    }

    /// The most bytes that a frame may have.
    pub fn limit(&self) -> usize {
        self.rule(false, None).map_or(FrameSize::LARGEST, |rule| rule.limit)
    }
}

/// A port reads at most this many bytes at once.
pub(crate) const READ: usize = 4096;

/// The size of a frame in bytes: 1 to 64KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize(usize);

impl FrameSize {
    /// Larger limits only serve garbage.
    const LARGEST: usize = 64 * 1024;
}

impl Default for FrameSize {
    fn default() -> FrameSize {
        FrameSize(4096)
    }
}

impl FromStr for FrameSize {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<FrameSize, BuildError> {
        match text.parse::<Size>()?.bytes() {
            size @ 1..=FrameSize::LARGEST => Ok(FrameSize(size)),
            size => wrong(format!("a frame cannot have {size} bytes"), "write 1 to 64KiB"),
        }
    }
}

deserialize_from_str!(FrameSize: "size");

/// A rule in operation: its splitter, and what the framer has to know about it.
#[derive(Debug)]
struct Rule {
    splitter: Box<dyn Splitter>,
    /// The most bytes of a frame.
    limit: usize,
    /// How many bytes the splitter may have to see besides the largest frame.
    around: usize,
    silence: Silence,
    /// Whether a good frame may hide in a bad one, because the end of a frame is computed from its
    /// bytes. After a bad frame the search goes on at its second byte.
    self_synchronising: bool,
    /// What completes the last frame when no more bytes come.
    terminator: Vec<u8>,
}

impl Rule {
    /// A rule to which silence means nothing, and that needs to see nothing around a frame.
    fn new(limit: FrameSize, splitter: impl Splitter + 'static) -> Rule {
        Rule {
            splitter: Box::new(splitter),
            limit: limit.0,
            around: 0,
            silence: Silence::MeansNothing,
            self_synchronising: false,
            terminator: Vec::new(),
        }
    }

    /// How many bytes the splitter has to see at once, at most.
    fn longest(&self) -> usize {
        self.limit + self.around
    }
}

/// What a silence of a certain length means to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    MeansNothing,
    /// An unfinished frame is dropped, or taken if only the end is missing that it need not have.
    DropsFrame(Duration),
    EndsFrame(Duration),
    /// Not a silence: the time from the first byte of a piece to its end.
    EndsPiece(Duration),
}

impl Silence {
    fn length(self) -> Option<Duration> {
        match self {
            Silence::MeansNothing => None,
            Silence::DropsFrame(n) | Silence::EndsFrame(n) | Silence::EndsPiece(n) => Some(n),
        }
    }
}

/// The checksums of a port's frames.
#[derive(Debug)]
struct Checks {
    /// Of frames that are of no kind below.
    default: Option<Summer>,
    /// How a kind of frame begins, and its checksum.
    kinds: Vec<(Vec<u8>, Option<Summer>)>,
}

impl Checks {
    /// The checksum of a frame.
    fn of(&self, frame: &[u8]) -> Option<&Summer> {
        let kind = self.kinds.iter().find(|(prefix, _)| frame.starts_with(prefix));
        kind.map_or(&self.default, |(_, own)| own).as_ref()
    }

    /// Whether each frame has one.
    fn cover_all(&self) -> bool {
        let takes_any = self.kinds.iter().any(|(prefix, _)| prefix.is_empty());
        (self.default.is_some() || takes_any) && self.kinds.iter().all(|(_, own)| own.is_some())
    }
}

/// How a rule finds frames.
trait Splitter: Send + Sync {
    fn split(&self, seen: &Seen<'_>) -> Split;
}

/// For all of them, because what stands in a trait object is in the program even if nothing calls it.
impl fmt::Debug for dyn Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Splitter")
    }
}

/// What a rule sees of the bytes that the framer holds.
#[derive(Clone, Copy, Debug)]
struct Seen<'a> {
    bytes: &'a [u8],
    /// How many bytes at the front the rule has searched already.
    searched: usize,
    /// Whether the bytes begin where a frame may begin.
    synchronised: bool,
    /// Whether the rule's silence follows the last byte.
    silent: bool,
}

/// What a rule makes of the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Split {
    /// No frame yet. The first `searched` bytes need not be looked at again.
    More {
        searched: usize,
    },
    /// The first bytes belong to no frame.
    Skip(usize),
    /// The first bytes are the rest of a frame whose beginning was not seen; a frame begins after them.
    Align(usize),
    /// The first bytes are neither a frame nor garbage, but separators for instance.
    Pass(usize),
    Frame(Cut),
    /// The first `n` bytes are a frame that went wrong.
    Bad(FrameFault, usize),
    /// A frame that went wrong, and only a silence tells where the next one begins.
    Desync,
}

/// Where in the buffer a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cut {
    /// Bytes of the buffer that it takes up, from the first.
    whole: usize,
    /// What the decoder gets, the checksum still in it.
    frame: Range<usize>,
    /// The bytes that end with the checksum; the checksum's `from` counts from their start.
    checked: Range<usize>,
    /// The frame with its escape sequences resolved, where there are some; it replaces `frame` and
    /// `checked`.
    unescaped: Option<Bytes>,
    /// The same bytes with their escape sequences, and what those begin with.
    escaped: Option<(Range<usize>, u8)>,
    own_check: OwnCheck,
}

/// What a rule knows of a checksum that it verifies itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnCheck {
    /// Nothing: the settings say which checksum there is.
    Unknown,
    Right,
    Wrong,
    /// The frame has none, and needs none.
    Missing,
}

impl Cut {
    /// A frame of the first `n` bytes, which are all its own.
    fn plain(n: usize) -> Cut {
        Cut {
            whole: n,
            frame: 0..n,
            checked: 0..n,
            unescaped: None,
            escaped: None,
            own_check: OwnCheck::Unknown,
        }
    }

    /// Bytes of the frame, as the limit counts them.
    fn size(&self) -> usize {
        self.unescaped.as_ref().map_or(self.frame.len(), Bytes::len)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameFault {
    Cut,
    Malformed,
}

/// The first place of `wanted` in `buffer`, from `from` on.
pub(in crate::codec) fn find(buffer: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let (first, rest) = wanted.split_first()?;
    let mut at = from;
    loop {
        at += buffer.get(at..)?.iter().position(|byte| byte == first)?;
        if rest.is_empty() || buffer[at + 1..].starts_with(rest) {
            return Some(at);
        }
        at += 1;
    }
}

/// How many bytes at the front of a buffer cannot be the beginning of `start`; 0 when it may stand
/// there, as far as can be seen.
fn before_start(buffer: &[u8], start: &[u8]) -> usize {
    (0..buffer.len())
        .find(|at| {
            let here = &buffer[*at..];
            let n = here.len().min(start.len());
            here[..n] == start[..n]
        })
        .unwrap_or(buffer.len())
}
