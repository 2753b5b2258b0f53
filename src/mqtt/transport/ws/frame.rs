//! Frames of RFC 6455, section 5, without I/O.

use bytes::{Buf, BytesMut};
use std::io;
use tokio::io::ReadBuf;

pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PONG: u8 = 10;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const PING: u8 = 9;

pub(super) const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
pub(super) const PROTOCOL_ERROR: u16 = 1002;

/// A control frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Ping(Vec<u8>),
    Pong,
    /// Code and reason.
    Close(Option<u16>, String),
}

/// Takes the broker's frames apart.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Payload of the current data frame that is still to come.
    left: u64,
    /// A message has begun; its next frame is a continuation.
    in_message: bool,
}

impl Reader {
    /// Whether the stream may end here.
    pub(super) fn is_between_messages(&self) -> bool {
        self.left == 0 && !self.in_message
    }

    /// Takes frames off the front of `input` until there is a control frame, `buf` is full or the rest
    /// is incomplete. Payload of data frames goes into `buf`.
    pub(super) fn take(
        &mut self,
        input: &mut BytesMut,
        buf: &mut ReadBuf<'_>,
    ) -> Result<Option<Event>, &'static str> {
        loop {
            if self.left > 0 {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let n = left.min(input.len()).min(buf.remaining());
                if n == 0 {
                    return Ok(None);
                }
                buf.put_slice(&input[..n]);
                input.advance(n);
                self.left -= n as u64;
                continue;
            }
            let Some(header) = Header::parse(input)? else { return Ok(None) };
            match header.opcode {
                BINARY | CONTINUATION => {
                    if self.in_message != (header.opcode == CONTINUATION) {
                        return Err("a message's frames are out of order");
                    }
                    self.in_message = !header.last;
                    self.left = header.length;
                    input.advance(header.size);
                }
                // MQTT 5.0, section 6: the link must be closed.
                TEXT => return Err("MQTT in a text message"),
                CLOSE | PING | PONG => {
                    // `Header::parse` checks that a control frame has at most 125 bytes.
                    let whole = header.size + header.length as usize;
                    if input.len() < whole {
                        return Ok(None);
                    }
                    let payload = input.split_to(whole).split_off(header.size);
                    return control(header.opcode, &payload).map(Some);
                }
                _ => return Err("an unknown opcode"),
            }
        }
    }
}

fn control(opcode: u8, payload: &[u8]) -> Result<Event, &'static str> {
    match (opcode, payload) {
        (PING, payload) => Ok(Event::Ping(payload.to_vec())),
        (PONG, _) => Ok(Event::Pong),
        (_, []) => Ok(Event::Close(None, String::new())),
        (_, [_]) => Err("half a close code"),
        (_, [high, low, reason @ ..]) => match u16::from_be_bytes([*high, *low]) {
            // Section 7.4: the other codes are never sent.
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => {
                Ok(Event::Close(Some(code), String::from_utf8_lossy(reason).into_owned()))
            }
            _ => Err("an invalid close code"),
        },
    }
}

struct Header {
    opcode: u8,
    last: bool,
    length: u64,
    /// The size of the header itself, 2 to 10 bytes.
    size: usize,
}

impl Header {
    /// The header at the front, once it is complete. Faults in its first two bytes are reported before
    /// the rest has arrived.
    fn parse(bytes: &[u8]) -> Result<Option<Header>, &'static str> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (last, opcode) = (first & 0x80 != 0, first & 0x0F);
        if first & 0x70 != 0 {
            return Err("a reserved bit is set");
        }
        if second & 0x80 != 0 {
            return Err("a frame from the broker is masked");
        }
        if opcode >= CLOSE && (second & 0x7F > 125 || !last) {
            return Err("a control frame is fragmented or longer than 125 bytes");
        }
        let (length, size) = match (second & 0x7F, rest) {
            (126, [a, b, ..]) => (u16::from_be_bytes([*a, *b]).into(), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10)
            }
            (short @ 0..126, _) => (u64::from(short), 2),
            _ => return Ok(None),
        };
        let minimal = match size {
            2 => true,
            4 => length > 125,
            _ => length > 0xFFFF && length < 1 << 63,
        };
        if !minimal {
            return Err("a length is not written as it should be");
        }
        Ok(Some(Header { opcode, last, length, size }))
    }
}

/// Appends a whole frame, masked by a random key as section 5.3 requires.
pub(super) fn write(opcode: u8, payload: &[u8], out: &mut BytesMut) -> io::Result<()> {
    const MASKED: u8 = 0x80;
    let mut key = [0; 4];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    out.reserve(payload.len() + 14);
    out.extend_from_slice(&[0x80 | opcode]);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => out.extend_from_slice(&[MASKED | length]),
        (_, Ok(length)) => {
            out.extend_from_slice(&[MASKED | 126]);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[MASKED | 127]);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    let from = out.len();
    out.extend_from_slice(payload);
    for (byte, key) in out[from..].iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    Ok(())
}

/// How a stream ends after the broker's close frame: without an error, or with the broker's complaint.
pub(super) fn ending(code: Option<u16>, reason: &str) -> io::Result<()> {
    let Some(code) = code.filter(|code| !matches!(*code, NORMAL | GOING_AWAY)) else {
        return Ok(());
    };
    let reason = crate::mqtt::transport::http_head::printable(reason);
    let colon = if reason.is_empty() { "" } else { ": " };
    Err(io::Error::new(
        io::ErrorKind::ConnectionAborted,
        format!("the broker closed the WebSocket with code {code}{colon}{reason}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes of bytes that arrive in parts, with room for `room` bytes at a time.
    fn read(bytes: &[u8], part: usize, room: usize) -> (Vec<u8>, Vec<Event>, Option<&'static str>) {
        let (mut reader, mut input) = (Reader::default(), BytesMut::new());
        let (mut data, mut events) = (Vec::new(), Vec::new());
        for part in bytes.chunks(part) {
            input.extend_from_slice(part);
            loop {
                let mut space = vec![0; room];
                let mut buf = ReadBuf::new(&mut space);
                let taken = reader.take(&mut input, &mut buf);
                data.extend_from_slice(buf.filled());
                match taken {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) if buf.filled().is_empty() => break,
                    Ok(None) => {}
                    Err(why) => return (data, events, Some(why)),
                }
            }
            // At most a header, or a control frame, that is not whole.
            assert!(input.len() < 2 + 125);
        }
        (data, events, None)
    }

    proptest! {
        /// Frames and rubbish read the same at any split, and never hold on to more than a frame
        /// of control.
        #[test]
        fn any_split_reads_the_same(
            parts in prop::collection::vec(
                (prop::sample::select(vec![0x82, 0x02, 0x80, 0x00, 0x89, 0x8A, 0x88, 0x81, 0xC2]),
                 prop::collection::vec(any::<u8>(), 0..200)),
                0..8,
            ),
            rubbish in prop::collection::vec(any::<u8>(), 0..20),
            part in 1usize..40,
            room in 1usize..40,
        ) {
            let mut bytes = Vec::new();
            for (first, payload) in &parts {
                bytes.extend_from_slice(&[*first]);
                match payload.len() {
                    n @ 0..126 => bytes.push(n as u8),
                    n => bytes.extend_from_slice(&[126, 0, n as u8]),
                }
                bytes.extend_from_slice(payload);
            }
            bytes.extend_from_slice(&rubbish);
            prop_assert_eq!(read(&bytes, part, room), read(&bytes, bytes.len().max(1), 4096));
        }
    }
}
