//! What is written to a device: a text or bytes with placeholders, and a checksum over them.

use super::checksum::Summer;
use crate::base::path::BuildError;
use crate::base::scalar::{deserialize_from_str, parse_hex};
use std::str::FromStr;

/// The most bytes that are written at once. A device's input buffer is smaller by far; a broker must
/// not make us hold more.
pub const LONGEST: usize = 4096;

/// A text to write, or behind `hex:` bytes, with placeholders: `{checksum}` is the checksum of what
/// stands before it, any other name is filled in when it is written. A literal brace stands twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    is_hex: bool,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    Slot(String),
    Checksum,
}

deserialize_from_str!(Send: "text");

impl FromStr for Send {
    type Err = BuildError;

    fn from_str(text: &str) -> Result<Send, BuildError> {
        let (is_hex, mut rest) = match text.strip_prefix("hex:") {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let unbalanced = || {
            BuildError::new(format!("{text:?} has a brace without its partner"))
                .remedy("write a literal brace twice: `{{` or `}}`")
        };
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let flush = |literal: &mut String, pieces: &mut Vec<Piece>| {
            let text = std::mem::take(literal);
            if !text.trim().is_empty() || (!text.is_empty() && !is_hex) {
                let bytes = if is_hex { parse_hex(&text)? } else { text.into_bytes() };
                pieces.push(Piece::Bytes(bytes));
            }
            Ok::<(), BuildError>(())
        };
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace).filter(|_| !is_hex) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = match rest.split_once('}') {
                Some(found) if brace == "{" && !found.0.contains('{') => found,
                _ => return Err(unbalanced()),
            };
            flush(&mut literal, &mut pieces)?;
            pieces.push(match name {
                "checksum" => Piece::Checksum,
                "crc" => {
                    let error = BuildError::new("unknown placeholder \"{crc}\"");
                    return Err(
                        error.remedy("write {checksum}: the device's `checksum` says which")
                    );
                }
                name => Piece::Slot(name.to_owned()),
            });
            rest = after;
        }
        literal.push_str(rest);
        flush(&mut literal, &mut pieces)?;
        Ok(Send { is_hex, pieces })
    }
}

impl Send {
    /// Whether it is made of bytes and not of text.
    pub fn is_hex(&self) -> bool {
        self.is_hex
    }

    /// The names of its placeholders, `checksum` apart.
    pub fn slots(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Slot(name) => Some(name.as_str()),
            Piece::Bytes(_) | Piece::Checksum => None,
        })
    }

    pub fn has_checksum(&self) -> bool {
        self.pieces.contains(&Piece::Checksum)
    }

    /// What is literally behind each placeholder that `of` says, and at the end of all.
    pub fn behind(&self, of: &str) -> impl Iterator<Item = &[u8]> {
        self.pieces.windows(2).filter_map(move |pair| match pair {
            [Piece::Slot(name), Piece::Bytes(behind)] if name == of => Some(behind.as_slice()),
            _ => None,
        })
    }

    /// With `{address}` filled in for good: a byte behind `hex:`, digits in a text. Without an address it is
    /// 0 there, and empty here.
    pub fn with_address(&self, address: Option<u8>) -> Send {
        let bytes = match (self.is_hex, address) {
            (true, address) => vec![address.unwrap_or_default()],
            (false, Some(address)) => address.to_string().into_bytes(),
            (false, None) => Vec::new(),
        };
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Slot(name) if name == "address" => Piece::Bytes(bytes.clone()),
            piece => piece.clone(),
        });
        Send { is_hex: self.is_hex, pieces: pieces.collect() }
    }

    /// The bytes to write. `value` gives what a placeholder stands for; an unknown one is empty.
    /// `None`: it would be longer than [`LONGEST`].
    pub fn render<'v>(
        &self,
        checksum: Option<&Summer>,
        mut value: impl FnMut(&str) -> Option<&'v [u8]>,
    ) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(text) => bytes.extend_from_slice(text),
                Piece::Slot(name) => bytes.extend_from_slice(value(name).unwrap_or_default()),
                Piece::Checksum => {
                    let sum = checksum.map(|checksum| checksum.written(&bytes));
                    bytes.extend(sum.unwrap_or_default());
                }
            }
            if bytes.len() > LONGEST {
                return None;
            }
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::checksum::Checksum;

    fn sent(text: &str, checksum: &str) -> Vec<u8> {
        let checksum: Checksum = crate::config::tree::parse(checksum).unwrap();
        let checksum = checksum.build().unwrap();
        let send: Send = text.parse().unwrap();
        send.render(Some(&checksum), |name| (name == "address").then_some(&b"\x07"[..])).unwrap()
    }

    #[test]
    fn a_checksum_covers_what_stands_before_it() {
        assert_eq!(sent("hex:A0 01 01 {checksum}", "sum8"), b"\xA0\x01\x01\xA2");
        assert_eq!(sent("hex: {address} 03 00 00 00 01 {checksum}", "crc16-modbus"), {
            b"\x07\x03\x00\x00\x00\x01\x84\x6c".to_vec()
        });
        // PMTK_TEST of MediaTek's receivers, as its manual has it.
        let nmea = "{xor8: {format: hex, from: 1, separator: \"*\"}}";
        assert_eq!(sent("$PMTK000*{checksum}\r\n", nmea), b"$PMTK000*32\r\n");
    }

    #[test]
    fn wrong_texts_are_refused() {
        for (wrong, why) in [
            ("a{b", "brace"),
            ("a}b", "brace"),
            ("hex: 1G", "hexadecimal"),
            ("POP{crc}", "{checksum}"),
        ] {
            let error = wrong.parse::<Send>().unwrap_err();
            assert!(error.to_string().contains(why), "{wrong}: {error}");
        }
        assert_eq!(sent("a{{b}}", "sum8"), b"a{b}");
    }
}
