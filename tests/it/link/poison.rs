//! A message at which the broker ends each link, packet by packet.

use crate::link::{down, message};
use crate::support::peer::{Peer, link, session};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Ack, ConnAck, Disconnect, Packet, Publish, Reason};
use tty2mqtt::mqtt::source::Source;
use tty2mqtt::mqtt::topic::Qos;

/// What a broker hears on a link that it ends at one topic.
#[derive(Debug, Default)]
struct Heard {
    /// Whether a new session was asked for.
    clean: bool,
    /// `ping`, or the topic.
    all: Vec<String>,
}

async fn strict(peer: &mut Peer, end: Option<Reason>) -> Heard {
    let Some(Packet::Connect(connect)) = peer.hears().await else { panic!("no CONNECT") };
    peer.says(Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS))).await;
    let mut heard = Heard { clean: connect.clean, all: Vec::new() };
    loop {
        match peer.hears().await {
            Some(Packet::PingReq) => {
                heard.all.push("ping".into());
                peer.says(Packet::PingResp).await;
            }
            Some(Packet::Publish(Publish { topic: Some(topic), id: Some(id), .. })) => {
                heard.all.push(topic.to_string());
                if topic.as_str() == "forbidden" {
                    if let Some(reason) = end {
                        peer.says(Packet::Disconnect(Disconnect::new(reason))).await;
                    }
                    return heard;
                }
                peer.says(Packet::PubAck(Ack::new(id, Reason::SUCCESS))).await;
            }
            None => return heard,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_broker_never_takes_is_tried_alone_while_the_others_go_on() {
    for end in [None, Some(Reason::NOT_AUTHORIZED), Some(Reason::MALFORMED_PACKET)] {
        let (mut link, mut peers) = link(session(), 30);
        let forbidden = Message::new("forbidden".parse().unwrap(), "x");
        link.outbox.push(Message { qos: Qos::AtLeastOnce, ..forbidden });
        link.outbox.push(message("good", Qos::AtLeastOnce));
        let mut links = Vec::new();
        while link.outbox.counts().refused == 0 {
            let mut peer = peers.pop().unwrap();
            let talk = async {
                let heard = strict(&mut peer, end).await;
                drop(peer);
                heard
            };
            links.push(tokio::join!(down(&mut link), talk).1);
        }
        // The session at the broker stays, with the commands that it may hold.
        assert!(links.iter().all(|heard| !heard.clean), "{links:?}");
        let all: Vec<_> = links.iter().map(|heard| heard.all.join(" ")).collect();
        // Twice among the others, once with nothing else under way, then the others have their turn;
        // whenever it is tried, the link has just proved to be alive.
        let mut expected = vec!["forbidden"; 2];
        expected.extend(["ping forbidden", "ping t ping forbidden"]);
        expected.extend(vec!["ping forbidden"; 5]);
        assert_eq!(all, expected);
        assert_eq!(link.outbox.counts().acknowledged, 1);
        assert!(link.outbox.is_empty());
    }
}
