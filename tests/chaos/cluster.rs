//! Three nodes of RabbitMQ, of which the gateway knows two, and the one that it uses is killed, again
//! and again: it goes on with the other, keeps the order and loses nothing.
//!
//! What the gateway gave up, its status says: if that is nothing and nothing waits, the cluster has
//! acknowledged every reading, and one that is missing then is the cluster's own loss.

use crate::broker::Access;
use crate::counter::Counter;
use crate::device::{self, Devices};
use crate::gateway::Gateway;
use crate::proxy::Proxy;
use crate::rabbitmq::{Cluster, LOGIN};
use crate::{DEADLINE, alone, full};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PORTS: usize = 2;

/// Bytes a second of each device. A quorum queue on one disk has its pace.
const RATE: f64 = 2_000.0;

#[test]
fn a_cluster_whose_node_in_use_is_killed_gets_every_reading_in_order() {
    needs!(mosquitto, rabbitmq);
    let _alone = alone();
    let kills = if full() { 30 } else { 2 };
    let start = Instant::now();
    let mut cluster = Cluster::start(3);
    println!("3 nodes after {:?}", start.elapsed());
    let mut ports: Vec<_> = cluster.nodes.iter().map(|node| node.port).collect();
    // The counter has a node of its own, which lives. What a killed one had sent to a subscriber and
    // was not acknowledged yet RabbitMQ sends again, at times after what came later.
    let door = Proxy::start(ports.pop().into_iter().collect());
    let counter = Counter::start(&Access { port: door.port, login: Some(LOGIN) }, 1);
    let devices = Devices::start(PORTS, RATE);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let control = folder.path().join("control.sock");
    std::fs::write(&file, config(&ports, &devices, &control)).unwrap();
    let mut gateway = Gateway::new(file.clone());
    gateway.start(None, None, PORTS);
    devices.resume();
    for _ in 0..kills {
        devices.wait_for(devices.emitted() + 200);
        let used = wait_until_uses(&gateway, &ports, |_| true);
        cluster.kill(used);
        let before = devices.emitted();
        wait_until_uses(&gateway, &ports, |node| node != used);
        // Two nodes of three are enough.
        counter.wait("readings by the others", |ledger| ledger.delivered() >= before);
        cluster.start_again(used);
        println!("{} readings after {:?}", devices.emitted(), start.elapsed());
    }
    let emitted = devices.pause();
    for (port, emitted) in emitted.iter().enumerate() {
        let last = device::reading(port, emitted - 1);
        counter.wait(&last, |ledger| ledger.has(port, emitted - 1));
    }
    let deadline = Instant::now() + DEADLINE;
    while status(&file)["broker"]["outbox"]["messages"] != 0 {
        assert!(Instant::now() < deadline, "{:#}", status(&file));
    }
    let told = status(&file);
    let gave_up = [&told["broker"]["dropped"], &told["broker"]["refused"]];
    let by_ports = told["ports"].as_object().unwrap().values().map(|port| &port["dropped"]);
    assert!(gave_up.into_iter().chain(by_ports).all(|count| *count == 0), "{told:#}");
    gateway.terminate();
    let account = counter.ledger(|ledger| ledger.close(&emitted));
    let total: u64 = emitted.iter().sum();
    println!(
        "RabbitMQ cluster, node in use killed {kills} times, {} s: {total} readings, all \
         acknowledged, {} delivered, {} once more, {} out of order; {}",
        start.elapsed().as_secs(),
        account.delivered,
        account.duplicates,
        account.disorder,
        account.losses()
    );
    assert!(account.lost.is_empty(), "{}", account.losses());
    assert_eq!((account.disorder, account.torn), (0, 0), "{}", account.losses());
}

fn config(brokers: &[u16], devices: &Devices, control: &Path) -> String {
    let urls: Vec<_> = brokers.iter().map(|port| format!("\"mqtt://127.0.0.1:{port}\"")).collect();
    let [user, password] = LOGIN;
    let mut text = format!(
        "gateway: chaos\ncontrol: {}\nbroker:\n  url: {}\n  fallback: [{}]\n  user: {user}\n  \
         password: {password}\n  keepalive: 5s\noutbox: {{bytes: 32MiB}}\nports:\n",
        control.display(),
        urls[0],
        urls[1..].join(", ")
    );
    for (port, path) in devices.paths.iter().enumerate() {
        text += &format!(
            "  p{port}:\n    path: {}\n    line: 115200 8N1\n    decode: text\n    messages: \
             [{{topic: \"{{gateway}}/{{port}}\", payload: \"{{value}}\"}}]\n",
            path.display()
        );
    }
    text
}

/// What the gateway says of itself.
fn status(config: &Path) -> serde_json::Value {
    let status = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
        .args(["status", "--json", "--config"])
        .arg(config)
        .output()
        .unwrap();
    serde_json::from_slice(&status.stdout).unwrap()
}

/// Waits until the gateway uses a node of which this is true; returns its number. After many links
/// that did not last it waits for up to a minute before it tries all of them again.
fn wait_until_uses(gateway: &Gateway, ports: &[u16], is_it: impl Fn(usize) -> bool) -> usize {
    let deadline = Instant::now() + 3 * DEADLINE;
    loop {
        let log = gateway.log().so_far();
        let line = log.iter().rev().find(|line| line.contains("connected to mqtt://"));
        let at = |line: &String| ports.iter().position(|port| line.contains(&format!(":{port} ")));
        match line.and_then(at) {
            Some(node) if is_it(node) => return node,
            _ => assert!(Instant::now() < deadline, "the gateway finds no node: {log:#?}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
