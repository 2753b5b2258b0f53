//! The order of a value's bytes in its registers.

use crate::base::path::BuildError;
use crate::base::scalar::{deserialize_from_str, wrong};
use std::str::FromStr;

/// Order of the four bytes of a 32-bit value in two registers, A the most significant. For 64 bits the
/// order of the words and that of the bytes inside of a word are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// Most significant word first, as the specification has the bytes of a word.
    #[default]
    Abcd,
    /// Least significant word first.
    Cdab,
    /// Most significant word first, the bytes of each word swapped.
    Badc,
    /// Least significant byte first.
    Dcba,
}

impl FromStr for ByteOrder {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<ByteOrder, BuildError> {
        match text {
            "ABCD" => Ok(ByteOrder::Abcd),
            "CDAB" => Ok(ByteOrder::Cdab),
            "BADC" => Ok(ByteOrder::Badc),
            "DCBA" => Ok(ByteOrder::Dcba),
            _ => wrong(format!("{text:?} is no byte order"), "write ABCD, CDAB, BADC or DCBA"),
        }
    }
}

impl ByteOrder {
    /// Brings the bytes of a number's registers from this order into ABCD, or back.
    pub(super) fn arrange(self, bytes: &mut [u8]) {
        match self {
            ByteOrder::Abcd => {}
            ByteOrder::Badc => swap(bytes),
            ByteOrder::Dcba => bytes.reverse(),
            ByteOrder::Cdab => {
                bytes.reverse();
                swap(bytes);
            }
        }
    }

    /// The same for a text, whose words always follow each other.
    pub(super) fn arrange_text(self, bytes: &mut [u8]) {
        if self.swaps() {
            swap(bytes);
        }
    }

    /// Whether the bytes of each word are swapped.
    pub(super) fn swaps(self) -> bool {
        matches!(self, ByteOrder::Badc | ByteOrder::Dcba)
    }
}

/// Swaps the bytes of each word.
fn swap(bytes: &mut [u8]) {
    for word in bytes.chunks_exact_mut(2) {
        word.reverse();
    }
}

deserialize_from_str!(ByteOrder: "byte order");
