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

#[derive(Clone, Copy, Debug)]
pub struct PrintedMessage<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// The QoS with which it came.
    pub qos: Qos,
    pub retain: bool,
    /// The packet identifier, 0 with QoS 0.
    pub id: u16,
    pub properties: &'a Properties,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The payload; nothing if it is empty.
    #[default]
    Payload,
    Verbose,
    /// By the pieces of a format.
    Custom(Vec<FormatPiece>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatPiece {
    /// Printed as it is.
    Literal(Vec<u8>),
    /// `%` and a letter: something about the message.
    Field(u8, FieldLayout),
    /// The message as a JSON object, on several lines if `pretty`.
    Json { payload: JsonPayload, pretty: bool },
    /// `@` and a letter of strftime.
    Time(u8),
}

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
        Format::Custom(vec![FormatPiece::Json { payload: JsonPayload::Either, pretty }])
    }

    /// Appends a message to `out`, and a line break if `eol`. If a payload is not JSON as `%J` demands,
    /// that piece is left out, as mosquitto does, and the error says so. For a terminal, control
    /// characters of the message are shown; those of the format are printed.
    pub fn print(
        &self,
        message: &PrintedMessage<'_>,
        at: &Moment,
        eol: bool,
        is_terminal: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let mut result = Ok(());
        // What comes from the message stands in `out` from `start` on.
        let tame = |start: usize, out: &mut Vec<u8>| {
            if is_terminal {
                let shown = plain_lines(&out[start..]);
                out.truncate(start);
                out.extend_from_slice(shown.as_bytes());
            }
        };
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
                        FormatPiece::Json { payload, pretty } => {
                            result = result.and(json::print(message, at, *payload, *pretty, out));
                            tame(start, out);
                        }
                        FormatPiece::Field(letter, layout) => {
                            layout.field(*letter, message, at, out);
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
    /// Prints what a letter of [`parse::FIELDS`] stands for.
    fn field(&self, letter: u8, message: &PrintedMessage<'_>, at: &Moment, out: &mut Vec<u8>) {
        let of = message.properties;
        match letter {
            b't' => self.text(message.topic.as_bytes(), out),
            b'p' => self.aligned(self.fitting(message.payload, 1), self.pad(), out),
            b'x' => self.hex(message.payload, b"0123456789abcdef", out),
            b'X' => self.hex(message.payload, b"0123456789ABCDEF", out),
            b'l' => self.number(Some(message.payload.len() as u32), out),
            b'm' => self.number(Some(message.id.into()), out),
            b'q' => out.push(b'0' + message.qos.bits()),
            b'r' => out.push(b'0' + u8::from(message.retain)),
            b'I' => self.text(at.iso().as_bytes(), out),
            b'U' => out.extend_from_slice(at.unix().as_bytes()),
            b'A' => self.number(of.topic_alias().map(|n| u32::from(*n)), out),
            b'E' => self.number(of.message_expiry().copied(), out),
            b'F' => self.number(of.payload_format().map(|n| u32::from(*n)), out),
            b'S' => self.number(of.subscription_ids().next(), out),
            b'C' => match of.content_type() {
                Some(text) => self.text(text.as_bytes(), out),
                None => blank(b' ', self.width, out),
            },
            b'R' => {
                if let Some(topic) = of.response_topic() {
                    self.text(topic.as_bytes(), out);
                }
            }
            b'D' => out.extend_from_slice(of.correlation_data().map_or(b"", |data| data)),
            b'P' => {
                let pairs: Vec<_> =
                    of.user().map(|(key, value)| format!("{key}:{value}")).collect();
                out.extend_from_slice(pairs.join(" ").as_bytes());
            }
            // `%%`
            other => out.push(other),
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
    fn number(&self, number: Option<u32>, out: &mut Vec<u8>) {
        match number {
            Some(number) => self.aligned(number.to_string().as_bytes(), self.pad(), out),
            None => blank(self.pad(), self.width, out),
        }
    }

    /// Cuts a payload at the width; each byte prints as so many characters.
    fn fitting<'p>(&self, payload: &'p [u8], characters: usize) -> &'p [u8] {
        match self.width {
            0 => payload,
            width => &payload[..payload.len().min(width / characters)],
        }
    }

    fn hex(&self, payload: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
        let digits = self
            .fitting(payload, 2)
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
