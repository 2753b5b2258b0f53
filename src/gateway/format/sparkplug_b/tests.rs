use super::payload::{Raw, Received, decode};
use super::*;
use crate::config::load;
use crate::device::Device as PortDevice;
use crate::gateway::format::Heard;
use crate::gateway::format::{Format, source::Formatted};
use crate::mqtt::packet::Reason;
use crate::mqtt::source::Source;
use crate::outbox::Outbox;
use crate::outbox::settings::OutboxBounds;
use crate::port::status::{PortReport, PortState};
use std::time::Duration;

const PORTS: &str = r"{
  bus: {path: /dev/a, line: 9600, devices: {pump: {address: 1, registers: {
    flow: {input: 0, unit: L/min, scale: 0.1}, total: {input: 2, type: u32},
    on: {coil: 0, write: true}, target: {holding: 4, write: {min: 0, max: 90}}}}}},
  line: {path: /dev/b, line: 9600, decode: {pairs: {}}}}";

/// An edge node with its outbox, on a clock that only the test moves.
struct Bench {
    format: Format,
    outbox: Outbox,
    now: Now,
}

/// A message that was sent.
struct Sent {
    topic: String,
    qos: Qos,
    payload: Received,
}

impl Sent {
    fn verb(&self) -> &str {
        self.topic.split('/').nth(2).unwrap()
    }

    fn value(&self, name: &str) -> Option<Raw> {
        let metric = self.payload.metrics.iter().find(|metric| metric.name == name);
        metric.unwrap_or_else(|| panic!("no {name}: {:?}", self.payload)).value.clone()
    }
}

impl Bench {
    fn new(settings: &str) -> Bench {
        let text = format!(
            "gateway: gw\nbroker: {{url: \"mqtt://x\"}}\nformat: {{sparkplug-b: {{group: plant{settings}}}}}\n\
             ports: {PORTS}\n"
        );
        let (config, _) = load::parse("c", &text, std::path::Path::new("/")).unwrap();
        let facts = config.ports.iter().flat_map(|(name, port)| {
            let settings = port.device(&config.gateway, name);
            let device = PortDevice::build(&settings).unwrap();
            let topics = crate::gateway::topics::Topics::with(&config.gateway, &config.status);
            Facts::of_port(device.outlines(&settings), &topics.of_port(name, &device))
        });
        let format = Format::of(&config, facts.collect()).unwrap();
        let mut outbox = Outbox::new(&OutboxBounds { backlog_rate: None, ..config.bounds().0 });
        outbox.share(2);
        Bench { format, outbox, now: Now { wall: at(1_800_000_000_000), ..Now::read() } }
    }

    fn source(&mut self) -> Formatted<'_> {
        self.format.source(&mut self.outbox, self.now)
    }

    /// A link comes up: the will, and what is sent then.
    fn connect(&mut self) -> (Sent, Vec<Sent>) {
        self.outbox.disconnected(self.now.mono);
        self.format.disconnected();
        let will = sent(self.source().will().unwrap());
        self.source().connected();
        (will, self.drain())
    }

    /// What is sent now.
    fn drain(&mut self) -> Vec<Sent> {
        let now = self.now.mono;
        let mut source = self.source();
        source.tick(now);
        let mut all = Vec::new();
        while let Some(message) = source.front().cloned() {
            source.sent(message.qos);
            all.push(sent(message));
        }
        all
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    fn read(&mut self, device: &str, json: &str) {
        let topic = format!("spBv1.0/plant/DDATA/gw/{device}");
        self.say(&topic, json);
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

    fn hear(&mut self, topic: &str, metrics: &[Metric<'_>]) -> Heard {
        let payload = payload::encode(Some(1), metrics, None);
        self.format.hear(&topic.parse().unwrap(), &payload, false)
    }

    fn state(&mut self, online: bool, timestamp: u64) {
        let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
        self.format.hear(&"spBv1.0/STATE/scada".parse().unwrap(), payload.as_bytes(), true);
    }
}

fn at(millis: u64) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + Duration::from_millis(millis)
}

fn sent(message: Message) -> Sent {
    assert!(!message.retain, "{message:?}");
    let payload = decode(&message.payload).unwrap();
    Sent { topic: message.topic.to_string(), qos: message.qos, payload }
}

fn verbs(all: &[Sent]) -> Vec<&str> {
    all.iter().map(Sent::verb).collect()
}

fn seqs(all: &[Sent]) -> Vec<Option<u64>> {
    all.iter().map(|sent| sent.payload.seq).collect()
}

#[test]
fn births_come_first_and_numbers_go_up() {
    let mut bench = Bench::new("");
    bench.say("gw/status/devices/pump", "online");
    bench.read("pump", r#"{"flow":1.5,"total":7,"on":"ON","target":30}"#);
    let (will, all) = bench.connect();
    assert_eq!((will.topic.as_str(), will.qos), ("spBv1.0/plant/NDEATH/gw", Qos::AtLeastOnce));
    assert_eq!((will.payload.seq, will.payload.metrics.len()), (None, 1));
    assert_eq!(will.value("bdSeq"), Some(Raw::Long(0)));
    // The birth has said what was read before it.
    assert_eq!(verbs(&all), ["NBIRTH", "DBIRTH"]);
    assert_eq!(all[0].topic, "spBv1.0/plant/NBIRTH/gw");
    assert_eq!(all[1].topic, "spBv1.0/plant/DBIRTH/gw/pump");
    assert_eq!(seqs(&all), [Some(0), Some(1)]);
    assert!(all.iter().all(|sent| sent.qos == Qos::AtMostOnce && sent.payload.timestamp.is_some()));
    assert_eq!(all[0].value("bdSeq"), Some(Raw::Long(0)));
    assert_eq!(all[0].value(REBIRTH), Some(Raw::Boolean(false)));
    let types = |sent: &Sent| {
        let metrics = sent.payload.metrics.iter();
        metrics.map(|it| (it.name.clone(), it.data_type)).collect::<Vec<_>>()
    };
    let expected = [("flow", 10), ("on", 11), ("target", 4), ("total", 4)];
    assert_eq!(types(&all[1]), expected.map(|(name, number)| (name.into(), Some(number))));
    assert_eq!(all[1].value("flow"), Some(Raw::Double(1.5)));
    assert_eq!(all[1].value("on"), Some(Raw::Boolean(true)));
    for n in 0..600_u64 {
        bench.pass(1);
        bench.read("pump", r#"{"flow":2,"total":-8}"#);
        let all = bench.drain();
        assert_eq!((verbs(&all), all[0].payload.seq), (vec!["DDATA"], Some((n + 2) % 256)));
        assert_eq!(all[0].value("flow"), Some(Raw::Double(2.0)));
        assert_eq!(all[0].value("total"), Some(Raw::Long(-8_i64 as u64)));
        let metrics = all[0].payload.metrics.iter();
        assert!({ metrics }.all(|metric| !metric.is_historical && metric.data_type.is_none()));
    }
}

#[test]
fn each_connect_has_the_next_number_and_the_birth_has_it_too() {
    let mut bench = Bench::new("");
    for n in 0..300_u64 {
        let (will, all) = bench.connect();
        assert_eq!(will.value("bdSeq"), Some(Raw::Long(n % 256)));
        assert_eq!(all[0].value("bdSeq"), Some(Raw::Long(n % 256)));
        assert_eq!(seqs(&all), [Some(0)]);
    }
}

#[test]
fn readings_of_an_outage_are_historical_behind_births_with_the_present_values() {
    let mut bench = Bench::new("");
    bench.connect();
    bench.read("line", r#"{"level":1}"#);
    assert_eq!(verbs(&bench.drain()), ["DBIRTH"]);
    bench.format.disconnected();
    for n in 2..5 {
        bench.pass(10);
        bench.read("line", &format!("{{\"level\":{n}}}"));
    }
    bench.pass(10);
    let (_, all) = bench.connect();
    assert_eq!(verbs(&all), ["NBIRTH", "DBIRTH", "DDATA", "DDATA"]);
    assert_eq!(seqs(&all), [0, 1, 2, 3].map(Some));
    assert_eq!(all[1].value("level"), Some(Raw::Long(4)));
    let metric = &all[1].payload.metrics[0];
    assert_eq!((metric.is_historical, metric.timestamp), (false, Some(1_800_000_030_000)));
    for (n, sent) in (2..).zip(&all[2..]) {
        let metric = &sent.payload.metrics[0];
        assert_eq!((metric.is_historical, &metric.value), (true, &Some(Raw::Long(n))));
        assert_eq!(metric.timestamp, Some(1_800_000_000_000 + 10_000 * (n - 1)));
    }
    bench.pass(1);
    bench.read("line", r#"{"level":5}"#);
    assert!(!bench.drain()[0].payload.metrics[0].is_historical);
}

#[test]
fn a_rebirth_comes_at_once_with_the_same_bd_seq() {
    let mut bench = Bench::new("");
    bench.connect();
    bench.read("line", r#"{"level":1}"#);
    bench.connect();
    bench.read("line", r#"{"level":2}"#);
    let yes = Value::Boolean(true);
    bench.hear("spBv1.0/plant/NCMD/gw", &[metric(REBIRTH, &yes, 0)]);
    let all = bench.drain();
    assert_eq!(verbs(&all), ["NBIRTH", "DBIRTH"]);
    assert_eq!((seqs(&all), all[1].value("level")), (vec![Some(0), Some(1)], Some(Raw::Long(2))));
    assert_eq!(all[0].value("bdSeq"), Some(Raw::Long(1)));
    let no = Value::Boolean(false);
    let heard = bench.hear(
        "spBv1.0/plant/NCMD/gw",
        &[metric(REBIRTH, &no, 0), metric("Node Control/Reboot", &yes, 0)],
    );
    assert_eq!(heard.refused.len(), 1);
    assert!(bench.drain().is_empty());
}

#[test]
fn a_new_metric_and_another_type_make_another_birth() {
    let mut bench = Bench::new("");
    bench.connect();
    let mut seen = Vec::new();
    for json in [
        r#"{"a":1}"#,
        r#"{"a":2}"#,
        r#"{"a":2.5}"#,
        r#"{"a":3}"#,
        r#"{"a":3,"b":"x"}"#,
        r#"{"b":4,"a":"none"}"#,
    ] {
        bench.pass(1);
        bench.read("line", json);
        let all = bench.drain();
        let births = all.iter().filter(|sent| sent.verb() == "DBIRTH");
        seen.push(births.count());
        assert_eq!(all.len(), 1);
    }
    assert_eq!(seen, [1, 0, 1, 0, 1, 1]);
    let all = bench.connect().1;
    assert_eq!(all[1].value("a"), Some(Raw::String("none".into())));
    assert_eq!(all[1].value("b"), Some(Raw::String("4".into())));
}

#[test]
fn a_device_dies_and_is_born_again() {
    let mut bench = Bench::new("");
    bench.connect();
    bench.say("gw/status/devices/pump", "online");
    let all = bench.drain();
    assert_eq!(verbs(&all), ["DBIRTH"]);
    // Nothing was read yet.
    assert_eq!(all[0].value("flow"), None);
    bench.pass(1);
    bench.read("pump", r#"{"flow":1}"#);
    bench.say("gw/status/devices/pump", "offline");
    let all = bench.drain();
    assert_eq!(verbs(&all), ["DDATA", "DDEATH"]);
    assert_eq!(all[1].payload.seq, Some(3));
    assert!(bench.drain().is_empty());
    bench.say("gw/status/devices/pump", "online");
    assert_eq!(verbs(&bench.drain()), ["DBIRTH"]);
    // A device that speaks by itself is there while its port is.
    bench.read("line", r#"{"a":1}"#);
    assert_eq!(verbs(&bench.drain()), ["DBIRTH"]);
    let report = PortReport { state: PortState::Away, ..PortReport::default() };
    bench.say("gw/status/ports/line", &serde_json::to_string(&report).unwrap());
    let all = bench.drain();
    assert_eq!(all[0].topic, "spBv1.0/plant/DDEATH/gw/line");
    let report = PortReport { state: PortState::Open, ..PortReport::default() };
    bench.say("gw/status/ports/line", &serde_json::to_string(&report).unwrap());
    assert_eq!(verbs(&bench.drain()), ["DBIRTH"]);
}

#[test]
fn commands_go_to_their_topics() {
    let mut bench = Bench::new("");
    let filters: Vec<_> =
        bench.format.subscriptions().iter().map(|it| it.filter.as_str().to_owned()).collect();
    assert_eq!(filters, ["spBv1.0/plant/NCMD/gw", "spBv1.0/plant/DCMD/gw/pump"]);
    assert!(bench.format.subscriptions().iter().all(|it| it.qos == Qos::AtLeastOnce));
    bench.connect();
    let (yes, number, text) = (Value::Boolean(true), Value::Int64(-3), Value::String("x".into()));
    let heard = bench.hear(
        "spBv1.0/plant/DCMD/gw/pump",
        &[metric("on", &yes, 0), metric("target", &number, 0), metric("flow", &text, 0)],
    );
    let commands = heard.commands.iter().map(|(topic, payload)| (topic.as_str(), &payload[..]));
    let expected: [(_, &[u8]); 2] = [("gw/pump/on/set", b"ON"), ("gw/pump/target/set", b"-3")];
    assert_eq!(commands.collect::<Vec<_>>(), expected);
    assert_eq!(heard.refused.len(), 1);
    let topic = "spBv1.0/plant/DCMD/gw/pump".parse().unwrap();
    assert_eq!(bench.format.hear(&topic, b"ON", false).refused.len(), 1);
}

#[test]
fn nothing_is_sent_without_the_primary_host() {
    let mut bench = Bench::new(", primary_host: scada");
    assert_eq!(bench.format.subscriptions()[0].filter.as_str(), "spBv1.0/STATE/scada");
    bench.read("line", r#"{"a":1}"#);
    assert!(bench.connect().1.is_empty());
    bench.state(false, 5);
    assert!(bench.drain().is_empty() && !bench.format.wants_another_broker());
    bench.pass(1);
    bench.state(true, 6);
    assert_eq!(verbs(&bench.drain()), ["NBIRTH", "DBIRTH"]);
    bench.state(false, 4);
    bench.pass(1);
    bench.read("line", r#"{"a":2}"#);
    assert_eq!(verbs(&bench.drain()), ["DDATA"]);
    bench.read("line", r#"{"a":3}"#);
    bench.pass(1);
    bench.read("line", r#"{"a":4}"#);
    bench.state(false, 6);
    let all = bench.drain();
    assert_eq!((verbs(&all), all[0].value("bdSeq")), (vec!["NDEATH"], Some(Raw::Long(0))));
    assert_eq!(all[0].payload.seq, None);
    assert!(bench.format.has_left() && bench.format.wants_another_broker());
    assert!(bench.connect().1.is_empty());
    bench.state(true, 7);
    assert_eq!(verbs(&bench.drain()), ["NBIRTH", "DBIRTH", "DDATA"]);
}

#[test]
fn the_death_is_the_last_message() {
    let mut bench = Bench::new("");
    bench.connect();
    bench.read("line", r#"{"a":1}"#);
    bench.format.leave();
    assert!(!bench.source().is_empty());
    let all = bench.drain();
    assert_eq!(verbs(&all), ["DBIRTH", "NDEATH"]);
    assert_eq!(all[1].value("bdSeq"), Some(Raw::Long(0)));
    assert!(bench.format.has_left() && bench.source().is_empty());
}

#[test]
fn what_the_broker_does_not_take_is_passed_over() {
    let mut bench = Bench::new("");
    bench.outbox.disconnected(bench.now.mono);
    bench.source().will();
    bench.source().connected();
    bench.read("line", r#"{"a":1}"#);
    let refused = bench.source().refuse_front(Reason::PACKET_TOO_LARGE).unwrap();
    assert_eq!(refused.message.topic.as_str(), "spBv1.0/plant/NBIRTH/gw");
    bench.source().quarantine_front();
    bench.pass(1);
    bench.read("line", r#"{"a":2}"#);
    let mut source = bench.source();
    assert!(source.front().unwrap().topic.as_str().contains("/DDATA/"));
    source.quarantine_front();
    assert!(source.front().is_none());
    let payload = source.quarantined(&|_| true).unwrap().payload.clone();
    assert_eq!(decode(&payload).unwrap().metrics[0].name, "a");
    source.sent_quarantined(&|_| true, Qos::AtMostOnce);
    assert!(source.is_empty());
}

#[test]
fn what_is_no_reading_goes_as_it_is() {
    let mut bench = Bench::new("");
    bench.connect();
    bench.outbox.push(Message::new("old/topic".parse().unwrap(), "21"));
    let mut source = bench.source();
    assert_eq!(source.front().unwrap().topic.as_str(), "old/topic");
    assert!(source.sent(Qos::AtLeastOnce).is_some());
}
