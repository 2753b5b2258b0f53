//! The line of a running port: another speed in a dialogue and back, and how well its time is used.

use crate::support::free_port;
use crate::support::ser2net::Ser2net;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::timeout;
use tty2mqtt::testing::bus::{Played, SimulatedBus, Slave};
use tty2mqtt::testing::codec::modbus::{Mode, Table};
use tty2mqtt::testing::config::load;
use tty2mqtt::testing::device::Device;
use tty2mqtt::testing::gateway::topics::Topics;
use tty2mqtt::testing::outbox::inlet;
use tty2mqtt::testing::port::task::{self, Leftover, PortTask};
use tty2mqtt::testing::port::{LinkKind, Opened, Stream, open};
use tty2mqtt::testing::pty::Pty;

const DEADLINE: Duration = Duration::from_secs(20);

/// A running port whose path may change.
struct Stage {
    path: Arc<Mutex<String>>,
    outlet: inlet::Receiver,
    _stop: watch::Sender<()>,
    _task: JoinHandle<Leftover>,
}

fn start(local: &LocalSet, path: &Path, settings: &str) -> Stage {
    let path = path.display().to_string();
    start_at(local, &format!("path: {path}"), path, settings)
}

/// `place`: the key and value that say which port it is.
fn start_at(local: &LocalSet, place: &str, path: String, settings: &str) -> Stage {
    let text = format!(
        "gateway: gw\nbroker: {{url: \"mqtt://x\"}}\nports:\n  p:\n    {place}\n{settings}"
    );
    let (config, _) = load::parse("test", &text, Path::new("/")).unwrap_or_else(|e| panic!("{e}"));
    let (name, port) = config.ports.iter().next().unwrap();
    let (intake, outlet) = inlet::channel(1 << 20);
    let (stopper, stop) = watch::channel(());
    let topics = Topics::of(&config.gateway);
    let device = Device::build(&port.device(&config.gateway, name)).unwrap();
    let task = PortTask {
        name: name.clone(),
        settings: port.clone(),
        inbox: task::inbox().1,
        left: None,
        requests: mpsc::channel(task::REQUESTS).1,
        intake,
        newcomers: None,
        topics: topics.of_port(name, &device),
        device,
        interval: Duration::from_secs(3600),
        stop,
    };
    let path = Arc::new(Mutex::new(path));
    let (mut port, now) = (port.clone(), Arc::clone(&path));
    let task = local.spawn_local(task::run(task, async move || {
        if port.path.is_some() {
            port.path = Some(now.lock().unwrap().clone().into());
        }
        open(&port).await
    }));
    Stage { path, outlet, _stop: stopper, _task: task }
}

impl Stage {
    async fn expect(&mut self, text: &str) -> String {
        loop {
            let batch = timeout(DEADLINE, self.outlet.next()).await;
            let batch = batch.unwrap_or_else(|_| panic!("{text} did not come")).unwrap();
            for entry in batch {
                let payload = String::from_utf8_lossy(&entry.message.payload);
                let message = format!("{} {payload}", entry.message.topic);
                if message.contains(text) {
                    return message;
                }
            }
        }
    }
}

const METER: &str = r#"    line: 300 7E1
    framing: {delimited: {start: "hex:02", end: "hex:03", trailer: 1}}
    checksum: {xor8: {from: 1}}
    poll:
      readout:
        interval: 5s
        timeout: 700ms
        dialogue:
          - send: "/?!\r\n"
            reply: {framing: lines, checksum: none, pattern: "^/[A-Za-z]{3}(?<speed>[0-6])"}
          - send: "hex:06 30 {speed} 30 0D 0A"
            line: {from: speed, lookup: {"0": 300 7E1, "5": 9600 7E1}}
          - reply: frame
        decode: text
"#;

/// What the gateway wrote up to a line feed.
async fn heard(pty: &Pty) -> Vec<u8> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut buffer = [0; 1];
        timeout(DEADLINE, pty.read(&mut buffer)).await.expect("nothing was written").unwrap();
        line.extend(buffer);
    }
    line
}

async fn speed_becomes(pty: &Pty, speed: u32) {
    let since = Instant::now();
    while pty.speed().unwrap() != speed {
        assert!(since.elapsed() < DEADLINE, "{} instead of {speed}", pty.speed().unwrap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Up to the moment at which the meter has been asked to change its speed.
async fn asked_to_change(pty: &Pty) -> Instant {
    assert_eq!(heard(pty).await, b"/?!\r\n");
    loop {
        assert_eq!(pty.speed().unwrap(), 300);
        pty.write_all(b"/LGZ5ZMD\r\n").await.unwrap();
        match &heard(pty).await[..] {
            b"\x06050\r\n" => return Instant::now(),
            // After a time-out the first answer may be a late one, and it is asked again.
            again => assert_eq!(again, b"/?!\r\n"),
        }
    }
}

#[tokio::test]
async fn a_dialogue_changes_the_speed_after_the_last_bit_and_goes_back() {
    let local = LocalSet::new();
    let pty = Pty::open().unwrap();
    let mut stage = start(&local, pty.path(), METER);
    local
        .run_until(async {
            let written = asked_to_change(&pty).await;
            // Six characters of ten bits.
            speed_becomes(&pty, 9600).await;
            let after = written.elapsed();
            assert!(after >= Duration::from_millis(190), "{after:?}");
            pty.write_all(b"\x021.8.0(1)!\r\n\x03\x2C").await.unwrap();
            stage.expect("gw/p/text 1.8.0(1)!").await;
            speed_becomes(&pty, 300).await;
        })
        .await;
}

#[tokio::test]
async fn a_meter_that_falls_silent_or_is_unplugged_leaves_no_other_speed() {
    let local = LocalSet::new();
    let pty = Pty::open().unwrap();
    let mut stage = start(&local, pty.path(), METER);
    local
        .run_until(async {
            asked_to_change(&pty).await;
            speed_becomes(&pty, 9600).await;
            // It says nothing more: the time-out.
            speed_becomes(&pty, 300).await;
            // At 9600 baud, and then while the last bits are still on the line.
            let mut pty = pty;
            for has_changed in [true, false] {
                asked_to_change(&pty).await;
                if has_changed {
                    speed_becomes(&pty, 9600).await;
                }
                let other = Pty::open().unwrap();
                *stage.path.lock().unwrap() = other.path().display().to_string();
                drop(std::mem::replace(&mut pty, other));
                stage.expect(r#""state":"away""#).await;
                stage.expect(r#""state":"open""#).await;
                assert_eq!(pty.speed().unwrap(), 300);
            }
            asked_to_change(&pty).await;
        })
        .await;
}

/// Plays a bus of two slaves, of which each is asked for `count` registers as often as the line allows.
/// Returns how much of the line's time was used, and the shortest silence in characters.
async fn share(speed: u32, count: u16, requests: u64) -> (f64, f64) {
    let slave = |unit| Slave::new(unit).with(Table::Input, 0, &vec![7; count.into()]);
    let mut bus = SimulatedBus::new(1, Mode::Rtu, vec![slave(1), slave(2)]);
    (bus.speed, bus.bits) = (speed, 10);
    let played = Played::start(bus).unwrap();
    let registers: String =
        (0..count).map(|n| format!("          r{n}: {{input: {n}, type: u16}}\n")).collect();
    let device = |name: &str, address: u8| {
        format!("      {name}:\n        address: {address}\n        registers:\n{registers}")
    };
    let settings = format!(
        "    line: {speed} 8N1\n    interval: 10ms\n    devices:\n{}{}",
        device("a", 1),
        device("b", 2)
    );
    let local = LocalSet::new();
    let stage = start(&local, played.path(), &settings);
    let mut outlet = stage.outlet;
    local.spawn_local(async move { while outlet.next().await.is_some() {} });
    let counts = || played.bus().counts.clone();
    let ideal = {
        let bus = played.bus();
        // Request, silence, answer, silence.
        bus.character() * (8 + 5 + 2 * u32::from(count)) + 2 * bus.silence()
    };
    local
        .run_until(async {
            let until = async |n: u64| {
                let since = Instant::now();
                while counts().requests < n {
                    assert!(since.elapsed() < DEADLINE, "{:?}", counts());
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Instant::now()
            };
            let start = until(3).await;
            let took = until(3 + requests).await - start;
            let counts = counts();
            assert_eq!(counts.collisions, 0);
            assert_eq!(counts.violations, 0, "{counts:?}");
            let silence = counts.least_silence.unwrap().as_secs_f64();
            let character = played.bus().character().as_secs_f64();
            let share = ideal.as_secs_f64() * requests as f64 / took.as_secs_f64();
            println!(
                "{speed} Bd, {count} registers: {:.1} % of the line, least silence {:.2} characters",
                100.0 * share,
                silence / character
            );
            (share, silence / character)
        })
        .await
}

#[tokio::test]
async fn no_request_comes_before_the_line_was_silent_for_3_and_a_half_characters() {
    for speed in [9600, 19_200] {
        let (share, silence) = share(speed, 10, 40).await;
        assert!(silence >= 3.5);
        // What a busy machine leaves of it.
        assert!(share > 0.5, "{share}");
    }
}

#[tokio::test]
#[ignore = "measures a machine that does nothing else"]
async fn at_least_96_percent_of_the_line_is_used() {
    let mut least = f64::MAX;
    for speed in [9600, 19_200] {
        for count in [2, 10, 60] {
            least = least.min(share(speed, count, 60).await.0);
        }
    }
    assert!(least >= 0.96, "{least}");
}

/// ser2net with telnet, RFC 2217 and raw TCP on one PTY, and their ports.
fn ser2net(pty: &Pty) -> (Ser2net, [u16; 3]) {
    let ports = [(); 3].map(|()| free_port());
    let connector = format!("serialdev,{},115200n81,local", pty.path().display());
    let kinds = ["telnet,tcp", "telnet(rfc2217),tcp", "tcp"];
    let accepter = |kind: &str, port: u16| format!("{kind},127.0.0.1,{port}");
    let of = |(kind, port): (&&str, u16)| (accepter(kind, port), connector.clone());
    let mut accepters: Vec<_> = kinds.iter().zip(ports).map(of).collect();
    // A connection finds out whether it listens, which must not use the serial port.
    let ready = free_port();
    accepters.push((accepter("tcp", ready), "serialdev,/dev/ttyNOTHERE,9600n81,local".into()));
    (Ser2net::start(&accepters, ready), ports)
}

async fn open_at(place: &str, line: &str) -> Opened<Stream> {
    let text = format!("broker: {{url: \"mqtt://x\"}}\nports: {{p: {{tcp: \"{place}\"{line}}}}}\n");
    let (config, _) = load::parse("test", &text, Path::new("/")).unwrap_or_else(|e| panic!("{e}"));
    open(config.ports.values().next().unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_byte_passes_ser2net_with_telnet_both_ways() {
    needs!(ser2net);
    let all: Vec<u8> = (0..=255).chain(*b"\xFF\xFF\xFF\xFD\r\0\r\n\r\xFF").collect();
    let line = ", line: 19200 8N1";
    for (which, scheme, line, speed) in [(0, "telnet", "", 115_200), (1, "rfc2217", line, 19_200)] {
        let pty = Pty::open().unwrap();
        let (_ser2net, ports) = ser2net(&pty);
        let opened = open_at(&format!("{scheme}://127.0.0.1:{}", ports[which]), line).await;
        assert_eq!(opened.link, LinkKind::Telnet);
        let (mut reader, mut writer) = tokio::io::split(opened.stream);
        let write = async {
            writer.write_all(&all).await.unwrap();
            // Once it is written the line is set.
            let mut came = Vec::new();
            while came.len() < all.len() {
                let mut buffer = [0; 512];
                let n = pty.read(&mut buffer).await.unwrap();
                came.extend_from_slice(&buffer[..n]);
            }
            assert_eq!(came, all, "{scheme}");
            speed_becomes(&pty, speed).await;
            pty.write_all(&all).await.unwrap();
        };
        let mut came = vec![0; all.len()];
        let read = async { reader.read_exact(&mut came).await.unwrap() };
        let both = async { tokio::join!(write, read) };
        timeout(DEADLINE, both).await.unwrap_or_else(|_| panic!("{scheme} stands still"));
        assert_eq!(came, all, "{scheme}");
    }
}

#[tokio::test]
async fn a_dialogue_changes_the_speed_at_ser2net() {
    needs!(ser2net);
    let local = LocalSet::new();
    let pty = Pty::open().unwrap();
    let (_ser2net, ports) = ser2net(&pty);
    // A PTY has no other format.
    let meter = METER.replace("7E1", "8N1");
    let place = format!("tcp: \"rfc2217://127.0.0.1:{}\"", ports[1]);
    let mut stage = start_at(&local, &place, String::new(), &meter);
    local
        .run_until(async {
            let written = asked_to_change(&pty).await;
            speed_becomes(&pty, 9600).await;
            let after = written.elapsed();
            assert!(after >= Duration::from_millis(150), "{after:?}");
            pty.write_all(b"\x021.8.0(1)!\r\n\x03\x2C").await.unwrap();
            stage.expect("gw/p/text 1.8.0(1)!").await;
            speed_becomes(&pty, 300).await;
            // And once more, where the meter says nothing at 9600 baud.
            asked_to_change(&pty).await;
            speed_becomes(&pty, 9600).await;
            speed_becomes(&pty, 300).await;
        })
        .await;
}

#[tokio::test]
async fn a_serial_server_that_speaks_something_else_is_told() {
    needs!(ser2net);
    let local = LocalSet::new();
    let pty = Pty::open().unwrap();
    let (_ser2net, ports) = ser2net(&pty);
    for (scheme, port, why) in [
        ("", ports[0], "write `telnet://`"),
        ("rfc2217://", ports[0], "speaks telnet without RFC 2217"),
        ("telnet://", ports[2], "does not answer as telnet does"),
    ] {
        let place = format!("tcp: \"{scheme}127.0.0.1:{port}\"");
        let line = if scheme == "rfc2217://" { "    line: 9600 8N1\n" } else { "" };
        let mut stage = start_at(&local, &place, String::new(), line);
        local.run_until(stage.expect(why)).await;
    }
}
