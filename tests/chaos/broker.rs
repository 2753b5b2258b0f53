//! A mosquitto with a store on disk, to be killed and started again.
//!
//! It writes its store when it is told to, once, with the counter's session in it. A store that is
//! written all the time would bring old readings back after a kill, and lose new ones all the same.

use crate::DEADLINE;
use crate::support::certificates;
use crate::support::free_port;
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

pub struct Broker {
    pub port: u16,
    /// Where it listens with TLS, by [`Broker::authority`].
    pub tls_port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Broker {
    pub fn start() -> Broker {
        let folder = tempfile::tempdir().unwrap();
        certificates::write(folder.path());
        let [port, tls_port] = [(); 2].map(|()| free_port());
        let place = folder.path().display();
        // As root it would give up the right to write into the folder.
        let config = format!(
            "user root\nallow_anonymous true\nset_tcp_nodelay true\n\
             max_queued_messages 0\nmax_inflight_messages 0\nqueue_qos0_messages true\n\
             persistence true\npersistence_location {place}/\nautosave_interval 0\n\
             listener {port} 127.0.0.1\n\
             listener {tls_port} 127.0.0.1\ncertfile {place}/server.pem\nkeyfile {place}/server.key\n"
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Broker { port, tls_port, folder, child: None };
        broker.start_again();
        broker
    }

    pub fn start_again(&mut self) {
        let mosquitto = ["/usr/sbin/mosquitto", "mosquitto"];
        let program = mosquitto.iter().find(|program| Path::new(program).exists());
        let child = Command::new(program.unwrap_or(&"mosquitto"))
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed: `make deps`");
        self.child = Some(child);
        self.wait("mosquitto to listen", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// The certificate authority of its certificate, a PEM file.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// For mosquitto's own clients.
    pub fn access(&self) -> Access {
        Access { port: self.port, login: None }
    }

    /// Has it write its store.
    pub fn save(&self) {
        let child = self.child.as_ref().unwrap();
        kill_process(Pid::from_child(child), Signal::USR1).unwrap();
        let store = self.folder.path().join("mosquitto.db");
        self.wait("mosquitto to write its store", || store.exists());
    }

    /// kill -9
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done() {
            assert!(Instant::now() < deadline, "waiting for {what}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How mosquitto's own clients get to a broker.
#[derive(Clone, Copy)]
pub struct Access {
    pub port: u16,
    /// User and password.
    pub login: Option<[&'static str; 2]>,
}

impl Access {
    /// `mosquitto_sub` or `mosquitto_pub`.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-p", &self.port.to_string()]);
        if let Some([user, password]) = self.login {
            command.args(["-u", user, "-P", password]);
        }
        command
    }

    /// With QoS 1.
    pub fn publish(&self, topic: &str, payload: &str) {
        let mut command = self.command("mosquitto_pub");
        let status = command.args(["-q", "1", "-t", topic, "-m", payload]).status();
        let status = status.expect("mosquitto-clients is installed: `make deps`");
        assert!(status.success());
    }
}
