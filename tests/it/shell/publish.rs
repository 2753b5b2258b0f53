//! `tty2mqtt pub`

use crate::shell::program::{
    OURS, PROPERTIES, command, ours, output, retained, signal, spawn, theirs,
};
use crate::support::mosquitto::{Counter, Mosquitto};
use std::process::Stdio;

#[test]
fn what_it_publishes_is_what_mosquitto_pub_publishes() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payload");
    std::fs::write(&file, b"a\0b\xFF\nc").unwrap();
    let file = file.to_str().unwrap();
    let user_properties = "-m x -D PUBLISH user-property k v -D PUBLISH user-property k w";
    let user_properties: Vec<_> = user_properties.split(' ').collect();
    let properties: Vec<_> = ["-m", "x"].into_iter().chain(PROPERTIES.split(' ')).collect();
    let cases: [&[&str]; 9] = [
        &["-m", "hello"],
        &["-m", "-5", "-q", "1"],
        &["-m", "ünïcode", "-q", "2", "-V", "31"],
        &["-f", file, "-V", "5"],
        &["-s", "-q", "1"],
        &["-m", "x", "--repeat", "3", "--repeat-delay", "0.01"],
        &user_properties,
        &properties,
        &["-m", "x", "-i", "me", "-k", "30", "-q", "1", "-c", "-V", "mqttv5", "--quiet"],
    ];
    let input = b"standard\ninput\n";
    for case in cases {
        let all = ["-h", "127.0.0.1", "-p", &port, "-r", "-t", "case"];
        let arguments = [&all[..], case].concat();
        let seen = || {
            let format = "%t|%q|%r|%x|%C|%R|%D|%F|%P";
            retained(&broker, "case", 1, &["-V", "5", "-F", format])
        };
        theirs("mosquitto_pub", &arguments, input);
        let expected = seen();
        theirs("mosquitto_pub", &["-p", &port, "-r", "-n", "-t", "case"], b"");
        ours(&[&["pub"], &arguments[..]].concat(), input, 0);
        assert_eq!(seen(), expected, "{case:?}");
    }
}

#[test]
fn lines_of_the_input_come_in_order_with_every_qos() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    for (qos, version) in [("0", "311"), ("1", "5"), ("2", "5"), ("1", "311")] {
        let count = if version == "5" { 500 } else { 5000 };
        let input: String = (0..count).map(|n| format!("{n}\n")).collect();
        let listener = Counter::start(&broker, "l");
        // Without a line break behind the last one.
        let input = format!("{input}end");
        let arguments = ["pub", "-p", &port, "-t", "l", "-l", "-q", qos, "-V", version];
        ours(&arguments, input.as_bytes(), 0);
        for line in input.lines() {
            listener.expect(&format!("l {line}"));
        }
    }
}

#[test]
fn authorities_may_come_through_a_pipe() {
    needs!(mosquitto);
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates_of(folder.path());
    let broker = Mosquitto::with_tls(folder.path(), "meter", "secret");
    let tls = broker.tls_port.to_string();
    let options = ["-h", "localhost", "-p", &tls, "--cafile", "/dev/stdin", "-u", "meter"];
    let arguments = [&["pub"], &options[..], &["-P", "secret", "-t", "a", "-m", "x"]].concat();
    ours(&arguments, &std::fs::read(&ca).unwrap(), 0);
    let (_, errors) = ours(&arguments, &vec![b'x'; (1 << 20) + 1], 8);
    assert!(errors.contains("/dev/stdin: more than 1 MiB came"), "{errors}");
}

#[test]
fn it_ends_with_the_code_of_what_went_wrong() {
    needs!(mosquitto);
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates_of(folder.path());
    let broker = Mosquitto::with_tls(folder.path(), "meter", "secret");
    let (tls, plain) = (broker.tls_port.to_string(), broker.port.to_string());
    let garbage = answering(&[0x40, 2, 0, 1]);
    let silent = answering(b"");
    let nobody = crate::support::free_port().to_string();
    let message = ["-t", "a", "-m", "x"];
    let cases: [(&[&str], i32, &str); 14] = [
        (&["-p", &plain, "-q", "3"], 2, "QoS is 0, 1 or 2"),
        (&["-p", &plain, "-f", "/nonexistent"], 2, "exclude each other"),
        (&["-p", &nobody], 14, "Connection refused"),
        (&["-h", "no-such-host.invalid"], 15, "cannot look up no-such-host.invalid"),
        (&["-p", &plain, "--proxy", &format!("socks5h://127.0.0.1:{nobody}")], 14, "refused"),
        (&["-p", &plain, "--proxy", &format!("socks5h://127.0.0.1:{garbage}")], 16, "proxy"),
        (&["-p", &garbage], 21, "broke the protocol"),
        (&["-p", &silent, "--connect-timeout", "0.3"], 27, "not connected within 0.3 s"),
        (&["-p", &silent, "-W", "0.3"], 27, "Timed out"),
        (&["-h", "localhost", "-p", &tls, "--cafile", &ca], 5, "not authorized"),
        (&["-h", "localhost", "-p", &tls, "--cafile", &ca, "-V", "5"], 135, "-u and a password"),
        (&["-h", "127.0.0.1", "-p", &tls, "--cafile", &ca], 8, "another name"),
        (&["-h", "localhost", "-p", &tls, "--tls-use-os-certs"], 8, "--cafile"),
        (
            &[
                "-h",
                "localhost",
                "-p",
                &tls,
                "--insecure",
                "--cafile",
                &ca,
                "-u",
                "meter",
                "-P",
                "secret",
            ],
            8,
            "gets no user name",
        ),
    ];
    for (arguments, code, text) in cases {
        let (_, errors) = ours(&[&["pub"], &message[..], arguments].concat(), b"", code);
        assert!(errors.contains(text), "{arguments:?}: {errors}");
        assert!(!errors.contains("secret"), "{errors}");
        // Where mosquitto_pub tells them apart, too, it says the same.
        if matches!(code, 5 | 135) {
            let out = output(command(&["mosquitto_pub"], &[&message[..], arguments].concat()), b"");
            assert_eq!(out.status.code(), Some(code));
        }
    }
    let (_, errors) = ours(&["pub", "-t", "a", "-m", "x", "-p", &nobody, "--quiet"], b"", 14);
    assert_eq!(errors, "");
}

fn certificates_of(folder: &std::path::Path) -> String {
    crate::support::certificates::write(folder).display().to_string()
}

/// The port of somebody who answers everything with this.
fn answering(answer: &'static [u8]) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut clients = Vec::new();
        for mut client in listener.incoming().flatten() {
            use std::io::Write;
            let _ = client.write_all(answer);
            clients.push(client);
        }
    });
    port.to_string()
}

#[test]
fn no_password_need_be_on_the_command_line() {
    needs!(mosquitto);
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates_of(folder.path());
    let broker = Mosquitto::with_tls(folder.path(), "meter", "secret");
    let port = broker.tls_port.to_string();
    let file = folder.path().join("password");
    std::fs::write(&file, "secret\nanother line\n").unwrap();
    let options = folder.path().join("options");
    let text = format!("# TLS\n-h localhost\n--cafile {ca}\n-p {port}\n-u meter\n");
    std::fs::write(&options, text).unwrap();
    let arguments = ["pub", "-o", options.to_str().unwrap(), "-t", "a", "-m", "x", "-q", "1"];
    let with = |more: &[&str], input: &[u8], code: i32| {
        let mut command = command(&[OURS], &[&arguments[..], more].concat());
        let out = output(
            std::mem::replace(command.env("PW", "secret"), std::process::Command::new("-")),
            input,
        );
        assert_eq!(
            out.status.code(),
            Some(code),
            "{more:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    };
    with(&["--password-file", file.to_str().unwrap()], b"", 0);
    with(&["--password-file", "-"], b"secret\n", 0);
    with(&["--password-env", "PW"], b"", 0);
    with(&["-P", "secret"], b"", 0);
    with(&["--password-file", "-"], b"wrong", 5);
    with(&["--password-env", "NO_SUCH"], b"", 2);
    with(&["--password-file", "/nonexistent"], b"", 1);
}

#[test]
fn a_signal_ends_it_with_a_farewell() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = broker.port.to_string();
    let watch = Counter::start(&broker, "w/#");
    let start = || {
        let arguments = ["pub", "-p", &port, "-t", "w/line", "-l", "--will-topic", "w/will"];
        let mut command = command(&[OURS], &arguments);
        let mut child = spawn(command.args(["-w", "gone"]).stdin(Stdio::piped()));
        use std::io::Write;
        child.stdin.as_mut().unwrap().write_all(b"line\n").unwrap();
        child
    };
    let mut child = start();
    watch.expect("w/line line");
    // Its end would be an end, too.
    let _input = child.stdin.take();
    signal(&child, rustix::process::Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // Nothing came yet that a farewell would be for.
    let waiting = ["pub", "-p", &port, "-t", "w/line", "-s"];
    let mut waiting = spawn(command(&[OURS], &waiting).stdin(Stdio::piped()));
    let _input_of_waiting = waiting.stdin.take();
    signal(&waiting, rustix::process::Signal::INT);
    assert!(!waiting.wait().unwrap().success());
    // A will would come first.
    ours(&["pub", "-p", &port, "-t", "w/line", "-m", "no will"], b"", 0);
    watch.expect("w/line no will");
    let mut child = start();
    watch.expect("w/line line");
    child.kill().unwrap();
    child.wait().unwrap();
    watch.expect("w/will gone");
}

#[test]
fn every_way_to_a_broker() {
    needs!(mosquitto);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket").display().to_string();
    let web = crate::support::free_port().to_string();
    let config = format!(
        "allow_anonymous true\nlistener 0 {socket}\nlistener {web} 127.0.0.1\nprotocol websockets\n"
    );
    // As another user it could not write into the folder.
    let broker = Mosquitto::with("user root\n", &config);
    let port = broker.port.to_string();
    let url = format!("mqtt://localhost:{port}/way");
    let web_url = format!("ws://127.0.0.1:{web}/way");
    let ways: [&[&str]; 6] = [
        &["-h", "localhost", "-p", &port, "-t", "way"],
        &["-L", &url],
        &["-4", "-h", "localhost", "-p", &port, "-t", "way", "-A", "127.0.0.1", "--nodelay"],
        &["--unix", &socket, "-t", "way"],
        &["--ws", "-h", "127.0.0.1", "-p", &web, "-t", "way"],
        &["-L", &web_url],
    ];
    let counter = Counter::start(&broker, "way");
    for (n, way) in ways.into_iter().enumerate() {
        let payload = format!("{n}");
        ours(&[&["pub", "-q", "2", "-m", &payload], way].concat(), b"", 0);
        counter.expect(&format!("way {n}"));
    }
}

#[test]
fn what_the_broker_refuses_is_a_failure() {
    needs!(mosquitto);
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    std::fs::write(&acl, "topic write open\ntopic read open\ntopic readwrite probe/#\n").unwrap();
    let broker = Mosquitto::with("user root\n", &format!("acl_file {}\n", acl.display()));
    let port = broker.port.to_string();
    let to = |topic: &str, code: i32, text: &str| {
        let arguments = ["pub", "-p", &port, "-V", "5", "-q", "1", "-m", "x", "-t", topic];
        let (_, errors) = ours(&arguments, b"", code);
        assert!(errors.contains(text), "{errors}");
    };
    to("open", 0, "");
    to("closed", 135, "does not take the message for closed: not authorized");
    let (_, errors) = ours(
        &["pub", "-p", &port, "-V", "5", "-q", "1", "-l", "-t", "closed", "-t", "open"],
        b"1\n2\n",
        135,
    );
    assert_eq!(errors.matches("closed").count(), 2, "{errors}");
}

#[test]
fn any_version_is_the_newest_that_the_broker_speaks() {
    use std::io::{Read, Write};
    for (knows, refusal) in [(4, &[0x20, 2, 0, 1][..]), (3, &[0x20, 3, 0, 0x84, 0])] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let broker = std::thread::spawn(move || {
            let mut levels = Vec::new();
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let mut start = [0; 11];
                client.read_exact(&mut start).unwrap();
                // The level stands behind the name, MQTT or MQIsdp.
                let level = if start[3] == 4 { start[8] } else { start[10] };
                levels.push(level);
                if level == knows {
                    client.write_all(&[0x20, 2, 0, 0]).unwrap();
                    let mut rest = Vec::new();
                    client.read_to_end(&mut rest).unwrap();
                    assert!(rest.ends_with(b"\x30\x04\0\x01ax\xE0\0"), "{rest:?}");
                    return levels;
                }
                // In the words of the version that was asked for.
                let answer = if level == 5 { refusal } else { &[0x20, 2, 0, 1] };
                client.write_all(answer).unwrap();
            }
            levels
        });
        ours(&["pub", "-p", &port, "-V", "auto", "-t", "a", "-m", "x"], b"", 0);
        assert_eq!(broker.join().unwrap(), [5, 4, 3][..usize::from(6 - knows)]);
    }
}

#[test]
fn any_version_is_found_at_a_broker_that_hangs_up_on_newer_ones() {
    use std::io::{Read, Write};
    // As many of 3.1.1 do; or that answers 5.0 in the words of 3.1.1, without having looked at it.
    for answer in [&b""[..], b"\x20\x02\0\0"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let broker = std::thread::spawn(move || {
            let mut levels = Vec::new();
            loop {
                let (mut client, _) = listener.accept().unwrap();
                let mut start = [0; 9];
                client.read_exact(&mut start).unwrap();
                levels.push(start[8]);
                if start[8] == 5 {
                    client.write_all(answer).unwrap();
                    // Not with bytes unread, or it would be a reset.
                    client.shutdown(std::net::Shutdown::Write).unwrap();
                    client.read_to_end(&mut Vec::new()).unwrap_or_default();
                    continue;
                }
                client.write_all(b"\x20\x02\0\0").unwrap();
                let mut rest = Vec::new();
                client.read_to_end(&mut rest).unwrap();
                assert!(rest.ends_with(b"\x30\x04\0\x01ax\xE0\0"), "{rest:?}");
                return levels;
            }
        });
        ours(&["pub", "-p", &port, "-V", "auto", "-t", "a", "-m", "x"], b"", 0);
        assert_eq!(broker.join().unwrap(), [5, 4], "{answer:?}");
    }
}
