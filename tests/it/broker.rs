//! The model broker that demo and tests rely on: what MQTT 3.1.1 says of brokers, and the switches
//! to break it. Numbers in parentheses are its sections.

use bytes::BytesMut;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::Version;
use tty2mqtt::mqtt::packet::{ConnAck, Connect, Decoded, Disconnect, Packet, PacketId};
use tty2mqtt::mqtt::packet::{Properties, Publish, Reason, Subscribe, Subscription, Unsubscribe};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::testing::broker::{Broker, Connection, Faults};
use tty2mqtt::testing::server::Server;

fn connect(client: &str, clean: bool) -> Connect {
    Connect {
        version: Version::V311,
        client_id: client.into(),
        clean,
        keep_alive: 10,
        will: None,
        user: None,
        password: None,
        properties: Properties::NONE,
    }
}

/// QoS 1 if it has an identifier.
fn publish(topic: &str, payload: &str, id: u16) -> Publish {
    Publish {
        topic: Some(topic.parse().unwrap()),
        payload: payload.to_owned().into(),
        qos: if id > 0 { Qos::AtLeastOnce } else { Qos::AtMostOnce },
        id: PacketId::new(id),
        dup: false,
        retain: false,
        properties: Properties::NONE,
    }
}

fn subscribe(filter: &str) -> Packet {
    let filters = vec![Subscription::new(filter.parse().unwrap(), Qos::ExactlyOnce)];
    let properties = Properties::NONE;
    Packet::Subscribe(Subscribe { id: PacketId::MIN, filters, properties })
}

fn encoded(packet: &Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    packet.encode(&mut bytes, Version::V311);
    bytes
}

struct World {
    broker: Broker,
    now: Instant,
}

impl World {
    fn new() -> World {
        World { broker: Broker::default(), now: Instant::now() }
    }

    fn says(&mut self, link: Connection, packet: &Packet) {
        self.broker.receive(link, &encoded(packet), self.now);
    }

    /// What the broker has for a client; `topic=payload`, with `!` for DUP and `*` for retained.
    fn hears(&mut self, link: Connection) -> Vec<String> {
        let mut bytes = self.broker.output(link).map(|output| output.split()).unwrap_or_default();
        let mut heard = Vec::new();
        while let Some(Decoded::Packet(packet)) =
            Packet::decode(&mut bytes, 1 << 20, Version::V311).unwrap()
        {
            heard.push(match packet {
                Packet::Publish(Publish { topic, payload, dup, retain, .. }) => {
                    let payload = String::from_utf8(payload.to_vec()).unwrap();
                    let (dup, retain) = (if dup { "!" } else { "" }, if retain { "*" } else { "" });
                    format!("{}={payload}{dup}{retain}", topic.unwrap())
                }
                other => other.to_string(),
            });
        }
        heard
    }

    /// A client comes in, and what it heard is thrown away.
    fn comes(&mut self, link: Connection, connect: Connect, filter: &str) {
        self.broker.open(link, self.now);
        self.says(link, &Packet::Connect(connect));
        self.says(link, &subscribe(filter));
        self.hears(link);
    }
}

#[test]
fn messages_go_to_who_asked_for_them_and_no_longer_4_7() {
    let mut world = World::new();
    world.comes(1, connect("one", true), "home/+/temperature");
    world.comes(2, connect("two", true), "#");
    for topic in ["home/attic/temperature", "home/attic/light"] {
        world.says(2, &Packet::Publish(publish(topic, "1", 0)));
    }
    assert_eq!(world.hears(1), ["home/attic/temperature=1"]);
    assert_eq!(world.hears(2), ["home/attic/temperature=1", "home/attic/light=1"]);
    let filters = vec!["#".parse().unwrap()];
    world.says(
        2,
        &Packet::Unsubscribe(Unsubscribe {
            id: PacketId::MIN,
            filters,
            properties: Properties::NONE,
        }),
    );
    world.says(1, &Packet::Publish(publish("x", "1", 0)));
    assert_eq!(world.hears(2), ["UNSUBACK (m1, [])"]);
}

#[test]
fn retained_messages_come_with_the_subscription_until_they_are_cleared_3_3_1_3() {
    let mut world = World::new();
    world.comes(1, connect("one", true), "none");
    for payload in ["old", "new", ""] {
        world.says(1, &Packet::Publish(Publish { retain: true, ..publish("t", payload, 0) }));
        world.broker.open(2, world.now);
        world.says(2, &Packet::Connect(connect("two", true)));
        world.hears(2);
        world.says(2, &subscribe("t"));
        let mut expected = vec!["SUBACK (m1, [granted QoS 2 (0x02)])".to_owned()];
        expected.extend((!payload.is_empty()).then(|| format!("t={payload}*")));
        assert_eq!(world.hears(2), expected);
        world.broker.close(2);
    }
}

#[test]
fn the_will_is_published_unless_the_client_says_goodbye_3_1_2_5() {
    for goodbye in [false, true] {
        let mut world = World::new();
        world.comes(1, connect("watch", true), "will");
        let will = Message {
            topic: "will".parse().unwrap(),
            payload: "lost".into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            properties: None,
        };
        world.comes(2, Connect { will: Some(will), ..connect("two", true) }, "none");
        if goodbye {
            world.says(2, &Packet::Disconnect(Disconnect::new(Reason::SUCCESS)));
        }
        world.broker.close(2);
        assert_eq!(world.hears(1), if goodbye { &[][..] } else { &["will=lost"] });
    }
}

#[test]
fn silence_for_one_and_a_half_keepalives_ends_the_link_3_1_2_10() {
    let mut world = World::new();
    world.comes(1, connect("one", true), "t");
    assert_eq!(world.broker.deadline(), Some(world.now + Duration::from_secs(15)));
    world.now += Duration::from_secs(14);
    world.says(1, &Packet::PingReq);
    world.now += Duration::from_secs(14);
    world.broker.timeout(world.now);
    assert!(!world.broker.is_closing(1));
    world.now += Duration::from_secs(1);
    world.broker.timeout(world.now);
    assert!(world.broker.is_closing(1));
    assert_eq!(world.broker.deadline(), None, "no busy loop");
}

#[test]
fn a_kept_session_gets_what_it_missed_and_what_it_did_not_acknowledge_4_4() {
    let mut world = World::new();
    world.comes(1, connect("keeps", false), "t");
    world.comes(2, connect("two", true), "none");
    world.says(2, &Packet::Publish(publish("t", "a", 1)));
    assert_eq!(world.hears(1), ["t=a"]);
    world.broker.close(1);
    world.says(2, &Packet::Publish(publish("t", "b", 2)));
    world.says(2, &Packet::Publish(publish("t", "not kept", 0)));
    world.broker.open(3, world.now);
    world.says(3, &Packet::Connect(connect("keeps", false)));
    assert_eq!(world.hears(3), ["CONNACK (s1, success (0x00))", "t=a!", "t=b"]);
    // Another one that is clean ends it.
    world.broker.close(3);
    for (link, clean) in [(4, true), (5, false)] {
        world.broker.open(link, world.now);
        world.says(link, &Packet::Connect(connect("keeps", clean)));
        assert_eq!(world.hears(link), ["CONNACK (s0, success (0x00))"]);
        world.broker.close(link);
    }
}

#[test]
fn a_second_client_of_the_same_name_throws_out_the_first_3_1_4() {
    let mut world = World::new();
    world.comes(1, connect("same", false), "t");
    world.comes(2, connect("same", false), "t");
    assert!(world.broker.is_closing(1) && !world.broker.is_closing(2));
    world.broker.close(1);
    world.says(2, &Packet::Publish(publish("t", "a", 0)));
    assert_eq!(world.hears(2), ["t=a"]);
}

#[test]
fn who_may_not_come_in_is_told_why_3_2_2_3() {
    let secret = || Some("pass".to_owned().into());
    let user = || Some("me".to_owned());
    let nameless = Connect { client_id: String::new(), ..connect("", false) };
    let known = Connect { user: user(), password: secret(), ..connect("one", true) };
    for (login, refuse, connect, expected) in [
        (false, None, connect("one", true), None),
        (true, None, known, None),
        (true, None, connect("one", true), Some(Reason::BAD_USER_NAME_OR_PASSWORD)),
        (false, Some(Reason::NOT_AUTHORIZED), connect("one", true), Some(Reason::NOT_AUTHORIZED)),
        (false, None, nameless, Some(Reason::CLIENT_IDENTIFIER_NOT_VALID)),
    ] {
        let mut world = World::new();
        world.broker.login = login.then(|| (user().unwrap(), secret().unwrap()));
        world.broker.faults.refuse = refuse;
        world.broker.open(1, world.now);
        world.says(1, &Packet::Connect(connect));
        let answer = ConnAck::new(false, expected.unwrap_or(Reason::SUCCESS));
        assert_eq!(world.hears(1), [Packet::ConnAck(answer).to_string()]);
        assert_eq!(world.broker.is_closing(1), expected.is_some());
    }
}

#[test]
fn acknowledgements_go_wrong_on_request() {
    let mut world = World::new();
    world.comes(1, connect("one", true), "none");
    world.broker.faults = Faults { lose_ack: 3, repeat_ack: 2, ..Faults::default() };
    let mut answers = Vec::new();
    for id in 1..=6 {
        world.says(1, &Packet::Publish(publish("t", "x", id)));
        answers.push(world.hears(1).len());
    }
    assert_eq!(answers, [1, 2, 0, 2, 1, 0]);
}

#[test]
fn a_broken_packet_ends_the_link_and_any_bytes_are_survived() {
    for bytes in [&b"\x00\x00"[..], b"\x30\x00", b"\x40\x02\x00\x01", b"\xFF\xFF\xFF\xFF\xFF\xFF"] {
        let mut world = World::new();
        world.broker.open(1, world.now);
        world.broker.receive(1, bytes, world.now);
        assert!(world.broker.is_closing(1), "{bytes:?}");
    }
}

/// A client on a real socket. Everything has a deadline.
struct Client(TcpStream, BytesMut);

impl Client {
    async fn comes(server: &Server) -> Client {
        let mut client =
            Client(TcpStream::connect(server.address()).await.unwrap(), BytesMut::new());
        client.says(&Packet::Connect(connect("tcp", false))).await;
        client
    }

    async fn says(&mut self, packet: &Packet) {
        self.0.write_all(&encoded(packet)).await.unwrap();
    }

    async fn hears(&mut self) -> io::Result<Packet> {
        loop {
            if let Some(Decoded::Packet(packet)) =
                Packet::decode(&mut self.1, 1000, Version::V311).unwrap()
            {
                return Ok(packet);
            }
            let read = tokio::time::timeout(Duration::from_secs(10), self.0.read_buf(&mut self.1));
            if read.await.expect("the broker answers or ends the link")? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn is_welcome(&mut self, session_present: bool) {
        let answer = ConnAck::new(session_present, Reason::SUCCESS);
        assert_eq!(self.hears().await.unwrap(), Packet::ConnAck(answer));
    }
}

#[tokio::test]
async fn the_server_hangs_up_and_comes_back_at_the_same_address() {
    let server = Server::start().await.unwrap();
    let mut client = Client::comes(&server).await;
    client.is_welcome(false).await;
    server.hang_up().await;
    assert!(client.hears().await.is_err());
    for (keep_sessions, session_present) in [(true, true), (false, false)] {
        let mut client = Client::comes(&server).await;
        client.is_welcome(true).await;
        server.restart(keep_sessions, Duration::ZERO).await;
        assert!(client.hears().await.is_err());
        let mut client = loop {
            // It may not listen again yet.
            if let Ok(stream) = TcpStream::connect(server.address()).await {
                break Client(stream, BytesMut::new());
            }
            tokio::task::yield_now().await;
        };
        client.says(&Packet::Connect(connect("tcp", false))).await;
        client.is_welcome(session_present).await;
    }
}

#[tokio::test]
async fn a_half_open_link_takes_everything_and_answers_nothing() {
    let server = Server::start().await.unwrap();
    let mut client = Client::comes(&server).await;
    client.is_welcome(false).await;
    server.half_open(true).await;
    // The order and the ping race to the same task: ask until it keeps silent.
    loop {
        client.says(&Packet::PingReq).await;
        let answer = tokio::time::timeout(Duration::from_millis(100), client.hears()).await;
        match answer {
            Ok(packet) => assert_eq!(packet.unwrap(), Packet::PingResp),
            Err(_) => break,
        }
    }
    server.half_open(false).await;
    client.says(&Packet::PingReq).await;
    assert_eq!(client.hears().await.unwrap(), Packet::PingResp);
}
