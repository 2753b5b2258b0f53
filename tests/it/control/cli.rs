//! The commands for a running gateway: what they print and how they end.

use crate::control::Stage;
use crate::support::DEADLINE;
use crate::support::lines::Lines;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Exit code, stdout, stderr.
fn run(stage: &Stage, arguments: &[&str]) -> (i32, String, String) {
    let (command, rest) = arguments.split_first().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
        .arg(command)
        .arg("--socket")
        .arg(stage.socket())
        .args(rest)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn status_for_people_and_programs() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    stage.port.write(b"\r\n1,21.50\r\nx\x1b[2J\xc2\x9b31m,9\r\n");
    stage.client().status(|status| status["ports"]["line"]["frames"] == 2);
    let (code, text, _) = run(&stage, &["status"]);
    assert_eq!(code, 0);
    for part in ["test · tty2mqtt", "broker   mqtt://127.0.0.1:", "ready since", "outbox   "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("test/line/temperature"), "{text}");
    assert!(text.contains("°C"), "{text}");
    assert!(text.contains(r"x\u{1b}[2J\u{9b}31m"), "{text}");
    assert!(text.lines().all(|line| !line.chars().any(char::is_control)), "{text:?}");
    let (code, json, _) = run(&stage, &["status", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(json.lines().count(), 1);
    assert!(!json.trim_end().chars().any(char::is_control), "{json:?}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["gateway"], "test");
}

#[test]
fn what_is_watched_goes_on_until_the_gateway_ends() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let watch = |arguments: &[&str]| {
        let child = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
            .args(arguments)
            .arg("--socket")
            .arg(stage.socket())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        (Lines::of(child.stdout.take().unwrap()), child)
    };
    let (status, mut status_child) = watch(&["status", "--watch"]);
    let (monitor, mut monitor_child) = watch(&["monitor", "line"]);
    let (hex, mut hex_child) = watch(&["monitor", "--raw", "--hex", "line"]);
    monitor.wait_for("-- open");
    hex.wait_for("-- open");
    status.wait_for("test · tty2mqtt");
    stage.port.write(b"\r\n1,21.50\r\na\x1b[31m,2\r\n");
    monitor.wait_for("<- frame of 7 bytes: 1,21.50");
    monitor.wait_for("    test/line/n 1");
    hex.wait_for("<- 21 bytes: 0d 0a 31 2c 32 31 2e 35 30 0d 0a");
    // The bytes of a frame stand in what was read.
    assert!(hex.wait_for("<- frame of 7 bytes").ends_with("bytes"));
    let hostile = monitor.wait_for("[31m,2");
    assert!(hostile.contains(r"a\x1b[31m,2"), "{hostile}");
    status.wait_for("test/line/n");
    status.wait_for("test/line/n");
    stage.gateway.take().unwrap().terminate();
    for child in [&mut status_child, &mut monitor_child, &mut hex_child] {
        let deadline = Instant::now() + DEADLINE;
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert!(Instant::now() < deadline);
    }
    assert!(!monitor.rest().contains('\x1b'));
}

#[test]
fn send_reload_reconnect_rescan_and_log() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let (code, text, _) = run(&stage, &["send", "line", "relay", "on"]);
    assert_eq!((code, text.as_str()), (0, "test/line/relay: 11 bytes written\n"));
    assert_eq!(stage.port.read_line(), "(relay on)\n");
    let (code, _, error) = run(&stage, &["send", "line", "lamp"]);
    assert_eq!(code, 1);
    assert!(error.contains("there are: test/line/relay"), "{error}");

    let (code, text, _) = run(&stage, &["log"]);
    assert_eq!((code, text.as_str()), (0, "info,gateway::uplink=debug\n"));
    let (code, text, _) = run(&stage, &["log", "debug"]);
    assert_eq!((code, text.as_str()), (0, "debug\n"));
    let (code, _, error) = run(&stage, &["log", "loud"]);
    assert_eq!(code, 1);
    assert!(error.contains("is not a valid filter"), "{error}");

    let (code, text, _) = run(&stage, &["reconnect"]);
    assert_eq!((code, text.as_str()), (0, "leaving the broker and connecting again\n"));
    let (code, text, _) = run(&stage, &["rescan"]);
    assert_eq!((code, text.as_str()), (0, "looking for devices now\n"));

    stage.gateway().rewrite(&stage.config("  more:\n    path: /dev/nothing\n    line: 9600 8N1\n"));
    let (code, text, _) = run(&stage, &["reload"]);
    assert_eq!(code, 0);
    assert!(text.contains("new ports: more"), "{text}");
    stage.gateway().rewrite(&stage.config("").replace("line: 115200", "lin: 115200"));
    let (code, _, error) = run(&stage, &["reload"]);
    assert_eq!(code, 2);
    for part in ["config.yaml:8:5: ports.line.lin: ", "did you mean `line`", "nothing was changed"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn the_socket_is_found_by_the_configuration() {
    needs!(mosquitto);
    let stage = Stage::new();
    let file = stage.folder.path().join("my.yaml");
    // Wrong by now, and relative: the gateway runs on all the same.
    std::fs::write(&file, "control: control.sock\nports: 7\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
        .args(["status", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::write(&file, "control: off\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
        .args(["status", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8(out.stderr).unwrap().contains("control: off"));
}

#[test]
fn no_gateway_and_wrong_usage() {
    let nowhere = tempfile::tempdir().unwrap();
    let socket = nowhere.path().join("control.sock");
    let failed = |arguments: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
            .args(arguments)
            .arg("--socket")
            .arg(&socket)
            .output()
            .unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    for arguments in [vec!["status"], vec!["reload"], vec!["send", "p", "c"], vec!["monitor", "p"]]
    {
        let (code, error) = failed(&arguments);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains("no gateway runs there; start one with `tty2mqtt run`"), "{error}");
    }
    for (arguments, why) in [
        (vec!["send", "p"], "COMMAND is missing"),
        (vec!["monitor"], "PORT is missing"),
        (vec!["status", "x"], "unexpected argument \"x\""),
        (vec!["reload", "--watch"], "invalid option '--watch'"),
    ] {
        let (code, error) = failed(&arguments);
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(why), "{error}");
    }
}
