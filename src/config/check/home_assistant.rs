//! Checks how devices are announced to Home Assistant.

use crate::base::path::Path;
use crate::config::load::Found;
use crate::config::{Config, Switch};
use crate::mqtt::topic::Topic;

/// The most bytes of a topic, to which names of devices are added.
const LONGEST: usize = 1024;

pub(super) fn check(config: &Config, found: &mut Found<'_>) {
    let Some(Switch::On(settings)) = &config.home_assistant else { return };
    let birth = settings.birth.on().map(|birth| (&["birth", "topic"][..], &birth.topic));
    for (keys, text) in [(&["prefix"][..], &settings.prefix)].into_iter().chain(birth) {
        let path = keys.iter().fold(Path::from(["home_assistant"]), |path, key| path.key(key));
        match text.0.parse::<Topic>() {
            Err(error) => found.built(&path, error.into()),
            Ok(topic) if topic.len() > LONGEST => {
                found.add(path, format!("longer than {LONGEST} bytes"), "shorten it");
            }
            Ok(_) => {}
        }
    }
    for (device, said) in &settings.devices {
        let Switch::On(said) = said else { continue };
        for (field, said) in &said.fields {
            let Switch::On(said) = said else { continue };
            let icon = said.icon.as_ref().map(|icon| icon.0.as_str()).unwrap_or("mdi:x");
            if icon.split_once(':').is_none_or(|(set, name)| set.is_empty() || name.is_empty()) {
                let path = ["home_assistant", "devices", device, "fields", field, "icon"];
                let what = "Home Assistant would refuse this icon";
                found.add(Path::from(path), what, "write one such as `mdi:flash`");
            }
        }
    }
}
