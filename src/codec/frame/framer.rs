//! The framer: it applies one rule, buffers bytes, enforces the limit, verifies the checksum,
//! resynchronises and counts.

use super::{Checks, Cut, FrameFault, OwnCheck, READ, Rule, Seen, Silence, Split};
use crate::codec::checksum::{EscapedFrame, Verified};
use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::{Duration, Instant};

/// A line that was silent for this long after opening begins a frame with its next byte.
const SILENCE: Duration = Duration::from_millis(20);

/// USB adapters hand over what they received in bursts up to 16 ms apart. A pause of that length does
/// not mean that the line was silent.
const BURST: Duration = Duration::from_millis(20);

/// Cuts one port's bytes into frames. Sans-io.
#[derive(Debug)]
pub struct Framer {
    rule: Rule,
    checks: Checks,
    buffer: BytesMut,
    /// Bytes at the buffer's front in which no frame ends.
    searched: usize,
    /// Whether the buffer begins where a frame may begin.
    synchronised: bool,
    tail: Tail,
    /// When the port was opened; `None` once a byte came.
    opened: Option<Instant>,
    /// When the last byte came; for `raw` when the first byte of the buffer came.
    last: Option<Instant>,
    /// Bytes at the buffer's front that belong to a bad frame that was counted already.
    counted: usize,
    /// Bytes that have left the buffer.
    front: u64,
    /// Where damaged bytes are, counted as `front` is. One range covers all of them and the good bytes
    /// between them: frames are taken out before it grows.
    damaged: Range<u64>,
    counts: FrameCounts,
}

/// What follows the buffer's last byte, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// More bytes may follow at once.
    Open,
    /// The silence that means something to the rule.
    Silent,
    /// A silence that seemed to end a frame, whose checksum then was wrong: the rest of the frame may
    /// come with the next burst of a USB adapter.
    AwaitingChecksum,
    /// A silence longer than between two bursts.
    NoMoreBursts,
}

impl Tail {
    fn is_silent(self) -> bool {
        matches!(self, Tail::Silent | Tail::NoMoreBursts)
    }
}

/// What a framer has seen since it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    pub bytes: u64,
    pub frames: u64,
    /// Good frames without a checksum where one may be left out.
    pub unchecked: u64,
    /// Bytes that belonged to no good frame.
    pub skipped: u64,
    pub bad: BadFrames,
}

/// Bad frames by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadFrames {
    /// The checksum did not match.
    pub checksum: u64,
    /// Longer than the limit.
    pub too_long: u64,
    /// Cut off by a hang-up, by silence or by the start of another frame.
    pub cut: u64,
    /// With invalid escape sequences or length fields.
    pub malformed: u64,
    /// With a byte that came damaged, or with bytes that were lost on the line, as the driver says.
    pub line_error: u64,
}

impl BadFrames {
    pub fn total(&self) -> u64 {
        self.checksum + self.too_long + self.cut + self.malformed + self.line_error
    }
}

impl Framer {
    pub(super) fn new(rule: Rule, checks: Checks) -> Framer {
        Framer {
            // A buffer that grows by doubling would end at twice this size.
            buffer: BytesMut::with_capacity(rule.longest() + READ),
            rule,
            checks,
            searched: 0,
            synchronised: false,
            tail: Tail::Open,
            opened: None,
            last: None,
            counted: 0,
            front: 0,
            damaged: 0..0,
            counts: FrameCounts::default(),
        }
    }

    /// The port was opened at `at`: forgets what was half read (counted as `cut`).
    pub fn open(&mut self, at: Instant) {
        if !self.buffer.is_empty() && self.synchronised {
            self.counts.bad.cut += 1;
        }
        self.skip(self.buffer.len());
        self.synchronised = false;
        self.tail = Tail::Open;
        self.opened = Some(at);
        self.last = None;
    }

    /// A frame is awaited that begins with the next byte: forgets what was half read.
    pub fn start(&mut self) {
        self.skip(self.buffer.len());
        self.synchronised = true;
        self.tail = Tail::Open;
        (self.opened, self.last) = (None, None);
    }

    /// Takes bytes that were read at `at`. Call [`Framer::frame`] until it has no more.
    pub fn push(&mut self, bytes: &[u8], at: Instant) {
        if bytes.is_empty() {
            return;
        }
        let silence = self.rule.silence.length().unwrap_or_default().max(SILENCE);
        // Bytes right after opening may be the middle of a frame.
        if self.opened.take().is_some_and(|opened| at.saturating_duration_since(opened) >= silence)
        {
            self.synchronised = true;
        }
        self.tail = Tail::Open;
        self.counts.bytes += bytes.len() as u64;
        // What waits in the buffer is less than a frame, so this bounds it by limit and read size.
        self.buffer.extend_from_slice(bytes);
        match self.rule.silence {
            // The time runs from the first byte, or a device that never pauses would never be heard.
            Silence::EndsPiece(_) => self.last.get_or_insert(at),
            _ => self.last.insert(at),
        };
    }

    /// Takes bytes that the line's driver calls damaged: every frame that contains one of them is bad,
    /// and none of them begins a frame.
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

    /// Bytes were lost on the line: the unfinished frame is bad, and the next one has to be searched for.
    pub fn lost(&mut self) {
        self.counts.bad.line_error += u64::from(self.synchronised);
        self.synchronised = false;
    }

    /// Whether a damaged byte is ignored. An RS-485 driver that is switched on or off produces such bytes
    /// around a frame; the checksum tells whether one is missing within it.
    fn is_stray(&self) -> bool {
        self.checks.cover_all()
            && (self.buffer.is_empty() || matches!(self.rule.silence, Silence::EndsFrame(_)))
    }

    /// The next whole frame, without delimiters and checksum.
    pub fn frame(&mut self) -> Option<Bytes> {
        while !self.buffer.is_empty() {
            // No rule sees more than the longest frame, so that the same bytes give the same frames
            // however they are split into reads.
            let seen = self.buffer.len().min(self.rule.longest());
            let split = self.rule.splitter.split(&Seen {
                bytes: &self.buffer[..seen],
                searched: self.searched,
                synchronised: self.synchronised,
                silent: self.tail.is_silent(),
            });
            match split {
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
                            FrameFault::Cut => self.counts.bad.cut += 1,
                            FrameFault::Malformed => self.counts.bad.malformed += 1,
                        }
                    }
                    self.skip(n.max(1));
                }
                Split::Desync => {
                    self.counts.bad.malformed += 1;
                    self.skip(seen);
                    self.synchronised = false;
                }
                Split::Frame(cut) if cut.size() > self.rule.limit => {
                    self.counts.bad.too_long += 1;
                    self.skip(cut.whole);
                    self.synchronised = true;
                }
                Split::Frame(cut) => match self.accept(cut) {
                    Some(frame) => return Some(frame),
                    None if self.tail == Tail::AwaitingChecksum => return None,
                    None => {}
                },
            }
        }
        // A frame begins after a silence. Silence is waited for until the framer is synchronised.
        if self.tail.is_silent() {
            self.synchronised = true;
            self.tail = Tail::Open;
        }
        if self.synchronised {
            self.last = None;
        }
        None
    }

    /// When [`Framer::timeout`] is due, where silence matters to the rule.
    pub fn deadline(&self) -> Option<Instant> {
        let silence = self.rule.silence.length()?;
        let silence = match self.tail {
            Tail::Open => silence,
            Tail::AwaitingChecksum => silence.max(BURST),
            Tail::Silent | Tail::NoMoreBursts => return None,
        };
        Some(self.last? + silence)
    }

    /// It is `at`, and nothing more was read. Call [`Framer::frame`] afterwards.
    pub fn timeout(&mut self, at: Instant) {
        if self.deadline().is_some_and(|due| due <= at) {
            self.tail = match self.tail {
                Tail::AwaitingChecksum => Tail::NoMoreBursts,
                _ => Tail::Silent,
            };
        }
    }

    /// No more bytes will come, as at the end of a capture: a line is taken without its terminator.
    /// Returns whether that was so. Call [`Framer::frame`] afterwards.
    pub fn finish(&mut self) -> bool {
        let is_line = !self.rule.terminator.is_empty() && !self.buffer.is_empty();
        if is_line {
            self.buffer.extend_from_slice(&self.rule.terminator);
        }
        is_line
    }

    /// The most bytes of a frame and what stands around it.
    pub fn limit(&self) -> usize {
        self.rule.longest()
    }

    /// Bytes that wait for the rest of their frame; never more than the limit and what the rule
    /// needs around it.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    pub fn counts(&self) -> &FrameCounts {
        &self.counts
    }

    fn accept(&mut self, cut: Cut) -> Option<Bytes> {
        let bytes = cut.unescaped.as_deref().unwrap_or(&self.buffer);
        let (mut frame, checked) = match &cut.unescaped {
            Some(bytes) => (0..bytes.len(), 0..bytes.len()),
            None => (cut.frame.clone(), cut.checked.clone()),
        };
        let is_damaged = self.is_damaged(frame.start.min(checked.start)..cut.whole);
        let checksum = self.checks.of(&bytes[frame.clone()]);
        let by_silence = matches!(self.rule.silence, Silence::EndsFrame(_)) && checksum.is_some();
        // The framer waits for one more burst, not for a second one.
        let may_go_on = by_silence && self.tail == Tail::Silent;
        if self.tail == Tail::NoMoreBursts {
            self.tail = Tail::Silent;
        }
        let escaped = cut
            .escaped
            .clone()
            .map(|(range, escape)| EscapedFrame { bytes: &self.buffer[range], escape });
        let verified = match (checksum, cut.own_check) {
            _ if is_damaged && !by_silence => None,
            (_, OwnCheck::Wrong) => None,
            (_, OwnCheck::Missing) => Some(Verified { covered: checked.len(), is_checked: false }),
            (Some(checksum), _) => checksum.verify(&bytes[checked.clone()], escaped),
            (None, _) => Some(Verified { covered: checked.len(), is_checked: true }),
        };
        match verified {
            // The decoder gets neither the checksum nor its separator and what follows it.
            Some(Verified { covered, is_checked }) => {
                frame.end = frame.end.min(checked.start + covered).max(frame.start);
                self.counts.unchecked += u64::from(!is_checked);
            }
            None if may_go_on => {
                self.tail = Tail::AwaitingChecksum;
                return None;
            }
            None => {
                if self.is_new_fault(cut.whole) {
                    if is_damaged {
                        self.counts.bad.line_error += 1;
                    } else {
                        self.counts.bad.checksum += 1;
                    }
                }
                // What ends in a damaged byte may not have ended there.
                self.synchronised &= !self.is_damaged(cut.frame.end..cut.whole);
                let n = if self.rule.self_synchronising { 1 } else { cut.whole };
                self.skip(n);
                return None;
            }
        }
        self.counts.frames += 1;
        self.counted = 0;
        self.synchronised = true;
        let whole = self.take(cut.whole);
        let mut bytes = cut.unescaped.unwrap_or(whole);
        bytes.truncate(frame.end);
        bytes.advance(frame.start);
        Some(bytes)
    }

    /// Whether one of these bytes of the buffer is damaged.
    fn is_damaged(&self, within: Range<usize>) -> bool {
        let start = self.front + within.start as u64;
        let end = self.front + within.end as u64;
        self.damaged.start < end && start < self.damaged.end
    }

    /// Whether a bad frame of `n` bytes at the buffer's front is to be counted. Where a good frame may
    /// begin at any of its bytes, further attempts within it do not count; and the rest of a frame
    /// whose beginning was not seen is not a bad frame.
    fn is_new_fault(&mut self, n: usize) -> bool {
        if self.counted > 0 {
            return false;
        }
        if self.rule.self_synchronising {
            self.counted = n;
            return std::mem::replace(&mut self.synchronised, true);
        }
        true
    }

    /// The longest frame is full and its end is not in sight.
    fn give_up(&mut self) {
        if self.synchronised {
            self.counts.bad.too_long += 1;
        }
        self.skip(self.searched.max(1));
        self.synchronised = false;
    }

    fn take(&mut self, n: usize) -> Bytes {
        let n = self.leaves(n);
        self.buffer.split_to(n).freeze()
    }

    fn skip(&mut self, n: usize) {
        let n = self.leaves(n);
        self.buffer.advance(n);
        self.counts.skipped += n as u64;
        self.counted = self.counted.saturating_sub(n);
    }

    /// The buffer's first `n` bytes are about to leave it. Returns how many it has of them.
    fn leaves(&mut self, n: usize) -> usize {
        let n = n.min(self.buffer.len());
        self.searched = 0;
        self.front += n as u64;
        // Damaged bytes that have left harm no frame any more.
        if self.damaged.end <= self.front {
            self.damaged = 0..0;
        }
        n
    }
}
