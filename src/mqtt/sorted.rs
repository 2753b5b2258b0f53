//! A map for what is under way: few entries, and keys that mostly come in rising order and go from
//! the front.

use crate::base::deque;
use std::collections::VecDeque;

/// Entries in the order of their keys. With keys as they are handed out here (identifiers, tickets),
/// what comes is appended and what goes is near the front. A `BTreeMap` is 5 KB of code for each
/// pair of types, this 1 KB; and it keeps its room, so that it seldom allocates.
#[derive(Debug)]
pub(super) struct Sorted<K, V>(VecDeque<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Sorted<K, V> {
        Sorted(VecDeque::new())
    }
}

impl<K: Copy + Ord, V> Sorted<K, V> {
    /// Where a key is, or would be.
    fn place(&self, key: K) -> Result<usize, usize> {
        match self.0.back() {
            Some((last, _)) if *last < key => Err(self.0.len()),
            _ => self.0.binary_search_by_key(&key, |(known, _)| *known),
        }
    }

    /// In place of what the key had before.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => deque::insert(&mut self.0, at, (key, value)),
        }
    }

    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        let at = self.place(key).ok()?;
        deque::take(&mut self.0, at).map(|(_, value)| value)
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        let at = self.place(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        Some(&mut self.0[at].1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn like_the_map_of_the_standard_library(steps: Vec<(u8, Option<u16>)>) {
            let (mut ours, mut known) = (Sorted::default(), BTreeMap::new());
            for (key, value) in steps {
                match value {
                    Some(value) => {
                        ours.insert(key, value);
                        known.insert(key, value);
                    }
                    None => prop_assert_eq!(ours.remove(key), known.remove(&key)),
                }
                prop_assert_eq!(ours.get_mut(key), known.get_mut(&key));
                prop_assert_eq!(ours.is_empty(), known.is_empty());
            }
            prop_assert!(ours.into_values().rev().eq(known.into_values().rev()));
        }
    }
}
