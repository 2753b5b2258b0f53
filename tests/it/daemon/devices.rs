//! Devices that are asked: simulated slaves on a PTY, with a real broker. Whether each answers is told,
//! and so is what became of each command.

use crate::support::DEADLINE;
use crate::support::gateway::Gateway;
use crate::support::lines::Lines;
use crate::support::mosquitto::{Counter, Mosquitto, client};
use crate::support::port::Port;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tty2mqtt::testing::bus::{Fault, SimulatedBus, Slave};
use tty2mqtt::testing::codec::modbus::{Exception, Mode, Table};

/// Two slaves on a PTY, at the pace of the line.
struct Slaves {
    bus: Arc<Mutex<SimulatedBus>>,
    port: Port,
    /// Its end is the end of the slaves.
    serving: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Slaves {
    fn new() -> Slaves {
        let pump = Slave::new(3).with(Table::Holding, 7, &[20]).with(Table::Coil, 0, &[0]);
        let tank = Slave::new(4).with(Table::Input, 1, &[111]).with(Table::Holding, 9, &[0]);
        let mut bus = SimulatedBus::new(1, Mode::Rtu, vec![pump, tank]);
        bus.speed = 19_200;
        let mut slaves =
            Slaves { bus: Arc::new(Mutex::new(bus)), port: Port::new(), serving: None };
        slaves.serve();
        slaves
    }

    /// Plays the slaves at the device's end of the port.
    fn serve(&mut self) {
        let (stop, stopped) = mpsc::channel();
        let (bus, device) = (self.bus.clone(), self.port.device());
        rustix::io::ioctl_fionbio(&device, true).unwrap();
        let thread = std::thread::spawn(move || while step(&bus, &device, &stopped) {});
        self.serving = Some((stop, thread));
    }

    /// Pulls the plug.
    fn unplug(&mut self) {
        let (stop, thread) = self.serving.take().unwrap();
        drop(stop);
        // It has the device's end open, too.
        thread.join().unwrap();
        self.port.unplug();
    }

    /// One of them, from now on with these faults.
    fn fail(&self, unit: u8, faults: &[Fault]) {
        self.bus().slave(unit).unwrap().fail(faults);
    }

    fn get(&self, unit: u8, table: Table, at: u16) -> Option<u16> {
        self.bus().slave(unit).unwrap().get(table, at)
    }

    fn bus(&self) -> MutexGuard<'_, SimulatedBus> {
        self.bus.lock().unwrap()
    }

    fn config(&self, broker: &Mosquitto, more: &str) -> String {
        format!(
            "gateway: test
broker: {{url: \"mqtt://127.0.0.1:{}\"{more}}}
status: {{interval: 1s}}
ports:
  bus:
    path: {}
    line: 19200 8N1
    interval: 100ms
    timeout: 400ms
    retries: 1
    misses: 2
    command_wait: 1s
    devices:
      pump:
        address: 3
        registers:
          speed: {{holding: 7, type: u16, write: {{min: 0, max: 90, step: 10}}}}
          on: {{coil: 0, write: true}}
      tank:
        address: 4
        registers:
          level: {{input: 1, type: u16}}
          valve: {{holding: 9, type: u16, write: true}}
",
            broker.port,
            self.port.path().display()
        )
    }
}

/// Reads and writes what is there; `false` when the slaves are no longer wanted.
fn step(bus: &Mutex<SimulatedBus>, mut device: &File, stopped: &mpsc::Receiver<()>) -> bool {
    let mut buffer = [0; 256];
    // Nothing is there, or nobody at the other end, which is no event that could be waited for.
    let n = device.read(&mut buffer).unwrap_or(0);
    let mut bus = bus.lock().unwrap();
    bus.write(&buffer[..n], Instant::now());
    // The pump goes no faster than 60.
    let pump = bus.slave(3).unwrap();
    let speed = pump.get(Table::Holding, 7).unwrap();
    pump.set(Table::Holding, 7, speed.min(60));
    while bus.due().is_some_and(|due| due <= Instant::now()) {
        let Some((_, bytes)) = bus.next() else { break };
        let _ = device.write_all(&bytes);
    }
    drop(bus);
    stopped.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout)
}

/// Passes over messages until one begins so and contains a text; others come all the time.
fn until(counter: &Counter, topic: &str, text: &str) {
    counter.first(topic, |line| line.starts_with(topic) && line.contains(text));
}

/// What comes next on this topic.
fn next(counter: &Counter, topic: &str) -> String {
    let begin = format!("{topic} ");
    counter.first(topic, |line| line.starts_with(&begin)).split_off(begin.len())
}

#[test]
fn whether_each_device_answers_is_published_and_logged_once() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut slaves = Slaves::new();
    slaves.fail(4, &[Fault::Dead]);
    let pump = Counter::start(&broker, "test/status/devices/pump/#");
    let tank = Counter::start(&broker, "test/status/devices/tank/#");
    let gateway = Gateway::start(&slaves.config(&broker, ""));
    until(&pump, "test/status/devices/pump ", "online");
    until(&tank, "test/status/devices/tank ", "offline");
    let line = gateway.log().wait_for("tank is offline: no answer: check its address");
    assert!(line.contains("WARN port bus: "), "{line}");
    let details: serde_json::Value =
        serde_json::from_str(&next(&tank, "test/status/devices/tank/details")).unwrap();
    assert_eq!((&details["state"], &details["online"]), (&"no answer".into(), &false.into()));
    assert_eq!(details["answered"], serde_json::Value::Null);
    assert!(details["errors"]["no_answer"].as_u64() >= Some(2), "{details}");
    let up: serde_json::Value =
        serde_json::from_str(&next(&pump, "test/status/devices/pump/details")).unwrap();
    assert_eq!((&up["state"], &up["online"]), (&"up".into(), &true.into()));
    assert!(up["round_trip_ms"].as_u64().is_some_and(|ms| (4..1000).contains(&ms)), "{up}");
    assert!(up["answers"].as_u64() >= Some(1) && up["answers"] == up["requests"], "{up}");

    slaves.fail(4, &[]);
    until(&tank, "test/status/devices/tank ", "online");
    let line = gateway.log().wait_for("tank answers again, after ");
    assert!(line.contains("INFO port bus: "), "{line}");

    // The command line says the same.
    let shown = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
        .args(["status", "--socket"])
        .arg(gateway.socket())
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let row = shown.lines().find(|line| line.starts_with("tank ")).unwrap();
    assert!(row.contains("online") && row.contains(" ms ") && row.contains("no_answer"), "{row}");

    // A port that stays away takes all its devices along, and says so by one line of its own.
    slaves.unplug();
    until(&pump, "test/status/devices/pump ", "offline");
    until(&tank, "test/status/devices/tank ", "offline");
    until(&pump, "test/status/devices/pump/details", "\"state\":\"away\"");
    slaves.port.replug();
    slaves.serve();
    until(&pump, "test/status/devices/pump ", "online");
    until(&tank, "test/status/devices/tank ", "online");

    // One that the configuration has no more is gone.
    let text = slaves.config(&broker, "").replace("tank:", "basin:");
    gateway.reload(&text);
    until(&tank, "test/status/devices/tank ", "offline");
    let log = gateway.terminate();
    until(&pump, "test/status/devices/pump ", "offline");
    until(&pump, "test/status/devices/pump/details", "\"state\":\"stopped\"");
    assert_eq!(log.matches("tank is offline").count(), 1, "{log}");
    for device in ["pump", "tank", "basin"] {
        let topic = format!("test/status/devices/{device}");
        let mut sub = client("mosquitto_sub", broker.port);
        let kept = sub.args(["-t", &topic, "-C", "1", "-W", "10"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&kept.stdout), "offline\n", "{device} is retained");
    }
}

#[test]
fn with_status_off_nothing_is_said_of_devices() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let slaves = Slaves::new();
    let all = Counter::start(&broker, "test/#");
    let text = slaves.config(&broker, "").replace("status: {interval: 1s}", "status: off");
    let gateway = Gateway::start(&text);
    let mut lines = Vec::new();
    while lines.len() < 40 {
        lines.push(all.take_one("values"));
    }
    // But who gives a command hears of it.
    broker.publish("test/pump/speed/set", "30");
    assert_eq!(next(&all, "test/pump/speed/result"), "done");
    gateway.terminate();
    assert!(!lines.iter().any(|line| line.contains("/status")), "{lines:?}");
}

#[test]
fn what_became_of_a_command_is_told_in_its_own_words() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let slaves = Slaves::new();
    let results = Counter::start(&broker, "test/+/+/result");
    let values = Counter::start(&broker, "test/pump/speed");
    let reports = Counter::start(&broker, "test/status/ports/bus/command");
    let gateway = Gateway::start(&slaves.config(&broker, ""));
    gateway
        .log()
        .wait_for_all(&["subscribed to test/pump/speed/set", "subscribed to test/tank/valve/set"]);
    let give = |command: &str, payload: &str| {
        broker.publish(&format!("test/{command}/set"), payload);
        next(&results, &format!("test/{command}/result"))
    };
    assert_eq!(give("pump/speed", "40"), "done");
    values.wait_for("test/pump/speed 40");
    reports.expect_containing("command", "\"result\":\"sent\"");
    let refused = give("pump/speed", "95");
    assert!(refused.starts_with("refused: ") && refused.contains("90"), "{refused}");
    let refused = give("pump/speed", "45");
    assert!(refused.starts_with("refused: ") && refused.contains("10"), "{refused}");
    reports.expect_containing("command", "\"result\":\"refused\"");
    assert_eq!(give("pump/speed", "80"), "not taken: is 60");
    values.wait_for("test/pump/speed 60");
    reports.expect_containing("command", "not taken: is 60");
    assert_eq!(give("pump/on", "ON"), "done");
    assert_eq!(slaves.get(3, Table::Coil, 0), Some(1));
    slaves.fail(3, &[Fault::Exception(Exception(4))]);
    assert_eq!(give("pump/on", "OFF"), "server device failure");
    slaves.fail(3, &[]);
    slaves.fail(4, &[Fault::Dead]);
    assert_eq!(give("tank/valve", "1"), "unknown: no answer from tank");
    reports.expect_containing("command", "\"result\":\"failed\",\"reason\":\"unknown: no answer");
    slaves.fail(4, &[]);
    assert_eq!(give("tank/valve", "1"), "done");

    // By the control socket the same is said, and by the exit code.
    let send = |command: &str, payload: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
            .args(["send", "--socket"])
            .arg(gateway.socket())
            .args(["bus", command, payload])
            .output()
            .unwrap();
        let said = [out.stdout, out.stderr].concat();
        (out.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = send("pump/speed", "50");
    assert_eq!((code, said.as_str()), (Some(0), "test/pump/speed/set: 8 bytes written, done\n"));
    let (code, said) = send("speed", "70");
    assert!(code == Some(1) && said.contains("failed: not taken: is 60"), "{said}");
    slaves.fail(3, &[Fault::Exception(Exception(2))]);
    let (code, said) = send("on", "ON");
    assert!(code == Some(1) && said.contains("failed: illegal data address"), "{said}");
    slaves.fail(3, &[Fault::Dead]);
    let (code, said) = send("on", "ON");
    assert!(code == Some(1) && said.contains("failed: unknown: no answer from pump"), "{said}");
    let (code, said) = send("on", "maybe");
    assert!(code == Some(1) && said.contains("refused: "), "{said}");
    let log = gateway.terminate();
    assert!(log.contains("command test/pump/on/set failed: server device failure"), "{log}");
}

#[test]
fn who_names_a_response_topic_is_answered_there_with_the_correlation_data() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let slaves = Slaves::new();
    let mut answers = client("mosquitto_sub", broker.port)
        .args(["-V", "5", "-F", "%t %p %D", "-t", "asker/#", "-t", "test/pump/speed/result"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(answers.stdout.take().unwrap());
    let deadline = Instant::now() + DEADLINE;
    while !lines.comes("asker/there", Duration::from_millis(100)) {
        assert!(Instant::now() < deadline);
        broker.publish("asker/there", "x");
    }
    let gateway = Gateway::start(&slaves.config(&broker, ""));
    gateway.log().wait_for("subscribed to test/pump/speed/set");
    for (payload, correlation, answer) in [
        ("40", "first", "done"),
        ("80", "second", "not taken: is 60"),
        ("95", "third", "refused: it is above 90"),
    ] {
        let publish = client("mosquitto_pub", broker.port)
            .args(["-V", "5", "-q", "1", "-t", "test/pump/speed/set", "-m", payload])
            .args(["-D", "publish", "response-topic", "asker/answers"])
            .args(["-D", "publish", "correlation-data", correlation])
            .status();
        assert!(publish.unwrap().success());
        let line = lines.wait_for(" ");
        if payload != "95" {
            assert_eq!(line, format!("asker/answers {answer} {correlation}"));
        } else {
            assert!(
                line.starts_with("asker/answers refused: ") && line.ends_with(correlation),
                "{line}"
            );
        }
    }
    gateway.terminate();
    answers.kill().unwrap();
    answers.wait().unwrap();
    assert!(!lines.rest().contains("/result"), "the answer goes to one place");
}

#[test]
fn a_retained_command_is_not_written() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let slaves = Slaves::new();
    broker.publish_retained("test/pump/on/set", "ON");
    let results = Counter::start(&broker, "test/pump/on/result");
    // The broker of MQTT 3.1.1 sends it all the same, at each start.
    for _ in 0..2 {
        let gateway = Gateway::start(&slaves.config(&broker, ", version: \"3.1.1\""));
        let refused = next(&results, "test/pump/on/result");
        assert!(refused.starts_with("refused: kept by the broker"), "{refused}");
        gateway.terminate();
    }
    let gateway = Gateway::start(&slaves.config(&broker, ""));
    gateway.log().wait_for("subscribed to test/pump/on/set");
    assert_eq!(slaves.get(3, Table::Coil, 0), Some(0));
    broker.publish("test/pump/on/set", "ON");
    assert_eq!(next(&results, "test/pump/on/result"), "done");
    assert_eq!(slaves.get(3, Table::Coil, 0), Some(1));
    gateway.terminate();
}

#[test]
fn a_command_is_acknowledged_when_its_device_has_answered_and_comes_again_before() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let slaves = Slaves::new();
    let results = Counter::start(&broker, "test/pump/on/result");
    let patient =
        slaves.config(&broker, ", clean: false").replace("timeout: 400ms", "timeout: 20s");
    let gateway = Gateway::start(&patient);
    gateway.log().wait_for("subscribed to test/pump/on/set");
    // It takes the command, and its answer is lost.
    slaves.fail(3, &[Fault::Short(99)]);
    broker.publish("test/pump/on/set", "ON");
    let deadline = Instant::now() + DEADLINE;
    while slaves.get(3, Table::Coil, 0) != Some(1) {
        assert!(Instant::now() < deadline, "the command is not written");
        std::thread::yield_now();
    }
    gateway.kill();
    slaves.bus().slave(3).unwrap().set(Table::Coil, 0, 0);
    slaves.fail(3, &[]);
    let gateway = Gateway::start(&slaves.config(&broker, ", clean: false"));
    assert_eq!(next(&results, "test/pump/on/result"), "done");
    assert_eq!(slaves.get(3, Table::Coil, 0), Some(1));
    gateway.terminate();
    // Now it was acknowledged.
    slaves.bus().slave(3).unwrap().set(Table::Coil, 0, 0);
    let gateway = Gateway::start(&slaves.config(&broker, ", clean: false"));
    gateway.log().wait_for("subscribed to test/pump/on/set");
    broker.publish("test/pump/on/set", "OFF");
    assert_eq!(next(&results, "test/pump/on/result"), "done");
    assert_eq!(slaves.get(3, Table::Coil, 0), Some(0));
    gateway.terminate();
}
