//! What of the will goes to a broker that does not take it whole.

use crate::link::{SECOND, down, stopped, wait};
use crate::support::linked::Link;
use crate::support::peer::{Peer, link, session};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{ConnAck, Connect, Packet, Reason, Version};
use tty2mqtt::mqtt::session::Options;
use tty2mqtt::mqtt::topic::Qos;

fn with_will(qos: Qos, version: Option<Version>) -> Options {
    let will = Message::new("g/status".parse().unwrap(), "offline".to_owned());
    let will = Some(Message { qos, retain: true, ..will });
    Options { will, version, ..session() }
}

/// `5 r1`: MQTT 5 with a will that is retained and of QoS 1; `4 -`: MQTT 3.1.1 without a will.
fn shown(connect: &Connect) -> String {
    let version = match connect.version {
        Version::V5 => 5,
        Version::V311 => 4,
        Version::V31 => 3,
    };
    let will = connect.will.as_ref().map_or("-".into(), |will| {
        format!("{}{}", if will.retain { "r" } else { "" }, will.qos.bits())
    });
    format!("{version} {will}")
}

/// What a broker does with a CONNECT of a will of this QoS that is retained or not: what it says, or
/// `Err`: it hangs up.
type Rule = fn(&Connect) -> Result<Reason, ()>;

/// The CONNECTs of so many links, each of which ends right after the broker let us in, and how long
/// each was waited for.
async fn connects(options: Options, links: usize, rule: Rule) -> Vec<(String, Duration)> {
    let (mut link, mut peers) = link(options, links);
    let mut seen = Vec::new();
    while let Some(peer) = peers.pop() {
        let before = Instant::now();
        let connect = connect_to(&mut link, peer, rule).await;
        seen.push((shown(&connect), before.elapsed()));
    }
    seen
}

async fn connect_to(link: &mut Link, mut peer: Peer, rule: Rule) -> Connect {
    let broker = async {
        let Some(Packet::Connect(connect)) = peer.hears().await else { panic!("no CONNECT") };
        if let Ok(reason) = rule(&connect) {
            peer.says(Packet::ConnAck(ConnAck::new(false, reason))).await;
        }
        drop(peer);
        connect
    };
    tokio::join!(down(link), broker).1
}

fn will_of(connect: &Connect) -> (bool, Qos) {
    connect.will.as_ref().map_or((false, Qos::AtMostOnce), |will| (will.retain, will.qos))
}

/// As mosquitto is with `retain_available false`.
fn keeps_nothing(connect: &Connect) -> Result<Reason, ()> {
    match will_of(connect) {
        (true, _) if connect.version == Version::V5 => Ok(Reason::RETAIN_NOT_SUPPORTED),
        (true, _) => Err(()),
        _ => Ok(Reason::SUCCESS),
    }
}

/// As mosquitto is with `max_qos 0`.
fn has_qos_0_only(connect: &Connect) -> Result<Reason, ()> {
    match will_of(connect) {
        (_, Qos::AtMostOnce) => Ok(Reason::SUCCESS),
        _ if connect.version == Version::V5 => Ok(Reason::QOS_NOT_SUPPORTED),
        _ => Err(()),
    }
}

fn texts(seen: &[(String, Duration)]) -> Vec<&str> {
    seen.iter().map(|(text, _)| text.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_broker_of_5_that_says_what_it_does_not_take_gets_less_at_once_and_ever_after() {
    let seen = connects(with_will(Qos::AtLeastOnce, None), 3, keeps_nothing).await;
    assert_eq!(texts(&seen), ["5 r1", "5 1", "5 1"]);
    assert!(seen[1].1 < SECOND / 10, "{seen:?}");
    let seen = connects(with_will(Qos::ExactlyOnce, None), 4, has_qos_0_only).await;
    assert_eq!(texts(&seen), ["5 r2", "5 r1", "5 r0", "5 r0"]);
    assert!(seen[1].1 + seen[2].1 < SECOND / 10, "{seen:?}");
    // Both, as mosquitto says one after the other.
    let seen =
        connects(with_will(Qos::AtLeastOnce, None), 4, |connect| match keeps_nothing(connect) {
            Ok(Reason::SUCCESS) => has_qos_0_only(connect),
            other => other,
        });
    assert_eq!(texts(&seen.await), ["5 r1", "5 1", "5 0", "5 0"]);
    // What it still refuses cannot be the will's size.
    let never = |connect: &Connect| {
        Ok(if connect.will.is_some() { Reason::TOPIC_NAME_INVALID } else { Reason::SUCCESS })
    };
    let seen = connects(with_will(Qos::AtLeastOnce, None), 3, never).await;
    assert_eq!(texts(&seen), ["5 r1", "5 -", "5 -"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_no_will_explains_is_tried_slowly() {
    let (mut link, mut peers) = link(with_will(Qos::AtLeastOnce, None), 3);
    let refuse = |_: &Connect| Ok(Reason::RETAIN_NOT_SUPPORTED);
    let mut seen = Vec::new();
    while let Some(peer) = peers.pop() {
        seen.push(shown(&connect_to(&mut link, peer, refuse).await));
    }
    assert_eq!(seen, ["5 r1", "5 1", "5 -"]);
    assert!(!wait(&link).is_zero(), "{:?}", wait(&link));
}

#[tokio::test(start_paused = true)]
async fn a_broker_of_3_1_1_that_hangs_up_on_the_will_gets_less_after_three_times() {
    let version = Some(Version::V311);
    let seen = connects(with_will(Qos::AtLeastOnce, version), 12, keeps_nothing).await;
    // That it was the will is a guess, which the next links put to the test, and then it is known.
    let guessed = ["4 r1", "4 r1", "4 r1", "4 1"];
    let tested = ["4 r1", "4 1", "4 r1", "4 1", "4 1", "4 1", "4 1", "4 1"];
    assert_eq!(texts(&seen), [&guessed[..], &tested].concat());
    let seen = connects(with_will(Qos::AtLeastOnce, version), 10, has_qos_0_only).await;
    let guessed = ["4 r1", "4 r1", "4 r1", "4 1", "4 r0"];
    let tested = ["4 r1", "4 r0", "4 r1", "4 r0", "4 r0"];
    assert_eq!(texts(&seen), [&guessed[..], &tested].concat());
    let takes_none = |connect: &Connect| match connect.will {
        Some(_) => Err(()),
        None => Ok(Reason::SUCCESS),
    };
    let seen = connects(with_will(Qos::AtLeastOnce, version), 13, takes_none).await;
    let guessed = ["4 r1", "4 r1", "4 r1", "4 1", "4 r0", "4 0", "4 -"];
    let tested = ["4 r1", "4 -", "4 r1", "4 -", "4 -", "4 -"];
    assert_eq!(texts(&seen), [&guessed[..], &tested].concat());
}

#[tokio::test(start_paused = true)]
async fn an_outage_proves_nothing_about_the_will() {
    // One that was away at the start, and lets us in by chance where the will is smaller; then away
    // again and again, for a few tries each.
    let (mut link, mut peers) = link(with_will(Qos::AtLeastOnce, Some(Version::V311)), 14);
    let mut seen = Vec::new();
    let away = [0, 1, 2, 4, 5, 7, 8, 10, 11];
    for n in 0..14 {
        let rule: Rule = match away.contains(&n) {
            true => |_| Err(()),
            false => |_| Ok(Reason::SUCCESS),
        };
        let peer = peers.pop().unwrap();
        seen.push(shown(&connect_to(&mut link, peer, rule).await));
    }
    // The whole will has its turn each time, and at last it stays.
    let expected = [
        "4 r1", "4 r1", "4 r1", "4 1", "4 r1", "4 1", "4 r1", "4 r1", "4 r1", "4 r1", "4 r1",
        "4 r1", "4 r1", "4 r1",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn every_version_has_its_turn_before_the_will_is_doubted() {
    // One of 3.1.1 alone, which hangs up on all else.
    let rule = |connect: &Connect| match connect.version {
        Version::V311 => keeps_nothing(connect),
        _ => Err(()),
    };
    let seen = connects(with_will(Qos::AtLeastOnce, None), 9, rule).await;
    let expected = ["5 r1", "4 r1", "3 r1", "4 1", "4 r1", "4 1", "4 r1", "4 1", "4 1"];
    assert_eq!(texts(&seen), expected);
    // One that hangs up on everything is asked for all of it again.
    let seen = connects(with_will(Qos::AtLeastOnce, None), 8, |_| Err(())).await;
    let expected = ["5 r1", "4 r1", "3 r1", "4 1", "4 r0", "4 0", "4 -", "5 r1"];
    assert_eq!(texts(&seen), expected);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_up_on_everything_is_hurried_once() {
    let seen = connects(with_will(Qos::AtLeastOnce, None), 28, |_| Err(())).await;
    let waits: Vec<_> = seen.iter().map(|(_, waited)| *waited).collect();
    let (first, later) = waits.split_at(7);
    assert!(first.iter().all(|wait| *wait <= SECOND), "{waits:?}");
    assert!(later.iter().sum::<Duration>() > 300 * SECOND, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_took_the_whole_will_keeps_it_though_it_was_away() {
    // A load balancer hangs up while its broker is away, nine times.
    let (mut link, mut peers) = link(with_will(Qos::AtLeastOnce, None), 11);
    let mut seen = Vec::new();
    for n in 0..11 {
        let rule: Rule = match n {
            0 | 10 => |_| Ok(Reason::SUCCESS),
            _ => |_| Err(()),
        };
        let peer = peers.pop().unwrap();
        seen.push(shown(&connect_to(&mut link, peer, rule).await));
    }
    assert!(seen.iter().all(|connect| connect == "5 r1"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_guess_that_chance_made_is_taken_back() {
    let (mut link, mut peers) = link(with_will(Qos::AtLeastOnce, Some(Version::V311)), 6);
    let mut seen = Vec::new();
    for n in 0..6 {
        let rule: Rule = if n < 3 { |_| Err(()) } else { |_| Ok(Reason::SUCCESS) };
        let peer = peers.pop().unwrap();
        seen.push(shown(&connect_to(&mut link, peer, rule).await));
    }
    assert_eq!(seen, ["4 r1", "4 r1", "4 r1", "4 1", "4 r1", "4 r1"]);
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_other_will_gets_none() {
    let options = Options { adapt_will: false, ..with_will(Qos::AtLeastOnce, None) };
    let seen = connects(options.clone(), 3, keeps_nothing).await;
    assert_eq!(texts(&seen), ["5 r1", "5 r1", "5 r1"]);
    let options = Options { version: Some(Version::V311), ..options };
    let seen = connects(options, 5, |_| Err(())).await;
    assert_eq!(texts(&seen), ["4 r1"; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_connack_without_properties_lets_nobody_of_5_in() {
    let (mut link, mut peers) = link(session(), 2);
    let mut seen = Vec::new();
    while let Some(mut peer) = peers.pop() {
        let broker = async {
            let Some(Packet::Connect(connect)) = peer.hears().await else { panic!("no CONNECT") };
            peer.stream.write_all(b"\x20\x02\x00\x00").await.unwrap();
            // Whoever is let in speaks on; whoever is not has gone.
            let left = peer.stream.shutdown().await.is_ok();
            (connect.version, left)
        };
        let (why, (version, _)) = tokio::join!(down(&mut link), broker);
        seen.push((version, why.to_string()));
    }
    assert_eq!(seen[0].0, Version::V5);
    assert!(seen[0].1.contains("ends too early"), "{seen:?}");
    assert_eq!(seen[1].0, Version::V311);
    assert!(!seen[1].1.contains("ends too early"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_will_that_is_always_wanted_is_published_whatever_ends_the_link() {
    for (version, reason, expected) in [
        (Version::V5, Reason::SUCCESS, Some(Reason::DISCONNECT_WITH_WILL)),
        // The end without DISCONNECT is what the broker publishes it for.
        (Version::V311, Reason::SUCCESS, None),
        // Its owner has published it.
        (Version::V311, Reason::DISCONNECT_WITH_WILL, Some(Reason::SUCCESS)),
    ] {
        let options = Options { always_will: true, ..with_will(Qos::AtLeastOnce, Some(version)) };
        let (mut link, mut peers) = link(options, 1);
        let mut peer = peers.pop().unwrap();
        let broker = async {
            peer.hears().await;
            peer.says(Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS))).await;
            peer.hears().await
        };
        let client = async {
            while !link.is_ready() {
                link.event().await;
            }
            link.leave(reason);
            stopped(&mut link).await;
        };
        let (heard, ()) = tokio::join!(broker, client);
        let heard = heard.map(|packet| match packet {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("{other:?}"),
        });
        assert_eq!(heard, expected, "{version}");
    }
}
