//! The real daemon as a Modbus master on the slaves of others: libmodbus and pymodbus, on PTYs and TCP.
//! mbpoll is a second master that reads back what we wrote.

mod tool;

use super::free_port;
use crate::support::DEADLINE;
use crate::support::chance::Chance;
use crate::support::gateway::Gateway;
use crate::support::lines::Lines;
use crate::support::mosquitto::{Counter, Mosquitto};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;

/// Two virtual serial ports, connected.
struct Wire {
    ends: [PathBuf; 2],
    is_cut: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The device's end; the other one, which is held open so that nobody hangs up; and its name.
fn pty() -> (OwnedFd, OwnedFd, PathBuf) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let device = openpt(flags).unwrap();
    grantpt(&device).unwrap();
    unlockpt(&device).unwrap();
    let other = ioctl_tiocgptpeer(&device, flags).unwrap();
    let mut settings = tcgetattr(&other).unwrap();
    settings.make_raw();
    tcsetattr(&other, OptionalActions::Now, &settings).unwrap();
    let name = rustix::pty::ptsname(&device, Vec::new()).unwrap();
    (device, other, name.to_str().unwrap().into())
}

impl Wire {
    fn new() -> Wire {
        let ((a, a_open, a_name), (b, b_open, b_name)) = (pty(), pty());
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        let thread = std::thread::spawn(move || {
            let _held = (a_open, b_open);
            let mut buffer = [0; 1024];
            while !cut.load(Ordering::Relaxed) {
                let mut ends = [PollFd::new(&a, PollFlags::IN), PollFd::new(&b, PollFlags::IN)];
                poll(&mut ends, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 })).unwrap();
                let ready = [0, 1].map(|n: usize| !ends[n].revents().is_empty());
                for (is_ready, from, to) in [(ready[0], &a, &b), (ready[1], &b, &a)] {
                    if is_ready {
                        let count = rustix::io::read(from, &mut buffer).unwrap();
                        rustix::io::write(to, &buffer[..count]).unwrap();
                    }
                }
            }
        });
        Wire { ends: [a_name, b_name], is_cut, thread: Some(thread) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.is_cut.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        assert!(thread.join().is_ok() || std::thread::panicking());
    }
}

/// A program that serves as slave until it is dropped.
struct Slave {
    child: Child,
    stdin: ChildStdin,
    lines: Lines,
}

impl Slave {
    /// With the lines that it prints before it is ready.
    fn start(command: &mut Command) -> (Slave, Vec<String>) {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let stdin = child.stdin.take().unwrap();
        let slave = Slave { child, stdin, lines };
        let mut before = Vec::new();
        loop {
            match slave.lines.next("ready") {
                line if line == "ready" => return (slave, before),
                line => before.push(line),
            }
        }
    }

    fn ask(&mut self, question: &str) -> Value {
        writeln!(self.stdin, "{question}").unwrap();
        serde_json::from_str(&self.lines.next(question)).unwrap()
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Slaves of pymodbus.
fn pymodbus(devices: u64, wires: [&Wire; 2], tcp: u16) -> (Slave, Vec<Value>) {
    let mut command = Command::new(root().join("target/tools/bin/python"));
    command.arg(root().join("tests/it/daemon/modbus/slaves.py"));
    command.args([Chance::seed().to_string(), devices.to_string()]);
    command.args(wires.map(|wire| &wire.ends[1])).arg(tcp.to_string());
    let (slave, lines) = Slave::start(&mut command);
    (slave, lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A slave of libmodbus with one set of tables on several wires. It drops what it is asked within half a second
/// of a request to a slave that does not answer (findings/libmodbus-slave-skips-a-request.sh), so devices that
/// do not answer are tested on the simulated bus.
fn libmodbus(folder: &TempDir, unit: u8, wires: &[&Wire]) -> Slave {
    let program = folder.path().join("slave");
    let compiled = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-I/usr/include/modbus", "-o"])
        .arg(&program)
        .arg(root().join("tests/it/daemon/modbus/slave.c"))
        .arg("-lmodbus")
        .status();
    assert!(compiled.unwrap().success());
    let mut command = Command::new(program);
    command.arg(unit.to_string()).args(wires.iter().map(|wire| &wire.ends[1]));
    Slave::start(&mut command).0
}

/// What mbpoll reads at a place of a table (`-t`), as it prints it.
fn mbpoll(wire: &Wire, unit: u8, table: &str, place: u16) -> String {
    let (unit, start) = (unit.to_string(), place.to_string());
    let out = Command::new("mbpoll")
        .args(["-m", "rtu", "-b", "115200", "-P", "none", "-0", "-1", "-q"])
        .args(["-a", &unit, "-r", &start, "-t", table])
        .arg(&wire.ends[0])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("[{place}]:")));
    line.unwrap_or_else(|| panic!("mbpoll: {out:?}")).trim().to_owned()
}

/// Passes over readings, which never end, until a message comes.
fn wait_for(counter: &Counter, message: &str) {
    let (deadline, mut results) = (Instant::now() + DEADLINE, Vec::new());
    loop {
        let line = counter.take_one(message);
        if line == message {
            return;
        }
        if line.contains("/result ") {
            results.push(line);
        }
        assert!(Instant::now() < deadline, "{message:?} did not come; results: {results:?}");
    }
}

/// Without zeros at the end: what is compared is the number, not its spelling.
fn number(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Whether a payload is what the slave holds, by the kind of value.
fn is_right(expected: &Value, payload: &str) -> bool {
    let text = |key: &str| expected.get(key).and_then(Value::as_str);
    if let Some(expected) = text("number") {
        return number(expected) == number(payload);
    }
    if let Some(bits) = text("f32") {
        let value: f32 = payload.parse().unwrap();
        return format!("{:08x}", value.to_bits()) == bits;
    }
    if let Some(bits) = text("f64") {
        let value: f64 = payload.parse().unwrap();
        return format!("{:016x}", value.to_bits()) == bits;
    }
    text("text") == Some(payload)
}

#[test]
fn two_hundred_register_maps_say_what_slaves_of_pymodbus_hold() {
    needs!(mosquitto, pymodbus);
    let broker = Mosquitto::start();
    let (rtu, ascii, tcp) = (Wire::new(), Wire::new(), free_port());
    let (mut slave, devices) = pymodbus(200, [&rtu, &ascii], tcp);
    let mut on_line: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut expected = BTreeMap::new();
    for device in &devices {
        let (line, name) = (device["line"].as_str().unwrap(), device["name"].as_str().unwrap());
        let on_line = on_line.entry(line).or_default();
        on_line.insert(name.to_owned(), device["settings"].clone());
        for (field, value) in device["expected"].as_object().unwrap() {
            expected.insert(format!("maps/{name}/{field}"), (value.clone(), device));
        }
    }
    let mut port = |line: &str, mut place: Value| {
        place["devices"] = on_line.remove(line).unwrap().into();
        place["interval"] = "10s".into();
        place
    };
    let tty = |wire: &Wire| json!({"path": wire.ends[0], "line": "115200 8N1", "modbus": "rtu"});
    let mut ascii_tty = tty(&ascii);
    ascii_tty["modbus"] = "ascii".into();
    let ports = json!({
        "rtu": port("rtu", tty(&rtu)),
        "ascii": port("ascii", ascii_tty),
        "tcp": port("tcp", json!({"tcp": format!("127.0.0.1:{tcp}"), "modbus": "tcp"})),
    });
    let counter = Counter::start(&broker, "maps/+/+");
    // JSON is YAML.
    let gateway = Gateway::start(&format!(
        "gateway: maps\nbroker: {{url: 'mqtt://127.0.0.1:{}'}}\nports: {ports}\n",
        broker.port
    ));
    gateway.log().wait_for("is open");
    let total = expected.len();
    assert!(total > 2000, "{total}");
    let deadline = Instant::now() + 4 * DEADLINE;
    while !expected.is_empty() {
        let line = counter.take_one(&format!("{:?}", expected.first_key_value()));
        let (topic, payload) = line.split_once(' ').unwrap();
        if topic.starts_with("maps/status/") {
            continue;
        }
        // A poll may have come again meanwhile.
        if let Some((value, device)) = expected.remove(topic) {
            let field = topic.rsplit('/').next().unwrap();
            let settings = &device["settings"]["registers"][field];
            assert!(is_right(&value, payload), "{line}: not {value}; {settings}");
        }
        assert!(Instant::now() < deadline, "{} of {total} did not come", expected.len());
    }
    // 123456, in each order.
    let orders = [("ABCD", [0x0001, 0xE240]), ("CDAB", [0xE240, 0x0001])];
    let orders = BTreeMap::from_iter(
        orders.into_iter().chain([("BADC", [0x0100, 0x40E2]), ("DCBA", [0x40E2, 0x0100])]),
    );
    let results = Counter::start(&broker, "maps/+/+/result");
    for device in devices.iter().take(20) {
        let [line, name] = ["line", "name"].map(|key| device[key].as_str().unwrap());
        broker.publish(&format!("maps/{name}/written/set"), "123456");
        results.expect(&format!("maps/{name}/written/result done"));
        let settings = &device["settings"];
        let held = slave.ask(&format!("{line} {} holding 65000 2", settings["address"]));
        assert_eq!(held, json!(orders[settings["byte_order"].as_str().unwrap()]), "{name}");
    }
    gateway.terminate();
}

#[test]
fn a_slave_of_libmodbus_holds_what_is_written_and_mbpoll_reads_it_back() {
    needs!(mosquitto, libmodbus, mbpoll);
    const UNIT: u8 = 5;
    let (broker, folder) = (Mosquitto::start(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (Wire::new(), Wire::new());
    let _slave = libmodbus(&folder, UNIT, &[&ours, &theirs]);
    let config = format!(
        "gateway: test
broker: {{url: 'mqtt://127.0.0.1:{}'}}
ports:
  bus:
    path: {}
    line: 115200 8N1
    interval: 100ms
    timeout: 200ms
    devices:
      plant:
        address: {UNIT}
        registers:
          plain: {{holding: 3}}
          input: {{input: 4}}
          low: {{discrete: 4}}
          high: {{discrete: 3}}
          setpoint: {{holding: 10, type: i16, scale: 0.1, write: {{min: -30, max: 30, step: 0.5}}}}
          power: {{holding: 20, type: f32, byte_order: CDAB, write: true}}
          count: {{holding: 22, type: u32, write: true}}
          label: {{holding: 24, type: text, length: 6, write: true}}
          one: {{holding: 28, write: {{multiple: true}}}}
          pump: {{coil: 7, write: true}}
          beyond: {{holding: 500, write: true}}
      all: {{address: 0, registers: {{everywhere: {{holding: 30, write: true}}}}}}
",
        broker.port,
        ours.ends[0].display()
    );
    let counter = Counter::start(&broker, "test/#");
    let gateway = Gateway::start(&config);
    wait_for(&counter, "test/plant/plain 3");
    for message in ["test/plant/input 1004", "test/plant/low OFF", "test/plant/high ON"] {
        wait_for(&counter, message);
    }
    let set = |field: &str, payload: &str, result: &str| {
        broker.publish(&format!("test/{field}/set"), payload);
        wait_for(&counter, &format!("test/{field}/result {result}"));
    };
    let read = |table: &str, place: u16| mbpoll(&theirs, UNIT, table, place);
    set("plant/setpoint", "21.5", "done");
    assert_eq!(read("4", 10), "215");
    set("plant/setpoint", "-3", "done");
    assert_eq!(read("4", 10), "65506 (-30)");
    set("plant/setpoint", "31", "refused: outside -30 to 30");
    set("plant/power", "-1234.5", "done");
    // mbpoll's own order of words is CDAB.
    assert_eq!(read("4:float", 20), "-1234.5");
    set("plant/count", "70000", "done");
    assert_eq!((read("4", 22), read("4", 23)), ("1".into(), "4464".into()));
    set("plant/label", "pump 1", "done");
    assert_eq!(read("4:hex", 25), "0x6D70");
    set("plant/one", "777", "done");
    assert_eq!(read("4", 28), "777");
    set("plant/pump", "ON", "done");
    assert_eq!(read("0", 7), "1");
    set("plant/pump", "OFF", "done");
    assert_eq!(read("0", 7), "0");
    // To all, and nobody answers.
    set("all/everywhere", "4242", "sent");
    assert_eq!(read("4", 30), "4242");
    set("plant/beyond", "1", "illegal data address");
    // What is refused takes nothing from the others.
    set("plant/setpoint", "5", "done");
    wait_for(&counter, "test/plant/setpoint 5.0");
    gateway.terminate();
}
