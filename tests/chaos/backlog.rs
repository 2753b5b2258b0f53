//! How far the gateway is behind its ports.
//!
//! A PTY takes three times of what a tty does before its writer notices. So what counts is looked
//! up in the kernel: the bytes that wait in the line discipline, 4 KiB at most, as for every tty.

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a tty holds; with this many bytes waiting the next one is lost on a real line. Where damaged
/// bytes are marked, the kernel keeps room for the three bytes of a mark: two fewer than 4095.
pub const FULL: u64 = 4093;

/// Samples the ports of a gateway, each thousandth of a second.
pub struct Backlog {
    largest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backlog {
    /// Of the gateway's own descriptors: who opens its ports a second time disturbs it.
    pub fn watch(gateway: Pid, ports: &[PathBuf]) -> Backlog {
        let ttys: Vec<_> = ports.iter().map(|port| borrow(gateway, port)).collect();
        let (largest, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (largest.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let waiting = ttys.iter().map(|tty| ioctl_fionread(tty).unwrap()).max();
                seen.fetch_max(waiting.unwrap(), Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Backlog { largest, stop, thread: Some(thread) }
    }

    /// The most bytes that waited at one port so far.
    pub fn largest(&self) -> u64 {
        self.largest.load(Ordering::SeqCst)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn borrow(gateway: Pid, port: &Path) -> OwnedFd {
    let tty = std::fs::canonicalize(port).unwrap();
    let folder = format!("/proc/{}/fd", gateway.as_raw_pid());
    let mut open = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let is_it = |path: &Path| std::fs::read_link(path).is_ok_and(|target| target == tty);
    let entry = open.find(|entry| is_it(&entry.path())).expect("the gateway has the port open");
    let number = entry.file_name().to_str().unwrap().parse().unwrap();
    let process = pidfd_open(gateway, PidfdFlags::empty()).unwrap();
    pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap()
}
