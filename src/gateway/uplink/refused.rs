//! What the log is told of messages that the broker does not take.

use crate::base::log::lasting::Lasting;
use crate::base::plain::cut;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::{Event, Suspected};
use crate::mqtt::topic::Topic;
use std::time::{Duration, Instant};

/// Topics that are logged one by one; more of them are summed up, for each port and reason.
const NAMED: usize = 10;

/// Characters of a topic that are shown.
const SHOWN: usize = 100;

/// A topic for the log. One may have 65,535 bytes.
fn shown(topic: &str) -> String {
    cut(topic, SHOWN)
}

#[derive(Debug, Default)]
pub(super) struct RefusedLog {
    named: Vec<Topic>,
    suspects: Vec<String>,
    /// Of each port and reason.
    more: Vec<((u16, Reason), Lasting)>,
    more_suspects: Lasting,
    put_off: Lasting,
}

impl RefusedLog {
    /// Logs an event, unless it was logged enough; `port` names the port of a number.
    pub(super) fn tell(&mut self, event: &Event, port: impl Fn(u16) -> String, now: Instant) {
        match event {
            Event::Refused { topic, reason, bytes, sender: number, links } => {
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
        let is_new = !self.named.contains(topic) && self.named.len() < NAMED;
        if is_new {
            self.named.push(topic.clone());
        }
        let topic = shown(topic.as_str());
        if is_new {
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
        let kind = (number, reason);
        let at = self.more.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.more.push((kind, Lasting::default()));
            self.more.len() - 1
        });
        if let Some(again) = self.more[at].1.occurred(now) {
            tracing::warn!(
                "more messages of {} are lost, the broker refuses them: {reason}; the last has \
                 {bytes} bytes and goes to {topic}{again}",
                port(number)
            );
        }
    }

    fn suspected(&mut self, what: &Suspected, now: Instant) {
        let (kind, place) = match what {
            Suspected::Message { topic, bytes } => {
                (format!("a message of {bytes} bytes to"), topic.as_str())
            }
            Suspected::Subscribe(filter) => ("the subscription to".into(), filter.as_str()),
            Suspected::Unsubscribe(filter) => ("the end of".into(), filter.as_str()),
        };
        let name = format!("{kind} {}", shown(place));
        let is_named = self.suspects.iter().any(|it| it == place);
        if !is_named && self.suspects.len() < NAMED {
            self.suspects.push(place.to_owned());
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
            let (topic, wait) = (shown(topic.as_str()), wait.as_millis());
            tracing::info!(
                "the broker does not take a message to {topic} now: {reason}; next try in {wait} \
                 ms{again}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Text(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Text {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a day of events leaves in the log.
    fn a_day(event: impl Fn(u64) -> Event) -> String {
        let text = Text::default();
        let writer = text.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(log, || {
            let (mut log, start) = (RefusedLog::default(), Instant::now());
            for n in 0..86_400 {
                let now = start + Duration::from_secs(n);
                log.tell(&event(n), |_| "meter".into(), now);
            }
        });
        String::from_utf8(std::mem::take(&mut *text.0.lock().unwrap())).unwrap()
    }

    fn refused(topic: String, links: u32) -> Event {
        let reason = Reason::NOT_AUTHORIZED;
        Event::Refused { topic: topic.parse().unwrap(), reason, bytes: 70, sender: 1, links }
    }

    #[test]
    fn a_day_of_refused_messages_fits_8_kb() {
        for (topics, links) in [(1, 0), (3, 7), (1_000_000, 0), (1_000_000, 7)] {
            let topic = |n| format!("a/{}/{}", n % topics, "x".repeat(500));
            let text = a_day(|n| refused(topic(n), links));
            let named = text.lines().filter(|line| line.contains(" a message of 70 bytes")).count();
            assert_eq!(named as u64, topics.min(10), "{text}");
            assert!(text.lines().count() <= 17 && text.len() < 8192, "{} {text}", text.len());
            assert!(text.contains("more messages of meter are lost"), "{text}");
        }
    }

    #[test]
    fn a_day_of_suspects_and_of_rests_fits_8_kb() {
        let topic = |n: u64| format!("a/{n}/{}", "x".repeat(500)).parse::<Topic>().unwrap();
        let text = a_day(|n| Event::Suspected(Suspected::Message { topic: topic(n), bytes: 600 }));
        assert!(text.lines().count() <= 17 && text.len() < 8192, "{} {text}", text.len());
        let (reason, wait) = (Reason::QUOTA_EXCEEDED, Duration::from_secs(1));
        let text = a_day(|n| Event::PutOff { topic: topic(n), reason, wait });
        assert!(text.lines().count() <= 7 && text.len() < 2048, "{} {text}", text.len());
    }
}
