//! Checks what the gateway says about itself, and its will.

use crate::base::path::Path;
use crate::config::load::Found;
use crate::config::{Config, Status, Switch};

pub(super) fn check(config: &Config, found: &mut Found<'_>) {
    if let Switch::On(status) = &config.status {
        if let Err(wrong) = Status::topic_of(&status.topic, &config.gateway) {
            found.built(&Path::from(["status", "topic"]), wrong);
        }
        for (key, word) in [("online", &status.online), ("offline", &status.offline)] {
            if word.0.is_empty() {
                let what = "an empty message deletes what the broker retains";
                found.add(["status", key], what, "write a word, or `status: off`");
            }
        }
        if status.online == status.offline {
            let what = "the same word as `online` tells nobody the difference";
            found.add(["status", "offline"], what, "choose another one");
        }
    }
    let Some(Switch::On(will)) = &config.broker.will else { return };
    match &will.topic {
        Some(topic) => {
            if let Err(wrong) = Status::topic_of(topic, &config.gateway) {
                found.built(&Path::from(["broker", "will", "topic"]), wrong);
            }
        }
        None if config.status.on().is_none() => found.add(
            ["broker", "will"],
            "the key `topic` is missing, and with `status: off` there is no other topic",
            "add one, or write `will: off`",
        ),
        None => {}
    }
}
