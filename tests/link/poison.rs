//! A message at which the broker ends each link.

use crate::peer::{Peer, link, session};
use crate::{SECOND, down, message};
use tokio::time::Instant;
use tty2mqtt::message::Message;
use tty2mqtt::mqtt::link::Link;
use tty2mqtt::mqtt::packet::{
    Ack, ConnAck, Disconnect, Packet, Properties, Publish, Reason, SubAck, Subscription,
};
use tty2mqtt::mqtt::topic::Qos;

/// Messages to a forbidden topic, and to a good one behind it.
fn setup(links: usize) -> (Link, Vec<Peer>) {
    let (mut link, peers) = link(session(), links);
    link.session.subscribe(
        vec![Subscription::new("cmd".parse().unwrap(), Qos::AtLeastOnce)],
        &Properties::NONE,
    );
    let forbidden = Message::new("forbidden".parse().unwrap(), "x");
    link.outbox.push(Message { qos: Qos::AtLeastOnce, ..forbidden });
    link.outbox.push(message("good", Qos::AtLeastOnce));
    (link, peers)
}

/// What a broker does that ends the link at one topic. Returns whether a new session was asked for, and
/// the topics that came.
async fn strict(peer: &mut Peer, end: Option<Reason>) -> (bool, Vec<String>) {
    let Some(Packet::Connect(connect)) = peer.hears().await else { panic!("no CONNECT") };
    peer.says(Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS))).await;
    let mut topics = Vec::new();
    loop {
        match peer.hears().await {
            Some(Packet::Subscribe(subscribe)) => {
                let reasons = vec![Reason::GRANTED_QOS_1];
                let answer = SubAck { id: subscribe.id, reasons, properties: Properties::NONE };
                peer.says(Packet::SubAck(answer)).await;
            }
            Some(Packet::Publish(Publish { topic: Some(topic), id: Some(id), .. })) => {
                topics.push(topic.to_string());
                if topic.as_str() == "forbidden" {
                    if let Some(reason) = end {
                        peer.says(Packet::Disconnect(Disconnect::new(reason))).await;
                    }
                    return (connect.clean, topics);
                }
                peer.says(Packet::PubAck(Ack::new(id, Reason::SUCCESS))).await;
            }
            None => return (connect.clean, topics),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_broker_never_takes_is_given_up_at_last() {
    for end in [None, Some(Reason::NOT_AUTHORIZED)] {
        let (mut link, mut peers) = setup(14);
        let start = Instant::now();
        for n in 1..=13 {
            let mut peer = peers.pop().unwrap();
            let talk = async {
                let said = strict(&mut peer, end).await;
                drop(peer);
                said
            };
            let (_, (clean, topics)) = tokio::join!(down(&mut link), talk);
            // From the fourth time on it goes alone, and in a new session.
            assert_eq!((clean, topics.len()), (n > 3, 1), "{n}: {topics:?}");
            let counts = link.outbox.counts();
            assert_eq!((counts.refused, link.outbox.len()), if n < 13 { (0, 2) } else { (1, 1) });
        }
        assert!(start.elapsed() > 60 * SECOND, "after {:?}", start.elapsed());
        let mut peer = peers.pop().unwrap();
        let talk = strict(&mut peer, end);
        tokio::pin!(talk);
        while !link.outbox.is_empty() {
            tokio::select! {
                said = &mut talk => panic!("{said:?}"),
                _ = link.event() => {}
            }
        }
        assert_eq!(link.outbox.counts().acknowledged, 1);
    }
}
