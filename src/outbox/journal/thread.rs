//! The thread that owns the files.

use super::boot_clock::BootClock;
use super::store::{Failure, Store};
use super::{JournalBatch, JournalEvent, JournalSeq, Settings, State};
use crate::base::clock::Now;
use crate::base::log::lasting::Lasting;
use crate::outbox::settings::SyncPolicy;
use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// At most this many batches are under way; each has at most 256 KiB of messages.
const BATCHES: usize = 4;

/// Interval between two attempts after a failure of the disk.
const RETRY: Duration = Duration::from_secs(10);

/// The way to the journal's thread, which ends with it; what it was told is written by then.
#[derive(Debug)]
pub struct Journal {
    /// `None` while it ends.
    orders: Option<SyncSender<Order>>,
    /// Orders that did not fit into the channel: at most one batch, and rare ones.
    held: VecDeque<Order>,
    reports: tokio::sync::mpsc::Receiver<JournalEvent>,
    thread: Option<JoinHandle<()>>,
}

/// What the journal is told to do.
#[derive(Debug)]
pub enum Order {
    /// Told only while there is room.
    Batch(JournalBatch),
    /// The ports have these names from now on.
    Ports(Vec<String>),
    ClockIsSet(Now),
}

/// Starts the journal's thread, which opens it and reads what an earlier run has left: that takes
/// as long as the disk takes, and ends in [`JournalEvent::Back`] or [`JournalEvent::Failed`].
/// `ports` are the names of the ports, by their numbers from 1 on.
pub fn open(settings: Settings, ports: Vec<String>) -> io::Result<Journal> {
    let (orders, receiver) = mpsc::sync_channel(BATCHES);
    let (sender, reports) = tokio::sync::mpsc::channel(2 * BATCHES);
    let mut running = JournalThread {
        settings,
        ports,
        store: None,
        done: Vec::new(),
        reports: sender,
        failed: None,
        failing: Lasting::default(),
        is_told: false,
        synced: Instant::now(),
        clock: None,
        state: State::default(),
        epoch: 0,
    };
    let thread = std::thread::Builder::new().name("journal".into());
    let thread = thread.spawn(move || running.run(&receiver))?;
    Ok(Journal { orders: Some(orders), held: VecDeque::new(), reports, thread: Some(thread) })
}

impl Journal {
    /// The journal's next event; never ready once the thread has ended. Cancel-safe.
    pub async fn event(&mut self) -> JournalEvent {
        match self.reports.recv().await {
            Some(report) => report,
            None => std::future::pending().await,
        }
    }

    /// Whether it can take a batch now; if not, an event will come.
    pub fn has_room(&mut self) -> bool {
        while let (Some(order), Some(orders)) = (self.held.pop_front(), &self.orders) {
            match orders.try_send(order) {
                Ok(()) => {}
                Err(TrySendError::Full(order)) => {
                    self.held.push_front(order);
                    break;
                }
                // It panicked; what it has is on the disk.
                Err(TrySendError::Disconnected(_)) => self.orders = None,
            }
        }
        self.held.is_empty()
    }

    pub fn tell(&mut self, order: Order) {
        if let Order::Ports(_) = &order {
            // While a disk hangs there may be any number of reloads.
            self.held.retain(|held| !matches!(held, Order::Ports(_)));
        }
        self.held.push_back(order);
        self.has_room();
    }

    /// Waits at most `grace` until everything it was told is on the disk. Returns its last state,
    /// if that changed.
    pub async fn close(mut self, grace: Duration) -> Option<State> {
        let mut last = None;
        let end = async {
            loop {
                if self.has_room() {
                    self.orders = None;
                }
                match self.reports.recv().await {
                    Some(JournalEvent::State(state)) => last = Some(state),
                    Some(_) => {}
                    None => break,
                }
            }
        };
        let _ = tokio::time::timeout(grace, end).await;
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
        last
    }
}

/// What the thread works with.
struct JournalThread {
    settings: Settings,
    /// The names of the ports, until the folder could be opened.
    ports: Vec<String>,
    /// `None` as long as the folder could not be opened.
    store: Option<Store>,
    /// What is not needed any more and not noted yet.
    done: Vec<(JournalSeq, u16)>,
    reports: tokio::sync::mpsc::Sender<JournalEvent>,
    /// When it last failed, until it can write again.
    failed: Option<Instant>,
    /// For the log: a full disk may fail and work in turns all day.
    failing: Lasting,
    /// Whether the log was told of the last failure.
    is_told: bool,
    synced: Instant,
    /// The wall clock was set, before the folder could be opened.
    clock: Option<Now>,
    state: State,
    /// How often it has failed.
    epoch: u32,
}

impl JournalThread {
    fn run(&mut self, orders: &mpsc::Receiver<Order>) {
        if let Err(failure) = self.open() {
            self.fail(&failure);
        }
        self.tell_state(true);
        loop {
            let order = match self.due() {
                Some(due) => orders.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let is_order = order.is_ok();
            let mut result = match order {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // Orders that come without a pause do not put off what is due.
            if result.is_ok() && self.due().is_some_and(|due| due <= Instant::now()) {
                result = self.due_now();
            }
            if let Err(failure) = result {
                self.fail(&failure);
            }
            self.tell_state(is_order);
        }
        if let Some(store) = &mut self.store
            && let Err(failure) = store.sync()
        {
            tracing::warn!("journal: {failure}");
        }
    }

    /// When something is due without an order.
    fn due(&self) -> Option<Instant> {
        if let Some(failed) = self.failed {
            return failed.checked_add(RETRY);
        }
        match self.settings.journal.sync {
            SyncPolicy::Every(span) if self.store.as_ref().is_some_and(|it| it.is_dirty) => {
                self.synced.checked_add(span.duration())
            }
            _ => None,
        }
    }

    fn due_now(&mut self) -> Result<(), Failure> {
        self.synced = Instant::now();
        if self.failed.is_some() {
            return self.try_again();
        }
        self.store.as_mut().map_or(Ok(()), Store::sync)
    }

    fn obey(&mut self, order: Order) -> Result<(), Failure> {
        match (order, &mut self.store) {
            (Order::Batch(batch), _) => return self.write(batch),
            (Order::Ports(ports), Some(store)) => return store.name_ports(ports),
            (Order::ClockIsSet(now), Some(store)) => return store.clock_is_set(now),
            (Order::Ports(ports), None) => self.ports = ports,
            (Order::ClockIsSet(now), None) => self.clock = Some(now),
        }
        Ok(())
    }

    fn write(&mut self, batch: JournalBatch) -> Result<(), Failure> {
        let Some(store) = &mut self.store else { return Ok(()) };
        self.done.extend(batch.done);
        if self.failed.is_some() || batch.epoch != self.epoch {
            // Messages that are done do not come again, even if that cannot be noted; and most
            // disks that cannot be written can be read.
            let _ = store.done(&mut self.done);
            if batch.epoch == self.epoch && self.read(batch.read).is_err() {
                self.tell(JournalEvent::Read(Vec::new()));
            }
            return Ok(());
        }
        let any = !batch.entries.is_empty();
        store.append(&mut batch.entries.into())?;
        if self.settings.journal.sync == SyncPolicy::Each {
            store.sync()?;
        } else if !store.is_dirty {
            self.synced = Instant::now();
        }
        let last = store.last;
        if any {
            self.tell(JournalEvent::Safe(last));
        }
        self.tell_lost();
        if let Some(store) = &mut self.store {
            store.done(&mut self.done)?;
        }
        self.read(batch.read)
    }

    fn read(&mut self, bytes: Option<usize>) -> Result<(), Failure> {
        if let (Some(bytes), Some(store)) = (bytes, &mut self.store) {
            let messages = store.read(bytes)?;
            self.tell(JournalEvent::Read(messages));
            self.tell_lost();
        }
        Ok(())
    }

    fn fail(&mut self, failure: &Failure) {
        let why = failure.to_string();
        let now = Instant::now();
        if let Some(again) = self.failing.occurred(now) {
            tracing::warn!("journal: {why}; what waits is kept in memory until it works{again}");
            self.is_told = true;
        }
        if self.failed.is_none()
            && let Some(store) = &self.store
        {
            // What was written is there, if only until the power fails.
            self.tell(JournalEvent::Safe(store.last));
        }
        self.failed = Some(now);
        self.epoch = self.epoch.wrapping_add(1);
        self.tell(JournalEvent::Failed { why, epoch: self.epoch });
        self.tell_lost();
    }

    fn try_again(&mut self) -> Result<(), Failure> {
        self.failed = Some(Instant::now());
        match &mut self.store {
            Some(store) => {
                store.try_again()?;
                self.failed = None;
                self.tell(JournalEvent::Back { last: JournalSeq(0), waiting: Vec::new() });
            }
            None => self.open()?,
        }
        if std::mem::take(&mut self.is_told) {
            tracing::info!("journal: works again");
        }
        self.tell_lost();
        Ok(())
    }

    /// Opens the folder for the first time.
    fn open(&mut self) -> Result<(), Failure> {
        let store = Store::open(BootClock::read(), &self.settings, &self.ports)?;
        let (last, waiting, messages) = (store.last, store.journal_only(), store.state().messages);
        self.store = Some(store);
        self.failed = None;
        if messages > 0 {
            tracing::info!("{messages} messages of an earlier run wait in the journal");
        }
        self.tell(JournalEvent::Back { last, waiting });
        match (self.clock.take(), &mut self.store) {
            (Some(now), Some(store)) => store.clock_is_set(now),
            _ => Ok(()),
        }
    }

    fn tell_lost(&mut self) {
        let Some(store) = &mut self.store else { return };
        let (lost, replaced) =
            (std::mem::take(&mut store.lost), std::mem::take(&mut store.replaced));
        lost.into_iter().for_each(|lost| self.tell(JournalEvent::Dropped(lost)));
        for (port, messages) in replaced {
            self.tell(JournalEvent::Replaced { port, messages });
        }
    }

    /// After an order an event always follows: the outbox may wait for room.
    fn tell_state(&mut self, always: bool) {
        let state = self.store.as_ref().map(Store::state).unwrap_or_default();
        if always || state != self.state {
            self.state = state;
            self.tell(JournalEvent::State(state));
        }
    }

    fn tell(&self, report: JournalEvent) {
        // When the gateway ends nobody listens any more.
        let _ = self.reports.blocking_send(report);
    }
}
