//! Client against model broker on a virtual clock: cuts, delays, lost acknowledgements, lost
//! sessions. A failure prints its seed; `SEED=n cargo test --test simulator` plays it again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use bytes::BytesMut;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tty2mqtt::config::OutboxBounds;
use tty2mqtt::demo::broker::{Broker, Faults};
use tty2mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Connect, Decoded, Packet, PacketId, Subscribe};
use tty2mqtt::mqtt::session::{Event, Options, Session};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::outbox::Outbox;

const SCENARIOS: u64 = 3_000;

/// A small generator of numbers that only look random (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Bytes on their way, with the time at which they arrive.
#[derive(Default)]
struct Wire(VecDeque<(Instant, Vec<u8>)>);

struct World {
    chance: Chance,
    now: Instant,
    session: Session,
    outbox: Outbox,
    broker: Broker,
    /// The client's link; a new number for each.
    link: Option<u64>,
    links: u64,
    reconnect: Instant,
    up: Wire,
    down: Wire,
    input: BytesMut,
    /// The independent subscriber.
    received: Vec<u32>,
    pushed: u32,
    steps: u32,
}

const SUBSCRIBER: u64 = 0;

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let now = Instant::now();
        let mut broker = Broker::default();
        broker.faults = Faults {
            lose_puback: if chance.one_in(3) { 3 + chance.below(10) as u32 } else { 0 },
            mute: false,
            refuse_subscriptions: false,
        };
        let session = Session::new(Options {
            client_id: "sim".into(),
            clean: chance.one_in(2),
            keepalive: Duration::from_secs(20),
            user: None,
            password: None,
            will: None,
            subscriptions: vec![("cmd/#".parse().unwrap(), Qos::AtLeastOnce)],
            inflight: 1 + chance.below(30) as u16,
        });
        let mut world = World {
            chance,
            now,
            session,
            outbox: Outbox::new(&OutboxBounds::default()),
            broker,
            link: None,
            links: 0,
            reconnect: now,
            up: Wire::default(),
            down: Wire::default(),
            input: BytesMut::new(),
            received: Vec::new(),
            pushed: 0,
            steps: 0,
        };
        world.subscribe();
        world
    }

    fn subscribe(&mut self) {
        self.broker.open(SUBSCRIBER, self.now);
        let mut hello = BytesMut::new();
        Packet::Connect(Connect {
            client_id: "counter".into(),
            clean: false,
            keep_alive: 0,
            will: None,
            user: None,
            password: None,
        })
        .encode(&mut hello);
        let filters = vec![("data".parse().unwrap(), Qos::AtLeastOnce)];
        Packet::Subscribe(Subscribe { id: PacketId::MIN, filters }).encode(&mut hello);
        self.broker.receive(SUBSCRIBER, &hello, self.now);
        self.count();
    }

    /// The subscriber takes what the broker has for it, and acknowledges.
    fn count(&mut self) {
        loop {
            let Some(output) = self.broker.output(SUBSCRIBER) else { return };
            let mut bytes = output.split();
            let mut acks = BytesMut::new();
            while let Ok(Some(Decoded::Packet(packet))) = Packet::decode(&mut bytes, 1 << 20) {
                if let Packet::Publish(publish) = packet {
                    self.received
                        .push(std::str::from_utf8(&publish.payload).unwrap().parse().unwrap());
                    acks.extend(
                        publish
                            .id
                            .map(|id| {
                                let mut ack = BytesMut::new();
                                Packet::PubAck(id).encode(&mut ack);
                                ack
                            })
                            .into_iter()
                            .flatten(),
                    );
                }
            }
            if acks.is_empty() {
                return;
            }
            self.broker.receive(SUBSCRIBER, &acks, self.now);
        }
    }

    fn delay(&mut self) -> Duration {
        Duration::from_millis(1 + self.chance.below(200))
    }

    fn cut(&mut self) {
        let Some(link) = self.link.take() else { return };
        self.broker.close(link);
        self.lost();
    }

    fn lost(&mut self) {
        self.link = None;
        self.session.disconnected();
        (self.up, self.down) = Default::default();
        self.input.clear();
        self.reconnect = self.now + Duration::from_millis(10 + self.chance.below(2000));
    }

    /// Everything that can happen at this moment, then the clock moves to the next.
    fn step(&mut self, calm: bool) {
        self.steps += 1;
        assert!(self.steps < 60_000, "live-lock");
        if !calm {
            self.disturb();
        }
        if self.link.is_none() && self.reconnect <= self.now {
            self.links += 1;
            self.link = Some(self.links);
            self.broker.open(self.links, self.now);
            self.session.connect(self.now);
        }
        if let Some(link) = self.link {
            self.exchange(link);
        }
        self.count();
        let events = [
            self.link.is_none().then_some(self.reconnect),
            self.session.deadline(),
            self.up.0.front().map(|(at, _)| *at),
            self.down.0.front().map(|(at, _)| *at),
            self.broker.deadline(),
        ];
        let next = events.into_iter().flatten().min().unwrap_or(self.now);
        let least = self.now + Duration::from_millis(1);
        let most = self.now + Duration::from_millis(500);
        // A deadline in the past after everything due was done would be a busy loop.
        self.now = if calm { next.max(least) } else { next.clamp(least, most) };
    }

    fn disturb(&mut self) {
        if self.chance.one_in(3) {
            for _ in 0..self.chance.below(20) {
                let message = Message {
                    topic: "data".parse().unwrap(),
                    payload: self.pushed.to_string().into(),
                    qos: Qos::AtLeastOnce,
                    retain: false,
                    latest_only: false,
                };
                self.pushed += 1;
                self.outbox.push(message);
            }
        }
        if self.chance.one_in(40) {
            self.cut();
        }
        if self.chance.one_in(150) {
            let keep = self.chance.one_in(2);
            // The subscriber's session must survive, or it would rightly miss messages.
            if keep {
                self.broker.restart(true);
                self.lost();
                self.subscribe();
            }
        }
        self.broker.faults.mute = self.chance.one_in(10);
    }

    fn exchange(&mut self, link: u64) {
        let now = self.now;
        while let Some((at, _)) = self.up.0.front()
            && *at <= now
        {
            let (_, bytes) = self.up.0.pop_front().unwrap();
            self.broker.receive(link, &bytes, now);
        }
        if self.broker.deadline().is_some_and(|due| due <= now) {
            self.broker.timeout(now);
        }
        if let Some(output) = self.broker.output(link)
            && !output.is_empty()
        {
            let bytes = output.split().to_vec();
            let at = now + self.delay();
            let at = self.down.0.back().map_or(at, |(last, _)| at.max(*last));
            self.down.0.push_back((at, bytes));
        }
        if self.broker.is_closing(link) && self.down.0.is_empty() {
            return self.cut();
        }
        while let Some((at, _)) = self.down.0.front()
            && *at <= now
        {
            let (_, bytes) = self.down.0.pop_front().unwrap();
            self.input.extend_from_slice(&bytes);
            if self.session.receive(&mut self.input, &mut self.outbox, now).is_err() {
                return self.cut();
            }
        }
        if self.session.deadline().is_some_and(|due| due <= now)
            && self.session.timeout(now).is_err()
        {
            return self.cut();
        }
        while let Some(event) = self.session.event() {
            if let Event::Subscribed { granted, .. } = event {
                assert_eq!(granted, Some(Qos::AtLeastOnce));
            }
        }
        self.session.send(&mut self.outbox);
        assert!(self.session.output().len() < 128 * 1024, "memory is bounded");
        if !self.session.output().is_empty() {
            let bytes = self.session.output().split().to_vec();
            self.session.wrote(now);
            let at = now + self.delay();
            let at = self.up.0.back().map_or(at, |(last, _)| at.max(*last));
            self.up.0.push_back((at, bytes));
        }
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..200 {
        world.step(false);
    }
    world.broker.faults = Faults::default();
    // A PUBACK that was lost comes only after a new connection, as MQTT 3.1.1 has it.
    world.cut();
    let end = world.now + Duration::from_secs(600);
    while !world.outbox.is_empty() {
        world.step(true);
        assert!(world.now < end, "{} messages are stuck", world.outbox.len());
    }
    let mut next = 0;
    for n in &world.received {
        assert!(*n <= next, "{n} came before {next}");
        next += u32::from(*n == next);
    }
    assert_eq!(next, world.pushed, "messages were lost");
    assert_eq!(world.outbox.counts().dropped, 0);
}

#[test]
fn no_message_is_lost_and_order_is_kept() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => seed.parse().map(|seed| seed..seed + 1).unwrap(),
        Err(_) => 0..SCENARIOS,
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| play(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
