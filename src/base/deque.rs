//! Into and out of the middle of a queue, for queues where that is mostly near an end.

use std::collections::VecDeque;

// `VecDeque`'s own `remove` and `insert` are 1.2 KB of code for each type of entry, these 0.4 KB. They
// take one step for each entry between the place and the nearer end.

/// Takes the entry at a place.
pub fn take<T>(queue: &mut VecDeque<T>, at: usize) -> Option<T> {
    let behind = queue.len().checked_sub(at)?.checked_sub(1)?;
    if at <= behind {
        (0..at).rev().for_each(|n| queue.swap(n, n + 1));
        return queue.pop_front();
    }
    (at..at + behind).for_each(|n| queue.swap(n, n + 1));
    queue.pop_back()
}

/// Puts an entry before the one at a place, or behind the last.
pub fn insert<T>(queue: &mut VecDeque<T>, at: usize, entry: T) {
    queue.push_back(entry);
    (at..queue.len() - 1).rev().for_each(|n| queue.swap(n, n + 1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn like_those_of_the_standard_library(steps: Vec<(bool, u8, u16)>) {
            let (mut ours, mut known) = (VecDeque::new(), VecDeque::new());
            for (insertion, at, entry) in steps {
                let at = usize::from(at % 16);
                if insertion {
                    insert(&mut ours, at, entry);
                    known.insert(at.min(known.len()), entry);
                } else {
                    prop_assert_eq!(take(&mut ours, at), known.remove(at));
                }
                prop_assert_eq!(&ours, &known);
            }
        }
    }
}
