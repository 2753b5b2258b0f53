//! A mosquitto with a store on disk, to be killed and started again.
//!
//! It writes its store when it is told to, once, with the counter's session in it. A store that is
//! written all the time would bring old readings back after a kill, and lose new ones all the same.

use crate::DEADLINE;
use crate::support::certificates;
use crate::support::mosquitto::{self, Server};
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

pub struct Broker {
    pub port: u16,
    /// Where it listens with TLS, by [`Broker::authority`].
    pub tls_port: u16,
    server: Server<2>,
}

impl Broker {
    pub fn start() -> Broker {
        let folder = tempfile::tempdir().unwrap();
        certificates::write(folder.path());
        let server = Server::start(folder, |folder, [port, tls_port]| {
            let place = folder.display();
            // As root it would give up the right to write into the folder.
            format!(
                "user root\nallow_anonymous true\nset_tcp_nodelay true\n\
                 max_queued_messages 0\nmax_inflight_messages 0\nqueue_qos0_messages true\n\
                 persistence true\npersistence_location {place}/\nautosave_interval 0\n\
                 listener {port} 127.0.0.1\n\
                 listener {tls_port} 127.0.0.1\ncertfile {place}/server.pem\nkeyfile {place}/server.key\n"
            )
        });
        let [port, tls_port] = server.ports;
        Broker { port, tls_port, server }
    }

    pub fn start_again(&mut self) {
        self.server.start_again();
    }

    /// The certificate authority of its certificate, a PEM file.
    pub fn authority(&self) -> PathBuf {
        self.server.folder.path().join("ca.pem")
    }

    /// For mosquitto's own clients.
    pub fn access(&self) -> Access {
        Access { port: self.port, login: None }
    }

    /// Has it write its store.
    pub fn save(&self) {
        let (mosquitto, _) = self.server.running.as_ref().unwrap();
        kill_process(Pid::from_child(mosquitto), Signal::USR1).unwrap();
        let store = self.server.folder.path().join("mosquitto.db");
        let deadline = Instant::now() + DEADLINE;
        while !store.exists() {
            assert!(Instant::now() < deadline, "mosquitto does not write its store");
            std::thread::yield_now();
        }
    }

    /// kill -9
    pub fn kill(&mut self) {
        self.server.kill();
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
        let mut command = mosquitto::client(program, self.port);
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
