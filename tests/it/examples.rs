//! The examples do what they say, at mosquitto.

use crate::support::mosquitto::Mosquitto;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder of the examples, built as the tests were.
fn folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--quiet", "--examples", "--profile", "test"]);
    cargo.arg("--target-dir").arg(profile.parent().unwrap());
    // What cargo tells its tests would make some crates build anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG") || text.starts_with("CARGO_MANIFEST") {
            cargo.env_remove(name);
        }
    }
    assert!(cargo.status().unwrap().success());
    profile.join("examples")
}

#[test]
fn the_examples_work() {
    needs!(mosquitto);
    let folder = folder();
    let broker = Mosquitto::start();
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let run = |name: &str, arguments: &[&str]| {
        Command::new(folder.join(name)).arg(&url).args(arguments).stdout(Stdio::piped()).spawn()
    };
    let mut subscriber = run("subscribe", &["home/#", "2"]).unwrap();
    let mut said = BufReader::new(subscriber.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "home/#: Ok(ExactlyOnce)\n");
    for payload in ["open", "closed"] {
        let output = run("publish", &["home/door", payload]).unwrap().wait_with_output().unwrap();
        assert!(output.status.success());
        let outcome = String::from_utf8(output.stdout).unwrap();
        assert!(outcome.starts_with("Delivered("), "{outcome}");
    }
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "home/door open\nhome/door closed\n");
    assert!(subscriber.wait().unwrap().success());

    let output = run("blocking", &[]).unwrap().wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("example/blocking hello\n"), "{said}");
}
