//! What the gateway says about itself, and its will.

use crate::config::{Config, Status, Switch};

pub(super) fn check(config: &Config, mut add: impl FnMut(&str, &str)) {
    if let Switch::On(status) = &config.status {
        if let Err(why) = Status::topic_of(&status.topic, &config.gateway) {
            add("status.topic", &why.to_string());
        }
        for (key, word) in [("online", &status.online), ("offline", &status.offline)] {
            if word.0.is_empty() {
                let what = "an empty message says nothing, and deletes what the broker keeps; \
                            write a word, or `status: off`";
                add(&format!("status.{key}"), what);
            }
        }
        if status.online == status.offline {
            let what = "the same word as `online`, so that nobody can tell; choose another one";
            add("status.offline", what);
        }
    }
    let Some(Switch::On(will)) = &config.broker.will else { return };
    match &will.topic {
        Some(topic) => {
            if let Err(why) = Status::topic_of(topic, &config.gateway) {
                add("broker.will.topic", &why.to_string());
            }
        }
        None if config.status.on().is_none() => {
            let what = "the key `topic` is missing, and with `status: off` there is no other; add \
                        one, or write `will: off`";
            add("broker.will", what);
        }
        None => {}
    }
}
