//! `tty2mqtt test`

use crate::shell::program::{OURS, command, ours, spawn};
use crate::support::certificates;
use crate::support::free_port;
use crate::support::lines::Lines;
use crate::support::mosquitto::{Counter, Mosquitto};

fn steps(out: &[u8]) -> (serde_json::Value, Vec<String>) {
    let report: serde_json::Value = serde_json::from_slice(out).unwrap();
    let steps = report["steps"].as_array().unwrap().iter();
    let steps = steps.map(|step| format!("{} {}", step["step"].as_str().unwrap(), step["ok"]));
    let steps = steps.collect();
    (report, steps)
}

#[test]
fn the_self_check_goes_there_and_back() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    for version in ["31", "311", "5", "auto"] {
        let arguments = ["test", "127.0.0.1", "-p", &port, "--json", "-V", version];
        let (out, _) = ours(&arguments, b"", 0);
        let (report, steps) = steps(&out);
        assert_eq!(
            steps,
            [
                "name true",
                "tcp true",
                "login true",
                "subscribe true",
                "qos 0 true",
                "qos 1 true",
                "qos 2 true"
            ]
        );
        assert_eq!((&report["ok"], &report["exit"]), (&true.into(), &0.into()));
        assert!(report["steps"][4]["ms"].as_f64().unwrap() < 5000.0);
    }
    let url = format!("mqtt://127.0.0.1:{port}");
    let (out, _) = ours(&["test", "--self-check", &url], b"", 0);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("there and back") && text.ends_with("everything works\n"), "{text}");
}

#[test]
fn each_step_of_the_self_check_fails_with_a_code_and_a_sentence() {
    needs!(mosquitto);
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates::write(folder.path()).display().to_string();
    let broker = Mosquitto::with_tls(folder.path(), "meter", "secret");
    let tls = broker.tls_port.to_string();
    let nobody = free_port().to_string();
    let cases: [(&[&str], i32, &[&str], &str); 5] = [
        (&["no-such-host.invalid"], 15, &["name false"], "cannot look up"),
        (&["127.0.0.1", "-p", &nobody], 14, &["name true", "tcp false"], "Connection refused"),
        (
            &["localhost", "-p", &tls, "--tls-use-os-certs"],
            8,
            &["name true", "tcp true", "tls false"],
            "--cafile",
        ),
        (
            &["localhost", "-p", &tls, "--cafile", &ca],
            5,
            &["name true", "tcp true", "tls true", "login false"],
            "not authorized",
        ),
        (
            &["localhost", "-p", &tls, "--cafile", &ca, "-u", "meter", "-P", "secret", "-V", "5"],
            0,
            &[
                "name true",
                "tcp true",
                "tls true",
                "login true",
                "subscribe true",
                "qos 0 true",
                "qos 1 true",
                "qos 2 true",
            ],
            "there and back",
        ),
    ];
    for (arguments, code, expected, text) in cases {
        let (out, _) = ours(&[&["test", "--json"], arguments].concat(), b"", code);
        let (report, steps) = steps(&out);
        assert_eq!(steps, expected, "{arguments:?}");
        let last = report["steps"].as_array().unwrap().last().unwrap()["text"].as_str().unwrap();
        assert!(last.contains(text), "{last}");
        assert_eq!(report["exit"], code);
    }
}

#[test]
fn the_dialogue_ends_at_quit() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    let heard = Counter::start(&broker, "test/1");
    let mut child = spawn(&mut command(&[OURS], &["test", "127.0.0.1", "-p", &port, "-d"]));
    let said = Lines::of(child.stdout.take().unwrap());
    said.wait_for("SUBACK");
    heard.expect("test/1 *** tty2mqtt test start ***");
    heard.expect("test/1 *** tty2mqtt test message ***");
    broker.publish("test/2", "hello");
    said.wait_for("Topic: test/2, message: 'hello'");
    broker.publish("test/2", "quit");
    heard.expect_containing("test/1", "*** tty2mqtt test end ***");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn help_fits_a_screen() {
    for name in ["pub", "sub", "test"] {
        let (out, _) = ours(&[name, "--help"], b"", 0);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("Example: tty2mqtt"), "{text}");
        assert!(
            text.lines().count() <= 40 && text.lines().all(|l| l.chars().count() <= 80),
            "{text}"
        );
    }
}
