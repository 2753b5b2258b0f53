//! The kinds of brokers and how each is started.

use crate::broker::{Kind, PASSWORD, Place, USER, fetched};
use crate::support::mosquitto;
use std::path::{Path, PathBuf};
use std::process::Command;

pub static ALL: &[&Kind] = &[&MOSQUITTO, &AEDES, &AMQTT, &RABBITMQ];

static MOSQUITTO: Kind = Kind {
    name: "mosquitto",
    keeps: true,
    version: || {
        let output = Command::new(mosquitto::program()).arg("-h").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // `mosquitto version 2.0.11`
        text.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned()
    },
    prepare: |place| {
        mosquitto::password_file(place.path("passwords").as_ref(), USER, PASSWORD);
        let Place { tcp, ws, tls, mutual, .. } = place;
        let file = |name| place.path(name);
        let identity = format!("certfile {}\nkeyfile {}\n", file("server.pem"), file("server.key"));
        // As root it would give up the right to read the folder.
        let config = format!(
            "user root\nallow_anonymous false\npassword_file {}\nmax_queued_messages 0\n\
             set_tcp_nodelay true\npersistence true\npersistence_location {}/\n\
             autosave_on_changes true\nautosave_interval 1\n\
             listener {tcp} 127.0.0.1\n\
             listener {ws} 127.0.0.1\nprotocol websockets\n\
             listener {tls} 127.0.0.1\n{identity}\
             listener {mutual} 127.0.0.1\n{identity}cafile {}\nrequire_certificate true\n",
            file("passwords"),
            place.folder.display(),
            file("ca.pem"),
        );
        place.write("mosquitto.conf", &config);
    },
    commands: |place| {
        let mut command = Command::new(mosquitto::program());
        command.args(["-c", &place.path("mosquitto.conf")]);
        vec![(command, " running")]
    },
};

static AEDES: Kind = Kind {
    name: "aedes",
    keeps: false,
    version: || {
        let text = std::fs::read_to_string(fetched("aedes/node_modules/aedes/package.json"));
        let package: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
        package["version"].as_str().unwrap().to_owned()
    },
    prepare: |_| (),
    commands: |place| {
        let mut command = Command::new("node");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/brokers/aedes.js"))
            .arg(fetched("aedes/node_modules"))
            .arg(&place.folder)
            .args([place.tcp, place.ws, place.tls, place.mutual].map(|port| port.to_string()));
        vec![(command, "ready")]
    },
};

/// Of [`PASSWORD`], with as little work as argon2 allows.
const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$rl/uDLNs9aMsDESrlpUqow\
                    $FZORt6ArUWT7+c+BNK3H11s3gClg4+uyEUeOgEMXCmg";

static AMQTT: Kind = Kind {
    name: "amqtt",
    keeps: false,
    version: || {
        let output = Command::new(fetched("amqtt/venv/bin/amqtt")).arg("--version").output();
        String::from_utf8_lossy(&output.unwrap().stdout).trim().to_owned()
    },
    prepare: |place| {
        place.write("passwords", &format!("{USER}:{HASH}\n"));
        let Place { tcp, ws, tls, mutual, .. } = place;
        let file = |name| place.path(name);
        let identity =
            format!("ssl: true, certfile: {}, keyfile: {}", file("server.pem"), file("server.key"));
        let config = format!(
            "listeners:\n\
             \x20 default: {{type: tcp, bind: '127.0.0.1:{tcp}'}}\n\
             \x20 web: {{type: ws, bind: '127.0.0.1:{ws}'}}\n\
             \x20 tls: {{type: tcp, bind: '127.0.0.1:{tls}', {identity}}}\n\
             \x20 mutual: {{type: tcp, bind: '127.0.0.1:{mutual}', {identity}, cafile: {}}}\n\
             plugins:\n\
             \x20 amqtt.plugins.authentication.FileAuthPlugin: {{password_file: {}}}\n",
            file("ca.pem"),
            file("passwords")
        );
        place.write("amqtt.yaml", &config);
    },
    commands: |place| {
        let mut command = Command::new(fetched("amqtt/venv/bin/amqtt"));
        command.args(["-c", &place.path("amqtt.yaml")]).env("PYTHONDONTWRITEBYTECODE", "1");
        vec![(command, "Listener 'mutual' bind to")]
    },
};

static RABBITMQ: Kind = Kind {
    name: "RabbitMQ",
    keeps: true,
    version: || {
        let server = rabbitmq("usr/lib/rabbitmq/lib", "rabbitmq_server-");
        let name = server.file_name().unwrap().to_str().unwrap().to_owned();
        name.trim_start_matches("rabbitmq_server-").to_owned()
    },
    prepare: |place| {
        let Place { tcp, ws, tls, mutual, .. } = place;
        let file = |name| place.path(name);
        let config = format!(
            "listeners.tcp = none\nlog.file = false\nlog.console = true\n\
             default_user = {USER}\ndefault_pass = {PASSWORD}\nmqtt.allow_anonymous = false\n\
             mqtt.listeners.tcp.1 = 127.0.0.1:{tcp}\nmqtt.listeners.ssl.1 = 127.0.0.1:{tls}\n\
             mqtt.listeners.ssl.2 = 127.0.0.1:{mutual}\n\
             web_mqtt.tcp.ip = 127.0.0.1\nweb_mqtt.tcp.port = {ws}\nweb_mqtt.ws_path = /mqtt\n\
             ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = false\n",
            file("ca.pem"),
            file("server.pem"),
            file("server.key")
        );
        place.write("rabbitmq.conf", &config);
        place.write("plugins", "[rabbitmq_mqtt, rabbitmq_web_mqtt].\n");
    },
    commands: |place| {
        let [names, distribution] = place.inner.map(|port| port.to_string());
        let erts = rabbitmq("usr/lib/erlang", "erts-");
        let mut epmd = Command::new(erts.join("bin/epmd"));
        epmd.args(["-d", "-d", "-port", &names, "-address", "127.0.0.1"]);
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", fetched("rabbitmq/bin").display());
        let mut server = Command::new(fetched("rabbitmq/usr/lib/rabbitmq/bin/rabbitmq-server"));
        // With input it puts itself in the place of its shell script.
        server
            .arg("-noinput")
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("PATH", path)
            .env("HOME", &place.folder)
            .env("ERL_EPMD_PORT", names)
            .env("ERL_CRASH_DUMP", "/dev/null")
            .env("RABBITMQ_DIST_PORT", distribution)
            .env("RABBITMQ_NODENAME", format!("tests{}@localhost", place.tcp))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            )
            .current_dir(&place.folder);
        for (name, file) in [
            ("CONF_ENV_FILE", "none"),
            ("CONFIG_FILE", "rabbitmq.conf"),
            ("ADVANCED_CONFIG_FILE", "none.config"),
            ("ENABLED_PLUGINS_FILE", "plugins"),
            ("MNESIA_BASE", "data"),
            ("LOG_BASE", "log"),
            ("PLUGINS_EXPAND_DIR", "expanded"),
            ("GENERATED_CONFIG_DIR", "generated"),
            ("FEATURE_FLAGS_FILE", "flags"),
            ("PID_FILE", "pid"),
        ] {
            server.env(format!("RABBITMQ_{name}"), place.path(file));
        }
        vec![(epmd, "entering the main select() loop"), (server, "Server startup complete")]
    },
};

/// The folder in another one that begins with a name.
fn rabbitmq(folder: &str, name: &str) -> PathBuf {
    let folder = fetched("rabbitmq").join(folder);
    let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let begins = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
    entries.find(begins).unwrap()
}
