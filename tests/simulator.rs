//! Client against model broker on a virtual clock: cuts, dead links, delays, lost and repeated
//! acknowledgements, lost sessions, refusals, writes and reads in pieces. A failure prints its
//! seed; `SEED=n cargo test --test simulator` plays it again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use bytes::{Buf, BytesMut};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tty2mqtt::config::OutboxBounds;
use tty2mqtt::demo::broker::{Broker, Connection, Faults};
use tty2mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Connect, Decoded, Packet, PacketId, Publish, Refusal, Subscribe};
use tty2mqtt::mqtt::session::{Event, Options, Session, SessionError};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::outbox::Outbox;

const SCENARIOS: u64 = 2_000;

/// Steps with accidents; what follows is calm.
const WILD: u32 = 200;

const KEEPALIVE: Duration = Duration::from_secs(20);

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

impl Wire {
    /// Sends bytes; none overtake others.
    fn send(&mut self, bytes: Vec<u8>, at: Instant) {
        let at = self.0.back().map_or(at, |(last, _)| at.max(*last));
        self.0.push_back((at, bytes));
    }

    fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.0.front().filter(|(at, _)| *at <= now)?;
        self.0.pop_front().map(|(_, bytes)| bytes)
    }

    fn next(&self) -> Option<Instant> {
        self.0.front().map(|(at, _)| *at)
    }
}

struct World {
    chance: Chance,
    now: Instant,
    session: Session,
    outbox: Outbox,
    broker: Broker,
    /// The client's link; a new number for each.
    link: Option<Connection>,
    links: Connection,
    reconnect: Instant,
    up: Wire,
    down: Wire,
    /// The link swallows everything from this time on, as a half-open one does.
    dead: Option<Instant>,
    input: BytesMut,
    /// Messages that were pushed, by topic; those of `data` are told apart by their number.
    pushed: u32,
    statuses: u32,
    /// What the independent subscriber saw of `data` and last of other topics.
    received: Vec<u32>,
    last: BTreeMap<String, Vec<u8>>,
    /// Commands that were published, and that reached the client.
    commanded: u32,
    obeyed: Vec<u32>,
    /// Whether the client's subscription was granted once; commands are not published before.
    subscribed: bool,
    /// Whether the broker keeps the client's session, so that no command is lost. The client cannot
    /// tell: a CONNACK that says so may be lost with its link.
    kept: bool,
    steps: u32,
}

/// The independent client: subscribes to everything of ours and publishes commands.
const OBSERVER: Connection = 0;

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let now = Instant::now();
        let clean = chance.one_in(2);
        let kept = !clean && chance.one_in(2);
        let session = Session::new(Options {
            client_id: "sim".into(),
            clean,
            keepalive: KEEPALIVE,
            user: None,
            password: None,
            will: None,
            subscriptions: vec![("cmd/#".parse().unwrap(), Qos::AtLeastOnce)],
            inflight: 1 + chance.below(30) as u16,
        });
        let every = |chance: &mut Chance| match chance.one_in(3) {
            true => 3 + chance.below(10) as u32,
            false => 0,
        };
        let mut broker = Broker::default();
        broker.faults.lose_puback = every(&mut chance);
        broker.faults.repeat_puback = every(&mut chance);
        let mut world = World {
            chance,
            now,
            session,
            outbox: Outbox::new(&OutboxBounds::default()),
            broker,
            link: None,
            links: OBSERVER,
            reconnect: now,
            up: Wire::default(),
            down: Wire::default(),
            dead: None,
            input: BytesMut::new(),
            pushed: 0,
            statuses: 0,
            received: Vec::new(),
            last: BTreeMap::new(),
            commanded: 0,
            obeyed: Vec::new(),
            subscribed: false,
            kept,
            steps: 0,
        };
        world.observe();
        world
    }

    /// The observer comes in. Its own session is never lost, or it would rightly miss messages.
    fn observe(&mut self) {
        let faults = std::mem::take(&mut self.broker.faults);
        self.broker.open(OBSERVER, self.now);
        let connect = Connect {
            client_id: "observer".into(),
            clean: false,
            keep_alive: 0,
            will: None,
            user: None,
            password: None,
        };
        let filters = ["data", "status", "plain"].map(|f| (f.parse().unwrap(), Qos::AtLeastOnce));
        let subscribe = Subscribe { id: PacketId::MIN, filters: filters.into() };
        self.observer_says(&Packet::Connect(connect));
        self.observer_says(&Packet::Subscribe(subscribe));
        self.broker.faults = faults;
        self.observer_reads();
    }

    fn observer_says(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes);
        self.broker.receive(OBSERVER, &bytes, self.now);
    }

    fn observer_reads(&mut self) {
        loop {
            let mut bytes = self.broker.output(OBSERVER).unwrap().split();
            if bytes.is_empty() {
                return;
            }
            while let Some(Decoded::Packet(packet)) = Packet::decode(&mut bytes, 1 << 20).unwrap() {
                let Packet::Publish(publish) = packet else { continue };
                if publish.topic.as_str() == "data" {
                    self.received.push(number(&publish.payload));
                }
                self.last.insert(publish.topic.to_string(), publish.payload.to_vec());
                if let Some(id) = publish.id {
                    self.observer_says(&Packet::PubAck(id));
                }
            }
        }
    }

    fn delay(&mut self) -> Instant {
        self.now + Duration::from_millis(1 + self.chance.below(200))
    }

    /// The link ends on both sides.
    fn cut(&mut self) {
        if let Some(link) = self.link.take() {
            self.broker.close(link);
            self.lost();
        }
    }

    /// The link ends on the client's side.
    fn lost(&mut self) {
        self.link = None;
        self.session.disconnected();
        (self.up, self.down) = Default::default();
        self.dead = None;
        self.input.clear();
        self.reconnect = self.now + Duration::from_millis(10 + self.chance.below(2000));
    }

    /// Everything that can happen at this moment, then the clock moves to the next.
    fn step(&mut self, calm: bool) {
        self.steps += 1;
        assert!(self.steps < 20_000, "live-lock");
        if !calm {
            self.disturb();
        }
        if self.link.is_none() && self.reconnect <= self.now {
            self.links += 1;
            self.link = Some(self.links);
            self.broker.open(self.links, self.now);
            self.session.connect(self.now);
        }
        if let Some(link) = self.link
            && let Err(error) = self.exchange(link)
        {
            if let (Some(since), SessionError::NoPingResp | SessionError::NoConnAck) =
                (self.dead, &error)
            {
                let late = KEEPALIVE + Duration::from_secs(11);
                assert!(self.now <= since + late, "a dead link is noticed in time");
            }
            self.cut();
        }
        if self.broker.deadline().is_some_and(|due| due <= self.now) {
            self.broker.timeout(self.now);
        }
        self.observer_reads();
        // What is due now was done: a deadline that is not in the future would be a busy loop.
        let deadline = self.session.deadline();
        assert!(deadline.is_none_or(|due| due > self.now), "busy loop");
        let events = [
            self.link.is_none().then_some(self.reconnect),
            deadline,
            self.up.next(),
            self.down.next(),
            self.broker.deadline(),
        ];
        let least = self.now + Duration::from_millis(1);
        let next = events.into_iter().flatten().min().unwrap_or(least).max(least);
        self.now = if calm { next } else { next.min(self.now + Duration::from_millis(500)) };
    }

    fn disturb(&mut self) {
        if self.chance.one_in(3) {
            for _ in 0..self.chance.below(20) {
                self.push();
            }
        }
        if self.subscribed && self.chance.one_in(10) {
            let publish = Publish {
                topic: "cmd/x".parse().unwrap(),
                payload: self.commanded.to_string().into(),
                id: Some(PacketId::MIN),
                dup: false,
                retain: false,
            };
            self.commanded += 1;
            self.observer_says(&Packet::Publish(publish));
        }
        if self.chance.one_in(40) {
            self.cut();
        }
        if self.chance.one_in(150) {
            self.broker.restart(true);
            self.lost();
            self.observe();
        }
        if self.link.is_some() && self.dead.is_none() && self.chance.one_in(100) {
            self.dead = Some(self.now);
        }
        let faults = &mut self.broker.faults;
        faults.mute = self.chance.one_in(10);
        faults.forget_sessions = !self.kept && self.chance.one_in(4);
        faults.refuse = self.chance.one_in(8).then_some(Refusal::Unavailable);
    }

    fn push(&mut self) {
        let reading = |topic: &str, payload: u32| Message {
            topic: topic.parse().unwrap(),
            payload: payload.to_string().into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            latest_only: false,
        };
        match self.chance.below(8) {
            0 => {
                self.statuses += 1;
                let status = reading("status", self.statuses);
                self.outbox.push(Message { retain: true, latest_only: true, ..status });
            }
            1 => self.outbox.push(Message { qos: Qos::AtMostOnce, ..reading("plain", 0) }),
            _ => {
                self.outbox.push(reading("data", self.pushed));
                self.pushed += 1;
            }
        }
    }

    /// One turn of the link's loop.
    fn exchange(&mut self, link: Connection) -> Result<(), SessionError> {
        let now = self.now;
        while let Some(bytes) = self.up.arrived(now) {
            if self.dead.is_none() {
                self.broker.receive(link, &bytes, now);
            }
        }
        let output = self.broker.output(link).map(|output| output.split().to_vec());
        if let Some(mut bytes) = output.filter(|bytes| !bytes.is_empty()) {
            // In pieces, as a socket delivers them.
            let piece = 1 + self.chance.below(bytes.len() as u64) as usize;
            let rest = bytes.split_off(piece);
            for bytes in [bytes, rest] {
                let at = self.delay();
                self.down.send(bytes, at);
            }
        }
        if self.broker.is_closing(link) && self.down.next().is_none() && self.dead.is_none() {
            self.cut();
            return Ok(());
        }
        while let Some(bytes) = self.down.arrived(now) {
            if self.dead.is_none() {
                self.input.extend_from_slice(&bytes);
                self.session.receive(&mut self.input, &mut self.outbox, now)?;
            }
        }
        if self.session.deadline().is_some_and(|due| due <= now) {
            self.session.timeout(now)?;
        }
        while let Some(event) = self.session.event() {
            match event {
                Event::Connected { .. } => {}
                Event::Subscribed { granted, .. } => {
                    assert_eq!(granted, Some(Qos::AtLeastOnce));
                    self.subscribed = true;
                }
                Event::Message { payload, .. } => self.obeyed.push(number(&payload)),
                Event::Oversize { .. } => panic!("nobody sent such a thing"),
            }
        }
        self.session.send(&mut self.outbox);
        let output = self.session.output();
        assert!(output.len() < 66 * 1024, "memory is bounded");
        // The socket takes a part of it, or all.
        let len = output.len();
        let n =
            if self.chance.one_in(4) { self.chance.below(len as u64 + 1) as usize } else { len };
        if n > 0 {
            let bytes = self.session.output()[..n].to_vec();
            self.session.output().advance(n);
            self.session.wrote(now);
            let at = self.delay();
            self.up.send(bytes, at);
        }
        if n < len {
            // It takes the rest in the next moment.
            let at = now + Duration::from_millis(1);
            self.up.send(Vec::new(), at);
        }
        Ok(())
    }
}

fn number(payload: &[u8]) -> u32 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// Every number came, and each for the first time behind all smaller ones.
fn check(what: &str, received: &[u32], sent: u32) {
    let mut next = 0;
    for n in received {
        assert!(*n <= next, "{what}: {n} came before {next}");
        next += u32::from(*n == next);
    }
    assert_eq!(next, sent, "{what}: messages were lost");
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..WILD {
        world.step(false);
    }
    let loses = world.broker.faults.lose_puback > 0;
    // Nothing more goes wrong, but what went wrong has to be found out.
    world.broker.faults = Faults::default();
    let end = world.now + Duration::from_secs(600);
    let all_obeyed = |world: &World| world.obeyed.last() == world.commanded.checked_sub(1).as_ref();
    while !world.outbox.is_empty() || world.kept && !all_obeyed(&world) {
        world.step(true);
        assert!(world.now < end, "{} messages are stuck", world.outbox.len());
    }
    check("data", &world.received, world.pushed);
    if world.kept {
        check("commands", &world.obeyed, world.commanded);
    }
    // A broker that leaves out an acknowledgement, against 4.6, gets the older message again behind
    // the newer one that it did acknowledge.
    if world.statuses > 0 && !loses {
        assert_eq!(number(&world.last["status"]), world.statuses, "the latest status counts");
    }
    assert_eq!(world.outbox.counts().dropped, 0);
    assert_eq!(world.outbox.bytes(), 0);
}

#[test]
fn no_message_is_lost_and_order_is_kept() {
    if let Ok(seed) = std::env::var("SEED") {
        return play(seed.parse().unwrap());
    }
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for first in 0..threads as u64 {
            scope.spawn(move || {
                for seed in (first..SCENARIOS).step_by(threads) {
                    let outcome = std::panic::catch_unwind(|| play(seed));
                    assert!(outcome.is_ok(), "SEED={seed}");
                }
            });
        }
    });
}
