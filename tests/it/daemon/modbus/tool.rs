//! `tty2mqtt modbus` beside mbpoll, on slaves of libmodbus, of pymodbus, and on simulated ones with faults.

use super::{Wire, is_right, libmodbus, pymodbus};
use crate::support::chance::Chance;
use crate::support::free_port;
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tty2mqtt::testing::bus::{Fault, Played, SimulatedBus, Slave};
use tty2mqtt::testing::codec::modbus::{Exception, Mode, Table};

/// Output, errors and exit code.
fn tool(arguments: &[&str]) -> (String, String, i32) {
    let out = Command::new(env!("CARGO_BIN_EXE_tty2mqtt")).arg("modbus").args(arguments).output();
    let out = out.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out.stdout), text(out.stderr), out.status.code().unwrap())
}

/// The values that mbpoll prints, each with its number, for the same words of a command line.
fn mbpoll(arguments: &[&str]) -> Vec<String> {
    let out = Command::new("mbpoll").args(["-m", "rtu", "-1", "-q"]).args(arguments).output();
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    let values = text.lines().filter(|line| line.starts_with('['));
    values.map(|line| line.replace([' ', '\t'], "")).collect()
}

fn ours(arguments: &[&str]) -> Vec<String> {
    let (out, errors, code) = tool(&[&["read", "-q"], arguments].concat());
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
    out.lines().map(|line| line.replace([' ', '\t'], "")).collect()
}

#[test]
fn a_command_line_of_mbpoll_reads_and_writes_the_same_values() {
    needs!(libmodbus, mbpoll);
    let folder = tempfile::tempdir().unwrap();
    let (wire, mut chance) = (Wire::new(), Chance::new(Chance::seed()));
    let _slave = libmodbus(&folder, 5, &[&wire]);
    let port = wire.ends[0].to_str().unwrap();
    let line = ["-b", "115200", "-P", "none", "-a", "5", port];
    // What is written is anything, and each writes half of it.
    for n in 0..20 {
        let first = 1 + 8 * n;
        let values: Vec<_> = (0..8).map(|_| chance.below(65_536).to_string()).collect();
        let reference = first.to_string();
        let place = ["-t", "4", "-r", &reference];
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        if n % 2 == 0 {
            let arguments = [&["write"][..], &place, &line, &values].concat();
            let (_, errors, code) = tool(&arguments);
            assert_eq!((errors.as_str(), code), ("written and read back\n", 0));
        } else {
            let status = Command::new("mbpoll")
                .args(["-m", "rtu", "-q"])
                .args([&place[..], &line, &values].concat())
                .stdout(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        }
    }
    for place in [
        &["-t", "4", "-r", "1", "-c", "100"][..],
        &["-t", "4:hex", "-r", "3", "-c", "12"],
        &["-t", "4:int", "-r", "5", "-c", "40"],
        &["-t", "4:int", "-B", "-r", "5", "-c", "40"],
        &["-t", "3", "-0", "-r", "0", "-c", "125"],
        &["-t", "3:int", "-r", "9", "-c", "3"],
        &["-t", "0", "-r", "1", "-c", "20"],
        &["-t", "1", "-r", "1", "-c", "30"],
    ] {
        let arguments = [place, &line].concat();
        let theirs = mbpoll(&arguments);
        assert!(!theirs.is_empty(), "{place:?}");
        assert_eq!(ours(&arguments), theirs, "{place:?}");
    }
    // mbpoll prints six digits of a float.
    for (order, value) in [(None, "-1234.5"), (Some("-B"), "0.125"), (None, "3"), (None, "-0.75")] {
        let place = [&["-t", "4:float", "-r", "30"][..], order.as_slice(), &line].concat();
        let (_, errors, code) = tool(&[&["write"][..], &place, &["--", value]].concat());
        assert_eq!(code, 0, "{errors}");
        assert_eq!(
            (ours(&place), mbpoll(&place)),
            ([format!("[30]:{value}")].into(), ours(&place))
        );
    }
    // The same place in our words.
    let (out, errors, code) =
        tool(&["read", port, "-a5", "-b115200", "holding:29", "-tf32", "--order=CDAB"]);
    assert_eq!((out.as_str(), code), ("holding:0x001D\t-0.75\n", 0));
    assert!(
        errors.contains("holding_29: {holding: 0x001D, type: f32, byte_order: CDAB}"),
        "{errors}"
    );
    // What does not exist has a name and a remedy.
    let (out, errors, code) = tool(&["read", port, "-a5", "-b115200", "holding:199", "-c2"]);
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(errors.contains("address 5: exception 2: illegal data address\n"), "{errors}");
    assert!(errors.contains("count from 1"), "{errors}");
}

#[test]
fn what_slaves_of_pymodbus_hold_is_read_in_every_mode() {
    needs!(pymodbus);
    let (rtu, ascii, tcp) = (Wire::new(), Wire::new(), free_port());
    let (_slave, devices) = pymodbus(24, [&rtu, &ascii], tcp);
    let tcp = format!("127.0.0.1:{tcp}");
    let mut types = std::collections::BTreeSet::new();
    for device in &devices {
        let settings = &device["settings"];
        let (port, mode) = match device["line"].as_str().unwrap() {
            "rtu" => (rtu.ends[0].to_str().unwrap(), "rtu"),
            "ascii" => (ascii.ends[0].to_str().unwrap(), "ascii"),
            _ => (tcp.as_str(), "tcp"),
        };
        let unit = settings["address"].to_string();
        let registers = settings["registers"].as_object().unwrap().iter();
        let mut seen = 0;
        for (name, register) in registers {
            let key = |key: &str| register.get(key);
            let Some(expected) = device["expected"].get(name) else { continue };
            let is_plain = ["scale", "offset", "bits"].iter().all(|it| key(it).is_none());
            let tables = ["input", "holding", "coil", "discrete"];
            let Some(table) = tables.into_iter().find(|table| key(table).is_some()) else {
                continue;
            };
            if !is_plain || seen > 1 {
                continue;
            }
            seen += 1;
            let place = format!("{table}:{}", register[table]);
            let mut kind = key("type").and_then(Value::as_str).unwrap_or("u16").to_owned();
            types.insert(kind.clone());
            if let Some(length) = key("length") {
                kind = format!("{kind}:{length}");
            }
            let order = key("byte_order").unwrap_or(&settings["byte_order"]).as_str().unwrap();
            let mut words = vec!["read", "-q", port, "-b115200", "-m", mode, "-a", &unit, &place];
            if !["coil", "discrete"].contains(&table) {
                words.extend(["-t", &kind, "--order", order]);
            }
            let (out, errors, code) = tool(&words);
            assert_eq!(code, 0, "{words:?}: {errors}");
            let value = out.trim().split_once('\t').unwrap().1;
            let value = match (table, value) {
                ("coil" | "discrete", "1") => "ON",
                ("coil" | "discrete", "0") => "OFF",
                (_, value) => value,
            };
            assert!(is_right(expected, value), "{words:?}: {value}, not {expected}");
        }
    }
    assert!(types.len() >= 8, "{types:?}");
    // This server answers at every address, and says what it is.
    for (port, mode) in [(rtu.ends[0].to_str().unwrap(), "rtu"), (tcp.as_str(), "tcp")] {
        let (out, errors, code) = tool(&["scan", port, "-b115200", "-m", mode, "-a5-6", "-o2"]);
        let (answer, who) = ("exception 2: illegal data address", "Maker, Maps, 1.0");
        assert_eq!(out, format!("5\t{answer}\t{who}\n6\t{answer}\t{who}\n"));
        assert!(errors.starts_with("2 of 2 addresses answered"), "{errors}");
        assert_eq!(code, 0);
    }
}

fn bus(slaves: Vec<Slave>) -> Played {
    let mut bus = SimulatedBus::new(1, Mode::Rtu, slaves);
    bus.bits = 10;
    bus.speed = 115_200;
    Played::start(bus).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn each_failure_is_named_and_says_where_to_look() {
    let slave = |unit| Slave::new(unit).with(Table::Holding, 0, &[7; 10]);
    let slaves = vec![
        slave(1),
        slave(2).always(Fault::Exception(Exception(6))),
        slave(3).always(Fault::BadChecksum),
        slave(4).always(Fault::Short(3)),
        slave(5).always(Fault::WrongUnit),
        // What its adapter hears of itself comes first.
        slave(7).always(Fault::Echo),
    ];
    let played = bus(slaves);
    let port = text(played.path());
    let read = |unit: &str| tool(&["read", port, "-b115200", "-o0.2", "holding:0", "-a", unit]);
    assert_eq!(read("1").2, 0);
    assert_eq!(read("7").0, "holding:0x0000\t7\n");
    for (unit, what, hint) in [
        ("2", "address 2: exception 6: server device busy", "the device is there"),
        ("3", "address 3: ", ""),
        ("4", "address 4: no answer, but 4 bytes: 04 03 02 00", "speed and parity"),
        ("5", "address 5: no answer, but a frame of another address", "modbus scan"),
        ("9", "address 9: no answer within 200ms", "are A and B swapped"),
    ] {
        let (out, errors, code) = read(unit);
        assert_eq!((out.as_str(), code), ("", 1), "{unit}");
        assert!(errors.contains(what) && errors.contains(hint), "{unit}: {errors}");
    }
    let (out, errors, code) = tool(&["scan", port, "-b115200", "-a1-9", "-o", "0.1"]);
    assert_eq!(code, 0, "{errors}");
    let found: Vec<_> = out.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert!(found.starts_with(&["1", "2"]) && found.contains(&"7"), "{out}");
    assert!(out.contains("2\texception 6: server device busy"), "{out}");
    assert!(!found.contains(&"8") && !found.contains(&"9"), "{out}");
    let (_, errors, code) = tool(&["scan", port, "-b115200", "-a10-12", "-o", "0.05"]);
    assert_eq!(code, 1);
    assert!(errors.contains("try other speeds"), "{errors}");
}

#[test]
fn rtu_goes_through_a_serial_server_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let slave = Slave::new(9).with(Table::Input, 4, &[0x4366, 0x8000]);
        let mut bus = SimulatedBus::new(1, Mode::Rtu, vec![slave]);
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 256];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            bus.write(&buffer[..n], Instant::now());
            for (_, bytes) in bus.by_ref() {
                stream.write_all(&bytes).unwrap();
            }
        }
    });
    let (out, errors, code) =
        tool(&["read", "-m", "rtu", &address, "-a9", "input:4", "-t", "f32", "-v"]);
    assert_eq!((out.as_str(), code), ("input:0x0004\t230.5\n", 0), "{errors}");
    assert!(errors.starts_with("-> 09 04 00 04 00 02 "), "{errors}");
    server.join().unwrap();
}

#[test]
fn what_is_not_taken_is_said_and_so_is_a_write_without_an_answer() {
    let slaves = vec![
        Slave::new(1).with(Table::Holding, 0, &[1, 2]).with(Table::Coil, 0, &[0]),
        // It hears itself, and the device is not there.
        Slave::new(2).with(Table::Holding, 0, &[1]).always(Fault::Dead),
    ];
    let played = bus(slaves);
    let port = text(played.path());
    let write = |words: &[&str]| tool(&[&["write", port, "-b115200", "-o0.2"], words].concat());
    assert_eq!(write(&["holding:0", "300"]).0, "holding:0x0000\t300\n");
    assert_eq!(played.bus().slave(1).unwrap().get(Table::Holding, 0), Some(300));
    assert_eq!(
        write(&["coil:0", "on"]),
        ("coil:0x0000\t1\n".into(), "written and read back\n".into(), 0)
    );
    let (_, errors, code) = write(&["holding:7", "300"]);
    assert!(errors.contains("exception 2: illegal data address"), "{errors}");
    assert_eq!(code, 1);
    played.bus().echo = true;
    let (out, errors, code) = write(&["-a2", "holding:0", "300"]);
    assert_eq!((out.as_str(), code), ("", 1), "{errors}");
    assert!(errors.contains("no answer within"), "{errors}");
    assert_eq!(write(&["holding:0", "301"]).2, 0);
    assert_eq!(write(&["-a0", "holding:1", "9"]).2, 0);
    assert_eq!(played.bus().slave(1).unwrap().get(Table::Holding, 1), Some(9));
}

#[test]
fn all_registers_of_a_device_file_are_read_with_names_and_units() {
    // Floats from 0 on; this meter has no more than its first registers.
    let words = |at: u16| {
        let word = (f32::from(at / 2) + 0.5).to_bits();
        if at.is_multiple_of(2) { (word >> 16) as u16 } else { word as u16 }
    };
    let slave =
        Slave::new(3).by(move |table, at| (table == Table::Input && at < 0x48).then(|| words(at)));
    let played = bus(vec![slave.after(Duration::from_millis(2))]);
    let port = text(played.path());
    let (out, errors, code) =
        tool(&["read", port, "--line", "115200 8N1", "-a3", "--model", "eastron-sdm120"]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.starts_with("input:0x0000"), "{out}");
    let voltage = out.lines().next().unwrap();
    assert!(voltage.contains("voltage") && voltage.ends_with("0.5 V"), "{voltage}");
    assert!(out.contains("(illegal data address)"), "{out}");
    let (_, errors, code) = tool(&["read", port, "--model", "dsmr-5"]);
    assert_eq!(code, 2);
    assert!(errors.contains("no Modbus device"), "{errors}");
    let (_, errors, code) = tool(&["read", port, "--model", "eastron-sdm12"]);
    assert_eq!(code, 2);
    assert!(errors.contains("eastron-sdm120"), "{errors}");
}

#[test]
fn a_port_that_another_program_has_open_is_refused() {
    let played = bus(vec![Slave::new(1).with(Table::Holding, 0, &[7])]);
    let port = File::options().read(true).write(true).open(played.path()).unwrap();
    let mut holder = Command::new("cat").stdin(port).stdout(Stdio::null()).spawn().unwrap();
    let (_, errors, code) = tool(&["read", text(played.path()), "holding:0"]);
    assert_eq!(code, 1);
    assert!(errors.contains(&format!("in use by cat (pid {})", holder.id())), "{errors}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (_, errors, code) = tool(&["read", "/dev/does-not-exist", "holding:0"]);
    assert_eq!(code, 1);
    assert!(errors.contains("is not there"), "{errors}");
}
