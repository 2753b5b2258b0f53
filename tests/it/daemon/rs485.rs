//! What the kernel is asked where RS-485 is switched, as strace sees it. A PTY refuses all of it.

use crate::support::lines::Lines;
use crate::support::port::Port;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};

/// The calls of a driver by the thread that opens the port, in their order, and the log up to `until`.
fn calls(folder: &Path, rs485: &str, inject: &str, until: &str) -> (Vec<String>, String) {
    let port = Port::new();
    let [config, trace] = ["config.yaml", "trace"].map(|name| folder.join(name));
    let text = format!(
        "control: {}\nbroker: {{url: \"mqtt://127.0.0.1:1\"}}\nports:\n  p: {{path: {}, line: 9600 8N1, \
         bus: {{rs485: {rs485}}}}}\n",
        folder.join("control.sock").display(),
        port.path().display()
    );
    std::fs::write(&config, text).unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-e", "trace=ioctl", "-o"]).arg(&trace);
    if !inject.is_empty() {
        strace.args(["-e", inject]);
    }
    strace.arg(env!("CARGO_BIN_EXE_tty2mqtt")).args(["run", "--config"]).arg(&config);
    let mut child = strace.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let log = Lines::of(child.stderr.take().unwrap());
    let line = log.wait_for(until);
    // strace itself takes no signal; the first call is one of the gateway's first thread.
    let first = std::fs::read_to_string(&trace).unwrap();
    let pid = first.split(' ').next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::TERM).unwrap();
    child.wait().unwrap();
    let trace = std::fs::read_to_string(trace).unwrap();
    let mut lines: Vec<_> = trace.lines().filter_map(|line| line.split_once(' ')).collect();
    let opener = lines.iter().find(|(_, call)| call.contains("TCGETS2")).unwrap().0;
    lines.retain(|(thread, _)| *thread == opener);
    (lines.into_iter().map(|(_, call)| call.trim().to_owned()).collect(), line)
}

#[test]
fn the_kernels_mode_is_asked_for_after_what_the_device_tree_says() {
    needs!(strace);
    let folder = tempfile::tempdir().unwrap();
    let (asked, line) = calls(folder.path(), "kernel", "", "port p");
    assert!(line.contains("its driver has no RS-485 mode"), "{line}");
    let at = asked.iter().position(|call| call.contains("TIOCGRS485")).unwrap();
    assert!(asked[at].contains("ENOTTY"), "{}", asked[at]);
    // As a driver that has the mode would answer: nothing in the device tree, then what was set.
    let zeros = "00".repeat(32);
    let get = format!("inject=ioctl:retval=0:poke_exit=@arg3={zeros}:when={}", at + 1);
    let (asked, line) = calls(folder.path(), "kernel", &get, "port p");
    assert!(asked[at].contains("TIOCGRS485") && asked[at].contains("= 0"), "{}", asked[at]);
    assert!(asked[at + 1].contains("TIOCSRS485"), "{}", asked[at + 1]);
    assert!(line.contains("its driver has no RS-485 mode"), "{line}");
}

#[test]
fn rts_is_off_before_anything_is_written() {
    needs!(strace);
    let folder = tempfile::tempdir().unwrap();
    let (asked, line) = calls(folder.path(), "rts", "", "port p");
    assert!(line.contains("its driver cannot switch RTS"), "{line}");
    assert!(asked.iter().any(|call| call.contains("TIOCMBIC, [TIOCM_RTS])")), "{asked:?}");
}
