//! Many clients, and clients that do not behave.

use crate::control::Stage;
use crate::support::control::Client;
use crate::support::mosquitto::Counter;
use std::time::Instant;

#[test]
fn twenty_at_once() {
    needs!(mosquitto);
    let stage = Stage::new();
    let mut clients: Vec<_> = (0..20).map(|_| stage.client()).collect();
    for client in &mut clients {
        client.try_say(r#"{"request":"status"}"#);
    }
    let answers: Vec<_> = clients.iter_mut().map(Client::answer).collect();
    let served = answers.iter().filter(|answer| answer["gateway"] == "test").count();
    assert_eq!(served, 8);
    let away = answers.iter().filter_map(|answer| answer["error"].as_str());
    let away: Vec<_> = away.filter(|why| why.contains("8 clients are connected already")).collect();
    assert_eq!(away.len(), 12);
    drop(clients);
    let deadline = Instant::now() + crate::support::DEADLINE;
    loop {
        let mut client = stage.client();
        client.try_say(r#"{"request":"status"}"#);
        if client.answer()["gateway"] == "test" {
            break;
        }
        assert!(Instant::now() < deadline, "those who left made no room");
    }
}

#[test]
fn one_that_does_not_read_is_cut_off_and_holds_up_nobody() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let counter = Counter::start(&stage.broker, "test/line/n");
    let mut other = stage.client();
    other.ask(r#"{"request":"log","filter":"info,control=debug"}"#);
    let mut lazy = stage.client();
    lazy.say(r#"{"request":"monitor","port":"line","raw":true}"#);
    lazy.event("state");
    stage.port.write(b"\r\n");
    let line = format!(",{}\r\n", "1".repeat(200));
    for n in 0..3000 {
        stage.port.write(format!("{n}{line}").as_bytes());
    }
    assert_eq!(counter.take_until("2999").len(), 3000);
    assert_eq!(other.ask(r#"{"request":"status"}"#)["ports"]["line"]["frames"], 3000);
    stage.gateway().log().wait_for("a client of the control socket: it does not read");
    // What it would read now has a gap, and ends.
    let mut frames = 0;
    while lazy.line().contains('{') {
        frames += 1;
    }
    assert!(frames < 6000, "{frames} events were kept for somebody who does not read");
}

#[test]
fn one_that_reads_too_slowly_learns_how_much_it_missed() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let counter = Counter::start(&stage.broker, "test/line/n");
    let mut slow = stage.client();
    slow.say(r#"{"request":"monitor","port":"line"}"#);
    slow.event("state");
    stage.port.write(b"\r\n");
    let line = format!(",{}\r\n", "1".repeat(200));
    for n in 0..3000 {
        stage.port.write(format!("{n}{line}").as_bytes());
    }
    assert_eq!(counter.take_until("2999").len(), 3000);
    let (mut seen, mut missed) = (0, 0);
    loop {
        let event = slow.answer();
        missed += event["missed"].as_u64().unwrap_or(0);
        match event["event"].as_str() {
            Some("frame") => seen += 1,
            Some("state") => break,
            other => panic!("{other:?}"),
        }
        if seen == 100 {
            // Room is made: what happens next is told again, the gap with it.
            stage.port.unplug();
        }
    }
    assert!(missed > 0);
    assert!(seen + missed >= 3000, "{seen} seen, {missed} missed");
}

#[test]
fn a_watched_status_goes_on_until_the_client_leaves() {
    needs!(mosquitto);
    let stage = Stage::new();
    let mut client = stage.client();
    client.say(r#"{"request":"status","watch":true}"#);
    let first = client.answer();
    let second = client.answer();
    assert!(second["uptime"].as_u64() >= first["uptime"].as_u64());
    assert_ne!(second["time"], first["time"]);
}
