//! What the kernel marks in the bytes of a tty with PARMRK set: a byte that came with a parity or
//! framing error, or a break, is handed over as FF 00 and the byte; FF itself as FF FF. (termios(3))

/// Undoes the marks of one port, over any reads. Sans-io.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Marks {
    /// The next byte stands for itself, or begins a mark.
    #[default]
    Plain,
    /// FF came.
    Escaped,
    /// FF 00 came.
    Marked,
}

/// A run of bytes as they were on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Nothing is wrong with these.
    Good(&'a [u8]),
    /// The driver says that these are not what the device sent.
    Damaged(&'a [u8]),
}

const ESCAPE: u8 = 0xFF;

impl Marks {
    /// The next piece of a read, which is shortened by it; `None` when there is no more.
    pub(super) fn next<'a>(&mut self, read: &mut &'a [u8]) -> Option<Piece<'a>> {
        loop {
            let (first, behind) = read.split_first()?;
            match *self {
                Marks::Plain if *first == ESCAPE => *self = Marks::Escaped,
                Marks::Plain => return Some(Piece::Good(up_to_escape(read, 0))),
                // A doubled FF stands for one, and what follows may be handed over with it.
                Marks::Escaped if *first == ESCAPE => {
                    *self = Marks::Plain;
                    return Some(Piece::Good(up_to_escape(read, 1)));
                }
                Marks::Escaped if *first == 0 => *self = Marks::Marked,
                // The kernel does not write this, so the FF stood for itself.
                Marks::Escaped => {
                    *self = Marks::Plain;
                    return Some(Piece::Good(&[ESCAPE]));
                }
                Marks::Marked => {
                    *self = Marks::Plain;
                    let (damaged, rest) = read.split_at(1);
                    *read = rest;
                    return Some(Piece::Damaged(damaged));
                }
            }
            *read = behind;
        }
    }
}

/// Takes what comes before the next escape, looked for from `from` on.
fn up_to_escape<'a>(read: &mut &'a [u8], from: usize) -> &'a [u8] {
    // Hardly a read has an escape, and `contains` looks at whole words.
    let end = match read[from..].contains(&ESCAPE) {
        true => read[from..].iter().position(|byte| *byte == ESCAPE),
        false => None,
    };
    let (run, rest) = read.split_at(end.map_or(read.len(), |end| from + end));
    *read = rest;
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Linux's line discipline writes it: `n_tty_receive_parity_error` and its neighbours.
    fn marked(wire: &[(u8, bool)]) -> Vec<u8> {
        let mark = |(byte, damaged): &(u8, bool)| match (byte, damaged) {
            (byte, true) => vec![0xFF, 0, *byte],
            (0xFF, false) => vec![0xFF, 0xFF],
            (byte, false) => vec![*byte],
        };
        wire.iter().flat_map(mark).collect()
    }

    fn undone<'a>(reads: impl Iterator<Item = &'a [u8]>) -> Vec<(u8, bool)> {
        let mut marks = Marks::default();
        let mut wire = Vec::new();
        for mut read in reads {
            while let Some(piece) = marks.next(&mut read) {
                let (bytes, damaged) = match piece {
                    Piece::Good(bytes) => (bytes, false),
                    Piece::Damaged(bytes) => (bytes, true),
                };
                assert!(!bytes.is_empty());
                wire.extend(bytes.iter().map(|byte| (*byte, damaged)));
            }
        }
        wire
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn marks_are_undone_in_any_split(
            wire in prop::collection::vec(
                (prop_oneof![Just(0xFF_u8), Just(0), any::<u8>()], prop::bool::weighted(0.2)),
                0..40,
            ),
            size in 1_usize..9,
        ) {
            let bytes = marked(&wire);
            prop_assert_eq!(undone(bytes.chunks(size)), wire);
        }

        #[test]
        fn no_bytes_at_all_stop_it(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let wire = undone(bytes.chunks(3));
            prop_assert!(wire.len() <= bytes.len());
        }
    }

    #[test]
    fn a_read_without_ff_is_one_piece() {
        let mut read: &[u8] = b"plain text\r\n";
        assert_eq!(Marks::default().next(&mut read), Some(Piece::Good(b"plain text\r\n")));
        assert_eq!(Marks::default().next(&mut read), None);
    }
}
