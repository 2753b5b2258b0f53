//! The text behind `-F` → pieces.

use super::{Field, JsonPayload, Layout, Piece};

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It ends behind `%`, `@` or `\`, or behind flags and width.
    #[error("a sequence is cut off at the end; write %%, @@ or \\\\ for the character itself")]
    Cut,
    /// A letter that means nothing behind `%`.
    #[error(
        "there is no %{0}; there are %% %A %C %D %E %F %I %j %J %l %m %P %p %q %R %r %S %t %U %x %X"
    )]
    Field(char),
    /// A letter that means nothing behind `\`.
    #[error("there is no \\{0}; there are \\\\ \\0 \\a \\e \\n \\r \\t \\v")]
    Escape(char),
    /// A width or precision beyond reason.
    #[error("a width or precision is at most 9999")]
    Wide,
}

struct Scan<'a> {
    text: std::iter::Peekable<std::iter::Copied<std::slice::Iter<'a, u8>>>,
    pretty: bool,
}

pub(super) fn pieces(text: &[u8], pretty: bool) -> Result<Vec<Piece>, FormatError> {
    let mut scan = Scan { text: text.iter().copied().peekable(), pretty };
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    while let Some(byte) = scan.text.next() {
        let piece = match byte {
            b'%' => scan.field()?,
            b'@' => match scan.text.next().ok_or(FormatError::Cut)? {
                b'@' => Piece::Literal(b"@".to_vec()),
                letter => Piece::Time(letter),
            },
            b'\\' => Piece::Literal(vec![scan.escape()?]),
            plain => Piece::Literal(vec![plain]),
        };
        match piece {
            Piece::Literal(bytes) => literal.extend(bytes),
            piece => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(piece);
            }
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
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

    fn field(&mut self) -> Result<Piece, FormatError> {
        let left = self.text.next_if_eq(&b'-').is_some();
        let zero = self.text.next_if_eq(&b'0').is_some();
        let width = self.number()?;
        let precision = match self.text.next_if_eq(&b'.') {
            Some(_) => Some(self.number()?),
            None => None,
        };
        let layout = Layout { left, zero, width, precision };
        let field = match self.text.next().ok_or(FormatError::Cut)? {
            b'%' => Field::Percent,
            b'A' => Field::TopicAlias,
            b'C' => Field::ContentType,
            b'D' => Field::CorrelationData,
            b'E' => Field::MessageExpiry,
            b'F' => Field::PayloadFormat,
            b'I' => Field::Iso,
            b'j' => Field::Json(JsonPayload::Text, self.pretty),
            b'J' => Field::Json(JsonPayload::Json, self.pretty),
            b'l' => Field::Length,
            b'm' => Field::Id,
            b'P' => Field::UserProperties,
            b'p' => Field::Payload,
            b'q' => Field::Qos,
            b'R' => Field::ResponseTopic,
            b'r' => Field::Retain,
            b'S' => Field::SubscriptionId,
            b't' => Field::Topic,
            b'U' => Field::Unix,
            b'x' => Field::Hex,
            b'X' => Field::UpperHex,
            other => return Err(FormatError::Field(other.into())),
        };
        Ok(Piece::Field(field, layout))
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
