//! Bytes → frames: one rule a file, and the [`Framer`] that does for all of them what is the same:
//! it holds the bytes, enforces the limit, checks the checksum, finds back into step and counts.

mod delimited;
mod fixed;
mod gap;
mod length;
mod lines;
mod raw;

pub use super::checksum::{Checksum, Format, Settings};
pub use delimited::{Delimited, Escape};
pub use fixed::Fixed;
pub use gap::Gap;
pub use length::{Endian, Length, Width};
pub use lines::Lines;
pub use raw::Raw;

use crate::base::line::Line;
use crate::base::path::BuildError;
use crate::base::scalar::Size;
use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Where a frame begins and ends. A word alone, such as `gap`, takes a rule with its defaults.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Lines of text.
    Lines(Lines),
    /// A start and an end, with or without escape sequences between them.
    Delimited(Delimited),
    /// Always the same number of bytes.
    Fixed(Fixed),
    /// A length field in the frame's head.
    Length(Length),
    /// Silence ends a frame, as on Modbus RTU.
    Gap(Gap),
    /// No frames: whatever comes in within a time.
    Raw(Raw),
}

impl Framing {
    /// Bytes that a frame may have.
    pub fn limit(&self) -> usize {
        let limit = match self {
            Framing::Lines(lines) => lines.limit,
            Framing::Delimited(delimited) => delimited.limit,
            Framing::Fixed(fixed) => fixed.size,
            Framing::Length(length) => length.limit,
            Framing::Gap(gap) => gap.limit,
            Framing::Raw(raw) => raw.size,
        };
        limit.bytes()
    }
}

impl Default for Framing {
    fn default() -> Framing {
        Framing::Lines(Lines::default())
    }
}

/// The most that a frame may have. Larger limits only serve garbage.
const LARGEST: usize = 64 * 1024;

/// Bytes of one read at most, as a port reads.
pub(crate) const READ: usize = 4096;

/// A line that was silent for so long after opening begins a frame with its next byte.
const SILENCE: Duration = Duration::from_millis(20);

/// USB adapters hand over what they received in bursts up to 16 ms apart. A silence of that length
/// within a frame is one only for us.
const BURST: Duration = Duration::from_millis(20);

impl Framing {
    /// The running framer. Errors are in the keys `framing` and `checksum`. `line` is the port's speed, for silences given in characters; a port on
    /// the network may have none.
    pub fn build(
        &self,
        checksum: Option<&Checksum>,
        line: Option<&Line>,
    ) -> Result<Framer, BuildError> {
        let below = |word: &'static str| move |error: BuildError| error.at(word).at("framing");
        let has_checksum = checksum.is_some();
        let rule = match self {
            Framing::Lines(lines) => Rule::Lines(lines.build().map_err(below("lines"))?),
            Framing::Delimited(delimited) => {
                Rule::Delimited(delimited.build().map_err(below("delimited"))?)
            }
            Framing::Fixed(fixed) => {
                Rule::Fixed(fixed.build(has_checksum).map_err(below("fixed"))?)
            }
            Framing::Length(length) => {
                Rule::Length(length.build(has_checksum).map_err(below("length"))?)
            }
            Framing::Gap(gap) => Rule::Gap(gap.build(line)),
            Framing::Raw(raw) => Rule::Raw(raw.build()),
        };
        let limit = self.limit();
        if limit == 0 || limit > LARGEST {
            let error = BuildError::new(format!("a frame cannot have {limit} bytes"));
            return Err(error.remedy(format!("1 to {LARGEST} is possible")).at("framing"));
        }
        let checksum = checksum.map(Checksum::build).transpose().map_err(|e| e.at("checksum"))?;
        let mut framer = Framer {
            rule,
            checksum,
            limit,
            buffer: BytesMut::new(),
            searched: 0,
            synchronised: false,
            quiet: false,
            opened: None,
            last: None,
            awaiting_checksum: false,
            counted: 0,
            front: 0,
            damaged: 0..0,
            counts: FrameCounts::default(),
        };
        // Growing by halves it would come to twice as much.
        framer.buffer = BytesMut::with_capacity(framer.longest() + READ);
        Ok(framer)
    }
}

fn default_limit() -> Size {
    Size::from_bytes(4096)
}

/// A rule that runs.
#[derive(Debug)]
enum Rule {
    Lines(lines::Rule),
    Delimited(delimited::Rule),
    Fixed(fixed::Rule),
    Length(length::Rule),
    Gap(gap::Rule),
    Raw(raw::Rule),
}

/// What a rule makes of the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Split {
    /// No frame yet. The first `searched` bytes need not be looked at again.
    More { searched: usize },
    /// The first bytes belong to no frame.
    Skip(usize),
    /// The first bytes are the rest of a frame whose beginning was not seen; behind them one begins.
    Align(usize),
    /// The first bytes are separators and the like: neither frame nor garbage.
    Pass(usize),
    /// A frame.
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
    /// What ends with the checksum; `from` of the checksum counts from its start.
    checked: Range<usize>,
    /// The frame with its escape sequences resolved, where there are some; it replaces `frame` and
    /// `checked`.
    unescaped: Option<Bytes>,
}

impl Cut {
    /// A frame of the first `n` bytes, which are all its own.
    fn plain(n: usize) -> Cut {
        Cut { whole: n, frame: 0..n, checked: 0..n, unescaped: None }
    }

    /// Bytes of the frame, as the limit counts them.
    fn size(&self) -> usize {
        self.unescaped.as_ref().map_or(self.frame.len(), Bytes::len)
    }
}

/// Why a frame went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameFault {
    Cut,
    Malformed,
}

/// Cuts one port's bytes into frames. Sans-io.
#[derive(Debug)]
pub struct Framer {
    rule: Rule,
    checksum: Option<super::checksum::Rule>,
    limit: usize,
    buffer: BytesMut,
    /// Bytes at the buffer's front in which no frame ends.
    searched: usize,
    /// Whether the buffer begins where a frame may begin.
    synchronised: bool,
    /// Whether silence was noticed behind the buffer's last byte.
    quiet: bool,
    /// When the port was opened, until the first byte.
    opened: Option<Instant>,
    /// When the last byte came; for `raw` the first of the buffer.
    last: Option<Instant>,
    /// Whether a silence seemed to end a frame whose checksum then was wrong.
    awaiting_checksum: bool,
    /// Bytes at the buffer's front that belong to a bad frame that was counted already.
    counted: usize,
    /// Bytes that have left the buffer.
    front: u64,
    /// Where damaged bytes are, counted as `front` is. One range for all, which may hold good bytes
    /// between damaged ones: frames are taken before it grows.
    damaged: Range<u64>,
    counts: FrameCounts,
}

/// What a framer has seen since it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Bytes that came in.
    pub bytes: u64,
    /// Good frames.
    pub frames: u64,
    /// Bytes that belonged to no good frame.
    pub skipped: u64,
    /// Bad frames: the checksum did not match.
    pub bad_checksum: u64,
    /// Bad frames: longer than the limit.
    pub too_long: u64,
    /// Bad frames: cut off by a hang-up, by silence or by the start of another.
    pub cut: u64,
    /// Bad frames: escape sequences or length fields that cannot be.
    pub malformed: u64,
    /// Bad frames: with a byte that came damaged, or with bytes that were lost on the line, as the
    /// driver says.
    pub line_error: u64,
}

impl FrameCounts {
    /// Bad frames of any kind.
    pub fn bad(&self) -> u64 {
        self.bad_checksum + self.too_long + self.cut + self.malformed + self.line_error
    }
}

impl Framer {
    /// The port was opened at `at`: forgets what was half read (counted as `cut`).
    pub fn open(&mut self, at: Instant) {
        if !self.buffer.is_empty() && self.synchronised {
            self.counts.cut += 1;
        }
        self.skip(self.buffer.len());
        self.synchronised = false;
        self.quiet = false;
        self.opened = Some(at);
        self.last = None;
    }

    /// Takes bytes that were read at `at`. Call [`Framer::frame`] until it has no more.
    pub fn push(&mut self, bytes: &[u8], at: Instant) {
        if bytes.is_empty() {
            return;
        }
        let silence = self.rule.silence().unwrap_or(SILENCE).max(SILENCE);
        // Bytes right after opening may be the middle of a frame.
        if self.opened.take().is_some_and(|opened| at.saturating_duration_since(opened) >= silence)
        {
            self.synchronised = true;
        }
        self.quiet = false;
        self.awaiting_checksum = false;
        self.counts.bytes += bytes.len() as u64;
        // What waits in the buffer is less than a frame, so this bounds it by limit and read size.
        self.buffer.extend_from_slice(bytes);
        match self.rule {
            // Its time runs from the first byte on, or a chatty device would never be heard.
            Rule::Raw(_) => self.last.get_or_insert(at),
            _ => self.last.insert(at),
        };
    }

    /// As [`Framer::push`], of bytes that came damaged, as the driver of the line says: every frame
    /// that has any of them is bad, and none of them begins a frame.
    pub fn push_damaged(&mut self, bytes: &[u8], at: Instant) {
        let start = self.front + self.buffer.len() as u64;
        let start = if self.damaged.is_empty() { start } else { self.damaged.start };
        if self.is_stray() {
            self.counts.bytes += bytes.len() as u64;
            self.counts.skipped += bytes.len() as u64;
            if self.buffer.is_empty() {
                return;
            }
        } else {
            self.push(bytes, at);
        }
        self.damaged = start..(self.front + self.buffer.len() as u64).max(start + 1);
    }

    /// Bytes were lost on the line: what is half read is bad, and where the next frame begins has
    /// to be found anew.
    pub fn lost(&mut self) {
        self.counts.line_error += u64::from(self.synchronised);
        self.synchronised = false;
    }

    /// Whether a damaged byte is of no interest here. An RS-485 driver that is switched on or off
    /// makes such bytes around a frame, and it is the checksum that tells whether one is missing
    /// within.
    fn is_stray(&self) -> bool {
        self.checksum.is_some() && (self.buffer.is_empty() || matches!(self.rule, Rule::Gap(_)))
    }

    /// The next whole frame, without delimiters and checksum.
    pub fn frame(&mut self) -> Option<Bytes> {
        while !self.buffer.is_empty() {
            // No rule sees more than a frame may have, so that the same bytes give the same frames
            // in whatever reads they come.
            let seen = self.buffer.len().min(self.longest());
            let window = &self.buffer[..seen];
            match self.rule.split(window, self.searched, self.synchronised, self.quiet) {
                Split::More { searched } => {
                    self.searched = searched.min(seen);
                    if self.buffer.len() == seen {
                        return None;
                    }
                    self.give_up();
                }
                Split::Skip(n) => self.skip(n.max(1)),
                Split::Align(n) => {
                    // What ends in a damaged byte may not have ended there.
                    self.synchronised = !self.is_damaged(n.saturating_sub(1)..n);
                    self.skip(n.max(1));
                }
                Split::Pass(n) => {
                    self.synchronised = !self.is_damaged(n.saturating_sub(1)..n);
                    self.take(n.max(1));
                }
                Split::Bad(fault, n) => {
                    if self.is_new_fault(seen) {
                        match fault {
                            FrameFault::Cut => self.counts.cut += 1,
                            FrameFault::Malformed => self.counts.malformed += 1,
                        }
                    }
                    self.skip(n.max(1));
                }
                Split::Desync => {
                    self.counts.malformed += 1;
                    self.skip(seen);
                    self.synchronised = false;
                }
                Split::Frame(cut) if cut.size() > self.limit => {
                    self.counts.too_long += 1;
                    self.skip(cut.whole);
                    self.synchronised = true;
                }
                Split::Frame(cut) => match self.accept(cut) {
                    Some(frame) => return Some(frame),
                    None if self.awaiting_checksum => return None,
                    None => {}
                },
            }
        }
        // A quiet line begins anew. Until it was quiet, or in step, its silence is waited for.
        self.synchronised |= std::mem::take(&mut self.quiet);
        if self.synchronised {
            self.last = None;
        }
        None
    }

    /// When [`Framer::timeout`] is due, where silence matters to the rule.
    pub fn deadline(&self) -> Option<Instant> {
        let silence = self.rule.silence()?;
        let silence = if self.awaiting_checksum { silence.max(BURST) } else { silence };
        Some(self.last? + silence).filter(|_| !self.quiet)
    }

    /// It is `at`, and nothing more was read. Call [`Framer::frame`] afterwards.
    pub fn timeout(&mut self, at: Instant) {
        if self.deadline().is_some_and(|due| due <= at) {
            self.quiet = true;
        }
    }

    /// No more bytes will come, as at the end of a capture: a line is taken without its terminator.
    /// Returns whether that was so. Call [`Framer::frame`] afterwards.
    pub fn finish(&mut self) -> bool {
        match &self.rule {
            Rule::Lines(rule) if !self.buffer.is_empty() => {
                self.buffer.extend_from_slice(&rule.terminator);
                true
            }
            _ => false,
        }
    }

    /// Bytes that wait for the rest of their frame; never more than the limit and what the rule
    /// needs around it.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// What was seen so far.
    pub fn counts(&self) -> &FrameCounts {
        &self.counts
    }

    /// The limit, and what the rule needs around a frame of that size.
    fn longest(&self) -> usize {
        self.limit + self.rule.around(self.limit)
    }

    fn accept(&mut self, cut: Cut) -> Option<Bytes> {
        let bytes = cut.unescaped.as_deref().unwrap_or(&self.buffer);
        let (mut frame, checked) = match &cut.unescaped {
            Some(bytes) => (0..bytes.len(), 0..bytes.len()),
            None => (cut.frame.clone(), cut.checked.clone()),
        };
        let is_damaged = self.is_damaged(frame.start.min(checked.start)..cut.whole);
        let by_silence = matches!(self.rule, Rule::Gap(_)) && self.checksum.is_some();
        let covered = match &self.checksum {
            _ if is_damaged && !by_silence => None,
            Some(checksum) => checksum.verify(&bytes[checked.clone()]),
            None => Some(checked.len()),
        };
        match covered {
            // Checksum, its separator and what is behind it are none of the decoder's business.
            Some(covered) if self.checksum.is_some() => {
                frame.end = frame.end.min(checked.start + covered).max(frame.start)
            }
            Some(_) => {}
            None if by_silence && !self.awaiting_checksum => {
                self.awaiting_checksum = true;
                self.quiet = false;
                return None;
            }
            None => {
                self.awaiting_checksum = false;
                if self.is_new_fault(cut.whole) {
                    match is_damaged {
                        true => self.counts.line_error += 1,
                        false => self.counts.bad_checksum += 1,
                    }
                }
                // What ends in a damaged byte may not have ended there.
                self.synchronised &= !self.is_damaged(cut.frame.end..cut.whole);
                let n = if self.rule.resyncs_by_byte() { 1 } else { cut.whole };
                self.skip(n);
                return None;
            }
        }
        self.counts.frames += 1;
        self.counted = 0;
        self.awaiting_checksum = false;
        self.synchronised = true;
        let whole = self.take(cut.whole);
        Some(match cut.unescaped {
            Some(bytes) => bytes.slice(frame),
            None => whole.slice(frame),
        })
    }

    /// Whether one of these bytes of the buffer is damaged.
    fn is_damaged(&self, within: Range<usize>) -> bool {
        let (start, end) = (self.front + within.start as u64, self.front + within.end as u64);
        self.damaged.start < end && start < self.damaged.end
    }

    /// Whether a bad frame of `n` bytes at the buffer's front is to be counted. Where a good frame
    /// may begin with any of its bytes, the attempts within it are none of their own; and the rest
    /// of a frame whose beginning was not seen is no bad frame.
    fn is_new_fault(&mut self, n: usize) -> bool {
        if self.counted > 0 {
            return false;
        }
        if self.rule.resyncs_by_byte() {
            self.counted = n;
            return std::mem::replace(&mut self.synchronised, true);
        }
        true
    }

    /// As many bytes as a frame may have, and no end in sight.
    fn give_up(&mut self) {
        if self.synchronised {
            self.counts.too_long += 1;
        }
        self.skip(self.searched.max(1));
        self.synchronised = false;
    }

    fn take(&mut self, n: usize) -> Bytes {
        let n = n.min(self.buffer.len());
        self.searched = 0;
        self.front += n as u64;
        self.forget_damage();
        self.buffer.split_to(n).freeze()
    }

    /// What has left the buffer harms nobody any more.
    fn forget_damage(&mut self) {
        if self.damaged.end <= self.front {
            self.damaged = 0..0;
        }
    }

    fn skip(&mut self, n: usize) {
        let n = n.min(self.buffer.len());
        self.buffer.advance(n);
        self.front += n as u64;
        self.forget_damage();
        self.counts.skipped += n as u64;
        self.counted = self.counted.saturating_sub(n);
        self.searched = 0;
    }
}

impl Rule {
    fn split(&self, buffer: &[u8], searched: usize, synchronised: bool, quiet: bool) -> Split {
        match self {
            Rule::Lines(rule) => rule.split(buffer, searched, synchronised),
            Rule::Delimited(rule) => rule.split(buffer, searched, synchronised),
            Rule::Fixed(rule) => rule.split(buffer, synchronised, quiet),
            Rule::Length(rule) => rule.split(buffer, synchronised, quiet),
            Rule::Gap(_) => gap::split(buffer, synchronised, quiet),
            Rule::Raw(rule) => rule.split(buffer, quiet),
        }
    }

    /// How long a silence is that means something.
    fn silence(&self) -> Option<Duration> {
        match self {
            Rule::Lines(_) | Rule::Delimited(_) => None,
            Rule::Fixed(rule) => rule.idle,
            Rule::Length(rule) => rule.idle,
            Rule::Gap(rule) => Some(rule.after),
            Rule::Raw(rule) => Some(rule.after),
        }
    }

    /// Bytes that the rule needs besides a frame of the largest size.
    fn around(&self, limit: usize) -> usize {
        match self {
            Rule::Lines(rule) => rule.terminator.len() + 1,
            Rule::Delimited(rule) => rule.around(limit),
            _ => 0,
        }
    }

    /// Whether a good frame may be hidden in a bad one, because its end is only computed.
    fn resyncs_by_byte(&self) -> bool {
        match self {
            Rule::Fixed(rule) => rule.self_synchronising,
            Rule::Length(rule) => rule.self_synchronising,
            _ => false,
        }
    }
}

/// The first place of `wanted` in `buffer`, from `from` on.
fn find(buffer: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let (first, rest) = wanted.split_first()?;
    let mut at = from;
    loop {
        at += buffer.get(at..)?.iter().position(|byte| byte == first)?;
        if buffer[at + 1..].starts_with(rest) {
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
