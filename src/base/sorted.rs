//! A map for few entries, and for what is under way: keys that mostly come in rising order and go from
//! the front.

use crate::base::deque;
use std::collections::vec_deque::{self, VecDeque};

/// Entries in the order of their keys. With keys as they are handed out here (identifiers, tickets),
/// what comes is appended and what goes is near the front. A `BTreeMap` is 5 KB of code for each
/// pair of types, this 1 KB; and it keeps its room, so that it seldom allocates.
#[derive(Debug)]
pub struct Sorted<K, V>(VecDeque<(K, V)>);

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
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => deque::insert(&mut self.0, at, (key, value)),
        }
    }

    pub fn remove(&mut self, key: K) -> Option<V> {
        let at = self.place(key).ok()?;
        deque::take(&mut self.0, at).map(|(_, value)| value)
    }

    pub fn get(&self, key: K) -> Option<&V> {
        let at = self.place(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The value of a key; a new one if it had none.
    pub fn or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let at = match self.place(key) {
            Ok(at) => at,
            Err(at) => {
                deque::insert(&mut self.0, at, (key, new()));
                at
            }
        };
        &mut self.0[at].1
    }

    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (*key, value))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        Some(&mut self.0[at].1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl<K, V> IntoIterator for Sorted<K, V> {
    type Item = (K, V);
    type IntoIter = vec_deque::IntoIter<(K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
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
                let key = key.wrapping_add(1);
                let (one, other) = (ours.or_insert_with(key, || 7), known.entry(key).or_insert(7));
                prop_assert_eq!(one, other);
                prop_assert!(ours.iter().eq(known.iter().map(|(key, value)| (*key, value))));
            }
            prop_assert!(ours.into_values().rev().eq(known.into_values().rev()));
        }
    }
}
