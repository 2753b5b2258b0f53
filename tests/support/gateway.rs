//! The real binary.

use super::lines::Lines;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use tempfile::TempDir;

pub struct Gateway {
    child: Child,
    log: Lines,
    folder: TempDir,
}

/// With a control socket of its own, unless the configuration says where it is.
fn in_folder(config: &str, folder: &Path) -> String {
    match config.contains("control:") {
        true => config.to_owned(),
        false => format!("control: {}\n{config}", folder.join("control.sock").display()),
    }
}

/// A build that is to be tried in the place of the test's own.
pub fn named() -> Option<OsString> {
    std::env::var_os("GATEWAY")
}

impl Gateway {
    pub fn start(config: &str) -> Gateway {
        Gateway::start_with(config, |_| ())
    }

    /// With another environment.
    pub fn start_with(config: &str, prepare: impl FnOnce(&mut Command)) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, in_folder(config, folder.path())).unwrap();
        let binary = named().unwrap_or_else(|| env!("CARGO_BIN_EXE_tty2mqtt").into());
        let mut command = Command::new(binary);
        command.args(["run", "--log", "info,gateway::uplink=debug", "--config"]);
        command.arg(file).stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        Gateway { child, log, folder }
    }

    pub fn log(&self) -> &Lines {
        &self.log
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its control socket, unless the configuration says where that is.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Its configuration.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    /// Another configuration, which is not looked at yet.
    pub fn rewrite(&self, config: &str) {
        let folder = self.folder.path();
        std::fs::write(folder.join("config.yaml"), in_folder(config, folder)).unwrap();
    }

    /// Another configuration, and SIGHUP.
    pub fn reload(&self, config: &str) {
        self.rewrite(config);
        self.signal(Signal::HUP);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// kill -9
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns the whole log.
    pub fn terminate(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.wait();
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
