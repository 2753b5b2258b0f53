//! `tty2mqtt decode`: what it says of bytes, and how it ends.

use std::io::Write;
use std::process::{Command, Stdio};
use tty2mqtt::testing::pty::Pty;

const HEAD: &str = "gateway: gw\nbroker: {url: mqtt://127.0.0.1}\nports:\n  x: {path: /dev/ttyUSB0, line: 9600 8N1, ";

/// The program with a port's settings in a file that lives as long as the folder.
fn decode(port: &str) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, format!("{HEAD}{port}}}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"));
    command.arg("decode").arg(file).stdin(Stdio::piped());
    (folder, command)
}

/// Output, errors and exit code for this input.
fn run(port: &str, input: &[u8]) -> (String, String, i32) {
    let (_folder, mut command) = decode(port);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses its port ends without reading.
    if let Err(error) = child.stdin.take().unwrap().write_all(input) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    let out = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out.stdout), text(out.stderr), out.status.code().unwrap())
}

const COLUMNS: &str = r#"decode: {fields: {names: [{name: t, unit: °C}, {name: h, unit: "%"}]}}"#;

#[test]
fn a_last_line_without_its_end_is_taken_and_said() {
    let (out, errors, code) = run(COLUMNS, b"21.50,40\n21.6,41");
    assert_eq!(out, "gw/x/t 21.50\ngw/x/h 40\ngw/x/t 21.6\ngw/x/h 41\n");
    assert_eq!(
        errors,
        "7 bytes at the end without a terminator, taken as a line; a port would wait for the terminator\n\
         2 frames, 4 readings; 0 bad frames, 0 bytes skipped, 0 refused, 0 unmatched, 0 without a value\n"
    );
    assert_eq!(code, 1);
}

#[test]
fn a_port_whose_devices_are_asked_decodes_replies_only() {
    let (out, errors, code) = run("address: 1, registers: {t: {input: 0}}", b"\x01\x04\x02");
    assert_eq!((out.as_str(), code), ("", 2));
    assert!(errors.contains("decoded only as the reply to what it asked"), "{errors}");
}

#[test]
fn the_rest_of_a_frame_is_said() {
    let port = r#"framing: {delimited: {start: "/", end: "!"}}, decode: text"#;
    let (out, errors, code) = run(port, b"/a!/half");
    assert_eq!(out, "gw/x/text a\n");
    assert!(errors.starts_with("5 bytes at the end that do not make a whole frame\n"), "{errors}");
    assert_eq!(code, 1);
    let (_, errors, code) = run(port, b"/a!");
    assert!(!errors.contains("at the end"), "{errors}");
    assert_eq!(code, 0);
}

#[test]
fn each_refused_value_is_shown_and_what_was_expected() {
    let (out, errors, code) = run(COLUMNS, b"2x,40\n2y,41\n");
    assert_eq!(out, "gw/x/h 40\ngw/x/h 41\n");
    assert!(errors.starts_with(
        "t refused: expected a number, found \"2x\"\nt refused: expected a number, found \"2y\"\n"
    ));
    assert_eq!(code, 1);
}

#[test]
fn a_field_without_a_value_is_no_fault_and_said_once() {
    let (out, errors, code) = run(COLUMNS, b"nan,40\nBooting v1.2,41\n");
    assert_eq!(out, "gw/x/h 40\ngw/x/h 41\n");
    assert_eq!(
        errors,
        "t has no value: \"nan\" (said once)\n\
         2 frames, 2 readings; 0 bad frames, 0 bytes skipped, 0 refused, 0 unmatched, 2 without a value\n"
    );
    assert_eq!(code, 0);
}

#[test]
fn no_device_steers_the_terminal() {
    let hostile = "\u{1b}[2J\u{1b}]52;c;eA==\u{7}\u{9b}31m\u{202e}\0é";
    // Who reads it by a program gets the bytes.
    let (out, _, _) = run("decode: text", format!("{hostile}\n").as_bytes());
    assert_eq!(out, format!("gw/x/text {}\n", hostile));
    let pty = Pty::open().unwrap();
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open(pty.path()).unwrap();
    let (_folder, mut command) = decode("decode: text");
    let errors = terminal.try_clone().unwrap();
    let mut child = command.stdout(terminal).stderr(errors).spawn().unwrap();
    drop(command);
    child.stdin.take().unwrap().write_all(format!("{hostile}\n").as_bytes()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut seen = Vec::new();
    runtime.block_on(async {
        while !seen.ends_with(b"without a value\n") {
            let mut buffer = [0; 1024];
            let read = pty.read(&mut buffer);
            let n = tokio::time::timeout(std::time::Duration::from_secs(60), read).await;
            seen.extend_from_slice(&buffer[..n.unwrap().unwrap()]);
        }
    });
    child.wait().unwrap();
    let seen = String::from_utf8(seen).unwrap();
    assert!(
        seen.starts_with("gw/x/text \\u{1b}[2J\\u{1b}]52;c;eA==\\u{7}\\u{9b}31m\\u{202e}\\u{0}é\n")
    );
    assert!(!seen.replace('\n', "").chars().any(char::is_control), "{seen:?}");
}

/// What the README and the example promise of the same line.
#[test]
fn what_our_examples_show_is_what_comes() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let example = std::fs::read_to_string(root.join("config/example.yaml")).unwrap();
    let mut blocks = readme.split("```yaml\n").skip(1).filter_map(|block| block.split_once("```"));
    let (yaml, _) = blocks.find(|(yaml, _)| yaml.contains(" weather:")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (shown, yaml) in [(&readme, yaml), (&example, example.as_str())] {
        let file = folder.path().join("config.yaml");
        // In the README it stands below a list entry.
        let indent =
            yaml.lines().next().unwrap().len() - yaml.lines().next().unwrap().trim_start().len();
        let lines = yaml.lines().map(|line| line.get(indent..).unwrap_or_default());
        std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"));
        command.arg("decode").arg(file).args(["--port", "weather"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"21.50,40\nnan,Booting\n").unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        let lines = String::from_utf8(out.stdout).unwrap();
        assert!(lines.lines().count() >= 2);
        for line in lines.lines() {
            assert!(shown.contains(line), "{line}");
        }
    }
}
