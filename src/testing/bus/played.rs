//! A simulated bus on a virtual serial port, in real time.

use super::SimulatedBus;
use crate::testing::pty::Pty;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A bus that a thread plays on a virtual serial port until this is dropped. What the gateway writes goes
/// out at the pace of the bus, and so do the answers.
#[derive(Debug)]
pub struct Played {
    on: Arc<OnPty>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct OnPty {
    bus: Mutex<SimulatedBus>,
    pty: Pty,
    ends: AtomicBool,
}

/// How long the thread waits at most until it looks whether it is to end.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// How often an end is asked again that nobody has open.
const PAUSE: Duration = Duration::from_millis(2);

impl Played {
    pub fn start(bus: SimulatedBus) -> io::Result<Played> {
        let (bus, pty) = (Mutex::new(bus), Pty::open()?);
        let on = Arc::new(OnPty { bus, pty, ends: AtomicBool::new(false) });
        let player = Arc::clone(&on);
        let thread = thread::Builder::new().name("bus".into()).spawn(move || player.play())?;
        Ok(Played { on, thread: Some(thread) })
    }

    /// What the gateway opens.
    pub fn path(&self) -> &Path {
        self.on.pty.path()
    }

    /// Gives what the gateway opens a name.
    pub fn link(&self, name: &Path) -> io::Result<()> {
        self.on.pty.link(name)
    }

    /// The bus, to look at its counts or to change its faults. It stands still meanwhile.
    pub fn bus(&self) -> MutexGuard<'_, SimulatedBus> {
        self.on.bus()
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.on.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
        }
    }
}

impl OnPty {
    fn bus(&self) -> MutexGuard<'_, SimulatedBus> {
        self.bus.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn play(&self) {
        let mut buffer = [0; 512];
        while !self.ends.load(Ordering::Relaxed) {
            let due = self.send_what_is_due();
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            let wait = wait.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
            // It always fits: at most 20 ms.
            let timeout = Timespec::try_from(wait).ok();
            let mut ends = [PollFd::new(self.pty.device(), PollFlags::IN)];
            let _ = poll(&mut ends, timeout.as_ref());
            match rustix::io::read(self.pty.device(), &mut buffer) {
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.bus().write(bytes, Instant::now());
                }
                // Nobody has the other end open.
                Err(Errno::IO) => thread::sleep(wait.min(PAUSE)),
                Err(_) => {}
            }
        }
    }

    /// Hands over what has come by now; returns when there is more. What the other end does not read
    /// before its buffer is full gets lost, as on a serial line.
    fn send_what_is_due(&self) -> Option<Instant> {
        let mut bus = self.bus();
        loop {
            let due = bus.due()?;
            if due > Instant::now() {
                return Some(due);
            }
            if let Some((_, bytes)) = bus.next() {
                let _ = rustix::io::write(self.pty.device(), &bytes);
            }
        }
    }
}
