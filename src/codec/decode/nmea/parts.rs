//! Joins the parts of AIS messages that are too long for one sentence.

use super::Sentence;

/// Messages of which parts came, and others lack: at most [`Parts::MOST`], the oldest first.
#[derive(Debug, Default)]
pub struct Parts(Vec<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// Address, number of parts and sequence number: `AIVDM,2,,3`.
    key: Vec<u8>,
    next: u8,
    payload: Vec<u8>,
}

/// What a frame is among parts.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined {
    /// No part of something longer.
    Whole,
    /// A part; others lack.
    Waiting,
    /// The last part: the sentence as it were in one.
    Message(Vec<u8>),
}

/// A sentence has at most 82 characters (NMEA 0183, section 5.3).
const LONGEST: usize = 96;

impl Parts {
    /// Receivers hear two channels, and some send own messages between.
    pub const MOST: usize = 4;

    /// Takes a frame. A part that does not follow the one before it ends its message: AIS repeats itself.
    pub fn take(&mut self, frame: &[u8]) -> Joined {
        let Some(sentence) = Sentence::of(frame) else { return Joined::Whole };
        let digit = |column| match sentence.column(column) {
            Some([digit @ b'1'..=b'9']) => Some(digit - b'0'),
            _ => None,
        };
        let (Some(total @ 2..), Some(number)) = (digit(1), digit(2)) else { return Joined::Whole };
        let text = (sentence.column(3), sentence.column(4), sentence.column(5), sentence.column(6));
        let (Some(sequence), Some(channel), Some(payload), Some(fill)) = text else {
            return Joined::Whole;
        };
        if !matches!(sentence.kind, "VDM" | "VDO") || frame.len() > LONGEST || number > total {
            return Joined::Whole;
        }
        let key = [sentence.kind.as_bytes(), &[b',', total], sequence].concat();
        let known = self.0.iter().position(|it| it.key == key).map(|at| self.0.remove(at));
        let mut waiting = match known {
            _ if number == 1 => Waiting { key, next: 1, payload: Vec::new() },
            Some(waiting) if waiting.next == number => waiting,
            _ => return Joined::Waiting,
        };
        waiting.payload.extend_from_slice(payload);
        if number == total {
            let head = [b"AI", sentence.kind.as_bytes(), b",1,1,,", channel, b","].concat();
            return Joined::Message([&head, waiting.payload.as_slice(), b",", fill].concat());
        }
        waiting.next = number + 1;
        if self.0.len() >= Parts::MOST {
            self.0.remove(0);
        }
        self.0.push(waiting);
        Joined::Waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_their_order() {
        let mut parts = Parts::default();
        let mut take = |frame: &str| parts.take(frame.as_bytes());
        let joined = |text: &str| Joined::Message(text.into());
        assert_eq!(take("$GPGGA,2,1,3,B,x,0"), Joined::Whole);
        assert_eq!(take("!AIVDM,1,1,,B,15M67F,0*5C"), Joined::Whole);
        assert_eq!(take("!AIVDM,2,1,3,B,55P5TL,0*3E"), Joined::Waiting);
        assert_eq!(take("!AIVDM,2,1,4,A,abc,0"), Joined::Waiting);
        assert_eq!(take("!AIVDM,2,2,3,B,1@0000,2*55"), joined("AIVDM,1,1,,B,55P5TL1@0000,2"));
        assert_eq!(take("!AIVDM,2,2,4,A,d,0"), joined("AIVDM,1,1,,A,abcd,0"));
        // A second part without its first, and a first part that came twice.
        assert_eq!(take("!AIVDM,2,2,4,A,d,0"), Joined::Waiting);
        assert_eq!(take("!AIVDM,3,1,5,A,a,0"), Joined::Waiting);
        assert_eq!(take("!AIVDM,3,1,5,A,b,0"), Joined::Waiting);
        assert_eq!(take("!AIVDM,3,3,5,A,c,0"), Joined::Waiting);
        assert_eq!(take("!AIVDM,3,2,5,A,c,0"), Joined::Waiting);
    }

    #[test]
    fn few_messages_wait() {
        let mut parts = Parts::default();
        for n in 0..=9 {
            parts.take(format!("!AIVDM,2,1,{n},A,a,0").as_bytes());
            assert!(parts.0.len() <= Parts::MOST);
        }
        assert_eq!(parts.take(b"!AIVDM,2,2,0,A,a,0"), Joined::Waiting);
        assert_eq!(parts.take(b"!AIVDM,2,2,9,A,b,0"), Joined::Message(b"AIVDM,1,1,,A,ab,0".into()));
    }
}
