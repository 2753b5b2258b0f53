//! A mosquitto of our own on a free port, and an independent subscriber.

use super::lines::Lines;
use super::needs::find;
use super::{DEADLINE, free_port};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program; `MOSQUITTO=/path/to/another` takes another version.
pub fn program() -> PathBuf {
    let named = std::env::var_os("MOSQUITTO").map(PathBuf::from);
    // Debian has it where only root looks for programs.
    named.or_else(|| find("mosquitto")).unwrap_or_else(|| "/usr/sbin/mosquitto".into())
}

/// A running mosquitto, whatever its configuration; it listens at `N` free ports.
pub struct Server<const N: usize> {
    pub ports: [u16; N],
    pub folder: TempDir,
    pub running: Option<(Child, Lines)>,
}

impl<const N: usize> Server<N> {
    /// `configure` makes the configuration, of the folder and the ports. Nobody can hold a port for a
    /// program that is yet to start: where another took one meanwhile, it is tried with others.
    pub fn start(folder: TempDir, configure: impl Fn(&Path, [u16; N]) -> String) -> Server<N> {
        let mut server = Server { ports: [0; N], folder, running: None };
        for _ in 0..5 {
            server.ports = [(); N].map(|()| free_port());
            let config = configure(server.folder.path(), server.ports);
            std::fs::write(server.folder.path().join("mosquitto.conf"), config).unwrap();
            match server.try_to_start() {
                Ok(()) => return server,
                Err(log) => assert!(log.contains("Address already in use"), "mosquitto: {log}"),
            }
        }
        panic!("mosquitto found no free port, five times");
    }

    /// At the same ports.
    pub fn start_again(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        while let Err(log) = self.try_to_start() {
            assert!(Instant::now() < deadline, "mosquitto: {log}");
        }
    }

    /// Returns once it listens, or with its log.
    fn try_to_start(&mut self) -> Result<(), String> {
        let mut child = Command::new(program())
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mosquitto is installed: `make deps`");
        let log = Lines::of(child.stderr.take().unwrap());
        match log.find(" running") {
            Ok(_) => {
                self.running = Some((child, log));
                Ok(())
            }
            Err(printed) => {
                let _ = child.kill();
                child.wait().unwrap();
                Err(printed)
            }
        }
    }

    /// kill -9
    pub fn kill(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl<const N: usize> Drop for Server<N> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One with a plain listener, and one with TLS if it is wanted.
pub struct Mosquitto {
    pub port: u16,
    /// Where it listens with TLS, if it does.
    pub tls_port: u16,
    server: Server<2>,
}

impl Mosquitto {
    pub fn start() -> Mosquitto {
        Mosquitto::with("", "")
    }

    /// With more lines of configuration, before and behind the listener.
    pub fn with(before: &str, behind: &str) -> Mosquitto {
        // Not 0 for the queue: with that, mosquitto 2.0.11 ends a link after each refused message.
        let most = "max_queued_messages 1000000\nmax_inflight_messages 0\nset_tcp_nodelay true\n";
        Mosquitto::configured(before, |_| format!("{most}{behind}"))
    }

    /// With its own defaults.
    pub fn as_it_comes() -> Mosquitto {
        Mosquitto::configured("", |_| String::new())
    }

    fn configured(before: &str, behind: impl Fn(u16) -> String) -> Mosquitto {
        let server = Server::start(tempfile::tempdir().unwrap(), |_, [port, tls_port]| {
            let behind = behind(tls_port);
            format!("{before}listener {port} 127.0.0.1\nallow_anonymous true\n{behind}")
        });
        let [port, tls_port] = server.ports;
        Mosquitto { port, tls_port, server }
    }

    /// With TLS by the certificates in a folder, for one user only.
    pub fn with_tls(certificates: &Path, user: &str, password: &str) -> Mosquitto {
        let passwords = certificates.join("passwords");
        password_file(&passwords, user, password);
        let (folder, passwords) = (certificates.display(), passwords.display());
        // As root it would give up the right to read the folder.
        let before = "per_listener_settings true\nuser root\n";
        Mosquitto::configured(before, |tls_port| {
            format!(
                "max_queued_messages 1000000\nmax_inflight_messages 0\nset_tcp_nodelay true\n\
                 listener {tls_port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n\
                 certfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
            )
        })
    }

    pub fn start_again(&mut self) {
        self.server.start_again();
    }

    /// kill -9
    pub fn kill(&mut self) {
        self.server.kill();
    }

    pub fn publish(&self, topic: &str, payload: &str) {
        publish(self.port, &["-q", "1", "-t", topic, "-m", payload]);
    }

    pub fn publish_retained(&self, topic: &str, payload: &str) {
        publish(self.port, &["-q", "1", "-r", "-t", topic, "-m", payload]);
    }

    /// Publishes each payload with QoS 1, all on one link.
    pub fn publish_all(&self, topic: &str, payloads: impl Iterator<Item = String>) {
        let mut child = client("mosquitto_pub", self.port)
            .args(["-q", "1", "-t", topic, "-l"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("mosquitto-clients is installed: `make deps`");
        let lines: String = payloads.map(|payload| payload + "\n").collect();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

/// Writes a password file for one user.
pub fn password_file(path: &Path, user: &str, password: &str) {
    let mut command = Command::new("mosquitto_passwd");
    let status = command.args(["-b", "-c"]).arg(path).args([user, password]).status();
    assert!(status.expect("mosquitto is installed: `make deps`").success());
}

/// One of mosquitto's clients.
pub fn client(program: &str, port: u16) -> Command {
    let mut command = Command::new(program);
    command.args(["-p", &port.to_string()]);
    command
}

fn publish(port: u16, arguments: &[&str]) {
    let status = client("mosquitto_pub", port).args(arguments).status();
    assert!(status.expect("mosquitto-clients is installed: `make deps`").success());
}

/// `mosquitto_sub`: prints `topic payload` of each message.
pub struct Counter {
    child: Child,
    lines: Lines,
}

impl Counter {
    pub fn start(broker: &Mosquitto, filter: &str) -> Counter {
        let counter = Counter::spawn(broker, &["-q", "1", "-t", filter]);
        counter.wait_until_subscribed(broker);
        counter
    }

    /// At a broker that takes no message that is retained or of QoS 1.
    pub fn start_at_a_limited(broker: &Mosquitto, filter: &str) -> Counter {
        let counter = Counter::spawn(broker, &["-t", filter]);
        let deadline = Instant::now() + DEADLINE;
        while !counter.lines.comes("probe/plain", Duration::from_millis(100)) {
            assert!(Instant::now() < deadline, "no probe came");
            publish(broker.port, &["-t", "probe/plain", "-m", "x"]);
        }
        counter
    }

    fn spawn(broker: &Mosquitto, arguments: &[&str]) -> Counter {
        let mut child = client("mosquitto_sub", broker.port)
            .args(["-F", "%t %p"])
            .args(arguments)
            .args(["-t", "probe/#"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto-clients is installed: `make deps`");
        let lines = Lines::of(child.stdout.take().unwrap());
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
        self.first(message, |line| line == message);
    }

    /// Passes over messages until one is wanted, for a limited time: a topic that repeats never falls
    /// silent.
    pub fn first(&self, waiting_for: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let line = self.take_one(waiting_for);
            if wanted(&line) {
                return line;
            }
            assert!(Instant::now() < deadline, "waiting for {waiting_for:?}, last {line:?}");
        }
    }

    /// Passes over messages until one of a topic that contains `topic` contains `text`.
    pub fn expect_containing(&self, topic: &str, text: &str) {
        let is_of = |line: &str| line.split(' ').next().is_some_and(|it| it.contains(topic));
        self.first(text, |line| line.contains(text) && is_of(line));
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

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
