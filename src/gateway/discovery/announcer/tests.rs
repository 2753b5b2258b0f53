use super::super::component::{Component, Keys, State};
use super::*;
use crate::mqtt::topic::TopicFilter;
use std::sync::Arc;

/// An announcement of devices, each with its components: key and platform.
fn announcement(devices: &[(&str, &[(&str, &str)])]) -> Announcement {
    let devices = devices.iter().map(|(slug, components)| {
        let components = components.iter().map(|(key, platform)| {
            let state = Some(State { topic: topic(&format!("gw/{slug}/{key}")), expires: None });
            Arc::new(Component { state, ..Component::new(key, platform, slug, Keys::default()) })
        });
        super::super::Announced {
            slug: (*slug).into(),
            root: "{\"dev\":1".into(),
            components: components.collect(),
            is_open: false,
        }
    });
    Announcement {
        base: "ha/device/gw".into(),
        birth: Some((topic("ha/status"), Bytes::from_static(b"online"))),
        devices: devices.collect(),
        open: Vec::new(),
        settings: Default::default(),
        origin: Value::Null,
        gateway: None,
    }
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

struct Play {
    announcer: Announcer,
    now: Instant,
}

impl Play {
    fn new(announcement: Announcement) -> Play {
        let now = Instant::now();
        let mut announcer = Announcer::default();
        announcer.update(Some(announcement), now);
        Play { announcer, now }
    }

    fn connect(&mut self) {
        self.announcer.connected(None, self.now);
        let own: TopicFilter = "ha/device/gw/+/config".parse().unwrap();
        self.announcer.subscribed(own.as_str(), self.now);
    }

    fn hear(&mut self, level: &str, payload: &str, retain: bool) -> Heard {
        let topic = topic(&format!("ha/device/gw/{level}/config"));
        self.announcer.hear(&topic, payload.as_bytes(), retain, self.now)
    }

    /// What is published within a time: when, in milliseconds, topic and payload.
    fn messages(&mut self, within: Duration) -> Vec<(u128, String, String)> {
        let (start, mut all) = (self.now, Vec::new());
        while let Some(due) = self.announcer.deadline().filter(|due| *due <= start + within) {
            self.now = self.now.max(due);
            for message in self.announcer.messages(self.now) {
                let short =
                    message.topic.as_str().replace("ha/device/gw/", "").replace("/config", "");
                let payload = String::from_utf8(message.payload.to_vec()).unwrap();
                all.push(((self.now - start).as_millis(), short, payload));
            }
        }
        self.now = start + within;
        all
    }

    /// Only topics.
    fn topics(&mut self, within: Duration) -> Vec<String> {
        self.messages(within).into_iter().map(|(_, topic, _)| topic).collect()
    }
}

#[test]
fn each_device_is_announced_at_each_connect_one_after_the_other() {
    let mut play = Play::new(announcement(&[("a", &[("x", "sensor")]), ("b", &[("y", "switch")])]));
    assert!(play.messages(SECOND).is_empty());
    play.connect();
    let all = play.messages(SECOND);
    let whole = "{\"dev\":1,\"cmps\":{\"x\":{\"p\":\"sensor\",\"uniq_id\":\"a--x\"}}}";
    assert_eq!(all[0], (200, "a".into(), whole.into()));
    assert_eq!((all[1].0, all[1].1.as_str(), all.len()), (225, "b", 2));
    assert!(play.messages(SECOND * 60).is_empty());
    play.announcer.link_lost();
    play.connect();
    assert_eq!(play.topics(SECOND), ["a", "b"]);
}

#[test]
fn without_an_answer_to_the_subscription_it_begins_all_the_same() {
    let mut play = Play::new(announcement(&[("a", &[("x", "sensor")])]));
    play.announcer.connected(None, play.now);
    assert_eq!(play.messages(SECOND * 10)[0].0, PATIENCE.as_millis());
}

#[test]
fn what_an_earlier_run_announced_is_cleared() {
    let mut play = Play::new(announcement(&[("a", &[("x", "sensor"), ("y", "sensor")])]));
    play.connect();
    let old = "{\"dev\":1,\"cmps\":{\"x\":{\"p\":\"switch\"},\"gone\":{\"p\":\"sensor\"},\"y\":{\"p\":\"sensor\"}}}";
    assert_eq!(play.hear("a", old, true), Heard::Own);
    assert_eq!(play.hear("b", old, true), Heard::Own);
    let all = play.messages(SECOND * 4);
    let times: Vec<_> = all.iter().map(|(at, topic, _)| (*at, topic.as_str())).collect();
    assert_eq!(times, [(200, "a"), (225, "b"), (2200, "a")]);
    let first: Value = serde_json::from_str(&all[0].2).unwrap();
    let expected = serde_json::json!({
        "gone": {"p": "sensor"}, "x": {"p": "switch"}, "y": {"p": "sensor", "uniq_id": "a--y"},
    });
    assert_eq!(first["cmps"], expected);
    assert_eq!(all[1].2, "");
    let last: Value = serde_json::from_str(&all[2].2).unwrap();
    assert_eq!(last["cmps"].as_object().unwrap().len(), 2);
    assert_eq!(last["cmps"]["x"]["p"], "sensor");
    // The echo of our own empty message is nobody's deletion.
    assert_eq!(play.hear("b", "", false), Heard::Own);
    play.announcer.link_lost();
    play.connect();
    assert_eq!(play.topics(SECOND * 4), ["a"]);
}

#[test]
fn a_reload_says_what_is_new_and_clears_what_is_gone() {
    let mut play = Play::new(announcement(&[
        ("a", &[("x", "sensor"), ("y", "sensor")]),
        ("b", &[("x", "sensor")]),
        ("c", &[("x", "sensor")]),
    ]));
    play.connect();
    play.messages(SECOND);
    let new = announcement(&[
        ("a", &[("x", "sensor")]),
        ("c", &[("x", "sensor")]),
        ("d", &[("x", "sensor")]),
    ]);
    play.announcer.update(Some(new), play.now);
    let all = play.messages(SECOND * 6);
    let shown: Vec<_> =
        all.iter().map(|(_, topic, payload)| (topic.as_str(), payload.is_empty())).collect();
    assert_eq!(shown, [("d", false), ("a", false), ("b", true), ("a", false)]);
    assert!(all[1].2.contains("\"y\":{\"p\":\"sensor\"}}"), "{}", all[1].2);
    assert!(!all[3].2.contains("\"y\""));
    play.announcer.update(None, play.now);
    let all = play.messages(SECOND * 6);
    assert!(all.len() == 3 && all.iter().all(|(_, _, payload)| payload.is_empty()), "{all:?}");
}

#[test]
fn what_a_user_deletes_stays_away_until_the_next_reload() {
    let same = || announcement(&[("a", &[("x", "sensor")]), ("b", &[("x", "sensor")])]);
    let mut play = Play::new(same());
    play.connect();
    play.messages(SECOND * 3);
    assert_eq!(play.hear("a", "", false), Heard::Deleted);
    let birth = topic("ha/status");
    assert_eq!(play.announcer.hear(&birth, b"online", false, play.now), Heard::Birth);
    assert_eq!(play.topics(SECOND * 3), ["b"]);
    play.announcer.link_lost();
    play.connect();
    assert_eq!(play.topics(SECOND * 3), ["b"]);
    play.announcer.update(Some(same()), play.now);
    assert_eq!(play.topics(SECOND * 3), ["a"]);
}

#[test]
fn states_follow_once_home_assistant_has_subscribed_to_them() {
    let mut play = Play::new(announcement(&[("a", &[("x", "sensor")])]));
    let say = |play: &mut Play, topic: &str, payload: &'static str| {
        play.announcer.note(&Message::new(topic.parse().unwrap(), payload), play.now);
    };
    say(&mut play, "gw/a/x", "1");
    say(&mut play, "gw/a/z", "5");
    play.connect();
    say(&mut play, "gw/a/x", "2");
    let all = play.messages(SECOND * 3);
    assert_eq!(all.len(), 2);
    assert_eq!(all[1], (1400, "gw/a/x".into(), "2".into()));
    // The broker still has it: Home Assistant has subscribed long ago.
    let retained = all[0].2.clone();
    play.announcer.link_lost();
    play.connect();
    play.hear("a", &retained, true);
    assert_eq!(play.topics(SECOND * 3), ["a"]);
    let birth = topic("ha/status");
    play.announcer.hear(&birth, b"offline", false, play.now);
    play.announcer.hear(&birth, b"online", true, play.now);
    assert!(play.topics(SECOND * 3).is_empty());
    play.announcer.hear(&birth, b"online", false, play.now);
    assert_eq!(play.topics(SECOND * 3), ["a", "gw/a/x"]);
}

#[test]
fn many_states_are_spread() {
    let keys: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let components: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "sensor")).collect();
    let mut play = Play::new(announcement(&[("a", &components)]));
    for key in &keys {
        let message = Message::new(topic(&format!("gw/a/{key}")), "1");
        play.announcer.note(&message, play.now);
    }
    play.connect();
    let all = play.messages(SECOND * 3);
    assert_eq!(all.len(), 101);
    let times: std::collections::BTreeSet<_> = all.iter().map(|(at, ..)| at).collect();
    assert_eq!(times.len(), 1 + 7);
}

/// A port whose frames name fields and devices.
fn open(more: &str) -> Announcement {
    let text = format!(
        "gateway: gw\nbroker: {{url: \"mqtt://x\"}}\nhome_assistant: {{prefix: ha{more}}}\nports: {{p: {{path: \
         /dev/p, line: 9600, decode: {{json: {{node: /id}}}}}}}}\n"
    );
    let (config, _) = crate::config::load::parse("c", &text, std::path::Path::new("/")).unwrap();
    Announcement::of(&config, "1").unwrap()
}

fn newcomer(node: Option<&str>, field: &str) -> Newcomer {
    let place = crate::device::mapping::Place {
        topic: topic(&format!("gw/{}/{field}", node.unwrap_or("p"))),
        member: None,
        retain: false,
    };
    Newcomer {
        device: "p".into(),
        node: node.map(str::to_owned),
        field: field.into(),
        unit: Some("W".into()),
        is_number: true,
        payload: Some(Bytes::from_static(b"7")),
        place,
    }
}

/// Keys of the components of a payload.
fn keys(payload: &str) -> Vec<String> {
    let message: Value = serde_json::from_str(payload).unwrap();
    message["cmps"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn what_only_frames_name_is_announced_when_it_comes() {
    let mut play = Play::new(open(""));
    play.connect();
    assert_eq!(play.topics(SECOND * 3), ["--gateway"]);
    play.announcer.meet(newcomer(None, "a"), play.now);
    play.announcer.meet(newcomer(Some("hall"), "t"), play.now);
    play.announcer.meet(newcomer(Some("hall"), "h"), play.now);
    let all = play.messages(SECOND);
    assert_eq!((all[0].0, all[1].1.as_str(), keys(&all[1].2)), (500, "p", vec!["a".into()]));
    assert_eq!((all[0].1.as_str(), keys(&all[0].2)), ("p--hall", vec!["t".into(), "h".into()]));
    let message: Value = serde_json::from_str(&all[0].2).unwrap();
    assert_eq!(message["dev"]["name"], "Hall");
    assert_eq!(message["cmps"]["t"]["unit_of_meas"], "W");
    // The first value came before Home Assistant knew it.
    let states = play.topics(SECOND * 3);
    assert_eq!(states, ["gw/hall/t", "gw/hall/h", "gw/p/a"]);
    // Two messages on one topic do not follow each other too fast.
    play.announcer.meet(newcomer(Some("hall"), "x"), play.now);
    play.announcer.meet(newcomer(Some("hall"), "y"), play.now);
    let all = play.messages(SECOND * 4);
    assert_eq!(keys(&all[0].2), ["t", "h", "x", "y"]);
    // Home Assistant has the states of the others.
    assert_eq!(
        all.iter().skip(1).map(|it| it.1.as_str()).collect::<Vec<_>>(),
        ["gw/hall/x", "gw/hall/y"]
    );
    // A reload forgets nothing, but what it turns off.
    play.announcer.update(Some(open(", devices: {hall: {fields: {x: off}}}")), play.now);
    let all = play.messages(SECOND * 6);
    assert_eq!(all.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["p--hall", "p--hall"]);
    assert_eq!(keys(&all[1].2), ["t", "h", "y"]);
    play.announcer.update(Some(open(", devices: {hall: off}")), play.now);
    assert_eq!(play.messages(SECOND * 6)[0].2, "");
}

#[test]
fn what_frames_of_an_earlier_run_have_named_stays() {
    let mut play = Play::new(open(""));
    play.connect();
    let old = "{\"dev\":1,\"cmps\":{\"t\":{\"p\":\"sensor\",\"uniq_id\":\"1\"},\"gone\":{\"p\":\"sensor\"}}}";
    play.hear("p--hall", old, true);
    play.hear("p", old, true);
    play.hear("other--hall", old, true);
    let all = play.messages(SECOND * 4);
    let shown: Vec<_> = all.iter().map(|it| (it.1.as_str(), it.2.is_empty())).collect();
    assert_eq!(shown, [("--gateway", false), ("other--hall", true)]);
    play.announcer.meet(newcomer(Some("hall"), "h"), play.now);
    let all = play.messages(SECOND * 4);
    let first = all.iter().find(|it| it.1 == "p--hall").unwrap();
    assert_eq!(keys(&first.2), ["h", "t", "gone"]);
    let last = all.iter().rfind(|it| it.1 == "p--hall").unwrap();
    assert_eq!(keys(&last.2), ["h", "t"]);
}
