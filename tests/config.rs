//! Every wrong configuration under `tests/config` prints what its `.expected` file says, and every
//! example of ours is right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use tty2mqtt::config::load;

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
            Ok(_) => panic!("{name} was accepted"),
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
    assert!(differences.is_empty(), "{differences}\nUPDATE=1 cargo test --test config renews them");
}

#[test]
fn our_examples_are_right() {
    for file in ["config/example.yaml", "config/demo.yaml", "tests/decode.yaml"] {
        if let Err(error) = load::load(&root().join(file)) {
            panic!("{error}");
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
