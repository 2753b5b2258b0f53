//! Keeps account of what the simulated devices sent and what arrived at the subscriber.

use super::sensors::Expected;
use std::collections::{BTreeMap, VecDeque};

/// Expected and arrived messages, by topic.
#[derive(Debug, Default)]
pub struct Tally {
    topics: BTreeMap<String, Topic>,
    /// Messages that the devices' frames must become.
    pub expected: u64,
    /// Messages that arrived, each counted once.
    pub arrived: u64,
    /// Messages that came again, as QoS 1 may.
    pub repeated: u64,
    /// Messages that came before an older one of their topic.
    pub disordered: u64,
}

#[derive(Debug, Default)]
struct Topic {
    waiting: VecDeque<String>,
    last: Option<String>,
}

impl Tally {
    /// A device sends something that must become this message.
    pub fn expect(&mut self, (topic, payload): Expected) {
        self.topics.entry(topic).or_default().waiting.push_back(payload);
        self.expected += 1;
    }

    /// A message arrived. Returns whether it was one that is counted.
    pub fn arrive(&mut self, topic: &str, payload: &str) -> bool {
        let Some(topic) = self.topics.get_mut(topic) else { return false };
        let is_last = topic.last.as_deref() == Some(payload);
        match topic.waiting.iter().position(|waiting| waiting == payload) {
            Some(at) if at == 0 || !is_last => {
                self.disordered += u64::from(at > 0);
                topic.waiting.remove(at);
                topic.last = Some(payload.to_owned());
                self.arrived += 1;
            }
            _ => self.repeated += 1,
        }
        true
    }

    /// Messages that have not arrived yet.
    pub fn missing(&self) -> u64 {
        self.expected - self.arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_repetitions_and_disorder_are_told_apart() {
        let mut tally = Tally::default();
        for payload in ["1", "2", "3"] {
            tally.expect(("a".into(), payload.into()));
        }
        for payload in ["1", "1", "3", "2"] {
            assert!(tally.arrive("a", payload));
        }
        assert!(!tally.arrive("other", "1"));
        assert_eq!((tally.missing(), tally.repeated, tally.disordered), (0, 1, 1));
    }
}
