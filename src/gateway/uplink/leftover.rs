//! What an earlier configuration left subscribed in a session that the broker kept. Nobody knows
//! its filters any more, but those that can match a topic are few.

use crate::mqtt::topic::{Topic, TopicFilter};

/// Topics with more levels are ignored: each level doubles the number of filters.
const LEVELS: usize = 6;

/// Number of topics that are tried; messages to others are ignored.
const MOST: usize = 16;

/// The topics whose subscriptions were ended.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Vec<Topic>);

impl Leftovers {
    /// A message came that nobody wants. Returns the filters to unsubscribe from: all that match its
    /// topic, except those that are `wanted`; none if the topic was tried before.
    pub(super) fn end<'a>(
        &mut self,
        topic: &Topic,
        wanted: impl Iterator<Item = &'a TopicFilter> + Clone,
    ) -> Vec<TopicFilter> {
        if self.0.len() >= MOST || self.0.contains(topic) {
            return Vec::new();
        }
        self.0.push(topic.clone());
        let mut filters = filters_of(topic.as_str());
        filters.retain(|filter| !wanted.clone().any(|it| it == filter));
        filters
    }
}

/// All filters that match a topic.
fn filters_of(topic: &str) -> Vec<TopicFilter> {
    let levels: Vec<_> = topic.split('/').collect();
    if levels.len() > LEVELS {
        return Vec::new();
    }
    // Each level as it is or as `+`, and behind any number of them `#`.
    let mut starts = vec![String::new()];
    let mut filters = vec!["#".to_owned()];
    for (n, level) in levels.iter().enumerate() {
        let slash = if n > 0 { "/" } else { "" };
        let with = |start: &String| [level, "+"].map(|it| format!("{start}{slash}{it}"));
        starts = starts.iter().flat_map(with).collect();
        filters.extend(starts.iter().map(|start| format!("{start}/#")));
    }
    filters.extend(starts);
    let filters = filters.iter().filter_map(|filter| filter.parse::<TopicFilter>().ok());
    filters.filter(|filter| filter.matches(topic)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_that_matches_is_among_them_and_no_other() {
        let filters = filters_of("a/b");
        let mut texts: Vec<_> = filters.iter().map(TopicFilter::as_str).collect();
        texts.sort_unstable();
        let expected =
            ["#", "+/#", "+/+", "+/+/#", "+/b", "+/b/#", "a/#", "a/+", "a/+/#", "a/b", "a/b/#"];
        assert_eq!(texts, expected);
        for topic in ["a", "a/b/c", "/", "a//b", "$SYS/x", "a/b/c/d/e/f"] {
            let filters = filters_of(topic);
            assert!(!filters.is_empty() && filters.iter().all(|it| it.matches(topic)), "{topic}");
        }
        assert!(filters_of("a/b/c/d/e/f/g").is_empty());
    }

    #[test]
    fn what_is_wanted_stays_and_nothing_is_tried_twice() {
        let mut leftovers = Leftovers::default();
        let wanted: [TopicFilter; 1] = ["+/b".parse().unwrap()];
        let topic = "a/b".parse().unwrap();
        let filters = leftovers.end(&topic, wanted.iter());
        assert!(filters.len() == 10 && !filters.contains(&wanted[0]));
        assert!(leftovers.end(&topic, wanted.iter()).is_empty());
        for n in 0..100 {
            leftovers.end(&format!("{n}").parse().unwrap(), wanted.iter());
        }
        assert_eq!(leftovers.0.len(), MOST);
    }
}
