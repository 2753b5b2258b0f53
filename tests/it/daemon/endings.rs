//! Every way in which a broker ends a link at something of ours, for every kind of it: all else flows
//! again within a minute, and the log names what links end at.

use crate::support::gateway::Gateway;
use crate::support::lines::Lines;
use crate::support::port::Port;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tty2mqtt::mqtt::packet::Reason;
use tty2mqtt::testing::broker::{At, Faults, Way};
use tty2mqtt::testing::server::Server;

/// All others flow again within this time.
const FLOWS: Duration = Duration::from_secs(60);

/// So many gateways run at once.
const AT_ONCE: usize = 9;

/// What the link is ended at, and as what the log names it.
struct Kind {
    at: At,
    named: &'static str,
    /// QoS of the reading that nobody takes.
    qos: u8,
}

fn kinds() -> Vec<Kind> {
    let message = |topic: &str, named, qos| Kind { at: At::Topic(topic.into()), named, qos };
    let mut kinds: Vec<_> = (0..=2).map(|qos| message("bad", " to bad", qos)).collect();
    kinds.extend([
        message("test/status", " to test/status;", 1),
        message("test/status/program", " to test/status/program", 1),
        message("test/status/broker", " to test/status/broker", 1),
        message("test/status/ports/line", " to test/status/ports/line;", 1),
        message("test/status/ports/line/command", " to test/status/ports/line/command", 1),
        Kind { at: At::Subscribe("do/it".into()), named: "do/it", qos: 1 },
    ]);
    kinds
}

/// A broker that ends links at this; it goes when the sender does.
fn broker(at: At, way: Way) -> (u16, mpsc::Sender<()>) {
    let (port, ports) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start().await.unwrap();
            server.faults(Faults { ends: vec![(at, way)], ..Faults::default() }).await;
            port.send(server.address().port()).unwrap();
            let ended = tokio::task::spawn_blocking(move || stopped.recv());
            let _ = ended.await;
        });
    });
    (ports.recv().unwrap(), stop)
}

fn flows(kind: &Kind, version: &str, way: Way) -> Duration {
    let (broker, _alive) = broker(kind.at.clone(), way);
    let mut port = Port::new();
    let gateway = Gateway::start(&format!(
        "gateway: test\n\
         broker: {{url: \"mqtt://127.0.0.1:{broker}\", version: \"{version}\"}}\n\
         status: {{interval: 1s}}\n\
         ports:\n  line:\n    path: {}\n    line: 115200 8N1\n    \
         decode: {{fields: {{names: [n, text], separator: \",\"}}}}\n    \
         messages: [{{topic: good, payload: \"{{value}}\", fields: [n]}}, \
         {{topic: bad, payload: \"{{value}}\", fields: [text], qos: {}}}]\n    \
         commands: [{{topic: do/it, send: \"{{payload}}\\n\"}}, {{topic: do/that, send: \"x\"}}]\n",
        port.path().display(),
        kind.qos
    ));
    gateway.log().wait_for("line: ");
    let number = broker.to_string();
    let mut subscriber = Command::new("mosquitto_sub")
        .args(["-p", &number, "-t", "good", "-F", "good %p."])
        .stdout(Stdio::piped())
        .spawn()
        .expect("mosquitto-clients is installed: `make deps`");
    let heard = Lines::of(subscriber.stdout.take().unwrap());
    let start = Instant::now();
    port.write(b"\n");
    // Until ten in a row have come, and the log has named what is in the way.
    let (mut in_a_row, mut n, mut flows_since, mut is_named) = (0, 0, None, false);
    while in_a_row < 10 || !is_named {
        assert!(start.elapsed() < 3 * FLOWS, "{way:?} at {:?}, {version}: {n}", kind.at);
        n += 1;
        port.write(format!("{n},text\n").as_bytes());
        if kind.named.ends_with("command") && n % 5 == 1 {
            let that = ["-p", &number, "-t", "do/that", "-m", "x"];
            assert!(Command::new("mosquitto_pub").args(that).status().unwrap().success());
        }
        let came = has_come(&heard, &format!("good {n}."));
        in_a_row = if came { in_a_row + 1 } else { 0 };
        flows_since = if came { flows_since.or(Some(start.elapsed())) } else { None };
        while let Some(line) = gateway.log().next_within(Duration::ZERO) {
            is_named |= line.contains("links end at") && line.contains(kind.named);
        }
    }
    subscriber.kill().unwrap();
    subscriber.wait().unwrap();
    gateway.kill();
    flows_since.unwrap_or_default()
}

/// Whether this line comes within a second.
fn has_come(heard: &Lines, text: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(1);
    while let Some(line) = heard.next_within(until.saturating_duration_since(Instant::now())) {
        if line == text {
            return true;
        }
    }
    false
}

#[test]
fn whatever_a_broker_ends_links_at_and_however_the_others_flow() {
    needs!(mosquitto);
    let ways = [
        ("3.1.1", Way::Close),
        ("3.1.1", Way::Reset),
        ("5", Way::Close),
        ("5", Way::Reset),
        ("5", Way::Disconnect(Reason::MALFORMED_PACKET)),
        ("5", Way::Disconnect(Reason::PROTOCOL_ERROR)),
        ("5", Way::Disconnect(Reason::QUOTA_EXCEEDED)),
    ];
    let cases: Vec<_> =
        ways.iter().flat_map(|way| kinds().into_iter().map(move |kind| (way, kind))).collect();
    let mut longest = Duration::ZERO;
    for some in cases.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let running: Vec<_> = some
                .iter()
                .map(|((version, way), kind)| scope.spawn(|| flows(kind, version, *way)))
                .collect();
            for (running, ((version, way), kind)) in running.into_iter().zip(some) {
                let took = running.join().unwrap();
                assert!(took < FLOWS, "{way:?} at {:?}, {version}: {took:?}", kind.at);
                longest = longest.max(took);
            }
        });
    }
    println!("{} ways and kinds: the others flow after {longest:?} at most", cases.len());
}
