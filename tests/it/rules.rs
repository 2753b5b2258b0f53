//! What goes wrong with other clients must not go wrong with this one. `rules.tsv` lists the rules
//! and the tests that prove them; these are those that have no better place.

use crate::support::linked::Link;
use crate::support::peer::{Peer, link, link_of, session};
use crate::support::talk::{Said, Talk, ack, from_broker, id, message, options, with};
use bytes::BytesMut;
use std::path::Path;
use tokio::time::{Instant, timeout};
use tty2mqtt::mqtt::client::{self, Client};
use tty2mqtt::mqtt::fifo::Fifo;
use tty2mqtt::mqtt::link::{CloseReason, Event, LinkError};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Ack, ConnAck, Disconnect, Packet, Properties, Property, Publish};
use tty2mqtt::mqtt::packet::{Reason, SubAck, Subscription, Version};
use tty2mqtt::mqtt::session::{self, Options, Session, SessionError};
use tty2mqtt::mqtt::topic::Qos::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use tty2mqtt::testing::outbox::Outcome;

use crate::support::talk::SECOND;

/// A client whose peer does what the test says.
fn client(session: session::Options, streams: usize) -> (Client, client::Events, Vec<Peer>) {
    let (link, peers) = link(session, streams);
    let (client, events) = Client::run(link.link, Fifo::default());
    (client, events, peers)
}

async fn down(link: &mut Link) -> LinkError {
    loop {
        if let Event::Down(why) = link.event().await {
            return why;
        }
    }
}

fn wanted(filter: &str, qos: Qos) -> Vec<Subscription> {
    vec![Subscription::new(filter.parse().unwrap(), qos)]
}

#[test]
fn b4_a_resumed_session_holds_messages_until_somebody_takes_them() {
    let mut talk = Talk::up(Vec::new());
    talk.again();
    talk.say(from_broker("a", AtLeastOnce, 3).into()).unwrap();
    talk.say(from_broker("b", ExactlyOnce, 4).into()).unwrap();
    assert!(talk.hears().is_empty(), "nobody has them yet");
    assert_eq!(talk.takes(), ["a", "b"]);
    assert_eq!(talk.hears(), ["PUBACK 3", "PUBREC 4"]);
}

#[test]
fn b4_an_unknown_pubrel_is_answered() {
    let mut talk = Talk::up(Vec::new());
    talk.again();
    talk.say(ack(Packet::PubRel, 9)).unwrap();
    let unknown = Ack::new(id(9), Reason::PACKET_IDENTIFIER_NOT_FOUND);
    assert_eq!(talk.hear(), [Packet::PubComp(unknown)]);
}

#[test]
fn b7_a_broker_that_sends_more_at_once_than_we_take_is_held_back() {
    let mut talk = Talk::new(Options { receive_maximum: 3, manual_ack: true, ..options() });
    talk.connect(false, Vec::new()).unwrap();
    for number in 1..=5 {
        talk.say(from_broker("a", AtLeastOnce, number).into()).unwrap();
        assert_eq!(talk.session.wants_input(), number < 3);
    }
    assert!(talk.hears().is_empty(), "nor is it left");
}

/// Without an end it would fill our memory.
#[test]
fn b7_a_broker_that_sends_more_and_more_is_told_so() {
    let options = Options { hold: Some(SECOND), manual_ack: true, ..options() };
    let mut talk = Talk::new(options);
    talk.connect(false, Vec::new()).unwrap();
    let sends = (1..=u16::MAX).find_map(|number| {
        while talk.session.event().is_some() {}
        let said = talk.say(from_broker("a", AtLeastOnce, number).into());
        said.err().map(|error| (number, error))
    });
    let (number, error) = sends.unwrap();
    assert_eq!((number, error.reason()), (16_385, Reason::RECEIVE_MAXIMUM_EXCEEDED));
    assert_eq!(talk.hears(), ["DISCONNECT 93"]);
}

#[test]
fn b7_a_broker_is_held_back_for_a_second_in_all_until_it_has_no_more() {
    let options = Options { receive_maximum: 3, hold: Some(SECOND), manual_ack: true, ..options() };
    let mut talk = Talk::new(options);
    talk.connect(false, Vec::new()).unwrap();
    let mut number = 0;
    let mut say = |talk: &mut Talk, n: u16| {
        for _ in 0..n {
            number += 1;
            talk.say(from_broker("a", AtLeastOnce, number).into()).unwrap();
        }
    };
    say(&mut talk, 4);
    assert!(!talk.session.wants_input());
    talk.now += SECOND / 2;
    let mut tokens = Vec::new();
    let mut take = |talk: &mut Talk, n: usize| {
        let events = std::iter::from_fn(|| talk.session.event());
        tokens.extend(events.filter_map(|event| match event {
            session::Event::Message(received) => received.token,
            _ => None,
        }));
        for token in tokens.drain(..n) {
            talk.session.acknowledge(token, Reason::SUCCESS);
        }
    };
    // Some room: more is read, and is too much again; half a second is left.
    take(&mut talk, 2);
    assert!(talk.session.wants_input());
    say(&mut talk, 3);
    assert!(!talk.session.wants_input());
    let due = talk.session.deadline().unwrap();
    assert_eq!(due, talk.now + SECOND / 2);
    talk.now = due;
    talk.session.timeout(talk.now).unwrap();
    // From then on it is read, however much there is.
    for _ in 0..20 {
        assert!(talk.session.wants_input());
        say(&mut talk, 3);
        talk.session.ran_dry();
    }
    // Once it has no more, and little is unanswered, it may be held back again.
    take(&mut talk, 63);
    talk.session.ran_dry();
    say(&mut talk, 3);
    assert!(!talk.session.wants_input());
}

#[test]
fn b7_a_broker_of_3_1_1_is_read_only_while_there_is_room() {
    let version = Some(Version::V311);
    let mut talk =
        Talk::new(Options { receive_maximum: 3, manual_ack: true, version, ..options() });
    talk.session.connect(talk.now).unwrap();
    let mut bytes = BytesMut::new();
    Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS)).encode(&mut bytes, Version::V311);
    for number in 1..=3 {
        let publish = Packet::Publish(from_broker("a", AtLeastOnce, number));
        publish.encode(&mut bytes, Version::V311);
    }
    talk.session.receive(&mut bytes, &mut talk.outbox, talk.now).unwrap();
    assert!(!talk.session.wants_input());
    let tokens = std::iter::from_fn(|| talk.session.event()).filter_map(|event| match event {
        session::Event::Message(received) => received.token,
        _ => None,
    });
    let tokens: Vec<_> = tokens.collect();
    talk.session.acknowledge(tokens[0], Reason::SUCCESS);
    assert!(talk.session.wants_input());
}

#[test]
fn b8_an_alias_that_stands_for_nothing_is_an_error() {
    let mut talk = Talk::up(Vec::new());
    let publish = with(Property::TopicAlias(1), from_broker("a", AtMostOnce, 0));
    talk.say(publish.clone().into()).unwrap();
    let by_alias = Publish { topic: None, ..publish };
    talk.say(by_alias.clone().into()).unwrap();
    assert_eq!(talk.takes(), ["a", "a"]);
    // The next link begins without any.
    talk.again();
    let error = talk.say(by_alias.into()).unwrap_err();
    assert_eq!(error.reason(), Reason::PROTOCOL_ERROR);
    assert_eq!(talk.hears(), ["DISCONNECT 82"]);
}

#[test]
fn b8_a_broker_that_allows_no_alias_gets_none() {
    let mut talk = Talk::up(Vec::new());
    talk.publish("a", AtLeastOnce);
    let [Packet::Publish(publish)] = &talk.hear()[..] else { panic!() };
    assert_eq!((publish.properties.topic_alias(), publish.topic.is_some()), (None, true));
}

#[test]
fn b9_a_message_too_large_for_the_broker_fails_alone() {
    let mut talk = Talk::up(vec![Property::MaximumPacketSize(50)]);
    talk.publish(&"x".repeat(100), AtLeastOnce);
    talk.publish("a", AtLeastOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 2"]);
    let refused =
        |event| matches!(event, session::Event::Refused { reason: Reason::PACKET_TOO_LARGE, .. });
    assert_eq!(
        std::iter::from_fn(|| talk.session.event()).filter(|e| refused(e.clone())).count(),
        1
    );
    assert_eq!(talk.outbox.messages(), 1);
}

#[tokio::test(start_paused = true)]
async fn b9_a_retained_giant_ends_no_link() {
    let (mut link, mut peers) = link(session::Options { largest: 1000, ..session() }, 1);
    link.session.subscribe(wanted("t", AtLeastOnce), &Properties::NONE);
    let mut peer = peers.pop().unwrap();
    let talk = async {
        peer.answers(Reason::SUCCESS).await;
        for n in 1..=20 {
            let giant = from_broker(&"x".repeat(100_000), AtLeastOnce, n);
            peer.says(Packet::Publish(Publish { retain: true, ..giant })).await;
        }
        let mut acknowledged = 0;
        while acknowledged < 20 {
            if let Some(Packet::PubAck(_)) = peer.hears().await {
                acknowledged += 1;
            }
        }
    };
    let mut giants = 0;
    let listen = async {
        loop {
            match link.event().await {
                Event::Session(session::Event::Oversize { bytes, start, .. }) => {
                    assert!(bytes >= 100_000 && start.len() == 1024, "{bytes} {}", start.len());
                    giants += 1;
                }
                Event::Down(why) => panic!("{why}"),
                _ => {}
            }
        }
    };
    tokio::select! {
        () = talk => {}
        () = listen => {}
    }
    assert_eq!(giants, 20);
}

#[test]
fn b10_pings_make_no_storm() {
    let mut talk = Talk::new(Options { keepalive: 10 * SECOND, ..options() });
    talk.connect(false, Vec::new()).unwrap();
    let mut pings = 0;
    // Messages come all the time and nothing of ours goes out, for ten minutes.
    for _ in 0..600 {
        talk.say(from_broker("a", AtMostOnce, 0).into()).unwrap();
        talk.takes();
        talk.wait(SECOND).unwrap();
        if !talk.session.output().is_empty() {
            assert_eq!(talk.hears(), ["PINGREQ"]);
            pings += 1;
            talk.say(Said(Packet::PingResp)).unwrap();
        }
    }
    assert!((50..=61).contains(&pings), "{pings}");
}

#[tokio::test(start_paused = true)]
async fn b11_who_publishes_while_it_handles_a_message_blocks_nobody() {
    let (client, mut events, mut peers) = client(session(), 1);
    let mut peer = peers.pop().unwrap();
    let broker = async {
        peer.answers(Reason::SUCCESS).await;
        for _ in 0..20 {
            for _ in 0..100 {
                peer.says(Packet::Publish(from_broker("question", AtMostOnce, 0))).await;
            }
            let mut answered = 0;
            while answered < 100 {
                if let Some(Packet::Publish(publish)) = peer.hears().await {
                    peer.says(Packet::PubAck(Ack::new(publish.id.unwrap(), Reason::SUCCESS))).await;
                    answered += 1;
                }
            }
        }
    };
    let handler = async {
        while let Some(event) = events.next().await {
            if let client::Event::Message(_) = event {
                // And even waits until the broker has the answer.
                let receipt = client.publish(message("t", "answer", AtLeastOnce)).await.unwrap();
                assert_eq!(receipt.await, Ok(Outcome::Delivered(Reason::SUCCESS)));
            }
        }
    };
    let both = async {
        tokio::select! {
            () = broker => {}
            () = handler => {}
        }
    };
    timeout(60 * SECOND, both).await.expect("nobody waits for anybody");
}

#[tokio::test(start_paused = true)]
async fn b11_a_busy_task_gives_the_message_back() {
    let (client, _events, _peers) = client(session(), 1);
    let mut taken = 0;
    let back = loop {
        match client.try_publish(message("t", &taken.to_string(), AtLeastOnce)) {
            Ok(_) => taken += 1,
            Err(message) => break message,
        }
    };
    assert_eq!((back.payload, taken), (taken.to_string().into(), 64));
}

#[tokio::test(start_paused = true)]
async fn b12_events_that_nobody_takes_are_bounded() {
    // Each link brings as many messages as may be unacknowledged, and is lost.
    const LINKS: usize = 60;
    let (_client, mut events, mut peers) = client(session(), LINKS);
    let mut links = 0;
    let mut last = loop {
        let mut peer = peers.pop().unwrap();
        if timeout(600 * SECOND, peer.answers(Reason::SUCCESS)).await.is_err() {
            break peer;
        }
        links += 1;
        assert!(links < LINKS, "there is always another link");
        for n in 1..=64 {
            peer.says(Packet::Publish(from_broker("x", AtLeastOnce, n))).await;
        }
        // Time to have them taken in, then the link breaks.
        tokio::time::sleep(SECOND).await;
    };
    // Somebody begins to listen: the client comes back.
    let mut messages = 0;
    while let Ok(Some(event)) = timeout(SECOND, events.next()).await {
        messages += usize::from(matches!(event, client::Event::Message(_)));
    }
    assert!((512..=600).contains(&messages), "{messages}");
    timeout(600 * SECOND, last.answers(Reason::SUCCESS)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn b13_a_stream_that_takes_a_few_bytes_at_a_time_gets_all_of_them() {
    for size in [1, 7] {
        let (mut link, mut peers) = link_of(session(), 1, size);
        let mut peer = peers.pop().unwrap();
        let texts: Vec<_> = (0..20).map(|n| n.to_string().repeat(100)).collect();
        for text in &texts {
            link.outbox.push(message("t", text, AtMostOnce));
        }
        let talk = async {
            peer.answers(Reason::SUCCESS).await;
            for text in &texts {
                let Some(Packet::Publish(publish)) = peer.hears().await else { panic!() };
                assert_eq!(publish.payload, text);
            }
        };
        tokio::select! {
            () = talk => {}
            why = down(&mut link) => panic!("{why}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn b18_a_shutdown_sends_what_waits_and_then_says_goodbye() {
    let (client, _events, mut peers) = client(session(), 1);
    let mut peer = peers.pop().unwrap();
    for n in 0..50 {
        let qos = [AtMostOnce, AtLeastOnce][n % 2];
        client.publish(message("t", &n.to_string(), qos)).await.unwrap();
    }
    let broker = async {
        peer.answers(Reason::SUCCESS).await;
        let mut said = Vec::new();
        while let Some(packet) = peer.hears().await {
            if let Packet::Publish(Publish { id: Some(id), .. }) = packet {
                peer.says(Packet::PubAck(Ack::new(id, Reason::SUCCESS))).await;
            }
            said.push(packet);
        }
        said
    };
    let (left, said) = tokio::join!(client.shutdown(Reason::SUCCESS, 10 * SECOND), broker);
    assert_eq!(left, Ok(0));
    assert_eq!(said.len(), 51);
    assert_eq!(said[50], Packet::Disconnect(Disconnect::new(Reason::SUCCESS)));
}

#[tokio::test(start_paused = true)]
async fn b19_leaving_while_a_dead_link_ends_brings_none_back() {
    let keepalive = 5 * SECOND;
    let (mut link, mut peers) = link(session::Options { keepalive, ..session() }, 2);
    let mut peer = peers.pop().unwrap();
    tokio::join!(link.event(), peer.answers(Reason::SUCCESS));
    // A ping stays unanswered, and at the same moment the application leaves.
    let ping_is_due = async { while peer.hears().await != Some(Packet::PingReq) {} };
    tokio::select! {
        _ = link.event() => panic!("too early"),
        () = ping_is_due => {}
    }
    tokio::time::sleep(keepalive).await;
    link.leave(Reason::SUCCESS);
    assert!(matches!(link.event().await, Event::Stopped));
    let next = timeout(600 * SECOND, link.event()).await.unwrap();
    assert!(matches!(next, Event::Stopped), "nothing else happens any more");
    assert!(link.is_stopped());
}

#[tokio::test(start_paused = true)]
async fn b19_a_dead_link_comes_back_again_and_again() {
    let keepalive = 5 * SECOND;
    let (mut link, mut peers) = link(session::Options { keepalive, ..session() }, 100);
    for _ in 0..100 {
        let mut peer = peers.pop().unwrap();
        let (why, _) = tokio::join!(down(&mut link), peer.answers(Reason::SUCCESS));
        assert_eq!(why.close_reason(), CloseReason::PingTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn b20_a_subscription_that_a_lost_link_cuts_off_is_answered_on_the_next() {
    let (client, _events, mut peers) = client(session(), 2);
    let mut first = peers.pop().unwrap();
    let mut second = peers.pop().unwrap();
    let broker = async move {
        first.answers(Reason::SUCCESS).await;
        assert!(matches!(first.hears().await, Some(Packet::Subscribe(_))));
        drop(first);
        second.answers(Reason::SUCCESS).await;
        answer(&mut second).await;
        second
    };
    let call = client.subscribe(wanted("a", AtLeastOnce), Properties::NONE);
    let (granted, _peer) = tokio::join!(timeout(60 * SECOND, call), broker);
    assert_eq!(granted.unwrap().unwrap()[0].1, Ok(AtLeastOnce));
}

/// Grants the next SUBSCRIBE.
async fn answer(peer: &mut Peer) {
    let Some(Packet::Subscribe(subscribe)) = peer.hears().await else { panic!("no SUBSCRIBE") };
    let reasons = vec![Reason::GRANTED_QOS_1; subscribe.filters.len()];
    let properties = Properties::NONE;
    peer.says(Packet::SubAck(SubAck { id: subscribe.id, reasons, properties })).await;
}

#[tokio::test(start_paused = true)]
async fn b20_calls_that_a_later_one_takes_the_place_of_are_answered() {
    let (client, _events, mut peers) = client(session(), 1);
    let mut peer = peers.pop().unwrap();
    let subscribe = |filter| client.subscribe(wanted(filter, AtLeastOnce), Properties::NONE);
    let unsubscribe =
        |filter: &str| client.unsubscribe(vec![filter.parse().unwrap()], Properties::NONE);
    let twice = [wanted("a", AtMostOnce), wanted("a", AtLeastOnce)].concat();
    // All of them before there is a link; in this order.
    let calls = async {
        tokio::join!(
            biased;
            subscribe("a"),
            subscribe("a"),
            client.subscribe(twice, Properties::NONE),
            subscribe("b"),
            unsubscribe("b"),
            unsubscribe("c"),
            subscribe("c"),
            client.subscribe(Vec::new(), Properties::NONE),
            client.unsubscribe(Vec::new(), Properties::NONE),
        )
    };
    let broker = async {
        tokio::time::sleep(SECOND).await;
        peer.answers(Reason::SUCCESS).await;
        loop {
            let packet = match peer.hears().await.unwrap() {
                Packet::Subscribe(it) => {
                    let reasons = vec![Reason::GRANTED_QOS_1; it.filters.len()];
                    let properties = Properties::NONE;
                    Packet::SubAck(SubAck { id: it.id, reasons, properties })
                }
                Packet::Unsubscribe(it) => {
                    let reasons = vec![Reason::SUCCESS; it.filters.len()];
                    let properties = Properties::NONE;
                    Packet::UnsubAck(SubAck { id: it.id, reasons, properties })
                }
                Packet::PingReq => Packet::PingResp,
                other => panic!("{other}"),
            };
            peer.says(packet).await;
        }
    };
    let answers = tokio::select! {
        answers = timeout(60 * SECOND, calls) => answers.expect("nobody waits for ever"),
        () = broker => return,
    };
    assert_eq!(answers.0.unwrap()[0].1, Ok(AtLeastOnce));
    assert_eq!(answers.1.unwrap()[0].1, Ok(AtLeastOnce));
    assert_eq!(answers.2.unwrap().len(), 2);
    assert_eq!(answers.3.unwrap()[0].1, Err(Reason::IMPLEMENTATION_SPECIFIC_ERROR));
    assert_eq!(answers.4.unwrap()[0].1, Reason::SUCCESS);
    assert_eq!(answers.5.unwrap()[0].1, Reason::SUCCESS);
    assert_eq!(answers.6.unwrap()[0].1, Ok(AtLeastOnce));
    assert!(answers.7.unwrap().is_empty() && answers.8.unwrap().is_empty());
}

#[test]
fn b22_each_violation_is_told_with_its_own_reason() {
    type Violation = fn(&mut Talk) -> Result<(), SessionError>;
    let violations: [(Violation, &str); 3] = [
        (
            |talk| {
                talk.session.receive(
                    &mut BytesMut::from(&[0x30, 0x00][..]),
                    &mut talk.outbox,
                    talk.now,
                )
            },
            "81",
        ),
        (|talk| talk.say(Said(Packet::PingReq)), "82"),
        (
            |talk| {
                let long = vec![Reason::GRANTED_QOS_1; 1000];
                talk.say(SubAck { id: id(1), reasons: long, properties: Properties::NONE }.into())
            },
            "95",
        ),
    ];
    for (violation, code) in violations {
        let mut talk = Talk::new(Options { largest: 500, ..options() });
        talk.connect(false, Vec::new()).unwrap();
        assert!(violation(&mut talk).is_err());
        assert_eq!(talk.hears(), [format!("DISCONNECT {code}")]);
    }
}

#[test]
fn b22_another_server_that_the_broker_names_is_in_the_log() {
    let other = Properties(vec![Property::ServerReference("other.example:1883".into())]);
    for reason in [Reason::USE_ANOTHER_SERVER, Reason::SERVER_MOVED] {
        let mut talk = Talk::new(options());
        talk.knock();
        let refusal = ConnAck { session_present: false, reason, properties: other.clone() };
        let error = talk.say(refusal.into()).unwrap_err();
        assert!(error.to_string().contains("other.example:1883"), "{error}");
        let mut talk = Talk::up(Vec::new());
        let error = talk.say(Disconnect { reason, properties: other.clone() }.into()).unwrap_err();
        assert!(error.to_string().contains("other.example:1883"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn b23_an_identifier_is_taken_until_its_message_is_acknowledged() {
    let (_client, mut events, mut peers) =
        client(session::Options { manual_ack: true, ..session() }, 1);
    let mut peer = peers.pop().unwrap();
    peer.answers(Reason::SUCCESS).await;
    let start = Instant::now();
    let mut tokens = Vec::new();
    // The broker repeats what was not acknowledged: it is the same message of QoS 2.
    for dup in [false, true] {
        let publish = Publish { dup, ..from_broker("x", ExactlyOnce, 7) };
        peer.says(Packet::Publish(publish)).await;
        while let Ok(Some(event)) = timeout(SECOND, events.next()).await {
            if let client::Event::Message(message) = event {
                tokens.push(message.token.unwrap());
            }
        }
    }
    assert_eq!(tokens.len(), 1, "after {:?}", start.elapsed());
    assert_eq!(tokens[0].id(), id(7));
}

/// Rule 24: what reads a clock is `clock.rs`, and tokio's own for the deadlines of links.
#[test]
fn b24_the_protocol_knows_no_wall_clock() {
    fn look(folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]").next().unwrap();
            for forbidden in ["SystemTime::now", "std::time::Instant::now", "UNIX_EPOCH.elapsed"] {
                assert!(!code.contains(forbidden), "{}: {forbidden}", path.display());
            }
            // Neither does what has its time as an argument.
            let is_pure = ["session", "packet"].iter().any(|part| path.iter().any(|p| p == *part));
            assert!(!is_pure || !code.contains("::now()"), "{}", path.display());
        }
    }
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mqtt"));
}

/// A PUBLISH as RabbitMQ makes them of `gw/m/*`.
fn to_wildcard(qos: u8, number: u8, dup: bool) -> Vec<u8> {
    let mut body = b"\x00\x06gw/m/+".to_vec();
    if qos > 0 {
        body.extend([0, number]);
    }
    body.extend(b"\x00off");
    let mut bytes = vec![0x30 | qos << 1 | u8::from(dup) << 3, body.len() as u8];
    bytes.extend(body);
    bytes
}

impl Talk {
    fn say_bytes(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        self.session.receive(&mut BytesMut::from(bytes), &mut self.outbox, self.now)
    }
}

#[test]
fn a_message_to_a_wildcard_is_passed_over_and_acknowledged() {
    for (qos, answer) in [(0, None), (1, Some("PUBACK 7")), (2, Some("PUBREC 7"))] {
        let mut talk = Talk::up(Vec::new());
        talk.say_bytes(&to_wildcard(qos, 7, false)).unwrap();
        assert_eq!(talk.hears(), Vec::from_iter(answer));
        let told = std::iter::from_fn(|| talk.session.event()).last();
        let topic = Some("gw/m/+".to_owned());
        assert_eq!(told, Some(session::Event::WildcardTopic { topic }));
        // What follows is taken as ever, and a repetition is answered again.
        talk.say(from_broker("next", AtLeastOnce, 8).into()).unwrap();
        assert_eq!(talk.takes(), ["next"]);
        assert_eq!(talk.hears(), ["PUBACK 8"]);
        if let Some(answer) = answer {
            talk.say_bytes(&to_wildcard(qos, 7, true)).unwrap();
            assert_eq!(talk.hears(), [answer]);
        }
    }
    // In the middle of what is acknowledged by hand, its answer keeps its place.
    let mut talk = Talk::new(Options { manual_ack: true, ..options() });
    talk.connect(false, Vec::new()).unwrap();
    talk.say(from_broker("first", AtLeastOnce, 1).into()).unwrap();
    talk.say_bytes(&to_wildcard(1, 2, false)).unwrap();
    assert!(talk.hears().is_empty());
    let token = std::iter::from_fn(|| talk.session.event()).find_map(|event| match event {
        session::Event::Message(received) => received.token,
        _ => None,
    });
    talk.session.acknowledge(token.unwrap(), Reason::SUCCESS);
    assert_eq!(talk.hears(), ["PUBACK 1", "PUBACK 2"]);
}

#[test]
fn an_alias_of_a_topic_with_a_wildcard_stands_for_one() {
    let mut talk = Talk::up(Vec::new());
    talk.say_bytes(b"\x30\x09\x00\x01+\x03\x23\x00\x01hi").unwrap();
    talk.say_bytes(b"\x32\x0a\x00\x00\x00\x05\x03\x23\x00\x01hi").unwrap();
    assert_eq!(talk.hears(), ["PUBACK 5"]);
    assert!(talk.takes().is_empty());
    // The number gets a topic after all.
    let publish = with(Property::TopicAlias(1), from_broker("a", AtMostOnce, 0));
    talk.say(publish.clone().into()).unwrap();
    talk.say(Publish { topic: None, ..publish }.into()).unwrap();
    assert_eq!(talk.takes(), ["a", "a"]);
}

#[test]
fn a_publish_that_breaks_the_protocol_is_answered_with_the_standards_reason() {
    for (bytes, reason) in [
        (&b"\x30\x03\x00\x00\x00"[..], "DISCONNECT 82"),
        (b"\x30\x06\x00\x00\x03\x23\x00\x01", "DISCONNECT 82"),
        (b"\x30\x07\x00\x01a\x03\x23\x00\x00", "DISCONNECT 94"),
        (b"\x30\x07\x00\x01a\x03\x23\x00\x64", "DISCONNECT 94"),
        (b"\x30\x07\x00\x01+\x03\x23\x00\x64", "DISCONNECT 94"),
        (b"\x30\x04\x00\x01\x00\x00", "DISCONNECT 81"),
    ] {
        let mut talk = Talk::up(Vec::new());
        talk.say_bytes(bytes).unwrap_err();
        assert_eq!(talk.hears(), [reason], "{bytes:x?}");
    }
}

#[test]
fn a_message_goes_that_is_as_large_as_the_broker_takes() {
    for aliases in [0, 10] {
        for size in 24..=31 {
            let properties =
                vec![Property::MaximumPacketSize(30), Property::TopicAliasMaximum(aliases)];
            let mut talk = Talk::up(properties);
            talk.outbox.push(message("pub/test", &"x".repeat(size - 13), AtMostOnce));
            talk.session.send(&mut talk.outbox);
            let sent = talk.session.output().len();
            // An alias goes where there is room for it.
            let alias = if aliases > 0 && size + 5 <= 30 { 3 } else { 0 };
            assert_eq!(sent, if size <= 30 { size + alias } else { 0 }, "{size} {aliases}");
        }
    }
}

#[test]
fn what_is_longer_than_its_length_can_say_is_refused() {
    let long = || "é".repeat(32_768);
    let secret = || Some(long().into());
    let will = |payload: String| Some(Message::new("w".parse().unwrap(), payload));
    let properties = Properties(vec![Property::user("name", long())]);
    for (options, what) in [
        (Options { client_id: long(), ..options() }, "client identifier"),
        (Options { user: Some(long()), ..options() }, "user name"),
        (Options { password: secret(), ..options() }, "password"),
        (Options { will: will(long()), ..options() }, "will's payload"),
        (Options { properties, ..options() }, "property"),
    ] {
        let mut session = Session::new(options);
        let error = session.connect(std::time::Instant::now()).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("65535"), "{error}");
        assert!(session.output().is_empty());
    }
    // The longest that goes, goes.
    let longest = "x".repeat(65_535);
    let mut talk = Talk::new(Options { user: Some(longest.clone()), ..options() });
    assert_eq!(talk.knock().user, Some(longest));
    // What goes with other packets.
    let property = || Properties(vec![Property::ReasonString(long()), Property::user("a", long())]);
    let mut talk = Talk::up(Vec::new());
    let mut message = message("t", "m", AtLeastOnce);
    message.properties = Some(std::sync::Arc::new(property()));
    talk.outbox.push(message);
    talk.session.subscribe(
        vec![Subscription::new("f".parse().unwrap(), AtMostOnce)],
        &Properties(vec![Property::user("a", long())]),
    );
    talk.session.unsubscribe(vec!["g".parse().unwrap()], &property());
    assert!(talk.hears().is_empty());
    let refused = std::iter::from_fn(|| talk.session.event()).filter(|event| {
        let too_large = Reason::PACKET_TOO_LARGE;
        match event {
            session::Event::Refused { reason, .. } => *reason == too_large,
            session::Event::Subscribed { granted, .. } => *granted == Err(too_large),
            session::Event::Unsubscribed { reason, .. } => *reason == too_large,
            _ => false,
        }
    });
    assert_eq!(refused.count(), 3);
    let bye = Disconnect { properties: property(), ..Disconnect::new(Reason::SUCCESS) };
    talk.session.disconnect(bye);
    assert_eq!(talk.hear(), [Packet::Disconnect(Disconnect::new(Reason::SUCCESS))]);
}

#[test]
fn a_refusal_is_told_whatever_the_session_flag_says() {
    for (version, bytes, code) in [
        (Version::V5, &b"\x20\x03\x01\x86\x00"[..], 0x86),
        (Version::V311, b"\x20\x02\x01\x05", 0x87),
    ] {
        let mut talk = Talk::new(Options { version: Some(version), ..options() });
        talk.session.connect(talk.now).unwrap();
        match talk.say_bytes(bytes) {
            Err(SessionError::Refused(answer)) => {
                assert_eq!((answer.reason.code(), answer.session_present), (code, false));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn authentication_data_without_a_method_is_no_reason_to_leave_a_broker_that_lets_us_in() {
    let mut talk = Talk::new(options());
    talk.knock();
    talk.say_bytes(b"\x20\x07\x00\x00\x04\x16\x00\x01a").unwrap();
    talk.publish("a", AtMostOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 0"]);
}

#[test]
fn a_maximum_packet_size_is_said_only_where_it_limits_something() {
    for (largest, said) in [(1 << 20, Some(1 << 20)), (268_435_455 + 5, None), (usize::MAX, None)] {
        let mut talk = Talk::new(Options { largest, ..options() });
        assert_eq!(talk.knock().properties.maximum_packet_size().copied(), said);
    }
}
