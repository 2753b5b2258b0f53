//! Which packet identifiers are free?

use crate::mqtt::packet::PacketId;

/// Packet identifiers that are free (2.3.1): a used one is not given out again before it was
/// answered.
#[derive(Debug)]
pub(super) struct Ids {
    /// One bit for each identifier.
    used: Box<[u32; 2048]>,
    first: u16,
    last: u16,
}

impl Ids {
    pub(super) fn new(first: u16) -> Ids {
        Ids { used: Box::new([0; 2048]), first, last: first.wrapping_sub(1) }
    }

    pub(super) fn give_back_all(&mut self) {
        *self.used = [0; 2048];
        self.last = self.first.wrapping_sub(1);
    }

    /// The next free identifier; `None` when all 65,535 are in use.
    pub(super) fn take(&mut self) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last = self.last.wrapping_add(1);
            let (word, bit) = Ids::place(self.last);
            if let Some(id) = PacketId::new(self.last)
                && self.used[word] & bit == 0
            {
                self.used[word] |= bit;
                return Some(id);
            }
        }
        None
    }

    pub(super) fn give_back(&mut self, id: PacketId) {
        let (word, bit) = Ids::place(id.get());
        self.used[word] &= !bit;
    }

    fn place(id: u16) -> (usize, u32) {
        (usize::from(id / 32), 1 << (id % 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_65535_are_given_out_once_and_then_none() {
        let mut ids = Ids::new(1);
        let all: BTreeSet<_> = std::iter::from_fn(|| ids.take()).collect();
        assert_eq!(all.len(), 65_535);
        ids.give_back(PacketId::MIN);
        assert_eq!(ids.take(), Some(PacketId::MIN));
        assert_eq!(ids.take(), None);
    }
}
