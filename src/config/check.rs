//! Checks that need more than one key.

mod devices;
mod format;
mod home_assistant;
pub(super) mod network;
mod status;

use super::load::Found;
use super::overlay::Files;
use super::tree::Path;
use super::{Auth, Broker, Config, hint};
use crate::base::durability::Durability;
use crate::base::scalar::Span;
use crate::device;
use crate::device::mapping::Mapping;
use crate::device::settings::{Decode, Decrypt, FieldOverride, PollSettings, RegisterSettings};
use crate::mqtt::packet::Version;
use crate::mqtt::transport::settings::Pem;
use crate::outbox::settings::SyncPolicy;
use crate::port::rs485::{self, Rs485};
use crate::port::settings::{Flow, ModemLine, Port, Protocol};
use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Finds everything that is wrong with a configuration whose keys are valid one by one.
pub(super) fn check(config: &Config, found: &mut Found<'_>) {
    found.gateway(config);
    found.broker(&config.broker);
    found.outbox(config);
    status::check(config, found);
    home_assistant::check(config, found);
    format::check(config, found);
    if config.ports.is_empty() {
        let remedy = "add one, such as `meter: {path: /dev/ttyUSB0, …}`";
        found.add(["ports"], "there is no port", remedy);
    }
    devices::check(config, found);
    let mut devices = HashMap::new();
    for (name, port) in &config.ports {
        let path = Path::from(["ports", name.as_str()]);
        found.port(&path, port);
        found.fields(&path, port);
        if let Some((key, device)) = Device::of(port)
            && let Some(other) = devices.insert(device, name)
        {
            found.add(
                path.key(key),
                format!("port {:?} is the same device", other.as_str()),
                "one port can have several kinds of frames, see `frames`",
            );
        }
        let device = port.device(&config.gateway, name);
        for error in device::Device::build(&device).err().into_iter().flatten() {
            found.built(&path, error);
        }
    }
}

/// The device of a port, to find two ports with the same one. A symbolic link, or `/./` in a path,
/// does not make another device.
#[derive(PartialEq, Eq, Hash)]
enum Device {
    Path(PathBuf),
    Usb(u16, u16, Option<String>, Option<u8>),
    Tcp(String, u16),
}

impl Device {
    /// With the key that names it.
    fn of(port: &Port) -> Option<(&'static str, Device)> {
        if let Some(path) = &port.path {
            // A device that is not there now is compared as it is written, `/./` and `//` left out.
            let plain = || path.components().collect();
            return Some(("path", Device::Path(path.canonicalize().unwrap_or_else(|_| plain()))));
        }
        if let Some(usb) = &port.usb {
            let (serial, interface) = (usb.serial.clone(), usb.interface);
            return Some(("usb", Device::Usb(usb.vendor.0, usb.product.0, serial, interface)));
        }
        let tcp = port.tcp.as_ref()?;
        Some(("tcp", Device::Tcp(tcp.host.to_ascii_lowercase(), tcp.port)))
    }
}

/// Settings with `messages` whose fields are known: where they stand, the names of the fields, and the
/// messages.
pub(super) type Kind<'a> = (Path, Vec<String>, &'a [Mapping]);

/// Everything on a port that has messages of its own, as far as its fields are known.
pub(super) fn kinds<'a>(path: &Path, port: &'a Port) -> Vec<Kind<'a>> {
    let mut kinds = Vec::new();
    let mut push = |path: Path, names: Option<Vec<String>>, messages: &'a Option<Vec<Mapping>>| {
        if let (Some(names), Some(messages)) = (names, messages) {
            kinds.push((path, names, messages.as_slice()));
        }
    };
    for (n, frame) in port.frames.iter().enumerate() {
        let names = with_calculated(names([&frame.decode]), &port.fields.0);
        push(path.key("frames").item(n), names, &frame.messages);
    }
    let own = (&port.registers, &port.poll);
    if port.frames.is_empty() {
        let mut all = Vec::new();
        if port.devices.is_empty() {
            let is_asked = !own.0.is_empty() || !own.1.is_empty();
            let names = names_of(own, port.decode.as_ref(), !is_asked);
            all.push(with_calculated(names, &port.fields.0));
        }
        for (name, device) in &port.devices {
            let own = (&device.registers, &device.poll);
            let names = names_of(own, device.decode.as_ref(), false);
            let names = with_calculated(names, &device.fields.0);
            push(path.key("devices").key(name.as_str()), names.clone(), &device.messages);
            all.push(names);
        }
        let all: Option<Vec<_>> = all.into_iter().collect();
        push(path.clone(), all.map(|all| all.concat()), &port.messages);
    }
    let devices = port.devices.iter().map(|(name, device)| {
        let path = path.key("devices").key(name.as_str());
        (path, &device.poll, device.decode.as_ref(), &device.fields.0)
    });
    let own = [(path.clone(), own.1, port.decode.as_ref(), &port.fields.0)];
    for (path, polls, decode, fields) in own.into_iter().chain(devices) {
        let default = Decode::default();
        for (name, poll) in polls {
            let decode = poll.decode.as_ref().or(decode).unwrap_or(&default);
            let names = with_calculated(names([decode]), fields);
            push(path.key("poll").key(name), names, &poll.messages);
        }
    }
    kinds
}

/// Names of fields, and those of a device that are calculated.
fn with_calculated(
    names: Option<Vec<String>>,
    fields: &BTreeMap<String, FieldOverride>,
) -> Option<Vec<String>> {
    let mut names = names?;
    for (name, FieldOverride(settings)) in fields {
        if settings.calc.is_some() && !names.contains(name) {
            names.push(name.clone());
        }
    }
    Some(names)
}

/// The names of all fields of a device; nothing where only its frames say them. It reads frames that
/// nobody asks for if it has a `decode`, or by default.
fn names_of(
    (registers, polls): (&BTreeMap<String, RegisterSettings>, &BTreeMap<String, PollSettings>),
    decode: Option<&Decode>,
    by_default: bool,
) -> Option<Vec<String>> {
    let default = Decode::default();
    let own = decode.or(by_default.then_some(&default));
    let polls = polls.values().filter(|poll| poll.messages.is_none());
    let polls = polls.map(|poll| poll.decode.as_ref().or(decode).unwrap_or(&default));
    let mut names = names(polls.chain(own))?;
    names.extend(registers.keys().cloned());
    Some(names)
}

/// The names of the fields of some decoders; nothing if only frames say those of one. What is wrong
/// with a decoder itself is said elsewhere.
fn names<'a>(decoders: impl IntoIterator<Item = &'a Decode>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for decode in decoders {
        let decoder = decode.build().ok()?;
        if decoder.fields().is_empty() {
            return None;
        }
        names.extend(decoder.fields().iter().map(|field| field.name.clone()));
    }
    Some(names)
}

/// The system would say "invalid argument" to a NUL in a file's name, if anything. Other control
/// characters are possible, but only ever a slip.
pub(super) fn file_name(path: &Path, file: &std::path::Path, found: &mut Found<'_>) {
    let what = match file.to_string_lossy().chars().find(|c| c.is_control()) {
        None => return,
        Some('\0') => "the name contains a NUL character, which no file name can contain",
        Some(_) => "the name contains a control character",
    };
    found.add(path.clone(), what, "remove it");
}

const NOTHING: &str = "0 lets nothing through";

fn seconds(n: u64) -> Span {
    Span::from_secs(n)
}

impl Found<'_> {
    /// Finds fields in `messages` that no frame has.
    fn fields(&mut self, path: &Path, port: &Port) {
        for (path, names, mappings) in kinds(path, port) {
            for (n, mapping) in mappings.iter().enumerate() {
                for (m, field) in mapping.fields.iter().enumerate() {
                    if !names.contains(field) {
                        let path = path.key("messages").item(n).key("fields").item(m);
                        let what = format!("there is no field {field:?}");
                        let names: Vec<_> = names.iter().map(String::as_str).collect();
                        self.add(path, what, hint::suggest(field, &names));
                    }
                }
            }
        }
    }

    fn within(&mut self, path: impl Into<Path>, span: Span, least: Span, most: Span) {
        if span < least || span > most {
            self.add(
                path,
                format!("{span} is out of range"),
                format!("write a time from {least} to {most}"),
            );
        }
    }

    fn broker(&mut self, broker: &Broker) {
        if let Some(keepalive) = broker.keepalive {
            self.within(["broker", "keepalive"], keepalive, seconds(5), seconds(65_535));
        }
        const NO_USER: &str = "MQTT has no password without a user name";
        let has_user = broker.user.is_some() || broker.url.user.is_some();
        let (password, file) = (broker.password.as_ref(), broker.password_file.as_ref());
        let is_scram = broker.auth == Auth::ScramSha256;
        let is_old = broker.version.0.is_some_and(|version| version != Version::V5);
        let client_id = broker.client_id.as_deref();
        for (is_wrong, key, what, remedy) in [
            (broker.inflight == 0, "inflight", NOTHING, "write a number from 1 to 65535"),
            (
                password.is_some() && file.is_some(),
                "password",
                "`password_file` is given, too",
                "keep one of the two",
            ),
            (!has_user && password.is_some(), "password", NO_USER, "add `user`"),
            (!has_user && file.is_some(), "password_file", NO_USER, "add `user`"),
            (is_scram && !has_user, "auth", "SCRAM proves the password of a user", "add `user`"),
            (
                is_scram && !cfg!(feature = "tls"),
                "auth",
                "this build has no SCRAM",
                "install the package tty2mqtt, not tty2mqtt-mini",
            ),
            (is_scram && is_old, "version", "SCRAM needs MQTT 5", "leave out `version`"),
            (
                client_id == Some(""),
                "client_id",
                "it must not be empty",
                "leave it out for the default",
            ),
        ] {
            if is_wrong {
                self.add(["broker", key], what, remedy);
            }
        }
        for (key, length) in [
            ("user", broker.user.as_deref().map(str::len)),
            ("password", password.map(|password| password.reveal().len())),
            ("client_id", client_id.map(str::len)),
        ] {
            if length.is_some_and(|length| length > 65_535) {
                let what = "MQTT carries at most 65535 bytes";
                self.add(["broker", key], what, "make it shorter");
            }
        }
        network::check(broker, self);
    }

    fn gateway(&mut self, config: &Config) {
        if config.gateway.as_str().len() > 256 {
            self.add(["gateway"], "longer than 256 bytes", "choose a shorter name");
        }
        if let Some(status) = config.status.on() {
            let path = ["status", "interval"];
            self.within(path, status.interval, seconds(1), seconds(86_400));
        }
        self.within(["grace"], config.grace, seconds(0), seconds(60));
        if let Some(memory) = config.memory {
            let least = if config.outbox.journal.is_some() { 12 << 20 } else { 8 << 20 };
            if !(least..=1 << 30).contains(&memory.bytes()) {
                let remedy = "write a size from 8MiB to 1GiB, with a journal at least 12MiB";
                self.add(["memory"], "this size is out of range", remedy);
            }
        }
    }

    fn outbox(&mut self, config: &Config) {
        let outbox = &config.outbox;
        if outbox.bytes.bytes() < 64 << 10 {
            let what = "this is too little to work with";
            self.add(["outbox", "bytes"], what, "write at least 64KiB");
        }
        if outbox.messages == 0 {
            self.add(["outbox", "messages"], NOTHING, "write at least 1");
        }
        let path = ["outbox", "spill_after"];
        self.within(path, outbox.spill_after, seconds(0), seconds(31 * 86_400));
        if outbox.backlog_rate.is_some_and(|rate| rate.get() > 1_000_000) {
            let what = "this is more than the outbox can send";
            self.add(["outbox", "backlog_rate"], what, "write at most 1000000 messages a second");
        }
        let Some(journal) = &outbox.journal else {
            let mappings = config.ports.values().flat_map(Port::mappings);
            let own = mappings.filter_map(|mapping| mapping.durability);
            if let Some(wanted) = own.chain([outbox.durability]).find(|d| *d != Durability::Memory)
            {
                self.add(
                    ["outbox"],
                    format!("the durability `{wanted}` needs a journal"),
                    "add `journal: {path: /a/folder}` on a disk that keeps its files",
                );
            }
            return;
        };
        if !(1 << 20..=1 << 30).contains(&journal.size.bytes()) {
            let path = ["outbox", "journal", "size"];
            self.add(path, "this size is out of range", "write a size from 1MiB to 1024MiB");
        }
        if let SyncPolicy::Every(span) = journal.sync {
            let least = Span::from_millis(10);
            self.within(["outbox", "journal", "sync"], span, least, seconds(86_400));
        }
    }

    fn port(&mut self, path: &Path, port: &Port) {
        if let Some(after) = port.silent_after {
            let key = path.key("silent_after");
            self.within(key, after, seconds(1), seconds(31 * 86_400));
        }
        let key = path.key("command_wait");
        self.within(key, port.command_wait, seconds(0), seconds(600));
        for (n, rule) in port.commands.rules.iter().enumerate() {
            if let Some(most) = rule.max_age {
                let key = path.key("commands").item(n).key("max_age");
                self.within(key, most, seconds(1), seconds(7 * 86_400));
            }
        }
        let ways = [port.path.is_some(), port.usb.is_some(), port.tcp.is_some()];
        match ways.into_iter().filter(|given| *given).count() {
            1 => {}
            0 => self.add(
                path.clone(),
                "no key says which serial port this is",
                "add `path`, `usb` or `tcp` (`tty2mqtt ports` lists the ports of this machine)",
            ),
            _ => self.add(
                path.clone(),
                "`path`, `usb` and `tcp` exclude each other",
                "keep one of them",
            ),
        }
        let is_remote = port.tcp.as_ref().is_some_and(|tcp| tcp.protocol != Protocol::Rfc2217);
        if port.line.is_none() && !is_remote {
            let remedy = "add the speed, as in `line: 9600 8N1`";
            self.add(path.clone(), "the key `line` is missing", remedy);
        }
        self.rs485(path, port);
        if !port.frames.is_empty() {
            for (key, given) in
                [("decode", port.decode.is_some()), ("messages", port.messages.is_some())]
            {
                if given {
                    let what = "with `frames`, this key belongs into each entry of `frames`";
                    self.add(path.key(key), what, "move it there");
                }
            }
        }
    }

    fn rs485(&mut self, path: &Path, port: &Port) {
        let wanted = port.bus.rs485;
        if wanted == Rs485::None {
            return;
        }
        let key = path.key("bus").key("rs485");
        for (is_wrong, what, remedy) in [
            (port.tcp.is_some(), "`tcp` has no RTS here", "set RS-485 up at the serial server"),
            (port.flow == Flow::Hardware, "`flow: hardware` uses RTS, too", "leave `flow` out"),
            (port.rts != ModemLine::Keep, "`rts` sets the same line", "leave `rts` out"),
        ] {
            if is_wrong {
                self.add(key.clone(), what, remedy);
            }
        }
        if let Rs485::Rts(delays) = wanted {
            let key = key.key("rts");
            self.within(key.key("before"), delays.before, seconds(0), rs485::LONGEST);
            self.within(key.key("after"), delays.after, seconds(0), rs485::LONGEST);
        }
    }
}

/// The files with keys of devices that encrypt what they send.
fn keys_of_meters(config: &Config) -> impl Iterator<Item = &std::path::Path> {
    let of_bus = config.ports.values().flat_map(|port| port.devices.values());
    let all = config.ports.values().filter_map(|port| port.decrypt.as_ref());
    all.chain(of_bus.filter_map(|device| device.decrypt.as_ref())).flat_map(Decrypt::paths)
}

/// Warns of secrets that every user of the machine can read. `is_over` tells which keys of `broker`
/// come from the broker file.
pub(super) fn secrets(
    files: &Files,
    config: &Config,
    is_over: impl Fn(&str) -> bool,
) -> Vec<String> {
    let broker = &config.broker;
    let in_proxy = broker.proxy.as_ref().is_some_and(|proxy| proxy.password.is_some());
    let inline = [
        ("password", broker.password.is_some()),
        ("proxy", in_proxy),
        ("url", broker.url.password.is_some()),
        ("fallback", broker.fallback.iter().any(|url| url.password.is_some())),
        ("tls", matches!(broker.tls.key_file, Some(Pem::Text(_)))),
    ];
    let holds = |over| inline.iter().any(|(key, given)| *given && is_over(key) == over);
    let of_config = holds(false).then_some(files.config.as_path());
    let of_broker = files.broker.as_deref().filter(|_| holds(true));
    let key = match &broker.tls.key_file {
        Some(Pem::File(path)) => Some(path.as_path()),
        _ => None,
    };
    let files = of_config.into_iter().chain(of_broker).chain(broker.password_file.as_deref());
    let files = files.chain(broker.tls.key_password_file.as_deref()).chain(key);
    let files = files.chain(keys_of_meters(config));
    let open = files.filter(|file| {
        std::fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
    });
    open.map(|file| {
        let file = file.display();
        format!("{file} holds a password or a key and is readable by everyone: chmod 640 {file}")
    })
    .collect()
}
