//! What the log is told of messages that the broker does not take.

use crate::log::lasting::Lasting;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::{Event, Suspected};
use crate::mqtt::topic::Topic;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many topics are named one by one; of more there is a word now and then, for each port and
/// reason.
const NAMED: usize = 10;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct RefusedLog {
    named: Vec<Topic>,
    suspects: Vec<String>,
    more: BTreeMap<(u16, u8), Lasting>,
    more_suspects: Lasting,
    put_off: Lasting,
}

impl RefusedLog {
    /// Says of an event what is to be said; `port` names the port of a number.
    pub(super) fn tell(&mut self, event: &Event, port: impl Fn(u16) -> String, now: Instant) {
        match event {
            Event::Refused { topic, reason, bytes, port: number, links } => {
                self.refused(topic, (*reason, *links), *bytes, (*number, &port), now);
            }
            Event::Suspected(what) => self.suspected(what, now),
            Event::PutOff { topic, reason, wait } => self.put_off(topic, *reason, *wait, now),
            _ => {}
        }
    }

    fn refused(
        &mut self,
        topic: &Topic,
        (reason, links): (Reason, u32),
        bytes: usize,
        (number, port): (u16, &dyn Fn(u16) -> String),
        now: Instant,
    ) {
        if !self.named.contains(topic) && self.named.len() < NAMED {
            self.named.push(topic.clone());
            if links > 0 {
                return tracing::error!(
                    "a message of {bytes} bytes to {topic} is lost: the broker ended {links} links at \
                     it ({reason}), and takes others; may we publish there, and is it not too large?"
                );
            }
            return tracing::warn!(
                "a message of {bytes} bytes to {topic} is lost, the broker refuses it: {reason}"
            );
        }
        let fault = self.more.entry((number, reason.code())).or_default();
        if let Some(again) = fault.occurred(now) {
            tracing::warn!(
                "more messages of {} are lost, the broker refuses them: {reason}; the last has \
                 {bytes} bytes and goes to {topic}{again}",
                port(number)
            );
        }
    }

    fn suspected(&mut self, what: &Suspected, now: Instant) {
        let name = match what {
            Suspected::Message { topic, bytes } => format!("a message of {bytes} bytes to {topic}"),
            Suspected::Subscribe(filter) => format!("the subscription to {}", filter.as_str()),
            Suspected::Unsubscribe(filter) => format!("the end of {}", filter.as_str()),
        };
        let known = match what {
            Suspected::Message { topic, .. } => topic.as_str(),
            Suspected::Subscribe(filter) | Suspected::Unsubscribe(filter) => filter.as_str(),
        };
        let is_named = self.suspects.iter().any(|it| it == known);
        if !is_named && self.suspects.len() < NAMED {
            self.suspects.push(known.to_owned());
            return tracing::warn!(
                "links end at {name}; the others go on, and it is tried by itself"
            );
        }
        if let Some(again) = self.more_suspects.occurred(now) {
            tracing::warn!("links end at more that is ours, the last at {name}{again}");
        }
    }

    fn put_off(&mut self, topic: &Topic, reason: Reason, wait: Duration, now: Instant) {
        if let Some(again) = self.put_off.occurred(now) {
            let wait = wait.as_millis();
            tracing::info!(
                "the broker does not take a message to {topic} now: {reason}; next try in {wait} \
                 ms{again}"
            );
        }
    }
}
