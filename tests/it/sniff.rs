//! `tty2mqtt sniff` on a virtual port: what it shows, records and refuses.

use crate::support::gateway::Gateway;
use crate::support::lines::Lines;
use crate::support::port::Port;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
}

/// Output, errors and exit code.
fn run(command: &mut Command) -> (String, String, i32) {
    let out = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out.stdout), text(out.stderr), out.status.code().unwrap())
}

fn decode(recording: &Path, options: &[&str]) -> String {
    let input = std::fs::File::open(recording).unwrap();
    let out = program().arg("decode").args(options).stdin(input).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A request and the reply to it, as MODBUS over Serial Line frames them.
const MODBUS: &[u8] = b"\x01\x03\x00\x00\x00\x01\x84\x0A\x01\x03\x02\x01\x2C\xB8\x09";

#[test]
fn bursts_are_shown_as_they_come_summed_up_and_replayed() {
    let mut port = Port::new();
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording.txt");
    let mut child = program()
        .args(["sniff", port.path().to_str().unwrap(), "115200", "8N1", "--record"])
        .arg(&recording)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    lines.wait_for("115200 8N1; times are UTC");
    port.write(b"t=22.5\r\n");
    lines.wait_for("74 3d 32 32 2e 35 0d 0a                          |t=22.5..|");
    port.write(MODBUS);
    lines.wait_for("01 03 00 00 00 01 84 0a 01 03 02 01 2c b8 09     |............,..|");
    lines.wait_for("= Modbus RTU: 1 function 3, 1 function 3");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    lines.wait_for("# 23 bytes in 2 bursts");
    lines.wait_for("# gaps: shortest 0.");
    lines.wait_for("# guess: 2 Modbus RTU frames, 15 bytes");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // The same file again would be lost.
    let mut again = program();
    again.args(["sniff", port.path().to_str().unwrap(), "--record"]).arg(&recording);
    let (_, errors, code) = run(&mut again);
    assert!(errors.contains("is there already; name a new file"), "{errors}");
    assert_eq!(code, 2);
    let recorded = std::fs::read_to_string(&recording).unwrap();
    assert!(recorded.starts_with("# tty2mqtt sniff "), "{recorded}");
    assert_eq!(recorded.lines().filter(|line| line.contains(" <- ")).count(), 2, "{recorded}");
}

#[test]
fn a_recording_is_replayed_at_its_times() {
    let mut port = Port::new();
    let folder = tempfile::tempdir().unwrap();
    let [recording, config] = ["recording.txt", "config.yaml"].map(|name| folder.path().join(name));
    let mut child = program()
        .args(["sniff", port.path().to_str().unwrap(), "--record"])
        .arg(&recording)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    lines.wait_for("times are UTC");
    for (text, shown) in [(b"1\r\n", "|1..|"), (b"2\r\n", "|2..|")] {
        port.write(text);
        lines.wait_for(shown);
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let text = "gateway: gw\nbroker: {url: mqtt://127.0.0.1}\nports:\n  x: {path: /dev/null, line: 9600 8N1, \
                decode: text, messages: [{topic: x, payload: \"{value} {time}\"}]}\n";
    std::fs::write(&config, text).unwrap();
    let recorded = std::fs::read_to_string(&recording).unwrap();
    let times: Vec<_> = recorded.lines().skip(1).map(|line| &line[..24]).collect();
    let expected = format!("x 1 {}\nx 2 {}\n", times[0], times[1]);
    assert_eq!(decode(&recording, &["--config", config.to_str().unwrap()]), expected, "{recorded}");
}

#[test]
fn a_port_of_a_running_gateway_is_refused_and_monitor_is_named() {
    let port = Port::new();
    let gateway = Gateway::start(&format!(
        "gateway: gw\nbroker: {{url: \"mqtt://127.0.0.1:1\"}}\nports:\n  x: {{path: {}, line: 9600 8N1}}\n",
        port.path().display()
    ));
    gateway.log().wait_for("is open");
    let (_, errors, code) = run(program().args(["sniff", port.path().to_str().unwrap()]));
    assert!(errors.contains(&format!("is in use by tty2mqtt (pid {})", gateway.pid())), "{errors}");
    assert!(errors.contains("`tty2mqtt monitor PORT --raw` shows"), "{errors}");
    assert_eq!(code, 1);
}

#[test]
fn a_silent_port_and_wrong_words_are_explained() {
    let port = Port::new();
    let path = port.path().to_str().unwrap();
    let (out, _, code) = run(program().args(["sniff", path, "--for", "100ms"]));
    assert!(out.contains("# nothing came: a device that is only asked"), "{out}");
    assert_eq!(code, 1);
    for (words, why) in [
        (vec!["sniff"], "PORT is needed"),
        (vec!["sniff", path, "9600", "9X9"], "\"9X9\" is not a valid character format"),
        (vec!["sniff", "http://x:1"], "none of telnet:// and rfc2217://"),
    ] {
        let (_, errors, code) = run(program().args(&words));
        assert!(errors.contains(why), "{words:?}: {errors}");
        assert_eq!(code, 2, "{words:?}");
    }
    let (_, errors, code) = run(program().args(["sniff", "/dev/there-is-none"]));
    assert!(errors.contains("`tty2mqtt ports` lists what is"), "{errors}");
    assert_eq!(code, 1);
}
