//! What the client offers those who come from another one, on streams in memory.

use crate::support::linked::Link;
use crate::support::peer::{Peer, link, session};
use crate::support::talk::{SECOND, Talk, from_broker, id, message, options};
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncReadExt, duplex};
use tokio::time::Instant;
use tty2mqtt::mqtt::client::{Client, Ended, Event, Settings};
use tty2mqtt::mqtt::fifo::{Bounds, Fifo};
use tty2mqtt::mqtt::link::{self, Io, State};
use tty2mqtt::mqtt::packet::{Ack, ConnAck, Disconnect, Packet, Pair, Properties, Property};
use tty2mqtt::mqtt::packet::{Reason, Version};
use tty2mqtt::mqtt::session::{self, Clean, OnOversize, Options, Session};
use tty2mqtt::mqtt::source::Outcome;
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

fn peer(stream: tokio::io::DuplexStream) -> Peer {
    Peer { stream, input: BytesMut::new(), version: Version::V5 }
}

#[tokio::test(start_paused = true)]
async fn events_tell_each_try_and_when_the_next_one_is() {
    let (link, mut peers) = link(session(), 2);
    let (client, mut events) = Client::run(link.link, Fifo::default());
    let mut first = peers.pop().unwrap();
    first.answers(Reason::SERVER_BUSY).await;
    assert!(matches!(events.next().await, Some(Event::Connecting)));
    assert!(matches!(events.next().await, Some(Event::Down(_))));
    let Some(Event::Backoff(until)) = events.next().await else { panic!() };
    let mut second = peers.pop().unwrap();
    second.answers(Reason::SUCCESS).await;
    assert!(Instant::now().into_std() >= until);
    assert!(matches!(events.next().await, Some(Event::Connecting)));
    assert!(matches!(events.next().await, Some(Event::Connected(_))));
    client.shutdown(Reason::SUCCESS, SECOND).await.unwrap();
    while let Some(event) = events.next().await {
        assert!(matches!(event, Event::Stopped), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_may_listen_and_the_slow_one_hears_what_it_missed() {
    let (stream, far) = duplex(64 * 1024);
    let (client, mut events) = Client::over(session(), stream, Settings::default());
    let mut peer = peer(far);
    let mut quick = client.listen().await.unwrap();
    let mut slow = client.listen().await.unwrap();
    drop(client.listen().await.unwrap());
    peer.answers(Reason::SUCCESS).await;
    let mut heard = [0, 0];
    for _ in 0..300 {
        peer.says(Packet::Publish(from_broker("x", Qos::AtMostOnce, 0))).await;
        for (events, heard) in [&mut events, &mut quick].into_iter().zip(&mut heard) {
            while !matches!(events.next().await, Some(Event::Message(_))) {}
            *heard += 1;
        }
    }
    assert_eq!(heard, [300, 300]);
    // 256 found room; the next event tells of the others.
    let mut messages = 0;
    for _ in 0..256 {
        messages += u64::from(matches!(slow.next().await, Some(Event::Message(_))));
    }
    peer.says(Packet::Publish(from_broker("last", Qos::AtMostOnce, 0))).await;
    let Some(Event::Lagged(missed)) = slow.next().await else { panic!() };
    assert_eq!(messages + missed, 300);
    assert!(matches!(slow.next().await, Some(Event::Message(_))));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_an_event() {
    let queue = Bounds { messages: 3, bytes: 1 << 20 };
    let settings = Settings { queue, ..Settings::default() };
    let (stream, _far) = duplex(1024);
    let (client, mut events) = Client::over(session(), stream, settings);
    let mut receipts = Vec::new();
    for n in 0..5 {
        let text = n.to_string();
        receipts.push(client.publish(message("t", &text, Qos::AtLeastOnce)).await.unwrap());
    }
    assert_eq!(receipts.remove(0).await, Ok(Outcome::Dropped));
    let mut told = 0;
    while told < 2 {
        if let Event::QueueFull(dropped) = events.next().await.unwrap() {
            assert!(dropped > told);
            told = dropped;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_brokers_in_one_process() {
    let mut clients = Vec::new();
    for _ in 0..2 {
        let (stream, far) = duplex(64 * 1024);
        let (client, events) = Client::over(session(), stream, Settings::default());
        tokio::spawn(peer(far).serves());
        client.ready().await.unwrap();
        clients.push((client, events));
    }
    for (n, (client, events)) in clients.iter_mut().enumerate() {
        let filter =
            tty2mqtt::mqtt::packet::Subscription::new("t".parse().unwrap(), Qos::AtLeastOnce);
        client.subscribe(vec![filter], Properties::NONE).await.unwrap();
        client.publish(message("t", &n.to_string(), Qos::AtLeastOnce)).await.unwrap();
        loop {
            if let Some(Event::Message(message)) = events.next().await {
                assert_eq!(message.payload, n.to_string());
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_until_a_large_message_has_passed_a_slow_network() {
    let (stream, far) = duplex(1024);
    let (client, _events) = Client::over(session(), stream, Settings::default());
    let mut peer = peer(far);
    peer.answers(Reason::SUCCESS).await;
    client.ready().await.unwrap();
    client.publish(message("large", &"x".repeat(100_000), Qos::AtMostOnce)).await.unwrap();
    let (left, ()) = tokio::join!(client.shutdown(Reason::SUCCESS, 60 * SECOND), async {
        // At most 1024 bytes in a tenth of a second.
        while peer.stream.read_buf(&mut peer.input).await.unwrap() > 0 {
            tokio::time::advance(SECOND / 10).await;
        }
    });
    assert_eq!(left, Ok(0));
    let Some(Packet::Publish(large)) = peer.hears().await else { panic!("it was cut off") };
    assert_eq!(large.payload.len(), 100_000);
    assert!(matches!(peer.hears().await, Some(Packet::Disconnect(_))));
}

#[tokio::test(start_paused = true)]
async fn after_an_abort_nobody_waits_for_the_client() {
    let (stream, _far) = duplex(1024);
    let (client, mut events) = Client::over(session(), stream, Settings::default());
    let receipt = client.publish(message("t", "x", Qos::AtLeastOnce)).await.unwrap();
    client.abort().await.unwrap();
    assert_eq!(receipt.await, Err(Ended));
    while events.next().await.is_some() {}
    assert_eq!(client.try_now().await, Err(Ended));
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_a_link_where_that_is_not_wanted() {
    let (stream, far) = duplex(1024);
    let (client, _events) = Client::over(session(), stream, Settings::default());
    let back = client.publish_if_ready(message("t", "x", Qos::AtLeastOnce)).unwrap_err();
    assert_eq!(back.payload, "x");
    tokio::spawn(peer(far).serves());
    client.ready().await.unwrap();
    let receipt = client.publish_if_ready(back).unwrap();
    assert_eq!(receipt.await, Ok(Outcome::Delivered(Reason::SUCCESS)));
}

#[tokio::test(start_paused = true)]
async fn waits_can_be_always_the_same() {
    let streams: Vec<_> =
        (0..5).map(|_| duplex(64).0).map(|s| Box::new(s) as Box<dyn Io>).collect();
    let outbox = Outbox::new(&OutboxBounds::default());
    let options = link::Options::fixed(3 * SECOND);
    let mut link = Link::over(Session::new(session()), outbox, streams, options);
    for _ in 0..5 {
        assert!(matches!(link.event().await, link::Event::Down(_)));
        let state = link.state();
        let State::Backoff { until, .. } = &*state.borrow() else { panic!() };
        assert_eq!(*until, (Instant::now() + 3 * SECOND).into_std());
    }
}

#[test]
fn what_becomes_of_a_message_too_large() {
    for on_oversize in [OnOversize::Tell, OnOversize::Drop, OnOversize::Disconnect] {
        let mut talk = Talk::new(Options { largest: 100, on_oversize, ..options() });
        talk.connect(false, Vec::new()).unwrap();
        talk.session.event();
        let giant = from_broker(&"x".repeat(500), Qos::ExactlyOnce, 4);
        let result = talk.say(giant.into());
        let told = talk.session.event();
        match on_oversize {
            OnOversize::Tell => {
                assert!(matches!(told, Some(session::Event::Oversize { .. })));
                assert_eq!(talk.hears(), ["PUBREC 4"]);
            }
            OnOversize::Drop => {
                assert_eq!(told, None);
                assert_eq!(talk.hears(), ["PUBREC 4"]);
            }
            OnOversize::Disconnect => {
                assert_eq!(result.unwrap_err().reason(), Reason::PACKET_TOO_LARGE);
                assert_eq!(talk.hears(), ["DISCONNECT 95"]);
            }
        }
    }
}

#[test]
fn acknowledgements_and_goodbyes_may_have_words() {
    let words = || {
        let user = Property::UserProperty(Pair("why".into(), "because".into()));
        Properties(vec![Property::ReasonString("full".into()), user])
    };
    for largest in [1000, 15] {
        let mut talk = Talk::new(Options { manual_ack: true, ..options() });
        talk.connect(false, vec![Property::MaximumPacketSize(largest)]).unwrap();
        talk.say(from_broker("x", Qos::AtLeastOnce, 4).into()).unwrap();
        let token = std::iter::from_fn(|| talk.session.event()).find_map(|event| match event {
            session::Event::Message(received) => received.token,
            _ => None,
        });
        talk.session.acknowledge_with(token.unwrap(), Reason::QUOTA_EXCEEDED, words());
        let properties = if largest > 100 { words() } else { Properties::NONE };
        let answer = Ack { id: id(4), reason: Reason::QUOTA_EXCEEDED, properties };
        assert_eq!(talk.hear(), [Packet::PubAck(answer)]);
        let mut properties = words();
        properties.0.insert(0, Property::SessionExpiry(5));
        let reason = Reason::DISCONNECT_WITH_WILL;
        talk.session.disconnect(Disconnect { reason, properties: properties.clone() });
        if largest < 100 {
            properties.0.truncate(1);
        }
        assert_eq!(talk.hear(), [Packet::Disconnect(Disconnect { reason, properties })]);
    }
}

#[test]
fn other_clients_have_their_options() {
    let nodemcu = Options {
        largest: 1024,
        overflow: 1024,
        on_oversize: OnOversize::Tell,
        ..Options::default()
    };
    let connects = [
        ("luatos", Options::default(), Version::V311, 15),
        ("nodemcu", nodemcu, Version::V311, 30),
        ("luamqtt", Options::default(), Version::V5, 60),
        ("aiko", Options::default(), Version::V31, 60),
        ("barracuda", Options::default(), Version::V311, 300),
    ];
    for (client, options, version, keep_alive) in connects {
        let options = Options {
            client_id: "c".into(),
            version: Some(version),
            clean: Clean::Always,
            keepalive: Duration::from_secs(keep_alive.into()),
            ..options
        };
        let connect = Talk::new(options).knock();
        assert_eq!(
            (connect.version, connect.keep_alive, connect.clean),
            (version, keep_alive, true),
            "{client}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_at_once_can_be_chosen() {
    let (stream, far) = duplex(64 * 1024);
    let link = link::Options { read_buffer: 1, ..link::Options::default() };
    let settings = Settings { link, ..Settings::default() };
    let (client, mut events) = Client::over(session(), stream, settings);
    let mut peer = peer(far);
    peer.answers(Reason::SUCCESS).await;
    peer.says(Packet::Publish(from_broker(&"x".repeat(1000), Qos::AtMostOnce, 0))).await;
    loop {
        if let Some(Event::Message(message)) = events.next().await {
            assert_eq!(message.payload.len(), 1000);
            break;
        }
    }
    drop(client);
}

/// Session, limits and numbers that a program may rely on.
#[test]
fn codes_and_names_of_ends_do_not_change() {
    use tty2mqtt::mqtt::link::LinkError;
    let refused = |reason| {
        let answer = ConnAck::new(false, reason);
        LinkError::Session(session::SessionError::Refused(answer))
    };
    for (reason, code) in [
        (Reason::UNSUPPORTED_PROTOCOL_VERSION, 1),
        (Reason::CLIENT_IDENTIFIER_NOT_VALID, 2),
        (Reason::SERVER_UNAVAILABLE, 3),
        (Reason::BAD_USER_NAME_OR_PASSWORD, 4),
        (Reason::NOT_AUTHORIZED, 5),
    ] {
        let why = refused(reason);
        assert_eq!((why.code(), why.close_reason().as_str()), (code, "refused"), "{reason}");
    }
    let lost = LinkError::Session(session::SessionError::NoPingResp);
    assert_eq!(lost.close_reason().as_str(), "ping_timeout");
    assert!(Duration::from_secs(60) == Options::default().keepalive);
}
