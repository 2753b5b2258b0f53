//! Is there another gateway of our name? Both would write over each other's status, and when one
//! ends, both seem to be gone.
//!
//! What each gateway says of its program has a mark of its client identifier in it, which no two
//! clients of a broker share. Each gateway subscribes to that topic; one that finds another mark
//! there publishes its own again, once, for the other one to find.

use crate::base::log::lasting::{Again, Lasting};
use crate::mqtt::topic::{Topic, TopicFilter};
use serde_json::Value;
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Namesakes {
    watch: Watch,
    seen: Lasting,
}

/// How far the subscription is.
#[derive(Debug, Default)]
enum Watch {
    /// Nothing was asked yet. The readings of a link go first: a broker that does not let us
    /// subscribe may end the link at it.
    #[default]
    NotYet,
    Asked(Topic),
    Granted(Topic),
    /// The broker lets nobody look here.
    GivenUp,
}

impl Namesakes {
    /// What to subscribe to now, if anything. `topic`: where the program's status is published.
    pub(super) fn ask(&mut self, topic: Option<Topic>) -> Option<TopicFilter> {
        let (Watch::NotYet, Some(topic)) = (&self.watch, topic) else { return None };
        let filter = topic.as_str().parse().ok()?;
        self.watch = Watch::Asked(topic);
        Some(filter)
    }

    /// The broker answered a subscription. Whether it was this one.
    pub(super) fn answered(&mut self, filter: &TopicFilter, is_granted: bool) -> bool {
        let (Watch::Asked(topic) | Watch::Granted(topic)) = &self.watch else { return false };
        let is_ours = topic.as_str() == filter.as_str();
        if is_ours {
            self.watch = if is_granted { Watch::Granted(topic.clone()) } else { Watch::GivenUp };
        }
        is_ours
    }

    /// The link is gone. Some brokers end it where we may not subscribe, so what was not answered
    /// is not asked again: this filter is wanted no more.
    pub(super) fn link_lost(&mut self) -> Option<TopicFilter> {
        let Watch::Asked(topic) = &self.watch else { return None };
        let filter = topic.as_str().parse().ok();
        self.watch = Watch::GivenUp;
        filter
    }

    /// Starts over, because the topics or the link changed. Returns the filter to unsubscribe from.
    pub(super) fn begin_again(&mut self) -> Option<TopicFilter> {
        match std::mem::take(&mut self.watch) {
            Watch::Asked(topic) | Watch::Granted(topic) => topic.as_str().parse().ok(),
            Watch::NotYet | Watch::GivenUp => None,
        }
    }

    /// A message came. `Some`: it is by another gateway, and the log is to be told.
    pub(super) fn hear(
        &mut self,
        topic: &Topic,
        payload: &[u8],
        our_mark: &str,
        now: Instant,
    ) -> Option<Again> {
        let Watch::Granted(watched) = &self.watch else { return None };
        if topic != watched {
            return None;
        }
        let Ok(Value::Object(program)) = serde_json::from_slice(payload) else { return None };
        let is_another = program.get("instance").is_some_and(|mark| mark != our_mark);
        if is_another { self.seen.occurred(now) } else { None }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        "g/status/program".parse().unwrap()
    }

    fn watching() -> Namesakes {
        let mut namesakes = Namesakes::default();
        let filter = namesakes.ask(Some(topic())).unwrap();
        assert!(namesakes.ask(Some(topic())).is_none(), "twice");
        assert!(namesakes.answered(&filter, true));
        namesakes
    }

    #[test]
    fn another_one_is_told_once_and_what_is_ours_never() {
        let (mut namesakes, now) = (watching(), Instant::now());
        let mut hear =
            |payload: &str| namesakes.hear(&topic(), payload.as_bytes(), "aa", now).is_some();
        assert!(!hear(r#"{"instance":"aa"}"#));
        assert!(!hear("what no gateway says"));
        assert!(!hear(r#"{"version":"0.1.0"}"#));
        assert!(hear(r#"{"instance":"bb"}"#));
        assert!(!hear(r#"{"instance":"bb"}"#));
    }

    #[test]
    fn what_ends_the_link_or_is_refused_is_not_asked_again() {
        let mut namesakes = Namesakes::default();
        let filter = namesakes.ask(Some(topic())).unwrap();
        assert_eq!(namesakes.link_lost(), Some(filter.clone()));
        assert!(namesakes.ask(Some(topic())).is_none());
        let mut namesakes = Namesakes::default();
        namesakes.ask(Some(topic())).unwrap();
        assert!(namesakes.answered(&filter, false));
        assert!(namesakes.ask(Some(topic())).is_none());
        // What was granted is asked by the session itself on each link.
        let mut namesakes = watching();
        assert_eq!(namesakes.link_lost(), None);
        assert!(namesakes.ask(Some(topic())).is_none());
        assert_eq!(namesakes.begin_again(), Some(filter));
        assert!(namesakes.ask(Some(topic())).is_some());
        assert!(Namesakes::default().ask(None).is_none());
    }
}
