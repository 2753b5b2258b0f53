//! What a test needs of this machine. Where that is missing the test is skipped: loudly, and counted.
//!
//! `needs!(mosquitto)` is a test's first line. With `NO_SKIPS=1`, as in `make test`, it fails instead.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

macro_rules! needs {
    ($($what:ident),+) => {
        $(
            if !crate::support::needs::$what() {
                return;
            }
        )+
    };
}

/// Where a program is, by `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn is_there(what: &str, is_there: bool) -> bool {
    if is_there {
        return true;
    }
    let remedy = "`make deps` installs it";
    let fails = std::env::var_os("NO_SKIPS").is_some_and(|value| !value.is_empty());
    assert!(!fails, "{what} is missing: {remedy}");
    skip(what, remedy);
    false
}

/// Says loudly that the test which runs is skipped.
pub fn skip(what: &str, remedy: &str) {
    static SKIPPED: AtomicU32 = AtomicU32::new(0);
    let n = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    // Not eprintln!: that is captured.
    let line = format!("SKIPPED {test}: {what} is missing, {remedy}; {n} skipped so far\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn program(name: &str) -> bool {
    is_there(name, find(name).is_some())
}

/// A file below `target`, where the scripts put what they fetch.
fn fetched(path: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(path);
    is_there(&path.display().to_string(), path.exists())
}

/// What others read Sparkplug B and Homie with.
pub fn formats() -> bool {
    fetched("formats/wanted")
}

/// The broker and its programs.
pub fn mosquitto() -> bool {
    is_there("mosquitto", super::mosquitto::program().is_file())
        && ["mosquitto_pub", "mosquitto_sub", "mosquitto_passwd"].into_iter().all(program)
}

pub fn ser2net() -> bool {
    program("ser2net")
}

pub fn strace() -> bool {
    program("strace")
}

pub fn c_compiler() -> bool {
    program("cc")
}

/// With a compiler for what is linked with it.
pub fn libmodbus() -> bool {
    is_there("libmodbus", Path::new("/usr/include/modbus/modbus.h").is_file()) && c_compiler()
}

pub fn mbpoll() -> bool {
    program("mbpoll")
}

pub fn pymodbus() -> bool {
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/wanted");
    let wanted = std::fs::read_to_string(wanted).unwrap_or_default();
    is_there("pymodbus", wanted.contains("pymodbus=="))
}

pub fn openssl() -> bool {
    program("openssl")
}

pub fn python() -> bool {
    program("python3")
}

pub fn busybox() -> bool {
    program("busybox")
}

/// What `scripts/foreign` fetches, and what runs it.
pub fn foreign() -> bool {
    fetched("foreign/mqtt-packet.jsonl") && fetched("foreign/paho") && fetched("tools/bin/python")
}

/// What `scripts/brokers` fetches.
pub fn brokers() -> bool {
    ["aedes/node_modules", "amqtt/venv", "rabbitmq/usr"]
        .into_iter()
        .all(|path| fetched(&format!("brokers/{path}")))
        && program("node")
}

pub fn rabbitmq() -> bool {
    fetched("brokers/rabbitmq/usr")
}

/// A tmpfs in a namespace of its own.
pub fn namespaces() -> bool {
    let mut command = std::process::Command::new("unshare");
    let arguments = ["--user", "--map-root-user", "--mount", "true"];
    let works = command.args(arguments).output().is_ok_and(|output| output.status.success());
    is_there("unshare with user namespaces", works)
}
