//! What one key alone cannot show to be wrong.

mod network;
mod status;

use super::error::Part;
use super::load::{At, Found};
use super::overlay::Files;
use super::tree::{Path, Step};
use super::{Auth, Config, hint};
use crate::base::durability::Durability;
use crate::base::path::BuildError;
use crate::base::scalar::Span;
use crate::base::secret::Secret;
use crate::codec::frame::Framing;
use crate::config::control_path::Control;
use crate::device;
use crate::mqtt::packet::Version;
use crate::mqtt::transport::settings::Pem;
use crate::outbox::settings::SyncPolicy;
use crate::port::settings::Port;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration whose keys are right one by one.
pub(super) fn check(config: &Config, found: &mut Found<'_>) {
    found.broker(config);
    found.names(config);
    if config.ports.is_empty() {
        found.add("ports", "there is no port; add one, such as `meter: {path: /dev/ttyUSB0, …}`");
    }
    let mut devices = HashMap::new();
    for (name, port) in &config.ports {
        let path = Path(vec![Step::Key("ports".into()), Step::Key(name.to_string())]);
        found.port(&path, port);
        found.fields(&path, port);
        if let Some((key, device)) = Device::of(port)
            && let Some(other) = devices.insert(device, name)
        {
            let other = other.to_string();
            found.add(
                path.below(key),
                &format!(
                    "port {other:?} is the same device; \
                one port can have several kinds of frames, see `frames`"
                ),
            );
        }
        let device = port.device(&config.gateway, name);
        for error in device::Device::build(&device).err().into_iter().flatten() {
            found.built(&path, error);
        }
    }
}

/// What a port names, to tell whether two ports are one device. Whoever names it otherwise, by a link
/// or with `/./` in the path, has it as well.
#[derive(PartialEq, Eq, Hash)]
enum Device {
    Path(PathBuf),
    Usb(u16, u16, Option<String>, Option<u8>),
    Tcp(String, u16),
}

impl Device {
    /// The key that names it stands in front.
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

impl Found<'_> {
    /// No file has a NUL in its name; the system would say "invalid argument", if anything. Other
    /// control characters could stand there, and never do but by a slip.
    fn names(&mut self, config: &Config) {
        let tls = &config.broker.tls;
        let pem = |pem: &Option<Pem>| match pem {
            Some(Pem::File(path)) => Some(path.clone()),
            _ => None,
        };
        let mut names = vec![
            ("broker.password_file".path(), config.broker.password_file.clone()),
            ("broker.tls.ca_file".path(), pem(&tls.ca_file)),
            ("broker.tls.cert_file".path(), pem(&tls.cert_file)),
            ("broker.tls.key_file".path(), pem(&tls.key_file)),
            ("broker.tls.key_password_file".path(), tls.key_password_file.clone()),
            ("outbox.journal.path".path(), config.outbox.journal.as_ref().map(|j| j.path.clone())),
        ];
        if let Control::At(path) = &config.control {
            names.push(("control".path(), Some(path.clone())));
        }
        for (name, port) in &config.ports {
            let keys = ["ports", name.as_str(), "path"].map(|key| Step::Key(key.into()));
            names.push((Path(keys.into()), port.path.clone()));
        }
        for (path, name) in names {
            let name = name.as_ref().map(|name| name.to_string_lossy()).unwrap_or_default();
            match name.chars().find(|c| c.is_control()) {
                Some('\0') => {
                    self.add(path, "has a NUL in it, which no file has in its name; take it out");
                }
                Some(_) => self.add(path, "has a control character in it; take it out"),
                None => {}
            }
        }
    }

    /// A mistake that came up when a port's parts were built. The keys below the one at fault stand
    /// before the sentence: `names[0]: scale: what is wrong`.
    fn built(&mut self, port: &Path, error: BuildError) {
        let mut path = Path([port.0.clone(), error.path.0].concat());
        if let Some(remedy) = error.remedy {
            return self.problem(path, Part::Key, error.what, Some(remedy));
        }
        let mut why = error.what.as_str();
        let is_key = |text: &str| {
            let name = text.split('[').next().unwrap_or_default();
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        while let Some((below, rest)) = why.split_once(": ").filter(|(below, _)| is_key(below)) {
            path = path.below(below);
            why = rest;
        }
        // A key that is not there is missed by what lacks it.
        self.add(path, why);
    }

    /// Fields that are to be published, and that no frame has.
    fn fields(&mut self, port_path: &Path, port: &Port) {
        let only = port.decode.clone().unwrap_or_default();
        let one = port.frames.is_empty().then_some((port_path.clone(), &only, &port.messages));
        let frames = port.frames.iter().enumerate().map(|(n, frame)| {
            (port_path.below(&format!("frames[{n}]")), &frame.decode, &frame.messages)
        });
        for (path, decode, messages) in one.into_iter().chain(frames) {
            // What is wrong with `decode` itself is said elsewhere.
            let Ok(decoder) = decode.build() else { continue };
            let names: Vec<_> = decoder.fields().iter().map(|field| field.name.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            for (n, mapping) in messages.iter().flatten().enumerate() {
                for (m, field) in mapping.fields.iter().enumerate() {
                    if !names.contains(&field.as_str()) {
                        let hint = hint::suggest(field, &names);
                        let path = path.below(&format!("messages[{n}].fields[{m}]"));
                        self.add(path, &format!("`decode` has no field {field:?}; {hint}"));
                    }
                }
            }
        }
    }

    fn within(&mut self, path: impl At, span: Span, least: Span, most: Span) {
        if span < least || span > most {
            self.add(
                path.path(),
                &format!("{span} is out of range; from {least} to {most} is possible"),
            );
        }
    }

    fn broker(&mut self, config: &Config) {
        let broker = &config.broker;
        if let Some(keepalive) = broker.keepalive {
            let (least, most) = (Span::from_secs(5), Span::from_secs(65_535));
            self.within("broker.keepalive", keepalive, least, most);
        }
        if let Some(status) = config.status.on() {
            let (least, most) = (Span::from_secs(1), Span::from_secs(86_400));
            self.within("status.interval", status.interval, least, most);
        }
        status::check(config, |path, what| self.add(path, what));
        self.within("grace", config.grace, Span::from_secs(0), Span::from_secs(60));
        if broker.inflight == 0 {
            self.add("broker.inflight", "0 lets nothing through; 1 to 65535 is possible");
        }
        if broker.password.is_some() && broker.password_file.is_some() {
            self.add("broker.password", "there is a `password_file` too; keep one of the two");
        }
        if broker.user.is_none() && broker.url.user.is_none() {
            for (key, given) in [
                ("password", broker.password.is_some()),
                ("password_file", broker.password_file.is_some()),
            ] {
                if given {
                    let what = "MQTT has no password without a user; add `user`";
                    self.add(format!("broker.{key}"), what);
                }
            }
        }
        if broker.auth == Auth::ScramSha256 {
            if broker.user.is_none() && broker.url.user.is_none() {
                self.add("broker.auth", "SCRAM proves a user's password; add `user`");
            }
            if broker.version.0.is_some_and(|version| version != Version::V5) {
                self.add("broker.version", "SCRAM takes MQTT 5; leave `version` out");
            }
        }
        network::check(broker, |path, what| self.add(path, what));
        let login = [
            ("broker.user", broker.user.as_deref().map(str::as_bytes)),
            ("broker.password", broker.password.as_ref().map(Secret::reveal)),
        ];
        for (key, text) in login {
            if text.is_some_and(|text| text.len() > 65_535) {
                let what = "MQTT carries 65535 bytes at most; make it shorter";
                self.add(key, what);
            }
        }
        if broker.client_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > 65_535) {
            self.add("broker.client_id", "must not be empty; leave it out for the default");
        }
        if config.outbox.bytes.bytes() < 64 << 10 {
            self.add("outbox.bytes", "too little to work with; at least 64KiB");
        }
        if config.outbox.messages == 0 {
            self.add("outbox.messages", "0 lets nothing through; at least 1");
        }
        self.journal(config);
        if let Some(memory) = config.memory {
            let least = if config.outbox.journal.is_some() { 12 << 20 } else { 8 << 20 };
            if !(least..=1 << 30).contains(&memory.bytes()) {
                let what = "from 8MiB to 1GiB is possible, with a journal 12MiB at least";
                self.add("memory", what);
            }
        }
        if config.gateway.as_str().len() > 256 {
            self.add("gateway", "longer than 256 bytes; choose a shorter name");
        }
    }

    fn journal(&mut self, config: &Config) {
        let outbox = &config.outbox;
        self.within("outbox.after", outbox.after, Span::from_secs(0), Span::from_secs(31 * 86_400));
        if outbox.drain.is_some_and(|drain| drain.get() > 1_000_000) {
            self.add("outbox.drain", "more than 1000000 messages a second");
        }
        let Some(journal) = &outbox.journal else {
            let mappings = config.ports.values().flat_map(Port::mappings);
            let own = mappings.filter_map(|mapping| mapping.durability);
            if let Some(wanted) = own.chain([outbox.durability]).find(|d| *d != Durability::Memory)
            {
                let what = format!(
                    "the durability {wanted} needs a place; add `journal: {{path: /a/folder}}` on \
                     a disk that stays"
                );
                self.add("outbox", &what);
            }
            return;
        };
        if !(1 << 20..=1 << 30).contains(&journal.size.bytes()) {
            self.add("outbox.journal.size", "from 1MiB to 1024MiB is possible");
        }
        if let SyncPolicy::Every(span) = journal.sync {
            let least = Span::from_millis(10);
            self.within("outbox.journal.sync", span, least, Span::from_secs(86_400));
        }
    }

    fn port(&mut self, path: &Path, port: &Port) {
        if let Some(after) = port.silent_after {
            let key = path.below("silent_after");
            self.within(key, after, Span::from_secs(1), Span::from_secs(31 * 86_400));
        }
        let key = path.below("command_wait");
        self.within(key, port.command_wait, Span::from_secs(0), Span::from_secs(600));
        for (n, rule) in port.commands.iter().enumerate() {
            if let Some(most) = rule.max_age {
                let key = path.below(&format!("commands[{n}].max_age"));
                self.within(key, most, Span::from_secs(1), Span::from_secs(7 * 86_400));
            }
        }
        let ways = [port.path.is_some(), port.usb.is_some(), port.tcp.is_some()];
        match ways.into_iter().filter(|given| *given).count() {
            1 => {}
            0 => self.add(
                path,
                "nothing says which port this is; add `path`, `usb` or `tcp` \
                (`tty2mqtt ports` lists what there is)",
            ),
            _ => self.add(path, "`path`, `usb` and `tcp` exclude each other; keep one of them"),
        }
        if port.line.is_none() && port.tcp.is_none() {
            self.add(path, "the key `line` is missing; add the speed, as in `line: 9600 8N1`");
        }
        if !port.frames.is_empty() {
            for (key, given) in
                [("decode", port.decode.is_some()), ("messages", port.messages.is_some())]
            {
                if given {
                    let what =
                        "belongs into each entry of `frames`, which is given too; move it there";
                    self.add(path.below(key), what);
                }
            }
        }
    }
}

/// What is allowed, but most likely not meant.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for url in config.broker.urls() {
        let login = config.broker.user.is_some() || url.user.is_some() || url.password.is_some();
        if login && !url.is_tls() && !url.is_local() {
            warnings.push(format!(
                "broker: user and password go over the network to {url} in the clear; mqtts:// \
                 encrypts them"
            ));
        }
    }
    for (name, port) in &config.ports {
        let by_speed = matches!(&port.framing, Framing::Gap(gap) if gap.after.is_none());
        if port.tcp.is_some() && port.line.is_some() && !by_speed {
            warnings.push(format!(
                "ports.{name}.line: does nothing beside `tcp`; the serial server sets the line"
            ));
        }
    }
    warnings
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
    let open = files.filter(|file| {
        std::fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
    });
    open.map(|file| {
        let file = file.display();
        format!("{file} holds a password or a key and is readable by everyone: chmod 640 {file}")
    })
    .collect()
}
