//! Ports on real PTYs, USB adapters in a sysfs of our own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::timeout;
use tty2mqtt::testing::base::clock::Now;
use tty2mqtt::testing::config::{Config, load};
use tty2mqtt::testing::device::Device;
use tty2mqtt::testing::gateway::topics::Topics;
use tty2mqtt::testing::outbox::inlet;
use tty2mqtt::testing::port::LinkKind;
use tty2mqtt::testing::port::settings::Port;
use tty2mqtt::testing::port::settings::Usb;
use tty2mqtt::testing::port::task::{self, PortTask};
use tty2mqtt::testing::port::{OpenError, Stream, list, open, usb};
use tty2mqtt::testing::pty::Pty;

const DEADLINE: Duration = Duration::from_secs(20);

fn config(ports: &str) -> Config {
    let text = format!("gateway: gw\nbroker: {{url: \"mqtt://x\"}}\nports:\n{ports}");
    load::parse("test", &text, Path::new("/")).unwrap_or_else(|e| panic!("{e}")).0
}

fn port(path: &Path, line: &str) -> Port {
    let config = config(&format!("  p: {{path: {}, line: {line}}}\n", path.display()));
    config.ports.into_values().next().unwrap()
}

#[tokio::test]
async fn bytes_pass_both_ways_and_a_hang_up_is_noticed_at_once() {
    let pty = Pty::open().unwrap();
    pty.write_all(b"stale").await.unwrap();
    let mut opened = open(&port(pty.path(), "115200 8N1")).await.unwrap();
    pty.write_all(b"fresh").await.unwrap();
    let mut buffer = [0; 64];
    let n = timeout(DEADLINE, opened.stream.read(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..n], b"fresh", "what came before opening is discarded");
    opened.stream.write_all(b"answer").await.unwrap();
    let n = timeout(DEADLINE, pty.read(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..n], b"answer");
    drop(pty);
    let end = timeout(DEADLINE, opened.stream.read(&mut buffer)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn a_port_that_is_shut_down_is_closed_before_the_next_opens_it() {
    let pty = Pty::open().unwrap();
    for _ in 0..20 {
        let mut opened = open(&port(pty.path(), "115200 8N1")).await.unwrap();
        timeout(DEADLINE, opened.stream.shutdown()).await.unwrap().unwrap();
        let mut buffer = [0; 8];
        assert_eq!(opened.stream.read(&mut buffer).await.unwrap(), 0);
        opened.stream.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn line_settings_arrive_at_the_driver_custom_speeds_too() {
    for (line, speed) in [("9600 8N1", 9600), ("250000 8N1", 250_000), ("100000 8E2", 100_000)] {
        let pty = Pty::open().unwrap();
        let opened = open(&port(pty.path(), line)).await.unwrap();
        let Stream::Tty(tty) = &opened.stream else { panic!("no tty") };
        let settings = rustix::termios::tcgetattr(tty).unwrap();
        assert_eq!(settings.input_speed(), speed, "{line}");
        assert_eq!(settings.output_speed(), speed, "{line}");
        let two_stops = settings.control_modes.contains(rustix::termios::ControlModes::CSTOPB);
        assert_eq!(two_stops, line.ends_with('2'));
        assert!(!settings.control_modes.contains(rustix::termios::ControlModes::HUPCL));
    }
}

#[tokio::test]
async fn the_kernel_is_asked_to_mark_damaged_bytes_and_to_drop_none() {
    use rustix::termios::InputModes;
    for line in ["9600 8N1", "9600 7E1", "9600 7O1"] {
        let pty = Pty::open().unwrap();
        let mut opened = open(&port(pty.path(), line)).await.unwrap();
        assert_eq!(opened.link, LinkKind::MarkedTty);
        assert!(opened.line_counts.is_none(), "a PTY has no line");
        let Stream::Tty(tty) = &opened.stream else { panic!("no tty") };
        let modes = rustix::termios::tcgetattr(tty).unwrap().input_modes;
        assert!(modes.contains(InputModes::PARMRK | InputModes::INPCK), "{line}: {modes:?}");
        let none =
            InputModes::IGNPAR | InputModes::IGNBRK | InputModes::BRKINT | InputModes::ISTRIP;
        assert!(!modes.intersects(none), "{line}: {modes:?}");
        // So the kernel doubles FF.
        pty.write_all(b"a\xFFb").await.unwrap();
        let mut buffer = [0; 4];
        timeout(DEADLINE, opened.stream.read_exact(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(&buffer, b"a\xFF\xFFb");
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let missing = open(&port(Path::new("/dev/ttyNOTHERE"), "9600")).await.unwrap_err();
    assert!(matches!(missing, OpenError::NotFound(_)), "{missing}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let plain = open(&port(file.path(), "9600")).await.unwrap_err();
    assert!(matches!(plain, OpenError::NoTty(_)), "{plain}");
    let pty = Pty::open().unwrap();
    let _held = open(&port(pty.path(), "9600")).await.unwrap();
    let again = open(&port(pty.path(), "9600")).await.unwrap_err();
    assert!(matches!(again, OpenError::InUse { .. }), "{again}");
}

#[tokio::test]
async fn a_virtual_port_whose_other_end_keeps_it_open_is_not_in_use() {
    needs!(python);
    // As socat does without `waitslave`, and all that is made with Python's `openpty`.
    let script = "import os, pty, sys, tty\n\
                  master, port = pty.openpty()\n\
                  tty.setraw(port)\n\
                  print(os.ttyname(port), flush=True)\n\
                  sys.stdin.readline()\n\
                  os.write(master, b'hello')\n\
                  sys.stdin.readline()\n";
    let mut other_end = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut path = String::new();
    BufReader::new(other_end.stdout.take().unwrap()).read_line(&mut path).unwrap();
    let path = Path::new(path.trim_end());
    let mut opened = open(&port(path, "9600")).await.unwrap();
    let mut orders = other_end.stdin.take().unwrap();
    orders.write_all(b"write\n").unwrap();
    let mut buffer = [0; 8];
    let n = timeout(DEADLINE, opened.stream.read(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..n], b"hello");
    drop(opened);

    // A third program that reads it would take bytes away.
    let thief = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut thief = Command::new("sleep").arg("300").stdin(thief).spawn().unwrap();
    let taken = open(&port(path, "9600")).await.unwrap_err();
    assert!(taken.to_string().contains("in use by sleep"), "{taken}");
    thief.kill().unwrap();
    thief.wait().unwrap();
    drop(orders);
    other_end.wait().unwrap();
}

/// A sysfs with two twins of one kind, one adapter with two interfaces, a UART and an empty slot.
fn sysfs() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let tty = root.path().join("class/tty");
    fs::create_dir_all(&tty).unwrap();
    let add = |name: &str, device: &str, interface: &str, ids: [&str; 3]| {
        let usb = root.path().join("devices/usb1").join(device);
        let place = usb.join(format!("{device}:1.{interface}"));
        fs::create_dir_all(place.join(name).join("tty").join(name)).unwrap();
        fs::write(place.join("bInterfaceNumber"), format!("0{interface}\n")).unwrap();
        fs::write(usb.join("idVendor"), format!("{}\n", ids[0])).unwrap();
        fs::write(usb.join("idProduct"), format!("{}\n", ids[1])).unwrap();
        fs::write(usb.join("product"), "USB Serial\n").unwrap();
        if !ids[2].is_empty() {
            fs::write(usb.join("serial"), format!("{}\n", ids[2])).unwrap();
        }
        symlink(place.join(name).join("tty").join(name), tty.join(name)).unwrap();
    };
    add("ttyUSB0", "1-1", "0", ["0403", "6001", "A1"]);
    add("ttyUSB1", "1-2", "0", ["0403", "6001", "B2"]);
    add("ttyUSB2", "1-3", "0", ["10c4", "ea70", "C3"]);
    add("ttyUSB3", "1-3", "1", ["10c4", "ea70", "C3"]);
    add("ttyACM0", "1-4", "0", ["2341", "0043", ""]);
    for (name, kind) in [("ttyS0", "4\n"), ("ttyS1", "0\n")] {
        let place = root.path().join("devices/platform").join(name);
        fs::create_dir_all(place.join("device")).unwrap();
        fs::write(place.join("type"), kind).unwrap();
        symlink(&place, tty.join(name)).unwrap();
    }
    fs::create_dir_all(tty.join("tty1")).unwrap();
    root
}

fn wanted(text: &str) -> Usb {
    let config = config(&format!("  p: {{usb: {text}, line: 9600 8N1}}\n"));
    config.ports.into_values().next().unwrap().usb.unwrap()
}

#[test]
fn usb_adapters_are_found_by_what_they_are() {
    let root = sysfs();
    let find = |text| {
        let found = usb::find(root.path(), &wanted(text));
        found.map(|path| path.display().to_string()).map_err(|e| e.to_string())
    };
    for (text, expected) in [
        (r#"{vendor: "2341", product: "0043"}"#, "/dev/ttyACM0"),
        (r#"{vendor: "0403", product: "6001", serial: B2}"#, "/dev/ttyUSB1"),
        (r#"{vendor: "10c4", product: "ea70", interface: 1}"#, "/dev/ttyUSB3"),
    ] {
        assert_eq!(find(text), Ok(expected.to_owned()), "{text}");
    }
    let several = find(r#"{vendor: "0403", product: "6001"}"#).unwrap_err();
    assert!(several.contains("ttyUSB0 (serial A1"), "{several}");
    let none = find(r#"{vendor: "ffff", product: "0001"}"#).unwrap_err();
    assert!(none.contains("no USB adapter ffff:0001"), "{none}");
}

#[test]
fn the_list_names_each_port_so_that_it_is_found_again() {
    let root = sysfs();
    let consoles = root.path().join("consoles");
    fs::write(&consoles, "ttyS0                -W- (EC p a)    4:64\n").unwrap();
    let found = list::list(root.path(), &consoles);
    let names: Vec<_> = found.iter().map(|port| port.path.trim_start_matches("/dev/")).collect();
    assert_eq!(names, ["ttyS0", "ttyACM0", "ttyUSB0", "ttyUSB1", "ttyUSB2", "ttyUSB3"]);
    let note = found[0].note.as_ref().unwrap();
    for part in ["console", "/etc/inittab", "serial-getty@ttyS0.service"] {
        assert!(note.contains(part), "{note}");
    }
    // What is printed must be what finds the port.
    for port in &found[1..] {
        let text = port.config.strip_prefix("usb: ").unwrap();
        let path = usb::find(root.path(), &wanted(text)).unwrap();
        assert_eq!(path, Path::new(&port.path));
    }
}

#[tokio::test]
async fn a_stall_of_the_mqtt_side_costs_no_byte_of_eight_ports_at_115200() {
    const PORTS: usize = 8;
    const SECONDS: usize = 2;
    let ptys: Vec<_> = (0..PORTS).map(|_| Pty::open().unwrap()).collect();
    let ports = ptys.iter().enumerate().map(|(n, pty)| {
        format!(
            "  p{n}:\n    path: {}\n    line: 115200 8N1\n    decode: {{fields: {{names: [n, a, b]}}}}\n",
            pty.path().display()
        )
    });
    let config = config(&ports.collect::<String>());
    // The MQTT side is this test: for two seconds it takes nothing.
    let (intake, mut outlet) = inlet::channel(config.bounds().1);
    let (stopper, stop) = watch::channel(());
    let local = LocalSet::new();
    let topics = Topics::of(&config.gateway);
    for (name, port) in &config.ports {
        let device = Device::build(&port.device(&config.gateway, name)).unwrap();
        let task = PortTask {
            name: name.clone(),
            settings: port.clone(),
            topics: topics.of_port(name, &device),
            device,
            inbox: task::inbox().1,
            left: None,
            requests: mpsc::channel(task::REQUESTS).1,
            intake: intake.clone(),
            newcomers: None,
            interval: Duration::from_secs(60),
            stop: stop.clone(),
        };
        let port = port.clone();
        local.spawn_local(task::run(task, async move || open(&port).await));
    }
    drop((intake, stop));
    let lines = SECONDS * 11_520 / 16;
    local
        .run_until(async {
            for _ in 0..PORTS {
                let status = timeout(DEADLINE, outlet.next()).await.unwrap().unwrap();
                assert!(String::from_utf8_lossy(&status[0].message.payload).contains("\"open\""));
            }
            let feeders = ptys.iter().map(|pty| async move {
                pty.write_all(b"\r\n").await.unwrap();
                let start = Now::read().mono;
                for n in 0..lines {
                    // Sixteen bytes, of which each takes ten bits.
                    let line = format!("{n:05},1.25,99\r\n");
                    assert_eq!(line.len(), 15);
                    pty.write_all(line.as_bytes()).await.unwrap();
                    let due = start + Duration::from_secs_f64(n as f64 * 16.0 / 11_520.0);
                    if due > Now::read().mono {
                        tokio::time::sleep_until(due.into()).await;
                    }
                }
            });
            join_all(feeders.collect()).await;
            let mut readings = 0;
            while readings < PORTS * lines * 3 {
                let batch = timeout(DEADLINE, outlet.next()).await;
                let batch = batch.unwrap_or_else(|_| panic!("only {readings} readings came"));
                readings += batch.unwrap().iter().filter(|message| !message.latest_only).count();
            }
            drop(stopper);
        })
        .await;
}

/// Drives several futures to their end.
async fn join_all(futures: Vec<impl Future<Output = ()>>) {
    let mut futures: Vec<_> = futures.into_iter().map(|f| Some(Box::pin(f))).collect();
    std::future::poll_fn(|cx| {
        for slot in &mut futures {
            if slot.as_mut().is_some_and(|f| f.as_mut().poll(cx).is_ready()) {
                *slot = None;
            }
        }
        match futures.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}
