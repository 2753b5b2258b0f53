//! The real binary on a PTY pair against a real mosquitto, with an independent counter
//! (`mosquitto_sub`) at the other end. Tests wait for events with a deadline, never for a time.

mod away;
mod cloud;
mod commands;
mod devices;
mod endings;
mod hang;
mod homie;
mod journal;
mod kept;
mod login;
mod memory;
mod modbus;
mod poison;
mod presence;
mod reader;
mod rs485;
mod ser2net;
mod sparkplug_b;
mod will;

use crate::support::control::Client;
use crate::support::gateway::Gateway;
use crate::support::lines::Lines;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;
use crate::support::proxy::Proxy;
use crate::support::{certificates, free_port};

fn config(broker: u16, path: &std::path::Path, more: &str) -> String {
    format!(
        "gateway: test
broker:
  url: mqtt://127.0.0.1:{broker}
  keepalive: 5s
status:
  interval: 1s
ports:
  line:
    path: {}
    line: 115200 8N1
    decode: {{fields: {{names: [n, temperature, humidity]}}}}
    messages:
      - {{topic: \"{{gateway}}/{{port}}\", payload: \"{{value}}\", fields: [n]}}
{more}",
        path.display()
    )
}

#[test]
fn birth_will_and_farewell() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = Port::new();
    let status = Counter::start(&broker, "test/status");
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    status.expect("test/status online");
    gateway.kill();
    status.expect("test/status offline");
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    status.expect("test/status online");
    gateway.terminate();
    status.expect("test/status offline");
}

#[test]
fn ten_thousand_in_ten_thousand_out_through_every_fault() {
    needs!(mosquitto);
    const TOTAL: usize = 10_000;
    let mut broker = Mosquitto::start();
    let mut port = Port::new();
    let proxy = Proxy::start(broker.port);
    let counter = Counter::start(&broker, "test/line");
    let gateway = Gateway::start(&config(proxy.port, port.path(), ""));
    let status = Counter::start(&broker, "test/status/#");
    status.expect_containing("test/status/ports/line", "\"state\":\"open\"");

    let feed = |port: &mut Port, from: usize, to: usize| {
        for n in from..to {
            port.write(format!("{n},21.50,40\r\n").as_bytes());
        }
    };
    port.write(b"\r\n");
    feed(&mut port, 0, 2_000);

    // The broker is killed while lines come in; the counter's session dies with it, so the gateway
    // is let through again only when the counter is back.
    let mut delivered = counter.take_until("1999");
    broker.kill();
    feed(&mut port, 2_000, 4_000);
    proxy.shut();
    broker.start_again();
    counter.wait_until_subscribed(&broker);
    proxy.open();
    feed(&mut port, 4_000, 5_000);
    delivered.extend(counter.take_until("4999"));

    // The plug is pulled and put back under another number.
    port.replug();
    gateway.log().wait_for("is open again");
    port.write(b"\r\n");
    feed(&mut port, 5_000, 7_000);
    delivered.extend(counter.take_until("6999"));

    // The link goes half-open: bytes vanish, nobody closes anything.
    proxy.swallow();
    feed(&mut port, 7_000, 9_000);
    gateway.log().wait_for("PINGRESP");
    proxy.open();
    feed(&mut port, 9_000, TOTAL);
    delivered.extend(counter.take_until("9999"));

    let numbers = delivered.iter().map(|line| line.rsplit(' ').next().unwrap_or_default());
    let mut numbers: Vec<usize> = numbers.map(|n| n.parse().unwrap()).collect();
    // QoS 1 may deliver twice what was unacknowledged when a link broke: again in order, from one
    // point on. What was seen for the first time must be all, in order.
    let mut next = 0;
    numbers.retain(|n| {
        let first_time = *n == next;
        assert!(*n <= next, "{n} came before {next}");
        next += usize::from(first_time);
        first_time
    });
    assert_eq!(numbers.len(), TOTAL);
    gateway.terminate();
}

#[test]
fn a_command_reaches_the_device_and_is_refused_while_it_is_away() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let more = "    command_wait: 1s\n    commands: [{topic: \"{gateway}/relay\", send: \"(relay {payload});\", terminator: \"\\n\"}]\n";
    let results = Counter::start(&broker, "test/status/ports/line/command");
    let status = Counter::start(&broker, "test/status/#");
    let gateway = Gateway::start(&config(broker.port, port.path(), more));
    status.expect_containing("test/status/ports/line", "\"state\":\"open\"");
    gateway.log().wait_for("subscribed");
    broker.publish("test/relay", "on");
    assert_eq!(port.read_line(), "(relay on);\n");
    results.expect_containing("command", "\"result\":\"sent\"");
    port.unplug();
    status.expect_containing("test/status/ports/line", "\"state\":\"away\"");
    broker.publish("test/relay", "off");
    results.expect_containing("command", "the port is away");
    gateway.terminate();
}

#[test]
fn tls_with_user_and_password_by_our_own_authority() {
    needs!(mosquitto);
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates::write(folder.path());
    std::fs::write(folder.path().join("pw"), "secret\nsecond line\n").unwrap();
    let broker = Mosquitto::with_tls(folder.path(), "meter", "secret");
    let port = Port::new();
    let config = |host: &str, ca: &str| {
        config(broker.tls_port, port.path(), "").replace(
            "url: mqtt://127.0.0.1",
            &format!(
                "tls: {{ca_file: {ca}}}\n  user: meter\n  password_file: {}/pw\n  url: mqtts://{host}",
                folder.path().display()
            ),
        )
    };
    let ca = ca.display().to_string();
    let gateway = Gateway::start(&config("localhost", &ca));
    gateway.log().wait_for("connected to mqtts://localhost");
    let log = gateway.terminate();
    assert!(!log.contains("secret"), "{log}");

    // A broker that another authority signed gets nothing, least of all the password.
    let other = tempfile::tempdir().unwrap();
    let wrong = certificates::write(other.path()).display().to_string();
    let gateway = Gateway::start(&config("localhost", &wrong));
    gateway.log().wait_for("was not signed by an authority we trust");
    gateway.terminate();

    // Nor does one whose certificate is for another name.
    let gateway = Gateway::start(&config("127.0.0.1", &ca));
    gateway.log().wait_for("certificate is for another name");
    gateway.terminate();

    std::fs::write(folder.path().join("pw"), "wrong\n").unwrap();
    let gateway = Gateway::start(&config("localhost", &ca));
    gateway.log().wait_for("does not let us in: not authorized");
    gateway.terminate();
}

#[test]
fn a_withdrawn_authority_does_not_outlive_a_reload() {
    needs!(mosquitto);
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ca = certificates::write(folder.path());
    let broker = Mosquitto::with_tls(folder.path(), "meter", "secret");
    let port = Port::new();
    let gateway = Gateway::start(&config(broker.tls_port, port.path(), "").replace(
        "url: mqtt://127.0.0.1",
        &format!(
            "tls: {{ca_file: {}}}\n  user: meter\n  password: secret\n  url: mqtts://localhost",
            ca.display()
        ),
    ));
    gateway.log().wait_for("connected to mqtts://localhost");
    let ours = std::fs::read(&ca).unwrap();
    std::fs::copy(certificates::write(other.path()), &ca).unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    gateway.log().wait_for("certificates or the password were renewed");
    gateway.log().wait_for("was not signed by an authority we trust");
    std::fs::write(&ca, ours).unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    gateway.log().wait_for("connected to mqtts://localhost");
    gateway.terminate();
}

#[test]
fn a_port_on_the_network() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let status = Counter::start(&broker, "test/status/#");
    let counter = Counter::start(&broker, "test/pebble_1/#");
    let text = format!(
        "gateway: test\nbroker: {{url: \"mqtt://127.0.0.1:{}\"}}\nports:\n  node: {{tcp: \"{address}\", \
         decode: sexpr}}\n",
        broker.port
    );
    let gateway = Gateway::start(&text);
    let node = |message: &str| {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        status.expect_containing("test/status/ports/node", "\"state\":\"open\"");
        stream.write_all(format!("\r\n(node pebble_1 ? {message})\r\n").as_bytes()).unwrap();
        stream
    };
    let stream = node("(temperature 22.5 C)");
    counter.expect("test/pebble_1/temperature 22.5");
    drop(stream);
    status.expect_containing("test/status/ports/node", "\"state\":\"away\"");
    let _stream = node("(light 300 lux)");
    counter.expect("test/pebble_1/light 300");
    gateway.terminate();
}

#[test]
fn a_device_that_falls_silent_and_speaks_again_is_in_the_log() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let gateway = Gateway::start(&config(broker.port, port.path(), "    silent_after: 1s\n"));
    let line = gateway.log().wait_for("not a byte for 1s");
    assert!(line.contains("WARN port line: "), "{line}");
    port.write(b"\r\n1,2,3\r\n");
    let line = gateway.log().wait_for("it speaks again");
    assert!(line.contains("INFO port line: "), "{line}");
    gateway.terminate();
}

#[test]
fn names_from_a_device_do_not_turn_the_log_around() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let text = format!(
        "gateway: test\nbroker: {{url: \"mqtt://127.0.0.1:{}\"}}\nports:\n  line: {{path: {}, \
         line: 115200 8N1, decode: pairs}}\n",
        broker.port,
        port.path().display()
    );
    let gateway = Gateway::start_with(&text, |command| {
        command.args(["--log", "trace"]);
    });
    gateway.log().wait_for("port line");
    port.write("\r\nk\u{202e}\u{200b}\u{2066}=1\r\nend=1\r\n".as_bytes());
    let mut seen = String::new();
    while !seen.contains("frame=end=1") {
        seen = gateway.log().next("the last frame");
        assert!(!seen.contains(['\u{202e}', '\u{200b}', '\u{2066}']), "{seen}");
    }
    let log = gateway.terminate();
    assert!(!log.contains(['\u{202e}', '\u{200b}', '\u{2066}']), "{log}");
    assert!(log.contains("\\u{202e}"), "{log}");
}

#[test]
fn a_port_in_use_names_who_has_it() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = Port::new();
    let holder = std::process::Command::new("sleep")
        .arg("300")
        .stdin(std::fs::File::open(port.path()).unwrap())
        .spawn();
    let mut holder = holder.unwrap();
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    let line = gateway.log().wait_for("in use by");
    assert!(line.contains(&format!("sleep (pid {})", holder.id())), "{line}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    gateway.log().wait_for("is open");
    gateway.terminate();
}

#[test]
fn a_wrong_configuration_ends_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "broker: {}\n").unwrap();
    for command in [vec!["run", "--config"], vec!["check"], vec!["decode", "--config"]] {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
            .args(command)
            .arg(&file)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(2));
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(text.contains("the key `url` is missing"), "{text}");
    }
}

#[test]
fn a_right_configuration_is_told_with_what_may_not_be_meant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let ports = "  a: {path: /dev/a, line: 9600}\n  b: {path: /dev/b, line: 9600, decode: json}\n";
    std::fs::write(
        &file,
        format!("broker: {{url: \"mqtt://x\"}}\nports:\n{ports}  c d: {{tcp: \"x:1\"}}\n"),
    )
    .unwrap();
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_tty2mqtt"));
    let out = check.arg("check").arg(&file).output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert!(String::from_utf8(out.stdout).unwrap().contains(": OK (gateway "));
    let said = String::from_utf8(out.stderr).unwrap();
    let said: Vec<_> = said.lines().collect();
    assert!(
        said[0].starts_with("warning: ") && said[0].contains(":5:3: ports.c d: a blank"),
        "{said:?}"
    );
    assert!(said[1].starts_with("note: port a has no `decode`"), "{said:?}");
    assert!(said[2].starts_with("note: port c d has no `decode`"), "{said:?}");
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn help_fits_a_screen_and_has_an_example() {
    let help = |arguments: &[&str]| {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(out.status.success(), "{arguments:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(help(&["--help"]).contains("tty2mqtt demo"));
    for command in [
        "run",
        "check",
        "decode",
        "ports",
        "demo",
        "status",
        "reload",
        "reconnect",
        "rescan",
        "send",
        "monitor",
        "log",
    ] {
        let text = help(&[command, "--help"]);
        assert!(text.contains("Example"), "{text}");
        assert!(text.lines().count() <= 24 && text.lines().all(|l| l.len() <= 100), "{text}");
    }
}

#[test]
fn the_demo_loses_nothing() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
        .args(["demo", "--for", "16s"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    for scene in [
        "restarting the broker",
        "pulling the plug",
        "demo/node/relay          on",
        "demo/heating/setpoint    22.5",
        "demo/heating/setpoint/result done",
        "pump stops answering",
        "demo/status/devices/pump offline",
        " requests, 0 of them after too short a silence",
    ] {
        assert!(text.contains(scene), "{scene}: {text}");
    }
    // The pump is read before it falls silent, and again after it came back.
    let (_, after) = text.split_once("pump answers again").unwrap();
    assert!(text.contains("demo/pump/speed          1400") && after.contains("demo/pump/speed "));
    assert!(after.contains("demo/status/devices/pump online"), "{text}");
}

#[test]
fn ctrl_c_ends_the_demo_with_a_summary() {
    let mut demo = std::process::Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
        .args(["demo", "--log", "warn"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lines = Lines::of(demo.stdout.take().unwrap());
    lines.wait_for("demo/weather ");
    let pid = rustix::process::Pid::from_child(&demo);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    lines.wait_for(" 0 missing, 0 out of order");
    assert!(demo.wait().unwrap().success());
}

#[test]
fn a_reload_does_not_disturb_what_it_does_not_change() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let (mut port, other) = (Port::new(), Port::new());
    let counter = Counter::start(&broker, "test/line");
    let status = Counter::start(&broker, "test/status/#");
    let before = config(broker.port, port.path(), "");
    let gateway = Gateway::start(&before);
    status.expect_containing("test/status/ports/line", "\"state\":\"open\"");
    port.write(b"\r\n");
    let mut fed = 0;
    let mut feed = |port: &mut Port, until: usize| {
        while fed < until {
            port.write(format!("{fed},21.50,40\r\n").as_bytes());
            fed += 1;
        }
    };
    feed(&mut port, 500);
    // Another port comes, with a command; the first one goes on all the while.
    let more = format!(
        "  second:\n    path: {}\n    line: 9600 8N1\n    \
         commands: [{{topic: \"{{gateway}}/relay\", send: \"{{payload}}\", terminator: \"\\n\"}}]\n",
        other.path().display()
    );
    gateway.reload(&config(broker.port, port.path(), &more));
    feed(&mut port, 1000);
    gateway.log().wait_for("subscribed to test/relay");
    feed(&mut port, 1500);
    // A wrong file changes nothing.
    gateway.reload("gateway: test\nports: [");
    gateway.log().wait_for("nothing was changed");
    feed(&mut port, 2000);
    // The other port goes.
    gateway.reload(&before);
    status.expect_containing("test/status/ports/second", "\"state\":\"stopped\"");
    feed(&mut port, 2500);
    let delivered = counter.take_until("2499");
    let expected: Vec<_> = (0..2500).map(|n| format!("test/line {n}")).collect();
    assert_eq!(delivered, expected);
    let log = gateway.terminate();
    assert_eq!(log.matches("port line:").count(), 1, "opened once and not touched:\n{log}");
}

#[test]
fn a_reload_reads_device_files_again_and_restarts_the_ports_that_use_them() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let (port, mut other) = (Port::new(), Port::new());
    let values = Counter::start(&broker, "test/second/#");
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    gateway.log().wait_for("port line:");
    let folder = gateway.file().parent().unwrap().join("devices");
    std::fs::create_dir(&folder).unwrap();
    let write = |names: &str| {
        let text = format!("line: 9600 8N1\ndecode: {{fields: {{{names}}}}}\n");
        std::fs::write(folder.join("thermo.yaml"), text).unwrap();
    };
    write("names: [a, b]");
    let more = format!("  second: {{path: {}, model: thermo}}\n", other.path().display());
    gateway.reload(&config(broker.port, port.path(), &more));
    gateway.log().wait_for("port second:");
    other.write(b"\r\n1,2\r\n");
    values.wait_for("test/second/b 2");
    write("nams: [a, b]");
    gateway.signal(rustix::process::Signal::HUP);
    let told = gateway.log().wait_for("nothing was changed");
    assert!(told.contains("/devices/thermo.yaml:2:19: ports.second.decode.fields.nams:"), "{told}");
    write("names: [x, y]");
    gateway.signal(rustix::process::Signal::HUP);
    gateway.log().wait_for("port second:");
    other.write(b"\r\n5,6\r\n");
    values.wait_for("test/second/y 6");
    let log = gateway.terminate();
    assert_eq!(log.matches("port line:").count(), 1, "the other port is not touched:\n{log}");
}

#[test]
fn a_reload_takes_what_waits_to_another_broker() {
    needs!(mosquitto);
    let mut away = Mosquitto::start();
    let mut port = Port::new();
    let gateway = Gateway::start(&config(away.port, port.path(), ""));
    let status = Counter::start(&away, "test/status/#");
    status.expect_containing("test/status/ports/line", "\"state\":\"open\"");
    away.kill();
    port.write(b"\r\n");
    for n in 0..100 {
        port.write(format!("{n},21.50,40\r\n").as_bytes());
    }
    gateway.log().wait_for("trying again");
    let broker = Mosquitto::start();
    let counter = Counter::start(&broker, "test/line");
    gateway.reload(&config(broker.port, port.path(), ""));
    let expected: Vec<_> = (0..100).map(|n| format!("test/line {n}")).collect();
    assert_eq!(counter.take_until("99"), expected);
    gateway.terminate();
}

#[test]
fn a_port_that_is_away_does_not_disturb_the_others() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let more = "  gone:\n    path: /dev/tty-that-is-not-there\n    line: 9600 8N1\n";
    let counter = Counter::start(&broker, "test/line");
    let status = Counter::start(&broker, "test/status/#");
    let gateway = Gateway::start(&config(broker.port, port.path(), more));
    status.expect_containing("test/status/ports/gone", "\"state\":\"away\"");
    status.expect_containing("test/status/ports/line", "\"state\":\"open\"");
    port.write(b"\r\n1,21.50,40\r\n");
    counter.expect("test/line 1");
    let log = gateway.terminate();
    assert_eq!(log.matches("port gone:").count(), 1, "one line for a port that stays away:\n{log}");
}

/// Kilobytes that a process took at most.
fn peak(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Readings come until the outbox was full many times over. Returns by how many KiB the gateway has
/// grown.
fn flood(more: &str) -> usize {
    let mut port = Port::new();
    let yaml = config(free_port(), port.path(), more);
    let gateway = Gateway::start(&yaml);
    gateway.log().wait_for("is open");
    let before = peak(gateway.pid());
    let mut client = Client::new(&gateway.socket());
    let mut n = 0;
    loop {
        for _ in 0..5000 {
            port.write(format!("{n},21.50,40\r\n").as_bytes());
            n += 1;
        }
        let status = client.ask(r#"{"request":"status"}"#);
        if status["broker"]["dropped"].as_u64().unwrap() > 60_000 {
            return peak(gateway.pid()) - before;
        }
    }
}

#[test]
fn a_flood_without_a_broker_stays_below_the_memory_that_was_set() {
    let grown = flood("memory: 16MiB\n");
    // The program of a test is larger than the 6 MiB that are set apart for the real one.
    assert!(grown < 10 << 10, "{grown} KiB");
}

#[test]
fn a_flood_into_a_full_journal_stays_below_the_memory_that_was_set() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal").display().to_string();
    let grown = flood(&format!(
        "memory: 16MiB\noutbox:\n  durability: always\n  journal:\n    path: {journal}\n    size: 2MiB\n"
    ));
    assert!(grown < 10 << 10, "{grown} KiB");
}
