//! The link and its handle on streams in memory, with a clock that stands still until everybody
//! waits for it.

mod poison;
mod several;
mod will;

use crate::support::linked::Link;
use crate::support::peer::{Peer, link, link_of, session};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, timeout};
use tty2mqtt::mqtt::client::{self, Client};
use tty2mqtt::mqtt::fifo::Fifo;
use tty2mqtt::mqtt::link::{self, CloseReason, Dial, Dialed, Event, LinkError, Options, State};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Ack, ConnAck, Disconnect, Packet, PacketId, Properties, Property};
use tty2mqtt::mqtt::packet::{Publish, Reason, Subscription, Version};
use tty2mqtt::mqtt::session::{self, Session, SessionError};
use tty2mqtt::mqtt::source::Source;
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::mqtt::transport::{ConnectError, Connector, Settings, Stage};
use tty2mqtt::mqtt::url::BrokerUrl;
use tty2mqtt::testing::outbox::settings::OutboxBounds;
use tty2mqtt::testing::outbox::{Outbox, Outcome};
use tty2mqtt::testing::server::Server;

const SECOND: Duration = Duration::from_secs(1);

/// Waits for the link's end, and what it was.
async fn down(link: &mut Link) -> LinkError {
    loop {
        if let Event::Down(why) = link.event().await {
            return why;
        }
    }
}

/// Waits until the link has ended for good.
async fn stopped(link: &mut Link) {
    while !matches!(link.event().await, Event::Stopped) {}
}

fn wait(link: &Link) -> Duration {
    match &*link.state().borrow() {
        State::Backoff { until, .. } => until.duration_since(Instant::now().into_std()),
        other => panic!("{other}"),
    }
}

fn message(text: &str, qos: Qos) -> Message {
    Message { qos, ..Message::new("t".parse().unwrap(), text.to_owned()) }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_tried_slowly_and_for_ever() {
    let (mut link, mut peers) = link(session(), 4);
    for _ in 0..4 {
        let mut peer = peers.pop().unwrap();
        let (why, _) = tokio::join!(down(&mut link), peer.answers(Reason::NOT_AUTHORIZED));
        assert_eq!((why.code(), why.close_reason()), (5, CloseReason::Refused));
        assert!(wait(&link) >= 60 * SECOND, "{:?}", wait(&link));
    }
}

#[tokio::test(start_paused = true)]
async fn being_thrown_out_right_after_connack_makes_no_storm() {
    let (mut link, mut peers) = link(session(), 12);
    let start = Instant::now();
    let mut last = String::new();
    for n in 0..10 {
        let mut peer = peers.pop().unwrap();
        let kick = async {
            peer.answers(Reason::SUCCESS).await;
            drop(peer);
        };
        let (why, ()) = tokio::join!(down(&mut link), kick);
        if n >= 2 {
            assert!(wait(&link) >= 60 * SECOND, "after {n}: {:?}", wait(&link));
        }
        last = why.to_string();
    }
    assert!(last.contains("another client") && last.contains("router"), "{last}");
    assert!(start.elapsed() > 7 * 60 * SECOND, "ten times in {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_leaves_when_everything_was_sent_over_as_many_links_as_that_takes() {
    let (mut link, mut peers) = link(session(), 2);
    link.outbox.push(message("a", Qos::AtLeastOnce));
    link.leave_when_sent(Reason::SUCCESS, None);
    let broker = async {
        let mut first = peers.pop().unwrap();
        first.answers(Reason::SUCCESS).await;
        assert!(matches!(first.hears().await, Some(Packet::Publish(_))));
        drop(first);
        let mut second = peers.pop().unwrap();
        second.answers(Reason::SUCCESS).await;
        let Some(Packet::Publish(publish)) = second.hears().await else { panic!("no PUBLISH") };
        second.says(Packet::PubAck(Ack::new(publish.id.unwrap(), Reason::SUCCESS))).await;
        assert!(matches!(second.hears().await, Some(Packet::Disconnect(_))));
    };
    tokio::join!(stopped(&mut link), broker);
    assert!(Source::is_empty(&link.outbox));
    // Who asks again is told again.
    assert!(matches!(link.event().await, Event::Stopped));
}

#[tokio::test(start_paused = true)]
async fn it_leaves_in_time_though_the_broker_acknowledges_nothing() {
    let (mut link, mut peers) = link(session(), 1);
    link.outbox.push(message("a", Qos::AtLeastOnce));
    let start = Instant::now();
    link.leave_when_sent(Reason::SUCCESS, Some((start + 5 * SECOND).into_std()));
    let broker = async {
        let mut peer = peers.pop().unwrap();
        peer.answers(Reason::SUCCESS).await;
        assert!(matches!(peer.hears().await, Some(Packet::Publish(_))));
        assert!(matches!(peer.hears().await, Some(Packet::Disconnect(_))));
    };
    tokio::join!(stopped(&mut link), broker);
    assert!((5 * SECOND..7 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(!Source::is_empty(&link.outbox));
}

#[tokio::test(start_paused = true)]
async fn a_client_of_the_same_name_is_told_in_plain_words() {
    let (mut link, mut peers) = link(session(), 1);
    let mut peer = peers.pop().unwrap();
    let kick = async {
        peer.answers(Reason::SUCCESS).await;
        peer.says(Packet::Disconnect(Disconnect::new(Reason::SESSION_TAKEN_OVER))).await;
    };
    let (why, ()) = tokio::join!(down(&mut link), kick);
    assert!(why.to_string().contains("same client identifier"), "{why}");
    assert_eq!(why.code(), 0x8E);
    assert!(wait(&link) >= 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_link_ends_after_keepalive_and_ten_seconds() {
    let keepalive = 60 * SECOND;
    let (mut link, mut peers) = link(session::Options { keepalive, ..session() }, 1);
    let mut peer = peers.pop().unwrap();
    let start = Instant::now();
    let (why, _) = tokio::join!(down(&mut link), peer.answers(Reason::SUCCESS));
    assert_eq!(why.close_reason(), CloseReason::PingTimeout);
    assert!(start.elapsed() <= keepalive + 11 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_no_bytes_is_given_up() {
    let (mut link, mut peers) = link_of(session(), 1, 256);
    let mut peer = peers.pop().unwrap();
    link.outbox.push(message(&"x".repeat(5000), Qos::AtLeastOnce));
    let start = Instant::now();
    let (why, _) = tokio::join!(down(&mut link), peer.answers(Reason::SUCCESS));
    assert_eq!(why.code(), -1);
    assert!(start.elapsed() <= 22 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_older_broker_is_asked_at_once_in_its_own_version() {
    let (mut link, mut peers) = link(session(), 3);
    let start = Instant::now();
    for expected in [Version::V5, Version::V311] {
        let mut peer = peers.pop().unwrap();
        // In the words of 3.1.1: unacceptable protocol version.
        let refuse = async {
            let Some(Packet::Connect(connect)) = peer.hears().await else { panic!("no CONNECT") };
            assert_eq!(connect.version, expected);
            peer.stream.write_all(b"\x20\x02\x00\x01").await.unwrap();
            drop(peer);
        };
        tokio::join!(down(&mut link), refuse);
    }
    let mut peer = peers.pop().unwrap();
    let (event, version) = tokio::join!(link.event(), peer.answers(Reason::SUCCESS));
    assert!(matches!(event, Event::Session(session::Event::Connected(_))), "{event:?}");
    assert_eq!(version, Version::V31);
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    // What the broker understood is remembered.
    drop(peer);
    down(&mut link).await;
    assert_eq!(link.session.version(), Version::V31);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_up_on_version_5_is_asked_in_3_1_1() {
    let (mut link, mut peers) = link(session(), 2);
    let mut peer = peers.pop().unwrap();
    let hang_up = async {
        peer.hears().await;
        drop(peer);
    };
    tokio::join!(down(&mut link), hang_up);
    let mut peer = peers.pop().unwrap();
    let (_, version) = tokio::join!(link.event(), peer.answers(Reason::SUCCESS));
    assert_eq!(version, Version::V311);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_breaks_the_protocol_is_told_before_the_link_ends() {
    let (mut link, mut peers) = link(session(), 1);
    let mut peer = peers.pop().unwrap();
    let violate = async {
        peer.answers(Reason::SUCCESS).await;
        // SUBACK with a reserved flag.
        peer.stream.write_all(b"\x91\x04\x00\x01\x00\x00").await.unwrap();
        let told = peer.hears().await;
        (told, peer.hears().await)
    };
    let (why, (told, end)) = tokio::join!(down(&mut link), violate);
    assert_eq!(why.close_reason(), CloseReason::ProtocolError);
    let expected = Disconnect::new(Reason::MALFORMED_PACKET);
    assert_eq!((told, end), (Some(Packet::Disconnect(expected)), None));
}

#[tokio::test(start_paused = true)]
async fn leaving_says_so_and_does_not_come_back() {
    for abrupt in [false, true] {
        let (mut link, mut peers) = link(session(), 2);
        let mut peer = peers.pop().unwrap();
        tokio::join!(link.event(), peer.answers(Reason::SUCCESS));
        if abrupt {
            link.abort();
        } else {
            link.leave(Reason::SUCCESS);
            assert!(matches!(link.event().await, Event::Stopped));
        }
        assert!(link.is_stopped());
        assert_eq!(*link.state().borrow(), State::Stopped);
        let goodbye = Packet::Disconnect(Disconnect::new(Reason::SUCCESS));
        drop(link);
        assert_eq!(peer.hears().await, (!abrupt).then_some(goodbye));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_can_be_cut_short() {
    let (mut link, mut peers) = link(session(), 2);
    let mut peer = peers.pop().unwrap();
    tokio::join!(down(&mut link), peer.answers(Reason::BANNED));
    assert!(wait(&link) >= 60 * SECOND);
    link.try_now();
    let start = Instant::now();
    let mut peer = peers.pop().unwrap();
    tokio::join!(link.event(), peer.answers(Reason::SUCCESS));
    assert!(start.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_when_the_wait_for_an_event_is_dropped_again_and_again() {
    let (mut link, mut peers) = link_of(session(), 1, 100);
    link.session.subscribe(
        vec![Subscription::new("t".parse().unwrap(), Qos::ExactlyOnce)],
        &Properties::NONE,
    );
    tokio::spawn(peers.pop().unwrap().serves());
    let mut heard = Vec::new();
    for n in 0..300 {
        link.outbox.push(message(&n.to_string(), Qos::ExactlyOnce));
    }
    while heard.len() < 300 {
        // Ready after a few polls of both, or never.
        let drop_it = async {
            for _ in 0..heard.len() % 5 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            event = link.event() => if let Event::Session(session::Event::Message(m)) = event {
                heard.push(String::from_utf8(m.payload.to_vec()).unwrap());
            },
            () = drop_it => tokio::task::yield_now().await,
        }
    }
    assert!(heard.iter().enumerate().all(|(n, text)| *text == n.to_string()), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_stream_resumes_what_was_in_flight() {
    let (mut link, mut peers) = link(session(), 2);
    link.outbox.push(message("a", Qos::ExactlyOnce));
    let mut peer = peers.pop().unwrap();
    let talk = async {
        peer.answers(Reason::SUCCESS).await;
        let Some(Packet::Publish(publish)) = peer.hears().await else { panic!("no PUBLISH") };
        drop(peer);
        publish.id
    };
    let (_, id) = tokio::join!(down(&mut link), talk);
    let mut peer = peers.pop().unwrap();
    let talk = async {
        peer.hears().await;
        peer.says(Packet::ConnAck(ConnAck::new(true, Reason::SUCCESS))).await;
        let Some(Packet::Publish(again)) = peer.hears().await else { panic!("no PUBLISH") };
        assert!(again.dup && again.id == id);
        let id = again.id.unwrap();
        peer.says(Packet::PubRec(Ack::new(id, Reason::SUCCESS))).await;
        assert_eq!(peer.hears().await, Some(Packet::PubRel(Ack::new(id, Reason::SUCCESS))));
        peer.says(Packet::PubComp(Ack::new(id, Reason::SUCCESS))).await;
    };
    let drained = async { while !matches!(link.event().await, Event::Emptied) {} };
    tokio::join!(drained, talk);
    assert!(link.outbox.is_empty());
}

/// A client whose peer does what the test says.
fn client(session: session::Options) -> (Client, client::Events, Peer) {
    let (link, mut peers) = link(session, 1);
    let (client, events) = Client::run(link.link, Fifo::default());
    (client, events, peers.pop().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_client_publishes_before_it_is_ready_and_gets_receipts() {
    let (client, _events, peer) = client(session());
    let mut receipts = Vec::new();
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        receipts.push(client.publish(message("x", qos)).await.unwrap());
    }
    tokio::spawn(peer.serves());
    client.ready().await.unwrap();
    for receipt in receipts {
        assert_eq!(receipt.await, Ok(Outcome::Delivered(Reason::SUCCESS)));
    }
    assert_eq!(client.shutdown(Reason::SUCCESS, SECOND).await, Ok(0));
    assert_eq!(*client.state().borrow(), State::Stopped);
    assert!(client.publish(message("late", Qos::AtLeastOnce)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_subscribes_hears_and_gives_up() {
    let (client, mut events, peer) = client(session());
    tokio::spawn(peer.serves());
    let filter = |text: &str| text.parse().unwrap();
    let wanted = vec![
        Subscription::new(filter("t"), Qos::AtLeastOnce),
        Subscription::new(filter("$share/a/b"), Qos::AtLeastOnce),
    ];
    let granted = client.subscribe(wanted, Properties::NONE).await.unwrap();
    let refused = Err(Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
    let results: Vec<_> = granted.into_iter().map(|(_, result)| result).collect();
    assert!(results.contains(&Ok(Qos::AtLeastOnce)) && results.contains(&refused), "{results:?}");
    client.publish(message("hello", Qos::ExactlyOnce)).await.unwrap();
    loop {
        match events.next().await.unwrap() {
            client::Event::Message(message) => {
                assert_eq!((message.payload, message.qos), ("hello".into(), Qos::AtLeastOnce));
                break;
            }
            client::Event::Down(why) => panic!("{why}"),
            _ => {}
        }
    }
    let answers =
        client.unsubscribe(vec![filter("t"), filter("none")], Properties::NONE).await.unwrap();
    let reasons: Vec<_> = answers.into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, [Reason::SUCCESS, Reason::NO_SUBSCRIPTION_EXISTED]);
}

fn inbound(n: u16, qos: Qos) -> Packet {
    Packet::Publish(Publish {
        topic: Some("t".parse().unwrap()),
        payload: n.to_string().into(),
        qos,
        id: PacketId::new(n).filter(|_| qos != Qos::AtMostOnce),
        dup: false,
        retain: false,
        properties: Properties::NONE,
    })
}

#[tokio::test(start_paused = true)]
async fn events_that_nobody_takes_hold_up_no_ping_and_acknowledge_nothing() {
    let options = session::Options { receive_maximum: 1000, ..session() };
    let (client, mut events, mut peer) = client(options);
    peer.answers(Reason::SUCCESS).await;
    for n in 1..=600 {
        peer.says(inbound(n, Qos::AtLeastOnce)).await;
    }
    for n in 1..=100 {
        peer.says(inbound(n, Qos::AtMostOnce)).await;
    }
    // 254 found room beside the two that tell of the link; the others are not acknowledged, and pings go on.
    let mut acks = 0;
    let mut pings = 0;
    while pings < 3 {
        match peer.hears().await.unwrap() {
            Packet::PubAck(_) => acks += 1,
            Packet::PingReq => {
                pings += 1;
                peer.says(Packet::PingResp).await;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(acks, 254);
    let (mut messages, mut lagged) = (0, 0);
    while messages < 600 || lagged == 0 {
        match timeout(SECOND, events.next()).await.unwrap().unwrap() {
            client::Event::Message(_) => messages += 1,
            client::Event::Lagged(n) => lagged = n,
            _ => {}
        }
    }
    // The 100 of QoS 0, and the PINGRESPs.
    assert!((100..=103).contains(&lagged), "{lagged}");
    for _ in 254..600 {
        assert!(matches!(peer.hears().await, Some(Packet::PubAck(_))));
    }
    drop(client);
    assert_eq!(peer.hears().await, None, "the last handle is gone: not a word");
}

#[tokio::test(start_paused = true)]
async fn messages_are_acknowledged_by_hand_and_in_their_order() {
    let options = session::Options { manual_ack: true, ..session() };
    let (client, mut events, mut peer) = client(options);
    peer.answers(Reason::SUCCESS).await;
    let mut tokens = Vec::new();
    for n in 1..=3 {
        peer.says(inbound(n, Qos::AtLeastOnce)).await;
        loop {
            if let Some(client::Event::Message(message)) = events.next().await {
                tokens.push(message.token.unwrap());
                break;
            }
        }
    }
    client.acknowledge(tokens[2], Reason::SUCCESS, Properties::NONE).await.unwrap();
    client.acknowledge(tokens[0], Reason::QUOTA_EXCEEDED, Properties::NONE).await.unwrap();
    client.acknowledge(tokens[1], Reason::SUCCESS, Properties::NONE).await.unwrap();
    let id = |n| PacketId::new(n).unwrap();
    for (n, reason) in [(1, Reason::QUOTA_EXCEEDED), (2, Reason::SUCCESS), (3, Reason::SUCCESS)] {
        assert_eq!(peer.hears().await, Some(Packet::PubAck(Ack::new(id(n), reason))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_no_longer_than_its_grace() {
    let (client, _events, mut peer) = client(session());
    peer.answers(Reason::SUCCESS).await;
    client.publish(message("never acknowledged", Qos::AtLeastOnce)).await.unwrap();
    let start = Instant::now();
    let (left, _) = tokio::join!(client.shutdown(Reason::SUCCESS, 5 * SECOND), async {
        while peer.hears().await.is_some() {}
    });
    assert_eq!(left, Ok(1));
    assert!(start.elapsed() < 7 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_session_error_has_the_reason_of_5_0() {
    let (mut link, mut peers) = link(session(), 1);
    let mut peer = peers.pop().unwrap();
    let silent = async {
        peer.hears().await;
    };
    let (why, ()) = tokio::join!(down(&mut link), silent);
    assert!(matches!(why, LinkError::Session(SessionError::NoConnAck)));
    assert_eq!((why.code(), why.close_reason()), (-2, CloseReason::Timeout));
}

#[tokio::test]
async fn the_second_broker_serves_until_the_first_is_back_and_nothing_is_lost() {
    let (first, second) = (Server::start().await.unwrap(), Server::start().await.unwrap());
    let url = |server: &Server| format!("mqtt://{}", server.address()).parse().unwrap();
    let (first_url, second_url): (BrokerUrl, BrokerUrl) = (url(&first), url(&second));
    first.restart(false, Duration::from_millis(500)).await;
    let mut settings = Settings::new(first_url.clone());
    settings.urls.push(second_url.clone());
    let options = Options {
        wait: (Duration::from_millis(20), Duration::from_millis(20)),
        failback: Duration::from_millis(50),
        ..Options::default()
    };
    let connector = Connector::new(settings).unwrap();
    let outbox = Outbox::new(&OutboxBounds::default());
    let mut link = Link::new(Session::new(session()), outbox, connector, options);
    let mut served = Vec::new();
    let done = timeout(20 * SECOND, async {
        while served != [second_url.clone(), first_url.clone()] {
            match link.event().await {
                Event::Session(session::Event::Connected(_)) => {
                    served.push(link.broker().unwrap().clone());
                    link.outbox.push(message("x", Qos::ExactlyOnce));
                }
                // It may not be away yet.
                Event::Down(_) if served == [first_url.clone()] => served.clear(),
                _ => {}
            }
        }
        while !matches!(link.event().await, Event::Emptied) {}
    });
    done.await.unwrap();
    assert!(link.outbox.is_empty());
    assert_eq!(link.outbox.counts().dropped, 0);
}

/// Brokers in turn, of which some are away and the others refuse our login.
struct InTurn {
    refuse: Vec<bool>,
    tries: usize,
    streams: Vec<DuplexStream>,
}

impl InTurn {
    fn new(refuse: &[bool]) -> InTurn {
        InTurn { refuse: refuse.to_vec(), tries: 0, streams: Vec::new() }
    }
}

impl Dial for InTurn {
    fn dial<'a>(&'a mut self, _: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        let refuses = self.refuse[self.tries % self.refuse.len()];
        self.tries += 1;
        Box::pin(async move {
            if !refuses {
                return Err(ConnectError::Other("away".into()));
            }
            let (ours, mut theirs) = duplex(1024);
            theirs.write_all(b"\x20\x03\x00\x87\x00").await.unwrap();
            self.streams.push(theirs);
            Ok(Box::new(ours) as Box<dyn link::Io>)
        })
    }

    fn has_another(&self) -> bool {
        !self.tries.is_multiple_of(self.refuse.len())
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_of_several_brokers_is_tried_soon_and_all_of_them_ever_more_slowly() {
    let outbox = Outbox::new(&OutboxBounds::default());
    let options = Options { jitter: false, ..Options::default() };
    let mut link = Link::new(Session::new(session()), outbox, InTurn::new(&[false; 3]), options);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert_eq!(down(&mut link).await.to_string(), "away");
        waits.push(wait(&link).as_secs());
    }
    assert_eq!(waits, [1, 1, 1, 1, 1, 2, 1, 1, 4, 1, 1, 8]);
}

#[tokio::test(start_paused = true)]
async fn only_what_all_brokers_refuse_is_tried_slowly() {
    for (brokers, expected) in [
        ([true, false], [1, 1, 1, 2]),
        ([false, true], [1, 1, 1, 2]),
        ([true, true], [1, 60, 1, 60]),
    ] {
        let options = Options { jitter: false, ..Options::default() };
        let outbox = Outbox::new(&OutboxBounds::default());
        let mut link = Link::new(Session::new(session()), outbox, InTurn::new(&brokers), options);
        let mut waits = Vec::new();
        for _ in 0..4 {
            down(&mut link).await;
            waits.push(wait(&link).as_secs());
        }
        assert_eq!(waits, expected);
    }
}

/// Counts the tries.
struct Nowhere(Arc<AtomicUsize>);

impl Dial for Nowhere {
    fn dial<'a>(&'a mut self, _: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Err(ConnectError::Other("away".into()))))
    }

    fn has_another(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_password_nobody_is_dialled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let tries = Arc::new(AtomicUsize::new(0));
    let password_file = Some(path.clone());
    let options = Options { jitter: false, password_file, ..Options::default() };
    let outbox = Outbox::new(&OutboxBounds::default());
    let mut link = Link::new(Session::new(session()), outbox, Nowhere(Arc::clone(&tries)), options);
    for _ in 0..3 {
        let why = down(&mut link).await;
        assert!(matches!(why, LinkError::Password { .. }), "{why}");
    }
    assert_eq!(tries.load(Ordering::Relaxed), 0);
    std::fs::write(&path, "secret\n").unwrap();
    assert_eq!(down(&mut link).await.to_string(), "away");
    assert_eq!(tries.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_broker_that_throws_us_out_does_not_keep_us_from_the_next() {
    let (away, full, good) = (
        Server::start().await.unwrap(),
        Server::start().await.unwrap(),
        Server::start().await.unwrap(),
    );
    let url = |server: &Server| format!("mqtt://{}", server.address()).parse().unwrap();
    let urls: [BrokerUrl; 3] = [url(&away), url(&full), url(&good)];
    away.restart(false, Duration::MAX).await;
    let mut settings = Settings::new(urls[0].clone());
    settings.urls.extend_from_slice(&urls[1..]);
    let wait = (Duration::from_millis(20), Duration::from_millis(20));
    let options = Options { wait, ..Options::default() };
    let outbox = Outbox::new(&OutboxBounds::default());
    let connector = Connector::new(settings).unwrap();
    let mut link = Link::new(Session::new(session()), outbox, connector, options);
    let served = timeout(20 * SECOND, async {
        loop {
            if let Event::Session(session::Event::Connected(_)) = link.event().await {
                match link.broker() == Some(&urls[1]) {
                    true => full.hang_up().await,
                    false => return link.broker().cloned(),
                }
            }
        }
    });
    assert_eq!(served.await.unwrap().as_ref(), Some(&urls[2]));
}

#[tokio::test]
async fn the_last_words_reach_a_broker_that_was_just_talking() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut broker, _) = listener.accept().await.unwrap();
    let outbox = Outbox::new(&OutboxBounds::default());
    let mut link = Link::over(
        Session::new(session()),
        outbox,
        [Box::new(ours) as Box<dyn link::Io>],
        Options::default(),
    );
    broker.write_all(b"\x20\x03\0\0\0").await.unwrap();
    assert!(matches!(link.event().await, Event::Session(session::Event::Connected(_))));
    // Bytes that the client does not read: if it closed its socket over them, that would be reset.
    broker.write_all(b"\x30\x05\0\x01a\0x").await.unwrap();
    let leave = async move {
        link.leave(Reason::SUCCESS);
        assert!(matches!(link.event().await, Event::Stopped));
    };
    let talk = async move {
        let mut heard = [0; 256];
        loop {
            let n = broker.peek(&mut heard).await.unwrap();
            if heard[..n].ends_with(b"\xE0\0") {
                break;
            }
        }
        // Brokers that have something to write do that before they read.
        broker.write_all(b"\x30\x05\0\x01a\0y").await.unwrap();
    };
    tokio::join!(leave, talk);
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_refuses_beforehand_is_answered_at_once_on_an_idle_link() {
    // Without a ping that could wake it up.
    let (link, mut peers) = link(session::Options { keepalive: Duration::ZERO, ..session() }, 1);
    let (client, mut events) = Client::run(link.link, Fifo::default());
    let mut peer = peers.pop().unwrap();
    let Some(Packet::Connect(_)) = peer.hears().await else { panic!("no CONNECT") };
    let properties =
        Properties(vec![Property::MaximumPacketSize(30), Property::WildcardAvailable(false)]);
    let answer = ConnAck { properties, ..ConnAck::new(false, Reason::SUCCESS) };
    peer.says(Packet::ConnAck(answer)).await;
    while !matches!(events.next().await, Some(client::Event::Connected(_))) {}
    let start = Instant::now();
    let calls = async {
        let long = "x".repeat(40);
        let wildcard = vec![Subscription::new("a/+".parse().unwrap(), Qos::AtMostOnce)];
        let granted = client.subscribe(wildcard, Properties::NONE).await.unwrap();
        assert_eq!(granted[0].1, Err(Reason::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED));
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
            let receipt = client.publish(message(&long, qos)).await.unwrap();
            assert_eq!(receipt.await.unwrap(), Outcome::Refused(Reason::PACKET_TOO_LARGE));
        }
        let given_up =
            client.unsubscribe(vec![long.parse().unwrap()], Properties::NONE).await.unwrap();
        assert_eq!(given_up[0].1, Reason::PACKET_TOO_LARGE);
    };
    timeout(SECOND, calls).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}
