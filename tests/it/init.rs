//! `tty2mqtt init`, by its options and on a terminal: the configuration that it writes is run on a PTY, and
//! readings arrive.

use crate::support::DEADLINE;
use crate::support::gateway::{Gateway, named};
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn program() -> Command {
    Command::new(named().unwrap_or_else(|| env!("CARGO_BIN_EXE_tty2mqtt").into()))
}

fn init(folder: &Path, options: &[&str]) -> Output {
    let mut command = program();
    command.arg("init").args(options).current_dir(folder).stdin(Stdio::null());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    texts.concat()
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

/// A sensor for temperature and humidity that answers as its maker's documents say, while it is held.
fn xy_md02(port: &Port) -> mpsc::Sender<()> {
    let mut device = port.device();
    let (held, is_held) = mpsc::channel();
    std::thread::spawn(move || {
        let mut request = [0; 8];
        loop {
            // Until the gateway opens its end there is nothing to read from.
            if device.read_exact(&mut request).is_err() {
                match is_held.recv_timeout(Duration::from_millis(5)) {
                    Err(RecvTimeoutError::Timeout) => continue,
                    _ => break,
                }
            }
            let reply: &[u8] = match request[..4] {
                [1, 4, 0, 1] => &[1, 4, 4, 0x01, 0x31, 0x02, 0x22, 0x2A, 0xCE],
                [1, 3, 1, 3] => &[1, 3, 4, 0xFF, 0xFB, 0x00, 0x0C, 0xBB, 0xD3],
                _ => continue,
            };
            device.write_all(reply).unwrap();
        }
    });
    held
}

/// A terminal with `init` on it.
struct Person {
    child: Child,
    device: File,
    terminal: File,
    pieces: Receiver<Vec<u8>>,
    seen: String,
    /// Where what was waited for ends in `seen`.
    at: usize,
}

impl Person {
    fn at_a_terminal(folder: &Path, options: &[&str]) -> Person {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let device = openpt(flags).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        let terminal = File::from(ioctl_tiocgptpeer(&device, flags).unwrap());
        let device = File::from(device);
        // With a session of its own the terminal sends it the signal of Ctrl-C.
        let program = program().get_program().to_owned();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).arg("init").args(options).current_dir(folder);
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap());
        let child = command.stderr(terminal.try_clone().unwrap()).spawn().unwrap();
        let (sender, pieces) = mpsc::channel();
        let mut reader = device.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                if sender.send(piece[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Person { child, device, terminal, pieces, seen: String::new(), at: 0 }
    }

    /// Waits for a text behind what was seen before.
    fn sees(&mut self, text: &str) {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.seen[self.at..].find(text) {
                self.at += at + text.len();
                return;
            }
            match self.pieces.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(piece) => self.seen += &String::from_utf8_lossy(&piece),
                Err(_) => panic!("never {text:?}; seen: {}", self.seen),
            }
        }
    }

    fn types(&mut self, text: &str) {
        self.device.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for a question and answers it.
    fn answers(&mut self, question: &str, answer: &str) {
        self.sees(question);
        self.types(&format!("{answer}\n"));
    }

    fn has_echo(&self) -> bool {
        tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    fn ends(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// With one user, who has a password.
fn broker() -> (Mosquitto, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let passwords = folder.path().join("passwords");
    crate::support::mosquitto::password_file(&passwords, "barn", "secret");
    let before = format!("user root\npassword_file {}\n", passwords.display());
    (Mosquitto::with(&before, ""), folder)
}

fn arrives(broker: &Mosquitto, config: &Path, topic: &str, payload: &str) {
    let counter = Counter::start(broker, topic);
    let gateway = Gateway::start(&fs::read_to_string(config).unwrap());
    counter.wait_for(&format!("{topic} {payload}"));
    gateway.terminate();
}

#[test]
fn by_options_a_configuration_is_written_that_brings_readings() {
    needs!(mosquitto);
    let (broker, _passwords) = broker();
    let port = Port::new();
    let _sensor = xy_md02(&port);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    fs::write(folder.path().join("pw"), "secret\n").unwrap();
    fs::set_permissions(folder.path().join("pw"), fs::Permissions::from_mode(0o600)).unwrap();
    let options = [
        "--port",
        port.path().to_str().unwrap(),
        "--model",
        "xy-md02",
        "--address",
        "1",
        "--name",
        "air",
        "--broker",
        &url,
        "--user",
        "barn",
        "--password-file",
        "pw",
        "--home-assistant",
        "no",
        "--gateway",
        "gw",
        "--output",
        "c.yaml",
    ];
    let output = init(folder.path(), &options);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("everything works"), "{}", said(&output));
    assert!(said(&output).contains("\n  tty2mqtt run c.yaml\n"), "{}", said(&output));
    let config = folder.path().join("c.yaml");
    assert_eq!(mode(&config), 0o640);
    arrives(&broker, &config, "gw/air/temperature", "30.5");
    // A second time it is not written over, unless that is wanted.
    let again = init(folder.path(), &options);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("c.yaml is there already; --force"), "{}", said(&again));
    let forced = init(folder.path(), &[&options[..], &["--force"]].concat());
    assert!(forced.status.success(), "{}", said(&forced));
    // A wrong password is found out before anything is written.
    fs::write(folder.path().join("pw"), "wrong\n").unwrap();
    let options = [&options[..options.len() - 1], &["d.yaml"]].concat();
    let wrong = init(folder.path(), &options);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("login     FAILED"), "{}", said(&wrong));
    assert_eq!(names(folder.path()), ["c.yaml", "pw"]);
}

#[test]
fn without_a_terminal_the_missing_options_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = init(folder.path(), &["--port", "/dev/ttyUSB9", "--model", "xy-md02"]);
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    for option in ["--output", "--address", "--name", "--gateway", "--broker", "--user"] {
        assert!(text.contains(option), "{option}: {text}");
    }
    assert!(text.contains("--yes would take"), "{text}");
    assert!(!text.contains("--model"), "{text}");
    let output = init(folder.path(), &["--port", "/dev/ttyUSB9", "--yes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--model"), "{}", said(&output));
    let wrong: [(&[&str], &str); 5] = [
        (&["--model", "xy-md03"], "did you mean `xy-md02`?"),
        (&["--address", "1"], "--address belongs behind its --model"),
        (&["--model", "xy-md02", "--address", "x"], "a number from 1 to 247"),
        (&["--model", "xy-md02", "--broker", "http://h"], "unknown scheme"),
        (&["--model", "xy-md02", "--model", "dsmr-5"], "dsmr-5 has no address"),
    ];
    for (options, why) in wrong {
        let base = ["--port", "/dev/ttyUSB9", "--yes", "--no-test", "--output", "c.yaml"];
        let output = init(folder.path(), &[&base[..], options].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{options:?}: {}", said(&output));
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn several_devices_share_a_bus() {
    let folder = tempfile::tempdir().unwrap();
    let options = "--port 192.168.1.7:2000 --model eastron-sdm630 --name house --model eastron-sdm630 --name \
                   barn --yes --no-test --output c.yaml";
    let output = init(folder.path(), &options.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "{}", said(&output));
    let text = fs::read_to_string(folder.path().join("c.yaml")).unwrap();
    assert!(text.contains("    tcp: \"192.168.1.7:2000\"\n    devices:\n      house:\n"), "{text}");
    // The second one gets the next address that is free.
    assert!(
        text.contains("        address: 1\n") && text.contains("        address: 2\n"),
        "{text}"
    );
}

#[test]
fn every_model_of_the_library_makes_a_configuration_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let library = tty2mqtt::testing::config::library::Library::beside(folder.path());
    let names = library.names();
    assert!(names.len() >= 19);
    for name in names {
        let output = init(
            folder.path(),
            &[
                "--port",
                "/dev/ttyUSB9",
                "-m",
                &name,
                "-a",
                "1",
                "--yes",
                "--no-test",
                "-f",
                "-o",
                "c",
            ],
        );
        assert!(output.status.success(), "{name}: {}", said(&output));
    }
}

#[test]
fn a_person_is_led_to_readings() {
    needs!(mosquitto);
    let (broker, _passwords) = broker();
    let port = Port::new();
    let _sensor = xy_md02(&port);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("taken.yaml"), "").unwrap();
    let mut person = Person::at_a_terminal(folder.path(), &[]);
    person.answers("File for the configuration", "taken.yaml");
    person.sees("taken.yaml is there already");
    person.answers("File for the configuration", "c.yaml");
    person.answers("Port", "nonsense");
    person.sees("a path such as /dev/ttyUSB0");
    person.answers("Port", port.path().to_str().unwrap());
    person.answers("Device: ", "frobnicator 9000 xyzzy");
    person.sees("none has all of these words");
    person.answers("Device: ", "humidity XY-MD02");
    person.sees("XY-MD02 temperature and humidity sensor");
    person.answers("other words: ", "1");
    // What must be known of it is shown.
    person.sees("At the factory it has address 1");
    person.answers("Its address on the bus [1]: ", "0x1");
    person.sees("a number from 1 to 247");
    person.answers("Its address on the bus [1]: ", "");
    person.answers("Its name in the topics [xy-md02]: ", "air");
    person.answers("Another device on the same bus? [y/N]: ", "");
    person.answers("Name of this gateway", "gw");
    person.answers("mqtt://HOST", "127.0.0.1:1");
    person.answers("User name", "");
    person.sees("tcp       FAILED");
    person.answers("Enter the broker again? [Y/n]: ", "");
    person.answers("mqtt://HOST", &format!("127.0.0.1:{}", broker.port));
    person.answers("User name", "barn");
    person.sees("Password");
    while person.has_echo() {
        std::thread::yield_now();
    }
    person.types("secret\n");
    person.sees("everything works");
    person.answers("Home Assistant", "yes");
    person.sees("home_assistant: true");
    person.sees("model: xy-md02");
    person.answers("Write this to c.yaml? [Y/n]: ", "");
    person.sees("tty2mqtt run c.yaml");
    assert!(person.ends().success());
    assert!(!person.seen.contains("secret"), "{}", person.seen);
    assert_eq!(names(folder.path()), ["c.password", "c.yaml", "taken.yaml"]);
    let (config, password) = (folder.path().join("c.yaml"), folder.path().join("c.password"));
    assert_eq!(fs::read_to_string(&password).unwrap(), "secret\n");
    assert_eq!(mode(&password), 0o600);
    assert!(!fs::read_to_string(&config).unwrap().contains("secret"));
    let announced = Counter::start(&broker, "homeassistant/#");
    let counter = Counter::start(&broker, "gw/air/humidity");
    let gateway = Gateway::start(&fs::read_to_string(&config).unwrap());
    announced.expect_containing("homeassistant/device/gw/air/config", "humidity");
    counter.wait_for("gw/air/humidity 54.6");
    gateway.terminate();
}

#[test]
fn ctrl_c_and_the_end_of_the_input_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--port", "/dev/ttyUSB9", "--model", "dsmr-5", "--name", "m", "--no-test"];
    let options = [&options[..], &["--gateway", "g", "--broker", "h", "--user", "u"]].concat();
    let mut person = Person::at_a_terminal(folder.path(), &options);
    person.answers("File for the configuration", "c.yaml");
    person.sees("Password");
    while person.has_echo() {
        std::thread::yield_now();
    }
    person.types("half\x03");
    assert_eq!(person.ends().code(), Some(130));
    assert!(person.has_echo());
    person.sees("nothing was written");
    let mut person = Person::at_a_terminal(folder.path(), &options);
    person.answers("File for the configuration", "c.yaml");
    person.answers("Password", "");
    person.answers("Home Assistant", "no");
    person.sees("Write this to c.yaml? [Y/n]: ");
    person.types("\x04");
    assert_eq!(person.ends().code(), Some(1));
    person.sees("nothing was written");
    let mut person = Person::at_a_terminal(folder.path(), &options);
    person.answers("File for the configuration", "c.yaml");
    person.answers("Password", "");
    person.answers("Home Assistant", "no");
    person.answers("Write this to c.yaml? [Y/n]: ", "no");
    assert_eq!(person.ends().code(), Some(1));
    assert!(names(folder.path()).is_empty());
}
