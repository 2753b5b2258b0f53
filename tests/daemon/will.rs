//! Brokers that do not take the gateway's will as it is.

use crate::broker::Mosquitto;
use crate::config;
use crate::gateway::Gateway;
use crate::port::Port;

#[test]
fn a_broker_that_keeps_nothing_or_knows_less_qos_lets_us_in_all_the_same() {
    let port = Port::new();
    for (limit, less) in [
        ("retain_available false\n", "with a will that is not retained only"),
        ("max_qos 0\n", "with a will of QoS 0 only"),
        ("max_qos 0\nretain_available false\n", "with a will of QoS 0 that is not retained only"),
    ] {
        let broker = Mosquitto::with("", limit);
        let versions: &[_] = match limit.starts_with("retain") {
            true => &["auto", "5", "3.1.1", "3.1"],
            false => &["auto", "3.1.1"],
        };
        for version in versions {
            let text = config(broker.port, port.path(), "");
            let text = text.replace("keepalive", &format!("version: {version}\n  keepalive"));
            let gateway = Gateway::start(&text);
            gateway.log().wait_for(less);
            gateway.log().wait_for("connected to");
            gateway.terminate();
        }
    }
}

#[test]
fn a_broker_of_less_than_qos_2_takes_the_will_whole() {
    let port = Port::new();
    let broker = Mosquitto::with("", "max_qos 1\n");
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    gateway.log().wait_for("connected to");
    let log = gateway.terminate();
    assert!(!log.contains("will"), "{log}");
}
