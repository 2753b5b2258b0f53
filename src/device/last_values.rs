//! The last value of each topic, for who asks. Sans-io.

use crate::base::clock::Now;
use crate::mqtt::message::Message;
use crate::mqtt::topic::Topic;
use bytes::Bytes;

/// Most topics of a port whose last value is kept.
pub const MOST_TOPICS: usize = 256;

/// Most memory of a port's last values, in bytes of topics and payloads.
pub const MOST_BYTES: usize = 32 << 10;

/// Of a longer payload only so many bytes are kept.
pub const LONGEST: usize = 1024;

/// What a topic said last.
#[derive(Clone, Debug)]
pub struct LastValue {
    pub topic: Topic,
    /// The payload, cut to [`LONGEST`] bytes.
    pub payload: Bytes,
    /// Bytes of the whole payload.
    pub size: usize,
    /// Unit of the reading, if the message is of one reading that has a unit.
    pub unit: Option<Box<str>>,
    /// When it was read.
    pub at: Now,
}

/// The last values of a port, in the order in which their topics came up.
#[derive(Debug, Default)]
pub struct LastValues {
    values: Vec<LastValue>,
    /// Where the next message most likely belongs: a device says the same things in the same order.
    next: usize,
    bytes: usize,
}

impl LastValues {
    /// Notes what a message says. Beyond the bounds a new topic takes the place of the one that has
    /// been silent for longest.
    pub fn note(&mut self, message: &Message, unit: Option<&str>, at: Now) {
        let is_it = |value: &LastValue| value.topic == message.topic;
        let guess = self.values.get(self.next).filter(|value| is_it(value)).map(|_| self.next);
        let place = guess.or_else(|| self.values.iter().position(is_it));
        let payload = match message.payload.get(..LONGEST) {
            // The cut copy does not hold the whole payload in memory.
            Some(cut) if message.payload.len() > LONGEST => Bytes::copy_from_slice(cut),
            _ => message.payload.clone(),
        };
        let size = message.payload.len();
        self.bytes += payload.len();
        let place = match place {
            Some(place) => {
                let value = &mut self.values[place];
                self.bytes -= value.payload.len();
                (value.payload, value.size, value.at) = (payload, size, at);
                if value.unit.as_deref() != unit {
                    value.unit = unit.map(Into::into);
                }
                place
            }
            None => {
                if self.values.len() >= MOST_TOPICS {
                    self.forget_oldest();
                }
                let (topic, unit) = (message.topic.clone(), unit.map(Into::into));
                self.bytes += topic.len();
                self.values.push(LastValue { topic, payload, size, unit, at });
                self.values.len() - 1
            }
        };
        self.next = if place + 1 < self.values.len() { place + 1 } else { 0 };
        while self.bytes > MOST_BYTES {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let ages = self.values.iter().enumerate();
        let Some((oldest, _)) = ages.min_by_key(|(_, value)| value.at.mono) else { return };
        let gone = self.values.remove(oldest);
        self.bytes -= gone.topic.len() + gone.payload.len();
    }

    pub fn values(&self) -> &[LastValue] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn message(topic: &str, payload: impl Into<Bytes>) -> Message {
        Message::new(topic.parse().unwrap(), payload)
    }

    #[test]
    fn the_last_value_of_each_topic() {
        let (mut last, now) = (LastValues::default(), Now::read());
        for (topic, payload, unit) in
            [("a", "1", Some("C")), ("b", "2", None), ("a", "3", Some("F")), ("c", "4", None)]
        {
            last.note(&message(topic, payload), unit, now);
        }
        let all = last.values().iter();
        let all = all.map(|v| (v.topic.as_str(), &v.payload[..], v.unit.as_deref()));
        let expected: [(_, &[u8], _); 3] =
            [("a", b"3", Some("F")), ("b", b"2", None), ("c", b"4", None)];
        assert_eq!(all.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn new_topics_push_out_the_one_that_was_silent_for_longest() {
        let (mut last, start) = (LastValues::default(), Now::read());
        for n in 0..=MOST_TOPICS {
            let at = start.after(Duration::from_secs(n as u64));
            last.note(&message(&format!("t/{n}"), "x"), None, at);
        }
        assert_eq!(last.values().len(), MOST_TOPICS);
        assert_eq!(last.values()[0].topic.as_str(), "t/1");
    }

    #[test]
    fn memory_is_bounded_in_bytes_too() {
        let (mut last, start) = (LastValues::default(), Now::read());
        for n in 0..200 {
            let at = start.after(Duration::from_secs(n));
            last.note(&message(&format!("t/{n}"), vec![b'x'; 5000]), None, at);
        }
        let held: usize = last.values().iter().map(|v| v.topic.len() + v.payload.len()).sum();
        assert_eq!(held, last.bytes);
        assert!(held <= MOST_BYTES && held > MOST_BYTES - 2048);
        assert!(last.values().iter().all(|v| v.payload.len() == LONGEST && v.size == 5000));
    }
}
