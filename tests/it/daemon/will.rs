//! Brokers that do not take the gateway's will as it is.

use crate::daemon::config;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;

#[test]
fn a_broker_that_keeps_nothing_or_knows_less_qos_lets_us_in_all_the_same() {
    needs!(mosquitto);
    let brokers = [
        ("retain_available false\n", "with a will that is not retained only"),
        ("max_qos 0\n", "with a will of QoS 0 only"),
        ("max_qos 0\nretain_available false\n", "with a will of QoS 0 that is not retained only"),
    ];
    let brokers = brokers.map(|(limit, less)| (Mosquitto::with("", limit), less));
    std::thread::scope(|scope| {
        for (broker, less) in &brokers {
            for version in ["auto", "5", "3.1.1", "3.1"] {
                scope.spawn(move || lets_us_in(broker, less, version));
            }
        }
    });
}

fn lets_us_in(broker: &Mosquitto, less: &str, version: &str) {
    let mut port = Port::new();
    let text = config(broker.port, port.path(), "");
    let text = text.replace("keepalive", &format!("version: {version}\n  keepalive"));
    // What it takes in messages no broker says before 5.0, so only the will is left to find out.
    let text = match version {
        "3.1.1" | "3.1" => text
            .replace("status:\n", "status:\n  retain: false\n  qos: 0\n")
            .replace("{topic:", "{qos: 0, topic:")
            .replace("broker:\n", "broker:\n  will: {qos: 1, retain: true}\n"),
        _ => text,
    };
    let name = format!("v{}", version.replace('.', "-"));
    let gateway = Gateway::start(&text.replace("gateway: test", &format!("gateway: {name}")));
    gateway.log().wait_for_all(&[less, "is open"]);
    let readings = Counter::start_at_a_limited(broker, &format!("{name}/line"));
    port.write(b"\r\n1,21.50,40\r\n");
    assert_eq!(readings.take_one("the reading"), format!("{name}/line 1"));
    gateway.terminate();
}

#[test]
fn a_broker_of_less_than_qos_2_takes_the_will_whole() {
    needs!(mosquitto);
    let port = Port::new();
    let broker = Mosquitto::with("", "max_qos 1\n");
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    gateway.log().wait_for("connected to");
    let log = gateway.terminate();
    assert!(!log.contains("will"), "{log}");
}
