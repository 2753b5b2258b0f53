//! A broker that runs: its processes, its ports and what it prints.

use crate::certificates;
use crate::support::free_port;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

/// RabbitMQ takes 6 s on an idle machine, 5 of which it waits for others.
const STARTUP: Duration = Duration::from_secs(60);

/// Who may log in.
pub const USER: &str = "tester";
/// With this password.
pub const PASSWORD: &str = "secret";

/// A kind of broker.
pub struct Kind {
    pub name: &'static str,
    /// Of the program that is installed.
    pub version: fn() -> String,
    /// Whether it keeps sessions and messages on a disk.
    pub keeps: bool,
    /// Writes its configuration.
    pub prepare: fn(&Place),
    /// What is started, one after the other, each with what it prints when it listens.
    pub commands: fn(&Place) -> Vec<(Command, &'static str)>,
}

/// Where a broker lives.
pub struct Place {
    pub folder: PathBuf,
    pub tcp: u16,
    pub ws: u16,
    pub tls: u16,
    /// TLS for clients with a certificate.
    pub mutual: u16,
    /// For what the broker's processes have among themselves.
    pub inner: [u16; 2],
}

impl Place {
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }
}

pub struct Broker {
    pub kind: &'static Kind,
    pub place: Place,
    processes: Vec<Process>,
    _folder: TempDir,
}

struct Process {
    child: Child,
    lines: UnboundedReceiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Broker {
    pub async fn start(kind: &'static Kind) -> Broker {
        let folder = tempfile::tempdir().unwrap();
        certificates::write(folder.path());
        let [tcp, ws, tls, mutual, a, b] = [(); 6].map(|()| free_port());
        let place = Place { folder: folder.path().into(), tcp, ws, tls, mutual, inner: [a, b] };
        (kind.prepare)(&place);
        let mut broker = Broker { kind, place, processes: Vec::new(), _folder: folder };
        broker.start_again().await;
        broker
    }

    pub async fn start_again(&mut self) {
        let deadline = Instant::now() + STARTUP;
        for (command, ready) in (self.kind.commands)(&self.place) {
            let mut process = start(command);
            let mut said = String::new();
            loop {
                let Ok(Some(line)) = timeout_at(deadline, process.lines.recv()).await else {
                    panic!("{} does not start; it said:\n{said}", self.kind.name);
                };
                if line.contains(ready) {
                    break;
                }
                writeln!(said, "{line}").unwrap();
            }
            self.processes.push(process);
        }
    }

    /// kill -TERM, and waits for the end.
    pub async fn stop(&mut self) {
        let broker = self.processes.last_mut().unwrap();
        let id = rustix::process::Pid::from_child(&broker.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + STARTUP;
        let mut said = String::new();
        // Its output ends when it does.
        loop {
            match timeout_at(deadline, broker.lines.recv()).await {
                Ok(Some(line)) => writeln!(said, "{line}").unwrap(),
                Ok(None) => break,
                Err(_) => panic!("{} does not end; it said:\n{said}", self.kind.name),
            }
        }
        self.processes.clear();
    }

    /// kill -9
    pub fn kill(&mut self) {
        self.processes.clear();
    }
}

fn start(mut command: Command) -> Process {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `make deps` installs it"));
    let (sender, lines) = unbounded_channel();
    read(child.stdout.take().unwrap(), sender.clone());
    read(child.stderr.take().unwrap(), sender);
    Process { child, lines }
}

fn read(from: impl Read + Send + 'static, to: UnboundedSender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}

/// Where `scripts/brokers` puts them.
pub fn fetched(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/brokers").join(path);
    assert!(path.exists(), "{}: not there; `make deps` fetches it", path.display());
    path
}
