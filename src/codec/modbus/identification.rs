//! What a device says that it is: Read Device Identification (AP 6.21).

use super::Exception;
use std::fmt;

/// The request for the basic category, from its first object on.
pub const REQUEST: [u8; 4] = [FUNCTION, MEI_TYPE, 1, 0];

/// Encapsulated Interface Transport (AP 6.19), and the type of interface that identifies devices.
const FUNCTION: u8 = 0x2B;
const MEI_TYPE: u8 = 0x0E;

/// The objects in their order: vendor name, product code and revision in the basic category.
#[derive(Debug, PartialEq, Eq)]
pub struct Identification(Vec<String>);

impl Identification {
    /// Of an answer's function code and data.
    pub fn of(pdu: &[u8]) -> Option<Result<Identification, Exception>> {
        match pdu {
            [function, code, ..] if *function == FUNCTION | 0x80 => Some(Err(Exception(*code))),
            [FUNCTION, MEI_TYPE, _, _, _, _, _, objects @ ..] => {
                let mut objects = objects;
                let mut texts = Vec::new();
                while let [_, length, rest @ ..] = objects {
                    let (text, behind) = rest.split_at_checked(usize::from(*length))?;
                    texts.push(String::from_utf8_lossy(text).trim().to_owned());
                    objects = behind;
                }
                Some(Ok(Identification(texts)))
            }
            _ => None,
        }
    }

    /// How long an answer is, of its bytes from the function code on, once these say so.
    pub fn pdu_len(bytes: &[u8]) -> Option<usize> {
        if *bytes.first()? & 0x80 != 0 {
            return Some(2);
        }
        let mut len = 7;
        for _ in 0..*bytes.get(6)? {
            len += 2 + usize::from(*bytes.get(len + 1)?);
        }
        Some(len)
    }
}

impl fmt::Display for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().filter(|text| !text.is_empty()).cloned().collect();
        f.write_str(&texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::modbus::adu::Adu;
    use crate::codec::modbus::{Mode, frame};

    /// The answer of the example of AP 6.21, with the lengths that its texts have.
    const ANSWER: &[u8] =
        b"\x2B\x0E\x01\x01\0\0\x03\0\x16Company identification\x01\x0dProduct code \x02\x05V2.11";

    #[test]
    fn the_example_of_the_specification_in_each_mode() {
        for mode in [Mode::Rtu, Mode::Ascii, Mode::Tcp] {
            let whole = frame(mode, 7, 1, ANSWER);
            for cut in 0..whole.len() {
                let part = Adu::first_of(mode, &whole[..cut], Identification::pdu_len);
                assert_eq!(part, None, "{mode:?} {cut}");
            }
            let adu = Adu::first_of(mode, &whole, Identification::pdu_len).unwrap();
            assert_eq!((adu.unit, adu.len), (7, whole.len()));
            let said = Identification::of(&adu.pdu).unwrap().unwrap();
            assert_eq!(said.to_string(), "Company identification, Product code, V2.11");
        }
    }

    #[test]
    fn a_device_that_does_not_know_it_says_so() {
        let whole = frame(Mode::Rtu, 7, 0, &[0xAB, 1]);
        let adu = Adu::first_of(Mode::Rtu, &whole, Identification::pdu_len).unwrap();
        assert_eq!(Identification::of(&adu.pdu), Some(Err(Exception(1))));
        assert_eq!(Identification::of(&[3, 0]), None);
    }
}
