//! A cluster of RabbitMQ nodes on this machine, from where `scripts/brokers` puts RabbitMQ.
//!
//! Its defaults keep the queue of a session on one node: with that node it goes. So sessions are
//! quorum queues, which promise to keep what most of the nodes have.

use crate::DEADLINE;
use crate::log::Log;
use crate::support::free_port;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The last line of a node's start.
const UP: &str = "Server startup complete";

pub const LOGIN: [&str; 2] = ["tester", "secret"];

pub struct Cluster {
    pub nodes: Vec<Node>,
    /// Knows on which port which node talks to the others.
    names: u16,
    epmd: Child,
    folder: TempDir,
}

pub struct Node {
    name: String,
    /// For MQTT.
    pub port: u16,
    inner: u16,
    running: Option<(Child, Log)>,
}

impl Cluster {
    /// Returns when all nodes are in it.
    pub fn start(nodes: usize) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let cookie = folder.path().join(".erlang.cookie");
        std::fs::write(&cookie, "CLUSTER").unwrap();
        std::fs::set_permissions(&cookie, PermissionsExt::from_mode(0o400)).unwrap();
        let ports: Vec<_> = (0..=2 * nodes).map(|_| free_port()).collect();
        let names = ports[2 * nodes];
        let mut epmd = Command::new(installed("usr/lib/erlang", "erts-").join("bin/epmd"))
            .args(["-d", "-d", "-port", &names.to_string(), "-address", "127.0.0.1"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Log::of(epmd.stderr.take().unwrap()).wait_for("entering the main select() loop");
        let node = |n: usize| Node {
            name: format!("n{n}x{names}@localhost"),
            port: ports[n],
            inner: ports[nodes + n],
            running: None,
        };
        let nodes: Vec<_> = (0..nodes).map(node).collect();
        let mut cluster = Cluster { nodes, names, epmd, folder };
        for _ in 0..2 {
            if cluster.form() {
                return cluster;
            }
            println!("the nodes do not come up; started anew");
        }
        assert!(cluster.form(), "the nodes do not come up");
        cluster
    }

    /// Starts the nodes with nothing from before, each when the one before is up. Together they come up
    /// too, but sometimes not as members of one group that elects a leader.
    fn form(&mut self) -> bool {
        for n in 0..self.nodes.len() {
            self.kill(n);
            let _ = std::fs::remove_dir_all(self.home(n));
            self.prepare(n);
        }
        (0..self.nodes.len()).all(|n| {
            self.spawn(n);
            self.is_up_within(n, DEADLINE)
        })
    }

    fn home(&self, n: usize) -> PathBuf {
        self.folder.path().join(n.to_string())
    }

    fn prepare(&self, n: usize) {
        std::fs::create_dir(self.home(n)).unwrap();
        let [user, password] = LOGIN;
        let mut config = format!(
            "listeners.tcp = none\nlog.file = false\nlog.console = true\n\
             default_user = {user}\ndefault_pass = {password}\nmqtt.allow_anonymous = false\n\
             mqtt.listeners.tcp.1 = 127.0.0.1:{}\nmqtt.durable_queue_type = quorum\n\
             mqtt.prefetch = 1000\nmqtt.subscription_ttl = 86400000\n\
             cluster_partition_handling = ignore\nnet_ticktime = 10\n\
             cluster_formation.discovery_retry_limit = 2\n\
             cluster_formation.peer_discovery_backend = classic_config\n",
            self.nodes[n].port
        );
        for (at, node) in self.nodes.iter().enumerate() {
            writeln!(config, "cluster_formation.classic_config.nodes.{} = {}", at + 1, node.name)
                .unwrap();
        }
        std::fs::write(self.home(n).join("rabbitmq.conf"), config).unwrap();
        std::fs::write(self.home(n).join("plugins"), "[rabbitmq_mqtt].\n").unwrap();
    }

    fn spawn(&mut self, n: usize) {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", fetched("bin").display());
        let home = self.home(n);
        let node = &self.nodes[n];
        let mut command = Command::new(fetched("usr/lib/rabbitmq/bin/rabbitmq-server"));
        // With input it puts itself in the place of its shell script. Three of them and everything
        // else share this machine, so none may spin for work.
        command
            .arg("-noinput")
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("ERL_EPMD_PORT", self.names.to_string())
            .env("ERL_CRASH_DUMP", "/dev/null")
            .env("RABBITMQ_DIST_PORT", node.inner.to_string())
            .env("RABBITMQ_NODENAME", &node.name)
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none \
                 +sbwtdio none",
            )
            .current_dir(&home);
        for (name, file) in [
            ("CONF_ENV_FILE", "none"),
            ("CONFIG_FILE", "rabbitmq.conf"),
            ("ADVANCED_CONFIG_FILE", "none.config"),
            ("ENABLED_PLUGINS_FILE", "plugins"),
            ("MNESIA_BASE", "data"),
            ("LOG_BASE", "log"),
            ("PLUGINS_EXPAND_DIR", "expanded"),
            ("GENERATED_CONFIG_DIR", "generated"),
            ("FEATURE_FLAGS_FILE", "flags"),
            ("PID_FILE", "pid"),
        ] {
            command.env(format!("RABBITMQ_{name}"), home.join(file));
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("RABBITMQ is fetched: `make deps`");
        let lines = Log::of(child.stdout.take().unwrap());
        self.nodes[n].running = Some((child, lines));
    }

    fn is_up_within(&self, n: usize, time: Duration) -> bool {
        self.nodes[n].running.as_ref().unwrap().1.has_within(UP, time)
    }

    /// kill -9
    pub fn kill(&mut self, n: usize) {
        if let Some((mut child, _)) = self.nodes[n].running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Returns when it is back among the others. A node that was killed sometimes stops halfway
    /// through its start, without a word, and has to be killed once more.
    pub fn start_again(&mut self, n: usize) {
        for _ in 0..2 {
            self.spawn(n);
            if self.is_up_within(n, DEADLINE) {
                return;
            }
            println!("node {n} does not start; killed again");
            self.kill(n);
        }
        self.spawn(n);
        assert!(self.is_up_within(n, DEADLINE), "node {n} does not start");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|n| self.kill(n));
        let _ = self.epmd.kill();
        let _ = self.epmd.wait();
    }
}

fn fetched(path: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/brokers/rabbitmq").join(path);
    assert!(folder.exists(), "{}: not there; `make deps` fetches it", folder.display());
    folder
}

/// The folder in another one that begins with a name.
fn installed(folder: &str, name: &str) -> PathBuf {
    let mut entries = std::fs::read_dir(fetched(folder)).unwrap().map(|e| e.unwrap().path());
    let begins = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
    entries.find(begins).unwrap()
}
