//! What the gateway says about itself: that it stays true, and that it can be placed, reworded or
//! turned off.

use crate::daemon::config;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;

#[test]
fn whoever_writes_offline_the_gateway_is_online_within_an_interval() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = Port::new();
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    let status = Counter::start(&broker, "test/status");
    status.expect("test/status online");
    for _ in 0..3 {
        broker.publish_retained("test/status", "offline");
        status.wait_for("test/status offline");
        status.wait_for("test/status online");
    }
    gateway.terminate();
    status.wait_for("test/status offline");
}

/// The gateway's configuration with another `status`.
fn with_status(broker: u16, port: &Port, status: &str, more: &str) -> String {
    config(broker, port.path(), more).replace("status:\n  interval: 1s\n", status)
}

#[test]
fn turned_off_it_says_nothing_at_all() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let more =
        "    commands: [{topic: \"{gateway}/relay\", send: \"{payload}\", terminator: \"\\n\"}]\n";
    let all = Counter::start(&broker, "#");
    let gateway = Gateway::start(&with_status(broker.port, &port, "status: off\n", more));
    gateway.log().wait_for_all(&["is open", "subscribed"]);
    // What becomes of commands would be told, too.
    broker.publish("test/relay", "on");
    assert_eq!(port.read_line(), "on\n");
    broker.publish("test/relay", "a\nb");
    gateway.log().wait_for("refused");
    port.write(b"\r\n1,21.50,40\r\n");
    // Nor is there a will.
    all.expect("test/relay on");
    all.expect("test/relay a");
    all.expect("b");
    all.expect("test/line 1");
    gateway.kill();
    let gateway = Gateway::start(&with_status(broker.port, &port, "status: off\n", more));
    gateway.log().wait_for("is open");
    port.write(b"\r\n2,21.50,40\r\n");
    all.expect("test/line 2");
    let log = gateway.terminate();
    broker.publish("test/end", "");
    all.expect("test/end ");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn it_can_be_placed_and_reworded_and_the_will_by_itself() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let status =
        "status: {topic: \"site/{gateway}/here\", online: up, offline: down, details: false}\n";
    let text = with_status(broker.port, &port, status, "");
    let all = Counter::start(&broker, "#");
    let gateway = Gateway::start(&text);
    all.expect("site/test/here up");
    gateway.log().wait_for("is open");
    port.write(b"\r\n1,21.50,40\r\n");
    all.expect("test/line 1");
    gateway.kill();
    all.expect("site/test/here down");
    let will = "broker:\n  will: {topic: \"alarm/{gateway}\", payload: lost, retain: false}\n";
    let gateway = Gateway::start(&text.replace("broker:\n", will));
    all.expect("site/test/here up");
    gateway.kill();
    all.expect("alarm/test lost");
    let gateway = Gateway::start(&text.replace("broker:\n", "broker:\n  will: off\n"));
    all.expect("site/test/here up");
    gateway.log().wait_for("is open");
    gateway.kill();
    // Without a will only what the next one says comes.
    let gateway = Gateway::start(&text);
    all.expect("site/test/here up");
    // Other words count at once.
    gateway.reload(&text.replace("online: up", "online: here").replace(": down", ": gone"));
    all.expect("site/test/here here");
    // At another place, it is gone from the first.
    gateway.reload(&text.replace("/here", "/there"));
    let mut both = [all.take_one("both"), all.take_one("both")];
    both.sort();
    assert_eq!(both, ["site/test/here gone", "site/test/there up"]);
    gateway.reload(&text);
    let mut both = [all.take_one("both"), all.take_one("both")];
    both.sort();
    assert_eq!(both, ["site/test/here up", "site/test/there down"]);
    gateway.terminate();
    all.expect("site/test/here down");
    // What it says is kept by the broker.
    let port = broker.port.to_string();
    let sub = ["-p", &port, "-t", "site/test/here", "-C", "1", "-W", "10"];
    let kept = std::process::Command::new("mosquitto_sub").args(sub).output().unwrap();
    assert_eq!(kept.stdout, b"down\n");
}

#[test]
fn two_gateways_of_one_name_say_so_once_and_make_no_storm() {
    needs!(mosquitto);
    const WATCH: std::time::Duration = std::time::Duration::from_secs(8);
    let broker = Mosquitto::start();
    let (first, second) = (Port::new(), Port::new());
    let start = |port: &Port, id: &str| {
        let text = config(broker.port, port.path(), "");
        Gateway::start(&text.replace("broker:\n", &format!("broker:\n  client_id: {id}\n")))
    };
    let a = start(&first, "a");
    a.log().wait_for("subscribed to test/status/program");
    let said = Counter::start(&broker, "test/status/#");
    let start_of_watch = std::time::Instant::now();
    let b = start(&second, "b");
    for gateway in [&a, &b] {
        let line = gateway.log().wait_for("another gateway publishes to test/status/program");
        assert!(line.contains("ERROR") && line.contains("`gateway`"), "{line}");
    }
    // Both go on as ever: in a second each says that it is online, and how broker and port are.
    let mut words = 0;
    let mut of_program = 0;
    while start_of_watch.elapsed() < WATCH {
        let line = said.take_one("status");
        words += u32::from(line.starts_with("test/status online"));
        of_program += u32::from(line.starts_with("test/status/program"));
    }
    assert!(words <= 2 * (WATCH.as_secs() as u32 + 3), "{words} times online");
    assert!(of_program <= 5, "{of_program} times the program");
    // One that ends takes the other one along for no longer than an interval.
    b.terminate();
    said.wait_for("test/status offline");
    said.wait_for("test/status online");
    let log = a.terminate();
    assert_eq!(log.matches("another gateway").count(), 1, "{log}");
}

#[test]
fn a_broker_that_refuses_the_look_at_others_is_online_all_the_same() {
    needs!(mosquitto);
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    // What is not named may neither be read nor written.
    std::fs::write(&acl, "topic write test/#\ntopic readwrite probe/#\ntopic read test/status\n")
        .unwrap();
    let broker = Mosquitto::with("user root\n", &format!("acl_file {}\n", acl.display()));
    let port = Port::new();
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    let status = Counter::start(&broker, "test/status");
    status.expect("test/status online");
    broker.publish_retained("test/status", "offline");
    status.wait_for("test/status offline");
    status.wait_for("test/status online");
    gateway.terminate();
}

#[test]
fn a_late_will_of_an_older_link_at_another_broker_does_not_stay() {
    needs!(mosquitto);
    // Two brokers that share the status, as a bridge has it; the gateway is at the second.
    let second = Mosquitto::start();
    let bridge = format!(
        "connection b\naddress 127.0.0.1:{}\ntopic test/# both 1\nrestart_timeout 1\n",
        second.port
    );
    let first = Mosquitto::with("", &bridge);
    let port = Port::new();
    let gateway = Gateway::start(&config(second.port, port.path(), ""));
    let status = Counter::start(&first, "test/status");
    status.wait_for("test/status online");
    // The first gives up a link of ours that it had all the while.
    first.publish_retained("test/status", "offline");
    status.wait_for("test/status offline");
    status.wait_for("test/status online");
    gateway.terminate();
}
