//! Every log line that docs/openwrt.md quotes is printed, by a run in which that happens.

use crate::procd::Procd;
use crate::router::Router;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::port::Port;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The lines of the manual's blocks of log.
fn quoted() -> Vec<String> {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openwrt.md");
    let manual = fs::read_to_string(manual).unwrap();
    let mut in_log = false;
    let mut lines = Vec::new();
    for line in manual.lines().map(str::trim) {
        match line.strip_prefix("```") {
            Some(kind) => in_log = kind == "log",
            None if in_log => lines.push(line.to_owned()),
            None => {}
        }
    }
    lines
}

/// What was printed, with the names that the manual uses.
#[derive(Default)]
struct Printed(BTreeSet<String>);

impl Printed {
    fn add(&mut self, priority: &str, line: &str, names: &[(&str, &str)]) {
        let mut line = format!("{priority} tty2mqtt[1234]: {line}");
        for (here, there) in names {
            line = line.replace(here, there);
        }
        self.0.insert(line);
    }

    /// Runs the gateway on a port until it has printed these.
    fn run(
        &mut self,
        broker: u16,
        port: &str,
        more: &str,
        infos: &[&str],
        errs: &[&str],
        names: &[(&str, &str)],
    ) {
        let router = Router::new();
        // Root may write everywhere.
        if more.contains("journal") && rustix::process::geteuid().is_root() {
            router.user(65_534, 65_534);
        }
        start(&router, broker, port, more);
        let mut procd = Procd::new(&router);
        procd.obey();
        let broker = format!("127.0.0.1:{broker}");
        let mut all = vec![(broker.as_str(), "192.168.1.10:1883")];
        all.extend(names);
        for text in infos {
            self.add("daemon.info", &procd.info().wait_for(text), &all);
        }
        for text in errs {
            self.add("daemon.err", &procd.err().wait_for(text), &all);
        }
    }
}

fn start(router: &Router, broker: u16, port: &str, more: &str) {
    router.uci(&[("enabled", "1")]);
    router.config(&format!(
        "gateway: barn\nbroker: {{url: \"mqtt://127.0.0.1:{broker}\"}}\n{more}ports: {{sensor: \
         {{{port}, line: 9600 8N1}}}}\n"
    ));
    let out = router.service("start");
    assert!(out.status.success(), "{}", router.log());
}

#[test]
fn every_quoted_log_line_is_printed() {
    needs!(busybox, mosquitto);
    let mut printed = Printed::default();
    let broker = Mosquitto::start();
    let port = Port::new();
    let tty = port.path().display().to_string();
    let path = format!("path: {tty}");

    let away = free_port();
    printed.run(
        away,
        "path: /dev/no-such-tty",
        "",
        &[],
        &["is not there"],
        &[("no-such-tty", "ttyUSB0")],
    );
    printed.run(away, "path: /dev/no-such-tty", "", &[], &["cannot connect"], &[]);
    let usb = "usb: {vendor: ffff, product: ffff}";
    printed.run(away, usb, "", &[], &["no USB adapter"], &[("ffff:ffff", "1a86:7523")]);
    let silent = format!("{path}, silent_after: 1s");
    printed.run(away, &silent, "", &[], &["not a byte"], &[("for 1s", "for 600s")]);
    for (hello, text) in [
        (&b"Port already in use\r\n"[..], "closed it at once"),
        (b"\xFF\xFB\x03\xFF\xFD\x03\xFF\xFB\x01", "speaks telnet"),
    ] {
        let server = says_and_closes(hello);
        let tcp = (server.as_str(), "192.168.1.7:2000");
        printed.run(away, &format!("tcp: \"{server}\""), "", &[], &[text], &[tcp]);
    }
    // One folder belongs to root, the other one is not mounted.
    for path_of_journal in ["/tty2mqtt", "/no/such/tty2mqtt"] {
        let journal =
            format!("outbox: {{durability: spill, journal: {{path: {path_of_journal}}}}}\n");
        let stick = (format!("journal: {path_of_journal}"), "journal: /mnt/stick/tty2mqtt");
        printed.run(away, &path, &journal, &[], &["journal: "], &[(&stick.0, stick.1)]);
    }
    let closed = Mosquitto::with("", "allow_anonymous false\n");
    printed.run(closed.port, &path, "", &[], &["does not let us in"], &[]);

    // A killed gateway leaves its port to nobody but root as long as the other end is open.
    let port = Port::new();
    let tty = port.path().display().to_string();
    let path = format!("path: {tty}");
    let mut holder = Command::new("sleep")
        .arg("300")
        .stdin(fs::File::open(port.path()).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let by = format!("sleep (pid {})", holder.id());
    printed.run(
        away,
        &path,
        "",
        &[],
        &["is in use by"],
        &[(&tty, "/dev/ttyS0"), (&by, "ash (pid 1000)")],
    );
    holder.kill().unwrap();
    holder.wait().unwrap();

    whole_life(&mut printed, &broker, Port::new());
    refusals(&mut printed);
    let missing: Vec<_> = quoted().into_iter().filter(|line| !printed.0.contains(line)).collect();
    assert!(missing.is_empty(), "not printed: {missing:#?}\nprinted: {:#?}", printed.0);
    assert!(quoted().len() >= 15);
}

/// A serial server that says this to whoever comes, and closes. Its address.
fn says_and_closes(hello: &'static [u8]) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Who came may have left.
            let _ = stream.unwrap().write_all(hello);
        }
    });
    address
}

/// A port that is opened, says something wrong, and is pulled and put back.
fn whole_life(printed: &mut Printed, broker: &Mosquitto, mut port: Port) {
    let router = Router::new();
    let tty = port.path().display().to_string();
    let settings = format!(
        "path: {tty}, framing: {{lines: {{limit: 16B}}}}, decode: {{fields: {{names: [{{name: \
         temperature, scale: 0.1}}, humidity]}}}}"
    );
    start(&router, broker.port, &settings, "");
    let mut procd = Procd::new(&router);
    procd.obey();
    let address = format!("127.0.0.1:{}", broker.port);
    let names = [(tty.as_str(), "/dev/ttyUSB0"), (address.as_str(), "192.168.1.10:1883")];
    let mut info = |text: &str| printed.add("daemon.info", &procd.info().wait_for(text), &names);
    info("as barn");
    // Which of the two comes first is open.
    for _ in 0..2 {
        let line = procd.info().wait_for_any(&["connected to", "is open"]);
        printed.add("daemon.info", &line, &names);
    }
    port.write(b"\r\n2x.5,40\r\n");
    let mut err = |text: &str| printed.add("daemon.err", &procd.err().wait_for(text), &names);
    err("temperature refused");
    port.write(b"a line that is too long\r\n");
    err("bad frames");
    port.replug();
    err("unplugged");
    printed.add("daemon.info", &procd.info().wait_for("is open again"), &names);
}

/// What the init script says.
fn refusals(printed: &mut Printed) {
    let router = Router::new();
    router.defaults();
    router.uci(&[("enabled", "1")]);
    router.service("start");
    fs::remove_file(router.path("/user")).unwrap();
    router.service("start");
    printed.0.extend(router.log().lines().map(str::to_owned));
}
