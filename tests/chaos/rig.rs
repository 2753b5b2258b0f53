//! Devices, gateway, proxy, broker and counter, and everything that can be done to them.

use crate::DEADLINE;
use crate::broker::Broker;
use crate::counter::Counter;
use crate::device::{self, Devices, LINE_RATE};
use crate::disk::Disk;
use crate::gateway::Gateway;
use crate::ledger::{Account, Cause};
use crate::plan::Fault;
use crate::proxy::{Mode, Proxy};
use crate::shim::Shim;
use crate::support::control::Client;
use serde_json::Value;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where messages wait for the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Memory,
    /// On a disk, in a journal of so many MiB.
    Always {
        journal: u32,
    },
}

/// What is between gateway and broker, besides the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Tcp,
    Tls,
}

/// What is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub durability: Durability,
    pub link: Link,
    pub ports: usize,
    /// So many of them, the last ones, keep their messages in memory alone.
    pub in_memory: usize,
    /// Bytes that the outbox may have, `32MiB`.
    pub outbox: &'static str,
    /// Bytes a second of each port.
    pub line: f64,
    /// So many times as fast runs time for the gateway.
    pub time: u64,
    /// The first port is the villain's, see [`crate::hostile`].
    pub villain: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        let (durability, link) = (Durability::Memory, Link::Tcp);
        let (ports, in_memory, outbox) = (8, 0, "32MiB");
        let villain = false;
        Setup { durability, link, ports, in_memory, outbox, line: LINE_RATE, time: 1, villain }
    }
}

pub struct Rig {
    pub broker: Broker,
    pub proxy: Proxy,
    pub counter: Counter,
    pub devices: Devices,
    pub gateway: Gateway,
    pub disk: Option<Disk>,
    pub shim: Shim,
    setup: Setup,
    /// Changes with each reload.
    inflight: u16,
    clock: i64,
    folder: TempDir,
}

/// So many readings may wait for the broker when the next fault comes; the outbox has room for
/// many times as many.
const BACKLOG: u64 = 20_000;

/// Messages that may be in flight, in turns.
const INFLIGHT: [u16; 2] = [100, 30];

impl Rig {
    /// Everything runs, and the devices say nothing yet.
    pub fn start(setup: Setup) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let shim = Shim::build(folder.path(), setup.time);
        let disk = match setup.durability {
            Durability::Memory => None,
            // What is being rewritten comes on top, and what the disk itself needs.
            Durability::Always { journal } => Some(Disk::mount(folder.path(), journal + 4)),
        };
        let broker = Broker::start();
        let counter = Counter::start(&broker.access(), 0);
        broker.save();
        let devices = Devices::start(setup.ports, setup.line);
        let proxy = Proxy::start(vec![match setup.link {
            Link::Tcp => broker.port,
            Link::Tls => broker.tls_port,
        }]);
        let gateway = Gateway::new(folder.path().join("config.yaml"));
        let inflight = INFLIGHT[0];
        let mut rig = Rig {
            broker,
            proxy,
            counter,
            devices,
            gateway,
            disk,
            shim,
            setup,
            inflight,
            clock: 0,
            folder,
        };
        std::fs::write(rig.folder.path().join("config.yaml"), rig.config()).unwrap();
        rig.start_gateway();
        rig
    }

    /// Where the gateway's control socket is.
    pub fn control(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    pub fn config(&self) -> String {
        let port = self.proxy.port;
        let broker = match self.setup.link {
            Link::Tcp => format!("url: \"mqtt://127.0.0.1:{port}\""),
            Link::Tls => {
                let authority = self.broker.authority();
                let authority = authority.display();
                format!("url: \"mqtts://localhost:{port}\", tls: {{ca_file: {authority}}}")
            }
        };
        let durability = match self.setup.durability {
            Durability::Memory => String::new(),
            Durability::Always { journal } => {
                let folder = self.disk.as_ref().unwrap().path.join("journal");
                let folder = folder.display();
                format!(
                    ", durability: always, journal: {{path: {folder}, size: {journal}MiB, sync: each}}"
                )
            }
        };
        let mut text = format!(
            "gateway: chaos\n\
             control: {}\n\
             broker: {{{broker}, keepalive: 30s, inflight: {}}}\n\
             status: {{interval: 20s}}\n\
             outbox: {{messages: 200000, bytes: {}, backlog_rate: 1000000{durability}}}\n\
             ports:\n",
            self.control().display(),
            self.inflight,
            self.setup.outbox,
        );
        for (port, path) in self.devices.paths.iter().enumerate() {
            if self.setup.villain && port == 0 {
                text += &crate::hostile::port(path);
                continue;
            }
            let is_in_memory = port + self.setup.in_memory >= self.setup.ports;
            let durability = if is_in_memory { ", durability: memory" } else { "" };
            text += &format!(
                "  p{port}:\n    path: {}\n    line: 115200 8N1\n    decode: text\n    messages: \
                 [{{topic: \"{{gateway}}/{{port}}\", payload: \"{{value}}\"{durability}}}]\n    commands: \
                 [{{topic: \"do/{{port}}\", send: \"{{payload}}\"}}]\n",
                path.display()
            );
        }
        text
    }

    fn start_gateway(&mut self) {
        self.gateway.start(self.disk.as_ref(), Some(&self.shim), self.setup.ports);
    }

    pub fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::KillGateway => self.kill_gateway(),
            Fault::KillQuietGateway => self.kill_quiet_gateway(),
            Fault::KillGatewayInOutage { backlog } => {
                self.kill_broker();
                self.emit(backlog);
                self.kill_gateway();
                self.start_broker();
            }
            Fault::KillBroker { away } => {
                self.kill_broker();
                self.emit(away);
                self.start_broker();
            }
            Fault::CutLink(how) => {
                self.wait_for_link();
                self.proxy.cut(how);
            }
            Fault::StallLink { readings } => self.link_is(Mode::Stall, readings),
            Fault::DelayLink { by, readings } => self.link_is(Mode::Delay(by), readings),
            Fault::HalfOpen => self.half_open(),
            Fault::Replug { port } => self.replug(port),
            Fault::FillDisk { readings } => self.fill_disk(readings),
            Fault::ReadOnlyDisk { readings } => self.read_only_disk(readings),
            Fault::SlowDisk { milliseconds, readings } => self.slow_disk(milliseconds, readings),
            Fault::SlowStart { milliseconds } => self.slow_start(milliseconds),
            Fault::Unread { readings } => self.unread(readings),
            Fault::StepClock { seconds } => self.step_clock(seconds),
            Fault::Reload => self.reload(),
        }
    }

    /// Waits until the devices have emitted so many more.
    pub fn emit(&self, readings: u64) {
        self.devices.wait_for(self.devices.emitted() + readings);
    }

    /// Waits until the outbox is far from full: what it drops then is not what this is about.
    pub fn wait_for_backlog(&self) {
        self.counter.wait("the backlog to shrink", |ledger| {
            self.devices.emitted() < ledger.reached() + BACKLOG
        });
    }

    /// What it has acknowledged and queued for a counter that is slow would be lost with it.
    fn kill_broker(&mut self) {
        self.counter.wait_until_caught_up(&self.broker.access());
        self.broker.kill();
    }

    fn start_broker(&mut self) {
        self.broker.start_again();
        self.counter.wait_until_caught_up(&self.broker.access());
    }

    fn kill_gateway(&mut self) {
        self.gateway.kill();
        let emitted = self.devices.pause();
        self.replug_all();
        self.counter.ledger(|ledger| {
            for (port, end) in emitted.iter().enumerate() {
                ledger.window(port, Cause::Killed, *end);
            }
        });
        self.start_gateway();
        self.devices.resume();
    }

    /// A tty forgets everything when nobody has it open any more. A PTY does so only with its other
    /// end: it stays locked, with the bytes that nobody has read.
    fn replug_all(&self) {
        (0..self.setup.ports).for_each(|port| self.devices.replug(port));
    }

    fn kill_quiet_gateway(&mut self) {
        self.quieten();
        self.gateway.kill();
        self.replug_all();
        self.start_gateway();
        self.devices.resume();
    }

    /// Stops the devices, and waits until the last reading of each is kept; so all before it are.
    pub fn quieten(&self) -> Vec<u64> {
        let emitted = self.devices.pause();
        for (port, end) in emitted.iter().enumerate() {
            if let Some(last) = end.checked_sub(1) {
                self.wait_until_kept(port, last);
            }
        }
        emitted
    }

    /// Waits until a reading is in the journal, or has arrived.
    fn wait_until_kept(&self, port: usize, number: u64) {
        let text = device::reading(port, number);
        let deadline = Instant::now() + DEADLINE;
        loop {
            let in_journal = self.disk.as_ref().is_some_and(|disk| disk.contains(&text));
            if in_journal || self.counter.ledger(|ledger| ledger.has(port, number)) {
                return;
            }
            assert!(Instant::now() < deadline, "{text} is neither kept nor delivered");
            std::thread::yield_now();
        }
    }

    /// Waits until more arrives than can have been in flight before: the gateway waits between
    /// links, and a link that is not there cannot be cut.
    fn wait_for_link(&self) {
        let delivered = self.counter.ledger(|ledger| ledger.delivered());
        let more = 2 * u64::from(INFLIGHT[0]);
        self.counter.wait("a link", |ledger| ledger.delivered() > delivered + more);
    }

    fn link_is(&self, mode: Mode, readings: u64) {
        self.wait_for_link();
        self.proxy.set(mode);
        self.emit(readings);
        self.proxy.set(Mode::Pass);
    }

    fn half_open(&self) {
        self.wait_for_link();
        let links = self.proxy.links();
        self.proxy.set(Mode::Swallow);
        // Bytes are what makes the link dead.
        self.emit(10);
        // The log is told of a fault that occurs again and again only now and then.
        let connected = |status: &Value| status["broker"]["connected"].as_bool().unwrap();
        self.wait("a dead link that was given up", || !connected(&self.status()));
        self.proxy.set(Mode::Pass);
        self.wait("a new link", || self.proxy.links() > links);
    }

    fn replug(&self, port: usize) {
        let end = self.devices.pause_one(port);
        self.counter.ledger(|ledger| ledger.window(port, Cause::Unplugged, end));
        let name = format!("p{port}");
        let opens = |status: &Value| status["ports"][&name]["opens"].as_u64().unwrap();
        let before = opens(&self.status());
        self.devices.replug(port);
        // The log is told of a fault that occurs again and again only now and then.
        self.wait("a port that is open again", || opens(&self.status()) > before);
        self.devices.resume_one(port);
    }

    fn fill_disk(&self, readings: u64) {
        let Some(disk) = &self.disk else { return };
        disk.fill();
        self.emit(readings);
        disk.empty();
        self.journal_is_back();
    }

    /// With an empty journal: what waits in one that cannot be written to is read, and sent, only
    /// when it can be, after what has come since.
    fn read_only_disk(&mut self, readings: u64) {
        self.wait_until_delivered();
        self.gateway.kill();
        self.replug_all();
        self.disk.as_ref().unwrap().remount("ro");
        self.start_gateway();
        self.devices.resume();
        self.emit(readings);
        self.disk.as_ref().unwrap().remount("rw");
        self.journal_is_back();
    }

    /// Waits until the journal works again, if it did not: meanwhile the gateway keeps everything in
    /// memory, which the next kill would take away. What it kept it has written then, or sent.
    fn journal_is_back(&self) {
        self.wait_for_journal();
        self.quieten();
        self.devices.resume();
    }

    /// Waits until the journal works.
    pub fn wait_for_journal(&self) {
        self.wait("the journal to work again", || {
            let journal = &self.status()["broker"]["journal"];
            journal.is_object() && journal["error"].is_null()
        });
    }

    /// What the control socket says now.
    fn status(&self) -> Value {
        Client::new(&self.control()).ask(r#"{"request":"status"}"#)
    }

    /// Shorter than what a gateway waits for its journal: what comes meanwhile keeps its place.
    fn slow_start(&mut self, milliseconds: u64) {
        self.quieten();
        self.gateway.kill();
        self.replug_all();
        let before = self.shim.listed();
        self.shim.delay_listing(milliseconds);
        self.start_gateway();
        self.devices.resume();
        self.wait("a slow start", || self.shim.listed() > before);
        self.shim.delay_listing(0);
        self.journal_is_back();
    }

    /// As many clients as there may be, each looking on at one port.
    pub fn monitors(&self, port_of: impl Fn(usize) -> usize) -> Vec<UnixStream> {
        let monitor = |n| {
            let mut client = UnixStream::connect(self.control()).unwrap();
            let port = port_of(n);
            writeln!(client, r#"{{"request":"monitor","port":"p{port}","raw":true}}"#).unwrap();
            client
        };
        (0..8).map(monitor).collect()
    }

    /// On all ports in turn.
    fn unread(&self, readings: u64) {
        let clients = self.monitors(|n| n % self.setup.ports);
        self.emit(readings);
        drop(clients);
    }

    fn slow_disk(&self, milliseconds: u64, readings: u64) {
        let before = self.shim.delayed();
        self.shim.delay_fsync(milliseconds);
        self.emit(readings);
        self.wait("a slow fsync", || self.shim.delayed() > before);
        self.shim.delay_fsync(0);
        self.quieten();
        self.devices.resume();
    }

    fn step_clock(&mut self, seconds: i64) {
        // Bounded, so that many steps do not add up to a year that nobody can print.
        self.clock = (self.clock + seconds).clamp(-1_000_000_000, 1_000_000_000);
        let before = self.shim.shifted();
        self.shim.step_clock(self.clock);
        self.wait("the gateway to read its clock", || {
            self.clock == 0 || self.shim.shifted() > before
        });
    }

    fn reload(&mut self) {
        self.gateway.reload("gateway: chaos\nports: [");
        self.gateway.log().wait_for("nothing was changed");
        self.inflight = if self.inflight == INFLIGHT[0] { INFLIGHT[1] } else { INFLIGHT[0] };
        self.gateway.reload(&self.config());
        self.gateway.log().wait_for("configuration reloaded");
    }

    pub fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done() {
            assert!(Instant::now() < deadline, "waiting for {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops the devices, and waits until the last reading of each has arrived; so all before it
    /// have.
    fn wait_until_delivered(&self) -> Vec<u64> {
        let emitted = self.devices.pause();
        for (port, end) in emitted.iter().enumerate() {
            if let Some(last) = end.checked_sub(1) {
                let what = device::reading(port, last);
                self.counter.wait(&what, |ledger| ledger.has(port, last));
            }
        }
        emitted
    }

    /// Lets everything arrive and ends the gateway. Returns how many readings were emitted.
    pub fn finish(&mut self) -> (u64, Account) {
        let emitted = self.wait_until_delivered();
        self.gateway.terminate();
        self.counter.wait_until_caught_up(&self.broker.access());
        let account = self.counter.ledger(|ledger| ledger.close(&emitted));
        (emitted.iter().sum(), account)
    }
}
