//! Topics, topic filters and QoS: they parse themselves, an invalid one cannot be built.
//! MQTT 3.1.1 section 4.7.

use crate::base::path::BuildError;
use crate::base::plain::is_unfit;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::str::FromStr;

/// The longest topic or filter in bytes (MQTT 3.1.1, 4.7.3).
const MAX_LEN: usize = 65_535;

/// Why a text is not a valid topic, topic filter or QoS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// A topic has at least one character.
    Empty,
    /// Longer than 65,535 bytes.
    TooLong(usize),
    /// The character U+0000.
    Nul(usize),
    /// `+` or `#` in a topic that messages are published to.
    Wildcard {
        /// The topic.
        text: String,
        /// Where the wildcard stands, counted from 0.
        at: usize,
    },
    /// `#` that is not the whole last level, or `+` that is not a whole level.
    Misplaced(String),
    /// `$share/` without a name or without a filter.
    Share(String),
    /// A character that a broker may end the link at (MQTT 5.0, 1.5.4).
    Unfit {
        /// The topic or filter.
        text: String,
        /// The character.
        what: char,
        /// Where it stands, counted from 0.
        at: usize,
    },
    /// A QoS other than 0, 1 and 2.
    Qos(u64),
}

impl From<TopicError> for BuildError {
    fn from(error: TopicError) -> BuildError {
        let new = |what: String| BuildError::new(what);
        match error {
            TopicError::Empty => new("a topic must not be empty".into()),
            TopicError::TooLong(bytes) => {
                new(format!("a topic has at most 65535 bytes, this one has {bytes}"))
            }
            TopicError::Nul(at) => new(format!("a topic must not contain NUL (at byte {at})")),
            TopicError::Misplaced(text) => new(format!(
                "{text:?} has a misplaced wildcard: `+` must be a whole level, `#` the whole last one"
            )),
            TopicError::Wildcard { text, at } => {
                new(format!("{text:?} has a wildcard at byte {at}"))
                    .remedy("wildcards are for subscriptions")
            }
            TopicError::Share(text) => new(format!("{text:?} is not a valid shared subscription"))
                .remedy("write $share/NAME/FILTER"),
            TopicError::Unfit { text, what, at } => {
                new(format!("{text:?} has U+{:04X} at byte {at}", u32::from(what)))
                    .remedy("brokers may refuse it, leave it out")
            }
            TopicError::Qos(qos) => new(format!("there is no QoS {qos}")).remedy("write 0, 1 or 2"),
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BuildError::from(self.clone()).fmt(f)
    }
}

impl std::error::Error for TopicError {}

/// A topic that messages are published to: not empty, no wildcards, no NUL, at most 65,535 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Bytes);

impl Topic {
    /// The topic as text.
    pub fn as_str(&self) -> &str {
        // A Topic is built from a `str` only, so this never falls back.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The topic as it stands in packets.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A topic that was put together of parts which were checked before: only its length is looked
    /// at. `None` if it is empty or too long.
    pub(crate) fn from_checked(bytes: Bytes) -> Option<Topic> {
        debug_assert!(Topic::from_utf8(bytes.clone()).is_ok() || bytes.len() > MAX_LEN);
        (1..=MAX_LEN).contains(&bytes.len()).then_some(Topic(bytes))
    }

    /// Checks UTF-8 bytes that are already shared, without copying them.
    pub fn from_utf8(bytes: Bytes) -> Result<Topic, TopicError> {
        let text = std::str::from_utf8(&bytes).unwrap_or("\0");
        check_common(text)?;
        // Each message is checked, and bytes are searched much faster than characters.
        if let Some(at) = text.bytes().position(|byte| matches!(byte, b'+' | b'#')) {
            return Err(TopicError::Wildcard { text: text.into(), at });
        }
        Ok(Topic(bytes))
    }
}

impl FromStr for Topic {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Topic, TopicError> {
        Topic::from_utf8(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

fn check_common(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > MAX_LEN {
        return Err(TopicError::TooLong(text.len()));
    }
    match text.bytes().position(|byte| byte == 0) {
        Some(at) => Err(TopicError::Nul(at)),
        None => Ok(()),
    }
}

/// Checks a topic or filter of ours for characters that a broker may refuse. What others publish
/// is taken with such, because MQTT lets them.
///
/// # Errors
/// [`TopicError::Unfit`] names the first of them.
pub fn check_fit(text: &str) -> Result<(), TopicError> {
    match text.char_indices().find(|(_, c)| is_unfit(*c)) {
        Some((at, what)) => Err(TopicError::Unfit { text: text.into(), what, at }),
        None => Ok(()),
    }
}

/// What a filter begins with whose messages are shared out among several subscribers.
const SHARED: &str = "$share/";

/// A topic filter of a subscription, with `+` for one level and `#` for all that follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter(String);

impl TopicFilter {
    /// The filter as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the messages are shared out among several subscribers (MQTT 5.0, 4.8.2).
    pub fn is_shared(&self) -> bool {
        self.0.starts_with(SHARED)
    }

    /// The filter without the name of a share.
    fn unshared(&self) -> &str {
        let shared = self.0.strip_prefix(SHARED).and_then(|rest| rest.split_once('/'));
        shared.map_or(&self.0, |(_, filter)| filter)
    }

    /// Whether a topic is matched (MQTT 3.1.1, 4.7.1 and 4.7.2: wildcards at the start do not
    /// match topics that begin with `$`).
    pub fn matches(&self, topic: &str) -> bool {
        let filter = self.unshared();
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split('/');
        for wanted in filter.split('/') {
            if wanted == "#" {
                return true;
            }
            match levels.next() {
                Some(level) if wanted == "+" || wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

impl FromStr for TopicFilter {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<TopicFilter, TopicError> {
        check_common(text)?;
        if let Some(rest) = text.strip_prefix(SHARED) {
            match rest.split_once('/') {
                Some((name, filter))
                    if !name.is_empty() && !name.contains(['+', '#']) && !filter.is_empty() => {}
                _ => return Err(TopicError::Share(text.into())),
            }
        }
        let last = text.split('/').count() - 1;
        for (n, level) in text.split('/').enumerate() {
            let wild = level.contains(['+', '#']);
            if wild && !(level == "+" || level == "#" && n == last) {
                return Err(TopicError::Misplaced(text.into()));
            }
        }
        Ok(TopicFilter(text.into()))
    }
}

impl<'de> Deserialize<'de> for TopicFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TopicFilter, D::Error> {
        let text = String::deserialize(deserializer)?;
        check_fit(&text).map_err(de::Error::custom)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Delivery guarantee of a message (MQTT 3.1.1, 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// 0: sent once, not acknowledged.
    AtMostOnce,
    /// 1: sent until acknowledged.
    #[default]
    AtLeastOnce,
    /// 2: sent until acknowledged, and delivered once.
    ExactlyOnce,
}

impl Qos {
    /// The two bits on the wire.
    pub fn bits(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u64> for Qos {
    type Error = TopicError;
    fn try_from(number: u64) -> Result<Qos, TopicError> {
        match number {
            0 => Ok(Qos::AtMostOnce),
            1 => Ok(Qos::AtLeastOnce),
            2 => Ok(Qos::ExactlyOnce),
            other => Err(TopicError::Qos(other)),
        }
    }
}

impl<'de> Deserialize<'de> for Qos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Qos, D::Error> {
        Qos::try_from(u64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

crate::base::scalar::word_schema!(Qos: {"enum": [0, 1, 2]});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_no_wildcard_and_no_nul() {
        assert_eq!(Topic::from_str("a/b").map(|t| t.to_string()), Ok("a/b".into()));
        assert_eq!(
            Topic::from_str("a/+/b"),
            Err(TopicError::Wildcard { text: "a/+/b".into(), at: 2 })
        );
        assert_eq!(Topic::from_str("a\0"), Err(TopicError::Nul(1)));
        assert_eq!(Topic::from_str(""), Err(TopicError::Empty));
        assert_eq!(Topic::from_str(&"x".repeat(65_536)), Err(TopicError::TooLong(65_536)));
    }

    #[test]
    fn characters_that_a_broker_may_refuse_are_named() {
        for (c, fits) in [
            ('\u{1F}', false),
            (' ', true),
            ('\u{7F}', false),
            ('\u{80}', false),
            ('\u{9F}', false),
            ('\u{A0}', true),
            ('\u{2028}', true),
            ('\u{FDCF}', true),
            ('\u{FDD0}', false),
            ('\u{FDEF}', false),
            ('\u{FDF0}', true),
            ('\u{FFFD}', true),
            ('\u{FFFE}', false),
            ('\u{FFFF}', false),
            ('\u{1FFFE}', false),
            ('\u{10FFFD}', true),
            ('\u{10FFFF}', false),
        ] {
            assert_eq!(check_fit(&format!("a/{c}")).is_ok(), fits, "{c:?}");
        }
        let error = check_fit("a/\u{85}").unwrap_err().to_string();
        assert!(error.contains("U+0085 at byte 2"), "{error}");
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$share/group/a/+", "a/b", true),
            ("$share/group/#", "$SYS/x", false),
        ] {
            let parsed: TopicFilter = filter.parse().unwrap();
            assert_eq!(parsed.matches(topic), expected, "{filter} {topic}");
        }
        for bad in
            ["a/#/b", "a#", "a/b+", "", "+x/y", "$share/x", "$share//a", "$share/+/a", "$share/a/"]
        {
            assert!(bad.parse::<TopicFilter>().is_err(), "{bad}");
        }
    }
}
