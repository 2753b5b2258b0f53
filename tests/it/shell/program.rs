//! Runs our commands and mosquitto's.

use crate::support::mosquitto::Mosquitto;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

pub const OURS: &str = env!("CARGO_BIN_EXE_tty2mqtt");

/// Options that give a message each property once, but for user properties.
pub const PROPERTIES: &str = "-D PUBLISH content-type text/x -D publish response-topic r/t \
     -D PUBLISH correlation-data abc -D PUBLISH payload-format-indicator 1";

/// A command line, with an empty home so that nobody's defaults count.
pub fn command(program: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).args(arguments);
    command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME").env("TZ", "UTC0");
    command
}

pub fn output(mut command: Command, input: &[u8]) -> Output {
    let mut child = spawn(command.stdin(Stdio::piped()));
    // A program that does not want it all ends before.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

pub fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("mosquitto-clients is installed: `make deps`")
}

/// `tty2mqtt COMMAND`, which must end with a code; what it printed to both.
#[track_caller]
pub fn ours(arguments: &[&str], input: &[u8], code: i32) -> (Vec<u8>, String) {
    let out = output(command(&[OURS], arguments), input);
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{arguments:?}: {errors}");
    (out.stdout, errors)
}

/// A program of mosquitto's, which must succeed.
#[track_caller]
pub fn theirs(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let out = output(command(&[program], arguments), input);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {arguments:?}: {errors}");
    out.stdout
}

/// What a subscriber gets that comes now: the retained messages of a filter.
pub fn retained(broker: &Mosquitto, filter: &str, count: usize, more: &[&str]) -> Vec<u8> {
    let (port, count) = (broker.port.to_string(), count.to_string());
    let mut arguments = vec!["-p", &port, "-t", filter, "-C", &count, "-W", "20", "-q", "2"];
    arguments.extend(more);
    theirs("mosquitto_sub", &arguments, b"")
}

/// An end from outside.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}
