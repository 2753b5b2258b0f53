//! Records of a tag, often a length, and a value.

use super::binary::{Cell, build_field};
use super::{Decoded, Decoder, Format};
use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::codec::endian::Endian;
use crate::codec::field::{Field, FieldSettings, Named, Placed, Type, ValueKind, build_each};
use crate::codec::value::RejectReason;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Records that follow each other, each a tag, a length and a value: `{from: 4, trailing: 1, fields: [{name:
/// level, from: 0x85, type: u8}]}`. Tags that no field has are passed over.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Tlv {
    /// Bytes of a tag: 1 or 2.
    #[cfg_attr(test, schemars(range(min = 1, max = 2)))]
    pub tag: u8,
    /// Bytes of a length, which counts the bytes of the value: 0, 1 or 2. With 0 a value is as long as its
    /// field or `lengths` says; where neither does, its first byte is its length. A tag of which nothing is
    /// known ends the frame and is refused, because nobody knows where the next one is.
    #[cfg_attr(test, schemars(range(max = 2)))]
    pub length: u8,
    /// Byte order of tags, lengths and numbers; a field may say otherwise.
    pub endian: Endian,
    /// First byte of the first record, counted from 0.
    pub from: u16,
    /// Bytes at the end of the frame that are no records.
    pub trailing: u16,
    /// With `length: 0`: how many bytes the value of a tag without a field has: `{0x8E: 2, 0xB2: 10}`.
    pub lengths: BTreeMap<Token, Token>,
    /// The fields, each with its tag as `from`, with `type` or `decode`, and with a `length` where the type
    /// does not say it; `text`, `bytes`, `quantity`, `degrees`, `hex` and `decode` take any. Several may have
    /// one tag. `{n}` in a name is the number of the record among those of its tag, from 1 on.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
    /// Name of the field that says which device sent the frame, for `{node}`.
    pub node: Option<String>,
}

impl Default for Tlv {
    fn default() -> Tlv {
        Tlv {
            tag: 1,
            length: 1,
            endian: Endian::default(),
            from: 0,
            trailing: 0,
            lengths: BTreeMap::new(),
            fields: Vec::new(),
            node: None,
        }
    }
}

/// The highest number of a record among those of its tag.
const MOST: usize = 99;

impl Tlv {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        if !matches!(self.tag, 1 | 2) {
            return Err(BuildError::new("a tag has 1 or 2 bytes").at("tag"));
        }
        if self.length > 2 {
            return Err(BuildError::new("a length has 0, 1 or 2 bytes").at("length"));
        }
        if self.fields.is_empty() {
            return Err(BuildError::new("name at least one field").at("fields"));
        }
        if self.length != 0 && !self.lengths.is_empty() {
            let error = BuildError::new("the records say their lengths themselves");
            return Err(error.remedy("leave it out, or write length: 0").at("lengths"));
        }
        let built = build_each(
            "fields",
            &self.fields,
            |Named(field)| field,
            |Named(field)| self.build_field(field),
        )?;
        let (fields, wanted): (Vec<Field>, Vec<Wanted>) = built.into_iter().unzip();
        let mut known: Vec<(u16, Option<usize>)> = Vec::new();
        for (n, it) in wanted.iter().enumerate() {
            match known.iter().find(|(tag, _)| *tag == it.tag) {
                Some((_, size)) if self.length == 0 && *size != it.size => {
                    let error = BuildError::new("another field of this tag has another length");
                    return Err(error.at("from").item(n).at("fields"));
                }
                Some(_) => {}
                None => known.push((it.tag, it.size)),
            }
        }
        for (Token(tag), Token(length)) in &self.lengths {
            let wrong = |what: &str| BuildError::new(what).at(tag).at("lengths");
            let tag = self.tag_of(tag).map_err(|error| error.at(tag).at("lengths"))?;
            let length =
                length.parse::<u16>().map_err(|_| wrong("a length is a number of bytes"))?;
            if known.iter().any(|(it, _)| *it == tag) {
                return Err(wrong("a field says the length of this tag").remedy("leave it out"));
            }
            known.push((tag, Some(length.into())));
        }
        let records = Records {
            tag: self.tag.into(),
            length: self.length.into(),
            endian: self.endian,
            from: self.from.into(),
            trailing: self.trailing.into(),
            numbers: wanted.iter().any(|it| !it.numbered.is_empty()),
            known,
            wanted,
        };
        Decoder::new(fields, records).with_node(self.node.as_deref())
    }

    /// The number of a tag that is written as `0x79` or `121`.
    fn tag_of(&self, text: &str) -> Result<u16, BuildError> {
        let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"));
        let number = match digits {
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        let is_wide = self.tag == 2;
        number.filter(|number| is_wide || *number <= 0xFF).ok_or_else(|| {
            let most = if is_wide { "0xFFFF" } else { "0xFF" };
            let error = BuildError::new(format!("{text:?} is not a tag from 0 to {most}"));
            error.remedy("write it as 0x79 or 121")
        })
    }

    fn build_field(&self, field: &FieldSettings) -> Result<(Field, Wanted), BuildError> {
        let Some(Token(from)) = &field.from else {
            let error = BuildError::new("a field of `tlv` needs its tag as `from`");
            return Err(error.remedy("write from: 0x79"));
        };
        let tag = self.tag_of(from).map_err(|error| error.at("from"))?;
        if field.at.is_some() || field.spelling.is_some() {
            let key = if field.at.is_some() { "at" } else { "as" };
            let error = BuildError::new("fields of `tlv` have no such key");
            return Err(error.remedy("leave it out").at(key));
        }
        let mut size = field.length.map(usize::from);
        if field.decode.is_some() {
            let wanted = Wanted { tag, size, cell: None, numbered: Vec::new() };
            return Ok((field.build(ValueKind::Auto)?, wanted));
        }
        let kind = field.kind.unwrap_or(Type::Auto);
        let mut placed = Placed { field: field.clone(), at: 0, kind };
        if size.is_none() && (kind.is_text() || kind == Type::Bytes) {
            // It takes any length; one is only for building.
            placed.field.length = Some(1);
        } else {
            size = size.or(kind.size());
        }
        let (field, cell) = build_field(&placed, self.endian)?;
        let numbered = match field.name.contains("{n}") {
            true => (1..=MOST).map(|n| field.name.replace("{n}", &n.to_string())).collect(),
            false => Vec::new(),
        };
        Ok((field, Wanted { tag, size, cell: Some(cell), numbered }))
    }
}

/// What a field wants of the records.
struct Wanted {
    tag: u16,
    /// How many bytes its value has, if that is fixed.
    size: Option<usize>,
    /// What its bytes are; `None` where another decoder reads them.
    cell: Option<Cell>,
    /// Its name in each record of this tag, if these differ.
    numbered: Vec<String>,
}

struct Records {
    tag: usize,
    length: usize,
    endian: Endian,
    from: usize,
    trailing: usize,
    /// The lengths of values by their tags; of `None` the first byte says it.
    known: Vec<(u16, Option<usize>)>,
    wanted: Vec<Wanted>,
    /// Whether some field counts its records.
    numbers: bool,
}

impl Format for Records {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let end = frame.len().saturating_sub(self.trailing);
        let Some(mut rest) = frame.get(self.from..end) else {
            let expected = "the bytes in front of the records and behind them";
            return out.reject("records", RejectReason::Malformed, expected, frame);
        };
        let mut counts = vec![0; if self.numbers { fields.len() } else { 0 }];
        while !rest.is_empty() {
            let (tag, value, after) = match self.next(rest) {
                Ok(record) => record,
                Err(expected) => {
                    return out.reject("record", RejectReason::Malformed, expected, rest);
                }
            };
            rest = after;
            for (n, (field, wanted)) in fields.iter().zip(&self.wanted).enumerate() {
                if wanted.tag == tag {
                    let number = counts.get_mut(n).map_or(0, |count| {
                        *count += 1;
                        *count - 1
                    });
                    wanted.add(field, number, value, out);
                }
            }
        }
    }
}

impl Records {
    /// The tag and the value of the first record, and what is behind it; or what was expected.
    fn next<'a>(&self, rest: &'a [u8]) -> Result<(u16, &'a [u8], &'a [u8]), &'static str> {
        let (tag, rest) = rest.split_at_checked(self.tag).ok_or("a whole tag")?;
        let tag = self.endian.number(tag) as u16;
        let known = match self.length {
            0 => {
                let known = self.known.iter().find(|(it, _)| *it == tag);
                known.ok_or("a tag whose length is known")?.1
            }
            _ => None,
        };
        let (length, rest) = match known {
            Some(length) => (length, rest),
            None => {
                let digits = rest.split_at_checked(self.length.max(1));
                let (length, rest) = digits.ok_or("a length behind the tag")?;
                (self.endian.number(length) as usize, rest)
            }
        };
        let record = rest.split_at_checked(length);
        let (value, rest) = record.ok_or("as many bytes behind the tag as its value has")?;
        Ok((tag, value, rest))
    }
}

impl Wanted {
    /// Adds the value of a record, which is the one with this number, from 0, of its tag.
    fn add<'a>(&'a self, field: &'a Field, number: usize, value: &'a [u8], out: &mut Decoded<'a>) {
        let name = match self.numbered.is_empty() {
            true => &field.name,
            false if !field.publish => return,
            false => match self.numbered.get(number) {
                Some(name) => name,
                None => {
                    let expected = "at most 99 records of a tag";
                    return out.reject(&field.name, RejectReason::Malformed, expected, value);
                }
            },
        };
        if self.size.is_some_and(|size| size != value.len()) {
            let expected = "as many bytes as the field has";
            return out.reject(name, RejectReason::Malformed, expected, value);
        }
        match (&self.cell, &field.nested) {
            (Some(cell), _) => match cell.value(&field.convert, value) {
                Err(reason) => out.reject(name, reason, field.convert.expected(reason), value),
                good => {
                    let unit = field.unit.as_deref().or_else(|| field.convert.unit_in(value));
                    out.add(name, unit, good, || value.into());
                }
            },
            (None, Some(nested)) => nested.read(value, out),
            (None, None) => {}
        }
    }
}
