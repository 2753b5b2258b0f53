//! What a link does at several brokers, each with an address and a session of its own.

use crate::link::{SECOND, down, message, wait};
use crate::support::linked::Link;
use crate::support::peer::{Peer, session};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use tty2mqtt::mqtt::link::{Dial, Dialed, Event, Io, Options};
use tty2mqtt::mqtt::packet::{
    Ack, ConnAck, Connect, Packet, PacketId, Properties, Publish, Reason, Version,
};
use tty2mqtt::mqtt::session::{self, Session};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::mqtt::transport::{ConnectError, Stage};
use tty2mqtt::mqtt::url::BrokerUrl;
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

/// Streams to brokers, in the order in which they are to be tried.
struct Streams(VecDeque<(BrokerUrl, DuplexStream)>, Option<BrokerUrl>);

impl Dial for Streams {
    fn dial<'a>(&'a mut self, _: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        let stream = match self.0.pop_front() {
            Some((broker, stream)) => {
                self.1 = Some(broker);
                Ok(Box::new(stream) as Box<dyn Io>)
            }
            None => Err(ConnectError::NoStreamLeft),
        };
        Box::pin(std::future::ready(stream))
    }

    fn broker(&self) -> Option<&BrokerUrl> {
        self.1.as_ref()
    }
}

/// A link that comes to these brokers one after the other, and their ends of its streams.
fn link_to(brokers: &str) -> (Link, VecDeque<Peer>) {
    link_to_addresses(brokers.chars().map(|name| format!("mqtt://{name}")), session())
}

fn link_to_addresses(
    addresses: impl Iterator<Item = String>,
    session: session::Options,
) -> (Link, VecDeque<Peer>) {
    let (mut ours, mut theirs) = (VecDeque::new(), VecDeque::new());
    for address in addresses {
        let (our, stream) = duplex(64 * 1024);
        ours.push_back((address.parse().unwrap(), our));
        theirs.push_back(Peer { stream, input: Default::default(), version: Version::V5 });
    }
    let options = session::Options { first_id: 1, ..session };
    let outbox = Outbox::new(&OutboxBounds::default());
    let streams = Streams(ours, None);
    let options_of_link = Options { jitter: false, ..Options::default() };
    (Link::new(Session::new(options), outbox, streams, options_of_link), theirs)
}

async fn connect_of(peer: &mut Peer) -> Connect {
    match peer.hears().await {
        Some(Packet::Connect(connect)) => connect,
        other => panic!("{other:?}"),
    }
}

/// What a broker does with a CONNECT.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    LetIn,
    /// In the words of 3.1.1: unacceptable protocol version.
    Refuse,
    HangUp,
}

/// The version of the next connect; the link is gone then.
async fn comes(link: &mut Link, peers: &mut VecDeque<Peer>, does: Does) -> (char, Connect) {
    let mut peer = peers.pop_front().unwrap();
    let broker = async {
        let connect = connect_of(&mut peer).await;
        match does {
            Does::LetIn => {
                peer.says(Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS))).await;
            }
            Does::Refuse => peer.stream.write_all(b"\x20\x02\x00\x01").await.unwrap(),
            Does::HangUp => {}
        }
        drop(peer);
        connect
    };
    let (_, connect) = tokio::join!(down(link), broker);
    (link.broker().unwrap().host.chars().next().unwrap(), connect)
}

/// `a5` for a CONNECT of 5.0 at the broker `a`.
async fn versions(brokers: &str, does: &[Does]) -> String {
    let (mut link, mut peers) = link_to(brokers);
    let mut seen = Vec::new();
    for does in does {
        let (broker, connect) = comes(&mut link, &mut peers, *does).await;
        let version = match connect.version {
            Version::V5 => "5",
            Version::V311 => "4",
            Version::V31 => "3",
        };
        seen.push(format!("{broker}{version}"));
    }
    seen.join(" ")
}

#[tokio::test(start_paused = true)]
async fn each_broker_is_spoken_to_in_its_own_version() {
    use Does::{HangUp, LetIn, Refuse};
    // The fallback does not know 5.0, and is asked in its own version from then on.
    let does = [LetIn, Refuse, LetIn, LetIn, LetIn, LetIn];
    assert_eq!(versions("abbaba", &does).await, "a5 b5 b4 a5 b4 a5");
    // Two that hang up, as members of one cluster, each in its turn.
    let does = [HangUp, HangUp, LetIn, LetIn];
    assert_eq!(versions("abab", &does).await, "a5 b5 a4 b4");
}

#[tokio::test(start_paused = true)]
async fn a_broker_in_the_place_of_a_newer_one_is_asked_in_its_version() {
    use Does::{LetIn, Refuse};
    let (mut link, mut peers) = link_to("aaaaaa");
    let mut seen = Vec::new();
    for does in [LetIn, Refuse, Refuse, Refuse] {
        seen.push(comes(&mut link, &mut peers, does).await.1.version);
    }
    assert_eq!(seen, [Version::V5, Version::V5, Version::V311, Version::V31]);
    // None of them: that is the operator's business, and 5.0 is next.
    assert!(wait(&link) >= 60 * SECOND, "{:?}", wait(&link));
    let does = [LetIn, Refuse, LetIn, LetIn, Refuse, LetIn];
    assert_eq!(versions("aaaaaa", &does).await, "a5 a5 a4 a4 a4 a3");
}

#[tokio::test(start_paused = true)]
async fn hanging_up_on_every_version_begins_with_the_newest_again() {
    use Does::{HangUp, LetIn};
    let does = [HangUp, HangUp, HangUp, HangUp, LetIn, HangUp, LetIn];
    // What let us in once is not doubted because a load balancer hangs up while its broker is away.
    assert_eq!(versions("aaaaaaa", &does).await, "a5 a4 a3 a5 a4 a4 a4");
}

fn ack(id: u16) -> Ack {
    Ack::new(PacketId::new(id).unwrap(), Reason::SUCCESS)
}

/// From the broker.
fn command(id: u16, text: &str) -> Packet {
    Packet::Publish(Publish {
        topic: Some("cmd".parse().unwrap()),
        payload: text.to_owned().into(),
        qos: Qos::ExactlyOnce,
        id: PacketId::new(id),
        dup: false,
        retain: false,
        properties: Default::default(),
    })
}

/// Lets the link run until the broker is done; the payloads of the commands that came.
async fn with_broker(link: &mut Link, broker: impl Future<Output = ()>) -> Vec<String> {
    let mut heard = Vec::new();
    let listen = async {
        loop {
            if let Event::Session(session::Event::Message(message)) = link.event().await {
                heard.push(String::from_utf8(message.payload.to_vec()).unwrap());
            }
        }
    };
    tokio::select! {
        () = listen => {}
        () = async { timeout(Duration::from_secs(600), broker).await.unwrap() } => {}
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn the_session_of_one_broker_is_not_that_of_another() {
    let (mut link, mut peers) = link_to("abb");
    for text in ["1", "2", "3"] {
        link.outbox.push(message(text, Qos::ExactlyOnce));
    }
    let mut a = peers.pop_front().unwrap();
    let heard = with_broker(&mut link, async {
        assert!(!connect_of(&mut a).await.clean);
        a.says(Packet::ConnAck(ConnAck::new(true, Reason::SUCCESS))).await;
        for _ in 0..3 {
            assert!(matches!(a.hears().await, Some(Packet::Publish(_))));
        }
        // It has the first message, and has not delivered it; and a command of its own was taken.
        a.says(Packet::PubRec(ack(1))).await;
        assert!(matches!(a.hears().await, Some(Packet::PubRel(_))));
        a.says(command(7, "a's")).await;
        assert!(matches!(a.hears().await, Some(Packet::PubRec(_))));
    });
    assert_eq!(heard.await, ["a's"]);
    drop(a);
    down(&mut link).await;
    let mut b = peers.pop_front().unwrap();
    let heard = with_broker(&mut link, async {
        assert!(connect_of(&mut b).await.clean, "what b remembers is of another session");
        b.says(Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS))).await;
        // All of it anew and in its old order: b has none of it.
        for text in ["1", "2", "3"] {
            let Some(Packet::Publish(publish)) = b.hears().await else { panic!("no PUBLISH") };
            assert!(publish.payload == text && !publish.dup, "{publish:?}");
        }
        b.says(Packet::PubRec(ack(1))).await;
        b.hears().await;
        b.says(command(7, "b's")).await;
        b.hears().await;
    });
    assert_eq!(heard.await, ["b's"]);
    drop(b);
    down(&mut link).await;
    // With the same broker it goes on.
    let mut b = peers.pop_front().unwrap();
    let heard = with_broker(&mut link, async {
        assert!(!connect_of(&mut b).await.clean);
        b.says(Packet::ConnAck(ConnAck::new(true, Reason::SUCCESS))).await;
        assert_eq!(b.hears().await, Some(Packet::PubRel(ack(1))));
    });
    assert!(heard.await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_qos_2_a_cluster_keeps_its_session() {
    let (mut link, mut peers) = link_to("ab");
    link.outbox.push(message("1", Qos::AtLeastOnce));
    let mut a = peers.pop_front().unwrap();
    let heard = with_broker(&mut link, async {
        connect_of(&mut a).await;
        a.says(Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS))).await;
        assert!(matches!(a.hears().await, Some(Packet::Publish(_))));
    });
    heard.await;
    drop(a);
    down(&mut link).await;
    let mut b = peers.pop_front().unwrap();
    let heard = with_broker(&mut link, async {
        assert!(!connect_of(&mut b).await.clean, "commands may wait there");
        b.says(Packet::ConnAck(ConnAck::new(true, Reason::SUCCESS))).await;
        // The same again: a broker that does not know it takes it for a new one.
        let Some(Packet::Publish(publish)) = b.hears().await else { panic!("no PUBLISH") };
        assert!(publish.dup && publish.payload == "1", "{publish:?}");
    });
    heard.await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_did_not_let_us_in_ends_no_session() {
    let (mut link, mut peers) = link_to("aba");
    // Something of QoS 2 is under way.
    link.outbox.push(message("1", Qos::ExactlyOnce));
    let clean = |(_, connect): (char, Connect)| connect.clean;
    assert!(!clean(comes(&mut link, &mut peers, Does::LetIn).await));
    assert!(clean(comes(&mut link, &mut peers, Does::HangUp).await));
    assert!(!clean(comes(&mut link, &mut peers, Does::LetIn).await));
}

#[tokio::test(start_paused = true)]
async fn the_login_of_one_broker_is_told_to_no_other() {
    let addresses = ["a", "user:secret@b", "a", "me@c", "a"].map(|it| format!("mqtt://{it}"));
    for own in [None, Some(("own", "word"))] {
        let user = own.map(|(user, _)| user.to_owned());
        let password = own.map(|(_, password)| password.to_owned().into());
        let options = session::Options { user, password, ..session() };
        let (mut link, mut peers) = link_to_addresses(addresses.iter().cloned(), options);
        let mut logins = Vec::new();
        for _ in 0..addresses.len() {
            let (_, connect) = comes(&mut link, &mut peers, Does::LetIn).await;
            let password =
                connect.password.map(|it| String::from_utf8(it.reveal().into()).unwrap());
            logins.push((connect.user, password));
        }
        let told = |user: &str, password: &str| (Some(user.to_owned()), Some(password.to_owned()));
        let own = own.map_or((None, None), |(user, password)| told(user, password));
        let of_c = (Some("me".to_owned()), None);
        assert_eq!(logins, [own.clone(), told("user", "secret"), own.clone(), of_c, own]);
    }
}

/// The payload of the next message that somebody is to get.
async fn takes(link: &mut Link) -> String {
    loop {
        if let Event::Session(session::Event::Message(message)) = link.event().await {
            return String::from_utf8_lossy(&message.payload).into_owned();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_broker_repeats_is_not_what_the_one_before_sent() {
    let options = session::Options { manual_ack: true, ..session() };
    let addresses = ["mqtt://a", "mqtt://b", "mqtt://b"].map(String::from);
    let (mut link, mut peers) = link_to_addresses(addresses.into_iter(), options);
    // The last link goes on with the session of the one before: that is the same message.
    for (payload, present, is_new) in
        [("of a", false, true), ("of b", true, true), ("of b", true, false)]
    {
        let mut peer = peers.pop_front().unwrap();
        let broker = async {
            connect_of(&mut peer).await;
            peer.says(Packet::ConnAck(ConnAck::new(present, Reason::SUCCESS))).await;
            peer.says(Packet::Publish(Publish {
                topic: "t".parse().ok(),
                payload: payload.into(),
                qos: Qos::AtLeastOnce,
                id: PacketId::new(5),
                dup: present,
                retain: false,
                properties: Properties::NONE,
            }))
            .await;
        };
        let (taken, ()) = tokio::join!(timeout(5 * SECOND, takes(&mut link)), broker);
        assert_eq!(taken.ok().as_deref(), is_new.then_some(payload));
        drop(peer);
        down(&mut link).await;
    }
}
