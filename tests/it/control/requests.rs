//! Each request and its answer.

use crate::control::Stage;
use crate::support::mosquitto::Counter;

#[test]
fn status_has_counters_and_last_values() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    stage.port.write(b"\r\n1,21.50\r\n2,22.50\r\n");
    let status = stage.client().status(|status| {
        status["ports"]["line"]["values"]
            .as_array()
            .is_some_and(|values| values.iter().any(|value| value["payload"] == "22.50"))
    });
    assert_eq!(status["gateway"], "test");
    assert_eq!(status["log"], "info,gateway::uplink=debug");
    assert_eq!(status["program"]["unexpected_ends"]["count"], 0);
    assert_eq!(status["broker"]["state"], "ready");
    assert_eq!(status["broker"]["url"], format!("mqtt://127.0.0.1:{}", stage.broker.port));
    assert_eq!(status["broker"]["connects"], 1);
    let port = &status["ports"]["line"];
    assert_eq!(port["state"], "open");
    assert_eq!(port["frames"], 2);
    assert_eq!(port["readings"], 4);
    assert!(port["heard_ago"].as_f64().is_some_and(|ago| (0.0..60.0).contains(&ago)), "{port}");
    assert_eq!(port["command_topics"][0], "test/line/relay");
    let values: Vec<_> = port["values"].as_array().unwrap().iter().collect();
    assert_eq!(values.len(), 2);
    assert_eq!(values[0]["topic"], "test/line/n");
    assert_eq!(values[1]["topic"], "test/line/temperature");
    assert_eq!(values[1]["unit"], "°C");
    assert_eq!(values[0]["unit"], serde_json::Value::Null);
}

#[test]
fn status_says_what_the_status_topics_say() {
    needs!(mosquitto);
    let stage = Stage::with("status: {interval: 1s}\n");
    let counter = Counter::start(&stage.broker, "test/status/#");
    let mut client = stage.client();
    // The program's status is said at each connect.
    client.ask(r#"{"request":"reconnect"}"#);
    let status = client.ask(r#"{"request":"status"}"#);
    let mut topics = std::collections::BTreeMap::new();
    while topics.len() < 3 {
        let line = counter.take_one("three kinds of status");
        if let Some((topic, payload)) = line.split_once(' ')
            && let Ok(payload) = serde_json::from_str::<serde_json::Value>(payload)
        {
            topics.insert(topic.to_owned(), payload);
        }
    }
    for (topic, part) in [
        ("test/status/broker", &status["broker"]),
        ("test/status/program", &status["program"]),
        ("test/status/ports/line", &status["ports"]["line"]),
    ] {
        for key in topics[topic].as_object().unwrap().keys() {
            assert!(part.get(key).is_some(), "{topic} has {key}, the socket has not");
        }
    }
}

#[test]
fn a_command_is_answered_when_the_device_has_it() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let mut client = stage.client();
    let answer = client.ask(r#"{"request":"send","port":"line","command":"relay","payload":"on"}"#);
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(answer["topic"], "test/line/relay");
    assert_eq!(answer["bytes"], 11);
    assert_eq!(stage.port.read_line(), "(relay on)\n");
    for (request, error) in [
        (
            r#"{"request":"send","port":"lime","command":"relay"}"#,
            "no port \"lime\"; there are: line",
        ),
        (r#"{"request":"send","port":"line","command":"lamp"}"#, "there are: test/line/relay"),
        (
            r#"{"request":"send","port":"line","command":"relay","payload":"on\nformat"}"#,
            "refused: the payload contains a line break",
        ),
    ] {
        let got = client.error(request);
        assert!(got.contains(error), "{got}");
    }
    stage.port.unplug();
    stage.gateway().log().wait_for("trying again");
    let error = client.error(r#"{"request":"send","port":"line","command":"relay"}"#);
    assert!(error.contains("the port is away"), "{error}");
}

#[test]
fn a_monitor_sees_frames_commands_and_states() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let mut monitor = stage.client();
    monitor.say(r#"{"request":"monitor","port":"line","raw":true}"#);
    assert_eq!(monitor.event("state")["state"], "open");
    stage.port.write(b"\r\n7,21.50\r\n");
    let read = monitor.event("read");
    assert_eq!(read["direction"], "in");
    let frame = monitor.event("frame");
    assert_eq!(frame["text"], "7,21.50");
    assert_eq!(frame["hex"], "372c32312e3530");
    assert_eq!(frame["size"], 7);
    assert_eq!(frame["messages"][0]["topic"], "test/line/n");
    assert_eq!(frame["messages"][1]["payload"], "21.50");
    stage.port.write(b"x\x1b[2J\xff,warm\r\n");
    let frame = monitor.line_with("\"event\":\"frame\"");
    assert!(!frame.trim_end().chars().any(char::is_control), "{frame:?}");
    let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
    assert_eq!(frame["text"], r"x\x1b[2J\xff,warm");
    stage.client().ask(r#"{"request":"send","port":"line","command":"relay","payload":"off"}"#);
    let write = monitor.event("write");
    assert_eq!((&write["direction"], &write["text"]), (&"out".into(), &r"(relay off)\n".into()));
    let command = monitor.event("command");
    assert_eq!(command["direction"], "out");
    assert_eq!(command["text"], r"(relay off)\n");
    stage.client().ask(r#"{"request":"send","port":"line","command":"relay","payload":"\u0000"}"#);
    assert!(monitor.event("refused")["reason"].as_str().unwrap().contains("control character"));
    stage.port.replug();
    assert_eq!(monitor.event("state")["state"], "away");
    assert_eq!(monitor.event("state")["state"], "open");
}

#[test]
fn a_monitored_port_that_is_taken_away_says_so() {
    needs!(mosquitto);
    let stage = Stage::new();
    let mut monitor = stage.client();
    monitor.say(r#"{"request":"monitor","port":"line"}"#);
    monitor.event("state");
    let gone = stage.config("").replace("  line:\n", "  other:\n");
    stage.gateway().reload(&gone);
    monitor.event("end");
    assert_eq!(monitor.line(), "");
}

#[test]
fn a_reload_says_what_it_did_or_what_is_wrong() {
    needs!(mosquitto);
    let stage = Stage::new();
    let mut client = stage.client();
    let none = client.ask(r#"{"request":"reload"}"#);
    assert_eq!(none["ok"], true, "{none}");
    assert_eq!(none["restarted"], serde_json::json!([]));
    assert_eq!(none["broker"], false);
    stage.gateway().rewrite(&stage.config("  more:\n    path: /dev/nothing\n    line: 9600 8N1\n"));
    let more = client.ask(r#"{"request":"reload"}"#);
    assert_eq!(more["added"], serde_json::json!(["more"]), "{more}");
    stage
        .gateway()
        .rewrite(&stage.config("").replace("115200 8N1", "115200 8N1\n    framin: lines"));
    let wrong = client.ask(r#"{"request":"reload"}"#);
    assert_eq!(wrong["error"], "the configuration is wrong; nothing was changed");
    let problem = &wrong["problems"][0];
    assert!(problem["file"].as_str().unwrap().ends_with("config.yaml"));
    assert_eq!(problem["line"], 9);
    assert_eq!(problem["column"], 5);
    assert_eq!(problem["path"], "ports.line.framin");
    assert!(problem["remedy"].as_str().unwrap().contains("did you mean `framing`"), "{problem}");
    let status = client.ask(r#"{"request":"status"}"#);
    assert!(status["ports"]["more"].is_object(), "the wrong file changed nothing");
    stage.gateway().rewrite(&stage.config("").replace("test\n", "other\n"));
    let renamed = client.ask(r#"{"request":"reload"}"#);
    assert_eq!(renamed["removed"], serde_json::json!(["more"]));
    assert_eq!(renamed["restarted"], serde_json::json!(["line"]));
    assert_eq!(renamed["broker"], true);
}

#[test]
fn reconnect_leaves_and_comes_back_at_once() {
    needs!(mosquitto);
    let stage = Stage::new();
    let mut client = stage.client();
    assert_eq!(client.ask(r#"{"request":"reconnect"}"#)["was"], "ready");
    stage.gateway().log().wait_for("asked to connect again");
    stage.gateway().log().wait_for("connected to");
    client.status(|status| status["broker"]["connects"] == 2);
}

#[test]
fn reconnect_does_not_wait_for_the_next_try() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    stage.broker.kill();
    let mut client = stage.client();
    let waits = |status: &serde_json::Value| {
        status["broker"]["state"].as_str().is_some_and(|state| state.starts_with("backoff"))
    };
    client.status(waits);
    stage.broker.start_again();
    // It may have come back by itself in this moment.
    let was = stage.client().ask(r#"{"request":"reconnect"}"#);
    assert_eq!(was["ok"], true, "{was}");
    stage.gateway().log().wait_for("connected to");
}

#[test]
fn the_log_can_be_turned_up_and_down() {
    needs!(mosquitto);
    let mut stage = Stage::new();
    let mut client = stage.client();
    assert_eq!(client.ask(r#"{"request":"log"}"#)["filter"], "info,gateway::uplink=debug");
    let set = client.ask(r#"{"request":"log","filter":"warn,device=debug"}"#);
    assert_eq!(set["filter"], "warn,device=debug");
    stage.port.write(b"\r\n1,21.50\r\n");
    stage.gateway().log().wait_for("1,21.50");
    let error = client.error(r#"{"request":"log","filter":"loud"}"#);
    assert!(error.contains("error, warn, info, debug, trace or off"), "{error}");
    client.ask(r#"{"request":"log","filter":"info"}"#);
    stage.port.write(b"2,22.50\r\n");
    client.status(|status| status["ports"]["line"]["frames"] == 2);
    let log = stage.terminate();
    assert!(!log.contains("2,22.50"), "{log}");
}

#[test]
fn what_is_no_request_is_explained() {
    needs!(mosquitto);
    let stage = Stage::new();
    let mut client = stage.client();
    for (request, error) in [
        ("hello", "no request"),
        ("[]", "no request"),
        ("\u{7f}", "no request"),
        (r#"{"request":"explode"}"#, "expected one of `status`"),
        (r#"{"request":"status","wach":true}"#, "unknown field `wach`"),
        (r#"{"request":"monitor","port":"a/b"}"#, "there are: line"),
    ] {
        let got = client.error(request);
        assert!(got.contains(error), "{request}: {got}");
    }
    // The connection is as good as before.
    assert_eq!(client.ask(r#"{"request":"status"}"#)["gateway"], "test");
    let long = format!(r#"{{"request":"{}"}}"#, "x".repeat(70_000));
    client.try_say(&long);
    assert!(client.answer()["error"].as_str().unwrap().contains("at most 65536 bytes"));
    assert_eq!(client.line(), "", "and it is closed");
}
