//! Messages at which brokers end the link: all others arrive, and the log names what does not.

use crate::daemon::cloud::{Cloud, Heard, Rules};
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

fn config(broker: u16, version: &str, port: &Port, messages: &str) -> String {
    format!(
        "gateway: test
broker: {{url: \"mqtt://127.0.0.1:{broker}\", version: \"{version}\"}}
status: {{interval: 1s}}
ports:
  line:
    path: {}
    line: 115200 8N1
    decode: {{fields: {{names: [n, text], separator: \",\"}}}}
    messages: {messages}
",
        port.path().display()
    )
}

/// Lines go in until the first behind the bad one comes out, then some more that all have to come.
fn feed(port: &mut Port, counter: &Counter, from: usize) -> Duration {
    let start = Instant::now();
    for n in from..from + 20 {
        port.write(format!("{n},good\n").as_bytes());
    }
    counter.wait_for(&format!("good {}", from + 19));
    start.elapsed()
}

#[test]
fn a_line_too_large_for_mosquitto_holds_up_nothing() {
    needs!(mosquitto);
    // Before 5.0 it says so to nobody: it resets the link, and each link after it.
    let broker = Mosquitto::with("", "max_packet_size 2000\n");
    let mut port = Port::new();
    let counter = Counter::start(&broker, "good");
    let messages =
        "[{topic: good, payload: \"{value}\", fields: [n]}, {topic: text, fields: [text]}]";
    let gateway = Gateway::start(&config(broker.port, "3.1.1", &port, messages));
    let status = Counter::start(&broker, "test/status/ports/line");
    status.expect_containing("test/status/ports/line", "\"state\":\"open\"");
    port.write(b"\n0,good\n");
    counter.wait_for("good 0");
    let large = "x".repeat(3000);
    port.write(format!("1,{large}\n").as_bytes());
    let took = feed(&mut port, &counter, 2);
    assert!(took < MINUTE, "{took:?}");
    let log = gateway.log().wait_for("is lost: the broker ended");
    assert!(log.contains("a message of 3004 bytes to text"), "{log}");
    let took = feed(&mut port, &counter, 22);
    assert!(took < MINUTE, "{took:?}");
    let log = gateway.terminate();
    assert!(!log.contains("client identifier"), "{log}");
}

#[test]
fn a_topic_that_mosquitto_ends_links_at_holds_up_nothing() {
    needs!(mosquitto);
    // More than 200 levels, which it answers with DISCONNECT 0x81 or 0x82.
    let deep = vec!["a"; 202].join("/");
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let counter = Counter::start(&broker, "good");
    let messages = format!(
        "[{{topic: {deep}, payload: \"{{value}}\", fields: [n]}}, {{topic: good, payload: \"{{value}}\", \
         fields: [n]}}]"
    );
    let gateway = Gateway::start(&config(broker.port, "5", &port, &messages));
    let status = Counter::start(&broker, "test/status/ports/line");
    status.expect_containing("test/status/ports/line", "\"state\":\"open\"");
    port.write(b"\n");
    let took = feed(&mut port, &counter, 0);
    assert!(took < MINUTE, "{took:?}");
    let log = gateway.log().wait_for("is lost: the broker ended");
    assert!(log.contains("of 404 bytes to a/a/a/") && log.contains("(0x8"), "{log}");
    let took = feed(&mut port, &counter, 20);
    assert!(took < MINUTE, "{took:?}");
    gateway.terminate();
}

#[test]
fn readings_arrive_at_a_broker_that_ends_the_link_at_all_topics_but_its_own() {
    let rules = Rules {
        connect: |_| Ok(()),
        publish: |publish| match publish.topic.as_ref().unwrap().as_str().starts_with("ok/") {
            true => Ok(()),
            false => Err("not a topic of its own"),
        },
        subscribe: |_| Ok(()),
    };
    let cloud = Cloud::start(rules, None);
    let mut port = Port::new();
    let messages = "[{topic: ok/n, payload: \"{value}\", fields: [n]}]";
    let gateway = Gateway::start(&config(cloud.port, "3.1.1", &port, messages));
    assert_eq!(cloud.next(), Heard::Link);
    gateway.log().wait_for("links end at");
    let start = Instant::now();
    port.write(b"\n1,good\n");
    cloud.wait_for(&Heard::Message("ok/n".into(), "1".into()));
    assert!(start.elapsed() < MINUTE, "{:?}", start.elapsed());
    // The birth message, the program's status, the broker's and the port's.
    let mut named = 0;
    let mut n = 1;
    while named < 4 {
        n += 1;
        port.write(format!("{n},good\n").as_bytes());
        cloud.wait_for(&Heard::Message("ok/n".into(), n.to_string()));
        named +=
            usize::from(gateway.log().comes("is lost: the broker ended", Duration::from_secs(1)));
        assert!(start.elapsed() < 5 * MINUTE);
    }
    let log = gateway.terminate();
    assert!(!log.contains("client identifier"), "{log}");
}
