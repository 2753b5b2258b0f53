//! What the gateway does with messages that it did not ask for: those that an earlier configuration
//! subscribed to in a session that the broker kept, and those to topics that cannot be.

use crate::daemon::login::Peer;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::Mosquitto;
use std::io::Read;
use std::net::TcpListener;
use tty2mqtt::mqtt::packet::{
    ConnAck, Packet, PacketId, Properties, Publish, Reason, RetainHandling,
};
use tty2mqtt::mqtt::topic::Qos;

fn command(topic: &str, id: u16) -> Packet {
    Packet::Publish(Publish {
        topic: Some(topic.parse().unwrap()),
        payload: "on".into(),
        qos: Qos::AtLeastOnce,
        id: PacketId::new(id),
        dup: false,
        retain: false,
        properties: Properties::NONE,
    })
}

/// The next packet that `wanted` makes something of.
fn wait<T>(peer: &mut Peer, what: &str, mut wanted: impl FnMut(Packet) -> Option<T>) -> T {
    loop {
        let packet = peer.hears().unwrap_or_else(|| panic!("no {what}"));
        if let Some(found) = wanted(packet) {
            return found;
        }
    }
}

fn acknowledged(peer: &mut Peer, id: u16) {
    wait(peer, "PUBACK", |packet| match packet {
        Packet::PubAck(ack) if ack.id.get() == id => Some(()),
        Packet::Disconnect(why) => panic!("{why:?}"),
        _ => None,
    });
}

#[test]
fn what_an_earlier_configuration_subscribed_to_ends_and_wildcards_are_passed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let gateway = Gateway::start(&format!(
        "gateway: g\nbroker: {{url: \"mqtt://127.0.0.1:{port}\", clean: false, version: \"5\"}}\n\
         ports:\n  p:\n    tcp: \"127.0.0.1:1\"\n    commands:\n\
         \x20     - {{topic: \"g/+/set\", send: \"{{payload}}\"}}\n\
         \x20     - {{topic: \"g/kept\", send: \"{{payload}}\", retained: true}}\n"
    ));
    let mut peer = Peer::new(listener.accept().unwrap().0);
    wait(&mut peer, "CONNECT", |packet| matches!(packet, Packet::Connect(_)).then_some(()));
    peer.says(&Packet::ConnAck(ConnAck::new(true, Reason::SUCCESS)));
    let filters = wait(&mut peer, "SUBSCRIBE", |packet| match packet {
        Packet::Subscribe(subscribe) => Some(subscribe.filters),
        _ => None,
    });
    let wanted = |filter: &str| filters.iter().find(|it| it.filter.as_str() == filter).unwrap();
    assert_eq!(wanted("g/+/set").retain_handling, RetainHandling::DoNotSend);
    assert_eq!(wanted("g/kept").retain_handling, RetainHandling::Send);

    // RabbitMQ's `*`.
    peer.says_bytes(b"\x32\x0d\x00\x06g/m/+/\x00\x07\x00no");
    acknowledged(&mut peer, 7);
    gateway.log().wait_for("broker.amqp_topics");

    peer.says(&command("old/pump/set", 8));
    acknowledged(&mut peer, 8);
    let given_up = wait(&mut peer, "UNSUBSCRIBE", |packet| match packet {
        Packet::Unsubscribe(it) => Some(it.filters),
        _ => None,
    });
    let given_up: Vec<_> = given_up.iter().map(|filter| filter.as_str()).collect();
    for filter in ["old/pump/set", "old/+/set", "old/#", "+/pump/+"] {
        assert!(given_up.contains(&filter), "{given_up:?}");
    }
    assert!(!given_up.contains(&"g/+/set"));
    gateway.log().wait_for("an earlier configuration subscribed to old/pump/set");
    gateway.kill();
}

#[test]
fn a_kept_session_of_mosquitto_forgets_what_the_configuration_no_longer_wants() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let device = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = |topic: &str| {
        format!(
            "gateway: g\nbroker: {{url: \"mqtt://127.0.0.1:{}\", clean: false}}\nports:\n  p:\n\
             \x20   tcp: \"{}\"\n    commands: [{{topic: \"{topic}\", send: \"{{payload}}\\n\"}}]\n",
            broker.port,
            device.local_addr().unwrap()
        )
    };
    let gateway = Gateway::start(&config("old/+/set"));
    gateway.log().wait_for("subscribed to old/+/set");
    gateway.kill();
    let gateway = Gateway::start(&config("g/now"));
    gateway.log().wait_for("session resumed");
    gateway.log().wait_for("subscribed to g/now");
    broker.publish("old/pump/set", "1");
    gateway.log().wait_for("an earlier configuration subscribed to old/pump/set");
    // Behind the answer to this one, that to UNSUBSCRIBE has come.
    let mut device = device.incoming().nth(1).unwrap().unwrap();
    let mut command = |payload: &str| {
        broker.publish("g/now", payload);
        let mut line = vec![0; payload.len() + 1];
        device.read_exact(&mut line).unwrap();
        assert_eq!(line, format!("{payload}\n").as_bytes());
    };
    command("first");
    broker.publish("old/fan/set", "1");
    command("second");
    let log = gateway.terminate();
    assert!(!log.contains("old/fan/set"), "{log}");
}
