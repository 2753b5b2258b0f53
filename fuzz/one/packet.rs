//! Laws of the packet decoder, for any bytes: the first chooses version and limit, the rest is what
//! comes in.

use bytes::{Buf, BytesMut};
use tty2mqtt::mqtt::packet::{Decoded, Packet, Version};

/// Checks the laws for one input; panics where one does not hold.
pub fn fuzz_one(data: &[u8]) {
    let Some((choice, stream)) = data.split_first() else { return };
    let version = [Version::V31, Version::V311, Version::V5][usize::from(choice & 0x0F) % 3];
    let limit = [16, 64, 300, 1 << 20][usize::from(choice >> 4) % 4];
    let at_once = decode_all(&mut BytesMut::from(stream), stream.len(), version, limit);
    let bytewise = decode_bytewise(stream, version, limit);
    assert_eq!(at_once, bytewise, "it depends on how the bytes come in");
    for packet in at_once.packets {
        survives(&packet, version);
    }
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    packets: Vec<Packet>,
    oversize: Vec<(String, usize)>,
    error: Option<String>,
}

impl Outcome {
    /// Whether there is more to be read; takes what is to be skipped off the buffer.
    fn step(
        &mut self,
        buffer: &mut BytesMut,
        skip: &mut usize,
        version: Version,
        limit: usize,
    ) -> bool {
        let skipped = buffer.len().min(*skip);
        buffer.advance(skipped);
        *skip -= skipped;
        if *skip > 0 {
            return false;
        }
        let before = buffer.len();
        match Packet::decode(buffer, limit, version) {
            Ok(None) => {
                assert_eq!(buffer.len(), before, "nothing was read, but bytes are gone");
                return false;
            }
            Ok(Some(Decoded::Packet(packet))) => {
                assert!(before - buffer.len() <= limit, "more than the limit was read");
                self.packets.push(packet);
            }
            Ok(Some(Decoded::Oversize(oversize))) => {
                *skip = oversize.skip;
                self.oversize.push((oversize.topic, oversize.skip));
            }
            Err(error) => {
                assert!(error.reason().is_error(), "an error that is none");
                self.error = Some(error.to_string());
                return false;
            }
        }
        assert!(buffer.len() < before, "a packet of no bytes");
        true
    }
}

fn decode_all(buffer: &mut BytesMut, len: usize, version: Version, limit: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut skip = 0;
    for _ in 0..=len {
        if !outcome.step(buffer, &mut skip, version, limit) {
            break;
        }
    }
    outcome
}

fn decode_bytewise(stream: &[u8], version: Version, limit: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut buffer, mut skip) = (BytesMut::new(), 0);
    for byte in stream {
        buffer.extend_from_slice(&[*byte]);
        // What is waited for is never more than a packet that is taken, or the head of a message.
        assert!(buffer.len() <= limit.max(5 + 2 + 65_535 + 2), "{} bytes wait", buffer.len());
        while outcome.step(&mut buffer, &mut skip, version, limit) {}
        if outcome.error.is_some() {
            break;
        }
    }
    outcome
}

/// What was read can be written, and is the same when it is read again; and a log line may be made
/// of it.
fn survives(packet: &Packet, version: Version) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut wire = BytesMut::new();
    packet.encode(&mut wire, version);
    let again = Packet::decode(&mut wire, usize::MAX, version);
    assert_eq!(again, Ok(Some(Decoded::Packet(packet.clone()))));
    assert!(wire.is_empty());
    assert!(!packet.to_string().is_empty());
}
