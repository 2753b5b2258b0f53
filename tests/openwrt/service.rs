//! The init script.

use crate::procd::Procd;
use crate::router::Router;
use crate::support::lines::Lines;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tty2mqtt::testing::config::{Config, Files, load};

const PORTS: &str = "ports: {a: {path: /dev/a, line: 9600 8N1}}\n";

/// A router with a configuration that is right.
fn router(uci: &[(&str, &str)]) -> Router {
    let router = Router::new();
    router.uci(uci);
    router.config(&format!("gateway: gw\nbroker: {{url: \"mqtt://127.0.0.1\"}}\n{PORTS}"));
    router
}

/// Passes over lines until both were there, in whichever order.
fn wait_for_both(lines: &Lines, texts: [&str; 2]) {
    let first = lines.wait_for_any(&texts);
    lines.wait_for(if first.contains(texts[0]) { texts[1] } else { texts[0] });
}

/// The package procd-ujail.
fn with_jails(router: &Router) {
    router.write("/sbin/ujail", "");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(router.path("/sbin/ujail"), executable).unwrap();
}

/// What procd was told since: the methods.
fn calls_since(router: &Router, before: usize) -> Vec<String> {
    router.ubus().into_iter().skip(before).map(|(method, _)| method).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What `RUN/broker.yaml` makes of the configuration.
fn laid_over(router: &Router) -> Config {
    let files = Files {
        config: router.path("/etc/tty2mqtt/config.yaml"),
        broker: Some(router.path("/var/etc/tty2mqtt/broker.yaml")),
    };
    load::load_files(&files).unwrap().0
}

#[test]
fn a_fresh_installation_starts_nothing() {
    needs!(busybox);
    let router = Router::new();
    assert!(router.service("start").status.success());
    assert_eq!(router.instances(), json!({}));
    assert_eq!(router.log(), "");
}

#[test]
fn procd_is_told_all_that_it_must_know() {
    needs!(busybox);
    let router = router(&[("enabled", "1"), ("interface", "wan wwan")]);
    with_jails(&router);
    fs::create_dir_all(router.path("/mnt/stick/tty2mqtt")).unwrap();
    let journal = router.path("/mnt/stick/tty2mqtt");
    router.config(&format!(
        "broker: {{url: \"mqtts://b\", tls: {{ca_file: ../ssl/own/ca.pem}}}}\noutbox: {{durability: \
         spill, journal: {{path: {}}}}}\n{PORTS}",
        journal.display()
    ));
    fs::create_dir_all(router.path("/etc/ssl/own")).unwrap();
    let out = router.service("start");
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}\n{}", router.log());
    let (_, argument) = router.ubus().pop().unwrap();
    let expected = json!({
        "name": "tty2mqtt",
        "instances": {"tty2mqtt": {
            "command": [
                "/usr/bin/tty2mqtt", "run", "--config", "/etc/tty2mqtt/config.yaml",
                "--broker-file", "/var/etc/tty2mqtt/broker.yaml", "--log", "info", "--log-split",
            ],
            "user": "tty2mqtt",
            "group": "tty2mqtt",
            "file": ["/etc/tty2mqtt/config.yaml", "/var/etc/tty2mqtt/broker.yaml"],
            "reload_signal": 1,
            "respawn": ["3600", "5", "0"],
            "stdout": true,
            "stderr": true,
            "no_new_privs": true,
            "limits": {"core": "0 0", "nofile": "1024 1024"},
            "term_timeout": 70,
            "jail": {
                "name": "tty2mqtt",
                "procfs": true,
                "sysfs": true,
                "mount": {
                    "/dev": "1",
                    "/etc/hosts": "0",
                    "/etc/resolv.conf": "0",
                    "/tmp/resolv.conf.d": "0",
                    "/etc/ssl": "0",
                    "/mnt/stick/tty2mqtt": "1",
                    "/etc/tty2mqtt": "0",
                    "/etc/tty2mqtt/../ssl/own": "0",
                    "/var/etc/tty2mqtt": "0",
                    "/var/run/tty2mqtt": "1",
                },
            },
        }},
        "triggers": [
            ["config.change", ["if", ["eq", "package", "tty2mqtt"],
                ["run_script", "/etc/init.d/tty2mqtt", "reload"]], 1000],
            ["interface.*.up", ["if", ["eq", "interface", "wan"],
                ["run_script", "/etc/init.d/tty2mqtt", "network"]], 1000],
            ["interface.*.up", ["if", ["eq", "interface", "wwan"],
                ["run_script", "/etc/init.d/tty2mqtt", "network"]], 1000],
            ["mount.add", ["if", ["eq", "target", "/mnt/stick"],
                ["run_script", "/etc/init.d/tty2mqtt", "restart"]], 1000],
        ],
    });
    assert_eq!(argument, expected, "{argument:#}");

    // Without a jail, if the owner or the router says so.
    router.uci(&[("enabled", "1"), ("jail", "0")]);
    router.service("start");
    assert!(router.instances()["tty2mqtt"].get("jail").is_none());
    router.uci(&[("enabled", "1")]);
    fs::remove_file(router.path("/sbin/ujail")).unwrap();
    router.service("start");
    assert!(router.instances()["tty2mqtt"].get("jail").is_none());
}

#[test]
fn without_its_user_it_does_not_start() {
    needs!(busybox);
    let router = router(&[("enabled", "1")]);
    fs::remove_file(router.path("/user")).unwrap();
    router.service("start");
    assert_eq!(router.instances(), json!({}));
    assert_eq!(
        router.log(),
        "daemon.err tty2mqtt: not started: the user tty2mqtt does not exist; install the package \
         again\n"
    );
}

#[test]
fn a_wrong_configuration_is_said_once_and_nothing_starts() {
    needs!(busybox);
    let router = router(&[("enabled", "1")]);
    router.config("broker: {url: \"mqtt://x\"}\nports: {}\n");
    router.service("start");
    assert_eq!(router.instances(), json!({}));
    let log = router.log();
    let lines: Vec<_> = log.lines().collect();
    let first =
        "daemon.err tty2mqtt: tty2mqtt: /etc/tty2mqtt/config.yaml:3:1: ports: there is no port";
    assert_eq!(lines[0], first, "{log}");
    assert_eq!(
        *lines.last().unwrap(),
        "daemon.err tty2mqtt: nothing was started or changed; put it right, then: service tty2mqtt \
         reload"
    );
    assert_eq!(log.matches("there is no port").count(), 1);
    // What it lacks may be on a disk that is mounted later.
    let (_, argument) = router.ubus().pop().unwrap();
    let later = json!(["mount.add", [["run_script", "/etc/init.d/tty2mqtt", "reload"]], 1000]);
    assert!(argument["triggers"].as_array().unwrap().contains(&later), "{argument:#}");

    // It starts with the reload that follows the repair.
    router.config(&format!("broker: {{url: \"mqtt://x\"}}\n{PORTS}"));
    router.service("reload");
    assert!(router.instances().get("tty2mqtt").is_some(), "{}", router.log());
}

#[test]
fn a_start_with_a_wrong_configuration_leaves_what_runs() {
    needs!(busybox);
    let router = router(&[("enabled", "1")]);
    router.service("start");
    let before = router.ubus().len();
    router.config("nonsense");
    assert!(!router.service("start").status.success());
    assert_eq!(router.ubus().len(), before);
    assert!(router.log().contains("nothing was started or changed"), "{}", router.log());
    // A stop is a stop.
    router.service("restart");
    assert_eq!(calls_since(&router, before), ["delete", "set"]);
    assert_eq!(router.instances(), json!({}));
}

#[test]
fn what_a_jail_cannot_be_given_later_takes_a_restart() {
    needs!(busybox);
    let router = router(&[("enabled", "1")]);
    with_jails(&router);
    let certificates = router.path("/etc/own");
    fs::create_dir_all(&certificates).unwrap();
    let config = |broker: &str| router.config(&format!("broker: {{{broker}}}\n{PORTS}"));
    config("url: \"mqtt://b\"");
    router.service("start");
    let before = router.ubus().len();
    config("url: \"mqtt://c\"");
    router.service("reload");
    assert_eq!(calls_since(&router, before), ["set"]);
    fs::write(certificates.join("password"), "x").unwrap();
    config(&format!(
        "url: \"mqtt://c\", user: u, password_file: {}/password",
        certificates.display()
    ));
    router.service("reload");
    assert_eq!(calls_since(&router, before), ["set", "delete", "set"], "{}", router.log());
    let mounts = &router.instances()["tty2mqtt"]["jail"]["mount"];
    assert_eq!(mounts["/etc/own"], "0", "{mounts:#}");
    // Without a jail the gateway sees it all; it takes a restart to take another journal, though.
    router.uci(&[("enabled", "1"), ("jail", "0")]);
    router.service("reload");
    let before = router.ubus().len();
    config("url: \"mqtt://c\"");
    router.service("reload");
    assert_eq!(calls_since(&router, before), ["set"]);
    router.config(&format!(
        "broker: {{url: \"mqtt://c\"}}\noutbox: {{durability: spill, journal: {{path: {}}}}}\n{PORTS}",
        router.path("/mnt").display()
    ));
    router.service("reload");
    assert_eq!(calls_since(&router, before), ["set", "delete", "set"]);
    router.uci(&[("enabled", "0")]);
    router.service("reload");
    assert!(!router.path("/var/etc/tty2mqtt").exists());
}

#[test]
fn other_name_servers_take_a_restart_in_a_jail() {
    needs!(busybox);
    let router = router(&[("enabled", "1")]);
    with_jails(&router);
    router.write("/etc/resolv.conf", "");
    router.service("start");
    let before = router.ubus().len();
    router.service("network");
    assert!(calls_since(&router, before).is_empty());
    let asked = "\ntty2mqtt reconnect --config /etc/tty2mqtt/config.yaml\n";
    assert_eq!(router.trace().matches(asked).count(), 1);
    // As a network that came up writes it.
    router.write("/etc/resolv.conf", "nameserver 192.0.2.1\n");
    router.service("network");
    assert_eq!(calls_since(&router, before), ["delete", "set"]);
    router.service("network");
    assert_eq!(calls_since(&router, before).len(), 2);
    assert_eq!(router.trace().matches(asked).count(), 2);
}

#[test]
fn options_that_would_end_the_gateway_at_once_are_refused() {
    needs!(busybox);
    for (option, value, why) in [
        ("log", "loud", "--log \"loud\" is not a valid filter"),
        ("url", "http://x", "/var/etc/tty2mqtt/broker.new:3:8: broker.url: "),
        ("password", "geheim", "/var/etc/tty2mqtt/broker.new:3:3: broker.password: "),
        ("config", "/etc/tty2mqtt/none.yaml", "none.yaml: cannot read the configuration"),
    ] {
        let router = router(&[("enabled", "1"), (option, value)]);
        router.service("start");
        assert_eq!(router.instances(), json!({}), "{option}");
        assert!(router.log().contains(why), "{option}: {}", router.log());
        assert!(!router.log().contains("geheim"));
        assert!(!router.path("/var/etc/tty2mqtt/broker.new").exists());
    }
}

#[test]
fn a_file_that_the_gateways_user_may_not_read_is_found_before_the_start() {
    needs!(busybox);
    let router = router(&[("enabled", "1")]);
    // Root may read what another user may not; who is not root is that user.
    let closed = if is_root() { 0o600 } else { 0o000 };
    if is_root() {
        router.user(65_534, 65_534);
    }
    let uid = router.ids().0;
    let file = router.path("/etc/tty2mqtt/config.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(closed)).unwrap();
    router.service("start");
    assert_eq!(router.instances(), json!({}));
    assert!(router.log().contains("it must be readable by this user"), "{}", router.log());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    router.service("start");
    assert!(router.instances().get("tty2mqtt").is_some(), "{}", router.log());
    let broker = fs::metadata(router.path("/var/etc/tty2mqtt/broker.yaml")).unwrap();
    assert_eq!((broker.uid(), broker.mode() & 0o7777), (uid, 0o600));
    // The folder is root's: the gateway's user can put no link in the way of what root writes.
    let folder = fs::metadata(router.path("/var/etc/tty2mqtt")).unwrap();
    let me = rustix::process::geteuid().as_raw();
    assert_eq!((folder.uid(), folder.mode() & 0o022), (me, 0));
    let run = fs::metadata(router.path("/var/run/tty2mqtt")).unwrap();
    assert_eq!(run.uid(), uid);
}

#[test]
fn a_login_comes_through_whole_and_is_seen_by_nobody() {
    needs!(busybox);
    let secrets = [
        "plain geheim",
        "geheim \"double\" and 'single'",
        "geheim\\n\\\\ \\\" \\",
        "geheim\nsecond line\n\nfourth\n",
        "\tgeheim\ttab \r end ",
        "$(touch @/evil) `touch @/evil` $HOME ${PATH} geheim ; touch @/evil",
        "geheim: # {x} [y] & *z !t % @ | > - ? ,",
        "géheim 🔑 geheim",
        "*geheim?",
        "-n geheim",
        "END\n\tEND\ngeheim",
    ];
    for secret in secrets {
        let router = router(&[]);
        let secret = secret.replace('@', &router.path("").display().to_string());
        router.uci(&[
            ("enabled", "1"),
            ("url", "mqtt://127.0.0.1:1884"),
            ("username", &secret),
            ("password", &secret),
        ]);
        let out = router.service("start");
        assert!(out.stderr.is_empty(), "{secret:?}: {out:?}");
        assert!(router.instances().get("tty2mqtt").is_some(), "{secret:?}: {}", router.log());
        let broker = laid_over(&router).broker;
        assert_eq!(broker.url.to_string(), "mqtt://127.0.0.1:1884");
        assert_eq!(broker.user.as_deref(), Some(secret.as_str()));
        assert_eq!(broker.password.unwrap().reveal(), secret.as_bytes());
        let mode = fs::metadata(router.path("/var/etc/tty2mqtt/broker.yaml")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let seen = format!("{}{}{:?}", router.trace(), router.log(), router.ubus());
        assert!(!seen.contains("eheim"), "{secret:?}: {seen}");
        assert!(!router.path("/evil").exists(), "{secret:?}");
        router.service("stop");
        assert!(!router.path("/var/etc/tty2mqtt").exists());
    }
}

#[test]
fn from_the_sensor_to_the_broker_and_through_every_reload() {
    needs!(busybox, mosquitto);
    let (first, second) = (Mosquitto::start(), Mosquitto::start());
    let mut port = Port::new();
    let router = router(&[("enabled", "1")]);
    let config = |name: &str| {
        format!(
            "gateway: gw\nbroker: {{url: \"mqtt://127.0.0.1:{}\"}}\nports:\n  {name}:\n    path: \
             {}\n    line: 9600 8N1\n",
            first.port,
            port.path().display()
        )
    };
    let (as_line, as_meter) = (config("line"), config("meter"));
    router.config(&as_line);
    let mut procd = Procd::new(&router);
    router.service("start");
    procd.obey();
    let pid = procd.pid();
    wait_for_both(procd.info(), ["INFO connected to", "is open"]);
    let counter = Counter::start(&first, "gw/+/text");
    port.write(b"\r\n21.5\r\n");
    counter.expect("gw/line/text 21.5");

    // A changed file is read again, by the same process.
    router.config(&as_meter);
    router.service("reload");
    procd.obey();
    let counts = "configuration reloaded";
    wait_for_both(procd.info(), ["port meter: ", counts]);
    port.write(b"\r\n22.5\r\n");
    counter.expect("gw/meter/text 22.5");
    let calls = router.ubus().len();

    // A wrong one changes nothing, and procd hears nothing of it.
    router.config("nonsense");
    assert!(!router.service("reload").status.success());
    assert_eq!(router.ubus().len(), calls);
    procd.obey();
    port.write(b"23.5\r\n");
    counter.expect("gw/meter/text 23.5");
    assert!(router.log().contains("nothing was started or changed"), "{}", router.log());

    // Another broker, in UCI: signalled because of the file that it is written to.
    router.config(&as_meter);
    let url = format!("mqtt://127.0.0.1:{}", second.port);
    let counter = Counter::start(&second, "gw/+/text");
    router.uci(&[("enabled", "1"), ("url", &url)]);
    router.service("reload");
    procd.obey();
    procd.info().wait_for(&format!("connected to {url}"));
    port.write(b"24.5\r\n");
    counter.expect("gw/meter/text 24.5");

    // Another log level: the arguments of the next start, and right now.
    router.uci(&[("enabled", "1"), ("url", &url), ("log", "warn,port=debug")]);
    router.service("reload");
    procd.obey();
    let command = &router.instances()["tty2mqtt"]["command"];
    assert_eq!(command[7], "warn,port=debug");
    let answer = router.tty2mqtt(&["log"]);
    assert_eq!(answer.trim(), "warn,port=debug");
    assert_eq!(procd.pid(), pid);

    // Another file takes another process.
    let other = router.path("/etc/tty2mqtt/other.yaml");
    fs::rename(router.path("/etc/tty2mqtt/config.yaml"), &other).unwrap();
    router.uci(&[("enabled", "1"), ("config", &other.display().to_string())]);
    router.service("reload");
    procd.obey();
    assert_ne!(procd.pid(), pid);
    procd.info().wait_for("INFO connected to");

    // Errors and warnings come on the other stream.
    port.unplug();
    procd.err().wait_for("WARN port meter: ");
    router.hotplug("add", "ttyUSB0");
    assert!(router.trace().contains("\ntty2mqtt rescan\n"));

    router.uci(&[("enabled", "0")]);
    router.service("reload");
    procd.obey();
    assert_eq!(router.instances(), json!({}));
}

#[test]
fn hotplug_looks_for_devices_that_came_and_for_nothing_else() {
    needs!(busybox);
    let router = router(&[("enabled", "1")]);
    for (action, tty) in [("remove", "ttyUSB0"), ("add", "tty0"), ("bind", "ttyUSB0"), ("add", "")]
    {
        router.hotplug(action, tty);
        assert!(!router.trace().contains("tty2mqtt "), "{action} {tty}");
    }
    router.hotplug("add", "ttyACM0");
    assert!(router.trace().contains("\ntty2mqtt rescan\n"));
}
