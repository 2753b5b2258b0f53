//! Framer, decoder and mapper of one port: bytes in, messages out. Sans-io.

use crate::base::clock::Now;
use crate::base::one_by_one;
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use crate::base::sorted::Sorted;
use crate::codec::decode::{Decode, Decoded, Decoder, Joined, Parts};
use crate::codec::decrypt::{Decrypt, Opener};
use crate::codec::frame::{FrameCounts, Framer, OwnChecksum};
use crate::codec::value::{RejectReason, RejectedReading};
use crate::device::Publication;
use crate::device::fields::{Fields, Taken};
use crate::device::frame_seen::{FrameSeen, RejectedField};
use crate::device::last_values::{LastValue, LastValues};
use crate::device::mapping::{Mapper, Mapping, Names};
use crate::device::newcomers::{Newcomer, Newcomers};
use crate::device::settings::DeviceSettings;
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// What a port's bytes become.
#[derive(Debug)]
pub struct Pipeline {
    framer: Framer,
    kinds: Vec<Kind>,
    record: Record,
}

/// What became of frames, whoever wanted them.
#[derive(Debug, Default)]
struct Record {
    counts: Counts,
    complaints: Complaints,
    last: LastValues,
    /// What becomes of fields behind their decoders: of the devices that are asked, in their order, or of
    /// the one on the line.
    fields: Vec<Fields>,
    /// Frames of which somebody wants to know.
    seen: Option<Vec<FrameSeen>>,
    /// Fields that only frames name, where somebody wants to know of them.
    newcomers: Option<Box<Newcomers>>,
}

/// One kind of frame: how it is recognised, read and published.
#[derive(Debug)]
pub(super) struct Kind {
    prefix: Vec<u8>,
    /// What opens its frames, where they are encrypted.
    opener: Option<Opener>,
    pub(super) decoder: Decoder,
    pub(super) mappers: Vec<Mapper>,
    /// Parts of messages that come in several frames.
    parts: Option<Parts>,
}

/// Who wants what a frame said, and why it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The place of the device among those that are asked; 0 where it speaks by itself.
    pub(super) device: usize,
    pub(super) mappers: &'a [Mapper],
    /// It was read back behind a command: no filter holds it back.
    pub(super) is_read_back: bool,
}

/// What a pipeline has done since it was built, besides its framer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub readings: u64,
    /// Readings refused, by reason.
    pub refused: BTreeMap<RejectReason, u64>,
    /// Readings for which the device had no value.
    pub no_value: u64,
    /// Readings that filters held back.
    pub filtered: u64,
    /// Items of frames that are neither pairs nor damage.
    pub passed_over: u64,
    pub unmatched: u64,
    /// Messages whose topic would have been longer than MQTT allows, or names a field that the frame lacks.
    pub unmappable: u64,
}

/// Bytes at the end of a capture that do not make a whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    pub bytes: usize,
    /// Whether they were taken as a line that only lacks its terminator.
    pub is_line: bool,
}

/// Something was refused, once or often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What and why, the first time.
    pub refused: RejectedField,
    /// How often this reason occurred; of the others nothing is known.
    pub times: u64,
}

impl Pipeline {
    /// The broker translates topics for AMQP: what devices put into them has no `.` and no `*`.
    pub fn for_amqp(&mut self) {
        self.kinds.iter_mut().flat_map(|kind| &mut kind.mappers).for_each(Mapper::for_amqp);
    }

    /// The pipeline of a device, or all that is wrong with its settings.
    pub fn build(device: &DeviceSettings<'_>) -> Result<Pipeline, Vec<BuildError>> {
        let mut errors = Vec::new();
        let kinds = device.frames.iter().map(|kind| (&kind.prefix, kind.checksum.as_ref()));
        let framer = device.framing.build_for(device.checksum, kinds, device.line);
        let framer = framer.map_err(|error| errors.push(error));
        let mut kinds = Vec::new();
        for (n, kind) in device.frames.iter().enumerate() {
            let built = Kind::build(
                &kind.prefix,
                &kind.decode,
                kind.messages.as_deref(),
                &device.names,
                device.decrypt,
            );
            let in_frames = |error: BuildError| error.item(n).at("frames");
            kinds.extend(built.map_err(|wrong| errors.extend(wrong.into_iter().map(in_frames))));
        }
        if device.frames.is_empty() {
            let default = Decode::default();
            let decode = device.decode.unwrap_or(&default);
            let built = Kind::build(
                &ByteString::default(),
                decode,
                device.messages,
                &device.names,
                device.decrypt,
            );
            kinds.extend(built.map_err(|wrong| errors.extend(wrong)));
        }
        match framer {
            Ok(framer) if errors.is_empty() => {
                Ok(Pipeline { framer, kinds, record: Record::default() })
            }
            _ => Err(errors),
        }
    }

    /// Its kinds of frames: of the device, or one for each entry of `frames`.
    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Their decoders, to change them.
    pub(super) fn decoders_mut(&mut self) -> impl Iterator<Item = &mut Decoder> {
        self.kinds.iter_mut().map(|kind| &mut kind.decoder)
    }

    /// What becomes of the fields of each device.
    pub(super) fn set_fields(&mut self, fields: Vec<Fields>) {
        self.record.fields = fields;
    }

    /// The same, which it gives away.
    pub(super) fn take_fields(&mut self) -> Vec<Fields> {
        std::mem::take(&mut self.record.fields)
    }

    /// Takes over what was known of fields before a reload.
    pub(super) fn adopt(&mut self, old: Vec<Fields>) {
        for old in old {
            let mut same = self.record.fields.iter_mut();
            if let Some(fields) = same.find(|fields| fields.device() == old.device()) {
                fields.adopt(old);
            }
        }
    }

    /// The port was opened: what was half read before is forgotten.
    pub fn open(&mut self, at: Instant) {
        self.framer.open(at);
    }

    /// Takes bytes as they were read and appends the messages they complete.
    pub fn push(&mut self, bytes: &[u8], now: Now, out: &mut Vec<Publication>) {
        self.framer.push(bytes, now.mono);
        self.take_frames(now, out);
    }

    /// As [`Pipeline::push`], of bytes that the driver of the line says are damaged.
    pub fn push_damaged(&mut self, bytes: &[u8], now: Now, out: &mut Vec<Publication>) {
        self.framer.push_damaged(bytes, now.mono);
        self.take_frames(now, out);
    }

    /// Bytes were lost on the line before the next ones.
    pub fn lost(&mut self) {
        self.framer.lost();
    }

    /// When [`Pipeline::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.framer.deadline()
    }

    /// The deadline has come and nothing was read: silence may complete a frame.
    pub fn timeout(&mut self, now: Now, out: &mut Vec<Publication>) {
        self.framer.timeout(now.mono);
        self.take_frames(now, out);
    }

    /// No more bytes will come, as at the end of a capture: what was left over. A line without its
    /// terminator is taken all the same.
    pub fn finish(&mut self, now: Now, out: &mut Vec<Publication>) -> Rest {
        let bytes = self.framer.waiting();
        let is_line = self.framer.finish();
        self.take_frames(now, out);
        Rest { bytes, is_line }
    }

    pub fn frame_counts(&self) -> &FrameCounts {
        self.framer.counts()
    }

    pub fn counts(&self) -> &Counts {
        &self.record.counts
    }

    /// What was refused since the last call: the first of each reason.
    pub fn complaints(&mut self) -> Vec<Complaint> {
        self.record.complaints.take()
    }

    pub fn last_values(&self) -> &[LastValue] {
        self.record.last.values()
    }

    /// From now on, or no more, [`Pipeline::seen`] has each frame; its owner takes them after each
    /// step, or they pile up.
    pub fn show_frames(&mut self, show: bool) {
        self.record.seen = show.then(Vec::new);
    }

    /// Frames since the last call, if somebody wants to know.
    pub fn seen(&mut self) -> Vec<FrameSeen> {
        self.record.seen.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn tell_newcomers(&mut self, newcomers: Newcomers) {
        self.record.newcomers = Some(Box::new(newcomers));
    }

    pub(super) fn newcomers(&mut self) -> Option<&mut Vec<Newcomer>> {
        self.record.newcomers.as_mut().map(|newcomers| newcomers.untold())
    }

    /// A frame is awaited: what was half read before is forgotten.
    pub(super) fn expect_frame(&mut self) {
        self.framer.start();
    }

    /// The next frame of these bytes and those before; an error if one came whose checksum is wrong.
    pub(super) fn next_frame(&mut self, bytes: &[u8], now: Instant) -> Result<Option<Bytes>, ()> {
        super::conversation::next_frame(&mut self.framer, bytes, now)
    }

    /// It is `now`, nothing more was read, and a frame is awaited.
    pub(super) fn silence(&mut self, now: Instant) {
        self.framer.timeout(now);
    }

    /// Publishes what a frame said that was awaited.
    pub(super) fn publish(
        &mut self,
        frame: &Bytes,
        decoded: Decoded<'_>,
        wanted: Wanted<'_>,
        now: Now,
        out: &mut Vec<Publication>,
    ) {
        self.record.show(frame);
        self.record.publish(decoded, wanted, now, out);
    }

    /// The most bytes of a frame and what stands around it.
    pub(super) fn limit(&self) -> usize {
        self.framer.limit()
    }

    fn take_frames(&mut self, now: Now, out: &mut Vec<Publication>) {
        while let Some(frame) = self.framer.frame() {
            self.take(frame, now, out);
        }
    }

    /// Takes a frame that came unasked.
    pub(super) fn take(&mut self, frame: Bytes, now: Now, out: &mut Vec<Publication>) {
        self.record.show(&frame);
        match self.kinds.iter_mut().find(|kind| frame.starts_with(&kind.prefix)) {
            Some(kind) => {
                let joined = match kind.parts.as_mut().map(|parts| parts.take(&frame)) {
                    Some(Joined::Waiting) => return,
                    Some(Joined::Message(message)) => message.into(),
                    Some(Joined::Whole) | None => frame,
                };
                let mut clear = Vec::new();
                let decoded = kind.decode(&joined, &mut clear);
                let wanted = Wanted { device: 0, mappers: &kind.mappers, is_read_back: false };
                self.record.publish(decoded, wanted, now, out);
            }
            None => self.record.counts.unmatched += 1,
        }
    }
}

impl Record {
    fn show(&mut self, frame: &Bytes) {
        tracing::debug!(frame = %frame.escape_ascii(), "frame");
        if let Some(seen) = &mut self.seen {
            seen.push(FrameSeen::of(frame));
        }
    }

    /// Publishes what the frame that was shown last said.
    fn publish<'a>(
        &'a mut self,
        mut decoded: Decoded<'a>,
        wanted: Wanted<'_>,
        now: Now,
        out: &mut Vec<Publication>,
    ) {
        let Record { counts, complaints, last, fields, seen, newcomers } = self;
        let before = out.len();
        let Wanted { device, mappers, is_read_back } = wanted;
        let taken = match fields.get_mut(device) {
            Some(fields) => fields.take(&mut decoded, is_read_back, now.mono),
            None => Taken::default(),
        };
        counts.readings += decoded.readings.len() as u64;
        counts.filtered += taken.filtered;
        for mapper in mappers {
            let mut take = |it: Publication, unit: Option<&str>| {
                last.note(&it.message, unit, now);
                out.push(it);
            };
            let Decoded { readings, unpublished, .. } = &decoded;
            counts.unmappable += mapper.map(readings, unpublished, taken.held, now, &mut take);
        }
        if let Some(newcomers) = newcomers {
            let Decoded { readings, unpublished, .. } = &decoded;
            newcomers.look(device, (readings, unpublished), mappers, &out[before..]);
        }
        if let Some(seen) = seen.as_mut().and_then(|seen| seen.last_mut()) {
            seen.took(&out[before..], &decoded.rejected, &decoded.no_values);
        }
        counts.no_value += decoded.no_values.len() as u64;
        counts.passed_over += decoded.passed_over;
        if decoded.beyond > 1 {
            // The first of them is among the refusals.
            *counts.refused.entry(RejectReason::Malformed).or_default() += decoded.beyond - 1;
        }
        for refusal in &decoded.rejected {
            *counts.refused.entry(refusal.reason).or_default() += 1;
            complaints.add(refusal);
        }
    }
}

impl Kind {
    /// The running kind, or all that is wrong with it.
    pub(super) fn build(
        prefix: &ByteString,
        decode: &Decode,
        messages: Option<&[Mapping]>,
        names: &Names<'_>,
        decrypt: Option<&Decrypt>,
    ) -> Result<Kind, Vec<BuildError>> {
        let mut errors = Vec::new();
        let opener = decrypt.map(Decrypt::build).transpose();
        let opener = opener.map_err(|error| errors.push(error.at("decrypt")));
        let decoder = decode.build();
        let decoder = decoder.map_err(|error| errors.push(error.at("decode")));
        let fields = decoder.as_ref().ok().and_then(Decoder::names);
        let standard = [Mapping::standard()];
        let mut mappers = Vec::new();
        for (n, mapping) in messages.unwrap_or(&standard).iter().enumerate() {
            let built = mapping.build(names, fields.as_deref());
            mappers.extend(built.map_err(|error| errors.push(error.item(n).at("messages"))));
        }
        match (decoder, opener) {
            (Ok(decoder), Ok(opener)) if errors.is_empty() => {
                let (prefix, parts) = (prefix.as_bytes().to_vec(), decoder.parts());
                Ok(Kind { prefix, opener, decoder, mappers, parts })
            }
            _ => Err(errors),
        }
    }

    /// Reads a frame; `clear` takes what an encrypted one says.
    pub(super) fn decode<'a>(&'a self, frame: &'a [u8], clear: &'a mut Vec<u8>) -> Decoded<'a> {
        let Some(opener) = &self.opener else { return self.decoder.decode(frame) };
        match opener.open(frame) {
            Ok(opened) => {
                *clear = opened;
                self.decoder.decode(clear)
            }
            Err(expected) => Decoded::encrypted(frame, expected),
        }
    }
}

/// What was refused since somebody asked: the first of each reason, and how many.
#[derive(Debug, Default)]
struct Complaints(Sorted<RejectReason, Complaint>);

impl Complaints {
    fn add(&mut self, refusal: &RejectedReading<'_>) {
        let first = || Complaint { refused: RejectedField::of(refusal), times: 0 };
        self.0.or_insert_with(refusal.reason, first).times += 1;
    }

    fn take(&mut self) -> Vec<Complaint> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}

/// One kind of frame among several on a port.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FrameKind {
    /// The first bytes of such a frame. Default: any frame.
    #[serde(default)]
    pub prefix: ByteString,
    /// The checksum of such a frame, or `none`. Default: `checksum` of the port.
    pub checksum: Option<OwnChecksum>,
    /// How the fields of such a frame are read. Default: `text`.
    #[serde(default)]
    pub decode: Decode,
    /// What is published. Default: one message per field to `{gateway}/{node}/{field}`. An empty
    /// list ignores such frames.
    #[serde(default, deserialize_with = "one_by_one::optional_list")]
    pub messages: Option<Vec<Mapping>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_cause_and_how_many() {
        let mut complaints = Complaints::default();
        let refusal =
            |field: &'static str, reason: RejectReason, found: &'static [u8]| RejectedReading {
                field: field.into(),
                reason,
                expected: reason.expected(),
                found: found.into(),
            };
        complaints.add(&refusal("temp", RejectReason::NotANumber, b"000007,4"));
        complaints.add(&refusal("temp", RejectReason::NotANumber, b"000008,4"));
        complaints.add(&refusal("hum", RejectReason::Missing, b""));
        let taken = complaints.take();
        let taken: Vec<_> = taken.iter().map(|c| (c.refused.to_string(), c.times)).collect();
        let number = "temp refused: expected a number, found \"000007,4\"".to_owned();
        assert_eq!(taken, [("hum refused: missing".to_owned(), 1), (number, 2)]);
        assert!(complaints.take().is_empty());
    }
}
