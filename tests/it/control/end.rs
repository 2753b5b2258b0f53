//! How the gateway ends, and what the next one knows of it.

use crate::control::{Gateway, Stage};
use crate::support::control::Client;
use crate::support::mosquitto::Counter;
use crate::support::proxy::Proxy;
use std::time::{Duration, Instant};

#[test]
fn a_crash_loop_is_reported() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    stage.again(true);
    stage.gateway().log().wait_for("the gateway ended unexpectedly once");
    let panic = stage.folder.path().join("control.panic");
    std::fs::write(panic, "panicked at x.rs:\n\x1b[2Jboom").unwrap();
    let program = Counter::start(&stage.broker, "test/status/program");
    stage.again(true);
    let warning = stage.gateway().log().wait_for("the gateway ended unexpectedly 2 times");
    assert!(warning.contains(r"the last one said: panicked at x.rs:\n\u{1b}[2Jboom"), "{warning}");
    program.expect_containing("test/status/program", r#""count":2"#);
    let ends = stage.client().ask(r#"{"request":"status"}"#)["program"]["unexpected_ends"].clone();
    assert_eq!(ends["count"], 2);
    assert!(ends["panic"].as_str().unwrap().contains("boom"));
    stage.again(false);
    stage.gateway().log().wait_for("connected to");
    let ends = stage.client().ask(r#"{"request":"status"}"#)["program"]["unexpected_ends"].clone();
    assert_eq!(ends["count"], 0);
    assert!(!stage.terminate().contains("unexpectedly"));
}

/// A gateway whose broker takes everything and answers nothing any more.
fn half_open(stage: &mut Stage, grace: &str) -> Gateway {
    let proxy = Proxy::start(stage.broker.port);
    let socket = stage.folder.path().join("second.sock");
    let config = crate::control::config(proxy.port, &socket, stage.port.path(), "");
    // One gateway for a tty.
    stage.gateway.take().unwrap().terminate();
    let gateway = Gateway::start(&format!("grace: {grace}\n{config}"));
    gateway.log().wait_for("connected to");
    let mut client = Client::new(&socket);
    client.status(|status| {
        status["broker"]["outbox"]["messages"] == 0 && status["ports"]["line"]["state"] == "open"
    });
    proxy.swallow();
    stage.port.write(b"\r\n1,21.50\r\n");
    let mut client = Client::new(&socket);
    client.status(|status| status["broker"]["outbox"]["messages"].as_u64() > Some(0));
    gateway
}

#[test]
fn the_end_takes_as_long_as_grace_says() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let gateway = half_open(&mut stage, "8s");
    let start = Instant::now();
    let log = gateway.terminate();
    assert!(log.contains("the broker did not take"), "{log}");
    assert!(start.elapsed() >= Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn a_second_signal_ends_at_once() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let mut gateway = half_open(&mut stage, "60s");
    gateway.signal(rustix::process::Signal::TERM);
    gateway.log().wait_for("stopping");
    let start = Instant::now();
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(!stage.folder.path().join("second.sock").exists());
}
