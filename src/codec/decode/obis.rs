//! Readouts of meters: OBIS codes with values in brackets.

use super::{Decoded, Decoder, Format, absent};
use crate::base::path::BuildError;
use crate::base::scalar::hex_byte;
use crate::codec::field::{Field, Named, PLAIN, Type, Wire, build_named};
use crate::codec::obis_code::{ObisCode, ObisSelector};
use crate::codec::spelled::Spelled;
use crate::codec::unit;
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;
use std::borrow::Cow;

/// OBIS codes with values in brackets: `1-0:1.8.0(001234.567*kWh)`, as P1 ports (DSMR 2.2 to 5 and their
/// relatives in Belgium, Luxembourg, Sweden and Austria) and readouts of IEC 62056-21 have them, in lines or
/// without any. The first line, which names the meter, and the `!` at the end are no damage, empty
/// brackets no value.
///
/// `from` is a code: `1.8.0` of any medium and channel, `"1-0:1.8.0"`, `"0-*:24.2.1"` of any channel; old
/// spellings such as `C.1.0` and `F.F` are codes, too. In place of the channel stands `gas`, `water`,
/// `hot_water`, `heat`, `cooling` or `electricity` for the one to which such a meter is connected now:
/// `"0-gas:24.2.*"` (by 24.1.0, and 96.1.0 or 96.1.1, which is empty where the meter is gone).
///
/// Of several values, in brackets of their own or joined by `&`, the last one is taken. `(1)` behind the
/// code means the first, `(-2)` the last but one: `"1-0:1.6.0(1)"` is the time of a peak, and
/// `"1-0:1.6.0"` the peak.
///
/// A field's `unit` may have another prefix than the unit that comes: with `unit: kWh` 1500 Wh are 1.5,
/// unless the field has a `scale`. `type: text` makes a text of the hexadecimal digits in which P1 ports
/// send numbers of devices and messages (0-n:96.1, 0-0:42.0 and 0-0:96.13). A field whose code does not come has no
/// value; meters leave out what they do not have.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Obis {
    /// The fields that are wanted, each with a code as `from`. Default: all values under their codes; of
    /// several values the earlier ones under names such as `1-0:1.6.0(1)`.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
}

impl Obis {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        let fields = build_named("fields", &self.fields)?;
        let mut wanted = Vec::with_capacity(fields.len());
        for (n, (field, Named(settings))) in fields.iter().zip(&self.fields).enumerate() {
            let is_text = settings.kind == Some(Type::Text);
            let built = Wanted::new(&field.from, is_text, settings.scale.is_some());
            let key = if settings.from.is_some() { "from" } else { "name" };
            wanted.push(built.map_err(|error| error.at(key).item(n).at("fields"))?);
        }
        let by_equipment = wanted.iter().any(|wanted| wanted.equipment.is_some());
        Ok(Decoder::new(fields, Readout { wanted, by_equipment }))
    }
}

struct Readout {
    /// What each field is made of.
    wanted: Vec<Wanted>,
    /// Whether some fields name the equipment of a channel.
    by_equipment: bool,
}

/// What a field is made of.
struct Wanted {
    selector: ObisSelector,
    /// The equipment of its channel, by its place in [`EQUIPMENT`].
    equipment: Option<usize>,
    /// Which of several values: from 0, or from the last one, which is -1.
    place: i16,
    /// Whether hexadecimal digits stand for a text.
    is_text: bool,
    /// Whether its unit says nothing about the unit that comes.
    has_scale: bool,
}

/// What can be connected to a channel: its word, and its device types (EN 13757-3, table 3).
const EQUIPMENT: [(&str, &[u8]); 6] = [
    ("electricity", &[2]),
    ("gas", &[3]),
    ("heat", &[4, 12]),
    ("hot_water", &[6]),
    ("water", &[7]),
    ("cooling", &[10, 11]),
];

impl Wanted {
    fn new(from: &str, is_text: bool, has_scale: bool) -> Result<Wanted, BuildError> {
        let (code, place) = match from.strip_suffix(')').and_then(|from| from.split_once('(')) {
            Some((code, place)) => match place.parse::<i8>() {
                Ok(place @ ..=-1) => (code, place.into()),
                Ok(place @ 1..) => (code, i16::from(place) - 1),
                _ => {
                    let error = BuildError::new(format!("{from:?} does not say which value"));
                    return Err(error.remedy("write (1) for the first, (-1) for the last"));
                }
            },
            None => (from, -1),
        };
        let word = code.strip_prefix("0-").and_then(|rest| rest.split_once(':'));
        let known = |word: &str| EQUIPMENT.iter().position(|(name, _)| *name == word);
        let (selector, equipment) = match word.and_then(|(word, rest)| Some((known(word)?, rest))) {
            Some((equipment, rest)) => (format!("0-*:{rest}").parse()?, Some(equipment)),
            None => (code.parse()?, None),
        };
        Ok(Wanted { selector, equipment, place, is_text, has_scale })
    }
}

impl Format for Readout {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let channels = if self.by_equipment { Channels::of(frame) } else { Channels::default() };
        let mut came = vec![false; fields.len()];
        let mut head = 0;
        let mut is_first = true;
        for item in Items(frame) {
            let (name, values) = match item {
                Item::Set { name, values } => (name, Values(values)),
                // Before the first set it is the meter's name.
                Item::Bare(_) if is_first => {
                    head += 1;
                    continue;
                }
                Item::Bare(line) if line.iter().all(u8::is_ascii_punctuation) => {
                    out.passed_over += 1;
                    continue;
                }
                Item::Bare(_) | Item::Open(_) if !fields.is_empty() => continue,
                Item::Bare(line) => {
                    let shown = String::from_utf8_lossy(line);
                    out.reject(shown, RejectReason::Malformed, "a value in brackets", line);
                    continue;
                }
                Item::Open(line) => {
                    let shown = String::from_utf8_lossy(line);
                    out.reject(shown, RejectReason::Malformed, "a closing bracket", line);
                    continue;
                }
            };
            let text = std::str::from_utf8(name).ok();
            let Some((name, code)) = text.and_then(|text| Some((text, ObisCode::parse(text)?)))
            else {
                if fields.is_empty() && !name.is_empty() {
                    let shown = String::from_utf8_lossy(name);
                    out.reject(shown, RejectReason::Malformed, "an OBIS code", name);
                } else if fields.is_empty() {
                    out.reject("obis", RejectReason::Malformed, "a code before it", values.0);
                }
                continue;
            };
            is_first = false;
            if fields.is_empty() {
                add_all(name, code, values, out);
                continue;
            }
            for ((field, wanted), came) in fields.iter().zip(&self.wanted).zip(&mut came) {
                let is_meant = !*came
                    && wanted.selector.matches(code)
                    && wanted.equipment.is_none_or(|equipment| channels.has(code, equipment));
                if is_meant {
                    *came = true;
                    wanted.add(field, code, values, out);
                }
            }
        }
        if is_first {
            let expected = "OBIS codes and values in brackets";
            return out.reject("obis", RejectReason::Malformed, expected, frame);
        }
        out.passed_over += head;
        for field in absent(fields, came) {
            out.add(&field.name, None, Ok(None), || Cow::Borrowed(&[]));
        }
    }
}

/// Adds all values of a set: the last one under the code, the others with their places.
fn add_all<'a>(name: &'a str, code: ObisCode, values: Values<'a>, out: &mut Decoded<'a>) {
    let name = name.strip_suffix("*255").unwrap_or(name);
    let mut split = values.split();
    let mut next = split.next();
    let mut n = 0;
    while let Some(value) = next {
        next = split.next();
        n += 1;
        let is_last = next.is_none();
        let field = if is_last { name.into() } else { Spelled::of(format_args!("{name}({n})")) };
        let Parted { number, unit } = values.unit_of(value, is_last);
        if !is_code(value) {
            let Ok(unit) = unit.map(std::str::from_utf8).transpose() else {
                out.reject(field, RejectReason::NotUtf8, "a unit in UTF-8", value);
                continue;
            };
            if is_last && lacks_head(code, unit) {
                out.reject(field, RejectReason::Malformed, HEAD, values.0);
                continue;
            }
            let wire = if unit.is_some() { Wire::Number } else { Wire::Bare };
            out.add(field, unit, PLAIN.text(number, wire), || number.into());
        } else if is_last {
            // A list that is empty ends with the code of what it would have.
            out.add(field, None, Ok(None), || value.into());
        }
    }
}

impl Wanted {
    fn add<'a>(&self, field: &'a Field, code: ObisCode, values: Values<'a>, out: &mut Decoded<'a>) {
        let count = values.split().count();
        let place = match usize::try_from(self.place) {
            Ok(place) => Some(place),
            Err(_) => count.checked_sub(usize::from(self.place.unsigned_abs())),
        };
        let value = place.and_then(|place| values.split().nth(place)).unwrap_or_default();
        let name = field.name.as_str();
        // The month of a Belgian list that has no peak yet.
        let is_never = value.starts_with(b"632525252525");
        if value.is_empty() || is_code(value) || is_never {
            return out.add(name, None, Ok(None), || value.into());
        }
        if self.is_text
            && code.is_octet_string()
            && let Some(text) = hex_text(value)
        {
            return out.add(name, None, Ok(Some(Value::Text(text.into()))), || value.into());
        }
        let is_last = place.is_some_and(|place| place + 1 == count);
        let Parted { number, unit } = values.unit_of(value, is_last);
        let Ok(unit) = unit.map(std::str::from_utf8).transpose() else {
            return out.reject(name, RejectReason::NotUtf8, "a unit in UTF-8", value);
        };
        if is_last && lacks_head(code, unit) {
            return out.reject(name, RejectReason::Malformed, HEAD, values.0);
        }
        let own = field.unit.as_deref();
        match own.zip(unit).and_then(|(own, came)| unit::power(came, own)) {
            Some(power) if power != 0 && !self.has_scale => {
                out.add(name, own, field.convert.shifted(number, power), || number.into());
            }
            _ => {
                let wire = if unit.is_some() { Wire::Number } else { Wire::Bare };
                out.add_text(field, unit, number, wire);
            }
        }
    }
}

const HEAD: &str = "six values, then the volume";

/// Whether the volume of DSMR 2.2 and 3.0 lacks what must stand before it. Such telegrams have no checksum, and of
/// a line that lost its end the time would be a volume.
fn lacks_head(code: ObisCode, unit: Option<&str>) -> bool {
    code.c_to_e() == [24, 3, 0] && unit.is_none()
}

/// Whether a value is the code of another one, as the heads of lists are: `0-0:96.7.19`.
fn is_code(value: &[u8]) -> bool {
    value.contains(&b':')
        && value.contains(&b'-')
        && std::str::from_utf8(value).is_ok_and(|text| ObisCode::parse(text).is_some())
}

/// The text whose ASCII characters these hexadecimal digits are; `None` if they are no such text.
fn hex_text(digits: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(digits.len() / 2);
    for pair in digits.chunks(2) {
        let byte = hex_byte(pair)?;
        if !(b' '..=b'~').contains(&byte) {
            return None;
        }
        text.push(byte.into());
    }
    (!text.is_empty()).then_some(text)
}

/// What is connected to the channels 0 to 15.
#[derive(Default)]
struct Channels([Channel; 16]);

#[derive(Clone, Copy, Default)]
struct Channel {
    device_type: Option<u8>,
    /// Whether its identification is empty: the equipment is gone, or never came.
    is_gone: bool,
}

impl Channels {
    fn of(frame: &[u8]) -> Channels {
        let mut channels = Channels::default();
        for item in Items(frame) {
            let Item::Set { name, values } = item else { continue };
            let code = std::str::from_utf8(name).ok().and_then(ObisCode::parse);
            let Some((code, channel)) = code
                .and_then(|code| Some((code, channels.0.get_mut(usize::from(code.channel()?))?)))
            else {
                continue;
            };
            let value = Values(values).split().next().unwrap_or_default();
            match code.c_to_e() {
                [24, 1, 0] => {
                    let text = std::str::from_utf8(value).ok();
                    channel.device_type = text.and_then(|text| text.parse().ok());
                }
                [96, 1, 0 | 1] => channel.is_gone = value.is_empty(),
                _ => {}
            }
        }
        channels
    }

    fn has(&self, code: ObisCode, equipment: usize) -> bool {
        let channel = code.channel().and_then(|channel| self.0.get(usize::from(channel)));
        let types = EQUIPMENT.get(equipment).map_or(&[][..], |(_, types)| types);
        channel.is_some_and(|channel| {
            !channel.is_gone && channel.device_type.is_some_and(|it| types.contains(&it))
        })
    }
}

/// The parts of a readout. Sets are told by their brackets, because some readouts have no lines.
struct Items<'a>(&'a [u8]);

enum Item<'a> {
    /// A name, and its values with their brackets and what stands between these.
    Set { name: &'a [u8], values: &'a [u8] },
    /// A line without brackets.
    Bare(&'a [u8]),
    /// A set without its last bracket, to the end of its line.
    Open(&'a [u8]),
}

/// Without white space and control characters such as STX at either end.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b'\0'..=b' ' | 0x7F, rest @ ..] | [rest @ .., b'\0'..=b' ' | 0x7F] = bytes {
        bytes = rest;
    }
    bytes
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            self.0 = trim(self.0);
            if self.0.is_empty() {
                return None;
            }
            let special = |byte: &u8| matches!(byte, b'(' | b'\r' | b'\n');
            let end = self.0.iter().position(special).unwrap_or(self.0.len());
            let (name, rest) = self.0.split_at(end);
            let name = trim(name);
            if !rest.starts_with(b"(") {
                self.0 = rest;
                if name.is_empty() {
                    continue;
                }
                return Some(Item::Bare(name));
            }
            let Some(length) = brackets(rest) else {
                let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
                let line = self.0.iter().position(is_end).unwrap_or(self.0.len());
                let (open, rest) = self.0.split_at(line);
                self.0 = rest;
                return Some(Item::Open(open));
            };
            let (values, rest) = rest.split_at(length);
            self.0 = rest;
            return Some(Item::Set { name, values });
        }
    }
}

/// How many bytes the brackets at the front take, with white space between them: a value that stands in
/// the next line belongs to the set. `None` if one is not closed in its line.
fn brackets(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let rest = bytes.get(length..)?;
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let Some((b'(', content)) = rest.get(blank..)?.split_first() else {
            return Some(length);
        };
        let end = content.iter().position(|byte| matches!(byte, b'(' | b')' | b'\r' | b'\n'))?;
        if content.get(end) != Some(&b')') {
            return None;
        }
        length += blank + end + 2;
    }
}

/// The values of a set, with their brackets.
#[derive(Clone, Copy)]
struct Values<'a>(&'a [u8]);

/// A value, and the unit that came with it.
struct Parted<'a> {
    number: &'a [u8],
    unit: Option<&'a [u8]>,
}

/// What is left of the values of a set, from the sign in front of the next one on.
struct Split<'a>(&'a [u8]);

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    /// The next value, without brackets.
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| matches!(byte, b'(' | b'&'))?;
        let (_, value) = self.0.split_at_checked(start + 1)?;
        let end = value.iter().position(|byte| matches!(byte, b')' | b'&'));
        let (value, rest) = value.split_at(end.unwrap_or(value.len()));
        self.0 = rest;
        Some(trim(value))
    }
}

impl<'a> Values<'a> {
    fn split(self) -> Split<'a> {
        Split(self.0)
    }

    /// Parts a value from its unit. The volume of DSMR 2.2 and 3.0 follows a head of six: time, status,
    /// minutes, number of values, code, unit. Only the last value is looked at for that, because a frame may
    /// have thousands.
    fn unit_of(self, value: &'a [u8], is_last: bool) -> Parted<'a> {
        if let Some(at) = value.iter().rposition(|byte| *byte == b'*') {
            let (number, unit) = value.split_at(at);
            return Parted { number, unit: unit.get(1..).filter(|unit| !unit.is_empty()) };
        }
        if !is_last {
            return Parted { number: value, unit: None };
        }
        let mut head = self.split().skip(3);
        let unit = match [head.next(), head.next(), head.next(), head.next(), head.next()] {
            [Some(b"1"), Some(code), Some(unit), Some(last), None]
                if is_code(code) && std::ptr::eq(last, value) && !unit.is_empty() =>
            {
                Some(unit)
            }
            _ => None,
        };
        Parted { number: value, unit }
    }
}
