//! What a build without TLS says. These tests are for that build: they need
//! `cargo test --no-default-features --test mini`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]
#![cfg(not(feature = "tls"))]

use std::path::Path;
use tty2mqtt::mqtt::transport::{Connector, Settings};
use tty2mqtt::testing::config::load;

#[test]
fn no_tls_is_said_from_the_start() {
    for url in ["mqtts://localhost", "wss://localhost/mqtt"] {
        let error = Connector::new(Settings::new(url.parse().unwrap())).unwrap_err();
        let expected = "this build has no TLS; install the package tty2mqtt, not tty2mqtt-mini";
        assert_eq!(error.to_string(), expected);
    }
    for url in ["mqtt://localhost", "ws://localhost", "unix:///run/mosquitto.sock"] {
        assert!(Connector::new(Settings::new(url.parse().unwrap())).is_ok(), "{url}");
    }
}

#[test]
fn no_scram_is_said_at_its_place() {
    let text = "gateway: gw\n\
                broker: {url: mqtt://localhost, user: u, password: p, auth: scram-sha-256}\n\
                ports: {a: {path: /dev/ttyS0, line: 9600 8N1}}\n";
    let error = load::parse("c.yaml", text, Path::new(".")).unwrap_err();
    let [problem] = &error.problems[..] else { panic!("{error}") };
    assert_eq!((&*problem.path, &*problem.what), ("broker.auth", "this build has no SCRAM"));
    let remedy = problem.remedy.as_deref();
    assert_eq!(remedy, Some("install the package tty2mqtt, not tty2mqtt-mini"));
}

#[test]
#[cfg(not(feature = "formats"))]
fn no_format_is_said_at_its_place() {
    let text = "gateway: gw\n\
                broker: {url: mqtt://localhost}\n\
                format: {sparkplug-b: {group: plant}}\n\
                ports: {a: {path: /dev/ttyS0, line: 9600 8N1}}\n";
    let error = load::parse("c.yaml", text, Path::new(".")).unwrap_err();
    let [problem] = &error.problems[..] else { panic!("{error}") };
    assert_eq!((&*problem.path, &*problem.what), ("format", "this build has no formats"));
    let remedy = problem.remedy.as_deref();
    assert_eq!(remedy, Some("install the package tty2mqtt, not tty2mqtt-mini"));
}

#[test]
#[cfg(not(feature = "shell"))]
fn no_shell_is_said() {
    for command in ["pub", "sub", "test"] {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_tty2mqtt"));
        let output = program.args([command, "-t", "topic", "-m", "message"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let expected =
            "this build has no pub, sub and test; install the package tty2mqtt, not tty2mqtt-mini";
        assert!(said.contains(expected), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}
