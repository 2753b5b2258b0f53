//! A mosquitto of our own on a free port, and an independent subscriber.

use super::DEADLINE;
use super::free_port;
use super::lines::Lines;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Mosquitto {
    pub port: u16,
    /// Where it listens with TLS, if it does.
    pub tls_port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    pub fn start() -> Mosquitto {
        Mosquitto::with("", "")
    }

    /// With more lines of configuration, before and behind the listener.
    pub fn with(before: &str, behind: &str) -> Mosquitto {
        // Not 0 for the queue: with that, mosquitto 2.0.11 ends a link after each refused message.
        let most = "max_queued_messages 1000000\nmax_inflight_messages 0\nset_tcp_nodelay true\n";
        Mosquitto::configured(before, &format!("{most}{behind}"))
    }

    /// With its own defaults.
    pub fn as_it_comes() -> Mosquitto {
        Mosquitto::configured("", "")
    }

    fn configured(before: &str, behind: &str) -> Mosquitto {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!("{before}listener {port} 127.0.0.1\nallow_anonymous true\n{behind}");
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Mosquitto { port, tls_port: 0, folder, child: None };
        broker.start_again();
        broker
    }

    /// With TLS by the certificates in a folder, for one user only.
    pub fn with_tls(certificates: &std::path::Path, user: &str, password: &str) -> Mosquitto {
        let passwords = certificates.join("passwords");
        let status = Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(&passwords)
            .args([user, password])
            .status()
            .expect("mosquitto is installed: `make deps`");
        assert!(status.success());
        let tls_port = free_port();
        let folder = certificates.display();
        // As root it would give up the right to read the folder.
        let before = "per_listener_settings true\nuser root\n";
        let behind = format!(
            "listener {tls_port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n\
             certfile {folder}/server.pem\nkeyfile {folder}/server.key\n",
            passwords.display()
        );
        let mut broker = Mosquitto::with(before, &behind);
        broker.tls_port = tls_port;
        broker
    }

    pub fn start_again(&mut self) {
        let mosquitto = ["/usr/sbin/mosquitto", "mosquitto"];
        let program = mosquitto.iter().find(|p| std::path::Path::new(p).exists());
        let child = Command::new(program.unwrap_or(&"mosquitto"))
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed: `make deps`");
        self.child = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            std::thread::yield_now();
        }
    }

    /// kill -9
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn publish(&self, topic: &str, payload: &str) {
        let status = Command::new("mosquitto_pub")
            .args(["-p", &self.port.to_string(), "-q", "1", "-t", topic, "-m", payload])
            .status()
            .expect("mosquitto-clients is installed: `make deps`");
        assert!(status.success());
    }
}

impl Mosquitto {
    /// Publishes each payload with QoS 1, all on one link.
    pub fn publish_all(&self, topic: &str, payloads: impl Iterator<Item = String>) {
        let mut child = Command::new("mosquitto_pub")
            .args(["-p", &self.port.to_string(), "-q", "1", "-t", topic, "-l"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("mosquitto-clients is installed: `make deps`");
        let lines: String = payloads.map(|payload| payload + "\n").collect();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(lines.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `mosquitto_sub`: prints `topic payload` of each message.
pub struct Counter {
    child: Child,
    lines: Lines,
}

impl Counter {
    pub fn start(broker: &Mosquitto, filter: &str) -> Counter {
        let mut child = Command::new("mosquitto_sub")
            .args(["-p", &broker.port.to_string(), "-q", "1", "-F", "%t %p"])
            .args(["-t", filter, "-t", "probe/#"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto-clients is installed: `make deps`");
        let lines = Lines::of(child.stdout.take().unwrap());
        let counter = Counter { child, lines };
        counter.wait_until_subscribed(broker);
        counter
    }

    /// At a broker that takes no message that is retained or of QoS 1.
    pub fn start_at_a_limited(broker: &Mosquitto, filter: &str) -> Counter {
        let port = broker.port.to_string();
        let mut child = Command::new("mosquitto_sub")
            .args(["-p", &port, "-F", "%t %p", "-t", filter, "-t", "probe/#"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto-clients is installed: `make deps`");
        let lines = Lines::of(child.stdout.take().unwrap());
        let deadline = Instant::now() + DEADLINE;
        while !lines.comes("probe/plain", Duration::from_millis(100)) {
            assert!(Instant::now() < deadline, "no probe came");
            let probe = ["-p", &port, "-t", "probe/plain", "-m", "x"];
            assert!(Command::new("mosquitto_pub").args(probe).status().unwrap().success());
        }
        Counter { child, lines }
    }

    /// Publishes probes until one arrives: from then on nothing is missed.
    pub fn wait_until_subscribed(&self, broker: &Mosquitto) {
        let probe = format!("{:?}", Instant::now());
        broker.publish_retained("probe/retained", &probe);
        self.lines.wait_for(&probe);
    }

    /// The next message.
    pub fn take_one(&self, waiting_for: &str) -> String {
        loop {
            let line = self.lines.next(waiting_for);
            if !line.starts_with("probe/") {
                return line;
            }
        }
    }

    /// The next message must be this one.
    pub fn expect(&self, message: &str) {
        assert_eq!(self.take_one(message), message);
    }

    /// Passes over messages until this one.
    pub fn wait_for(&self, message: &str) {
        while self.take_one(message) != message {}
    }

    /// Passes over messages until one of a topic that contains `topic` contains `text`.
    pub fn expect_containing(&self, topic: &str, text: &str) {
        loop {
            let line = self.lines.wait_for(text);
            if line.split(' ').next().is_some_and(|t| t.contains(topic)) {
                return;
            }
        }
    }

    /// All messages up to and including the one whose payload is `last`.
    pub fn take_until(&self, last: &str) -> Vec<String> {
        let mut taken = Vec::new();
        loop {
            let line = self.lines.next(last);
            let done = line.rsplit(' ').next() == Some(last);
            if !line.starts_with("probe/") {
                taken.push(line);
            }
            if done {
                return taken;
            }
        }
    }
}

impl Mosquitto {
    pub fn publish_retained(&self, topic: &str, payload: &str) {
        let status = Command::new("mosquitto_pub")
            .args(["-p", &self.port.to_string(), "-q", "1", "-r", "-t", topic, "-m", payload])
            .status()
            .expect("mosquitto-clients is installed: `make deps`");
        assert!(status.success());
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
