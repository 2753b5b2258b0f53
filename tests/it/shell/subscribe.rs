//! `tty2mqtt sub`

use crate::shell::program::{OURS, PROPERTIES, command, ours, output, signal, spawn, theirs};
use crate::support::lines::Lines;
use crate::support::mosquitto::Mosquitto;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};
use tty2mqtt::testing::pty::Pty;
use tty2mqtt::testing::shell::format::time::Moment;
use tty2mqtt::testing::shell::format::zone::TimeZone;

/// Messages that a broker keeps, so that whoever comes gets the same.
fn keep(broker: &Mosquitto) -> usize {
    let port = broker.port.to_string();
    let user = "-D PUBLISH user-property k v -D PUBLISH user-property k2 ü";
    let properties: Vec<_> = user.split(' ').chain(PROPERTIES.split(' ')).collect();
    let payloads: [(&str, &[&str]); 9] = [
        ("k/json", &["-m", r#" {"a": 1.5, "b":[1,{"c":[]},{}], "d":"ü\n\u0001\/", "e":null} "#]),
        ("k/number", &["-m", "-21.25", "-q", "1"]),
        ("k/text", &["-m", "not \"JSON\" \\ \u{1}\t ü", "-q", "1"]),
        ("k/properties", &properties),
        ("k/long", &["-m", "x123456789012345678901234567890123456789"]),
        ("k/ünïcode/ topic", &["-m", "x"]),
        ("k/a/very/long/topic/with/many/levels", &["-m", "true"]),
        ("k/array", &["-m", "[ ]"]),
        ("k/string", &["-m", "\"text\""]),
    ];
    for (topic, more) in payloads {
        let mut arguments = vec!["-p", &port, "-V", "5", "-r", "-t", topic];
        arguments.extend(more);
        if !more.contains(&"-m") {
            arguments.extend(["-m", "with properties"]);
        }
        theirs("mosquitto_pub", &arguments, b"");
    }
    payloads.len()
}

/// Without what a clock shows: they did not receive it at the same moment.
fn timeless(output: &[u8]) -> Vec<u8> {
    let mut output = output.to_vec();
    let marks: [&[u8]; 2] = [b"\"tst\":\"", b"\"tst\":\t\""];
    for mark in marks {
        let found: Vec<_> =
            output.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark).collect();
        let found: Vec<_> = found.into_iter().map(|(at, _)| at + mark.len()).collect();
        for at in found {
            for byte in &mut output[at..at + 32] {
                *byte = if byte.is_ascii_digit() { b'0' } else { *byte };
            }
        }
    }
    output
}

#[test]
fn it_prints_what_mosquitto_sub_prints() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let count = keep(&broker).to_string();
    let port = broker.port.to_string();
    let cases: [&[&str]; 22] = [
        &[],
        &["-v"],
        &["-N"],
        &["-N", "-v"],
        &["-v", "-q", "2"],
        &["-F", "%t %p"],
        &["-F", "%% %t|%12t|%-12t|%012t|%.4t|%12.4t|%-12.4t|%.t"],
        &["-F", "%p|%5p|%60p|%-60p|%060p"],
        &["-F", "%x|%X"],
        &["-F", "%l|%6l|%-6l|%06l|%q|%r"],
        &["-q", "2", "-F", "%m|%4m|%-4m|%04m|%q"],
        &[
            "-V",
            "5",
            "-F",
            "%C|%10C|%-10C|%.3C|%R|%8R|%D|%F|%4F|%04F|%-4F|%P|%A|%5A|%05A|%E|%4E|%S|%3S",
        ],
        &["-V", "5", "-D", "SUBSCRIBE", "subscription-identifier", "7", "-F", "%S|%3S|%03S"],
        &["-F", r"\t\\\a\e\r\v\n\0@@|", "-N"],
        &["-F", "%j"],
        &["-F", "%j", "-V", "5"],
        &["-F", "%J", "-V", "5", "-T", "k/text"],
        &["-F", "A%JB"],
        &["-F", "%J", "--pretty", "-V", "5"],
        &["-F", "%j", "--pretty", "-q", "1"],
        &["-v", "-T", "k/+", "-C", "2"],
        &["-v", "--retained-only", "-V", "5", "-x", "0"],
    ];
    for case in cases {
        let all = ["-h", "127.0.0.1", "-p", &port, "-t", "k/#", "-C", &count, "-W", "2"];
        let arguments = [&all[..], case].concat();
        let expected = output(command(&["mosquitto_sub"], &arguments), b"");
        let found = output(command(&[OURS, "sub"], &arguments), b"");
        let (found_text, expected_text) = (timeless(&found.stdout), timeless(&expected.stdout));
        assert_eq!(
            String::from_utf8_lossy(&found_text),
            String::from_utf8_lossy(&expected_text),
            "{case:?}: {}",
            String::from_utf8_lossy(&found.stderr)
        );
        assert_eq!(found_text, expected_text, "{case:?}");
        assert_eq!(found.status.code(), expected.status.code(), "{case:?}");
    }
}

#[test]
fn it_ends_when_mosquitto_sub_ends() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    let both = |arguments: &[&str]| {
        let arguments = [&["-p", &port], arguments].concat();
        let expected = output(command(&["mosquitto_sub"], &arguments), b"");
        let found = output(command(&[OURS, "sub"], &arguments), b"");
        let text = String::from_utf8_lossy(&found.stderr).into_owned();
        assert_eq!(found.stdout, expected.stdout, "{arguments:?} {text}");
        assert_eq!(found.status.code(), expected.status.code(), "{arguments:?} {text}");
        found.status.code().unwrap()
    };
    assert_eq!(both(&["-t", "nothing", "-W", "1"]), 27);
    assert_eq!(both(&["-t", "nothing", "-E"]), 0);
    assert_eq!(both(&["-t", "a", "-t", "b/#", "-E", "-U", "a", "-q", "1"]), 0);
    let keep =
        |topic: &str| theirs("mosquitto_pub", &["-p", &port, "-r", "-t", topic, "-m", "1"], b"");
    for topic in ["r/1", "r/2", "other"] {
        keep(topic);
    }
    assert_eq!(both(&["-t", "r/#", "-R", "-W", "1"]), 27);
    assert_eq!(both(&["-t", "r/#", "-R", "-W", "1", "-V", "5"]), 27);
    // Both times they come; the second time nothing is left to come.
    ours(&["sub", "-p", &port, "-t", "r/#", "--remove-retained", "-C", "2", "-W", "20"], b"", 0);
    assert_eq!(both(&["-t", "r/#", "-W", "1"]), 27);
    assert_eq!(both(&["-t", "#", "-C", "1", "-v", "-T", "$SYS/#"]), 0);
}

#[test]
fn a_kept_session_brings_what_was_missed() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    for version in ["311", "5"] {
        let session =
            ["sub", "-p", &port, "-V", version, "-c", "-i", "keeper", "-q", "1", "-t", "s"];
        ours(&[&session[..], &["-E"]].concat(), b"", 0);
        ours(&["pub", "-p", &port, "-t", "s", "-q", "1", "-l"], b"1\n2\n3\n", 0);
        // One at a time: what was not printed comes again.
        for expected in ["1\n", "2\n", "3\n"] {
            let (out, _) = ours(&[&session[..], &["-C", "1", "-W", "20"]].concat(), b"", 0);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{version}");
        }
        ours(&["sub", "-p", &port, "-i", "keeper", "-t", "s", "-E"], b"", 0);
    }
}

#[test]
fn a_signal_ends_it_and_a_lost_broker_does_not() {
    needs!(mosquitto);
    let mut broker = Mosquitto::start();
    let port = broker.port.to_string();
    let mut child = spawn(command(&[OURS], &["sub", "-p", &port, "-t", "a"]).args(["-v", "-d"]));
    let out = Lines::of(child.stdout.take().unwrap());
    out.wait_for("received SUBACK");
    broker.publish("a", "1");
    out.wait_for("a 1");
    broker.kill();
    broker.start_again();
    out.wait_for("received SUBACK");
    broker.publish("a", "2");
    out.wait_for("a 2");
    signal(&child, rustix::process::Signal::TERM);
    out.wait_for("sending DISCONNECT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn json_is_json_for_any_payload() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    for payload in [&b"\xFF\0\x01"[..], b"", b"1.50", b"text", b"{\"a\": 10000000000000000000001}"]
    {
        ours(&["pub", "-p", &port, "-t", "j", "-s", "-r"], b"gone", 0);
        ours(&["pub", "-p", &port, "-t", "j", "-s", "-r"], payload, 0);
        if payload.is_empty() {
            continue;
        }
        let (out, _) =
            ours(&["sub", "-p", &port, "-t", "j", "--json", "-C", "1", "-W", "20"], b"", 0);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["topic"], "j");
        assert_eq!(value["payloadlen"], payload.len());
        let expected = match payload {
            b"1.50" => "1.50",
            b"text" => "\"text\"",
            b"\xFF\0\x01" => "[255,0,1]",
            _ => "{\"a\":10000000000000000000001}",
        };
        assert_eq!(value["payload"].to_string(), expected);
    }
}

#[test]
fn the_time_is_printed_as_date_prints_it() {
    const LETTERS: &str = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%";
    let zones = ["UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "<+0545>-5:45"];
    let format: String = LETTERS.chars().map(|letter| format!("%{letter}|")).collect();
    for zone in zones {
        // Every 40 days and some hours from 2026 to 2043, and both sides of New Year.
        let mut times: Vec<u64> = (0..150).map(|n| 1_767_225_600 + n * 3_467_891).collect();
        times.extend((0..17).flat_map(|n| {
            let new_year = 1_767_225_600 + n * 31_556_952;
            (0..8).map(move |day| new_year + day * 86_400 - 4 * 86_400)
        }));
        let input: String = times.iter().map(|time| format!("@{time}\n")).collect();
        let mut date = Command::new("date");
        date.args(["-f", "-", &format!("+{format}")]).env("TZ", zone).env("LC_ALL", "C");
        let expected = String::from_utf8(output(date, input.as_bytes()).stdout).unwrap();
        let zone_rules = TimeZone::from_posix(zone).unwrap();
        let mut found = String::new();
        for time in times {
            let moment = Moment::new(UNIX_EPOCH + Duration::from_secs(time), &zone_rules);
            let mut out = Vec::new();
            for letter in LETTERS.bytes() {
                moment.format(letter, &mut out);
                out.push(b'|');
            }
            found.push_str(&String::from_utf8(out).unwrap());
            found.push('\n');
        }
        for (found, expected) in found.split("|\n").zip(expected.split("|\n")) {
            assert_eq!(found, expected, "{zone}");
        }
        assert_eq!(found, expected, "{zone}");
    }
}

#[test]
fn no_message_steers_the_terminal() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}a";
    ours(&["pub", "-p", &port, "-r", "-t", "t", "-m", hostile], b"", 0);
    let arguments = ["sub", "-p", &port, "-t", "t", "-C", "1"];
    assert_eq!(ours(&arguments, b"", 0).0, format!("{hostile}\n").as_bytes());
    let pty = Pty::open().unwrap();
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open(pty.path()).unwrap();
    let mut ours = command(&[OURS], &arguments).stdout(terminal).spawn().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut seen = Vec::new();
    runtime.block_on(async {
        while !seen.ends_with(b"\n") {
            let mut buffer = [0; 1024];
            let read = tokio::time::timeout(Duration::from_secs(60), pty.read(&mut buffer)).await;
            seen.extend_from_slice(&buffer[..read.unwrap().unwrap()]);
        }
    });
    assert_eq!(String::from_utf8(seen).unwrap(), "\\u{1b}[2J\\u{9b}31m\\u{202e}a\n");
    assert!(ours.wait().unwrap().success());
}
