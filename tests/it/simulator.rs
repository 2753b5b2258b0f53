//! Client against model broker on a virtual clock: cuts, dead links, delays, lost and repeated
//! acknowledgements, lost sessions, refusals, writes and reads in pieces. A failure prints its
//! seed; `SEED=n cargo test --test it simulator::` plays it again.

mod hostile;

use crate::support::chance::Chance;
use bytes::BytesMut;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Ack, Connect, Decoded, Packet, PacketId, Properties, Property};
use tty2mqtt::mqtt::packet::{Publish, Reason, Subscribe, Subscription, Version};
use tty2mqtt::mqtt::session::{Clean, Ending, Event, Options, Session, SessionError};
use tty2mqtt::mqtt::source::Source;
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::testing::broker::{Broker, Connection, Faults};
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::entry::Entry;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

const SCENARIOS: u64 = 20_000;

/// Steps with accidents; what follows is calm.
const WILD: u32 = 200;

const KEEPALIVE: Duration = Duration::from_secs(20);

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
    statuses: u32,
    /// Of those, by QoS 1 and 2.
    data: [u32; 2],
    /// What the independent subscriber saw of `data1` and `data2`, and last of other topics.
    received: [Vec<u32>; 2],
    last: BTreeMap<String, Vec<u8>>,
    /// QoS 2 messages that it saw and that the broker has not released.
    held: BTreeSet<PacketId>,
    /// QoS of commands, how many were published, and which reached the client.
    command: Qos,
    commanded: u32,
    obeyed: Vec<u32>,
    /// Whether the client's subscription was granted once; commands are not published before.
    subscribed: bool,
    /// Whether the broker keeps the client's session, so that no command is lost. The client cannot
    /// tell: a CONNACK that says so may be lost with its link.
    kept: bool,
    /// Whether every connect begins a new session.
    clean: bool,
    steps: u32,
}

/// The independent client: subscribes to everything of ours and publishes commands.
const OBSERVER: Connection = 0;

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed);
        let now = Instant::now();
        let clean = chance.one_in(2);
        let kept = !clean && chance.one_in(2);
        let version =
            [None, Some(Version::V31), Some(Version::V311), Some(Version::V5), Some(Version::V5)];
        let version = version[chance.below(5) as usize];
        let command = if chance.one_in(2) { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
        let will = Message::new("will".parse().unwrap(), "lost".to_owned());
        let will = chance.one_in(2).then_some(Message { retain: true, ..will });
        let mut session = Session::new(Options {
            client_id: "sim".into(),
            will,
            version,
            clean: if clean { Clean::Always } else { Clean::Never },
            keepalive: KEEPALIVE,
            inflight: 1 + chance.below(30) as u16,
            receive_maximum: 1 + chance.below(30) as u16,
            topic_aliases: chance.below(4) as u16,
            ..Options::default()
        });
        let wanted = Subscription::new("cmd/#".parse().unwrap(), command);
        session.subscribe(vec![wanted], &Properties::NONE);
        let every = |chance: &mut Chance| match chance.one_in(3) {
            true => 3 + chance.below(10) as u32,
            false => 0,
        };
        let mut broker = Broker::default();
        broker.faults.lose_ack = every(&mut chance);
        broker.faults.repeat_ack = every(&mut chance);
        if chance.one_in(2) {
            let most = 1 + chance.below(20) as u16;
            broker.limits.0.push(Property::ReceiveMaximum(most));
        }
        // It refuses the will, in 5.0 with a reason, before that by its end.
        if chance.one_in(4) {
            broker.limits.0.push(Property::RetainAvailable(false));
        }
        if version.is_none() && chance.one_in(2) {
            broker.faults.newest = Some(Version::V311);
        }
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
            statuses: 0,
            data: [0; 2],
            received: Default::default(),
            last: BTreeMap::new(),
            held: BTreeSet::new(),
            command,
            commanded: 0,
            obeyed: Vec::new(),
            subscribed: false,
            kept,
            clean,
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
            version: Version::V311,
            client_id: "observer".into(),
            clean: false,
            keep_alive: 0,
            will: None,
            user: None,
            password: None,
            properties: Properties::NONE,
        };
        let filters = ["data1", "data2", "status", "plain"]
            .map(|filter| Subscription::new(filter.parse().unwrap(), Qos::ExactlyOnce));
        let (filters, properties) = (filters.into(), Properties::NONE);
        let subscribe = Subscribe { id: PacketId::MIN, filters, properties };
        self.observer_says(&Packet::Connect(connect));
        self.observer_says(&Packet::Subscribe(subscribe));
        self.broker.faults = faults;
        self.observer_reads();
    }

    fn observer_says(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes, Version::V311);
        self.broker.receive(OBSERVER, &bytes, self.now);
    }

    fn observer_reads(&mut self) {
        loop {
            let mut bytes = self.broker.output(OBSERVER).unwrap().split();
            if bytes.is_empty() {
                return;
            }
            let next = |bytes: &mut BytesMut| Packet::decode(bytes, 1 << 20, Version::V311);
            while let Some(Decoded::Packet(packet)) = next(&mut bytes).unwrap() {
                self.observer_hears(packet);
            }
        }
    }

    fn observer_hears(&mut self, packet: Packet) {
        let ack = |id| Ack::new(id, Reason::SUCCESS);
        match packet {
            Packet::Publish(publish) => {
                let is_new = match (publish.qos, publish.id) {
                    (Qos::ExactlyOnce, Some(id)) => self.held.insert(id),
                    _ => true,
                };
                if is_new {
                    self.observed(&publish);
                }
                match (publish.qos, publish.id) {
                    (Qos::AtLeastOnce, Some(id)) => self.observer_says(&Packet::PubAck(ack(id))),
                    (Qos::ExactlyOnce, Some(id)) => self.observer_says(&Packet::PubRec(ack(id))),
                    _ => {}
                }
            }
            Packet::PubRel(release) => {
                self.held.remove(&release.id);
                self.observer_says(&Packet::PubComp(ack(release.id)));
            }
            // The observer is no subject of the test.
            Packet::PubRec(received) => self.observer_says(&Packet::PubRel(ack(received.id))),
            _ => {}
        }
    }

    fn observed(&mut self, publish: &Publish) {
        let topic = publish.topic.as_ref().unwrap().to_string();
        match topic.as_str() {
            "data1" => self.received[0].push(number(&publish.payload)),
            "data2" => self.received[1].push(number(&publish.payload)),
            _ => {}
        }
        self.last.insert(topic, publish.payload.to_vec());
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
        self.session.disconnected(Ending::HangUp);
        (self.up, self.down) = Default::default();
        self.dead = None;
        self.input.clear();
        self.reconnect = self.now + Duration::from_millis(10 + self.chance.below(2000));
    }

    /// Everything that can happen at this moment, then the clock moves to the next.
    fn step(&mut self, calm: bool) {
        self.steps += 1;
        assert!(self.steps < 100_000, "live-lock");
        if !calm {
            self.disturb();
        }
        if self.link.is_none() && self.reconnect <= self.now {
            self.links += 1;
            self.link = Some(self.links);
            self.broker.open(self.links, self.now);
            self.session.connect(self.now).unwrap();
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
                topic: Some("cmd/x".parse().unwrap()),
                payload: self.commanded.to_string().into(),
                qos: Qos::ExactlyOnce,
                id: PacketId::new(1 + (self.commanded % 60_000) as u16),
                dup: false,
                retain: false,
                properties: Properties::NONE,
            };
            self.commanded += 1;
            let faults = std::mem::take(&mut self.broker.faults);
            self.observer_says(&Packet::Publish(publish));
            self.observer_reads();
            self.broker.faults = faults;
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
        faults.refuse = self.chance.one_in(8).then_some(Reason::SERVER_UNAVAILABLE);
    }

    fn push(&mut self) {
        let reading =
            |topic: &str, payload: u32| Message::new(topic.parse().unwrap(), payload.to_string());
        match self.chance.below(12) {
            0 => {
                self.statuses += 1;
                let status = reading("status", self.statuses);
                let status = Message { retain: true, ..status };
                self.outbox.push(Entry { latest_only: true, ..status.into() });
            }
            1 => {
                self.outbox.push(Message { qos: Qos::AtMostOnce, ..reading("plain", 0) });
            }
            2..7 => {
                self.outbox.push(reading("data1", self.data[0]));
                self.data[0] += 1;
            }
            _ => {
                let qos = Qos::ExactlyOnce;
                self.outbox.push(Message { qos, ..reading("data2", self.data[1]) });
                self.data[1] += 1;
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
                Event::Connected(_) => {}
                Event::Subscribed { granted, .. } => {
                    assert_eq!(granted, Ok(self.command));
                    self.subscribed = true;
                }
                Event::Message(message) => {
                    assert_eq!(message.topic.as_str(), "cmd/x");
                    self.obeyed.push(number(&message.payload));
                }
                Event::Pong => {}
                other => panic!("nobody sent such a thing: {other:?}"),
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
            self.session.wrote(n, now);
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

/// Every number came, and each for the first time behind all smaller ones; with `once`, none came
/// twice.
fn check(what: &str, received: &[u32], sent: u32, once: bool) {
    let mut next = 0;
    for n in received {
        assert!(*n <= next, "{what}: {n} came before {next}");
        assert!(!once || *n == next, "{what}: {n} came twice");
        next += u32::from(*n == next);
    }
    assert_eq!(next, sent, "{what}: messages were lost");
}

/// Every number came once, in whatever order.
fn check_unordered(what: &str, received: &[u32], sent: u32) {
    let mut numbers = received.to_vec();
    numbers.sort_unstable();
    check(what, &numbers, sent, true);
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..WILD {
        world.step(false);
    }
    let loses = world.broker.faults.lose_ack > 0;
    // Nothing more goes wrong, but what went wrong has to be found out.
    let newest = world.broker.faults.newest;
    world.broker.faults = Faults { newest, ..Faults::default() };
    let end = world.now + Duration::from_secs(3600);
    // The broker may repeat one of QoS 1: it is the last that has to come.
    let all_obeyed =
        |world: &World| world.commanded == 0 || world.obeyed.contains(&(world.commanded - 1));
    while !world.outbox.is_empty() || world.kept && !all_obeyed(&world) {
        world.step(true);
        assert!(
            world.now < end,
            "{} messages are stuck {:?}",
            world.outbox.messages(),
            (
                world.link,
                world.kept,
                world.obeyed.len(),
                world.commanded,
                world.session.deadline(),
                world.session.output().len()
            )
        );
    }
    check("QoS 1", &world.received[0], world.data[0], false);
    match (world.kept, loses) {
        (true, false) => check("QoS 2", &world.received[1], world.data[1], true),
        // A broker that leaves out a PUBREC, against 4.6, gets PUBREL of a newer message first.
        (true, true) => check_unordered("QoS 2", &world.received[1], world.data[1]),
        (false, false) if world.clean => {
            check("QoS 2", &world.received[1], world.data[1], false);
        }
        // The CONNACK that told of a lost session may have been lost too. Then the next one speaks
        // of a session, and what was released in the one before is nowhere.
        (false, _) => {}
    }
    if world.kept {
        check("commands", &world.obeyed, world.commanded, world.command == Qos::ExactlyOnce);
    }
    // A broker that leaves out an acknowledgement, against 4.6, gets the older message again behind
    // the newer one that it did acknowledge.
    if world.statuses > 0 && !loses {
        assert_eq!(number(&world.last["status"]), world.statuses, "the latest status counts");
    }
    assert_eq!(world.outbox.counts().dropped, 0);
    assert_eq!(world.outbox.counts().refused, 0);
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
