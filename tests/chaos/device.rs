//! Virtual devices: each has a PTY and emits numbered readings at line rate. They are as dumb as real
//! ones: nobody tells them whether anyone listens.
//!
//! A reading is `3-1234-9f2e`: port, number, and a checksum of both, so that a torn or mixed-up one
//! is noticed wherever it happened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::Instant;
use tty2mqtt::testing::pty::Pty;

/// Bytes a second at 115200 8N1.
pub const LINE_RATE: f64 = 11_520.0;

/// What is written at once, as a USB adapter hands it over.
const BURST: Duration = Duration::from_millis(10);

/// A reading's text. Bad ones are recognised by [`parse`].
pub fn reading(port: usize, number: u64) -> String {
    let check = (port as u64 + 1).wrapping_mul(40_503).wrapping_mul(number + 7) >> 3 & 0xffff;
    format!("{port}-{number}-{check:04x}")
}

/// Port and number, if the reading is whole.
pub fn parse(text: &str) -> Option<(usize, u64)> {
    let mut parts = text.split('-');
    let (port, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (reading(port, number) == text).then_some((port, number))
}

enum Order {
    /// Stop before the next reading; the answer is how many were emitted.
    Pause(oneshot::Sender<u64>),
    Resume,
    /// Pull the plug and put it back under another number. Only while pausing.
    Replug(oneshot::Sender<()>),
    /// Say these bytes, which are no reading.
    Say(Vec<u8>, oneshot::Sender<()>),
}

pub struct Devices {
    orders: Vec<mpsc::Sender<Order>>,
    pub paths: Vec<PathBuf>,
    emitted: Arc<Emitted>,
    _folder: tempfile::TempDir,
}

/// How many readings all devices have emitted.
#[derive(Default)]
struct Emitted {
    total: Mutex<u64>,
    more: Condvar,
    /// When each was, by port and number.
    times: Mutex<Vec<Vec<std::time::Instant>>>,
}

impl Devices {
    /// They pause at first. `rate` is in bytes a second.
    pub fn start(ports: usize, rate: f64) -> Devices {
        let folder = tempfile::tempdir().unwrap();
        let times = Mutex::new(vec![Vec::new(); ports]);
        let emitted = Arc::new(Emitted { times, ..Emitted::default() });
        let mut devices = Vec::new();
        let (mut orders, mut paths) = (Vec::new(), Vec::new());
        for port in 0..ports {
            let (sender, receiver) = mpsc::channel(1);
            let path = folder.path().join(format!("tty{port}"));
            orders.push(sender);
            paths.push(path.clone());
            let emitted = emitted.clone();
            devices.push(move || {
                let pty = plug(&path);
                Device { port, path, pty, next: 0, rate, orders: receiver, emitted }
            });
        }
        let (ready, plugged) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let local = LocalSet::new();
            for device in devices {
                local.spawn_local(device().run());
            }
            ready.send(()).unwrap();
            runtime.unwrap().block_on(local);
        });
        plugged.recv().unwrap();
        Devices { orders, paths, emitted, _folder: folder }
    }

    /// All stop; returns how many readings each has emitted.
    pub fn pause(&self) -> Vec<u64> {
        (0..self.orders.len()).map(|port| self.pause_one(port)).collect()
    }

    pub fn pause_one(&self, port: usize) -> u64 {
        let (answer, emitted) = oneshot::channel();
        self.order(port, Order::Pause(answer));
        emitted.blocking_recv().unwrap()
    }

    pub fn resume(&self) {
        (0..self.orders.len()).for_each(|port| self.resume_one(port));
    }

    pub fn resume_one(&self, port: usize) {
        self.order(port, Order::Resume);
    }

    pub fn replug(&self, port: usize) {
        let (answer, done) = oneshot::channel();
        self.order(port, Order::Replug(answer));
        done.blocking_recv().unwrap();
    }

    /// One says bytes that are no reading. Returns when the port has room for all of them.
    pub fn say(&self, port: usize, bytes: &[u8]) {
        let (answer, done) = oneshot::channel();
        self.order(port, Order::Say(bytes.to_vec(), answer));
        done.blocking_recv().unwrap();
    }

    /// When each reading of a port was emitted, by its number.
    pub fn times(&self, port: usize) -> Vec<std::time::Instant> {
        self.emitted.times.lock().unwrap()[port].clone()
    }

    fn order(&self, port: usize, order: Order) {
        assert!(self.orders[port].blocking_send(order).is_ok(), "device {port} is gone");
    }

    pub fn emitted(&self) -> u64 {
        *self.emitted.total.lock().unwrap()
    }

    /// Waits until all together have emitted so many.
    pub fn wait_for(&self, readings: u64) {
        let total = self.emitted.total.lock().unwrap();
        let waited =
            self.emitted.more.wait_timeout_while(total, crate::DEADLINE, |total| *total < readings);
        let (total, time) = waited.unwrap();
        assert!(!time.timed_out(), "{} of {readings} readings emitted: does nobody read?", *total);
    }
}

fn plug(path: &Path) -> Pty {
    let pty = Pty::open().unwrap();
    pty.link(path).unwrap();
    pty
}

struct Device {
    port: usize,
    path: PathBuf,
    pty: Pty,
    /// The next number, which is how many were emitted.
    next: u64,
    rate: f64,
    orders: mpsc::Receiver<Order>,
    emitted: Arc<Emitted>,
}

impl Device {
    async fn run(mut self) {
        let mut paused = true;
        let mut due = Instant::now();
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    None => return,
                    Some(Order::Pause(answer)) => {
                        paused = true;
                        let _ = answer.send(self.next);
                    }
                    Some(Order::Resume) => {
                        paused = false;
                        due = Instant::now();
                        // Whatever was torn before ends here.
                        self.pty.write_all(b"\r\n").await.unwrap();
                    }
                    Some(Order::Replug(answer)) => {
                        let new = plug(&self.path);
                        self.pty = new;
                        let _ = answer.send(());
                    }
                    Some(Order::Say(bytes, answer)) => {
                        self.pty.write_all(&bytes).await.unwrap();
                        let _ = answer.send(());
                    }
                },
                () = tokio::time::sleep_until(due), if !paused => due = self.burst(due).await,
            }
        }
    }

    /// Writes what the line carries in the time of a burst; returns when the next one is due.
    async fn burst(&mut self, due: Instant) -> Instant {
        let most = (self.rate * BURST.as_secs_f64()) as usize;
        let mut bytes = String::new();
        let mut readings = 0;
        while bytes.len() < most.max(1) {
            bytes += &reading(self.port, self.next);
            bytes += "\r\n";
            self.next += 1;
            readings += 1;
        }
        let now = std::time::Instant::now();
        self.emitted.times.lock().unwrap()[self.port].resize(self.next as usize, now);
        self.pty.write_all(bytes.as_bytes()).await.unwrap();
        *self.emitted.total.lock().unwrap() += readings;
        self.emitted.more.notify_all();
        // A machine that was busy does not make the line faster.
        due.max(Instant::now() - BURST) + Duration::from_secs_f64(bytes.len() as f64 / self.rate)
    }
}
