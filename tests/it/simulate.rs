//! Simulated devices: the gateway reads each device of the library from a simulation of it, made of nothing
//! but its device file; and `tty2mqtt simulate` at the pace of real lines.

use crate::support::DEADLINE;
use crate::support::gateway::Gateway;
use crate::support::lines::Lines;
use crate::support::mosquitto::{Counter, Mosquitto};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;
use tty2mqtt::testing::base::clock::Now;
use tty2mqtt::testing::base::scalar::Span;
use tty2mqtt::testing::config::cases::Golden;
use tty2mqtt::testing::demo::player;
use tty2mqtt::testing::demo::simulation::{Manner, Simulation, Subject};
use tty2mqtt::testing::device::{Device, Transmit};
use tty2mqtt::testing::port::bare::BarePort;
use tty2mqtt::testing::pty::Pty;

const FAST: Manner = Manner { errs: false, is_fast: true };

/// Reads from a simulation of a device file as the task of a port does, until there is a message; says what
/// went wrong.
async fn read_one(name: &str, text: String) -> Result<(), String> {
    let golden = Golden::device(name, text).map_err(|error| error.to_string())?;
    let mut config = golden.whole().map_err(|error| error.to_string())?;
    let subject = Subject::new(name, golden, None).unwrap();
    let pty = Pty::open().unwrap();
    let (port_name, mut port) = config.ports.pop_first().unwrap();
    port.path = Some(pty.path().to_owned());
    // This machine may have other things to do.
    port.timeout = Some(Span::from_secs(10));
    port.poll.values_mut().for_each(|poll| poll.timeout = port.timeout);
    let mut device = Device::build(&port.device(&config.gateway, &port_name)).unwrap();
    let mut line = BarePort::open(&port).await.map_err(|error| error.to_string())?;
    let simulation = Simulation::new(&mut [subject], None, FAST, Instant::now());
    let simulation = simulation.map_err(|error| error.to_string())?;
    let playing = player::play(simulation, &pty, true);
    let mut playing = std::pin::pin!(playing);
    let end = tokio::time::Instant::now() + DEADLINE;
    let mut out = Vec::new();
    device.opened(Instant::now());
    while out.is_empty() {
        let now = Now::read();
        match device.transmit(now, &mut out) {
            Some(Transmit::Write(bytes)) => {
                line.write_all(&bytes).await.map_err(|error| error.to_string())?;
                device.wrote(bytes.len(), Now::read(), &mut out);
                continue;
            }
            Some(Transmit::Set(line)) => {
                device.set(line, now, &mut out);
                continue;
            }
            None => {}
        }
        let due = device.deadline().map_or(end, Into::into);
        tokio::select! {
            played = &mut playing => return Err(format!("the simulation ended: {played:?}")),
            came = line.read() => for piece in came.map_err(|error| error.to_string())? {
                device.push(&piece.bytes, Now::read(), &mut out);
            },
            () = tokio::time::sleep_until(due.min(end)) => device.timeout(Now::read(), &mut out),
        }
        if tokio::time::Instant::now() > end {
            return Err("no message came".into());
        }
    }
    let bad = device.pipeline().frame_counts().bad.total();
    let failed: u64 =
        device.members().map(|(_, member)| member.bad_checksum + member.no_answer).sum();
    match bad + failed {
        0 => Ok(()),
        _ => Err(format!("{bad} bad frames, {failed} bad or missing answers")),
    }
}

#[test]
fn each_device_of_the_library_is_read_from_its_simulation_without_a_bad_frame() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices");
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files: Mutex<Vec<_>> = Mutex::new(files.collect());
    assert!(files.lock().unwrap().len() >= 19);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.unwrap();
                loop {
                    let Some(path) = files.lock().unwrap().pop() else { break };
                    let text = std::fs::read_to_string(&path).unwrap();
                    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                    if let Err(why) = runtime.block_on(read_one(&name, text)) {
                        failed.lock().unwrap().push(format!("{name}: {why}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The program, which simulates until this is dropped.
struct Simulated {
    child: Child,
    lines: Lines,
    folder: tempfile::TempDir,
}

impl Simulated {
    fn start(arguments: &[&str]) -> Simulated {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
            .arg("simulate")
            .args(arguments)
            .arg("--link")
            .arg(folder.path().join("tty"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        Simulated { child, lines, folder }
    }

    fn link(&self) -> PathBuf {
        self.folder.path().join("tty")
    }

    /// The configuration that it prints.
    fn configuration(&self) -> String {
        let mut text = String::new();
        loop {
            match self.lines.next("a configuration") {
                line if line.is_empty() && !text.is_empty() => return text,
                line if line.starts_with("ports:") || !text.is_empty() => text += &(line + "\n"),
                _ => {}
            }
        }
    }

    /// As by Ctrl-C.
    fn interrupt(mut self) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(id, Signal::INT).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(self.link().symlink_metadata().is_err(), "the link is still there");
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Output, errors and exit code.
fn run(arguments: &[&str]) -> (String, String, i32) {
    let out = Command::new(env!("CARGO_BIN_EXE_tty2mqtt")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out.stdout), text(out.stderr), out.status.code().unwrap())
}

#[test]
fn the_gateway_reads_them_at_the_speed_of_their_lines() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    for (models, topics) in [
        (
            &["eastron-sdm630@1", "eastron-sdm120@2"][..],
            &["gw/eastron-sdm630/voltage_l1 ", "gw/eastron-sdm120/voltage "][..],
        ),
        (&["dsmr-5"], &["gw/simulated/energy_import_1 4.426"]),
        (&["voltronic-axpert"], &["gw/simulated/grid_voltage "]),
        // It is woken up at 300 Bd and answers at 9600.
        (&["iec-62056-21-mode-c"], &["gw/simulated/energy_import 1234.567"]),
    ] {
        let simulated = Simulated::start(models);
        let ports = simulated.configuration();
        let counter = Counter::start(&broker, "gw/#");
        let head = format!("gateway: gw\nbroker: {{url: 'mqtt://127.0.0.1:{}'}}\n", broker.port);
        let gateway = Gateway::start(&format!("{head}{ports}"));
        let mut missing = topics.to_vec();
        while !missing.is_empty() {
            let line = counter.take_one(missing[0]);
            missing.retain(|topic| !line.starts_with(topic));
        }
        gateway.terminate();
        simulated.interrupt();
    }
}

#[test]
fn registers_are_written_and_read_back_and_others_do_not_exist() {
    let simulated = Simulated::start(&["relay-board-modbus@7", "--fast"]);
    let ports = simulated.configuration();
    assert!(ports.contains("model: relay-board-modbus\n    address: 7\n"), "{ports}");
    let link = simulated.link();
    let modbus = |words: &[&str]| {
        run(&[&["modbus", words[0], link.to_str().unwrap(), "-a7"], &words[1..]].concat())
    };
    assert_eq!(modbus(&["write", "coil:2", "on"]).0, "coil:0x0002\t1\n");
    assert_eq!(modbus(&["read", "-q", "coil:0", "-c", "4"]).0.matches("\t1").count(), 1);
    let (_, errors, code) = modbus(&["read", "coil:8"]);
    assert!(errors.contains("illegal data address"), "{errors}");
    assert_eq!(code, 1);
    // What went over the line is shown.
    let line = simulated.lines.next("a request");
    assert!(line.ends_with("-> 07 05 00 02 ff 00 2d 9c"), "{line}");
    simulated.interrupt();
}

#[test]
fn who_has_another_speed_is_not_understood() {
    let simulated = Simulated::start(&["xy-md02"]);
    simulated.configuration();
    let link = simulated.link();
    let (_, errors, code) =
        run(&["modbus", "read", link.to_str().unwrap(), "-b19200", "-o0.3", "input:1"]);
    assert_eq!(code, 1);
    assert!(errors.contains("no answer within"), "{errors}");
    simulated.lines.next("the request");
    let told = simulated.lines.next("what is wrong");
    assert_eq!(
        told,
        "the other end has set 19200 Bd and the device has 9600 8N1: neither understands the other"
    );
    assert_eq!(run(&["modbus", "read", link.to_str().unwrap(), "input:1"]).2, 0);
}

#[test]
fn who_only_reads_is_told_of_a_wrong_speed_too() {
    let simulated = Simulated::start(&["dsmr-5"]);
    simulated.configuration();
    // As `cat` does: with whatever speed the port has.
    let port = std::fs::File::open(simulated.link()).unwrap();
    let mut garbage = [0; 64];
    (&port).read_exact(&mut garbage).unwrap();
    assert!(!garbage.contains(&b'/'), "{garbage:?}");
    simulated.lines.wait_for("has set 38400 Bd and the device has 115200 8N1");
}

#[test]
fn what_cannot_be_simulated_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.yaml");
    std::fs::write(&file, "line: 9600 8N1\ndecode: text\n").unwrap();
    let mine = file.to_str().unwrap();
    for (arguments, expected) in [
        (&[][..], "name a device"),
        (&["eastron-sdm12"], "eastron-sdm120"),
        (&["eastron-sdm120@0"], "behind @ stands an address"),
        (
            &["eastron-sdm120", "eastron-sdm630"],
            "address 1 of eastron-sdm630 is taken; write eastron-sdm630@2",
        ),
        (&["eastron-sdm120", "dsmr-5"], "dsmr-5 is no Modbus device"),
        (&["dsmr-5@3"], "leave @ out"),
        (&[mine], "has nothing to simulate"),
        (&["/nowhere/mine.yaml"], "there is no such file"),
    ] {
        let (_, errors, code) = run(&[&["simulate"], arguments].concat());
        assert_eq!(code, 2, "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
    // A file of one's own, without cases: its registers are enough. It ends by itself.
    std::fs::write(&file, "line: 9600 8N1\naddress: 9\nregisters: {level: {input: 4, unit: cm}}\n")
        .unwrap();
    let (out, errors, code) = run(&["simulate", mine, "--for", "10ms"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(out.contains("model: mine   # "), "{out}");
    // Nothing of the user's is overwritten.
    let (_, errors, code) = run(&["simulate", mine, "--for", "10ms", "--link", mine]);
    assert_eq!(code, 1, "{errors}");
}

#[test]
fn with_errors_some_answers_are_damaged_and_most_are_right() {
    let simulated = Simulated::start(&["eastron-sdm120", "--errors", "--fast", "-q"]);
    simulated.configuration();
    let link = simulated.link();
    let units = vec!["1"; 60].join(",");
    let words =
        ["modbus", "read", link.to_str().unwrap(), "-o0.05", "-a", &units, "input:0", "-tf32"];
    let (out, errors, code) = run(&words);
    assert_eq!(code, 1, "nothing was wrong: {out}");
    let right = out.lines().filter(|line| line.starts_with("input:0x0000\t2")).count();
    assert!((30..60).contains(&right), "{right}: {errors}");
}
