//! How `sub` prints a message: mosquitto_sub's formats, byte for byte, but for what would lose
//! data: `%x` with a width prints all bytes that fit, `%j` is JSON for any payload, and numbers
//! in `%J` keep their spelling.

mod json;
mod parse;
pub mod time;
pub mod zone;

pub use parse::FormatError;

use crate::base::plain::plain_lines;
use crate::mqtt::packet::{Pair, Property, Varint};
use time::Moment;

/// A message to be printed.
#[derive(Clone, Copy, Debug)]
pub struct Printed<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether the broker had kept it.
    pub retain: bool,
    /// The packet identifier, 0 with QoS 0.
    pub id: u16,
    /// MQTT 5.
    pub properties: &'a [Property],
}

/// How a message is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The payload; nothing at all if it is empty.
    #[default]
    Payload,
    /// Topic and payload.
    Verbose,
    /// By the pieces of a format.
    Custom(Vec<Piece>),
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Printed as it is.
    Literal(Vec<u8>),
    /// `%`: something about the message.
    Field(Field, Layout),
    /// `@`: a letter of strftime.
    Time(u8),
}

/// What a `%` sequence prints.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Percent,
    TopicAlias,
    ContentType,
    CorrelationData,
    MessageExpiry,
    PayloadFormat,
    Iso,
    Json(JsonPayload, bool),
    Length,
    Id,
    UserProperties,
    Payload,
    Qos,
    ResponseTopic,
    Retain,
    SubscriptionId,
    Topic,
    Unix,
    Hex,
    UpperHex,
}

/// How a payload stands in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonPayload {
    /// `%j`: as text.
    Text,
    /// `%J`: as the JSON that it has to be.
    Json,
    /// As JSON if it is some, else as text.
    Either,
}

/// Flags, width and precision between `%` and the letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// The payload should have been JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

impl Format {
    /// Parses mosquitto_sub's `-F`. `pretty` spreads JSON over lines.
    pub fn parse(text: &[u8], pretty: bool) -> Result<Format, FormatError> {
        parse::pieces(text, pretty).map(Format::Custom)
    }

    /// One JSON object per message, with the payload as JSON where it is some.
    pub fn json(pretty: bool) -> Format {
        let field = Field::Json(JsonPayload::Either, pretty);
        Format::Custom(vec![Piece::Field(field, Layout::default())])
    }

    /// Appends a message to `out`, with a line break behind it if `eol`. Where a payload should
    /// be JSON and is none, that piece is left out, as mosquitto does, and the error says so.
    pub fn print(
        &self,
        message: &Printed<'_>,
        at: &Moment,
        eol: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        self.put(message, at, eol, &|_, _| {}, out)
    }

    /// The same for a terminal: what steers one is shown, unless the format itself says it.
    pub fn print_plain(
        &self,
        message: &Printed<'_>,
        at: &Moment,
        eol: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let tame = |from: usize, out: &mut Vec<u8>| {
            let shown = plain_lines(&out[from..]);
            out.truncate(from);
            out.extend_from_slice(shown.as_bytes());
        };
        self.put(message, at, eol, &tame, out)
    }

    /// `tame` is called behind each piece that comes from the message, with where it begins.
    fn put(
        &self,
        message: &Printed<'_>,
        at: &Moment,
        eol: bool,
        tame: &dyn Fn(usize, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let mut result = Ok(());
        let start = out.len();
        match self {
            Format::Payload if message.payload.is_empty() => return Ok(()),
            Format::Payload => {
                out.extend_from_slice(message.payload);
                tame(start, out);
            }
            Format::Verbose if message.payload.is_empty() && !eol => return Ok(()),
            Format::Verbose => {
                out.extend_from_slice(message.topic.as_bytes());
                out.push(b' ');
                out.extend_from_slice(match message.payload {
                    [] => b"(null)",
                    payload => payload,
                });
                tame(start, out);
            }
            Format::Custom(pieces) => {
                for piece in pieces {
                    let start = out.len();
                    match piece {
                        Piece::Literal(bytes) => out.extend_from_slice(bytes),
                        Piece::Time(letter) => at.format(*letter, out),
                        Piece::Field(Field::Json(payload, pretty), _) => {
                            let printed = json::print(message, at, *payload, *pretty, out);
                            result = result.and(printed);
                            tame(start, out);
                        }
                        Piece::Field(field, layout) => {
                            layout.field(*field, message, at, out);
                            tame(start, out);
                        }
                    }
                }
            }
        }
        if eol {
            out.push(b'\n');
        }
        result
    }
}

/// The value of the first property of a kind.
macro_rules! first {
    ($properties:expr, $pattern:pat => $value:expr) => {
        $properties.iter().find_map(|property| match property {
            $pattern => Some($value),
            _ => None,
        })
    };
}

impl Layout {
    fn field(&self, field: Field, message: &Printed<'_>, at: &Moment, out: &mut Vec<u8>) {
        let of = message.properties;
        match field {
            Field::Percent => out.push(b'%'),
            Field::Topic => self.text(message.topic.as_bytes(), out),
            Field::Payload => self.payload(message.payload, out),
            Field::Hex => self.hex(message.payload, b"0123456789abcdef", out),
            Field::UpperHex => self.hex(message.payload, b"0123456789ABCDEF", out),
            Field::Length => self.number(Some(message.payload.len() as u64), out),
            Field::Id => self.number(Some(message.id.into()), out),
            Field::Qos => out.push(b'0' + message.qos.min(9)),
            Field::Retain => out.push(b'0' + u8::from(message.retain)),
            Field::Iso => self.text(at.iso().as_bytes(), out),
            Field::Unix => out.extend_from_slice(at.unix().as_bytes()),
            Field::TopicAlias => {
                self.number(first!(of, Property::TopicAlias(n) => u64::from(*n)), out);
            }
            Field::MessageExpiry => {
                self.number(first!(of, Property::MessageExpiry(n) => u64::from(*n)), out);
            }
            Field::PayloadFormat => {
                self.number(first!(of, Property::PayloadFormat(n) => u64::from(*n)), out);
            }
            Field::SubscriptionId => {
                let id = first!(of, Property::SubscriptionId(Varint(n)) => u64::from(*n));
                self.number(id, out);
            }
            Field::ContentType => match first!(of, Property::ContentType(text) => text) {
                Some(text) => self.text(text.as_bytes(), out),
                None => blank(b' ', self.width, out),
            },
            Field::ResponseTopic => {
                if let Some(topic) = first!(of, Property::ResponseTopic(text) => text) {
                    self.text(topic.as_bytes(), out);
                }
            }
            Field::CorrelationData => {
                if let Some(data) = first!(of, Property::CorrelationData(data) => data) {
                    out.extend_from_slice(data);
                }
            }
            Field::UserProperties => {
                let pairs = of.iter().filter_map(|property| match property {
                    Property::UserProperty(Pair(key, value)) => Some(format!("{key}:{value}")),
                    _ => None,
                });
                out.extend_from_slice(pairs.collect::<Vec<_>>().join(" ").as_bytes());
            }
            // Printed by the caller.
            Field::Json(..) => {}
        }
    }

    fn pad(&self) -> u8 {
        if self.zero { b'0' } else { b' ' }
    }

    /// As `printf("%*.*s")` does.
    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let text = &text[..text.len().min(self.precision.unwrap_or(usize::MAX))];
        self.aligned(text, b' ', out);
    }

    /// As `printf("%*d")` does; what is not there is blank, or zeros.
    fn number(&self, number: Option<u64>, out: &mut Vec<u8>) {
        match number {
            Some(number) => {
                let pad = if self.left { b' ' } else { self.pad() };
                self.aligned(number.to_string().as_bytes(), pad, out);
            }
            None => blank(self.pad(), self.width, out),
        }
    }

    /// A payload is cut at the width.
    fn payload(&self, payload: &[u8], out: &mut Vec<u8>) {
        let len = match self.width {
            0 => payload.len(),
            width => payload.len().min(width),
        };
        let pad = if self.left { b' ' } else { self.pad() };
        self.aligned(&payload[..len], pad, out);
    }

    fn hex(&self, payload: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
        let len = match self.width {
            0 => payload.len(),
            width => payload.len().min(width / 2),
        };
        let digits = payload[..len]
            .iter()
            .flat_map(|b| [digits[usize::from(b >> 4)], digits[usize::from(b & 15)]]);
        let pad = if self.left { b' ' } else { self.pad() };
        self.aligned(&digits.collect::<Vec<_>>(), pad, out);
    }

    fn aligned(&self, text: &[u8], pad: u8, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(text.len());
        if !self.left {
            blank(pad, missing, out);
        }
        out.extend_from_slice(text);
        if self.left {
            blank(b' ', missing, out);
        }
    }
}

fn blank(pad: u8, len: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + len, pad);
}

#[cfg(test)]
mod tests;
