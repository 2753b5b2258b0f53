//! Who loses messages when the outbox or its journal is full.

use crate::outbox::settings::Drop;

/// The one rule that memory and disk both go by: whoever takes up most makes way. Half of a store
/// is shared out evenly among all who may send, and nobody takes that share away from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// What a sender loses that makes way for itself.
    pub(super) drop: Drop,
    /// How many may send: the ports and the gateway itself.
    pub(super) senders: usize,
}

/// What a sender takes up in a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// The number of the port, or 0: the gateway itself.
    pub(super) port: u16,
    pub(super) bytes: u64,
}

/// What makes way for a new message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MakesWay {
    /// What a port misses least of what it has there.
    Least(u16),
    /// The new message itself.
    New,
}

impl Policy {
    /// What makes way for a new message in a store of `store` bytes. Each port is in `usages` once
    /// at most, and so may be the sender of the new one.
    pub(super) fn makes_way(
        &self,
        new: Usage,
        store: u64,
        usages: impl Iterator<Item = Usage>,
    ) -> MakesWay {
        // Of several that take up as much, the sender itself.
        let mut largest = new;
        for Usage { port, bytes } in usages {
            let is_own = port == new.port;
            let bytes = if is_own { bytes + new.bytes } else { bytes };
            if bytes > largest.bytes || is_own && bytes == largest.bytes {
                largest = Usage { port, bytes };
            }
        }
        let share = store / 2 / self.senders as u64;
        let makes_way = match self.drop {
            _ if largest.port != new.port => largest.bytes > share,
            Drop::Oldest => true,
            Drop::Newest => false,
        };
        if makes_way { MakesWay::Least(largest.port) } else { MakesWay::New }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_makes_way_down_to_its_share() {
        let usage = |port, bytes| Usage { port, bytes };
        let [oldest, newest] = [Drop::Oldest, Drop::Newest].map(|drop| Policy { drop, senders: 2 });
        // A store of 100 bytes: a share has 25.
        for (new, ports, by_oldest, by_newest) in [
            (usage(1, 5), [80, 20], MakesWay::Least(1), MakesWay::New),
            (usage(2, 5), [80, 20], MakesWay::Least(1), MakesWay::Least(1)),
            // As large as the other with its new message.
            (usage(2, 5), [50, 45], MakesWay::Least(2), MakesWay::New),
            (usage(2, 5), [25, 10], MakesWay::New, MakesWay::New),
            (usage(2, 5), [26, 10], MakesWay::Least(1), MakesWay::Least(1)),
            // One that has nothing there yet.
            (usage(3, 5), [26, 10], MakesWay::Least(1), MakesWay::Least(1)),
        ] {
            let usages = || [usage(1, ports[0]), usage(2, ports[1])].into_iter();
            assert_eq!(oldest.makes_way(new, 100, usages()), by_oldest, "{new:?} {ports:?}");
            assert_eq!(newest.makes_way(new, 100, usages()), by_newest, "{new:?} {ports:?}");
        }
    }
}
