//! The real binary.

use crate::lines::Lines;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub struct Gateway {
    child: Child,
    log: Lines,
    folder: TempDir,
}

impl Gateway {
    pub fn start(config: &str) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
            .args(["run", "--log", "info,uplink=debug", "--config"])
            .arg(file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        Gateway { child, log, folder }
    }

    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// Another configuration, and SIGHUP.
    pub fn reload(&self, config: &str) {
        std::fs::write(self.folder.path().join("config.yaml"), config).unwrap();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// kill -9
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns the whole log.
    pub fn terminate(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        let log = self.log.rest();
        assert!(status.success(), "{status}:\n{log}");
        log
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
