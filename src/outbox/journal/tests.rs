//! The journal on a real disk, and the outbox with it.

mod faults;

use super::boot_clock::BootClock;
use super::store::Store;
use super::{JournalBatch, JournalEvent, JournalSeq, Lost, Settings, ToStore};
use crate::base::clock::{Now, Stamp};
use crate::base::durability::Durability;
use crate::base::scalar::Size;
use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::source::Source;
use crate::mqtt::topic::Qos;
use crate::outbox::entry::Entry;
use crate::outbox::settings::{Drop, Journal, Order, OutboxBounds, SyncPolicy};
use crate::outbox::{InFlightId, Outbox};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tempfile::TempDir;

const PORTS: [&str; 3] = ["meter", "dust", "chatty"];

fn ports() -> Vec<String> {
    PORTS.map(str::to_owned).to_vec()
}

fn settings(folder: &Path, size: usize, drop: Drop) -> Settings {
    let (path, size) = (folder.join("journal"), Size::from_bytes(size));
    Settings { journal: Journal { path, size, sync: SyncPolicy::Never }, drop }
}

fn entry(port: u16, number: u64, length: usize) -> Entry {
    let text = format!("{number:0length$}");
    let message = Message::new(format!("t/{port}").parse().unwrap(), text);
    Entry { port, durability: Some(Durability::Always), ..message.into() }
}

/// A message of a port to another topic, and whether the broker keeps it.
fn entry_to(topic: &str, retain: bool, entry: Entry) -> Entry {
    let message = Message { topic: topic.parse().unwrap(), retain, ..entry.message };
    Entry { message, ..entry }
}

/// The port that a message came from, by its topic.
fn port(message: &Message) -> u16 {
    message.topic.as_str().strip_prefix("t/").unwrap().parse().unwrap()
}

fn number(message: &Message) -> u64 {
    std::str::from_utf8(&message.payload).unwrap().parse().unwrap()
}

/// What the thread does with a batch.
fn obey(store: &mut Store, batch: JournalBatch) -> Vec<JournalEvent> {
    let mut reports = Vec::new();
    let last = batch.entries.last().map(|entry| entry.seq);
    store.append(&mut batch.entries.into()).unwrap();
    reports.extend(last.map(JournalEvent::Safe));
    reports.extend(store.lost.drain(..).map(JournalEvent::Dropped));
    let replaced = std::mem::take(&mut store.replaced).into_iter();
    reports.extend(replaced.map(|(port, messages)| JournalEvent::Replaced { port, messages }));
    store.done(&mut batch.done.clone()).unwrap();
    if let Some(bytes) = batch.read {
        let messages = store.read(bytes).unwrap();
        reports.push(JournalEvent::Read(messages));
        reports.extend(store.lost.drain(..).map(JournalEvent::Dropped));
    }
    reports
}

fn append(store: &mut Store, entries: impl IntoIterator<Item = Entry>) -> Vec<Lost> {
    let mut seq = store.last.0;
    for entry in entries {
        seq += 1;
        let new = ToStore { seq: JournalSeq(seq), entry, journal_only: true };
        store.append(&mut VecDeque::from([new])).unwrap();
    }
    std::mem::take(&mut store.lost)
}

fn read_all(store: &mut Store) -> Vec<(u16, u64)> {
    let mut all = Vec::new();
    loop {
        let read = store.read(10_000).unwrap();
        if read.is_empty() {
            return all;
        }
        all.extend(read.iter().map(|(_, entry)| (entry.port, number(&entry.message))));
    }
}

#[test]
fn what_was_not_done_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, (1..=1000).map(|n| entry(1, n, 500)));
    let mut done: Vec<_> = (1..=1000).filter(|n| n % 3 != 0).map(|n| (JournalSeq(n), 1)).collect();
    store.done(&mut done).unwrap();
    drop(store);
    // The ports have other numbers now, and one is gone.
    let names = ["new".to_owned(), "meter".to_owned()];
    let mut store = Store::open(BootClock::read(), &settings, &names).unwrap();
    assert_eq!(store.last, JournalSeq(1000));
    assert_eq!(store.journal_only(), [(2, 333)]);
    let expected: Vec<_> = (1..=1000).filter(|n| n % 3 == 0).map(|n| (2, n)).collect();
    assert_eq!(read_all(&mut store), expected);
    let mut done: Vec<_> = expected.iter().map(|(_, n)| (JournalSeq(*n), 2)).collect();
    store.done(&mut done).unwrap();
    drop(store);
    let store = Store::open(BootClock::read(), &settings, &names).unwrap();
    assert_eq!((store.state().messages, store.state().bytes), (0, 0));
}

#[test]
fn of_a_retained_topic_a_full_journal_keeps_the_newest() {
    for policy in [Drop::Oldest, Drop::Newest] {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path(), 1 << 20, policy);
        let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        let topic = |n: u64| format!("t/{}", if n == 1 { 0 } else { 1 + n % 7 });
        let retained = |n: u64| entry_to(&topic(n), true, entry(1, n, 500));
        let mut replaced = 0;
        for start in [1, 2001, 4001] {
            let lost = append(&mut store, (start..start + 2000).map(retained));
            assert_eq!(lost, [], "{policy:?}");
            assert!(store.state().bytes <= 1 << 20);
            replaced += std::mem::take(&mut store.replaced).remove(1).unwrap_or_default();
            // What an earlier run left makes way too.
            drop(store);
            store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        }
        let left = read_all(&mut store);
        assert_eq!(left.len() as u64, 6000 - replaced);
        assert!(left.is_sorted(), "{policy:?}");
        assert_eq!(left[0], (1, 1), "the only one of its topic");
        assert!(left.ends_with(&(5994..=6000).map(|n| (1, n)).collect::<Vec<_>>()));
    }
}

#[test]
fn what_is_not_retained_is_replaced_by_nothing() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    // Each other message is retained; of a thousand topics, so that few are older ones.
    let mixed =
        |n: u64| entry_to(&format!("t/{}", n % 1000), n.is_multiple_of(2), entry(1, n, 500));
    let lost = append(&mut store, (1..=6000).map(mixed));
    let lost: u64 = lost.iter().map(|lost| lost.journal_only).sum();
    let replaced = std::mem::take(&mut store.replaced).remove(1).unwrap_or_default();
    let left = read_all(&mut store);
    assert_eq!(left.len() as u64 + lost + replaced, 6000);
    assert!(lost > 0 && replaced > 0, "{lost} {replaced}");
    let last: Vec<_> = left.iter().map(|(_, n)| *n).skip_while(|n| *n <= 5000).collect();
    assert_eq!(last, (5001..=6000).collect::<Vec<_>>(), "the newest of each topic, and the rest");
}

#[test]
fn where_no_disk_is_mounted_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let stick = folder.path().join("stick");
    let settings = settings(&stick, 1 << 20, Drop::Oldest);
    let error = Store::open(BootClock::read(), &settings, &ports()).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    assert!(!stick.exists());
    std::fs::create_dir(&stick).unwrap();
    Store::open(BootClock::read(), &settings, &ports()).unwrap();
}

#[test]
fn two_gateways_do_not_share_a_journal() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let _first = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    let error = Store::open(BootClock::read(), &settings, &ports()).unwrap_err().to_string();
    assert!(error.ends_with("journal: another gateway uses this journal"), "{error}");
}

#[test]
fn a_full_journal_drops_by_its_policy_and_keeps_the_shares() {
    for policy in [Drop::Oldest, Drop::Newest] {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path(), 1 << 20, policy);
        let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        // The quiet port has a tenth of all, and stays whole.
        let of = |n: u64| entry(if n.is_multiple_of(10) { 1 } else { 3 }, n, 1000);
        let lost = append(&mut store, (1..=4000).map(of));
        assert!(store.state().bytes <= 1 << 20);
        let kept = read_all(&mut store);
        let lost: u64 = lost.iter().map(|lost| lost.journal_only).sum();
        assert_eq!(lost + kept.len() as u64, 4000, "{policy:?}");
        let chatty: Vec<_> = kept.iter().filter(|(port, _)| *port == 3).map(|(_, n)| *n).collect();
        // Whatever goes, the quiet port does not make way for the chatty one.
        let quiet: Vec<_> = kept.iter().filter(|(port, _)| *port == 1).collect();
        assert_eq!(quiet.len(), 400, "{policy:?}");
        assert!(chatty.len() > 400, "{policy:?}: {}", chatty.len());
        let all: Vec<_> = (1..=4000).filter(|n| !u64::is_multiple_of(*n, 10)).collect();
        match policy {
            Drop::Oldest => assert!(all.ends_with(&chatty)),
            // It makes way for the quiet one with its oldest, as in memory.
            Drop::Newest => {
                let first = all.partition_point(|n| n < &chatty[0]);
                assert_eq!(chatty, all[first..first + chatty.len()]);
                assert!(chatty.last() < Some(&1000), "{:?}", chatty.last());
            }
        }
        // It survives a restart in the same shape.
        drop(store);
        let store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        assert_eq!(store.state().messages, kept.len() as u64);
    }
}

#[test]
fn foreign_files_are_set_aside_and_damage_is_skipped() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, (1..=50).map(|n| entry(1, n, 100)));
    drop(store);
    let path = settings.journal.path.join(format!("{:020}.journal", 1));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes.truncate(bytes.len() - 7);
    std::fs::write(&path, bytes).unwrap();
    let foreign = settings.journal.path.join("00000000000000000007.journal");
    std::fs::write(&foreign, "somebody's diary").unwrap();
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    assert_eq!(
        std::fs::read(foreign.with_extension("journal.aside1")).unwrap(),
        b"somebody's diary"
    );
    assert!(store.state().damaged > 100, "{:?}", store.state());
    let read = read_all(&mut store);
    assert_eq!(read.len(), 48);
    assert_eq!(read.last(), Some(&(1, 49)));
}

#[test]
fn a_disk_that_cannot_be_written_gives_all_back() {
    let folder = TempDir::new().unwrap();
    let blocked = folder.path().join("blocked");
    std::fs::write(&blocked, "a file").unwrap();
    let settings = settings(&blocked, 1 << 20, Drop::Oldest);
    let error = Store::open(BootClock::read(), &settings, &ports()).unwrap_err().to_string();
    assert!(error.contains("blocked/journal"), "{error}");
    // A disk that is pulled out while it is in use, and plugged in again.
    let settings = self::settings(folder.path(), 4 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    let mode = settings.journal.path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    append(&mut store, [entry(1, 1, 10)]);
    let away = folder.path().join("pulled out");
    std::fs::rename(&settings.journal.path, &away).unwrap();
    let mut entries: VecDeque<_> = (2..5000)
        .map(|n| ToStore { seq: JournalSeq(n), entry: entry(1, n, 100), journal_only: true })
        .collect();
    store.append(&mut entries).unwrap_err();
    assert!(entries.len() > 1000, "what was not written is still there");
    let error = store.try_again().unwrap_err().to_string();
    assert!(error.contains("plug the disk in again") && !settings.journal.path.exists(), "{error}");
    let error = store.read(10_000).unwrap_err().to_string();
    assert!(error.contains("plug the disk in again"), "{error}");
    std::fs::rename(&away, &settings.journal.path).unwrap();
    store.try_again().unwrap();
    store.append(&mut entries).unwrap();
    assert_eq!((entries.len(), store.lost.len()), (0, 0));
    let numbers: Vec<_> = read_all(&mut store).into_iter().map(|(_, n)| n).collect();
    assert_eq!(numbers, (1..5000).collect::<Vec<_>>());
}

/// Outbox and journal as the gateway has them, with a broker that is there or not, and readings
/// that are numbered.
struct World {
    folder: TempDir,
    order: Order,
    outbox: Outbox,
    store: Option<Store>,
    /// The journal was read, and the outbox knows.
    is_open: bool,
    in_flight: VecDeque<(InFlightId, u16, u64)>,
    next: BTreeMap<u16, u64>,
    delivered: BTreeMap<u16, Vec<u64>>,
    up: bool,
    now: Instant,
}

impl World {
    fn new(order: Order) -> World {
        let folder = TempDir::new().unwrap();
        let (outbox, store) = World::start(folder.path(), order);
        World {
            folder,
            order,
            outbox,
            store: Some(store),
            is_open: false,
            in_flight: VecDeque::new(),
            next: BTreeMap::new(),
            delivered: BTreeMap::new(),
            up: false,
            now: Instant::now(),
        }
    }

    fn start(folder: &Path, order: Order) -> (Outbox, Store) {
        let bytes = Size::from_bytes(160 << 10);
        let mut outbox =
            Outbox::new(&OutboxBounds { bytes, ordering: order, ..OutboxBounds::default() });
        let store =
            Store::open(BootClock::read(), &settings(folder, 8 << 20, Drop::Oldest), &ports())
                .unwrap();
        outbox.share(3);
        outbox.await_journal(Instant::now());
        outbox.disconnected(Instant::now());
        (outbox, store)
    }

    fn push(&mut self, port: u16, durability: Durability) {
        let n = self.next.entry(port).or_default();
        *n += 1;
        let entry = Entry { durability: Some(durability), ..entry(port, *n, 30) };
        self.outbox.push(entry);
    }

    /// The journal does what it is told; before that it is opened.
    fn journal(&mut self) {
        let store = self.store.as_mut().unwrap();
        if !std::mem::replace(&mut self.is_open, true) {
            self.outbox.open_journal(store.last, &store.journal_only());
        }
        while let Some(batch) = self.outbox.next_batch(self.now) {
            for report in obey(store, batch) {
                self.outbox.on_event(report);
            }
        }
    }

    fn send(&mut self) {
        while self.up && self.in_flight.len() < 20 {
            let Some(message) = self.outbox.front() else { return };
            let (port, n) = (port(message), number(message));
            let sending = self.outbox.sent(Qos::AtLeastOnce).unwrap();
            self.in_flight.push_back((sending, port, n));
        }
    }

    fn acknowledge(&mut self, most: usize) {
        for _ in 0..most {
            let Some((sending, port, n)) = self.in_flight.pop_front() else { return };
            self.outbox.settled(sending, Reason::SUCCESS);
            self.delivered.entry(port).or_default().push(n);
        }
    }

    fn connect(&mut self, up: bool) {
        match up {
            true => {
                // The broker has lost the session.
                self.outbox.requeue();
                self.in_flight.clear();
                self.outbox.connected();
            }
            false => self.outbox.disconnected(self.now),
        }
        self.up = up;
    }

    /// kill -9 between two turns.
    fn kill(&mut self) {
        self.journal();
        (self.store, self.is_open) = (None, false);
        let (outbox, store) = World::start(self.folder.path(), self.order);
        (self.outbox, self.store) = (outbox, Some(store));
        self.in_flight.clear();
        self.up = false;
    }

    fn drain(&mut self) {
        self.connect(true);
        for _ in 0..100_000 {
            self.journal();
            self.send();
            if self.in_flight.is_empty() && self.outbox.is_empty() {
                return;
            }
            self.acknowledge(7);
        }
        panic!("it does not drain: {:?}", self.outbox.journal_status());
    }

    /// Every number of every port came, and for the first time in its place.
    fn judge(&self, durable: &[u16]) {
        for port in durable {
            let all = self.delivered.get(port).cloned().unwrap_or_default();
            let mut firsts = Vec::new();
            let mut seen = std::collections::HashSet::new();
            all.iter().filter(|n| seen.insert(**n)).for_each(|n| firsts.push(*n));
            let expected: Vec<_> = (1..=self.next.get(port).copied().unwrap_or(0)).collect();
            if self.order == Order::None {
                firsts.sort_unstable();
            }
            let wrong =
                firsts.iter().zip(&expected).position(|(first, expected)| first != expected);
            let at = wrong.unwrap_or(firsts.len().min(expected.len()));
            assert!(
                firsts == expected,
                "port {port}: {} of {} came, wrong from {at} on: {:?}",
                firsts.len(),
                expected.len(),
                &firsts[at..firsts.len().min(at + 9)]
            );
        }
    }
}

#[test]
fn what_was_replaced_in_the_journal_waits_no_more() {
    let mut world = World::new(Order::Port);
    let small = TempDir::new().unwrap();
    let small = settings(small.path(), 1 << 20, Drop::Oldest);
    world.store = Some(Store::open(BootClock::read(), &small, &ports()).unwrap());
    for n in 1..=5000 {
        world.outbox.push(entry_to("t/1", true, entry(1, n, 500)));
        if n % 20 == 0 {
            world.journal();
        }
    }
    world.drain();
    let counts = world.outbox.counts();
    let delivered = &world.delivered[&1];
    assert_eq!(counts.dropped, 0);
    assert!(counts.replaced > 1000, "{counts:?}");
    assert_eq!(delivered.len() as u64 + counts.replaced, 5000);
    assert!(delivered.is_sorted() && delivered.ends_with(&[5000]));
}

#[test]
fn what_only_memory_has_keeps_nothing_that_the_journal_gave_up() {
    let mut world = World::new(Order::Port);
    let small = TempDir::new().unwrap();
    let small = settings(small.path(), 1 << 20, Drop::Oldest);
    world.store = Some(Store::open(BootClock::read(), &small, &ports()).unwrap());
    // It stands in front of all that follows, as what a port says of itself does.
    world.outbox.push(Entry { latest_only: true, ..entry(1, 0, 10) });
    for n in 1..=5000 {
        world.next.insert(1, n);
        world.outbox.push(entry(1, n, 500));
        if n % 20 == 0 {
            world.journal();
        }
    }
    world.drain();
    let dropped = world.outbox.counts().dropped;
    assert!(dropped > 1000, "{dropped}");
    let expected: Vec<_> = std::iter::once(0).chain(dropped + 1..=5000).collect();
    assert!(world.delivered[&1] == expected, "not the oldest were dropped");
}

#[derive(Clone, Debug)]
enum Step {
    Push(u16, u16),
    Journal,
    Send,
    Acknowledge(usize),
    Connect(bool),
    Time(u64),
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..=3_u16, 1..80_u16).prop_map(|(port, n)| Step::Push(port, n)),
        6 => Just(Step::Journal),
        6 => Just(Step::Send),
        6 => (0..40_usize).prop_map(Step::Acknowledge),
        3 => any::<bool>().prop_map(Step::Connect),
        2 => (0..100_u64).prop_map(Step::Time),
        1 => Just(Step::Kill),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Port), Just(Order::Topic), Just(Order::None)]
}

fn play(steps: &[Step], order: Order, durability: Durability, kills: bool) -> World {
    let mut world = World::new(order);
    for step in steps {
        match *step {
            Step::Push(port, count) => (0..count).for_each(|_| world.push(port, durability)),
            Step::Journal => world.journal(),
            Step::Send => world.send(),
            Step::Acknowledge(most) => world.acknowledge(most),
            Step::Connect(up) if up != world.up => world.connect(up),
            Step::Connect(_) => {}
            Step::Time(seconds) => world.now += Duration::from_secs(seconds),
            Step::Kill if kills => world.kill(),
            Step::Kill => {}
        }
        // Without it the journal would be behind by more than memory holds.
        if matches!(step, Step::Push(..)) {
            world.journal();
        }
    }
    world.drain();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// What always survives does: more than memory holds, kills, lost sessions.
    #[test]
    fn nothing_that_always_survives_is_lost(steps in prop::collection::vec(step(), 0..120), order in order()) {
        let world = play(&steps, order, Durability::Always, true);
        world.judge(&[1, 2, 3]);
        prop_assert_eq!(world.outbox.counts().dropped, 0);
    }

    /// What is spilled survives absences that memory does not hold, and writes nothing before.
    #[test]
    fn nothing_that_is_spilled_is_lost(steps in prop::collection::vec(step(), 0..120), order in order()) {
        let world = play(&steps, order, Durability::Spill, false);
        world.judge(&[1, 2, 3]);
        prop_assert_eq!(world.outbox.counts().dropped, 0);
    }
}

#[test]
fn nothing_is_written_to_spill_while_the_broker_is_there() {
    let mut world = World::new(Order::Port);
    world.connect(true);
    for _ in 0..2000 {
        world.push(1, Durability::Spill);
        world.now += Duration::from_secs(1);
        world.journal();
        world.send();
        world.acknowledge(3);
    }
    assert_eq!(world.store.as_ref().unwrap().state().written, 0);
    world.connect(false);
    world.push(1, Durability::Spill);
    world.now += Duration::from_secs(59);
    world.journal();
    assert_eq!(world.store.as_ref().unwrap().state().written, 0);
    world.now += Duration::from_secs(1);
    world.journal();
    assert_eq!(world.store.as_ref().unwrap().state().messages, 1);
}

#[test]
fn a_message_is_offered_when_it_is_safe_and_not_before() {
    let mut world = World::new(Order::Port);
    world.connect(true);
    world.push(1, Durability::Always);
    assert_eq!(world.outbox.front(), None);
    world.push(2, Durability::Memory);
    assert_eq!(port(world.outbox.front().unwrap()), 2);
    world.journal();
    assert_eq!(port(world.outbox.front().unwrap()), 1);
}

#[test]
fn what_comes_before_the_journal_is_open_waits_and_goes_behind_it() {
    for order in [Order::Port, Order::Topic, Order::None] {
        for hangs in [false, true] {
            let mut world = World::new(order);
            (0..300).for_each(|_| world.push(1, Durability::Always));
            world.kill();
            world.connect(true);
            (0..20).for_each(|_| world.push(1, Durability::Always));
            (0..20).for_each(|_| world.push(3, Durability::Spill));
            world.send();
            assert!(
                world.in_flight.is_empty(),
                "what is to be stored must not overtake the journal"
            );
            world.push(2, Durability::Memory);
            world.send();
            assert_eq!(world.in_flight.iter().map(|(_, port, _)| *port).collect::<Vec<_>>(), [2]);
            if hangs {
                // It is not waited for any longer, and its messages come all the same.
                world.outbox.journal_failed("it hangs".into(), 0);
                world.send();
                assert!(world.in_flight.len() > 10);
            }
            world.drain();
            if hangs {
                world.delivered.values_mut().for_each(|numbers| numbers.sort_unstable());
            }
            world.judge(&[1, 2, 3]);
        }
    }
}

#[test]
fn a_journal_that_fails_gives_back_what_it_has_not_written() {
    let mut world = World::new(Order::Port);
    let push = |world: &mut World, count| {
        (0..count).for_each(|_| world.push(1, Durability::Always));
    };
    // One batch was written, another one was not, and a third is not told yet.
    push(&mut world, 200);
    world.journal();
    push(&mut world, 120);
    let not_written = world.outbox.next_batch(world.now).unwrap();
    assert!(not_written.entries.iter().any(|entry| entry.journal_only));
    push(&mut world, 20);
    world.outbox.on_event(JournalEvent::Failed { why: "the disk is full".into(), epoch: 1 });
    push(&mut world, 10);
    world.connect(true);
    let mut numbers = Vec::new();
    while let Some(message) = world.outbox.front() {
        numbers.push(number(message));
        let sending = world.outbox.sent(Qos::AtLeastOnce).unwrap();
        world.outbox.settled(sending, Reason::SUCCESS);
    }
    assert_eq!(numbers, (1..=350).collect::<Vec<_>>());
    assert!(world.outbox.is_empty());
}

/// A reading that was measured a second ago by a clock that is not set, which says 1970.
fn undated(now: Now) -> Entry {
    let second = Duration::from_secs(1);
    let measured = Now { mono: now.mono.checked_sub(second).unwrap(), wall: UNIX_EPOCH + second };
    let text = format!("21.5 at {}", Stamp(measured.wall));
    let entry = entry(1, 1, 1);
    let message = Message { payload: text.into(), ..entry.message };
    Entry { message, measured: Some(measured), ..entry }
}

fn payload(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).unwrap()
}

#[test]
fn what_waits_is_dated_when_the_clock_is_set() {
    let wall = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let now = Now { wall, ..Now::read() };
    let mut world = World::new(Order::Port);
    world.connect(true);
    let entry = Entry { durability: None, ..undated(now) };
    assert_eq!(payload(&entry.message), "21.5 at 1970-01-01T00:00:01.000Z unsynchronised");
    world.outbox.push(entry);
    let before = world.outbox.bytes();
    world.outbox.correct(Now { wall: UNIX_EPOCH, ..now });
    assert_eq!(world.outbox.bytes(), before);
    world.outbox.correct(now);
    assert_eq!(payload(world.outbox.front().unwrap()), "21.5 at 2027-01-15T07:59:59.000Z");
    assert_eq!(world.outbox.bytes(), before - " unsynchronised".len());
    world.outbox.sent(Qos::AtMostOnce);
    assert_eq!(world.outbox.bytes(), 0);
}

#[test]
fn what_an_earlier_boot_measured_is_dated_if_its_clock_was_set_later() {
    for was_set in [false, true] {
        let folder = TempDir::new().unwrap();
        let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
        let boot = BootClock::read();
        let now = Now { wall: UNIX_EPOCH + Duration::from_secs(1_800_000_000), ..Now::read() };
        let mut store = Store::open(boot.other([1; 16]), &settings, &ports()).unwrap();
        append(&mut store, [undated(now)]);
        if was_set {
            store.clock_is_set(now).unwrap();
        }
        drop(store);
        let mut store = Store::open(boot.other([2; 16]), &settings, &ports()).unwrap();
        let read = store.read(10_000).unwrap();
        let expected = match was_set {
            true => "21.5 at 2027-01-15T07:59:59",
            false => "21.5 at 1970-01-01T00:00:01.000Z unsynchronised",
        };
        let text = payload(&read[0].1.message);
        assert!(text.starts_with(expected), "{text}");
        if !was_set {
            // Nor is it dated by the clock of this boot.
            let mut entry = read[0].1.clone();
            entry.correct(now);
            assert_eq!(payload(&entry.message), expected);
        }
    }
}

#[test]
fn what_waits_is_stored_when_a_reload_asks_for_it() {
    let mut world = World::new(Order::Port);
    world.connect(true);
    world.outbox.push(Entry { durability: None, ..entry(1, 1, 10) });
    assert!(world.outbox.front().is_some());
    let durability = Durability::Always;
    world.outbox.set_bounds(&OutboxBounds { durability, ..OutboxBounds::default() });
    assert_eq!(world.outbox.front(), None);
    world.journal();
    assert!(world.outbox.front().is_some());
    assert_eq!(world.store.as_ref().unwrap().state().messages, 1);
}

#[test]
fn all_that_is_undated_comes_back_however_much_it_is() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let wall = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let now = Now { wall, ..Now::read() };
    let boot = BootClock::read();
    let mut store = Store::open(boot.other([1; 16]), &settings, &ports()).unwrap();
    append(&mut store, (0..500).map(|_| undated(now)));
    store.clock_is_set(now).unwrap();
    drop(store);
    // A date is shorter than the words that there is none.
    let mut store = Store::open(boot.other([2; 16]), &settings, &ports()).unwrap();
    let mut count = 0;
    loop {
        let read = store.read(10_000).unwrap();
        if read.is_empty() {
            break;
        }
        count += read.len();
    }
    assert_eq!((count, store.lost.len()), (500, 0));
}

#[test]
fn what_was_acknowledged_stays_so_over_any_number_of_kills() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), 1 << 20, Drop::Oldest);
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    append(&mut store, (1..=100).map(|n| entry(1, n, 100)));
    drop(store);
    // Nothing new comes: that half of it was acknowledged stands in a file of its own.
    let mut store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    store.done(&mut (1..=50).map(|n| (JournalSeq(n), 1)).collect()).unwrap();
    for _ in 0..4 {
        drop(store);
        store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
        assert_eq!(store.state().messages, 50);
    }
    store.done(&mut (51..=100).map(|n| (JournalSeq(n), 1)).collect()).unwrap();
    drop(store);
    let store = Store::open(BootClock::read(), &settings, &ports()).unwrap();
    assert_eq!((store.state().messages, store.state().bytes), (0, 0));
}

#[test]
fn what_is_spilled_after_a_restart_stays_behind_what_was_before() {
    let mut world = World::new(Order::Port);
    world.now += Duration::from_secs(100);
    for _ in 0..10 {
        (0..60).for_each(|_| world.push(1, Durability::Spill));
        world.journal();
    }
    world.kill();
    (0..10).for_each(|_| world.push(1, Durability::Spill));
    world.drain();
    world.judge(&[1]);
}
