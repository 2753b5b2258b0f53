//! The telegrams of meters on the M-Bus.

mod fixed;
mod record;
mod time;
mod vif;

use super::bytes::Spelling;
use super::content::Content;
use super::{Decoded, Decoder, Format, absent};
use crate::base::path::BuildError;
use crate::codec::endian::Endian;
use crate::codec::field::{Field, Named, build_named};
use crate::codec::spelled::Spelled;
use crate::codec::value::RejectReason;
use record::{Next, Record};
use serde::Deserialize;

/// Telegrams of meters on the M-Bus (EN 13757-3): the variable structure, whose records describe
/// themselves, and the fixed one. The frame is the whole long frame: `framing: {length: {prefix: "hex:68",
/// offset: 1, size: 1, add: 6}}`. Its checksum is verified here, unless `checksum: {sum8: {from: 4, trailing:
/// 1}}` at the port does that, which also counts it as such and finds the next frame in a damaged stream.
///
/// Each value has its unit and a name: what it is, such as `energy`, `volume`, `power`, `flow`,
/// `flow_temperature` or `datetime`; `max`, `min` or `error` (while the meter had an error) for what is not
/// the value of now; and `s`, `t` and `u` with a number for a storage, tariff and subunit other than 0:
/// `energy_s1`, `power_max_t2_u1`. Values of the same name in a telegram are numbered from the second one
/// on: `volume_2`. Values that only the maker knows have the hexadecimal digits of their code: `vendor_13`.
/// The head gives `id` (a text of 8 digits), `manufacturer`, `version`, `medium`, `access_number`, `status`
/// and the `address`. Energy is in Wh or J, power in W or J/h, volume in m³, flow in m³/h. A field's `unit`
/// may have another prefix: with `unit: kWh` 1500 Wh are 1.5, unless the field has a `scale`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Mbus {
    /// The values that are wanted, each with its name as `from`. Default: all.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
}

impl Mbus {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        Ok(Decoder::new(build_named("fields", &self.fields)?, self.clone()))
    }
}

impl Format for Mbus {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let mut telegram = Telegram {
            fields,
            came: vec![false; fields.len()],
            names: String::with_capacity(512),
            out,
        };
        let read = telegram.read(frame);
        let came = telegram.came;
        match read {
            Ok(true) => {
                for field in absent(fields, came) {
                    out.missing(&field.name);
                }
            }
            // The rest stands in the next telegram.
            Ok(false) => {}
            Err(expected) => out.reject("mbus", RejectReason::Malformed, expected, frame),
        }
    }
}

/// Bits 8 to 12 of the configuration word say how the records are encrypted (section 5.4.7); in mode 5
/// the highest four bits of its low byte are the number of encrypted blocks. Older meters have any
/// bytes there.
fn security(word: u64) -> Result<(), &'static str> {
    let (mode, blocks) = (word >> 8 & 0x1F, word >> 4 & 0xF);
    match mode {
        5 if blocks == 0 => Ok(()),
        2..=5 | 7..=10 | 13 => Err("records that are not encrypted"),
        _ => Ok(()),
    }
}

/// A telegram that is being read.
struct Telegram<'a, 'o> {
    fields: &'a [Field],
    /// Which of the fields came.
    came: Vec<bool>,
    /// The names of all its values so far, each with a line break; with room for those of most telegrams.
    names: String,
    out: &'o mut Decoded<'a>,
}

/// The name of a value: a word, or the last line of the names.
enum Name {
    Word(&'static str),
    Line,
}

impl<'a> Telegram<'a, '_> {
    /// Reads a frame: whether it has all that its fields want, or what was expected in its place.
    fn read(&mut self, frame: &'a [u8]) -> Result<bool, &'static str> {
        let &[0x68, length, again, 0x68, function, address, control, ref rest @ ..] = frame else {
            return Err("a long frame, 68 L L 68 …");
        };
        let data = usize::from(length).checked_sub(3).filter(|_| length == again);
        let (data, behind) = data
            .and_then(|length| rest.split_at_checked(length))
            .ok_or("as many bytes as the frame says")?;
        // A port that verifies the checksum takes it, and what is behind it, away.
        if let [sum, ..] = behind {
            let counted = [address, control].into_iter().chain(data.iter().copied());
            if counted.fold(function, u8::wrapping_add) != *sum {
                return Err("the telegram's checksum");
            }
        }
        let order = if control & 4 == 0 { Endian::Little } else { Endian::Big };
        match control {
            0x72 | 0x76 => {
                let (head, records) = data.split_first_chunk::<12>().ok_or("a head of 12 bytes")?;
                self.head(address, head, order);
                security(Endian::Little.number(&head[10..]))?;
                Ok(self.records(records, order))
            }
            0x7A => {
                let (head, records) = data.split_first_chunk::<4>().ok_or("a head of 4 bytes")?;
                self.number("address", address.into(), &[]);
                self.number("access_number", head[0].into(), &head[..1]);
                self.number("status", head[1].into(), &head[1..2]);
                security(Endian::Little.number(&head[2..]))?;
                Ok(self.records(records, Endian::Little))
            }
            0x78 => {
                self.number("address", address.into(), &[]);
                Ok(self.records(data, Endian::Little))
            }
            0x73 | 0x77 => {
                self.fixed(address, data, order).ok_or("16 bytes of fixed structure")?;
                Ok(true)
            }
            _ => Err("data of a meter, CI 72, 73, 76, 77, 78 or 7A"),
        }
    }

    /// The head of a telegram (section 5.4): number, manufacturer, version, medium, access number and
    /// status.
    fn head(&mut self, address: u8, head: &'a [u8; 12], order: Endian) {
        self.number("address", address.into(), &[]);
        self.id(&head[..4], order);
        let code = order.number(&head[4..6]) as u16;
        let letter = |shift: u16| char::from(b'@' + (code >> shift & 0x1F) as u8);
        let letters: String = [10, 5, 0].into_iter().map(letter).collect();
        self.add(Name::Word("manufacturer"), None, &Content::Text(letters.into()), &head[4..6]);
        for (n, name) in [(6, "version"), (7, "medium"), (8, "access_number"), (9, "status")] {
            self.number(name, head[n].into(), &head[n..=n]);
        }
    }

    /// The identification number: digits, in which some meters have letters.
    fn id(&mut self, bytes: &'a [u8], order: Endian) {
        let number = order.number(bytes) as u32;
        let digits = Spelling::Hex.of(&number.to_be_bytes());
        self.add(Name::Word("id"), None, &Content::Text(digits), bytes);
    }

    fn number(&mut self, name: &'static str, number: u64, found: &'a [u8]) {
        self.add(Name::Word(name), None, &Content::Whole(number.into(), 0), found);
    }

    /// The variable structure.
    fn records(&mut self, mut rest: &'a [u8], order: Endian) -> bool {
        loop {
            match Next::take(&mut rest) {
                Next::Record(record) => self.record(&record, order),
                Next::Vendor { more } => return !more,
                Next::End => return true,
                Next::Wrong(expected, found) => {
                    self.out.reject("mbus", RejectReason::Malformed, expected, found);
                    return true;
                }
            }
        }
    }

    fn record(&mut self, record: &Record<'a>, order: Endian) {
        let start = self.names.len();
        record.name(&mut self.names);
        let (before, own) = self.names.split_at(start);
        let earlier = before.split_terminator('\n').filter(|name| *name == own).count();
        let word = record.word().filter(|word| earlier == 0 && *word == own);
        let own = own.len();
        if earlier > 0 {
            self.names.push('_');
            record::number(&mut self.names, earlier as u64 + 1);
        }
        let (content, unit) = record.content(order);
        let name = word.map_or(Name::Line, Name::Word);
        self.add_from(name, start, unit, &content, record.value);
        self.names.truncate(start + own);
        self.names.push('\n');
    }

    /// The fixed structure: number, access number, status and two counters.
    fn fixed(&mut self, address: u8, data: &'a [u8], order: Endian) -> Option<()> {
        let (head, data) = data.split_first_chunk::<6>()?;
        let counters = fixed::counters(head[5], data, order)?;
        self.number("address", address.into(), &[]);
        self.id(&head[..4], order);
        self.number("access_number", head[4].into(), &head[4..5]);
        self.number("status", head[5].into(), &head[5..6]);
        for fixed::Counter { name, is_stored, unit, content } in counters {
            let start = self.names.len();
            self.names.push_str(name);
            self.names.push_str(if is_stored { "_s1" } else { "" });
            let (before, own) = self.names.split_at(start);
            let is_second = before.trim_end() == own;
            self.names.push_str(if is_second { "_2" } else { "" });
            let unit = Some(unit).filter(|unit| !unit.is_empty());
            self.add_from(Name::Line, start, unit, &content, data);
            self.names.push('\n');
        }
        Some(())
    }

    fn add(
        &mut self,
        name: Name,
        unit: Option<&'static str>,
        content: &Content<'a>,
        found: &'a [u8],
    ) {
        self.add_from(name, 0, unit, content, found);
    }

    /// Adds a value, whose name is a word or begins at `start` of the names.
    fn add_from(
        &mut self,
        name: Name,
        start: usize,
        unit: Option<&'static str>,
        content: &Content<'a>,
        found: &'a [u8],
    ) {
        let text = match name {
            Name::Word(word) => word,
            Name::Line => self.names.get(start..).unwrap_or_default(),
        };
        if self.fields.is_empty() {
            let name = match name {
                Name::Word(word) => word.into(),
                Name::Line => Spelled::of(format_args!("{text}")),
            };
            return content.add(name, unit, None, found, self.out);
        }
        for (field, came) in self.fields.iter().zip(&mut self.came) {
            if field.from == text && !*came {
                *came = true;
                content.add((&*field.name).into(), unit, Some(field), found, self.out);
            }
        }
    }
}
