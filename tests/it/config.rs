//! Every wrong or doubtful configuration under `tests/config` prints what its `.expected` file says, and every
//! example of ours is right.

use std::fs;
use std::path::{Path, PathBuf};
use tty2mqtt::testing::config::{Config, Files, load};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

#[test]
fn wrong_configurations_are_explained() {
    let files = yaml_files("tests/config");
    assert!(files.len() >= 30);
    let mut differences = String::new();
    for path in files {
        let name = format!("tests/config/{}", path.file_name().unwrap().to_string_lossy());
        let text = fs::read_to_string(&path).unwrap();
        let got = match load::parse(&name, &text, Path::new("/etc/tty2mqtt")) {
            Ok((_, warnings)) => {
                assert!(!warnings.is_empty(), "{name} was accepted");
                warnings.iter().map(|warning| format!("warning: {warning}\n")).collect()
            }
            Err(error) => format!("tty2mqtt: {error}\n"),
        };
        let expected = path.with_extension("expected");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expected, &got).unwrap();
        }
        let expected = fs::read_to_string(expected).unwrap_or_default();
        if got != expected {
            differences += &format!("== {name}\n-- expected\n{expected}-- got\n{got}\n");
        }
    }
    assert!(
        differences.is_empty(),
        "{differences}\nUPDATE=1 cargo test --test it config:: renews them"
    );
}

#[test]
fn our_examples_are_right() {
    let clouds = ["config/azure-iot-hub.yaml", "config/aws-iot.yaml"];
    for file in
        ["config/example.yaml", "config/demo.yaml", "tests/decode.yaml"].iter().chain(&clouds)
    {
        match load::load(&root().join(file)) {
            Err(error) => panic!("{error}"),
            Ok((_, warnings)) => {
                let slips = warnings.iter().filter(|warning| warning.contains(": ports."));
                assert_eq!(slips.count(), 0, "{file}: {warnings:?}");
            }
        }
    }
}

/// Each example of a document that begins with `ports:` is a configuration without a mistake or a slip.
#[test]
fn the_examples_of_the_documents_are_right() {
    for (file, least) in [("README.md", 1), ("docs/BUS.md", 8)] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let examples: Vec<_> = blocks.filter(|block| block.starts_with("ports:")).collect();
        assert!(examples.len() >= least, "{file}: {}", examples.len());
        for example in examples {
            let whole = format!("gateway: barn\nbroker: {{url: \"mqtt://x\"}}\n{example}");
            match load::parse(file, &whole, Path::new("/")) {
                Err(error) => panic!("{error}"),
                Ok((_, warnings)) => {
                    let slips = warnings.iter().filter(|warning| warning.contains(": ports."));
                    assert_eq!(slips.count(), 0, "{file}: {warnings:?}\n{example}");
                }
            }
        }
    }
}

#[test]
fn relative_paths_count_from_the_file() {
    let text = "broker: {url: \"mqtts://x\", tls: {ca_file: ca.pem}, user: u, password_file: /pw}\n\
                ports: {a: {path: dev/a, line: 9600 8N1}}\n";
    let (config, _) = load::parse("c.yaml", text, Path::new("/etc/tty2mqtt")).unwrap();
    assert_eq!(config.broker.tls.ca_file.unwrap().to_string(), "/etc/tty2mqtt/ca.pem");
    assert_eq!(config.broker.password_file.unwrap(), Path::new("/pw"));
    let port = config.ports.values().next().unwrap();
    assert_eq!(port.path.as_ref().unwrap(), Path::new("/etc/tty2mqtt/dev/a"));
}

#[test]
fn files_for_tls_may_be_given_as_text() {
    let text = "broker:\n  url: wss://x\n  tls:\n    cert_file: c.pem\n    key_file: |\n      \
                -----BEGIN PRIVATE KEY-----\n      geheim\n    alpn: [mqtt]\n    min_version: 1.3\n\
                ports: {a: {path: /dev/a, line: 9600 8N1}}\n";
    let (config, _) = load::parse("c.yaml", text, Path::new("/etc/tty2mqtt")).unwrap();
    let tls = &config.broker.tls;
    assert_eq!(tls.cert_file.as_ref().unwrap().to_string(), "/etc/tty2mqtt/c.pem");
    assert_eq!(tls.key_file.as_ref().unwrap().to_string(), "(given as text)");
    assert!(!format!("{config:?}").contains("geheim"));
}

#[test]
fn anchors_and_merge_keys_spare_repetition() {
    let text = "broker: {url: \"mqtt://x\"}\nports:\n  a: &a {path: /dev/a, line: 9600 8N1}\n  \
                b: {<<: *a, path: /dev/b}\n";
    let (config, _) = load::parse("c.yaml", text, Path::new("/")).unwrap();
    assert_eq!(config.ports.len(), 2);
}

/// Writes a configuration and a broker file; gives what loading them gives.
fn laid_over(config: &str, broker: &str) -> Result<(Config, Vec<String>), String> {
    let folder = tempfile::tempdir().unwrap();
    let files = Files {
        config: folder.path().join("config.yaml"),
        broker: Some(folder.path().join("broker.yaml")),
    };
    fs::write(&files.config, config).unwrap();
    fs::write(files.broker.as_ref().unwrap(), broker).unwrap();
    let at = format!("{}/", folder.path().display());
    match load::load_files(&files) {
        Ok((config, warnings)) => {
            Ok((config, warnings.iter().map(|w| w.replace(&at, "")).collect()))
        }
        Err(error) => Err(error.to_string().replace(&at, "")),
    }
}

#[test]
fn a_line_beside_tcp_is_said_to_do_nothing_where_it_does_nothing() {
    let of = |framing: &str| {
        let text = format!(
            "broker: {{url: \"mqtt://a\"}}\nports: {{a: {{tcp: \"h:1\", line: 9600 8N1{framing}}}}}\n"
        );
        load::parse("c.yaml", &text, Path::new("/")).unwrap().1
    };
    let told =
        ["c.yaml:2:25: ports.a.line: does nothing beside `tcp`; the serial server sets the line"];
    assert_eq!(of(""), told);
    assert_eq!(of(", framing: {gap: {after: 5ms}}"), told);
    // 3.5 characters of this speed.
    assert_eq!(of(", framing: gap"), [""; 0]);
}

#[test]
fn a_login_that_is_not_encrypted_is_told_with_its_place() {
    let text = format!(
        "broker:\n  url: mqtts://a.example\n  fallback: [mqtt://b.example]\n  user: u\n{PORTS}"
    );
    let (_, warnings) = load::parse("c.yaml", &text, Path::new("/")).unwrap();
    let told = "c.yaml:3:14: broker.fallback[0]: user and password go over the network to \
                mqtt://b.example:1883 in the clear; mqtts:// encrypts them";
    assert_eq!(warnings, [told]);
}

const PORTS: &str = "ports: {a: {path: /dev/a, line: 9600 8N1}}\n";

#[test]
fn a_broker_file_counts_instead_of_the_configuration() {
    let config = format!(
        "broker: {{url: \"mqtt://a\", user: u, password_file: pw, keepalive: 9s}}\n{PORTS}"
    );
    let broker = "broker:\n  url: mqtt://127.0.0.1:7\n  password: \"a\\\"\\\\\\n$(id)é\"\n";
    let (config, warnings) = laid_over(&config, broker).unwrap();
    assert_eq!(config.broker.url.to_string(), "mqtt://127.0.0.1:7");
    assert_eq!(config.broker.user.as_deref(), Some("u"));
    assert_eq!(config.broker.password.as_ref().unwrap().reveal(), "a\"\\\n$(id)é".as_bytes());
    assert_eq!(config.broker.password_file, None);
    assert_eq!(config.broker.keepalive().as_secs(), 9);
    // The password is not in the configuration, which everyone may read.
    assert_eq!(
        warnings,
        [
            "broker.yaml holds a password or a key and is readable by everyone: chmod 640 broker.yaml"
        ]
    );

    // All of `broker` may stand there alone, or nothing.
    for broker in ["broker: {url: \"mqtt://b\"}\n", "---\nbroker:\n  url: mqtt://b\n"] {
        assert_eq!(laid_over(PORTS, broker).unwrap().0.broker.url.to_string(), "mqtt://b:1883");
        let empty = format!("broker:\n{PORTS}");
        assert_eq!(laid_over(&empty, broker).unwrap().0.broker.url.to_string(), "mqtt://b:1883");
    }
    for broker in ["", "# nothing\n", "broker:\n", "broker: {}\n"] {
        let config = format!("broker: {{url: \"mqtt://a\"}}\n{PORTS}");
        assert_eq!(laid_over(&config, broker).unwrap().0.broker.url.to_string(), "mqtt://a:1883");
    }
}

#[test]
fn mistakes_are_shown_in_the_file_that_has_them() {
    let config = format!("broker:\n  url: mqtt://a\n  keepalive: soon\n{PORTS}");
    let error = laid_over(&config, "broker:\n  urll: x\n  url: http://b\n").unwrap_err();
    let places: Vec<_> = error.lines().filter(|line| line.contains(": broker.")).collect();
    assert_eq!(places.len(), 3, "{error}");
    for (line, place) in places.iter().zip([
        "config.yaml:3:14: broker.keepalive: ",
        "broker.yaml:2:3: broker.urll: ",
        "broker.yaml:3:8: broker.url: ",
    ]) {
        assert!(line.starts_with(place), "{error}");
    }
    assert!(error.ends_with("\n3 problems"), "{error}");

    // A password without a user: whose mistake it is, is where the password stands.
    let config = format!("broker: {{url: \"mqtt://a\"}}\n{PORTS}");
    let error = laid_over(&config, "broker:\n  password: geheim\n").unwrap_err();
    assert!(error.starts_with("broker.yaml:2:3: broker.password: "), "{error}");
    assert!(!error.contains("geheim"), "{error}");

    for (broker, wrong) in [
        ("ports: {}\n", "broker.yaml:1:1: ports: only `broker` may stand in this file"),
        ("broker: [a]\n", "broker.yaml:1:1: broker: expected a map of keys"),
        ("mqtt://a\n", "broker.yaml:1:1: expected the key `broker`"),
        ("broker: {url\n", "broker.yaml:"),
    ] {
        let error = laid_over(&config, broker).unwrap_err();
        assert!(error.starts_with(wrong), "{error}");
    }
    // What is wrong about the configuration itself is not covered up.
    let error = laid_over("broker: [a]\nports: {}\n", "broker: {url: \"mqtt://b\"}\n").unwrap_err();
    assert!(error.starts_with("config.yaml:1:9: broker: "), "{error}");
}

#[test]
fn a_broker_file_that_is_not_there_is_named() {
    let files = Files {
        broker: Some("/no/such".into()),
        ..Files::from(root().join("config/example.yaml"))
    };
    let error = load::load_files(&files).unwrap_err().to_string();
    assert!(error.starts_with("/no/such: cannot read the broker's settings: "), "{error}");
}

#[test]
fn no_line_is_too_long_to_be_shown() {
    let blanks = " ".repeat(70_000);
    let value = "x".repeat(70_000);
    for (text, wanted) in [
        (format!("status: {{interval: 60s, {blanks} bad: 1}}\n"), "status.bad: unknown key"),
        (format!("ports: {{a: {{line: {value}}}}}\n"), "ports.a.line: "),
    ] {
        let error = load::parse("c.yaml", &text, Path::new("/")).unwrap_err().to_string();
        assert!(error.contains(wanted), "{}", error.chars().take(500).collect::<String>());
        let caret = error.lines().find(|line| line.contains('^')).unwrap();
        assert!(caret.chars().count() < 200);
    }
}

/// Whether a port is as it was in the other text.
fn is_kept(port: &str, before: &str, after: &str) -> bool {
    let [before, after] = [before, after].map(|text| {
        let text = format!("broker: {{url: \"mqtt://x\"}}\n{text}");
        load::parse("c.yaml", &text, Path::new("/")).unwrap().0
    });
    before.is_same(&after, &["ports", port])
}

#[test]
fn a_change_is_noticed_whatever_a_port_is_called() {
    for name in ["1", "1.5", "true", "a", "a.b", "0x10"] {
        let ports = |line| format!("ports: {{{name}: {{path: /dev/a, line: {line}}}}}\n");
        let name = if name == "0x10" { "16" } else { name };
        assert!(is_kept(name, &ports("9600 8N1"), &ports("9600 8N1")), "{name}");
        assert!(!is_kept(name, &ports("9600 8N1"), &ports("2400 8N1")), "{name}");
    }
}

#[test]
fn old_names_of_keys_are_understood() {
    let new = "outbox: {spill_after: 5s, ordering: topic, backlog_rate: 7}\n\
               ports:\n  a:\n    {path: /dev/a, line: 9600, name: d, framing: {fixed: {size: 4, prefix: x}}, \
               checksum: {sum8: {trailing: 1}}, frames: [{prefix: x}], \
               commands: [{topic: t, send: s, pause: 1s}]}\n  \
               b: {path: /dev/b, line: 9600, framing: {length: {prefix: xy, offset: 2}}}\n";
    let old = [
        ("spill_after", "after"),
        ("ordering", "order"),
        ("backlog_rate", "drain"),
        ("name", "device"),
        ("size: 4, prefix", "size: 4, start"),
        ("trailing", "behind"),
        ("frames: [{prefix", "frames: [{starts"),
        ("pause", "between"),
        ("length: {prefix", "length: {start"),
    ];
    let old = old.iter().fold(new.to_owned(), |text, (new, old)| {
        assert!(text.contains(new), "{new}");
        text.replace(new, old)
    });
    let config = |text: &str| {
        let text = format!("broker: {{url: \"mqtt://x\"}}\n{text}");
        load::parse("c.yaml", &text, Path::new("/")).unwrap().0
    };
    let (old, new) = (config(&old), config(new));
    for config in [&old, &new] {
        assert_eq!(config.outbox.backlog_rate.unwrap().get(), 7);
        let port = config.ports.values().next().unwrap();
        assert_eq!(port.name.as_ref().unwrap().as_str(), "d");
        assert_eq!(port.frames[0].prefix.as_bytes(), b"x");
    }
    // A reload that brings nothing but the names changes nothing.
    assert!(old.is_same(&new, &["ports"]) && old.is_same(&new, &["outbox"]));
    // Other settings with a key of such a name are not meant.
    let text = "broker: {url: \"mqtt://x\"}\nports: {a: {path: /dev/a, line: 9600, \
                framing: {raw: {start: x}}}}\n";
    assert!(load::parse("c.yaml", text, Path::new("/")).is_err());
}

#[test]
fn two_ports_are_never_one_device() {
    let folder = tempfile::tempdir().unwrap();
    let tty = folder.path().join("ttyS1");
    fs::write(&tty, "").unwrap();
    std::os::unix::fs::symlink(&tty, folder.path().join("by-id")).unwrap();
    let at = folder.path().display();
    let usb = "usb: {vendor: \"1a86\", product: \"7523\"}, line: 9600";
    for (a, b, same) in [
        (format!("path: {at}/ttyS1, line: 9600"), format!("path: {at}/by-id, line: 9600"), true),
        ("path: /no/x, line: 9600".into(), "path: /no/./x, line: 9600".into(), true),
        ("path: /no/x, line: 9600".into(), "path: /no/y, line: 9600".into(), false),
        (usb.into(), usb.into(), true),
        (usb.into(), "usb: {vendor: \"1a86\", product: \"7524\"}, line: 9600".into(), false),
        ("tcp: \"Host:1\"".into(), "tcp: \"host:1\"".into(), true),
        ("tcp: \"host:1\"".into(), "tcp: \"host:2\"".into(), false),
    ] {
        let text = format!("broker: {{url: \"mqtt://x\"}}\nports: {{a: {{{a}}}, b: {{{b}}}}}\n");
        let parsed = load::parse("c.yaml", &text, Path::new("/"));
        match parsed {
            Ok(_) => assert!(!same, "{text}"),
            Err(error) => {
                let error = error.to_string();
                assert!(same && error.contains("port \"a\" is the same device"), "{error}");
            }
        }
    }
}

#[test]
fn no_mistake_shows_a_secret() {
    // Letters only, so that no number or word of ours is it. A key is shown: it is no secret.
    const SECRET: &str = "Gehgeheim";
    let spellings = [
        "  passwrod: X\n",
        "  Password: X\n",
        "  pass: X\n",
        "  password: X\n  bad: 1\n",
        "  password: a@X\n  keepalive: soon\n",
        "  password: 'X'\n  password: Y\n",
        "  \"password\": \"X\"\n  'bad': 1\n",
        "  ? password\n  : X\n  bad: 1\n",
        "  password:\n    X\n  inflight: -1\n",
        "  password: >\n    a\n    X\n  inflight: -1\n",
        "  password: &p X\n  user: *p\n  bad: *p\n",
        "  password: !secret X\n",
        "  password: [X]\n",
        "  password: {a: X}\n",
        "  password: \"X\n",
        "  password: \"a\\X\"\n",
        "  password:X\n",
        "  password = X\n",
        "  password: X: X\n",
        "  password: # X\n   bad: 1\n",
        "  keepalive: X\n",
        "  keepalive: 5s # X\n  bad: 1\n",
        "  clean: X\n",
        "  auth: X\n",
        "  version: X\n",
        "  family: X\n",
        "  inflight: X\n",
        "  local_address: X\n",
        "  proxy: X\n",
        "  proxy: socks5://u:X@[::1\n",
        "  fallback: ['u:X@h']\n",
        "  fallback: X\n",
        "  user: [X]\n",
        "  X\n",
        "  - X\n",
        "  {X\n",
        "  tls: {key_file: X, bad: X}\n",
        "  tls: X\n",
        "  tls: {verify: X}\n",
        "  tls: {fingerprint: X}\n",
        "  tls: {min_version: X}\n",
        "  tls:\n    key_file: |\n      -----BEGIN PRIVATE KEY-----\n      X\n    bad: X\n",
        "\tpassword: X\n",
        "  password: %X\n",
        "  password: @X\n",
        "  password: *X\n",
        "  password: X\u{1}\n",
    ];
    let flow = [
        "{'password': X, bad: 1}",
        "{password: X, bad: 1}",
        "{password:\n  X, bad: 1}",
        "{password:X}",
        "{user: me, X}",
        "{\"password\":\"X\",\"bad\":1}",
        "{url: 'u:X@h'}",
        "{url: 'mqtt://u:X@h:99999'}",
        "{url: 'mqtt://u:X@[::1'}",
        "{url: 'X://h'}",
        "{url: 'mqtt://h/X'}",
        "{url: 'unix://X'}",
        "{url: 'mqtt://u:X%zz@h'}",
        "mqtt://u:X@h",
        "[X]",
        "{password: X",
        "{password: X}}",
        "{<<: X}",
        "{<<: {password: X}, bad: 1}",
    ];
    let block = spellings.iter().map(|text| format!("broker:\n  url: mqtt://h\n{text}{PORTS}"));
    let flow = flow.iter().flat_map(|text| {
        [
            format!("broker: {text}\n{PORTS}"),
            format!("{PORTS}broker: {text}\n"),
            format!("{{ports: {{a: {{path: /dev/a, line: 9600}}}}, broker: {text}}}\n"),
            format!("brokr: {text}\n{PORTS}"),
        ]
    });
    let elsewhere = [
        "ports:\n  a: {path: /dev/a, passwrod: X, line: 9600}\nbroker: {url: 'mqtt://h'}\n".into(),
        format!("mqtt: {{a: [X, {{b: X}}]}}\nbroker: {{url: 'mqtt://h'}}\n{PORTS}"),
        "X\n".into(),
        "- X\n".into(),
    ];
    for text in block.chain(flow).chain(elsewhere) {
        let text = text.replace('X', SECRET);
        let Err(error) = load::parse("c.yaml", &text, Path::new("/")) else { continue };
        let shown = error.to_string();
        assert!(!shown.contains(SECRET) && !shown.contains("eheim"), "{text}\n{shown}");
        for problem in &error.problems {
            assert!(!format!("{problem:?}").contains(SECRET), "{text}\n{problem:?}");
        }
        assert!(!error.problems.is_empty(), "{text}");
    }
}

#[test]
fn a_mistake_is_shown_where_it_is_whatever_it_is_called() {
    let problem = |ports: &str| {
        let text = format!("broker: {{url: \"mqtt://x\"}}\nports:\n{ports}");
        let mut problems = load::parse("c.yaml", &text, Path::new("/")).unwrap_err().problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    };
    // One port's name begins with the other's.
    let found = problem(
        "  a: {path: /dev/a, line: 9600, decode: json}\n  \
           a.decode: {path: /dev/b, line: 9600, decode: {json: {fields: [x, x]}}}\n",
    );
    assert_eq!(found.place.unwrap().line, 4);
    assert!(found.path.starts_with("ports.a.decode.decode.json"), "{}", found.path);
    // What separates a sentence from its remedy stands in what the user wrote.
    let found = problem(
        "  a: {path: /dev/a, line: 9600, messages: [{topic: \"a; b/+\"}, {topic: \"a: b\"}]}\n",
    );
    assert!(found.what.contains("\"a; b/+\" has a wildcard"), "{}", found.what);
    let found = problem(
        "  a: {path: /dev/a, line: 9600, decode: {json: {fields: [\"x; y\", \"x; y\"]}}}\n",
    );
    assert!(found.what.contains("\"x; y\""), "{}", found.what);
    let found = problem(
        "  a: {path: /dev/a, line: 9600, decode: {json: {fields: [\"x: y\", \"x: y\"]}}}\n",
    );
    assert!(found.what.contains("\"x: y\""), "{}", found.what);
}

#[test]
fn nothing_in_a_mistake_steers_a_terminal() {
    for text in [
        "\"\\e[2J\\e[31mkey\": 1\n",
        "broker: {url: \"mqtt://h\"}\nports: {a: {path: /dev/a, line: 9600, \"\\e[2J\\u202e\": 1}}\n",
        "broker: {url: \"mqtt://h\"}\nports: {a: {path: /dev/a, line: \"\\e[2J\\u009b\"}}\n",
        "broker: {url: \"mqtt://h\"}\nports: {\"a\u{202e}\": {path: /dev/a, line: x}}\n",
        "ports: \u{1b}[2J\n",
        "ports:\n  a: b\n \u{1b}[2J: c\n",
    ] {
        let error = load::parse("c\u{1b}.yaml", text, Path::new("/")).unwrap_err().to_string();
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!error.contains(steers), "{error:?}");
    }
}

#[test]
fn fifty_problems_are_told_and_the_others_counted() {
    let keys: String = (0..300).map(|n| format!("k{n}: 1\n")).collect();
    let text = format!("{keys}broker: {{url: \"mqtt://x\"}}\n{PORTS}");
    let error = load::parse("c.yaml", &text, Path::new("/")).unwrap_err();
    assert_eq!((error.problems.len(), error.more), (50, 250));
    assert!(error.to_string().ends_with("\nthe first 50 problems in c.yaml, and 250 more"));
    // Two mistakes in each of many ports, and in each of many fields of one.
    let ports: String = (0..200)
        .map(|n| format!("  p{n}: {{path: /dev/p{n}, line: fast, flow: x, a: 1}}\n"))
        .collect();
    let error = load::parse(
        "c",
        &format!("broker: {{url: \"mqtt://x\"}}\nports:\n{ports}"),
        Path::new("/"),
    );
    let error = error.unwrap_err();
    assert_eq!((error.problems.len(), error.more), (50, 550));
    let fields: String = (0..200).map(|n| format!("{{name: f{n}, decimals: x, a: 1}}, ")).collect();
    let port = format!("{{path: /dev/a, line: 9600, decode: {{json: {{fields: [{fields}]}}}}}}");
    let error = load::parse(
        "c",
        &format!("broker: {{url: \"mqtt://x\"}}\nports: {{a: {port}}}\n"),
        Path::new("/"),
    );
    let error = error.unwrap_err();
    assert_eq!((error.problems.len(), error.more), (50, 350));
}

#[test]
fn texts_that_are_too_much_are_refused() {
    let many = |text: &str, n| format!("x: {}\n", text.repeat(n));
    for text in [
        "[".repeat(1 << 20),
        "- ".repeat(1 << 19),
        "? ".repeat(1 << 19),
        many("[a, ", 200),
        format!("x: [{}]\n", "a,".repeat(1 << 19)),
        format!("[{}]\n", "a: b,".repeat(1 << 17)),
        format!("{{{}}}\n", "a,".repeat(1 << 19)),
        format!("x: [{}]\n", "&a ".repeat(1 << 18)),
        "- a\n".repeat(1 << 18),
        "---\n".repeat(1 << 18),
        "\u{feff}".repeat(1 << 18),
    ] {
        let error = load::parse("c.yaml", &text, Path::new("/")).unwrap_err();
        assert_eq!(error.problems.len(), 1);
        assert!(error.to_string().len() < 1000, "{}", &error.to_string()[..1000]);
    }
}

/// Whatever a text is, it is taken or refused.
#[test]
fn mutilated_texts_never_stop_the_reader() {
    let sources: Vec<_> = ["tests/config", "config", "tests/golden"]
        .into_iter()
        .flat_map(yaml_files)
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let special: Vec<char> =
        "{}[]:,-?&*!|>'\"%@`#\n\n  \t\u{feff}\0\u{85}é0xX<~.\\".chars().collect();
    let mut state = 1_u64;
    let mut random = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n.max(1) as u64) as usize
    };
    for round in 0..6_000 {
        let mut text: Vec<char> = sources[round % sources.len()].chars().collect();
        for _ in 0..1 + random(8) {
            let (at, to) = (random(text.len()), random(text.len()));
            match random(4) {
                0 => drop(text.drain(at..(at + random(40)).min(text.len()))),
                1 => text.insert(at, special[random(special.len())]),
                2 if !text.is_empty() => text[at] = special[random(special.len())],
                _ => {
                    let copy: Vec<_> = text[at..(at + random(80)).min(text.len())].to_vec();
                    text.splice(to..to, copy);
                }
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = load::parse("c.yaml", &text, Path::new("/")) {
            assert!(!error.problems.is_empty(), "{text}");
            let _ = error.to_string();
        }
    }
}

#[test]
fn a_websocket_is_kept_alive_below_the_60_seconds_of_web_servers() {
    for (keys, seconds) in [
        ("url: 'mqtt://a'", 60),
        ("url: 'ws://a'", 45),
        ("url: 'wss://a'", 45),
        ("url: 'mqtts://a', fallback: ['wss://b']", 45),
        ("url: 'wss://a', keepalive: 2min", 120),
        ("url: 'mqtt://a', keepalive: 5s", 5),
    ] {
        let text = format!("broker: {{{keys}}}\nports: {{p: {{tcp: \"a:1\"}}}}\n");
        let (config, _) = load::parse("c.yaml", &text, Path::new("/")).unwrap();
        assert_eq!(config.broker.keepalive().as_secs(), seconds, "{keys}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let text = format!("\u{feff}broker: {{url: \"mqtt://x\"}}\r\n{PORTS}");
    assert!(load::parse("c.yaml", &text, Path::new("/")).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    fs::write(&file, text).unwrap();
    assert!(load::load(&file).is_ok());
    for (bytes, wrong) in [
        (&b"\xff\xfeb\0:\0"[..], "it is UTF-16"),
        (b"gateway: a\nunit: \xb0C\n", "line 2 has the byte B0"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0", "no text at all"),
    ] {
        fs::write(&file, bytes).unwrap();
        let error = load::load(&file).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("= save it as UTF-8"), "{error}");
    }
}
