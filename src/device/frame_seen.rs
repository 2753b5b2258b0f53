//! A frame and what became of it, for those who look on.

use crate::base::plain::plain_bytes;
use crate::codec::value::{NoValue, RejectReason, RejectedReading};
use crate::device::Publication;
use crate::mqtt::message::Message;
use bytes::Bytes;
use std::fmt;

#[derive(Clone, Debug, Default)]
pub struct FrameSeen {
    /// The frame without checksum and delimiters, cut to [`FrameSeen::LONGEST`] bytes.
    pub frame: Bytes,
    /// Bytes of the whole frame.
    pub size: usize,
    /// Whether an entry of `frames` wanted it.
    pub matched: bool,
    /// What it says, at most [`FrameSeen::MOST`]; payloads are cut to [`FrameSeen::LONGEST`] bytes.
    pub messages: Vec<Message>,
    /// Fields that were refused, at most [`FrameSeen::MOST`].
    pub refused: Vec<RejectedField>,
    /// Fields without a value, with what stood in its place, at most [`FrameSeen::MOST`].
    pub no_values: Vec<(String, String)>,
}

impl FrameSeen {
    /// Of a longer frame only so many bytes are shown.
    pub const LONGEST: usize = 1024;
    /// Of more messages or refusals than this only the first are shown.
    pub const MOST: usize = 64;
    /// Of messages with more bytes together than this only the first are shown.
    const MOST_BYTES: usize = 8 << 10;

    /// Bytes of memory that it takes, about.
    pub(crate) fn cost(&self) -> usize {
        let message = |m: &Message| size_of::<Message>() + m.topic.len() + m.payload.len();
        let field = |r: &RejectedField| size_of::<RejectedField>() + r.field.len() + r.what.len();
        let pair =
            |(field, found): &(String, String)| 2 * size_of::<String>() + field.len() + found.len();
        let messages: usize = self.messages.iter().map(message).sum();
        let refused: usize = self.refused.iter().map(field).sum();
        let no_values: usize = self.no_values.iter().map(pair).sum();
        self.frame.len() + messages + refused + no_values
    }

    pub(super) fn of(frame: &Bytes) -> FrameSeen {
        FrameSeen {
            // A copy, so that who looks on slowly does not hold a whole read buffer.
            frame: Bytes::copy_from_slice(&frame[..frame.len().min(FrameSeen::LONGEST)]),
            size: frame.len(),
            ..FrameSeen::default()
        }
    }

    pub(super) fn took(
        &mut self,
        messages: &[Publication],
        refused: &[RejectedReading<'_>],
        no_values: &[NoValue<'_>],
    ) {
        self.matched = true;
        let mut bytes = 0;
        for Publication { message, .. } in messages.iter().take(FrameSeen::MOST) {
            let shown = &message.payload[..message.payload.len().min(FrameSeen::LONGEST)];
            bytes += message.topic.len() + shown.len();
            if bytes > FrameSeen::MOST_BYTES {
                break;
            }
            // A copy here too: what it was cut from must not be held by it.
            let payload = Bytes::copy_from_slice(shown);
            self.messages.push(Message { payload, ..message.clone() });
        }
        self.refused = refused.iter().take(FrameSeen::MOST).map(RejectedField::of).collect();
        let no_values = no_values.iter().take(FrameSeen::MOST);
        self.no_values = no_values.map(|n| (short(&n.field), quoted(&n.found))).collect();
    }
}

/// A field that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedField {
    pub field: String,
    pub reason: RejectReason,
    /// What was expected, and what was found in its place.
    pub what: String,
}

impl RejectedField {
    pub(super) fn of(refusal: &RejectedReading<'_>) -> RejectedField {
        let what = match refusal.reason {
            RejectReason::Missing => "missing".to_owned(),
            _ => format!("expected {}, found {}", refusal.expected, quoted(&refusal.found)),
        };
        RejectedField { field: short(&refusal.field), reason: refusal.reason, what }
    }
}

impl fmt::Display for RejectedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused: {}", self.field, self.what)
    }
}

fn short(field: &str) -> String {
    field.chars().take(64).collect()
}

/// The first bytes of a value, of which nothing can steer a terminal.
fn quoted(bytes: &[u8]) -> String {
    const MOST: usize = 64;
    let more = if bytes.len() > MOST { "…" } else { "" };
    format!("\"{}\"{more}", plain_bytes(&bytes[..bytes.len().min(MOST)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_shown_short_and_steers_no_terminal() {
        for (found, expected) in [
            (&b"21,5 \xC2\xB0C"[..], "\"21,5 °C\""),
            (b"\x1B[2J\xE2\x80\xAE1", "\"\\u{1b}[2J\\u{202e}1\""),
            (b"2\xFF", "\"2\\xff\""),
            (&[b'7'; 65], &format!("\"{}\"…", "7".repeat(64))),
        ] {
            assert_eq!(quoted(found), expected);
        }
    }
}
