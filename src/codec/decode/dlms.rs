//! What meters push by DLMS, as on the HAN port of Norway and Sweden.

mod data;
mod list;

use super::{Decoded, Decoder, Format, absent};
use crate::base::path::BuildError;
use crate::codec::field::{Field, Named, build_named};
use crate::codec::obis_code::{ObisCode, ObisSelector};
use crate::codec::value::RejectReason;
use data::{Bytes, Item};
use list::Maker;
use serde::Deserialize;
use std::borrow::Cow;

/// What a meter pushes by DLMS (IEC 62056-5-3, Data-Notification), as on the HAN port of Norway and
/// Sweden. The frame is the information field of an HDLC frame, with or without its LLC bytes (`E6 E7 00`).
///
/// Each value has its OBIS code as name, `1-0:1.8.0`, its own power of ten and its unit; the time of the
/// notification is `time`. Kaifa and Kamstrup send neither power nor unit, and some of their lists no
/// codes: these are known. A field's `unit` may have another prefix than the unit that comes: with `unit:
/// kWh` 1500 Wh are 1.5, unless the field has a `scale`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Dlms {
    /// The values that are wanted, each with an OBIS code as `from`: `1.8.0` of any medium and channel,
    /// `1-0:1.8.0`, or `time`. A field whose code does not come has no value. Default: all.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
}

/// Which value a field takes.
#[derive(Debug)]
enum Wanted {
    /// The time of the notification.
    Time,
    Code(ObisSelector),
}

/// Which values the fields take, in their order.
struct Push(Vec<Wanted>);

/// The name of the time of a notification.
const TIME: &str = "time";

impl Dlms {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        let fields = build_named("fields", &self.fields)?;
        let mut wanted = Vec::with_capacity(fields.len());
        for (n, field) in fields.iter().enumerate() {
            wanted.push(match &*field.from {
                TIME => Wanted::Time,
                code => {
                    let code = code.parse();
                    Wanted::Code(
                        code.map_err(|error: BuildError| error.at("from").item(n).at("fields"))?,
                    )
                }
            });
        }
        Ok(Decoder::new(fields, Push(wanted)))
    }
}

impl Format for Push {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let came = vec![false; fields.len()];
        let mut notification =
            Notification { fields, wanted: &self.0, came, maker: Maker::Unknown, out };
        let read = notification.read(frame);
        let came = notification.came;
        match read {
            Ok(()) => {
                // A meter has several lists, and not all of them have everything.
                for field in absent(fields, came) {
                    out.add(&field.name, None, Ok(None), || Cow::Borrowed(&[]));
                }
            }
            Err(expected) => out.reject("dlms", RejectReason::Malformed, expected, frame),
        }
    }
}

/// A notification that is being read.
struct Notification<'a, 'o> {
    fields: &'a [Field],
    wanted: &'a [Wanted],
    /// Which of the fields came.
    came: Vec<bool>,
    maker: Maker,
    out: &'o mut Decoded<'a>,
}

/// A code whose value may still get a power of ten and a unit.
#[derive(Default)]
struct Pending<'a> {
    code: Option<[u8; 6]>,
    value: Option<Item<'a>>,
}

impl<'a> Notification<'a, '_> {
    fn read(&mut self, frame: &'a [u8]) -> Result<(), &'static str> {
        // Destination, source and control of the LLC sublayer (IEC 62056-46, 6.4).
        let apdu = match frame {
            [0xE6, 0xE6 | 0xE7, _, apdu @ ..] => apdu,
            apdu => apdu,
        };
        let mut rest = Bytes(apdu);
        match rest.byte() {
            Ok(0x0F) => {}
            Ok(0xDB) => {
                return Err(
                    "a Data-Notification, 0F; DB is an encrypted one: give `decrypt` its key",
                );
            }
            _ => return Err("a Data-Notification, 0F"),
        }
        // Long-Invoke-Id-And-Priority.
        rest.take(4)?;
        // Some meters put a tag before the length.
        if let Some(([0x09, 0x0C], _)) = rest.0.split_first_chunk::<2>() {
            rest.take(1)?;
        }
        let time = rest.octets()?;
        if !time.is_empty() {
            self.add(None, &Item::Octets(time), 0, None);
        }
        let count = match rest.item()? {
            Item::Many(count) => count,
            _ => return Err("a structure or an array"),
        };
        self.list(&mut rest, count, 0)
    }

    /// Reads a structure or an array of so many elements.
    fn list(
        &mut self,
        rest: &mut Bytes<'a>,
        count: usize,
        depth: usize,
    ) -> Result<(), &'static str> {
        if depth > data::DEEPEST {
            return Err("structures of at most 8 levels");
        }
        let codes = if depth == 0 { list::codes(rest.0, count) } else { None };
        let mut pending = Pending::default();
        for n in 0..count {
            let item = rest.item()?;
            if let Some(code) = codes.and_then(|codes| codes.get(n)) {
                if let Item::Many(_) = item {
                    return Err("a list without structures in it");
                }
                // The shortest has no name.
                self.maker = Maker::Kaifa;
                self.flush(&mut Pending { code: Some(*code), value: Some(item) });
                continue;
            }
            match item {
                Item::Many(count) => {
                    let scaler = if count == 2 && pending.value.is_some() {
                        data::scaler_and_unit(rest.0)
                    } else {
                        None
                    };
                    match scaler {
                        Some((scaler, unit, length)) => {
                            rest.take(length)?;
                            self.finish(&mut pending, Some((scaler, unit)));
                        }
                        None => {
                            self.flush(&mut pending);
                            self.list(rest, count, depth + 1)?;
                        }
                    }
                }
                _ if pending.code.is_some() && pending.value.is_none() => {
                    pending.value = Some(item)
                }
                Item::Octets(code) if code.len() == 6 => {
                    self.flush(&mut pending);
                    pending.code = code.try_into().ok();
                }
                // In the place of a code and its value; or the name of the list.
                item => {
                    self.flush(&mut pending);
                    if self.maker.learn(&item) {
                        self.add(Some(list::NAME_OF_LIST), &item, 0, None);
                    }
                }
            }
            if let (Some(_), Some(value)) = (&pending.code, &pending.value) {
                self.maker.learn(value);
            }
        }
        self.flush(&mut pending);
        Ok(())
    }

    /// Adds a value that came without power of ten and unit.
    fn flush(&mut self, pending: &mut Pending<'a>) {
        self.finish(pending, None);
    }

    fn finish(&mut self, pending: &mut Pending<'a>, own: Option<(i8, Option<&'static str>)>) {
        let (Some(code), value) = (pending.code.take(), pending.value.take()) else { return };
        let value = value.unwrap_or(Item::Null);
        let (power, unit) = own.unwrap_or_else(|| self.maker.power_and_unit(code));
        self.add(Some(code), &value, power, unit);
    }

    /// Adds the value of a code, or the time of the notification.
    fn add(
        &mut self,
        code: Option<[u8; 6]>,
        item: &Item<'a>,
        power: i8,
        unit: Option<&'static str>,
    ) {
        let (content, found) = item.content(power);
        let obis = code.map(ObisCode::from_bytes);
        if self.fields.is_empty() {
            let name = match obis {
                Some(code) => code.name(),
                None => TIME.into(),
            };
            return content.add(name, unit, None, found, self.out);
        }
        for ((field, wanted), came) in self.fields.iter().zip(self.wanted).zip(&mut self.came) {
            let is_wanted = match (wanted, obis) {
                (Wanted::Time, None) => true,
                (Wanted::Code(selector), Some(code)) => selector.matches(code),
                _ => false,
            };
            if is_wanted && !*came {
                *came = true;
                content.add((&*field.name).into(), unit, Some(field), found, self.out);
            }
        }
    }
}
