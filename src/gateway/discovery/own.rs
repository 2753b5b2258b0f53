//! The gateway as a device of Home Assistant: what its status topics say of it.

use super::component::{Component, Keys};
use crate::gateway::topics::Topics;
use serde_json::{Value, json};

/// What of the gateway itself is announced; `ports` are the names of its ports.
pub(super) fn components<'a>(
    topics: &Topics,
    id: &str,
    ports: impl Iterator<Item = &'a str>,
) -> Vec<Component> {
    let Some(presence) = topics.words() else { return Vec::new() };
    let status = presence.topic.as_str();
    let diagnostic = |keys: Keys| keys.text("ent_cat", "diagnostic");
    let connection = Keys::default()
        .text("name", "Connection")
        .text("stat_t", status)
        .text("pl_on", presence.online)
        .text("pl_off", presence.offline)
        .text("dev_cla", "connectivity");
    let mut all = vec![Component::new("connection", "binary_sensor", id, diagnostic(connection))];
    if topics.seen_program().is_none() {
        return all;
    }
    let while_online = json!([availability(status, presence.online, presence.offline)]);
    let mut add = |key: &str, name: &str, topic: &str, value: &str, more: Keys| {
        let keys = Keys::default()
            .text("name", name)
            .text("stat_t", topic)
            .text("val_tpl", format!("{{{{ {value} }}}}"))
            .value("avty", while_online.clone());
        let Value::Object(more) = more.into_value() else { return };
        let keys = more.into_iter().fold(keys, |keys, (key, value)| keys.value(&key, value));
        all.push(Component::new(key, "sensor", id, diagnostic(keys)));
    };
    let program = topics.program();
    let counter = || Keys::default().text("stat_cla", "total_increasing").whole("sug_dsp_prc", 0);
    add("version", "Version", program.as_str(), "value_json['version']", Keys::default());
    // A clock that is not set has no time to show.
    let started = "'None' if ' ' in value_json['started'] else value_json['started']";
    let moment = Keys::default().text("dev_cla", "timestamp");
    add("started", "Started", program.as_str(), started, moment);
    let crashes = "value_json['unexpected_ends']['count']";
    let now = Keys::default().text("stat_cla", "measurement").whole("sug_dsp_prc", 0);
    add("unexpected_ends", "Unexpected ends", program.as_str(), crashes, now.clone());
    let broker = topics.broker();
    for (key, name, value) in [
        ("dropped", "Messages dropped", "value_json['dropped']"),
        ("refused", "Messages refused", "value_json['refused']"),
        ("connects", "Connections to the broker", "value_json['connects']"),
    ] {
        add(key, name, broker.as_str(), value, counter());
    }
    let waiting = "value_json['outbox']['messages']";
    add("waiting", "Messages waiting", broker.as_str(), waiting, now);
    for port in ports {
        let Ok(name) = port.parse() else { continue };
        let words = ["open", "silent", "away", "stopped"].map(Value::from).to_vec();
        let state = Keys::default().text("dev_cla", "enum").value("ops", words.into());
        let key = super::names::key(&format!("port_{}", super::names::slug(port)));
        let topic = topics.port(&name);
        add(&key, &format!("Port {port}"), topic.as_str(), "value_json['state']", state);
    }
    all
}

/// An entry of a list of topics that say whether something is there.
pub(super) fn availability(topic: &str, online: &str, offline: &str) -> Value {
    let mut keys = Keys::default().text("t", topic);
    // What Home Assistant takes anyway needs no words.
    if (online, offline) != ("online", "offline") {
        keys = keys.text("pl_avail", online).text("pl_not_avail", offline);
    }
    keys.into_value()
}
