//! Names with values.

use super::fields::split;
use super::{Decoded, Decoder, Format, absent};
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use crate::codec::field::{Field, Named, PLAIN, Wire, build_named};
use crate::codec::frame::find;
use crate::codec::value::RejectReason;
use serde::Deserialize;

/// Names with values: `temp=21.5 hum=40`. Also values in brackets, with
/// `{between: "\r\n", equals: "(", close: ")", unit: "*"}`; meters that name them by OBIS codes want `obis`.
///
/// A name with an empty value has no value. Items before the first pair of a frame are skipped, and so
/// are items without letters and digits after it; both are counted as `passed_over`. Any other item
/// without `equals` is refused, unless `fields` says what is wanted.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Pairs {
    /// Bytes between two pairs. `" "` is any white space.
    pub between: ByteString,
    /// Bytes between name and value.
    pub equals: ByteString,
    /// The bytes with which each item must end, and which are not part of its value: `")"`. Of several
    /// values, as in `0-1:24.2.1(101209112500W)(12785.123*m3)`, the last one is used. An item without a
    /// name continues the one before it, as the gas volume does in DSMR 2.2.
    pub close: ByteString,
    /// Bytes between a value and its unit, where the device sends units: `"*"`. A value with a unit is a
    /// number.
    pub unit: ByteString,
    /// The fields that are wanted, each with the device's name for it as `from`. All others are ignored,
    /// and a field that a frame lacks is counted as missing. Default: all fields.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
    /// Name of the field that says which device sent the frame, for `{node}`.
    pub node: Option<String>,
}

impl Default for Pairs {
    fn default() -> Pairs {
        Pairs {
            between: b" ".as_slice().into(),
            equals: b"=".as_slice().into(),
            close: ByteString::default(),
            unit: ByteString::default(),
            fields: Vec::new(),
            node: None,
        }
    }
}

impl Pairs {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        for (key, bytes) in [("between", &self.between), ("equals", &self.equals)] {
            if bytes.as_bytes().is_empty() {
                return Err(BuildError::new("nothing cannot separate").at(key));
            }
        }
        let fields = build_named("fields", &self.fields)?;
        Decoder::new(fields, self.clone()).with_node(self.node.as_deref())
    }
}

/// Why an item is not a pair.
#[derive(Clone, Copy, Debug)]
enum NoPair {
    /// It has no `equals`.
    Bare,
    /// It does not end with `close`.
    Open,
    /// Nothing stands before `equals`.
    Nameless,
}

impl NoPair {
    fn expected(self) -> &'static str {
        match self {
            NoPair::Bare => "a name, `equals` and a value",
            NoPair::Open => "`close` at the end",
            NoPair::Nameless => "a name before `equals`",
        }
    }
}

impl Format for Pairs {
    /// The items before the first pair are the frame's head: the identification of a meter, the
    /// numbers and the sensor's name of RFLink. After it an item without `equals` is damage, unless it
    /// consists of punctuation, as the `!` that ends a meter's readout does. A frame without any pair
    /// is damage too: a wrong `equals` makes such frames.
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let mut came = vec![false; fields.len()];
        let mut head = 0;
        let mut is_first = true;
        let items = split(frame, self.between.as_bytes());
        let mut items = items.map(<[u8]>::trim_ascii).peekable();
        while let Some(item) = items.next() {
            let more = items.next_if(|next| self.goes_on(next) && self.equals_at(item).is_some());
            let (name, value) = match self.name_and_value(item, more) {
                Ok(pair) => pair,
                Err(_) if item.is_empty() || !fields.is_empty() => continue,
                Err(NoPair::Bare) if is_first => {
                    head += 1;
                    continue;
                }
                Err(NoPair::Bare) if item.iter().all(u8::is_ascii_punctuation) => {
                    out.passed_over += 1;
                    continue;
                }
                Err(why) => {
                    let name = String::from_utf8_lossy(item);
                    out.reject(name, RejectReason::Malformed, why.expected(), item);
                    continue;
                }
            };
            is_first = false;
            if fields.is_empty() {
                match std::str::from_utf8(name) {
                    Ok(name) => self.add(name, None, value, out),
                    Err(_) => {
                        let shown = String::from_utf8_lossy(name);
                        out.reject(shown, RejectReason::NotUtf8, "a name in UTF-8", name);
                    }
                }
                continue;
            }
            for (field, came) in fields.iter().zip(&mut came) {
                if field.from.as_bytes() == name && !*came {
                    *came = true;
                    self.add(&field.name, Some(field), value, out);
                }
            }
        }
        if !is_first {
            out.passed_over += head;
        } else if head > 0 {
            out.reject("pairs", RejectReason::Malformed, NoPair::Bare.expected(), frame);
        }
        for field in absent(fields, came) {
            out.missing(&field.name);
        }
    }
}

impl Pairs {
    /// Of several values in brackets, such as a gas meter's time and volume in DSMR P1, the last one is
    /// the reading. `more` is an item that continues this one, and then has the last bracket.
    fn name_and_value<'a>(
        &self,
        item: &'a [u8],
        more: Option<&'a [u8]>,
    ) -> Result<(&'a [u8], &'a [u8]), NoPair> {
        let equals = self.equals.as_bytes();
        let at = self.equals_at(item).ok_or(NoPair::Bare)?;
        let name = item[..at].trim_ascii();
        let mut value = item[at + equals.len()..].trim_ascii();
        let close = self.close.as_bytes();
        if !close.is_empty() {
            value = more.unwrap_or(value).strip_suffix(close).ok_or(NoPair::Open)?;
            value = rfind(value, equals).map_or(value, |at| &value[at + equals.len()..]);
        }
        if name.is_empty() { Err(NoPair::Nameless) } else { Ok((name, value)) }
    }

    fn equals_at(&self, item: &[u8]) -> Option<usize> {
        find(item, self.equals.as_bytes(), 0)
    }

    /// Whether an item continues the one before it: it has values in brackets and no name, as the
    /// volume of a gas meter has in DSMR 2.2 and 3.0.
    fn goes_on(&self, item: &[u8]) -> bool {
        !self.close.as_bytes().is_empty() && item.starts_with(self.equals.as_bytes())
    }

    /// Adds a value with its own unit, or with the one that came with it.
    fn add<'a>(
        &'a self,
        name: &'a str,
        field: Option<&'a Field>,
        value: &'a [u8],
        out: &mut Decoded<'a>,
    ) {
        let separator = self.unit.as_bytes();
        let at = (!separator.is_empty()).then(|| rfind(value, separator)).flatten();
        let (number, unit) = match at {
            Some(at) => (&value[..at], &value[at + separator.len()..]),
            None => (value, &b""[..]),
        };
        let Ok(unit) = std::str::from_utf8(unit) else {
            return out.reject(name, RejectReason::NotUtf8, "a unit in UTF-8", value);
        };
        let unit = Some(unit).filter(|unit| !unit.is_empty());
        let wire = if unit.is_some() { Wire::Number } else { Wire::Bare };
        match field {
            Some(field) => out.add_text(field, unit, number, wire),
            None => out.add(name, unit, PLAIN.text(number, wire), || number.into()),
        }
    }
}

/// The last place of `wanted`, which is not empty, in some bytes.
fn rfind(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).rposition(|window| window == wanted)
}
