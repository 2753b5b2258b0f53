//! `tty2mqtt detect` on virtual ports. These have no speed, so the device's end looks which one the program has
//! set, and sends what a receiver at that speed makes of the device's signal.

use crate::support::port::Port;
use rustix::termios::tcgetattr;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tty2mqtt::testing::base::line::{Line, Parity};
use tty2mqtt::testing::config::library::Library;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
}

/// The levels of a line, a bit each: start bit, data from the lowest bit on, parity, stop bits.
fn signal(bytes: &[u8], line: Line) -> Vec<bool> {
    let mut levels = vec![true; 2];
    for byte in bytes {
        let data = (0..line.data_bits).map(|bit| byte >> bit & 1 == 1);
        levels.push(false);
        levels.extend(data.clone());
        let is_odd = data.filter(|bit| *bit).count() % 2 == 1;
        match line.parity {
            Parity::None => {}
            Parity::Even => levels.push(is_odd),
            Parity::Odd => levels.push(!is_odd),
        }
        levels.extend((0..line.stop_bits).map(|_| true));
    }
    levels.push(true);
    levels
}

/// What a receiver with 8N1 and this speed makes of it. A driver that says nothing of framing errors hands over what
/// came with one, too.
fn received(levels: &[bool], sent: u32, baud: u32) -> Vec<u8> {
    let bit = f64::from(sent) / f64::from(baud);
    // The line rests high.
    let level = |at: f64| levels.get(at as usize).copied().unwrap_or(true);
    let (mut at, mut bytes) = (0.0, Vec::new());
    loop {
        // The start bit of the next character.
        while level(at) {
            at = at.floor() + 1.0;
            if at as usize >= levels.len() {
                return bytes;
            }
        }
        let sample = |n: u32| level(at + (f64::from(n) + 0.5) * bit);
        bytes.push((0..8).fold(0, |byte, n| byte | u8::from(sample(n + 1)) << n));
        at += 9.5 * bit;
        // After a framing error the line has to go up first.
        while !level(at) {
            at += bit / 4.0;
        }
    }
}

#[test]
fn at_its_own_speed_a_receiver_gets_the_bytes_and_at_another_one_others() {
    let bytes: Vec<u8> = (0..=255).collect();
    let line: Line = "9600 8N1".parse().unwrap();
    assert_eq!(received(&signal(&bytes, line), 9600, 9600), bytes);
    for baud in [4800, 19_200, 115_200] {
        assert_ne!(received(&signal(&bytes, line), 9600, baud), bytes);
    }
    // Seven bits and parity are eight bits.
    let line: Line = "9600 7E1".parse().unwrap();
    assert_eq!(received(&signal(b"ac", line), 9600, 9600), [b'a' | 0x80, b'c']);
}

/// Plays a device that sends these bursts again and again, and returns what `detect` says of it as events.
fn detected(line: Line, bursts: &[Vec<u8>], options: &[&str]) -> Vec<Value> {
    let port = Port::new();
    let mut device = port.device();
    // What nobody reads is lost, as on a line.
    rustix::io::ioctl_fionbio(&device, true).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The device's own pace, not a wait for something.
            while !is_over.load(Ordering::Relaxed) {
                let baud = tcgetattr(&device).unwrap().output_speed();
                for burst in bursts {
                    let bytes = received(&signal(burst, line), line.baud, baud);
                    // Nobody has the port open, or nobody reads any more.
                    if device.write_all(&bytes).is_err() {
                        break;
                    }
                }
                std::thread::park_timeout(Duration::from_millis(250));
            }
        });
        let out = program()
            .args(["detect", "--json", port.path().to_str().unwrap()])
            .args(options)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        is_over.store(true, Ordering::Relaxed);
        let text = String::from_utf8(out.stdout).unwrap();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        events
    })
}

fn models(events: &[Value]) -> Vec<&str> {
    let devices = events.iter().filter(|event| event["event"] == "device");
    devices.map(|event| event["model"].as_str().unwrap()).collect()
}

/// One of each kind of framing. All devices of the library are tried without ports in the unit tests.
const DEVICES: &[&str] = &[
    "dsmr-5",
    "dsmr-2",
    "linky-standard",
    "linky-historic",
    "sml-meter",
    "victron-mppt",
    "plantower-pms5003",
    "nova-sds011",
    "benewake-tf-luna",
    "nmea-gps",
    "rflink",
    "rfid-rdm6300",
];

#[test]
fn devices_are_found_at_their_speed() {
    let library = Library::beside(Path::new("/nowhere"));
    let names = Mutex::new(DEVICES.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let Some(name) = names.lock().unwrap().next() else { return };
                    let (model, cases) = library.open(name).unwrap();
                    let line = model.settings.get("line").unwrap().key_text();
                    let bursts: Vec<Vec<u8>> = cases[0].read().collect();
                    let events = detected(line.parse().unwrap(), &bursts, &[]);
                    let device = events.iter().find(|event| event["event"] == "device");
                    let is_right = models(&events).contains(name)
                        && device.is_some_and(|device| {
                            device["line"] == *line
                                && device["config"].as_str().unwrap().contains("model: ")
                        });
                    if !is_right {
                        wrong.lock().unwrap().push(format!("{name}: {events:#?}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lines_of_a_sketch_get_their_speed_and_a_draft() {
    let events = detected("57600 8N1".parse().unwrap(), &[b"21.5;40;7\r\n".to_vec()], &[]);
    assert!(models(&events).is_empty(), "{events:#?}");
    let speed = events.iter().find(|event| event["event"] == "speed").unwrap();
    assert_eq!(speed["line"], "57600 8N1");
    let config = speed["config"].as_str().unwrap();
    assert!(config.contains("separator: \";\", names: [value1, value2, value3]"), "{config}");
}

#[test]
fn a_silent_port_is_not_written_to_without_being_told() {
    let port = Port::new();
    let path = port.path().to_str().unwrap();
    let run = |words: &[&str]| {
        let out = program().args(["detect", path, "--for", "600ms"]).args(words).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        (text, String::from_utf8(out.stderr).unwrap(), out.status.code().unwrap())
    };
    let (text, _, code) = run(&[]);
    assert!(text.contains("`--probe` asks them"), "{text}");
    assert_eq!(code, 1);
    // Listed, and not sent: nobody is there who could agree.
    let (_, errors, code) = run(&["--probe"]);
    assert!(errors.contains("01 04 00 46 00 02"), "{errors}");
    assert!(errors.contains("nothing was sent: agree to these requests by --yes"), "{errors}");
    assert_eq!(code, 2);
    let waiting = rustix::io::ioctl_fionread(port.device()).unwrap();
    assert_eq!(waiting, 0, "something was written");
}

#[test]
fn a_device_that_is_asked_is_found_by_a_probe() {
    const REQUEST: &[u8] = b"\x01\x04\x00\x46\x00\x02\x90\x1E";
    // 50 Hz, which several meters of one maker have in this register.
    const REPLY: &[u8] = b"\x01\x04\x04\x42\x48\x00\x00\x6F\xEA";
    let port = Port::new();
    let mut device = port.device();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let meter = std::thread::spawn(move || {
        let mut asked = Vec::new();
        let mut byte = [0];
        // An error: nobody has the port open now.
        while stopped.try_recv().is_err() {
            match std::io::Read::read(&mut device, &mut byte) {
                Ok(1..) => asked.push(byte[0]),
                Ok(0) | Err(_) => std::thread::park_timeout(Duration::from_millis(5)),
            }
            if asked.ends_with(REQUEST) && tcgetattr(&device).unwrap().output_speed() == 9600 {
                device.write_all(REPLY).unwrap();
                asked.clear();
            }
        }
    });
    let out = program()
        .args([
            "detect",
            port.path().to_str().unwrap(),
            "--probe",
            "--yes",
            "--json",
            "--for",
            "3s",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    stop.send(()).unwrap();
    meter.join().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(models(&events).contains(&"eastron-sdm630"), "{text}");
    assert!(!models(&events).contains(&"eastron-sdm120"), "it speaks at 2400: {text}");
    assert_eq!(out.status.code(), Some(0));
}
