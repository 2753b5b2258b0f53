//! Parses the format of `sub -F`.

use super::{FieldLayout, FormatPiece, JsonPayload};

/// The letters that [`FieldLayout::field`] prints.
pub(super) const FIELDS: &[u8] = b"%ACDEFIlmPpqRrStUxX";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("a sequence is cut off at the end; write %%, @@ or \\\\ for the character itself")]
    Cut,
    #[error(
        "there is no %{0}; there are %% %A %C %D %E %F %I %j %J %l %m %P %p %q %R %r %S %t %U %x %X"
    )]
    Field(char),
    #[error("there is no \\{0}; there are \\\\ \\0 \\a \\e \\n \\r \\t \\v")]
    Escape(char),
    #[error("a width or precision is at most 9999")]
    Wide,
}

struct Scan<'a> {
    text: std::iter::Peekable<std::iter::Copied<std::slice::Iter<'a, u8>>>,
    pretty: bool,
}

pub(super) fn pieces(text: &[u8], pretty: bool) -> Result<Vec<FormatPiece>, FormatError> {
    let mut scan = Scan { text: text.iter().copied().peekable(), pretty };
    let mut pieces = Vec::new();
    while let Some(byte) = scan.text.next() {
        let literal = match byte {
            b'%' => {
                pieces.push(scan.field()?);
                continue;
            }
            b'@' => match scan.text.next().ok_or(FormatError::Cut)? {
                b'@' => b'@',
                letter => {
                    pieces.push(FormatPiece::Time(letter));
                    continue;
                }
            },
            b'\\' => scan.escape()?,
            plain => plain,
        };
        match pieces.last_mut() {
            Some(FormatPiece::Literal(bytes)) => bytes.push(literal),
            _ => pieces.push(FormatPiece::Literal(vec![literal])),
        }
    }
    Ok(pieces)
}

impl Scan<'_> {
    fn escape(&mut self) -> Result<u8, FormatError> {
        Ok(match self.text.next().ok_or(FormatError::Cut)? {
            b'\\' => b'\\',
            b'0' => 0,
            b'a' => 7,
            b'e' => 27,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => return Err(FormatError::Escape(other.into())),
        })
    }

    fn field(&mut self) -> Result<FormatPiece, FormatError> {
        let left = self.text.next_if_eq(&b'-').is_some();
        let zero = self.text.next_if_eq(&b'0').is_some();
        let width = self.number()?;
        let precision = match self.text.next_if_eq(&b'.') {
            Some(_) => Some(self.number()?),
            None => None,
        };
        let layout = FieldLayout { left, zero, width, precision };
        let json = |payload| FormatPiece::Json { payload, pretty: self.pretty };
        match self.text.next().ok_or(FormatError::Cut)? {
            b'j' => Ok(json(JsonPayload::Text)),
            b'J' => Ok(json(JsonPayload::Json)),
            letter if FIELDS.contains(&letter) => Ok(FormatPiece::Field(letter, layout)),
            other => Err(FormatError::Field(other.into())),
        }
    }

    fn number(&mut self) -> Result<usize, FormatError> {
        let mut number = 0;
        while let Some(digit) = self.text.next_if(u8::is_ascii_digit) {
            number = number * 10 + usize::from(digit - b'0');
            if number > 9999 {
                return Err(FormatError::Wide);
            }
        }
        Ok(number)
    }
}
