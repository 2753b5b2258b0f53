//! What a line says at one speed, and which device that is: statistics of bytes, and how well a device's
//! framing and decoder take them. Sans-io.

use crate::base::clock::Now;
use crate::base::line::{Line, Parity};
use crate::codec::recognise::{Guess, Kind, Recogniser};
use crate::device::Device;
use crate::device::capture::Piece;
use crate::device::settings::DeviceSettings;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What is kept of what was heard: a telegram of the largest meter is 4 KiB.
const KEPT: usize = 16 << 10;

/// A silence that ends a burst: USB adapters hand over what they receive up to 16 ms apart.
pub(crate) const SILENCE: Duration = Duration::from_millis(20);

/// What was heard with one setting of the line.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) line: Line,
    pub(crate) bytes: u64,
    /// Bytes with a parity or framing error, and breaks.
    pub(crate) damaged: u64,
    pub(crate) bursts: u32,
    /// The longest silence between two bursts.
    pub(crate) longest_gap: Duration,
    pub(crate) last: Option<Instant>,
    pieces: Vec<(Instant, Piece)>,
    kept: usize,
}

/// What can be said of bytes without knowing a device.
#[derive(Debug)]
pub(crate) struct Looks {
    /// The line, with 7 bits and parity if the bytes show them.
    pub(crate) line: Line,
    pub(crate) guess: Option<Guess>,
    /// Of 100 bytes, those that came damaged.
    pub(crate) damaged: u64,
    /// Of 100 bytes, those that are readable text.
    pub(crate) text: u64,
    /// Of 100 bytes, those of frames that prove themselves, or of lines of text.
    pub(crate) framed: u64,
    /// The last lines of text, at most three.
    pub(crate) lines: Vec<String>,
}

/// How a device's description takes what was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Good frames.
    pub(crate) frames: u64,
    /// Bits that would be as they are by chance only.
    pub(crate) bits: u64,
    /// Of 100 bytes, those in good frames.
    pub(crate) covered: u64,
    /// Different fields that were published.
    pub(crate) fields: usize,
    /// Values that were refused, and frames that were bad.
    pub(crate) faults: u64,
    /// Whether a text that only this device has was there.
    pub(crate) is_named: bool,
}

/// How sure it is that a device is the one that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Confidence {
    /// Its description fits, as that of many others may.
    Possible,
    Likely,
    Sure,
}

impl Confidence {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Sure => "sure",
        }
    }
}

impl Heard {
    pub(crate) fn new(line: Line) -> Heard {
        Heard {
            line,
            bytes: 0,
            damaged: 0,
            bursts: 0,
            longest_gap: Duration::ZERO,
            last: None,
            pieces: Vec::new(),
            kept: 0,
        }
    }

    /// Bytes that came at `at`. Only the first ones are kept, all are counted.
    pub(crate) fn push(&mut self, piece: Piece, at: Instant) {
        let size = piece.bytes.len();
        self.bytes += size as u64;
        self.damaged += if piece.is_damaged { size as u64 } else { 0 };
        let silence = self.last.map(|last| at.saturating_duration_since(last));
        if silence.is_none_or(|silence| silence >= SILENCE) {
            self.bursts += 1;
            self.longest_gap = self.longest_gap.max(silence.unwrap_or_default());
        }
        self.last = Some(at);
        if self.kept + size <= KEPT {
            self.kept += size;
            self.pieces.push((at, piece));
        }
    }

    /// Whether more would tell no more.
    pub(crate) fn is_enough(&self) -> bool {
        self.kept >= KEPT / 2 || self.bursts > 3 && self.bytes >= 64
    }

    pub(crate) fn looks(&self) -> Looks {
        let line = self.settled_line();
        let (mut recogniser, mut last) = (Recogniser::default(), None::<Instant>);
        let (mut kept, mut text) = (0, 0);
        let mut lines = Vec::new();
        for (at, piece) in self.pieces(line) {
            if last.is_some_and(|last| at.saturating_duration_since(last) >= SILENCE) {
                recogniser.pause(at);
            }
            last = Some(at);
            recogniser.push(&piece.bytes, piece.is_damaged, at);
            let is_text = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t');
            kept += piece.bytes.len() as u64;
            text += if piece.is_damaged { 0 } else { piece.bytes.iter().filter(is_text).count() };
            lines.extend_from_slice(&piece.bytes);
        }
        if let Some(last) = last {
            recogniser.pause(last + Duration::from_secs(1));
        }
        let strong = recogniser.found().filter(|(kind, _)| *kind != Kind::Lines);
        let strong: u64 = strong.map(|(_, found)| found.bytes).sum();
        let of_lines = recogniser.found().find(|(kind, _)| *kind == Kind::Lines);
        let framed = strong.max(of_lines.map_or(0, |(_, found)| found.bytes)).min(kept);
        let share = |part: u64, whole: u64| (100 * part).checked_div(whole).unwrap_or(0);
        Looks {
            line,
            guess: recogniser.guess(),
            damaged: share(self.damaged, self.bytes),
            text: share(text as u64, kept),
            framed: share(framed, kept),
            lines: last_lines(&lines),
        }
    }

    /// Whether there is a byte that is no ASCII.
    pub(crate) fn has_high(&self) -> bool {
        self.pieces.iter().flat_map(|(_, piece)| &piece.bytes).any(|byte| byte & 0x80 != 0)
    }

    /// Characters of 7 bits with parity look like bytes whose ones are all even, or all odd, in number; where
    /// there are only 8 bits of data, that is no accident of many bytes.
    fn settled_line(&self) -> Line {
        let bytes = || self.pieces.iter().flat_map(|(_, piece)| &piece.bytes);
        let has_high = self.has_high();
        let is_narrow =
            |byte: u8| byte & 0x60 != 0 || matches!(byte, 2..=4 | b'\r' | b'\n' | b'\t');
        let all = |odd: bool| {
            bytes().all(|byte| (byte.count_ones() % 2 == 1) == odd && is_narrow(byte & 0x7F))
        };
        let seven = |parity| Line { data_bits: 7, parity, ..self.line };
        match self.line.data_bits == 8 && self.line.parity == Parity::None && self.kept >= 24 {
            true if has_high && all(false) => seven(Parity::Even),
            true if has_high && all(true) => seven(Parity::Odd),
            _ => self.line,
        }
    }

    /// The pieces as a line with this setting hands them over.
    fn pieces(&self, line: Line) -> impl Iterator<Item = (Instant, Piece)> {
        let mask = if line.data_bits == 7 { 0x7F } else { 0xFF };
        self.pieces.iter().map(move |(at, piece)| {
            let bytes = piece.bytes.iter().map(|byte| byte & mask).collect();
            (*at, Piece { bytes, ..*piece })
        })
    }

    /// How a device takes what was heard. `contains` is a text that it sends and others do not.
    pub(crate) fn evidence(
        &self,
        line: Line,
        settings: &DeviceSettings<'_>,
        contains: Option<&[u8]>,
    ) -> Option<Evidence> {
        let mut device = Device::build(settings).ok().filter(Device::listens)?;
        let (mut messages, mut fields) = (Vec::new(), BTreeSet::new());
        let mut now = Now::read();
        device.opened(now.mono);
        // The port was open before, and what came first may be half a frame.
        let (mut before, mut bytes) = (None, Vec::new());
        let pass = |device: &mut Device, now: &mut Now, time, messages: &mut Vec<_>| {
            let end = now.after(time);
            device.pass(now, end, messages);
        };
        pass(&mut device, &mut now, Duration::from_secs(1), &mut messages);
        for (at, piece) in self.pieces(line) {
            let time = before.map_or(Duration::ZERO, |before| at.saturating_duration_since(before));
            before = Some(at);
            pass(&mut device, &mut now, time, &mut messages);
            if piece.is_damaged {
                device.push_damaged(&piece.bytes, now, &mut messages);
            } else {
                device.push(&piece.bytes, now, &mut messages);
                bytes.extend_from_slice(&piece.bytes);
            }
            for publication in messages.drain(..) {
                fields.insert(publication.message.topic.as_str().to_owned());
            }
        }
        pass(&mut device, &mut now, Duration::from_secs(1), &mut messages);
        fields.extend(messages.drain(..).map(|it| it.message.topic.as_str().to_owned()));
        let frames = device.pipeline().frame_counts();
        let counts = device.pipeline().counts();
        let is_named = contains.is_some_and(|text| holds(&bytes, text));
        if contains.is_some() && !is_named {
            return None;
        }
        let checked = settings.checksum.is_some()
            || settings.frames.iter().any(|kind| kind.checksum.is_some());
        let (delimiters, own) = settings.framing.proof();
        let proved = frames.frames - frames.unchecked.min(frames.frames);
        let sums = own + if checked { 8 } else { 0 };
        let bits = frames.frames.min(4) * delimiters
            + proved.min(4) * sums
            + 8 * contains.map_or(0, <[u8]>::len) as u64;
        let waiting = frames.bytes - frames.skipped.min(frames.bytes);
        Some(Evidence {
            frames: frames.frames,
            bits,
            covered: (100 * waiting).checked_div(frames.bytes).unwrap_or(0),
            fields: fields.len(),
            faults: frames.bad.total() + counts.refused.values().sum::<u64>() + counts.unmatched,
            is_named,
        })
    }
}

impl Evidence {
    /// How sure the device is. `None`: it is another one.
    pub(crate) fn confidence(&self) -> Option<Confidence> {
        let Evidence { frames, bits, covered, fields, faults, .. } = *self;
        // The first frame may have been cut off, and noise damages some.
        if frames == 0 || fields == 0 || covered < 50 || 2 * faults > frames {
            return None;
        }
        Some(match bits {
            32.. if frames > 1 && covered >= 75 => Confidence::Sure,
            24.. => Confidence::Likely,
            _ => Confidence::Possible,
        })
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && bytes.windows(text.len()).any(|window| window == text)
}

/// The last whole lines of text, the newest one last.
fn last_lines(bytes: &[u8]) -> Vec<String> {
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let whole = bytes.get(..end).unwrap_or_default().split(|byte| *byte == b'\n');
    let text = |line: &[u8]| String::from_utf8(line.trim_ascii().to_vec()).ok();
    let lines: Vec<String> = whole.filter_map(text).filter(|line| !line.is_empty()).collect();
    lines.into_iter().rev().take(3).rev().collect()
}
