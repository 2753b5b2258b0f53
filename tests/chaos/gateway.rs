//! The real binary, killed and started again with the same files.

use crate::disk::Disk;
use crate::log::Log;
use crate::shim::Shim;
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Gateway {
    file: PathBuf,
    running: Option<(Child, Log)>,
    /// Of all processes so far.
    pub spent: Spent,
}

/// What the gateway took, by /proc.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Peak of resident memory, KiB.
    pub memory: u64,
    /// Bytes that went through write(2), the journal and the log.
    pub written: u64,
    /// How often it was started.
    pub starts: u64,
}

impl Gateway {
    /// Its configuration is in this file.
    pub fn new(file: PathBuf) -> Gateway {
        Gateway { file, running: None, spent: Spent::default() }
    }

    /// Returns when so many ports are open.
    pub fn start(&mut self, disk: Option<&Disk>, shim: Option<&Shim>, ports: usize) {
        let binary = env!("CARGO_BIN_EXE_tty2mqtt");
        let mut command = disk.map_or_else(|| Command::new(binary), |disk| disk.command(binary));
        if let Some(shim) = shim {
            shim.preload(&mut command);
        }
        let mut child = command
            .args(["run", "--log", "info", "--config"])
            .arg(&self.file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        (0..ports).for_each(|_| log.wait_for(" is open"));
        self.spent.starts += 1;
        self.running = Some((child, log));
    }

    /// The process that runs now.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.running.as_ref().unwrap().0)
    }

    pub fn log(&self) -> &Log {
        &self.running.as_ref().unwrap().1
    }

    /// Another configuration, and SIGHUP.
    pub fn reload(&self, config: &str) {
        std::fs::write(&self.file, config).unwrap();
        self.signal(Signal::HUP);
    }

    /// kill -9
    pub fn kill(&mut self) {
        self.measure();
        let Some((mut child, _)) = self.running.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; it must succeed.
    pub fn terminate(&mut self) {
        self.measure();
        self.signal(Signal::TERM);
        let (mut child, log) = self.running.take().unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}:\n{:#?}", log.so_far());
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Adds up what this process took. It must be alive: a gateway that ended by itself fails here.
    fn measure(&mut self) {
        let Some((child, log)) = &mut self.running else { return };
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the gateway ended by itself, {status}:\n{:#?}", log.so_far());
        }
        let number = |file: &str, key: &str| {
            let text = std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim_end_matches("kB").trim().parse::<u64>().unwrap()
        };
        self.spent.memory = self.spent.memory.max(number("status", "VmHWM:"));
        self.spent.written += number("io", "wchar:");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
