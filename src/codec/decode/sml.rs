//! The Smart Message Language of meters: lists of values by their OBIS codes.

mod element;

use self::element::{Element, Elements};
use super::bytes::Spelling;
use super::{Decoded, Decoder, Format, absent};
use crate::base::path::BuildError;
use crate::codec::checksum::NarrowCrc;
use crate::codec::dlms_unit;
use crate::codec::field::{Convert, Field, Named, PLAIN, Wire, build_named};
use crate::codec::obis_code::{ObisCode, ObisSelector};
use crate::codec::spelled::Spelled;
use crate::codec::unit;
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;
use std::borrow::Cow;

/// Messages of the Smart Message Language (SML 1.04), which optical heads of electricity meters push: the
/// values of each list (SML_GetList.Res), with the scaler, unit and sign that come with each. Each
/// message's checksum is verified. An entry without a value has none.
///
/// `from` is a code: `16.7.0` of any medium and channel, `"1-0:1.8.0"`. With `(status)` behind it it is
/// the status word that came with the value, with `(time)` the value's time in seconds. There are also
/// `server_id`, `sec_index` (a counter of seconds in the meter, no time of day) and `reduced`: `true` if
/// energies come in whole kWh, as meters send them, without power, until their PIN is entered.
///
/// Octet strings of printable characters are texts, others are published in hexadecimal. A field's `unit`
/// may have another prefix than the meter's: with `unit: kWh` 1500 Wh are 1.5, unless the field has a
/// `scale`. A field that does not come has no value.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Sml {
    /// The fields that are wanted, each with a code or word as `from`. Default: `server_id`, `sec_index`
    /// and all values under their codes.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
    /// A known mistake of the meter that is put right.
    pub repair: Option<Repair>,
}

/// A known mistake of some meters.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Repair {
    /// DZG DVS74 sends the power 16.7.0 between 327.68 W and 655.35 W, and at the like limits of other
    /// lengths, as a negative number. It is put right for meters of that maker where bit 11 of the status
    /// of 1.8.0 says that no power is delivered to the grid.
    Dzg,
}

/// What a field is made of.
enum Source {
    Value(ObisSelector),
    Status(ObisSelector),
    Time(ObisSelector),
    ServerId,
    SecIndex,
    Reduced,
}

impl Source {
    fn new(from: &str) -> Result<Source, BuildError> {
        Ok(match from {
            "server_id" => Source::ServerId,
            "sec_index" => Source::SecIndex,
            "reduced" => Source::Reduced,
            _ => match from.strip_suffix(')').and_then(|from| from.split_once('(')) {
                Some((code, "status")) => Source::Status(code.parse()?),
                Some((code, "time")) => Source::Time(code.parse()?),
                Some((_, word)) => {
                    let error = BuildError::new(format!("{word:?} is nothing that a value has"));
                    return Err(error.remedy("write (status) or (time), or nothing"));
                }
                None => Source::Value(from.parse()?),
            },
        })
    }
}

impl Sml {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        let fields = build_named("fields", &self.fields)?;
        let mut sources = Vec::with_capacity(fields.len());
        for (n, (field, Named(settings))) in fields.iter().zip(&self.fields).enumerate() {
            let key = if settings.from.is_some() { "from" } else { "name" };
            let source = Source::new(&field.from);
            let source = source.map_err(|error| error.at(key).item(n).at("fields"))?;
            sources.push((source, settings.scale.is_some()));
        }
        let crcs = [crc::CRC_16_IBM_SDLC, crc::CRC_16_KERMIT].map(NarrowCrc::of_16_bits);
        Ok(Decoder::new(fields, Messages { sources, repair: self.repair, crcs }))
    }
}

struct Messages {
    /// What each field is made of, and whether its unit says nothing about the unit that comes, because
    /// it has a scale.
    sources: Vec<(Source, bool)>,
    repair: Option<Repair>,
    /// That of the standard, and the one that some meters take instead.
    crcs: [NarrowCrc; 2],
}

/// SML_GetList.Res
const GET_LIST_RES: u64 = 0x0701;

impl Format for Messages {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let mut came = vec![false; fields.len()];
        let mut rest = Elements(frame);
        while let [first, more @ ..] = rest.0 {
            // Fill bytes, where the framing leaves them.
            if *first == 0 {
                rest = Elements(more);
                continue;
            }
            let message = rest.0;
            let Some(Message { body, checked, sum }) = Message::read(&mut rest) else {
                out.reject("sml", RejectReason::Malformed, "an SML message", message);
                break;
            };
            // The bytes of the checksum stand in reverse order, and are no more than it needs.
            let fits = |crc: &NarrowCrc| u64::from((crc.of(checked) as u16).swap_bytes()) == sum;
            if !self.crcs.iter().any(fits) {
                out.reject("sml", RejectReason::Malformed, "the message's checksum", checked);
                continue;
            }
            if let Some(mut list) = body
                && self.list(&mut list, fields, &mut came, out).is_none()
            {
                out.reject("sml", RejectReason::Malformed, "a list of values", list.0);
            }
        }
        for field in absent(fields, came) {
            out.add(&field.name, None, Ok(None), || Cow::Borrowed(&[]));
        }
    }
}

/// A message whose checksum was not compared yet.
struct Message<'a> {
    /// The elements of a list's body, where it is one.
    body: Option<Elements<'a>>,
    checked: &'a [u8],
    sum: u64,
}

impl<'a> Message<'a> {
    /// SML_Message: transaction, group, what to do about errors, body, checksum, end.
    fn read(rest: &mut Elements<'a>) -> Option<Message<'a>> {
        let start = rest.0;
        rest.list(6)?;
        rest.skip()?;
        rest.skip()?;
        rest.skip()?;
        rest.list(2)?;
        let Element::Unsigned(tag) = rest.next()? else { return None };
        let body = Elements(rest.0);
        rest.skip()?;
        let checked = start.get(..start.len() - rest.0.len())?;
        let Element::Unsigned(sum) = rest.next()? else { return None };
        let Element::End = rest.next()? else { return None };
        let body = (tag == GET_LIST_RES).then_some(body);
        Some(Message { body, checked, sum })
    }
}

/// SML_ListEntry
struct Entry<'a> {
    code: ObisCode,
    status: Option<u64>,
    time: Option<u64>,
    unit: Option<&'static str>,
    scaler: i8,
    value: Option<Element<'a>>,
}

impl<'a> Entry<'a> {
    fn read(rest: &mut Elements<'a>) -> Option<Entry<'a>> {
        rest.list(7)?;
        let Element::Octets(name) = rest.next()? else { return None };
        let code = ObisCode::from_bytes(name.try_into().ok()?);
        let status = rest.unsigned()?;
        let time = rest.time()?;
        let unit = rest.unsigned()?.and_then(|code| u8::try_from(code).ok());
        let scaler = match rest.next()? {
            Element::Octets([]) => 0,
            Element::Signed { number, .. } => i8::try_from(number).ok()?,
            _ => return None,
        };
        let mut ahead = Elements(rest.0);
        let value = match ahead.next()? {
            Element::Octets([]) => None,
            value => Some(value),
        };
        rest.skip()?;
        rest.skip()?;
        let unit = unit.and_then(dlms_unit::unit);
        Some(Entry { code, status, time, unit, scaler, value })
    }

    /// The value, and the unit in which it is.
    fn convert(
        &self,
        convert: &'a Convert,
        own: Option<&'a str>,
        has_scale: bool,
    ) -> (Result<Option<Value<'a>>, RejectReason>, Option<&'a str>) {
        let number = match self.value {
            Some(Element::Signed { number, .. }) => i128::from(number),
            Some(Element::Unsigned(number)) => i128::from(number),
            Some(Element::Octets(octets)) => return (octet_string(octets, convert), own),
            Some(Element::Bool(yes)) => return (Ok(Some(Value::Bool(yes))), own),
            Some(Element::List(_) | Element::End) => return (Err(RejectReason::Malformed), own),
            None => return (Ok(None), own),
        };
        let prefix = match own.zip(self.unit).and_then(|(own, came)| unit::power(came, own)) {
            Some(power) if !has_scale => power,
            _ => 0,
        };
        (convert.powered(number, self.scaler.saturating_add(prefix)), own.or(self.unit))
    }

    /// Whether it is an energy in whole kWh.
    fn is_reduced(&self) -> bool {
        self.unit == Some("Wh") && self.scaler >= 3
    }
}

/// A text of printable characters as it is, other octets in hexadecimal.
fn octet_string<'a>(
    octets: &'a [u8],
    convert: &'a Convert,
) -> Result<Option<Value<'a>>, RejectReason> {
    if octets.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return convert.text(octets, Wire::Text);
    }
    Ok(Some(Value::Text(Spelling::Hex.of(octets))))
}

impl Messages {
    /// SML_GetList.Res: client, server, name of the list, sensor's time, values, signature, gateway's time.
    fn list<'a>(
        &'a self,
        rest: &mut Elements<'a>,
        fields: &'a [Field],
        came: &mut [bool],
        out: &mut Decoded<'a>,
    ) -> Option<()> {
        rest.list(7)?;
        rest.skip()?;
        let Element::Octets(server) = rest.next()? else { return None };
        rest.skip()?;
        let seconds = rest.time()?;
        let Element::List(count) = rest.next()? else { return None };
        let mut each = |wanted: &dyn Fn(&Source) -> bool, add: &mut dyn FnMut(&'a Field, bool)| {
            let fields = fields.iter().zip(&self.sources).zip(came.iter_mut());
            for ((field, (source, has_scale)), came) in fields.filter(|(_, came)| !**came) {
                if wanted(source) {
                    *came = true;
                    add(field, *has_scale);
                }
            }
        };
        let found = || Cow::Borrowed(&b""[..]);
        if fields.is_empty() {
            out.add("server_id", None, octet_string(server, &PLAIN), || server.into());
            if let Some(seconds) = seconds {
                out.add("sec_index", Some("s"), PLAIN.integer(seconds.into()), found);
            }
        } else {
            each(&|source| matches!(source, Source::ServerId), &mut |field, _| {
                out.add(&field.name, None, octet_string(server, &field.convert), || server.into());
            });
            each(&|source| matches!(source, Source::SecIndex), &mut |field, _| {
                let own = field.unit.as_deref();
                let value = seconds.map_or(Ok(None), |it| field.convert.integer(it.into()));
                out.add(&field.name, own.or(Some("s")), value, found);
            });
        }
        let mut delivers = None;
        let mut reduced = None;
        for _ in 0..count {
            let bytes = rest.0;
            let mut entry = Entry::read(rest)?;
            let bytes = bytes.get(..bytes.len() - rest.0.len()).unwrap_or_default();
            if entry.code.c_to_e() == [1, 8, 0] {
                delivers = entry.status.map(|status| status & 1 << 11 != 0);
            }
            if entry.unit == Some("Wh") && entry.value.is_some() {
                reduced = Some(reduced.unwrap_or(true) && entry.is_reduced());
            }
            if self.repair == Some(Repair::Dzg) && delivers == Some(false) && is_of_dzg(server) {
                repair_dzg(&mut entry);
            }
            let mut add = |field: Spelled<'a>, own, convert, has_scale| match entry
                .convert(convert, own, has_scale)
            {
                (Err(reason @ RejectReason::Malformed), _) => {
                    out.reject(field, reason, "a number, text or truth value", bytes);
                }
                (value, unit) => out.add(field, unit, value, || bytes.into()),
            };
            if fields.is_empty() {
                let name = entry.code.name();
                if let Some(status) = entry.status {
                    let status = PLAIN.integer(status.into());
                    add(name.clone(), None, &PLAIN, false);
                    out.add(Spelled::of(format_args!("{name}(status)")), None, status, found);
                } else {
                    add(name, None, &PLAIN, false);
                }
                continue;
            }
            let is_it = |selector: &ObisSelector| selector.matches(entry.code);
            each(
                &|source| matches!(source, Source::Value(it) if is_it(it)),
                &mut |field, has_scale| {
                    add((&field.name).into(), field.unit.as_deref(), &field.convert, has_scale);
                },
            );
            for (number, is_meant) in [
                (
                    entry.status,
                    &(|it: &Source| matches!(it, Source::Status(it) if is_it(it)))
                        as &dyn Fn(&Source) -> bool,
                ),
                (entry.time, &|it: &Source| matches!(it, Source::Time(it) if is_it(it))),
            ] {
                let Some(number) = number else { continue };
                each(is_meant, &mut |field, _| {
                    let value = field.convert.integer(number.into());
                    out.add(&field.name, field.unit.as_deref(), value, found);
                });
            }
        }
        if let Some(reduced) = reduced {
            each(&|source| matches!(source, Source::Reduced), &mut |field, _| {
                out.add(&field.name, None, Ok(Some(Value::Bool(reduced))), found);
            });
        }
        Some(())
    }
}

/// Whether a server id is that of a meter by DZG (DIN 43863-5).
fn is_of_dzg(server: &[u8]) -> bool {
    server.get(2..5) == Some(b"DZG")
}

/// A negative power that is meant as an unsigned number of the same length.
fn repair_dzg(entry: &mut Entry<'_>) {
    if let Some(Element::Signed { number, length }) = &mut entry.value
        && entry.code.c_to_e() == [16, 7, 0]
        && *number < 0
        && *length < 8
    {
        *number += 1 << (8 * *length);
    }
}
