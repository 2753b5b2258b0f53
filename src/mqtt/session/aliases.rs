//! Topic aliases of our own messages (MQTT 5.0, 3.3.2.3.4).

use crate::mqtt::topic::Topic;
use std::collections::BTreeMap;

/// Upper bound of topics with an alias. A gateway has few topics; more aliases would only take
/// memory.
const MOST: u16 = 256;

/// The topics that the broker knows by an alias, on this link.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    known: BTreeMap<Topic, u16>,
    maximum: u16,
}

impl Aliases {
    /// Begins a new link, on which the broker accepts aliases up to `maximum`.
    pub(super) fn start(&mut self, maximum: u16) {
        self.known.clear();
        self.maximum = maximum.min(MOST);
    }

    /// The alias for a topic, and whether the broker knows it already.
    pub(super) fn of(&mut self, topic: &Topic) -> Option<(u16, bool)> {
        if self.maximum == 0 {
            return None;
        }
        if let Some(alias) = self.known.get(topic) {
            return Some((*alias, true));
        }
        // At most 256 of them.
        let next = self.known.len() as u16 + 1;
        if next > self.maximum {
            return None;
        }
        self.known.insert(topic.clone(), next);
        Some((next, false))
    }
}
