//! Speed and character format of a serial line.

use super::path::BuildError;
use super::scalar::{deserialize_from_str, wrong};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

deserialize_from_str!(Line: "line setting");

/// Parity of a character on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    None,
    Even,
    Odd,
}

/// Speed and character format of a line: `115200 8N1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bits per second.
    pub baud: u32,
    /// Data bits per character, 5 to 8.
    pub data_bits: u8,
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
}

impl Line {
    /// What most devices use; only where nothing is configured.
    pub const DEFAULT: Line = Line { baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: 1 };

    /// How long `characters` take on the wire, start, parity and stop bits included.
    pub fn time_of(&self, characters: f32) -> Duration {
        let bits = 1 + self.data_bits + u8::from(self.parity != Parity::None) + self.stop_bits;
        Duration::from_secs_f32(characters * f32::from(bits) / self.baud as f32)
    }
}

impl FromStr for Line {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Line, BuildError> {
        const HELP: &str = "write the speed and the format, as in 9600 8N1";
        let mut words = text.split_whitespace();
        let baud = words.next().unwrap_or_default();
        let format = words.next().unwrap_or("8N1");
        if words.next().is_some() {
            return wrong(format!("{text:?} is not a valid line setting"), HELP);
        }
        let baud = match baud.parse::<u32>() {
            Ok(baud) if (1..=20_000_000).contains(&baud) => baud,
            _ => return wrong(format!("{baud:?} is not a valid speed in bits per second"), HELP),
        };
        let (data_bits, parity, stop_bits) = match format.as_bytes() {
            [data @ b'5'..=b'8', parity, stop @ b'1'..=b'2'] => (data - b'0', parity, stop - b'0'),
            _ => return wrong(format!("{format:?} is not a valid character format"), HELP),
        };
        let parity = match parity.to_ascii_uppercase() {
            b'N' => Parity::None,
            b'E' => Parity::Even,
            b'O' => Parity::Odd,
            _ => return wrong(format!("{format:?} has no parity N, E or O"), HELP),
        };
        Ok(Line { baud, data_bits, parity, stop_bits })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} {}{parity}{}", self.baud, self.data_bits, self.stop_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line: Line = "250000 7e2".parse().unwrap();
        assert_eq!(line.to_string(), "250000 7E2");
        assert_eq!("9600".parse::<Line>().unwrap().to_string(), "9600 8N1");
        for bad in ["fast", "9600 9N1", "9600 8X1", "9600 8N1 now", "0 8N1"] {
            assert!(bad.parse::<Line>().is_err(), "{bad}");
        }
    }

    #[test]
    fn three_and_a_half_characters_at_9600_8n1_are_3_6_milliseconds() {
        let line: Line = "9600 8N1".parse().unwrap();
        assert_eq!(line.time_of(3.5).as_micros(), 3645);
    }
}
