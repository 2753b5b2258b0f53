//! A configuration whose reading takes for ever holds up nothing.

use crate::daemon::config;
use crate::support::DEADLINE;
use crate::support::control::Client;
use crate::support::gateway::Gateway;
use crate::support::port::Port;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::Signal;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// A gateway that reads its configuration from a pipe in which nothing comes, because `ask` made it
/// read; and the pipe's other end.
fn reading(ask: impl FnOnce(&Gateway)) -> (Gateway, OwnedFd) {
    let port = Port::new();
    let gateway = Gateway::start(&config(1, port.path(), ""));
    gateway.log().wait_for("as test with 1 port,");
    let file = gateway.file();
    std::fs::remove_file(&file).unwrap();
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    ask(&gateway);
    let deadline = Instant::now() + DEADLINE;
    loop {
        // Succeeds as soon as somebody reads.
        match open(&file, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) {
            Ok(pipe) => return (gateway, pipe),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::yield_now();
    }
}

fn ends_at_once(mut gateway: Gateway) {
    let begin = Instant::now();
    gateway.signal(Signal::TERM);
    // Many times what it takes; an end that waits for the reader never comes.
    while !gateway.has_ended() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", gateway.log().rest());
        std::thread::yield_now();
    }
    assert!(gateway.wait().success());
}

#[test]
fn the_end_does_not_wait_for_a_configuration_that_is_being_read() {
    let (gateway, _pipe) = reading(|gateway| gateway.signal(Signal::HUP));
    gateway.signal(Signal::HUP);
    ends_at_once(gateway);
}

#[test]
fn nor_for_one_that_somebody_at_the_control_socket_asked_for() {
    let mut clients = Vec::new();
    let (gateway, _pipe) = reading(|gateway| {
        for _ in 0..2 {
            let mut client = Client::new(&gateway.socket());
            client.say(r#"{"request":"reload"}"#);
            clients.push(client);
        }
    });
    ends_at_once(gateway);
}
