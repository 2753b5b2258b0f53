use super::*;
use crate::base::clock::Now;
use crate::config::load;
use crate::device::Device as PortDevice;
use crate::gateway::format::Format;
use crate::gateway::topics::Topics;
use crate::mqtt::source::Source;
use crate::outbox::Outbox;
use serde_json::Value;

const PORTS: &str = r#"{
  bus: {path: /dev/a, line: 9600, devices: {Pump: {address: 1, registers: {
    flow: {input: 0, unit: L/min, scale: 0.1}, total: {input: 2, type: u32},
    on: {coil: 0, write: true}, mode: {holding: 5, lookup: {0: eco, 1: full}, write: true},
    target: {holding: 4, write: {min: 0, max: 90}}}}}},
  line: {path: /dev/b, line: 9600, decode: {pairs: {}}, commands: {reset: {send: "r"}, text: {send: "{value}"}}}}"#;

/// The gateway with its outbox.
struct Bench {
    format: Format,
    outbox: Outbox,
    now: Now,
}

impl Bench {
    fn new(ports: &str) -> Bench {
        let text = format!(
            "gateway: My_Gw\nbroker: {{url: \"mqtt://x\"}}\nformat: {{homie: {{}}}}\nports: {ports}\n"
        );
        let (config, _) = load::parse("c", &text, std::path::Path::new("/")).unwrap();
        let facts = config.ports.iter().flat_map(|(name, port)| {
            let settings = port.device(&config.gateway, name);
            let device = PortDevice::build(&settings).unwrap();
            let topics = Topics::with(&config.gateway, &config.status);
            Facts::of_port(device.outlines(&settings), &topics.of_port(name, &device))
        });
        let format = Format::of(&config, facts.collect()).unwrap();
        let mut outbox = Outbox::new(&config.bounds().0);
        outbox.share(2);
        Bench { format, outbox, now: Now::read() }
    }

    /// What is sent at a new link, as `topic payload`.
    fn connect(&mut self) -> Vec<String> {
        self.outbox.disconnected(self.now.mono);
        self.format.disconnected();
        self.format.source(&mut self.outbox, self.now).connected();
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut source = self.format.source(&mut self.outbox, self.now);
        let mut all = Vec::new();
        while let Some(message) = source.front().cloned() {
            let is_log = message.topic.as_str().contains("/$log/");
            assert_eq!((message.qos, message.retain), (Qos::AtLeastOnce, !is_log), "{message:?}");
            if let Some(id) = source.sent(message.qos) {
                source.settled(id, crate::mqtt::packet::Reason::SUCCESS);
            }
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            all.push(format!("{} {payload}", message.topic.as_str()));
        }
        all
    }

    fn say(&mut self, topic: &str, payload: &str) {
        let message = Message::new(topic.parse().unwrap(), payload.to_owned());
        let entry = Entry { port: 1, ..Entry::from(message).of_device(self.now) };
        let mut out = Vec::new();
        self.format.take(entry, self.now, &mut out);
        for entry in out {
            self.outbox.push(entry);
        }
    }

    fn read(&mut self, device: &str, json: &str) {
        self.say(&format!("homie/5/My_Gw/{device}"), json);
    }

    fn set(&mut self, topic: &str, payload: &str) -> Vec<(String, String)> {
        let heard = self.format.hear(&topic.parse().unwrap(), payload.as_bytes(), false);
        let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
        let all = heard.commands.iter();
        all.map(|(topic, payload)| (topic.to_string(), text(payload))).collect()
    }
}

/// The first description of a device among these messages.
fn properties(all: &[String], device: &str) -> Value {
    let begin = format!("homie/5/{device}/$description ");
    let text = all.iter().find_map(|line| line.strip_prefix(&begin)).unwrap();
    let document: Value = serde_json::from_str(text).unwrap();
    document["nodes"]["values"]["properties"].clone()
}

/// Without the descriptions' text.
fn short(all: &[String]) -> Vec<&str> {
    all.iter().map(|line| line.split_once(" {").map_or(line.as_str(), |(topic, _)| topic)).collect()
}

#[test]
fn children_come_before_their_root_and_states_around_descriptions() {
    let mut bench = Bench::new(PORTS);
    let all = bench.connect();
    assert_eq!(
        short(&all),
        [
            "homie/5/my-gw/$state init",
            "homie/5/my-gw-pump/$state init",
            "homie/5/my-gw-pump/$description",
            "homie/5/my-gw-pump/$state init",
            "homie/5/my-gw-line/$state init",
            "homie/5/my-gw-line/$description",
            "homie/5/my-gw-line/$state init",
            "homie/5/my-gw/$state init",
            "homie/5/my-gw/$description",
            "homie/5/my-gw/$state ready",
        ]
    );
    let pump = properties(&all, "my-gw-pump");
    let expected = serde_json::json!({
        "flow": {"name": "flow", "datatype": "float", "unit": "L/min"},
        "mode": {"name": "mode", "datatype": "enum", "format": "eco,full", "settable": true},
        "on": {"name": "on", "datatype": "boolean", "settable": true},
        "target": {"name": "target", "datatype": "integer", "format": "0:90:1", "settable": true},
        "total": {"name": "total", "datatype": "integer"},
    });
    assert_eq!(pump["flow"], expected["flow"]);
    assert_eq!(pump["on"], expected["on"]);
    assert_eq!(pump["total"], expected["total"]);
    assert_eq!(pump["target"]["datatype"], "integer");
    assert_eq!(pump["mode"]["settable"], true);
    let line = properties(&all, "my-gw-line");
    assert_eq!(
        (&line["reset"]["format"], &line["reset"]["retained"]),
        (&"press".into(), &false.into())
    );
    assert_eq!(line["text"]["datatype"], "string");
    // The same document has the same version.
    assert_eq!(bench.connect(), all);
}

#[test]
fn values_are_retained_and_spelled_as_homie_wants_them() {
    let mut bench = Bench::new(PORTS);
    bench.connect();
    bench.say("My_Gw/status/devices/Pump", "online");
    bench.read("Pump", r#"{"flow":21.50,"on":"ON"}"#);
    assert_eq!(
        bench.drain(),
        [
            "homie/5/my-gw-pump/$state ready",
            "homie/5/my-gw-pump/values/flow 21.50",
            "homie/5/my-gw-pump/values/on true"
        ]
    );
    bench.say("My_Gw/status/devices/Pump", "offline");
    assert_eq!(bench.drain(), ["homie/5/my-gw-pump/$state lost"]);
    // A field that only the frames name is described before its first value; so is another type.
    bench.read("line", r#"{"a b":1}"#);
    let all = bench.drain();
    assert_eq!(properties(&all, "my-gw-line")["a-b"]["datatype"], "integer");
    assert_eq!(all.last().unwrap(), "homie/5/my-gw-line/values/a-b 1");
    bench.read("line", r#"{"a b":2}"#);
    assert_eq!(bench.drain(), ["homie/5/my-gw-line/values/a-b 2"]);
    bench.read("line", r#"{"a b":""}"#);
    let all = bench.drain();
    assert_eq!(properties(&all, "my-gw-line")["a-b"]["datatype"], "string");
    assert_eq!(all.last().unwrap(), "homie/5/my-gw-line/values/a-b \0");
}

#[test]
fn a_node_of_a_frame_is_a_device_and_names_that_look_alike_are_told_apart() {
    let mut bench = Bench::new(PORTS);
    bench.connect();
    bench.read("p.u.m.p", r#"{"a_b":1,"a b":2,"_":true}"#);
    let all = bench.drain();
    let values: Vec<_> = all.iter().filter(|line| line.contains("/values/")).collect();
    assert_eq!(
        values,
        [
            "homie/5/my-gw-p-u-m-p/values/a-b 1",
            "homie/5/my-gw-p-u-m-p/values/a-b-2 2",
            "homie/5/my-gw-p-u-m-p/values/x true"
        ]
    );
    assert!(all.iter().any(|line| line.contains(r#""my-gw-p-u-m-p"]"#)), "{all:?}");
    bench.read("PUMP", r#"{"a":1}"#);
    assert!(bench.drain().last().unwrap().starts_with("homie/5/my-gw-pump-2/"));
}

#[test]
fn what_is_set_goes_to_the_command() {
    let mut bench = Bench::new(PORTS);
    let filters: Vec<_> =
        bench.format.subscriptions().iter().map(|it| it.filter.as_str().to_owned()).collect();
    assert!(filters.contains(&"homie/5/my-gw-pump/values/on/set".into()), "{filters:?}");
    assert_eq!(filters.len(), 5);
    let one = |topic: &str, payload: &str| vec![(topic.to_owned(), payload.to_owned())];
    let set = "homie/5/my-gw-pump/values/on/set";
    assert_eq!(bench.set(set, "true"), one("My_Gw/Pump/on/set", "ON"));
    assert_eq!(bench.set(set, "false"), one("My_Gw/Pump/on/set", "OFF"));
    let target = bench.set("homie/5/my-gw-pump/values/target/set", "12");
    assert_eq!(target, one("My_Gw/Pump/target/set", "12"));
    assert!(bench.set("homie/5/my-gw-pump/values/flow/set", "1").is_empty());
    assert!(bench.set("homie/5/other/values/on/set", "true").is_empty());
    let heard = bench.format.hear(&set.parse().unwrap(), b"true", true);
    assert!(heard.commands.is_empty() && heard.refused.len() == 1);
    bench.connect();
    bench.say("My_Gw/Pump/target/result", "refused: it is above 90");
    let expected = "homie/5/my-gw-pump/$log/warn target: refused: it is above 90";
    assert_eq!(bench.drain(), [expected]);
    bench.say("My_Gw/Pump/target/result", "done");
    assert!(bench.drain().is_empty());
}

#[test]
fn the_end_and_the_will() {
    let mut bench = Bench::new(PORTS);
    let will = bench.format.source(&mut bench.outbox, bench.now).will().unwrap();
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("homie/5/my-gw/$state", &b"lost"[..]));
    assert!(will.retain);
    bench.connect();
    bench.format.leave();
    assert!(!bench.format.source(&mut bench.outbox, bench.now).is_empty());
    assert_eq!(
        bench.drain(),
        [
            "homie/5/my-gw-pump/$state disconnected",
            "homie/5/my-gw-line/$state disconnected",
            "homie/5/my-gw/$state disconnected"
        ]
    );
    assert!(bench.format.has_left());
}

#[test]
fn what_a_reload_takes_away_is_removed() {
    let mut bench = Bench::new(PORTS);
    bench.connect();
    bench.read("line", r#"{"a":1}"#);
    bench.drain();
    let mut new = Bench::new("{line: {path: /dev/b, line: 9600, decode: {pairs: {}}}}");
    new.format.adopt(bench.format, true);
    let all = new.drain();
    let cleared: Vec<_> =
        all.iter().filter(|line| line.ends_with(' ')).map(|it| it.trim()).collect();
    assert_eq!(cleared[..2], ["homie/5/my-gw-pump/$state", "homie/5/my-gw-pump/$description"]);
    assert!(cleared.contains(&"homie/5/my-gw-pump/values/flow"));
    assert!(cleared.contains(&"homie/5/my-gw-line/values/reset"));
    assert!(all.contains(&"homie/5/my-gw/$state ready".to_owned()));
}
