//! The independent counter: mosquitto's own subscriber, with a session that the broker keeps.
//!
//! From a mosquitto it takes QoS 0, which the broker queues for it while it is away. With QoS 1 it
//! would lose readings of its own when the broker is killed: an acknowledgement that it cannot get
//! rid of makes it close its socket, with all in it that it has not read; and a mosquitto that is
//! killed does not send them again. So it only reads, until the end; and mosquitto writes a reading
//! to it before it acknowledges it to the gateway. From a cluster, which does send again, it takes
//! QoS 1.

use crate::DEADLINE;
use crate::broker::Access;
use crate::ledger::Ledger;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

pub struct Counter {
    child: Child,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    more: Condvar,
}

impl Counter {
    /// Returns when it is subscribed.
    pub fn start(broker: &Access, qos: u8) -> Counter {
        let mut child = broker
            .command("mosquitto_sub")
            .args(["-q", &qos.to_string(), "-F", "%t %p", "-c", "-i", "counter"])
            // With QoS 0 it has no reason to send anything: see above.
            .args(["-k", if qos == 0 { "65535" } else { "5" }])
            .args(["-t", "chaos/#", "-t", "probe"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto-clients is installed: `make deps`");
        let shared = Arc::new(Shared::default());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let noting = shared.clone();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { break };
                let (topic, payload) = line.split_once(' ').unwrap_or((&line, ""));
                noting.ledger.lock().unwrap().note(topic, payload);
                noting.more.notify_all();
            }
        });
        let counter = Counter { child, shared };
        // Probes that come before the subscription are lost.
        let deadline = Instant::now() + DEADLINE;
        while !counter.has_answered(broker) {
            assert!(Instant::now() < deadline, "the counter does not subscribe");
        }
        counter
    }

    /// Waits until it is connected and has got all that the broker had queued for it: the probe
    /// comes after that.
    pub fn wait_until_caught_up(&self, broker: &Access) {
        let probe = probe(broker);
        self.wait("the counter to catch up", |ledger| ledger.other.get("probe") == Some(&probe));
    }

    fn has_answered(&self, broker: &Access) -> bool {
        let probe = probe(broker);
        let ledger = self.shared.ledger.lock().unwrap();
        let wait = std::time::Duration::from_millis(200);
        let missing = |ledger: &mut Ledger| ledger.other.get("probe") != Some(&probe);
        !self.shared.more.wait_timeout_while(ledger, wait, missing).unwrap().1.timed_out()
    }

    /// Waits until the ledger shows it; fails if nothing at all came for the deadline.
    pub fn wait(&self, what: &str, shows: impl Fn(&Ledger) -> bool) {
        let mut ledger = self.shared.ledger.lock().unwrap();
        while !shows(&ledger) {
            let (next, waited) = self.shared.more.wait_timeout(ledger, DEADLINE).unwrap();
            ledger = next;
            let delivered = ledger.delivered();
            assert!(!waited.timed_out(), "waiting for {what}; {delivered} readings came so far");
        }
    }

    pub fn ledger<T>(&self, f: impl FnOnce(&mut Ledger) -> T) -> T {
        f(&mut self.shared.ledger.lock().unwrap())
    }
}

/// Publishes one; returns its payload.
fn probe(broker: &Access) -> String {
    let probe = format!("{:?}", Instant::now());
    broker.publish("probe", &probe);
    probe
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
