//! The numbers of ports, by which messages, outbox and journal tell them apart.

use crate::base::scalar::Name;

/// Number of removed ports whose numbers are kept: their messages may still wait, and
/// what they lost is counted under their names. Beyond that a new port gets the number of one that
/// has gone, so that reloads with ever new names do not use up memory.
const KEPT: usize = 64;

/// Names of ports, by their numbers from 1 on. A port keeps its number while it is there, and when
/// it comes back soon.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    names: Vec<Name>,
    /// Where the search for a number to reuse goes on, so that each takes its turn.
    next: usize,
}

impl Numbers {
    /// The number of a port. `is_there` tells which ports have to keep theirs.
    pub(super) fn of(&mut self, name: &Name, is_there: impl Fn(&Name) -> bool) -> u16 {
        let known = self.names.iter().position(|known| known == name);
        let at = known.or_else(|| self.give_anew(name, is_there)).unwrap_or_else(|| {
            self.names.push(name.clone());
            self.names.len() - 1
        });
        // More than 65,535 ports have no file of 1 MiB to stand in.
        u16::try_from(at + 1).unwrap_or(u16::MAX)
    }

    fn give_anew(&mut self, name: &Name, is_there: impl Fn(&Name) -> bool) -> Option<usize> {
        let count = self.names.len();
        let gone: Vec<_> = (0..count).filter(|at| !is_there(&self.names[*at])).collect();
        if gone.len() < KEPT {
            return None;
        }
        let at = *gone.iter().find(|at| **at >= self.next).or(gone.first())?;
        self.next = at + 1;
        self.names[at] = name.clone();
        Some(at)
    }

    /// All names, in the order of their numbers.
    pub(super) fn names(&self) -> Vec<String> {
        self.names.iter().map(Name::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn two_thousand_names_one_after_the_other_take_a_bounded_number_of_numbers() {
        let mut numbers = Numbers::default();
        let stays = |name: &Name| ["a", "b"].contains(&name.as_str());
        let (a, b) = (numbers.of(&name("a"), stays), numbers.of(&name("b"), stays));
        for n in 0..2000 {
            let new = name(&format!("p{n}"));
            let number = numbers.of(&new, |other| stays(other) || *other == new);
            assert!(number != a && number != b);
            // The ports that went last keep their numbers.
            for back in 1..=KEPT.min(n) / 2 {
                let old = format!("p{}", n - back);
                assert!(numbers.names().contains(&old), "{old} has lost its number at p{n}");
            }
        }
        assert_eq!(numbers.names().len(), 2 + KEPT);
        assert_eq!((numbers.of(&name("a"), stays), numbers.of(&name("b"), stays)), (a, b));
    }

    #[test]
    fn a_port_that_comes_back_has_the_number_that_it_had() {
        let mut numbers = Numbers::default();
        let first = numbers.of(&name("x"), |_| false);
        let _ = numbers.of(&name("y"), |_| false);
        assert_eq!(numbers.of(&name("x"), |_| false), first);
    }
}
