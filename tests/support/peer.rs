//! A link over streams in memory, and the broker at their other ends.

use super::linked::Link;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tty2mqtt::mqtt::link::{Io, Options};
use tty2mqtt::mqtt::packet::{ConnAck, Decoded, Packet, Reason, Version};
use tty2mqtt::mqtt::session::{self, Session};
use tty2mqtt::testing::broker::Broker;
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

/// The broker's side of a stream.
pub struct Peer {
    pub stream: DuplexStream,
    pub input: BytesMut,
    pub version: Version,
}

impl Peer {
    /// The next packet of the client; `None` at the end.
    pub async fn hears(&mut self) -> Option<Packet> {
        loop {
            let decoded = Packet::decode(&mut self.input, 1 << 20, self.version).unwrap();
            if let Some(Decoded::Packet(packet)) = decoded {
                if let Packet::Connect(connect) = &packet {
                    self.version = connect.version;
                }
                return Some(packet);
            }
            if self.stream.read_buf(&mut self.input).await.unwrap() == 0 {
                return None;
            }
        }
    }

    pub async fn says(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes, self.version);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Takes CONNECT and answers it.
    pub async fn answers(&mut self, reason: Reason) -> Version {
        let Some(Packet::Connect(_)) = self.hears().await else { panic!("no CONNECT") };
        self.says(Packet::ConnAck(ConnAck::new(false, reason))).await;
        self.version
    }

    /// Does what a broker does, until the client leaves.
    pub async fn serves(mut self) {
        let mut broker = Broker::default();
        let mut buffer = [0; 4096];
        broker.open(1, Instant::now().into_std());
        loop {
            let n = self.stream.read(&mut buffer).await.unwrap_or(0);
            if n == 0 {
                return;
            }
            broker.receive(1, &buffer[..n], Instant::now().into_std());
            let output = broker.output(1).unwrap();
            while output.has_remaining() {
                if self.stream.write_all_buf(output).await.is_err() {
                    return;
                }
            }
            if broker.is_closing(1) {
                return;
            }
        }
    }
}

pub fn session() -> session::Options {
    session::Options { client_id: "router".into(), ..session::Options::default() }
}

/// A link over so many streams, and their other ends.
pub fn link(session: session::Options, streams: usize) -> (Link, Vec<Peer>) {
    link_of(session, streams, 64 * 1024)
}

pub fn link_of(session: session::Options, streams: usize, size: usize) -> (Link, Vec<Peer>) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..streams {
        let (our, stream) = duplex(size);
        ours.push(Box::new(our) as Box<dyn Io>);
        theirs.push(Peer { stream, input: BytesMut::new(), version: Version::V5 });
    }
    theirs.reverse();
    let outbox = Outbox::new(&OutboxBounds::default());
    (Link::over(Session::new(session), outbox, ours, Options::default()), theirs)
}
