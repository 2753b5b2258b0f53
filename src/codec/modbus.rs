//! Modbus: requests as bytes on the line, the replies to them, and registers as values.
//!
//! Sections are those of the MODBUS Application Protocol Specification V1.1b3 ("AP"), of MODBUS over
//! Serial Line V1.02 ("SL") and of MODBUS Messaging on TCP/IP V1.0b ("TCP").

#[cfg(any(test, feature = "demo", feature = "testing", feature = "tools"))]
pub mod adu;
mod expected;
#[cfg(any(test, feature = "tools"))]
pub mod identification;
pub mod order;
pub mod plan;
pub mod register;

#[cfg(feature = "tools")]
pub use expected::whole_rtu_frame;
pub use expected::{Expected, Payload, Scan};
pub use order::ByteOrder;
pub use plan::{Group, Join, Place, plan};
pub use register::{EncodeError, Register, RegisterSettings, Write, WriteSettings, Writes};

use crc::{CRC_16_MODBUS, Crc, NoTable};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// How Modbus frames stand on the line.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Bytes with a CRC, frames separated by silence (SL 2.5.1).
    #[default]
    Rtu,
    /// Hexadecimal digits between `:` and a line break, with an LRC (SL 2.5.2).
    Ascii,
    /// Frames with an MBAP header, as over TCP (TCP 3.1.3).
    Tcp,
}

/// The four tables of a device (AP 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Bits that can be written.
    Coil,
    /// Bits that can only be read.
    Discrete,
    /// Registers that can only be read.
    Input,
    /// Registers that can be written.
    Holding,
}

impl Table {
    /// Whether its places are bits and not registers.
    pub fn is_bits(self) -> bool {
        matches!(self, Table::Coil | Table::Discrete)
    }

    /// The key of the configuration, which is the specification's word, too.
    pub fn word(self) -> &'static str {
        match self {
            Table::Coil => "coil",
            Table::Discrete => "discrete",
            Table::Input => "input",
            Table::Holding => "holding",
        }
    }
}

/// What a master asks a slave for. The specification bounds the counts, and [`Request::encode`] takes
/// them as they are: 2000 bits or 125 registers to read (AP 6.1, 6.3), 1968 coils or 123 registers to
/// write (AP 6.11, 6.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Functions 1 to 4.
    Read { table: Table, start: u16, count: u16 },
    /// Function 5.
    WriteCoil { at: u16, on: bool },
    /// Function 15.
    WriteCoils { at: u16, values: Vec<bool> },
    /// Function 6.
    WriteRegister { at: u16, value: u16 },
    /// Function 16.
    WriteRegisters { at: u16, values: Vec<u16> },
}

/// Most registers that one request reads (AP 6.3).
pub const MOST_REGISTERS: u16 = 125;

impl Request {
    /// The function code (AP 5.1).
    pub fn function(&self) -> u8 {
        match self {
            Request::Read { table: Table::Coil, .. } => 1,
            Request::Read { table: Table::Discrete, .. } => 2,
            Request::Read { table: Table::Holding, .. } => 3,
            Request::Read { table: Table::Input, .. } => 4,
            Request::WriteCoil { .. } => 5,
            Request::WriteRegister { .. } => 6,
            Request::WriteCoils { .. } => 15,
            Request::WriteRegisters { .. } => 16,
        }
    }

    /// The whole frame ("ADU", AP 4.1); `transaction` counts for Modbus TCP only.
    pub fn encode(&self, mode: Mode, unit: u8, transaction: u16) -> Vec<u8> {
        let mut pdu = Vec::with_capacity(16);
        pdu.push(self.function());
        match self {
            Request::Read { start, count, .. } => words(&mut pdu, &[*start, *count]),
            Request::WriteCoil { at, on } => words(&mut pdu, &[*at, coil(*on)]),
            Request::WriteRegister { at, value } => words(&mut pdu, &[*at, *value]),
            Request::WriteCoils { at, values } => {
                words(&mut pdu, &[*at, values.len() as u16]);
                pdu.push(values.len().div_ceil(8) as u8);
                pdu.extend(packed(values));
            }
            Request::WriteRegisters { at, values } => {
                words(&mut pdu, &[*at, values.len() as u16]);
                pdu.push(2 * values.len() as u8);
                words(&mut pdu, values);
            }
        }
        frame(mode, unit, transaction, &pdu)
    }

    /// How many bytes the regular answer has on the line, for timing.
    pub fn answer_len(&self, mode: Mode) -> usize {
        let pdu = match self.reply() {
            Reply::Bytes(count) => 2 + usize::from(count),
            Reply::Echo(_) => 5,
        };
        match mode {
            Mode::Rtu => 1 + pdu + 2,
            Mode::Ascii => 1 + 2 * (1 + pdu + 1) + 2,
            Mode::Tcp => 7 + pdu,
        }
    }

    /// What a read of the written places answers once the slave has taken them; empty for a read.
    pub fn written(&self) -> Vec<u8> {
        match self {
            Request::Read { .. } => Vec::new(),
            Request::WriteCoil { on, .. } => vec![u8::from(*on)],
            Request::WriteCoils { values, .. } => packed(values),
            Request::WriteRegister { value, .. } => value.to_be_bytes().to_vec(),
            Request::WriteRegisters { values, .. } => {
                values.iter().flat_map(|value| value.to_be_bytes()).collect()
            }
        }
    }

    fn reply(&self) -> Reply {
        let echo = |at: u16, value: u16| {
            let ([a, b], [c, d]) = (at.to_be_bytes(), value.to_be_bytes());
            Reply::Echo([a, b, c, d])
        };
        match self {
            Request::Read { table, count, .. } if table.is_bits() => {
                Reply::Bytes(count.div_ceil(8) as u8)
            }
            Request::Read { count, .. } => Reply::Bytes(count.wrapping_mul(2) as u8),
            Request::WriteCoil { at, on } => echo(*at, coil(*on)),
            Request::WriteRegister { at, value } => echo(*at, *value),
            Request::WriteCoils { at, values } => echo(*at, values.len() as u16),
            Request::WriteRegisters { at, values } => echo(*at, values.len() as u16),
        }
    }
}

/// What stands behind the function code of a regular answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    /// The number of bytes that follow, and these.
    Bytes(u8),
    /// The first four bytes of the request again.
    Echo([u8; 4]),
}

/// How function 5 writes a coil (AP 6.5).
fn coil(on: bool) -> u16 {
    if on { 0xFF00 } else { 0 }
}

fn words(pdu: &mut Vec<u8>, words: &[u16]) {
    pdu.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}

/// Eight bits a byte, the first one lowest (AP 6.1).
fn packed(bits: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

/// A function code with its data ("PDU", AP 4.1) as it stands on the line.
pub fn frame(mode: Mode, unit: u8, transaction: u16, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(pdu.len() + 7);
    match mode {
        Mode::Rtu => {
            frame.push(unit);
            frame.extend_from_slice(pdu);
            frame.extend(crc16(&frame).to_le_bytes());
        }
        Mode::Tcp => {
            words(&mut frame, &[transaction, 0, pdu.len() as u16 + 1]);
            frame.push(unit);
            frame.extend_from_slice(pdu);
        }
        Mode::Ascii => {
            frame.push(unit);
            frame.extend_from_slice(pdu);
            frame.push(lrc(&frame));
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            let digit = |nibble: u8| DIGITS[usize::from(nibble & 0xF)];
            let digits = frame.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
            return [b':'].into_iter().chain(digits).chain(*b"\r\n").collect();
        }
    }
    frame
}

/// CRC-16/MODBUS (SL 2.5.1.2). Without a table: serial lines are slow, and flash is small.
fn crc16(bytes: &[u8]) -> u16 {
    Crc::<u16, NoTable>::new(&CRC_16_MODBUS).checksum(bytes)
}

/// The two's complement of the sum of all bytes (SL 2.5.2.2).
fn lrc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

/// Why a slave refuses a request: the exception code (AP 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception(pub u8);

impl Exception {
    pub const ILLEGAL_DATA_ADDRESS: Exception = Exception(2);
    pub const ILLEGAL_DATA_VALUE: Exception = Exception(3);

    /// The specification's name in lower case.
    pub fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self.0 {
            1 => "illegal function",
            2 => "illegal data address",
            3 => "illegal data value",
            4 => "server device failure",
            5 => "acknowledge",
            6 => "server device busy",
            8 => "memory parity error",
            10 => "gateway path unavailable",
            11 => "gateway target device failed to respond",
            code => return Cow::Owned(format!("exception {code}")),
        })
    }

    /// Whether a shorter read may succeed: one of the places does not exist, or they are too many.
    pub fn may_be_split(self) -> bool {
        matches!(self, Exception::ILLEGAL_DATA_ADDRESS | Exception::ILLEGAL_DATA_VALUE)
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::scalar::parse_hex;

    fn hex(digits: &str) -> Vec<u8> {
        parse_hex(digits).unwrap()
    }

    /// The examples of AP 6: request, its PDU, the PDU of its answer.
    fn examples() -> [(Request, &'static str, &'static str); 8] {
        use Request::*;
        let bits = |text: &str| text.bytes().map(|bit| bit == b'1').collect();
        [
            (
                Read { table: Table::Coil, start: 0x13, count: 0x13 },
                "01 00 13 00 13",
                "01 03 CD 6B 05",
            ),
            (
                Read { table: Table::Discrete, start: 0xC4, count: 0x16 },
                "02 00 C4 00 16",
                "02 03 AC DB 35",
            ),
            (
                Read { table: Table::Holding, start: 0x6B, count: 3 },
                "03 00 6B 00 03",
                "03 06 02 2B 00 00 00 64",
            ),
            (Read { table: Table::Input, start: 8, count: 1 }, "04 00 08 00 01", "04 02 00 0A"),
            (WriteCoil { at: 0xAC, on: true }, "05 00 AC FF 00", "05 00 AC FF 00"),
            (WriteRegister { at: 1, value: 3 }, "06 00 01 00 03", "06 00 01 00 03"),
            (
                WriteCoils { at: 0x13, values: bits("1011001110") },
                "0F 00 13 00 0A 02 CD 01",
                "0F 00 13 00 0A",
            ),
            (
                WriteRegisters { at: 1, values: vec![0x000A, 0x0102] },
                "10 00 01 00 02 04 00 0A 01 02",
                "10 00 01 00 02",
            ),
        ]
    }

    #[test]
    fn examples_of_the_specification() {
        for (request, pdu, answer) in examples() {
            let payload = match request {
                Request::Read { .. } => hex(answer)[2..].to_vec(),
                _ => Vec::new(),
            };
            for mode in [Mode::Rtu, Mode::Ascii, Mode::Tcp] {
                assert_eq!(request.encode(mode, 17, 9), frame(mode, 17, 9, &hex(pdu)));
                let answer = frame(mode, 17, 9, &hex(answer));
                assert_eq!(request.answer_len(mode), answer.len(), "{request:?}");
                match Expected::new(mode, 17, &request, 9).scan(&answer) {
                    Scan::Answer { payload: found, len, foreign: 0 } => {
                        assert_eq!(found.of(&answer), payload);
                        assert_eq!(len, answer.len());
                    }
                    other => panic!("{request:?}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn frames_on_the_line() {
        // The example of SL 6.2.2.
        assert_eq!(frame(Mode::Rtu, 2, 0, &[7]), hex("02 07 41 12"));
        let request = Request::Read { table: Table::Holding, start: 0x6B, count: 3 };
        assert_eq!(request.encode(Mode::Rtu, 0x11, 0), hex("11 03 00 6B 00 03 76 87"));
        assert_eq!(request.encode(Mode::Ascii, 0x11, 0), b":1103006B00037E\r\n");
        let tcp = hex("15 01 00 00 00 06 FF 03 00 6B 00 03");
        assert_eq!(request.encode(Mode::Tcp, 0xFF, 0x1501), tcp);
    }

    #[test]
    fn what_was_written_reads_back() {
        for (request, pdu, _) in examples() {
            let written = request.written();
            match request {
                Request::Read { .. } => assert!(written.is_empty()),
                Request::WriteCoil { .. } => assert_eq!(written, [1]),
                Request::WriteRegister { .. } => assert_eq!(written, hex(pdu)[3..]),
                _ => assert_eq!(written, hex(pdu)[6..]),
            }
        }
    }

    #[test]
    fn exceptions_have_names() {
        assert_eq!(Exception(2).to_string(), "illegal data address");
        assert_eq!(Exception(11).to_string(), "gateway target device failed to respond");
        assert_eq!(Exception(7).to_string(), "exception 7");
        assert!(Exception(3).may_be_split() && !Exception(4).may_be_split());
    }
}
