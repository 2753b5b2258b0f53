//! The elements of SML: each with its type and length in front.

/// An element, or the head of a list (SML 1.04, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element<'a> {
    /// A string of octets; an empty one stands for whatever is left out.
    Octets(&'a [u8]),
    Bool(bool),
    /// A signed number, and how many bytes it had.
    Signed {
        number: i64,
        length: u32,
    },
    Unsigned(u64),
    /// So many elements follow.
    List(usize),
    /// The end of a message.
    End,
}

/// The elements in some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Elements<'a> {
    /// The next element; `None` if there is none, or what is there is none.
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let (head, mut rest) = self.0.split_first()?;
        if *head == 0 {
            self.0 = rest;
            return Some(Element::End);
        }
        let mut length = usize::from(head & 0x0F);
        let mut heads = 1;
        let mut goes_on = head & 0x80 != 0;
        while goes_on {
            let (more, behind) = rest.split_first()?;
            // No file is as long as a length of more bytes says.
            if more & 0x70 != 0 || heads == 4 {
                return None;
            }
            length = length << 4 | usize::from(more & 0x0F);
            goes_on = more & 0x80 != 0;
            rest = behind;
            heads += 1;
        }
        let kind = head >> 4 & 7;
        if kind == 7 {
            self.0 = rest;
            return Some(Element::List(length));
        }
        // The length is that of the whole element.
        let (content, behind) = rest.split_at_checked(length.checked_sub(heads)?)?;
        let is_number = (1..=8).contains(&content.len());
        let unsigned = || content.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let element = match kind {
            0 => Element::Octets(content),
            4 if content.len() == 1 => Element::Bool(content != [0]),
            5 if is_number => {
                let length = content.len() as u32;
                let unused = 64 - 8 * length;
                Element::Signed { number: (unsigned() << unused) as i64 >> unused, length }
            }
            6 if is_number => Element::Unsigned(unsigned()),
            _ => return None,
        };
        self.0 = behind;
        Some(element)
    }

    /// Passes over an element with all that is in it.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            match self.next()? {
                // Each element takes a byte at least.
                Element::List(count) => left = left.checked_add(count)?,
                Element::End => return None,
                _ => {}
            }
        }
        Some(())
    }

    /// The head of a list of so many elements.
    pub(super) fn list(&mut self, count: usize) -> Option<()> {
        (self.next()? == Element::List(count)).then_some(())
    }

    /// An unsigned number, or `Some(None)` where it is left out.
    pub(super) fn unsigned(&mut self) -> Option<Option<u64>> {
        match self.next()? {
            Element::Unsigned(number) => Some(Some(number)),
            Element::Octets([]) => Some(None),
            _ => None,
        }
    }

    /// SML_Time: a choice of a counter and kinds of timestamps, or a number alone, in seconds.
    /// `Some(None)` where it is left out or 0, which is no time.
    pub(super) fn time(&mut self) -> Option<Option<u64>> {
        let time = match self.next()? {
            Element::List(2) => {
                self.unsigned()?;
                match self.next()? {
                    Element::Unsigned(time) => time,
                    // A timestamp with the offsets of its zone and season.
                    Element::List(3) => {
                        let time = self.unsigned()??;
                        self.skip()?;
                        self.skip()?;
                        time
                    }
                    _ => return None,
                }
            }
            Element::Unsigned(time) => time,
            Element::Octets([]) => return Some(None),
            _ => return None,
        };
        Some(Some(time).filter(|time| *time != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_lengths() {
        for (bytes, expected) in [
            (&[0x01][..], Some(Element::Octets(b""))),
            (&[0x03, b'a', b'b'], Some(Element::Octets(b"ab"))),
            (&[0x42, 0xFF], Some(Element::Bool(true))),
            (&[0x52, 0xFE], Some(Element::Signed { number: -2, length: 1 })),
            (&[0x54, 0xFF, 0x00, 0x00], Some(Element::Signed { number: -65536, length: 3 })),
            (&[0x62, 0xFE], Some(Element::Unsigned(254))),
            (&[0x69, 0, 0, 0, 0, 0, 0, 1, 0], Some(Element::Unsigned(256))),
            (&[0xF1, 0x04], Some(Element::List(20))),
            (&[0x00], Some(Element::End)),
            (&[], None),
            (&[0x51], None),
            (&[0x53, 1], None),
            (&[0x6A, 0, 0, 0, 0, 0, 0, 0, 0, 1], None),
            (&[0x80, 0x00], None),
            (&[0xF1], None),
            (&[0xF1, 0x14], None),
            (&[0xFF, 0x8F, 0x8F, 0x8F, 0x8F, 0x0F], None),
            (&[0x22, 0], None),
        ] {
            assert_eq!(Elements(bytes).next(), expected, "{bytes:02x?}");
        }
        let mut long = vec![0x83, 0x02];
        long.extend([7; 48]);
        assert_eq!(Elements(&long).next(), Some(Element::Octets(&[7; 48])));
    }

    #[test]
    fn times_and_what_is_left_out() {
        for (bytes, expected) in [
            (&[0x01][..], Some(None)),
            (&[0x72, 0x62, 1, 0x63, 1, 0], Some(Some(256))),
            (&[0x62, 9], Some(Some(9))),
            (&[0x62, 0], Some(None)),
            (&[0x72, 0x62, 3, 0x73, 0x62, 5, 0x52, 60, 0x52, 0], Some(Some(5))),
            (&[0x02, 1], None),
            (&[0x73, 0x62, 1], None),
        ] {
            assert_eq!(Elements(bytes).time(), expected, "{bytes:02x?}");
        }
        let mut nested = Elements(&[0x72, 0x71, 0x62, 1, 0x01, 0x62, 7]);
        assert_eq!((nested.skip(), nested.unsigned()), (Some(()), Some(Some(7))));
        assert_eq!(Elements(&[0x7F; 9]).skip(), None);
    }
}
