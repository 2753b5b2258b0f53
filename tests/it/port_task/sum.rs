//! What becomes of commands while a port is opened, unplugged, reloaded and stopped at random times:
//! each is written and acknowledged, or refused, reported and acknowledged, or not acknowledged; and
//! none is written or reported twice.

use super::{Chance, DEADLINE, Parts, parts_of};
use bytes::BytesMut;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::timeout;
use tty2mqtt::mqtt::packet::{ConnAck, Packet, PacketId, Properties, Publish, Reason, Version};
use tty2mqtt::mqtt::session::{AckToken, Event, Options, Session};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::testing::device::inbound::{AckGuard, Inbound, Receipt};
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::inlet;
use tty2mqtt::testing::outbox::settings::OutboxBounds;
use tty2mqtt::testing::port::task::{self, Inbox, Leftover};
use tty2mqtt::testing::port::{LineSetter, LinkKind, Opened};

const SEEDS: u64 = 12;

const PORT: &str = r#"
gateway: gw
broker: {url: "mqtt://x"}
ports:
  p:
    path: /dev/null
    line: 9600 8N1
    command_wait: 500ms
    commands: [{topic: relay/+, send: "{payload}", terminator: ";", pause: 1ms}]
"#;

/// Tokens such as a session gives them.
fn tokens(count: u16) -> Vec<AckToken> {
    let options = Options { manual_ack: true, receive_maximum: u16::MAX, ..Options::default() };
    let (mut session, mut outbox) = (Session::new(options), Outbox::new(&OutboxBounds::default()));
    let now = Instant::now();
    session.connect(now).unwrap();
    let mut bytes = BytesMut::new();
    Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS)).encode(&mut bytes, Version::V5);
    for number in 1..=count {
        let publish = Publish {
            topic: "relay".parse().ok(),
            payload: "x".into(),
            qos: Qos::AtLeastOnce,
            id: PacketId::new(number),
            dup: false,
            retain: false,
            properties: Properties::NONE,
        };
        Packet::Publish(publish).encode(&mut bytes, Version::V5);
    }
    session.receive(&mut bytes, &mut outbox, now).unwrap();
    let token = |event| match event {
        Event::Message(received) => received.token,
        _ => None,
    };
    std::iter::from_fn(|| session.event()).filter_map(token).collect()
}

/// What the port said of commands.
#[derive(Default)]
struct Said {
    results: RefCell<Vec<serde_json::Value>>,
    more: Notify,
}

type Reports = Rc<Said>;

async fn listen(mut outlet: inlet::Receiver, reports: Reports) {
    while let Some(batch) = outlet.next().await {
        let results = batch.iter().filter(|m| m.message.topic.as_str().ends_with("/command"));
        let results = results.map(|m| serde_json::from_slice(&m.message.payload).unwrap());
        reports.results.borrow_mut().extend(results);
        reports.more.notify_one();
    }
}

/// A device that notes what it gets.
struct Device {
    to_port: WriteHalf<DuplexStream>,
    reads: JoinHandle<()>,
}

/// All that devices got.
#[derive(Default)]
struct Got {
    text: RefCell<String>,
    more: Notify,
}

async fn read(mut from_port: ReadHalf<DuplexStream>, got: Rc<Got>) {
    let mut buffer = [0; 16];
    while let Ok(n @ 1..) = from_port.read(&mut buffer).await {
        got.text.borrow_mut().push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        got.more.notify_one();
    }
    // What was cut is no command.
    let mut got = got.text.borrow_mut();
    let end = got.rfind(';').map_or(0, |at| at + 1);
    got.truncate(end);
}

/// The gateway's side of the port, over any number of tasks one after the other.
struct World {
    reports: Reports,
    listeners: Vec<JoinHandle<()>>,
    devices: mpsc::Sender<DuplexStream>,
    asks: mpsc::Sender<task::PortRequest>,
    stop: watch::Sender<()>,
    task: JoinHandle<Leftover>,
    device: Option<Device>,
    got: Rc<Got>,
}

impl World {
    fn start(left: Option<Leftover>, reports: Reports) -> (World, Inbox) {
        let Parts { mut task, outlet, inbox, asks, stop } = parts_of(PORT);
        task.left = left;
        let listeners = vec![spawn_local(listen(outlet, reports.clone()))];
        let (devices, mut plugged) = mpsc::channel(64);
        let task = spawn_local(task::run(task, async move || {
            let stream: Option<DuplexStream> = plugged.recv().await;
            let opened = |stream| Opened {
                stream,
                device: "pipe".into(),
                link: LinkKind::Tty,
                line_counts: None,
                setter: LineSetter::none(),
            };
            stream.map(opened).ok_or("none")
        }));
        let (device, got) = (None, Rc::default());
        (World { reports, listeners, devices, asks, stop, task, device, got }, inbox)
    }

    /// Ends the task, and returns what waits.
    async fn stop(self) -> (Leftover, Vec<JoinHandle<()>>, Option<Device>, Rc<Got>) {
        drop(self.stop);
        let left = timeout(DEADLINE, self.task).await.expect("the port does not end").unwrap();
        (left, self.listeners, self.device, self.got)
    }

    async fn reload(self) -> World {
        let reports = self.reports.clone();
        let (left, mut listeners, device, got) = self.stop().await;
        let (mut world, _) = World::start(Some(left), reports);
        listeners.append(&mut world.listeners);
        if let Some(Device { reads, .. }) = device {
            timeout(DEADLINE, reads).await.unwrap().unwrap();
        }
        World { listeners, got, ..world }
    }

    async fn plug(&mut self) {
        let (device, port) = tokio::io::duplex(64);
        let (from_port, mut to_port) = tokio::io::split(device);
        // A link that said something is one, however short it is.
        to_port.write_all(b"\n").await.unwrap();
        let reads = spawn_local(read(from_port, self.got.clone()));
        self.device = Some(Device { to_port, reads });
        self.devices.send(port).await.unwrap();
        // So that it does not wait for its next try.
        self.asks.send(task::PortRequest::Rescan).await.unwrap();
    }

    /// What was written before is read; the next device gets nothing of it.
    async fn unplug(&mut self, in_the_middle: bool) {
        let middle = async {
            while !self.got.text.borrow().ends_with('-') {
                self.got.more.notified().await;
            }
        };
        if in_the_middle && self.device.is_some() {
            let _ = timeout(Duration::from_millis(100), middle).await;
        }
        let Some(Device { mut to_port, reads }) = self.device.take() else { return };
        to_port.shutdown().await.unwrap();
        timeout(DEADLINE, reads).await.expect("the port does not close").unwrap();
    }

    /// Waits until the port said so much more, for a while at most.
    async fn look(&self, results: usize) {
        let enough = self.reports.results.borrow().len() + results;
        let more = async {
            while self.reports.results.borrow().len() < enough {
                self.reports.more.notified().await;
            }
        };
        let _ = timeout(Duration::from_millis(300), more).await;
    }
}

/// Returns how many commands were sent, refused and not acknowledged.
async fn scenario(seed: u64) -> [u64; 3] {
    let mut chance = Chance::new(seed);
    let mut tokens = tokens(3000).into_iter();
    let (back, mut acknowledged) = mpsc::channel(65_536);
    let (mut world, inbox) = World::start(None, Reports::default());
    // The tokens of those that are not of QoS 0.
    let mut with_token = BTreeMap::new();
    let mut offered = 0;
    let mut burst = |chance: &mut Chance, commands: u64| {
        for _ in 0..commands {
            let token = tokens.next().filter(|_| !chance.one_in(4));
            let ack = token.map(|token| {
                let back = back.clone();
                AckGuard::new(move || {
                    let _ = back.try_send(token);
                })
            });
            if let Some(token) = token {
                with_token.insert(offered, token.id().get());
            }
            // Some are longer than what the device takes at once, and some are not plain.
            let long = if chance.one_in(6) { "-".repeat(200) } else { String::new() };
            let not_plain = if chance.one_in(20) { "\n" } else { "" };
            let inbound = Inbound {
                topic: format!("relay/{offered}").parse().unwrap(),
                payload: format!("{offered}{long}{not_plain}").into(),
                retain: false,
                since: Some(Instant::now()),
                expires: None,
                respond: None,
                receipt: Receipt { ack, outcome: None },
            };
            offered += 1;
            // Full: it is acknowledged, and the port reports it.
            let _ = inbox.offer(inbound);
        }
    };
    for _ in 0..60 {
        match chance.below(10) {
            0..=2 => {
                let most = if chance.one_in(8) { 400 } else { 12 };
                let commands = 1 + chance.below(most);
                burst(&mut chance, commands);
            }
            3 => world.unplug(chance.one_in(2)).await,
            4..=6 if world.device.is_none() => world.plug().await,
            7 => world = world.reload().await,
            _ => world.look(chance.below(40) as usize).await,
        }
    }
    if chance.one_in(2) {
        burst(&mut chance, 400);
    }
    let reports = world.reports.clone();
    let (left, listeners, device, got) = world.stop().await;
    let how = chance.below(3);
    match how {
        0 => left.refuse(),
        1 => left.end(false),
        _ => left.end(true),
    }
    if let Some(Device { reads, .. }) = device {
        timeout(DEADLINE, reads).await.unwrap().unwrap();
    }
    for listener in listeners {
        timeout(DEADLINE, listener).await.expect("somebody keeps the port's channel").unwrap();
    }

    let number = |text: &str| text.rsplit('/').next().unwrap().parse::<u64>().unwrap();
    let reports = reports.results.borrow();
    let of = |result: &str| {
        let of = reports.iter().filter(|report| report["result"] == result).cloned();
        of.collect::<Vec<_>>()
    };
    let sent: Vec<u64> =
        of("sent").iter().map(|report| number(report["topic"].as_str().unwrap())).collect();
    let refused: u64 = of("refused").iter().map(|report| report["count"].as_u64().unwrap()).sum();
    let written: Vec<u64> = got
        .text
        .borrow()
        .split_terminator(';')
        .map(|line| line.trim_end_matches('-').parse())
        .map(|number| number.unwrap_or_else(|_| panic!("seed {seed}: part of a command")))
        .collect();
    let acknowledged: BTreeSet<_> = std::iter::from_fn(|| acknowledged.try_recv().ok())
        .map(|token: AckToken| token.id().get())
        .collect();

    let mut in_order = sent.clone();
    in_order.sort_unstable();
    in_order.dedup();
    assert_eq!(sent, in_order, "seed {seed}: sent twice, or out of order");
    assert_eq!(written, sent, "seed {seed}: what the device has, and what was reported");
    let withheld: Vec<u64> = with_token
        .iter()
        .filter(|(_, id)| !acknowledged.contains(id))
        .map(|(number, _)| *number)
        .collect();
    let both = withheld.iter().find(|number| sent.contains(number));
    assert_eq!(both, None, "seed {seed}: written, and not acknowledged");
    assert!(how == 2 || withheld.is_empty(), "seed {seed}: nobody keeps {withheld:?}");
    let ends = [sent.len() as u64, refused, withheld.len() as u64];
    assert_eq!(ends.iter().sum::<u64>(), offered, "seed {seed}: {ends:?}, {withheld:?}");
    ends
}

/// `SEED` chooses the first of the scenarios, which are the same each time but for their timing.
#[tokio::test]
async fn each_command_has_one_end() {
    let local = LocalSet::new();
    let first = Chance::seed();
    local
        .run_until(async {
            let scenarios: Vec<_> =
                (first..first + SEEDS).map(|seed| (seed, spawn_local(scenario(seed)))).collect();
            let mut all = [0; 3];
            for (seed, scenario) in scenarios {
                let ends = scenario.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                all.iter_mut().zip(ends).for_each(|(all, of_seed)| *all += of_seed);
            }
            println!("{} sent, {} refused, {} not acknowledged", all[0], all[1], all[2]);
            assert!(all.iter().all(|times| *times > 0), "{all:?}: not every end was seen");
        })
        .await;
}
