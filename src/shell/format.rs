//! How `sub` prints a message: in mosquitto_sub's formats, byte for byte, except where those lose
//! data: `%x` with a width prints all bytes that fit, `%j` is JSON for any payload, and numbers
//! in `%J` keep their spelling.

mod json;
mod parse;
pub mod time;
pub mod zone;

pub use parse::FormatError;

use crate::base::plain::plain_lines;
use crate::mqtt::packet::Properties;
use crate::mqtt::topic::Qos;
use time::Moment;

/// A message to be printed.
#[derive(Clone, Copy, Debug)]
pub struct PrintedMessage<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// The QoS with which it came.
    pub qos: Qos,
    /// Whether it was a retained message.
    pub retain: bool,
    /// The packet identifier, 0 with QoS 0.
    pub id: u16,
    /// MQTT 5.
    pub properties: &'a Properties,
}

/// How a message is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The payload; nothing if it is empty.
    #[default]
    Payload,
    /// Topic and payload.
    Verbose,
    /// By the pieces of a format.
    Custom(Vec<FormatPiece>),
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatPiece {
    /// Printed as it is.
    Literal(Vec<u8>),
    /// `%`: something about the message.
    Field(FormatField, FieldLayout),
    /// `@`: a letter of strftime.
    Time(u8),
}

/// What a `%` sequence prints.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatField {
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
    /// `%J`: as JSON; any other payload is an error.
    Json,
    /// As JSON if it is JSON, else as text.
    Either,
}

/// Flags, width and precision between `%` and the letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldLayout {
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// `%J` was to print a payload that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

impl Format {
    /// Parses mosquitto_sub's `-F`. `pretty` spreads JSON over lines.
    pub fn parse(text: &[u8], pretty: bool) -> Result<Format, FormatError> {
        parse::pieces(text, pretty).map(Format::Custom)
    }

    /// One JSON object per message, with the payload as JSON if it is JSON.
    pub fn json(pretty: bool) -> Format {
        let field = FormatField::Json(JsonPayload::Either, pretty);
        Format::Custom(vec![FormatPiece::Field(field, FieldLayout::default())])
    }

    /// Appends a message to `out`, and a line break if `eol`. If a payload is not JSON as `%J` demands,
    /// that piece is left out, as mosquitto does, and the error says so.
    pub fn print(
        &self,
        message: &PrintedMessage<'_>,
        at: &Moment,
        eol: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        self.put(message, at, eol, &|_, _| {}, out)
    }

    /// The same for a terminal: control characters of the message are shown, those of the format printed.
    pub fn print_plain(
        &self,
        message: &PrintedMessage<'_>,
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

    /// `tame` is called after each piece that comes from the message, with its start in `out`.
    fn put(
        &self,
        message: &PrintedMessage<'_>,
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
                        FormatPiece::Literal(bytes) => out.extend_from_slice(bytes),
                        FormatPiece::Time(letter) => at.format(*letter, out),
                        FormatPiece::Field(FormatField::Json(payload, pretty), _) => {
                            let printed = json::print(message, at, *payload, *pretty, out);
                            result = result.and(printed);
                            tame(start, out);
                        }
                        FormatPiece::Field(field, layout) => {
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

impl FieldLayout {
    fn field(
        &self,
        field: FormatField,
        message: &PrintedMessage<'_>,
        at: &Moment,
        out: &mut Vec<u8>,
    ) {
        let of = message.properties;
        match field {
            FormatField::Percent => out.push(b'%'),
            FormatField::Topic => self.text(message.topic.as_bytes(), out),
            FormatField::Payload => self.payload(message.payload, out),
            FormatField::Hex => self.hex(message.payload, b"0123456789abcdef", out),
            FormatField::UpperHex => self.hex(message.payload, b"0123456789ABCDEF", out),
            FormatField::Length => self.number(Some(message.payload.len() as u64), out),
            FormatField::Id => self.number(Some(message.id.into()), out),
            FormatField::Qos => out.push(b'0' + message.qos.bits()),
            FormatField::Retain => out.push(b'0' + u8::from(message.retain)),
            FormatField::Iso => self.text(at.iso().as_bytes(), out),
            FormatField::Unix => out.extend_from_slice(at.unix().as_bytes()),
            FormatField::TopicAlias => self.number(of.topic_alias().map(|n| u64::from(*n)), out),
            FormatField::MessageExpiry => {
                self.number(of.message_expiry().map(|n| u64::from(*n)), out)
            }
            FormatField::PayloadFormat => {
                self.number(of.payload_format().map(|n| u64::from(*n)), out)
            }
            FormatField::SubscriptionId => {
                self.number(of.subscription_ids().next().map(u64::from), out)
            }
            FormatField::ContentType => match of.content_type() {
                Some(text) => self.text(text.as_bytes(), out),
                None => blank(b' ', self.width, out),
            },
            FormatField::ResponseTopic => {
                if let Some(topic) = of.response_topic() {
                    self.text(topic.as_bytes(), out);
                }
            }
            FormatField::CorrelationData => {
                out.extend_from_slice(of.correlation_data().map_or(b"", |data| data));
            }
            FormatField::UserProperties => {
                let pairs: Vec<_> =
                    of.user().map(|(key, value)| format!("{key}:{value}")).collect();
                out.extend_from_slice(pairs.join(" ").as_bytes());
            }
            // Printed by the caller.
            FormatField::Json(..) => {}
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

    /// As `printf("%*d")` does; a missing number prints as blanks or zeros.
    fn number(&self, number: Option<u64>, out: &mut Vec<u8>) {
        match number {
            Some(number) => self.aligned(number.to_string().as_bytes(), self.pad(), out),
            None => blank(self.pad(), self.width, out),
        }
    }

    /// A payload is cut at the width.
    fn payload(&self, payload: &[u8], out: &mut Vec<u8>) {
        let len = match self.width {
            0 => payload.len(),
            width => payload.len().min(width),
        };
        self.aligned(&payload[..len], self.pad(), out);
    }

    fn hex(&self, payload: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
        let len = match self.width {
            0 => payload.len(),
            width => payload.len().min(width / 2),
        };
        let digits = payload[..len]
            .iter()
            .flat_map(|b| [digits[usize::from(b >> 4)], digits[usize::from(b & 15)]]);
        self.aligned(&digits.collect::<Vec<_>>(), self.pad(), out);
    }

    /// At the width; `pad` stands on the left only.
    fn aligned(&self, text: &[u8], pad: u8, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(text.len());
        let (before, behind) = if self.left { (0, missing) } else { (missing, 0) };
        blank(pad, before, out);
        out.extend_from_slice(text);
        blank(b' ', behind, out);
    }
}

fn blank(pad: u8, len: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + len, pad);
}

#[cfg(test)]
mod tests;
