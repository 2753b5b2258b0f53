//! Sentences of NMEA 0183, by their type and whoever talks.

mod parts;
mod table;

pub use parts::{Joined, Parts};

use super::{Decoded, Decoder, Format};
use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::codec::field::{Convert, Field, Named, Type, Wire, build_each};
use crate::codec::spelled::Spelled;
use crate::codec::time::{TimeFormat, Zone};
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;
use std::fmt::Write;
use table::{Known, Meaning, TABLE};

/// Sentences of NMEA 0183 (IEC 61162-1), by their type, whoever talks: `GPGGA`, `GNGGA` and `GLGGA` are
/// one. Known are GGA, GLL, GNS, RMC, VTG, GSA, GSV, ZDA, HDT, HDM, HDG, ROT, DPT, DBT, MTW, MWV, MWD,
/// VHW, VLW, RSA and AIS messages (VDM, VDO), whose parts are joined to one `ais_payload`. Positions are in
/// degrees, times as ISO 8601 has them. An empty column has no value. Other sentences are passed over. The
/// checksum is that of the port: `checksum: {xor8: {format: hex, from: 1, separator: "*"}}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Nmea {
    /// The fields that are wanted, each with what it is as `from`: a usual name, `altitude`; the same of one
    /// kind of sentence, `GGA.altitude`; or a column counted from 1, `GGA.9`, also of a proprietary
    /// sentence, `PGRME.1`. Default: all with usual names.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
}

/// Where a field that is wanted is found.
#[derive(Debug)]
enum Source {
    Known { sentence: Option<String>, name: &'static str },
    Column { sentence: String, column: usize },
}

impl Source {
    fn of(from: &str) -> Option<Source> {
        let known = |name: &str, sentence: Option<&str>| {
            let is_it = |it: &&Known| it.name == name && sentence.is_none_or(|s| it.sentence == s);
            TABLE.iter().find(is_it).map(|it| it.name)
        };
        let Some((sentence, name)) = from.split_once('.') else {
            return Some(Source::Known { sentence: None, name: known(from, None)? });
        };
        let is_type = (3..=8).contains(&sentence.len())
            && sentence.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let sentence = Some(sentence.to_owned()).filter(|_| is_type)?;
        if let Ok(column) = name.parse::<usize>() {
            return Some(Source::Column { sentence, column })
                .filter(|_| (1..=80).contains(&column));
        }
        let name = known(name, Some(&sentence))?;
        Some(Source::Known { sentence: Some(sentence), name })
    }
}

impl Nmea {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        let built = build_each(
            "fields",
            &self.fields,
            |Named(field)| field,
            |Named(field)| {
                let from = field.from.as_ref().map_or(&field.name, |Token(from)| from);
                let source = Source::of(from).ok_or_else(|| {
                    BuildError::new(format!("{from:?} is nothing that sentences are known for"))
                        .remedy("write a name such as altitude, or a column such as GGA.9")
                })?;
                let mut settings = field.clone();
                if let Source::Known { name, .. } = source
                    && let Some(known) = TABLE.iter().find(|it| it.name == name)
                {
                    settings.kind = settings.kind.or(known.meaning.kind());
                    let unit = || Some(known.unit.to_owned()).filter(|unit| !unit.is_empty());
                    settings.unit = settings.unit.or_else(unit);
                }
                Ok((settings.build_text()?, source))
            },
        )?;
        let (fields, sources) = built.into_iter().unzip();
        let sentences = Sentences {
            sources,
            number: Convert::of(Type::Number)?,
            text: Convert::of(Type::Text)?,
            degrees: Convert::of(Type::Degrees)?,
            clock: "hhmmss".parse()?,
            dated: "DDMMYYhhmmss".parse()?,
            zda: "DDMMYYYYhhmmss".parse()?,
        };
        Ok(Decoder::new(fields, sentences).with_parts())
    }
}

struct Sentences {
    /// Where each field is found; none for all known ones.
    sources: Vec<Source>,
    number: Convert,
    text: Convert,
    degrees: Convert,
    clock: TimeFormat,
    dated: TimeFormat,
    zda: TimeFormat,
}

/// The columns of a sentence, the address apart, and its type: `GGA`, or all of a proprietary address.
#[derive(Clone, Copy)]
struct Sentence<'a> {
    kind: &'a str,
    /// The columns behind the address, with the comma in front of each.
    columns: &'a [u8],
}

impl<'a> Sentence<'a> {
    /// The sentence of a frame, with or without what stands around it: `$`, `!`, and `*` with the checksum.
    fn of(frame: &'a [u8]) -> Option<Sentence<'a>> {
        let start = frame.iter().position(|byte| matches!(byte, b'$' | b'!'));
        let frame = start.map_or(frame, |at| frame.get(at + 1..).unwrap_or_default());
        let end = frame.iter().position(|byte| *byte == b'*').unwrap_or(frame.len());
        let sentence = frame.get(..end)?.trim_ascii();
        let comma = sentence.iter().position(|byte| *byte == b',')?;
        let (address, columns) = sentence.split_at_checked(comma)?;
        let address = std::str::from_utf8(address).ok()?;
        let is_address = address.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let kind = match address.len() {
            _ if !is_address => return None,
            2..=8 if address.starts_with('P') => address,
            5 => address.get(2..)?,
            _ => return None,
        };
        Some(Sentence { kind, columns })
    }

    /// So many columns from the one of this number on, with the commas between them.
    fn columns(self, first: usize, count: usize) -> Option<&'a [u8]> {
        let mut commas = (0..).zip(self.columns).filter(|(_, byte)| **byte == b',').map(|it| it.0);
        let start: usize = commas.nth(first.checked_sub(1)?)?;
        let end = commas.nth(count.checked_sub(1)?).unwrap_or(self.columns.len());
        self.columns.get(start + 1..end)
    }

    fn column(self, number: usize) -> Option<&'a [u8]> {
        self.columns(number, 1)
    }
}

impl Format for Sentences {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let Some(sentence) = Sentence::of(frame) else {
            let expected = "a sentence of NMEA 0183: its talker, type and columns";
            return out.reject("nmea", RejectReason::Malformed, expected, frame);
        };
        if fields.is_empty() {
            let known = TABLE.iter().filter(|known| known.is_in(sentence));
            let before = out.readings.len();
            known.for_each(|known| self.add(known, None, sentence, out));
            if out.readings.len() == before && !TABLE.iter().any(|it| it.sentence == sentence.kind)
            {
                out.passed_over += 1;
            }
        }
        for (field, source) in fields.iter().zip(&self.sources) {
            match source {
                Source::Known { sentence: of, name } => {
                    let is_of = of.as_ref().is_none_or(|of| *of == sentence.kind);
                    let known = TABLE.iter().filter(|it| it.name == *name && it.is_in(sentence));
                    if let Some(known) = known.take(usize::from(is_of)).next() {
                        self.add(known, Some(field), sentence, out);
                    }
                }
                Source::Column { sentence: of, column } if *of == sentence.kind => {
                    if let Some(value) = sentence.column(*column) {
                        out.add_text(field, None, value, Wire::Bare);
                    }
                }
                Source::Column { .. } => {}
            }
        }
    }
}

impl Known {
    fn is_in(&self, sentence: Sentence<'_>) -> bool {
        let is_so =
            |(column, letter): (u8, u8)| sentence.column(usize::from(column)) == Some(&[letter]);
        self.sentence == sentence.kind && self.only.is_none_or(is_so)
    }
}

impl Sentences {
    /// Adds a known value, as a field with settings or by its usual name.
    fn add<'a>(
        &'a self,
        known: &'static Known,
        field: Option<&'a Field>,
        sentence: Sentence<'a>,
        out: &mut Decoded<'a>,
    ) {
        let at = usize::from(known.column);
        let name = field.map_or(known.name, |field| &field.name);
        let (convert, width) = match known.meaning {
            Meaning::Number => (&self.number, 1),
            Meaning::Text => (&self.text, 1),
            Meaning::Degrees => (&self.degrees, 2),
            Meaning::Clock => return self.add_time(name, &self.clock, &[at], sentence, out),
            Meaning::Dated => return self.add_time(name, &self.dated, &[at, 1], sentence, out),
            Meaning::Zda => return self.add_time(name, &self.zda, &[2, 3, 4, 1], sentence, out),
        };
        let Some(value) = sentence.columns(at, width) else { return };
        if let Some(field) = field {
            return out.add_text(field, None, value, Wire::Bare);
        }
        let unit = match (known.unit, sentence.column(at + 1)) {
            ("", _) => None,
            // The column behind says the unit.
            ("?", Some(b"K")) => Some("km/h"),
            ("?", Some(b"M")) => Some("m/s"),
            ("?", Some(b"S")) => Some("mph"),
            ("?", _) => Some("kn"),
            (unit, _) => Some(unit),
        };
        match convert.text(value, Wire::Bare) {
            Err(reason) => out.reject(name, reason, convert.expected(reason), value),
            good => out.add(name, unit, good, || value.into()),
        }
    }

    /// Adds a time in UTC whose parts stand in these columns.
    fn add_time<'a>(
        &'a self,
        name: &'a str,
        format: &TimeFormat,
        columns: &[usize],
        sentence: Sentence<'a>,
        out: &mut Decoded<'a>,
    ) {
        let mut text = Spelled::default();
        for column in columns {
            let part = sentence.column(*column).map(std::str::from_utf8);
            // Writing to it cannot fail.
            let _ = match part {
                Some(Ok(part)) if !part.is_empty() => text.write_str(part),
                Some(Err(_)) => text.write_char('?'),
                _ => return out.add(name, None, Ok(None), || (&b""[..]).into()),
            };
        }
        let time = format.read(&text, Some(Zone::UTC));
        match time {
            Some(time) => out.add(name, None, Ok(Some(Value::Text(time))), Default::default),
            None => {
                let expected = "a time: hhmmss, and ddmmyy with a date";
                out.reject(
                    name,
                    RejectReason::Malformed,
                    expected,
                    String::from(text).into_bytes(),
                );
            }
        }
    }
}
