//! What stands in a journal's file: a header, then records. All numbers are little-endian.
//!
//! A record is a marker of two bytes, its kind (1 byte), the length of its body (4), a CRC-32C of
//! kind, length and body (4), and the body. After a damaged record the next good one is searched
//! for by its marker. Records are read behind a damaged header too, so a later version whose
//! records mean something else needs another marker.

pub(super) mod sums;

use super::segment::NUMBERS;
use super::{JournalSeq, MeasuredAt};
use crate::base::durability::Durability;
use crate::mqtt::message::Message;
use crate::mqtt::topic::{Qos, Topic};
use crate::outbox::entry::Entry;
use bytes::{Buf, BufMut, Bytes};
use sums::{Sums, checksum};

/// The first bytes of a file, with the version of what follows at their end.
const MAGIC: &[u8; 10] = b"tty2mqtt\x01\0";

/// Bytes of a file's header: the magic and the number of its first message.
pub(super) const HEADER: usize = MAGIC.len() + 8;

const MARKER: [u8; 2] = [0xD7, b'R'];

/// Bytes of a record besides its body.
pub(super) const FRAME: usize = 11;

/// A record has at most this many bytes, its frame included.
pub(super) const LARGEST: usize = 1 << 20;

/// At most this many bytes of a file are read: a segment, the part of its last record beyond that,
/// and the summary of the other segments at its beginning.
pub(super) const FILE: u64 = 4 << 20;

/// At most this many runs of messages are in a record of those that are done.
const RUNS: usize = 4096;

/// Numbers from here on are never used: at a million messages a second it takes 70,000 years.
const GREATEST: u64 = 1 << 61;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Message {
        seq: JournalSeq,
        entry: Entry,
        measured_at: Option<MeasuredAt>,
    },
    /// Messages that are not needed any more: the number of the first, and how many.
    Done(Vec<(JournalSeq, u32)>),
    /// Of the messages from a number on, a bit for each that is still needed.
    Live {
        first: JournalSeq,
        bits: Vec<u64>,
    },
    /// The names of the ports, by their numbers from 1 on, in the records that follow.
    Ports(Vec<String>),
    /// The boot that the records that follow were written in.
    Boot([u8; 16]),
    /// The wall clock of a boot was set: milliseconds since 1970 at the boot.
    Clock {
        boot: [u8; 16],
        at_boot: i64,
    },
}

/// What stands at a place of a file.
pub(super) struct Found<'a> {
    pub(super) bytes: &'a [u8],
    /// `None`: these bytes are not a valid record.
    pub(super) record: Option<Record>,
}

pub(super) fn header(first: JournalSeq) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.put_slice(MAGIC);
    out.put_u64_le(first.0);
    out
}

/// The number of a file's first message; `None` for a file of something else or another version.
pub(super) fn read_header(mut bytes: &[u8]) -> Option<JournalSeq> {
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return None;
    }
    bytes.advance(MAGIC.len());
    is_number(bytes.get_u64_le())
}

/// The name of a file, by the number of its first message.
pub(super) fn name(first: JournalSeq) -> String {
    format!("{:020}.journal", first.0)
}

/// The number of a file's first message by its name.
pub(super) fn read_name(name: &str) -> Option<JournalSeq> {
    let digits = name.strip_suffix(".journal").filter(|digits| digits.len() == 20)?;
    is_number(digits.parse().ok()?)
}

pub(super) fn is_number(number: u64) -> Option<JournalSeq> {
    (number < GREATEST).then_some(JournalSeq(number))
}

/// Bytes of a message's record, or a few more.
pub(super) fn size(entry: &Entry) -> usize {
    let message = &entry.message;
    FRAME + 29 + message.topic.len() + message.payload.len()
}

pub(super) fn put_message(
    out: &mut Vec<u8>,
    seq: JournalSeq,
    entry: &Entry,
    measured_at: Option<MeasuredAt>,
) {
    let message = &entry.message;
    framed(out, 1, |out| {
        let qos = message.qos.bits();
        let always = entry.durability == Some(Durability::Always);
        let flags = qos | u8::from(message.retain) << 2 | u8::from(always) << 3;
        out.put_u64_le(seq.0);
        out.put_u16_le(entry.port);
        out.put_u8(flags | u8::from(measured_at.is_some()) << 4);
        if let Some(measured_at) = measured_at {
            out.put_i64_le(measured_at.wall);
            out.put_i64_le(measured_at.since_boot);
        }
        // A topic has at most 65,535 bytes.
        out.put_u16_le(message.topic.len() as u16);
        out.put_slice(message.topic.as_str().as_bytes());
        out.put_slice(&message.payload);
    })
}

pub(super) fn put(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Message { seq, entry, measured_at } => put_message(out, *seq, entry, *measured_at),
        Record::Done(ranges) => {
            for ranges in ranges.chunks(RUNS) {
                framed(out, 2, |out| {
                    for (first, count) in ranges {
                        out.put_u64_le(first.0);
                        out.put_u32_le(*count);
                    }
                });
            }
        }
        Record::Live { first, bits } => framed(out, 3, |out| {
            out.put_u64_le(first.0);
            // Most messages are acknowledged in their order, so that many words are equal.
            for run in bits.chunk_by(|a, b| a == b) {
                out.put_u32_le(run.len() as u32);
                out.put_u64_le(run[0]);
            }
        }),
        // Names have no line breaks.
        Record::Ports(names) => framed(out, 4, |out| out.put_slice(names.join("\n").as_bytes())),
        Record::Boot(boot) => framed(out, 5, |out| out.put_slice(boot)),
        Record::Clock { boot, at_boot } => framed(out, 6, |out| {
            out.put_slice(boot);
            out.put_i64_le(*at_boot);
        }),
    }
}

fn framed(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_slice(&MARKER);
    out.put_u8(kind);
    out.put_u64_le(0);
    body(out);
    let length = (out.len() - start - FRAME) as u32;
    out[start + 3..start + 7].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(&[&out[start + 2..start + 7], &out[start + FRAME..]]);
    out[start + 7..start + FRAME].copy_from_slice(&crc.to_le_bytes());
}

/// Reads a file's `bytes` from a place on, to their end. The time for it grows with their number,
/// whatever is damaged in them and whatever they say.
pub(super) fn read_from(at: usize, bytes: &[u8]) -> impl Iterator<Item = Found<'_>> {
    Records { bytes, at, sums: None }
}

struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Made at the first bytes that are not a valid record.
    sums: Option<Sums<'a>>,
}

impl<'a> Iterator for Records<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let (record, length) = match self.read_one(self.at) {
            Some((record, length)) => (Some(record), length),
            None => (None, self.damaged()),
        };
        self.at += length;
        Some(Found { bytes: &rest[..length], record })
    }
}

impl Records<'_> {
    /// How many bytes stand before the next good record.
    fn damaged(&mut self) -> usize {
        let bytes = self.bytes;
        self.sums.get_or_insert_with(|| Sums::of(bytes));
        let end = bytes.len();
        let next = (self.at + 1..end).find(|at| self.read_one(*at).is_some());
        next.unwrap_or(end) - self.at
    }

    fn read_one(&self, at: usize) -> Option<(Record, usize)> {
        let bytes = self.bytes.get(at..)?;
        let head = bytes.get(..FRAME)?;
        if !head.starts_with(&MARKER) {
            return None;
        }
        let (mut length, mut crc) = (&head[3..7], &head[7..]);
        let (length, crc) = (length.get_u32_le() as usize, crc.get_u32_le());
        if length > LARGEST {
            return None;
        }
        let body = bytes.get(FRAME..FRAME + length)?;
        let sum = match &self.sums {
            None => checksum(&[&head[2..7], body]),
            Some(sums) => sums.behind(&head[2..7], at + FRAME..at + FRAME + length),
        };
        if sum != crc {
            return None;
        }
        Some((parse(head[2], body)?, FRAME + length))
    }
}

fn parse(kind: u8, mut body: &[u8]) -> Option<Record> {
    Some(match kind {
        1 => return message(body),
        2 => {
            let range = |range: &[u8]| {
                let mut range = range;
                (JournalSeq(range.get_u64_le()), range.get_u32_le())
            };
            Record::Done(body.chunks_exact(12).map(range).collect())
        }
        3 if body.len() >= 8 => {
            let first = JournalSeq(body.get_u64_le());
            let mut bits = Vec::new();
            for mut run in body.chunks_exact(12) {
                let length = bits.len().checked_add(run.get_u32_le() as usize);
                let length = length.filter(|length| *length <= (NUMBERS / 64) as usize)?;
                bits.resize(length, run.get_u64_le());
            }
            Record::Live { first, bits }
        }
        4 => {
            Record::Ports(std::str::from_utf8(body).ok()?.split('\n').map(str::to_owned).collect())
        }
        5 => Record::Boot(body.try_into().ok()?),
        6 if body.len() == 24 => {
            let (boot, mut at_boot) = body.split_at(16);
            Record::Clock { boot: boot.try_into().ok()?, at_boot: at_boot.get_i64_le() }
        }
        _ => return None,
    })
}

fn message(mut body: &[u8]) -> Option<Record> {
    if body.len() < 13 {
        return None;
    }
    let (seq, port, flags) = (is_number(body.get_u64_le())?, body.get_u16_le(), body.get_u8());
    let mut measured_at = None;
    if flags & 0x10 != 0 {
        if body.len() < 18 {
            return None;
        }
        measured_at = Some(MeasuredAt { wall: body.get_i64_le(), since_boot: body.get_i64_le() });
    }
    let length = usize::from(body.get_u16_le());
    if length > body.len() {
        return None;
    }
    let (topic, payload) = body.split_at(length);
    let message = Message {
        qos: Qos::try_from(u64::from(flags & 3)).ok()?,
        retain: flags & 4 != 0,
        ..Message::new(
            Topic::from_utf8(Bytes::copy_from_slice(topic)).ok()?,
            Bytes::copy_from_slice(payload),
        )
    };
    let durability = Some(if flags & 8 != 0 { Durability::Always } else { Durability::Spill });
    let entry = Entry { port, durability, ..message.into() };
    Some(Record::Message { seq, entry, measured_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> Entry {
        let message = Message { retain: true, ..Message::new("a/b".parse().unwrap(), "21.5") };
        Entry { port: 3, durability: Some(Durability::Always), ..message.into() }
    }

    fn all() -> Vec<Record> {
        vec![
            Record::Boot([7; 16]),
            Record::Ports(vec!["meter".into(), "dust".into()]),
            Record::Message { seq: JournalSeq(9), entry: entry(), measured_at: None },
            Record::Message {
                seq: JournalSeq(10),
                entry: entry(),
                measured_at: Some(MeasuredAt { wall: -1, since_boot: 12 }),
            },
            Record::Done(vec![(JournalSeq(9), 1), (JournalSeq(u64::MAX), u32::MAX)]),
            Record::Live { first: JournalSeq(1), bits: vec![u64::MAX, u64::MAX, 5] },
            Record::Clock { boot: [1; 16], at_boot: 1_793_491_200_000 },
        ]
    }

    fn read_all(bytes: &[u8]) -> (Vec<Record>, usize) {
        let (mut records, mut damaged) = (Vec::new(), 0);
        for found in read_from(0, bytes) {
            match found.record {
                Some(record) => records.push(record),
                None => damaged += found.bytes.len(),
            }
        }
        (records, damaged)
    }

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = Vec::new();
        all().iter().for_each(|record| put(&mut bytes, record));
        assert_eq!(read_all(&bytes), (all(), 0));
        assert_eq!(read_header(&header(JournalSeq(77))), Some(JournalSeq(77)));
        for foreign in [&b""[..], b"tty2mqtt\x02\0........", b"SQLite format 3\0.."] {
            assert_eq!(read_header(foreign), None);
        }
    }

    proptest! {
        /// Whatever happens to one record, the others are read.
        #[test]
        fn damage_costs_what_it_hit(which in 0..7_usize, at in any::<prop::sample::Index>(), byte in 1..=255_u8) {
            let (mut bytes, mut places) = (Vec::new(), Vec::new());
            for record in all() {
                let start = bytes.len();
                put(&mut bytes, &record);
                places.push(start..bytes.len());
            }
            bytes[places[which].start + at.index(places[which].len())] ^= byte;
            let (records, damaged) = read_all(&bytes);
            let mut expected = all();
            expected.remove(which);
            prop_assert_eq!(records, expected);
            prop_assert_eq!(damaged, places[which].len());
        }

        #[test]
        fn a_torn_tail_costs_the_last_record(cut in 0..500_usize) {
            let mut bytes = Vec::new();
            all().iter().for_each(|record| put(&mut bytes, record));
            let cut = cut.min(bytes.len());
            let (records, _) = read_all(&bytes[..cut]);
            prop_assert_eq!(&records[..], &all()[..records.len()]);
        }

        #[test]
        fn garbage_is_no_record_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (records, damaged) = read_all(&bytes);
            prop_assert_eq!((records, damaged), (vec![], bytes.len()));
        }
    }
}
