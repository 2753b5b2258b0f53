//! Brokers that end links at something of ours, and links that end by chance: a whole link with its
//! outbox against the model broker, on a clock that stands still until everybody waits for it.

use crate::support::chance::Chance;
use crate::support::linked::Link;
use bytes::BytesMut;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::time::{Instant, sleep_until};
use tty2mqtt::mqtt::link::{self, Dial, Dialed};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Connect, Decoded, Packet, PacketId, Properties, Reason};
use tty2mqtt::mqtt::packet::{Subscribe, Subscription, Version};
use tty2mqtt::mqtt::session::{self, Clean, Session, Suspected};
use tty2mqtt::mqtt::source::Source;
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::mqtt::transport::{ConnectError, Stage};
use tty2mqtt::testing::broker::{At, Broker, Connection, Way};
use tty2mqtt::testing::outbox::entry::Entry;
use tty2mqtt::testing::outbox::settings::OutboxBounds;
use tty2mqtt::testing::outbox::{MessageId, Outbox, Outcome};

const SECOND: Duration = Duration::from_secs(1);

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(1) };
}

/// What a link takes for chance: the same numbers for the same seed.
fn random() -> u32 {
    SEED.with(|seed| {
        let mut chance = Chance(seed.get());
        let number = chance.below(1 << 31) as u32 * 2;
        seed.set(chance.0);
        number
    })
}

/// The network and the broker at its other end.
struct Net {
    broker: Broker,
    links: Connection,
    /// How long a byte is under way.
    latency: Duration,
    /// Links live so many milliseconds, by chance.
    lives: Option<(u64, u64)>,
    chance: Chance,
    /// What the broker passed on, and when.
    passed: Vec<(Instant, String, Vec<u8>)>,
    connects: Vec<Instant>,
}

const OBSERVER: Connection = 0;

impl Net {
    fn new(seed: u64) -> Net {
        let mut net = Net {
            broker: Broker::default(),
            links: OBSERVER,
            latency: Duration::from_millis(2),
            lives: None,
            chance: Chance::new(seed),
            passed: Vec::new(),
            connects: Vec::new(),
        };
        net.observe();
        net
    }

    /// Somebody listens to everything.
    fn observe(&mut self) {
        let faults = std::mem::take(&mut self.broker.faults);
        let now = Instant::now().into_std();
        self.broker.open(OBSERVER, now);
        let connect = Connect {
            version: Version::V311,
            client_id: "observer".into(),
            clean: true,
            keep_alive: 0,
            will: None,
            user: None,
            password: None,
            properties: Properties::NONE,
        };
        let filters = vec![Subscription::new("#".parse().unwrap(), Qos::AtMostOnce)];
        let subscribe = Subscribe { id: PacketId::MIN, filters, properties: Properties::NONE };
        for packet in [Packet::Connect(connect), Packet::Subscribe(subscribe)] {
            let mut bytes = BytesMut::new();
            packet.encode(&mut bytes, Version::V311);
            self.broker.receive(OBSERVER, &bytes, now);
        }
        self.broker.faults = faults;
        self.hear();
    }

    fn hear(&mut self) {
        let now = Instant::now();
        let Some(output) = self.broker.output(OBSERVER) else { return };
        while let Some(Decoded::Packet(packet)) =
            Packet::decode(output, 1 << 20, Version::V311).unwrap()
        {
            if let Packet::Publish(publish) = packet {
                let topic = publish.topic.unwrap().to_string();
                self.passed.push((now, topic, publish.payload.to_vec()));
            }
        }
    }

    fn restart(&mut self) {
        self.broker.restart(true);
        self.observe();
    }
}

type Shared = Arc<Mutex<Net>>;

struct Dialer(Shared);

impl Dial for Dialer {
    fn dial<'a>(&'a mut self, _: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        let net = self.0.clone();
        Box::pin(async move {
            let (ours, theirs) = duplex(256 * 1024);
            let ended = Arc::new(Mutex::new(None));
            tokio::spawn(serve(net, theirs, ended.clone()));
            Ok::<_, ConnectError>(Box::new(Wire { stream: ours, ended }) as Box<dyn link::Io>)
        })
    }
}

type Ended = Arc<Mutex<Option<io::ErrorKind>>>;

/// A stream that may end in other ways than with its end.
struct Wire {
    stream: DuplexStream,
    ended: Ended,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let ended = *self.ended.lock().unwrap();
        match (read, ended) {
            (Poll::Ready(Ok(())), Some(kind)) if buffer.filled().len() == before => {
                Poll::Ready(Err(kind.into()))
            }
            (read, _) => read,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

type Delayed = VecDeque<(Instant, Vec<u8>)>;

fn arrived(queue: &mut Delayed, now: Instant) -> Option<Vec<u8>> {
    queue.front().filter(|(at, _)| *at <= now)?;
    queue.pop_front().map(|(_, bytes)| bytes)
}

/// The broker's end of a stream, bytes taking their time in both directions.
async fn serve(net: Shared, mut stream: DuplexStream, ended: Ended) {
    let (link, latency, cut) = {
        let mut net = net.lock().unwrap();
        net.links += 1;
        let now = Instant::now();
        net.connects.push(now);
        let link = net.links;
        net.broker.open(link, now.into_std());
        let lives = net.lives;
        let cut =
            lives.map(|(from, to)| now + Duration::from_millis(from + net.chance.below(to - from)));
        (link, net.latency, cut)
    };
    let never = Instant::now() + 1_000_000 * SECOND;
    let (mut up, mut down) = (Delayed::new(), Delayed::new());
    let mut buffer = vec![0; 64 * 1024];
    let mut ends = None;
    loop {
        let due = |queue: &Delayed| queue.front().map_or(never, |it| it.0);
        let next = due(&up).min(due(&down)).min(cut.unwrap_or(never)).min(ends.unwrap_or(never));
        // What the broker sends of its own accord is looked for now and then.
        let next = next.min(Instant::now() + SECOND);
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(n) if n > 0 => up.push_back((Instant::now() + latency, buffer[..n].to_vec())),
                _ => break,
            },
            () = sleep_until(next) => {}
        }
        let now = Instant::now();
        if cut.is_some_and(|cut| cut <= now) {
            break;
        }
        {
            let mut net = net.lock().unwrap();
            if ends.is_some() {
                up.clear();
            }
            while ends.is_none()
                && let Some(bytes) = arrived(&mut up, now)
            {
                net.broker.receive(link, &bytes, now.into_std());
            }
            net.hear();
            let output = net.broker.output(link).map(|output| output.split().to_vec());
            if let Some(output) = output.filter(|output| !output.is_empty()) {
                down.push_back((now + latency, output));
            }
            if ends.is_none() && net.broker.is_closing(link) {
                *ended.lock().unwrap() = match net.broker.way(link) {
                    Some(Way::Reset) => Some(io::ErrorKind::ConnectionReset),
                    Some(Way::Truncate) => Some(io::ErrorKind::UnexpectedEof),
                    _ => None,
                };
                ends = Some(now + latency);
            }
        }
        while let Some(bytes) = arrived(&mut down, now) {
            if stream.write_all(&bytes).await.is_err() {
                break;
            }
        }
        if ends.is_some_and(|ends| ends <= now) {
            break;
        }
    }
    let mut net = net.lock().unwrap();
    net.broker.close(link);
    net.hear();
}

/// What a gateway does with a link, and what became of it.
struct Gateway {
    net: Shared,
    link: Link,
    version: Version,
    clean: Clean,
    /// Messages that have no outcome yet: what a journal would have.
    open: BTreeMap<MessageId, Entry>,
    pushed: BTreeMap<String, u32>,
    refused: BTreeMap<String, u64>,
    suspected: Vec<String>,
    /// Whether it never waits for the next link.
    is_hasty: bool,
    no_subscription: Vec<String>,
    errors: Vec<String>,
}

const GOOD: [(&str, Qos); 3] =
    [("good/0", Qos::AtMostOnce), ("good/1", Qos::AtLeastOnce), ("good/2", Qos::ExactlyOnce)];

fn message(topic: &str, payload: impl Into<bytes::Bytes>, qos: Qos) -> Message {
    Message { qos, ..Message::new(topic.parse().unwrap(), payload) }
}

fn status(topic: &str, payload: &str, qos: Qos) -> Entry {
    let message = Message { retain: true, ..message(topic, payload.to_owned(), qos) };
    Entry { latest_only: true, ..message.into() }
}

impl Gateway {
    fn new(net: &Shared, version: Version, clean: Clean) -> Gateway {
        let link = Gateway::link(net, version, clean);
        Gateway {
            net: net.clone(),
            link,
            version,
            clean,
            open: BTreeMap::new(),
            pushed: BTreeMap::new(),
            refused: BTreeMap::new(),
            suspected: Vec::new(),
            is_hasty: false,
            no_subscription: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn link(net: &Shared, version: Version, clean: Clean) -> Link {
        let options = session::Options {
            client_id: "gateway".into(),
            version: Some(version),
            clean,
            ..session::Options::default()
        };
        let mut session = Session::new(options);
        let filters =
            ["cmd/a", "cmd/b"].map(|it| Subscription::new(it.parse().unwrap(), Qos::AtLeastOnce));
        session.subscribe(filters.into(), &Properties::NONE);
        let mut outbox = Outbox::new(&OutboxBounds::default());
        outbox.follow();
        let options = link::Options { random, ..link::Options::default() };
        Link::new(session, outbox, Dialer(net.clone()), options)
    }

    /// The process ends and starts again; what has no outcome comes from the journal.
    fn restart(&mut self) {
        self.link = Gateway::link(&self.net, self.version, self.clean);
        for entry in std::mem::take(&mut self.open).into_values() {
            self.push(entry);
        }
    }

    fn push(&mut self, entry: impl Into<Entry>) {
        let entry = entry.into();
        let survives = !entry.latest_only && entry.message.qos != Qos::AtMostOnce;
        let ticket = self.link.outbox.push(entry.clone());
        if survives {
            self.open.insert(ticket, entry);
        }
    }

    /// The next reading of a topic.
    fn reading(&mut self, topic: &str, qos: Qos) {
        let number = self.pushed.entry(topic.to_owned()).or_default();
        *number += 1;
        let message = message(topic, number.to_string(), qos);
        self.push(message);
    }

    fn good(&mut self) {
        GOOD.iter().for_each(|(topic, qos)| self.reading(topic, *qos));
        self.push(status("good/status", &"s".repeat(200), Qos::AtMostOnce));
    }

    async fn run_until(&mut self, until: Instant) {
        loop {
            tokio::select! {
                event = self.link.event() => self.hears(event),
                () = sleep_until(until) => return,
            }
        }
    }

    fn hears(&mut self, event: link::Event) {
        while let Some((ticket, outcome)) = self.link.outbox.outcome() {
            assert_ne!(outcome, Outcome::Dropped);
            self.open.remove(&ticket);
        }
        match event {
            link::Event::Session(session::Event::Connected(_)) => {
                let online = status("gw/status", "online", Qos::AtLeastOnce);
                self.link.outbox.push_first(online);
                self.push(status("gw/status/program", "{\"version\":1}", Qos::AtMostOnce));
                self.push(status("gw/status/broker", "{\"connected\":true}", Qos::AtMostOnce));
            }
            link::Event::Session(session::Event::Refused { topic, bytes, .. }) => {
                assert!(bytes >= topic.len());
                *self.refused.entry(topic.to_string()).or_default() += 1;
            }
            link::Event::Session(session::Event::Suspected(what)) => {
                self.suspected.push(match what {
                    Suspected::Message { topic, .. } => topic.to_string(),
                    Suspected::Subscribe(filter) | Suspected::Unsubscribe(filter) => {
                        filter.as_str().to_owned()
                    }
                })
            }
            link::Event::Session(session::Event::Subscribed {
                filter, granted: Err(_), ..
            }) => {
                self.no_subscription.push(filter.as_str().to_owned());
            }
            link::Event::Down(error) => {
                self.errors.push(error.to_string());
                if self.is_hasty {
                    self.link.try_now();
                }
            }
            _ => {}
        }
    }

    /// What came of a topic with numbers, without repetitions.
    fn came(&self, topic: &str) -> Vec<u32> {
        let net = self.net.lock().unwrap();
        let of = net.passed.iter().filter(|(_, it, _)| it == topic);
        let mut numbers: Vec<u32> =
            of.map(|(_, _, it)| std::str::from_utf8(it).unwrap().parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Everything of QoS 1 and 2 that was pushed so far has come.
    fn all_good_came(&self, what: &str) {
        for (topic, _) in &GOOD[1..] {
            let pushed = self.pushed.get(*topic).copied().unwrap_or_default();
            let all: Vec<_> = (1..=pushed).collect();
            let came = self.came(topic);
            assert!(came == all, "{what}: {} of {pushed} of {topic} came; {self:?}", came.len());
        }
    }

    /// How many of the good ones of QoS 0 came since.
    fn fresh_since(&self, since: Instant) -> usize {
        let net = self.net.lock().unwrap();
        net.passed.iter().filter(|(at, topic, _)| *at >= since && topic == "good/0").count()
    }

    fn links(&self) -> usize {
        self.net.lock().unwrap().connects.len()
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errors = self.errors.iter().rev().take(3).collect::<Vec<_>>();
        write!(
            f,
            "links {}, suspected {:?}, refused {:?}, counts {:?}, last {errors:?}",
            self.links(),
            self.suspected,
            self.refused,
            self.link.outbox.counts()
        )
    }
}

fn on_a_clock_of_its_own<F: Future>(seed: u64, play: impl FnOnce() -> F) -> F::Output {
    SEED.with(|it| it.set(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async move { play().await })
}

/// What the broker ends links at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Reading(Qos),
    Once(Qos),
    Large(Qos),
    Birth,
    Program,
    PortStatus,
    LargePortStatus,
    Report,
    Subscription,
}

const KINDS: [Kind; 15] = [
    Kind::Reading(Qos::AtMostOnce),
    Kind::Reading(Qos::AtLeastOnce),
    Kind::Reading(Qos::ExactlyOnce),
    Kind::Once(Qos::AtMostOnce),
    Kind::Once(Qos::AtLeastOnce),
    Kind::Once(Qos::ExactlyOnce),
    Kind::Large(Qos::AtMostOnce),
    Kind::Large(Qos::AtLeastOnce),
    Kind::Large(Qos::ExactlyOnce),
    Kind::Birth,
    Kind::Program,
    Kind::PortStatus,
    Kind::LargePortStatus,
    Kind::Report,
    Kind::Subscription,
];

impl Kind {
    fn at(self) -> At {
        match self {
            Kind::Reading(_) | Kind::Once(_) => At::Topic("bad".into()),
            Kind::Large(_) | Kind::LargePortStatus => At::Larger(400),
            Kind::Birth => At::Topic("gw/status".into()),
            Kind::Program => At::Topic("gw/status/program".into()),
            Kind::PortStatus => At::Topic("gw/status/ports/p".into()),
            Kind::Report => At::Topic("gw/status/ports/p/command".into()),
            Kind::Subscription => At::Subscribe("cmd/b".into()),
        }
    }

    /// What is named by the end.
    fn name(self) -> &'static str {
        match self {
            Kind::Reading(_) | Kind::Once(_) => "bad",
            Kind::Large(_) => "mixed",
            Kind::Birth => "gw/status",
            Kind::Program => "gw/status/program",
            Kind::PortStatus | Kind::LargePortStatus => "gw/status/ports/p",
            Kind::Report => "gw/status/ports/p/command",
            Kind::Subscription => "cmd/b",
        }
    }

    /// What happens in a second, besides what is good.
    fn second(self, gateway: &mut Gateway, n: u64) {
        match self {
            Kind::Reading(qos) => gateway.reading("bad", qos),
            Kind::Once(qos) if n == 5 => gateway.reading("bad", qos),
            // Among many of the same topic that are good.
            Kind::Large(qos) => {
                gateway.reading("mixed", qos);
                if n == 5 {
                    gateway.push(message("mixed", "x".repeat(3000), qos));
                }
            }
            Kind::Report => gateway.push(message(
                "gw/status/ports/p/command",
                "{\"result\":\"sent\"}",
                Qos::AtMostOnce,
            )),
            Kind::LargePortStatus if n.is_multiple_of(2) => {
                let text = "x".repeat(600 + (n % 7) as usize);
                gateway.push(status("gw/status/ports/p", &text, Qos::AtMostOnce));
            }
            _ => {}
        }
        if n.is_multiple_of(2) && self != Kind::LargePortStatus {
            gateway.push(status("gw/status/ports/p", "{\"state\":\"open\"}", Qos::AtMostOnce));
        }
    }

    /// Whether it comes again after the link ended at it.
    fn is_repeated(self) -> bool {
        !matches!(self, Kind::Once(Qos::AtMostOnce) | Kind::Large(Qos::AtMostOnce))
    }
}

fn ways() -> Vec<(Version, Way)> {
    let reasons = [
        Reason::UNSPECIFIED_ERROR,
        Reason::MALFORMED_PACKET,
        Reason::PROTOCOL_ERROR,
        Reason::NOT_AUTHORIZED,
        Reason::TOPIC_NAME_INVALID,
        Reason::PACKET_TOO_LARGE,
        Reason::QUOTA_EXCEEDED,
        Reason::ADMINISTRATIVE_ACTION,
        Reason::PAYLOAD_FORMAT_INVALID,
    ];
    let mut ways: Vec<_> =
        reasons.into_iter().map(|reason| (Version::V5, Way::Disconnect(reason))).collect();
    for version in [Version::V5, Version::V311] {
        ways.extend([Way::Close, Way::Reset, Way::Truncate].map(|way| (version, way)));
    }
    ways
}

async fn one_suspect(kind: Kind, (version, way): (Version, Way), clean: Clean, latency: Duration) {
    let what = format!("{kind:?} {version:?} {way:?} {clean:?} {latency:?}");
    let net = Arc::new(Mutex::new(Net::new(1)));
    {
        let mut net = net.lock().unwrap();
        net.broker.faults.ends.push((kind.at(), way));
        net.latency = latency;
    }
    let mut gateway = Gateway::new(&net, version, clean);
    let start = Instant::now();
    // Within a minute all others flow again. Each trial of the suspect costs them a few ways there
    // and back, and a new link.
    let is_far = latency > Duration::from_millis(200);
    let pause = if is_far { 6 } else { 2 };
    for n in 0..60 - pause {
        gateway.good();
        kind.second(&mut gateway, n);
        gateway.run_until(start + SECOND * (n as u32 + 1)).await;
    }
    gateway.run_until(start + 60 * SECOND).await;
    gateway.all_good_came(&what);
    let end = if is_far { 160 } else { 75 };
    for n in 60..end {
        gateway.good();
        kind.second(&mut gateway, n);
        gateway.run_until(start + SECOND * (n as u32 + 1)).await;
    }
    gateway.run_until(start + SECOND * (end + pause) as u32).await;
    gateway.all_good_came(&what);
    assert!(
        gateway.fresh_since(start + 60 * SECOND) >= end as usize - 60 - 25 * usize::from(is_far),
        "{what}: {gateway:?}"
    );
    let counts = gateway.link.outbox.counts().clone();
    if kind.is_repeated() {
        if kind == Kind::Subscription {
            assert_eq!(gateway.no_subscription, ["cmd/b"], "{what}: {gateway:?}");
            assert_eq!(counts.refused, 0);
        } else {
            let names: Vec<_> = gateway.refused.keys().map(String::as_str).collect();
            assert_eq!(names, [kind.name()], "{what}: {gateway:?}");
            assert!(counts.refused > 0 && counts.refused == gateway.refused[kind.name()], "{what}");
        }
        assert_eq!(
            gateway.suspected.iter().filter(|it| *it == kind.name()).count().max(1),
            gateway.suspected.len(),
            "{what}: only it was suspected: {gateway:?}"
        );
    } else {
        assert_eq!(counts.refused, 0, "{what}");
    }
    if let Kind::Large(qos) = kind {
        let came = gateway.came_small("mixed");
        let lost = gateway.pushed["mixed"] as usize - came;
        assert!(if qos == Qos::AtMostOnce { lost < 16 } else { lost == 0 }, "{what}: {lost} lost");
    }
    assert!(gateway.links() < 40, "{what}: {gateway:?}");
    let blames = gateway.errors.iter().any(|it| it.contains("client identifier"));
    assert!(!blames, "{what}: {:?}", gateway.errors);
}

impl Gateway {
    fn came_small(&self, topic: &str) -> usize {
        let net = self.net.lock().unwrap();
        let of = net.passed.iter().filter(|(_, it, text)| it == topic && text.len() < 100);
        let all: std::collections::BTreeSet<_> = of.map(|(_, _, text)| text.clone()).collect();
        all.len()
    }
}

/// Plays all cases, and says which failed.
fn play_all<C: Copy + std::fmt::Debug + Send + Sync>(cases: &[C], play: impl Fn(C) + Sync) {
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for first in 0..threads {
            let (failed, play) = (&failed, &play);
            scope.spawn(move || {
                for case in cases.iter().skip(first).step_by(threads) {
                    let played =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(*case)));
                    if played.is_err() {
                        failed.lock().unwrap().push(*case);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), cases.len());
}

#[test]
fn one_suspect_delays_the_others_by_a_minute_at_most() {
    let mut cases = Vec::new();
    for kind in KINDS {
        cases.extend(ways().into_iter().map(|way| (kind, way, Clean::Always, 2)));
        for (clean, latency) in [(Clean::Never, 20), (Clean::Always, 150), (Clean::Never, 300)] {
            cases.push((kind, (Version::V311, Way::Reset), clean, latency));
        }
    }
    play_all(&cases, |(kind, way, clean, latency)| {
        let latency = Duration::from_millis(latency);
        on_a_clock_of_its_own(1, || one_suspect(kind, way, clean, latency));
    });
}

/// Twenty topics of all QoS that the broker ends links at, each with a reading a second. With
/// `restarts` the gateway is killed now and then, and has from its journal what was not settled.
async fn twenty_suspects((version, way): (Version, Way), latency: Duration, restarts: bool) {
    let what = format!("{version:?} {way:?} {latency:?} {restarts}");
    let net = Arc::new(Mutex::new(Net::new(1)));
    let bad: Vec<_> = (0..20).map(|n| format!("bad/{n}")).collect();
    {
        let mut net = net.lock().unwrap();
        net.latency = latency;
        net.broker.faults.ends = bad.iter().map(|it| (At::Topic(it.clone()), way)).collect();
    }
    let mut gateway = Gateway::new(&net, version, Clean::Always);
    let start = Instant::now();
    let second = |gateway: &mut Gateway, n: u64| {
        for (at, topic) in bad.iter().enumerate() {
            let qos = [Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::AtMostOnce][at % 3];
            if n.is_multiple_of(3) {
                gateway.reading(topic, qos);
            }
        }
        gateway.good();
    };
    let mut flow_again = None;
    for n in 0..300_u64 {
        if restarts && n % 100 == 50 {
            gateway.restart();
        }
        second(&mut gateway, n);
        gateway.run_until(start + SECOND * (n as u32 + 1)).await;
        if gateway.is_up_to_date(10) {
            flow_again.get_or_insert(n);
        }
    }
    // Whatever is tried then costs the others seconds.
    gateway.run_until(start + 303 * SECOND).await;
    gateway.all_good_came(&what);
    let flow_again = flow_again.unwrap();
    assert!(flow_again <= 120, "{what}: after {flow_again} s");
    if !restarts {
        // On a long way there and back each suspect takes longer to prove.
        let end = if latency < Duration::from_millis(100) { 420 } else { 1500 };
        for n in 303..end {
            second(&mut gateway, n);
            gateway.run_until(start + SECOND * (n as u32 + 1)).await;
        }
        gateway.run_until(start + SECOND * (end + 5) as u32).await;
        gateway.all_good_came(&what);
        let named: Vec<_> = gateway.refused.keys().cloned().collect();
        let mut all = bad.clone();
        all.sort();
        assert_eq!(named, all, "{what}: {gateway:?}");
    }
    assert!(gateway.refused.keys().all(|topic| topic.starts_with("bad/")), "{what}: {gateway:?}");
    let most = if restarts { 450 } else { 300 };
    assert!(gateway.links() < most, "{what}: {}", gateway.links());
}

impl Gateway {
    /// Whether nothing that is good and older than some seconds is missing.
    fn is_up_to_date(&self, seconds: u32) -> bool {
        GOOD[1..].iter().all(|(topic, _)| {
            let pushed = self.pushed.get(*topic).copied().unwrap_or_default();
            self.came(topic).len() as u32 + seconds >= pushed
        })
    }
}

#[test]
fn twenty_suspects_delay_the_others_by_five_minutes_at_most() {
    let mut cases = Vec::new();
    for way in ways() {
        cases.push((way, 2, false));
    }
    for latency in [20, 100] {
        cases.push(((Version::V311, Way::Reset), latency, false));
        cases.push(((Version::V5, Way::Disconnect(Reason::MALFORMED_PACKET)), latency, false));
    }
    cases.push(((Version::V311, Way::Reset), 2, true));
    cases.push(((Version::V5, Way::Disconnect(Reason::MALFORMED_PACKET)), 2, true));
    play_all(&cases, |(way, latency, restarts)| {
        let latency = Duration::from_millis(latency);
        on_a_clock_of_its_own(1, || twenty_suspects(way, latency, restarts));
    });
}

/// An hour in which links are cut every one to five seconds, and the broker starts anew now and then.
async fn an_hour_of_cuts(seed: u64, latency: u64, version: Version, clean: Clean, is_hasty: bool) {
    let what = format!("SEED={seed} {latency} {version:?} {clean:?} {is_hasty}");
    let net = Arc::new(Mutex::new(Net::new(seed)));
    {
        let mut net = net.lock().unwrap();
        net.latency = Duration::from_millis(latency);
        net.lives = Some((1000, 5000));
    }
    let mut gateway = Gateway::new(&net, version, clean);
    gateway.is_hasty = is_hasty;
    let mut chance = Chance(seed.wrapping_mul(0xD134_2543_DE82_EF95) | 1);
    let start = Instant::now();
    for n in 0..3600 {
        if n % 4 == 0 {
            gateway.good();
        }
        gateway.push(status("gw/status/ports/p", "{\"state\":\"open\"}", Qos::AtMostOnce));
        if chance.one_in(120) {
            net.lock().unwrap().restart();
        }
        gateway.run_until(start + SECOND * (n + 1)).await;
    }
    // Then links live, and all that waits comes.
    net.lock().unwrap().lives = None;
    gateway.run_until(start + 4200 * SECOND).await;
    gateway.all_good_came(&what);
    assert_eq!(gateway.link.outbox.counts().refused, 0, "{what}: {gateway:?}");
    assert!(
        gateway.refused.is_empty() && gateway.no_subscription.is_empty(),
        "{what}: {gateway:?}"
    );
    let least = if is_hasty { 700 } else { 50 };
    assert!(gateway.links() > least, "{what}: {gateway:?}");
}

#[test]
fn links_that_die_by_chance_cost_no_message() {
    let latencies = [1, 20, 100, 250, 500, 900, 5];
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..32).collect::<Vec<u64>>(),
    };
    play_all(&seeds, |seed| {
        let latency = latencies[seed as usize % latencies.len()];
        let version = if seed.is_multiple_of(2) { Version::V5 } else { Version::V311 };
        let clean = if seed % 4 < 2 { Clean::Always } else { Clean::Never };
        on_a_clock_of_its_own(seed, || {
            an_hour_of_cuts(seed, latency, version, clean, seed % 8 < 6)
        });
    });
}

/// Two gateways of one name throw each other out, before 5.0 without a word.
async fn two_of_one_name(version: Version, latency: u64) {
    let net = Arc::new(Mutex::new(Net::new(1)));
    net.lock().unwrap().latency = Duration::from_millis(latency);
    let mut one = Gateway::new(&net, version, Clean::Always);
    let mut other = Gateway::new(&net, version, Clean::Always);
    let start = Instant::now();
    for n in 0..1800 {
        one.good();
        let until = start + SECOND * (n + 1);
        tokio::join!(one.run_until(until), other.run_until(until));
    }
    let refused = one.link.outbox.counts().refused + other.link.outbox.counts().refused;
    assert_eq!(refused, 0, "{version:?}: {one:?} {other:?}");
    let tell = |it: &Gateway| it.errors.iter().any(|error| error.contains("client identifier"));
    assert!(tell(&one) || tell(&other), "{version:?}: {one:?} {other:?}");
    // No storm: far less than one link in ten seconds.
    assert!(one.links() < 180, "{version:?}: {one:?}");
}

#[test]
fn a_client_of_the_same_name_costs_no_message() {
    let cases = [(Version::V5, 2), (Version::V311, 2), (Version::V311, 50), (Version::V311, 300)];
    play_all(&cases, |(version, latency)| {
        on_a_clock_of_its_own(1, || two_of_one_name(version, latency));
    });
}

#[test]
fn what_was_refused_is_tried_again_after_an_hour() {
    on_a_clock_of_its_own(1, || async {
        let net = Arc::new(Mutex::new(Net::new(1)));
        let ends = vec![
            (At::Topic("bad".into()), Way::Close),
            (At::Subscribe("cmd/b".into()), Way::Close),
        ];
        net.lock().unwrap().broker.faults.ends = ends;
        let mut gateway = Gateway::new(&net, Version::V311, Clean::Always);
        let start = Instant::now();
        for n in 0..7500 {
            gateway.good();
            gateway.reading("bad", Qos::AtLeastOnce);
            gateway.run_until(start + SECOND * (n + 1)).await;
            match n {
                3000 => assert!(gateway.came("bad").is_empty() && gateway.links() < 40),
                // An hour on the broker still does not take it: that costs a link or two.
                3900 => {
                    assert!(gateway.came("bad").is_empty() && gateway.links() < 50, "{gateway:?}");
                    net.lock().unwrap().broker.faults.ends.clear();
                }
                _ => {}
            }
        }
        assert!(gateway.came("bad").contains(&7499), "{gateway:?}");
        gateway.all_good_came("an hour on");
    });
}
