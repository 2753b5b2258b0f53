//! What bytes of unknown meaning look like: frames that prove themselves by a checksum, lines of text,
//! or pieces of one length. Sans-io.

use super::frame::{Framer, Framing};
use super::modbus::whole_rtu_frame;
use std::fmt;
use std::time::Instant;

/// What a frame was recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Telegrams from `/` to `!` (DSMR P1 Companion Standard 5.0.2, 6.2; IEC 62056-21, 6.3).
    P1,
    /// Files between escape sequences (SML 1.04, 8: transport protocol 1).
    Sml,
    /// Frames between flags 7E (IEC 62056-46, 6.4; frame format type 3).
    Hdlc,
    /// Blocks of text that add up to 0 (VE.Direct protocol, 3.33).
    VeDirect,
    /// Frames with a CRC, low byte first (MODBUS over Serial Line 1.02, 2.5.1).
    ModbusRtu,
    /// Long frames, 68 … 68 … 16 (EN 13757-2, 5.5).
    MBus,
    /// Readable text that a line break ends.
    Lines,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::P1, Kind::Sml, Kind::Hdlc, Kind::VeDirect, Kind::ModbusRtu, Kind::MBus, Kind::Lines];

    fn framing(self) -> Option<Framing> {
        Some(match self {
            Kind::P1 => Framing::P1(Default::default()),
            Kind::Sml => Framing::Sml(Default::default()),
            Kind::Hdlc => Framing::Hdlc(Default::default()),
            Kind::VeDirect => Framing::VeDirect(Default::default()),
            Kind::ModbusRtu | Kind::MBus | Kind::Lines => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::P1 => "P1 or D0 telegram",
            Kind::Sml => "SML file",
            Kind::Hdlc => "HDLC frame",
            Kind::VeDirect => "VE.Direct block",
            Kind::ModbusRtu => "Modbus RTU frame",
            Kind::MBus => "M-Bus frame",
            Kind::Lines => "line",
        })
    }
}

/// Frames of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub frames: u64,
    pub bytes: u64,
}

/// What was recognised most, or pieces of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guess {
    Frames(Kind, Found),
    /// Pieces between silences, or in a stream without any, that have always this length and begin so.
    Fixed {
        length: usize,
        begins: Vec<u8>,
    },
}

/// A burst is looked through up to here: the longest frame of Modbus RTU and M-Bus has 261 bytes, and
/// a request may stand before it.
const LONGEST: usize = 1024;

/// Bytes in which a repeated length is looked for.
const STREAM: usize = 512;

/// The longest frame of one length that is looked for.
const LONGEST_FIXED: usize = 128;

#[derive(Debug)]
pub struct Recogniser {
    framers: Vec<(Kind, Framer)>,
    found: [Found; Kind::ALL.len()],
    /// The bytes since the last silence, as far as they are looked through.
    burst: Vec<u8>,
    /// How many there were.
    length: usize,
    line: Vec<u8>,
    /// The first bytes of the stream without silences.
    stream: Vec<u8>,
    lengths: Lengths,
    last: Option<Instant>,
}

/// The lengths of bursts.
#[derive(Debug, Default)]
struct Lengths {
    /// The length of all of them until now.
    same: Option<usize>,
    bursts: u64,
    differs: bool,
    /// How all of them begin.
    begins: Vec<u8>,
}

impl Default for Recogniser {
    fn default() -> Recogniser {
        let framers = Kind::ALL.into_iter().filter_map(|kind| {
            // Without a checksum of its own in the settings, none of these can fail.
            Some((kind, kind.framing()?.build(None, None).ok()?))
        });
        Recogniser {
            framers: framers.collect(),
            found: Default::default(),
            burst: Vec::new(),
            length: 0,
            line: Vec::new(),
            stream: Vec::new(),
            lengths: Lengths::default(),
            last: None,
        }
    }
}

impl Recogniser {
    /// Bytes that were read at `at`.
    pub fn push(&mut self, bytes: &[u8], is_damaged: bool, at: Instant) {
        for (kind, framer) in &mut self.framers {
            if self.last.is_none() {
                framer.open(at);
            }
            if is_damaged {
                framer.push_damaged(bytes, at);
            } else {
                framer.push(bytes, at);
            }
            take(framer, *kind, &mut self.found);
        }
        self.last = Some(at);
        let room = LONGEST - self.burst.len().min(LONGEST);
        self.burst.extend(bytes.iter().take(room));
        self.length += bytes.len();
        let room = STREAM - self.stream.len().min(STREAM);
        self.stream.extend(bytes.iter().take(room));
        bytes.iter().for_each(|byte| self.byte(*byte, is_damaged));
    }

    /// The line was silent: the burst has ended. Returns the Modbus RTU frames that were in it, as
    /// address and function.
    pub fn pause(&mut self, at: Instant) -> Vec<(u8, u8)> {
        for (kind, framer) in &mut self.framers {
            framer.timeout(at);
            take(framer, *kind, &mut self.found);
        }
        let burst = std::mem::take(&mut self.burst);
        self.lengths.take(std::mem::take(&mut self.length), &burst);
        let mut of_modbus = Vec::new();
        let mut rest = &burst[..];
        while let [first, behind @ ..] = rest {
            let frame = match whole_rtu_frame(rest) {
                Some(length) => Some((Kind::ModbusRtu, length)),
                None => long_frame(rest).map(|length| (Kind::MBus, length)),
            };
            let Some((kind, length)) = frame else {
                rest = behind;
                continue;
            };
            count(&mut self.found, kind, length);
            if kind == Kind::ModbusRtu {
                of_modbus.push((*first, behind.first().copied().unwrap_or_default()));
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        of_modbus
    }

    /// How much of each kind was recognised.
    pub fn found(&self) -> impl Iterator<Item = (Kind, Found)> {
        Kind::ALL.into_iter().zip(self.found).filter(|(_, found)| found.frames > 0)
    }

    /// The kind that most bytes are of; else a length that repeats.
    pub fn guess(&self) -> Option<Guess> {
        let most = self.found().max_by_key(|(kind, found)| (*kind != Kind::Lines, found.bytes));
        if let Some((kind, found)) = most {
            return Some(Guess::Frames(kind, found));
        }
        self.lengths.guess().or_else(|| repeated(&self.stream))
    }

    fn byte(&mut self, byte: u8, is_damaged: bool) {
        const LONGEST_LINE: usize = 1024;
        match byte {
            b'\n' | b'\r' => {
                if std::str::from_utf8(&self.line).is_ok_and(is_text) {
                    count(&mut self.found, Kind::Lines, self.line.len() + 1);
                }
                self.line.clear();
            }
            _ if self.line.len() >= LONGEST_LINE => {}
            // A NUL is no text.
            _ => self.line.push(if is_damaged { 0 } else { byte }),
        }
    }
}

/// Whether a line is one that a person can read.
fn is_text(line: &str) -> bool {
    !line.is_empty() && !line.chars().any(|c| c.is_control() && c != '\t')
}

fn take(framer: &mut Framer, kind: Kind, found: &mut [Found; Kind::ALL.len()]) {
    while let Some(frame) = framer.frame() {
        // A line of VE.Direct's HEX protocol has a checksum of 8 bits only.
        if kind != Kind::VeDirect || frame.first() != Some(&b':') {
            count(found, kind, frame.len());
        }
    }
}

fn count(found: &mut [Found; Kind::ALL.len()], kind: Kind, bytes: usize) {
    if let Some(found) = found.get_mut(kind as usize) {
        found.frames += 1;
        found.bytes += bytes as u64;
    }
}

/// The length of the M-Bus long frame that bytes begin with.
fn long_frame(bytes: &[u8]) -> Option<usize> {
    let [0x68, length, again, 0x68, rest @ ..] = bytes else { return None };
    let covered = rest.get(..usize::from(*length)).filter(|_| length == again && *length >= 3)?;
    let sum = covered.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let is_whole = matches!(rest.get(covered.len()..)?, [check, 0x16, ..] if *check == sum);
    is_whole.then_some(covered.len() + 6)
}

impl Lengths {
    fn take(&mut self, length: usize, burst: &[u8]) {
        if length == 0 {
            return;
        }
        self.bursts += 1;
        match self.same {
            None => {
                self.same = Some(length);
                self.begins = burst.iter().take(8).copied().collect();
            }
            Some(same) => {
                self.differs |= same != length;
                let common = self.begins.iter().zip(burst).take_while(|(a, b)| a == b).count();
                self.begins.truncate(common);
            }
        }
    }

    fn guess(&self) -> Option<Guess> {
        let length = self.same.filter(|length| !self.differs && *length > 2 && self.bursts >= 4)?;
        Some(Guess::Fixed { length, begins: self.begins.clone() })
    }
}

/// The length at which a stream repeats: at least two bytes side by side stay the same from frame to
/// frame, and stand nowhere else.
fn repeated(stream: &[u8]) -> Option<Guess> {
    for length in 3..=LONGEST_FIXED.min(stream.len() / 5) {
        for start in 0..length {
            let begins: &[u8] = stream.get(start..start + 2)?;
            let at = |n: usize| stream.get(n..n + 2) == Some(begins);
            let is_kept = (start..stream.len().saturating_sub(1)).step_by(length).all(at);
            if is_kept
                && stream.windows(2).filter(|pair| *pair == begins).count()
                    == (stream.len() - 1 - start).div_ceil(length)
            {
                return Some(Guess::Fixed { length, begins: begins.to_vec() });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What is found in bursts with silence between them.
    fn guess(bursts: &[&[u8]]) -> Option<Guess> {
        let (mut recogniser, mut at) = (Recogniser::default(), Instant::now());
        for burst in bursts {
            at += Duration::from_secs(1);
            recogniser.push(burst, false, at);
            recogniser.pause(at + Duration::from_millis(100));
        }
        recogniser.guess()
    }

    #[track_caller]
    fn is_of(kind: Kind, frames: u64, bursts: &[&[u8]]) {
        match guess(bursts) {
            Some(Guess::Frames(of, found)) => assert_eq!((of, found.frames), (kind, frames)),
            other => panic!("{other:?}"),
        }
    }

    const POLL: &[u8] = b"\x01\x03\x00\x00\x00\x01\x84\x0A\x01\x03\x02\x01\x2C\xB8\x09";

    #[test]
    fn frames_prove_themselves() {
        is_of(Kind::ModbusRtu, 2, &[POLL]);
        is_of(Kind::ModbusRtu, 1, &[&POLL[1..]]);
        is_of(Kind::MBus, 1, &[b"\x68\x03\x03\x68\x53\x01\x51\xA5\x16"]);
        is_of(Kind::Lines, 2, &[b"22.5,41\r\n22.6", b",42\r\n"]);
        let p1 = b"/ISk5\\2MT382-1004\r\n\r\n1-0:1.8.1(00001.001*kWh)\r\n!\r\n";
        is_of(Kind::P1, 1, &[p1]);
        is_of(Kind::VeDirect, 1, &[b"\r\nV\t12800\r\nChecksum\t\x3C\r\n"]);
    }

    #[test]
    fn what_proves_nothing_is_not_named() {
        assert_eq!(guess(&[]), None);
        assert_eq!(
            guess(&[b"\x01\x03\x00\x00\x00\x01\x84\x0B", b"\x68\x03\x03\x68\x53\x01\x51\xA6\x16"]),
            None
        );
        assert_eq!(guess(&[&[0; 2000], &[0xFF; 300], b"\n\n\n"]), None);
    }

    #[test]
    fn a_length_that_repeats_between_silences_or_in_a_stream() {
        let pieces: Vec<[u8; 5]> = (0..5).map(|n| [0xA5, 0x5A, n, 7 * n, 0]).collect();
        let bursts: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
        assert_eq!(guess(&bursts), Some(Guess::Fixed { length: 5, begins: vec![0xA5, 0x5A] }));
        assert_eq!(guess(&bursts[..3]), None);
        // The driver hands a stream over in any pieces.
        let stream: Vec<u8> = (0..40_u8).flat_map(|n| [0x59, 0x59, n, n ^ 0x35, 3 * n]).collect();
        let bursts: Vec<&[u8]> = stream.chunks(7).chain([&[1][..]]).collect();
        let Some(Guess::Fixed { length: 5, begins }) = guess(&bursts) else { panic!() };
        assert_eq!(begins, [0x59, 0x59]);
    }

    #[test]
    fn damaged_bytes_make_no_line_and_memory_is_bounded() {
        let (mut recogniser, at) = (Recogniser::default(), Instant::now());
        recogniser.push(b"22", false, at);
        recogniser.push(b"5", true, at);
        recogniser.push(b"\r\n", false, at);
        assert_eq!(recogniser.guess(), None);
        (0..1000).for_each(|_| recogniser.push(&[b'x'; 4096], false, at));
        let held =
            recogniser.burst.capacity() + recogniser.line.capacity() + recogniser.stream.capacity();
        assert!(held < 8 * 1024, "{held}");
    }
}
