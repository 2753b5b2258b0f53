//! The configuration file as types, and how it is read. The doc comments of the types are the manual:
//! `docs/CONFIG.md` and `config/schema.json` are generated from them.

mod broker;
pub mod cases;
mod check;
pub mod control_path;
pub mod device_file;
#[cfg(test)]
mod docs;
pub mod error;
mod excerpt;
mod field_overrides;
pub mod file;
#[cfg(feature = "tools")]
pub mod first;
mod format;
pub(crate) mod hint;
pub mod home_assistant;
mod layer;
pub mod library;
pub mod load;
pub mod made;
mod model;
mod old_names;
mod overlay;
mod status;
mod switch;
pub mod tree;
mod warn;
pub mod yaml;

pub use broker::{Auth, Broker, Will};
pub use error::ConfigError;
pub use format::{Format, Homie, SparkplugB};
pub use overlay::Files;
pub use status::Status;
pub use switch::Switch;

use crate::base::one_by_one;
use crate::base::path::Path;
use crate::base::scalar::{Name, Size, Span};
use crate::base::secret::Secret;
use crate::codec::decrypt::{Decrypt, KeyFile};
use crate::mqtt::transport::settings::Pem;
use crate::outbox::settings::OutboxBounds;
use crate::port::settings::Port;
use control_path::Control;
use home_assistant::HomeAssistant;
use made::MadeBy;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// The configuration file of the gateway.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of this gateway: the first level of its topics. Default: the host name.
    #[serde(default = "Name::of_host")]
    pub gateway: Name,
    /// How to reach the MQTT broker.
    pub broker: Broker,
    /// How many messages wait while the broker cannot be reached, and what they survive.
    #[serde(default = "OutboxBounds::of_gateway")]
    pub outbox: OutboxBounds,
    /// The most memory that the whole process may use, 8MiB to 1GiB, with a journal at least 12MiB.
    /// It is the resident memory that `VmHWM` in `/proc/PID/status` shows, program and libraries
    /// included. The outbox gets what the program, the ports and the journal leave: many ports,
    /// long frames and a large journal make it smaller. Default: the limit follows from
    /// `outbox.bytes` and the speeds of the ports.
    pub memory: Option<Size>,
    /// What the gateway publishes about itself, below `{gateway}/status` unless `topic` is set.
    /// `off` publishes nothing, and there is no will either unless `broker.will` sets one.
    #[serde(default)]
    pub status: Switch<Status>,
    /// In which form readings are published and commands taken: `homie` or `sparkplug-b`. Then there are no `messages`, and
    /// `status` is not published: the form has its own ways to say who is there. Default: a topic for each field.
    #[serde(default)]
    pub format: Option<Format>,
    /// The path of the Unix socket at which `tty2mqtt status` and the router's web page reach the
    /// gateway, or `off`. Only root and the gateway's own user can open it. Its folder must exist,
    /// or the gateway must be allowed to create it. Default: `/var/run/tty2mqtt/control.sock`; for
    /// users other than root `tty2mqtt/control.sock` in `$XDG_RUNTIME_DIR`, if that is set.
    #[serde(default)]
    pub control: Control,
    /// How long the gateway may continue to send waiting messages when it is stopped, 0s to 60s.
    /// Without a connection to the broker it stops at once. Default: 5s.
    #[serde(default = "Config::default_grace")]
    pub grace: Span,
    /// The serial ports, each under a name of your choice.
    #[serde(deserialize_with = "one_by_one::map")]
    pub ports: BTreeMap<Name, Port>,
    /// Announces the devices to Home Assistant: `true`, or a map of settings. `false` clears what was announced
    /// before; without the key nothing is announced and nothing cleared.
    #[serde(default, deserialize_with = "home_assistant::switch")]
    #[cfg_attr(test, schemars(schema_with = "home_assistant::schema"))]
    pub home_assistant: Option<Switch<HomeAssistant>>,
    /// To tell what a reload changes.
    #[serde(skip)]
    pub digests: Digests,
    /// Who made the devices.
    #[serde(skip)]
    pub made: MadeBy,
}

/// What a configuration says, models included, as a digest of each key at the top and of each port: whether a
/// reload changes them is all that is asked later.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Digests(BTreeMap<String, u64>);

impl Digests {
    fn of(whole: &yaml::Tree) -> Digests {
        let of = |keys: &[&str], value: &yaml::Tree| (keys.join("/"), value.digest());
        let mut digests = BTreeMap::new();
        for (key, value) in whole.keys().unwrap_or_default() {
            let key = key.key_text();
            let ports = value.keys().filter(|_| key == "ports").unwrap_or_default();
            digests.extend(ports.iter().map(|(name, port)| of(&[&key, &name.key_text()], port)));
            digests.extend([of(&[&key], value)]);
        }
        Digests(digests)
    }

    /// A key of a device stands in a file of its own, and is part of what the port says.
    fn add_key(&mut self, port: &str, digits: &Secret) {
        if let Some(digest) = self.0.get_mut(&["ports", port].join("/")) {
            let mut hasher = DefaultHasher::new();
            (*digest, digits.reveal()).hash(&mut hasher);
            *digest = hasher.finish();
        }
    }

    /// Whether everything below a key at the top, or below `ports` and a name, is the same in both.
    fn is_same(&self, other: &Digests, path: &[&str]) -> bool {
        let path = path.join("/");
        self.0.get(&path) == other.0.get(&path)
    }
}

/// Memory of the program itself, TLS and its buffers included: measured 5.0 MB on x86-64.
const PROGRAM: usize = 6 << 20;

/// Memory of the journal besides its index: a segment that is read, and what is on its way to the disk.
const JOURNAL: usize = 3 << 20;

/// Bytes on the disk for which the journal's index takes one byte of memory.
const INDEX: usize = 128;

/// Memory of a port: its last values (32 KiB of text), its buffers besides those for a frame, and its
/// share of the monitors.
const PORT: usize = 96 << 10;

/// Memory for what all ports of a configuration make in two seconds at line rate. A reading as a
/// message takes many times its bytes on the line: three short fields in a line of 15 bytes, each
/// with a topic of its own, take 80 times as much. Room is made for 100 times; it is taken up only
/// while the MQTT side stalls.
fn two_seconds_of(config: &Config) -> usize {
    let rates = config.ports.values().map(|port| {
        // A port on the network has no speed of its own; it is taken for a fast one.
        let baud = port.line.map_or(115_200, |line| line.baud) as usize;
        (baud / 10).min(115_200)
    });
    rates.sum::<usize>().saturating_mul(2 * 100).clamp(1 << 20, 32 << 20)
}

impl Config {
    /// The bounds of the outbox, and of what waits before it, in bytes.
    pub fn bounds(&self) -> (OutboxBounds, usize) {
        let mut outbox = self.outbox.clone();
        let before = two_seconds_of(self);
        let Some(memory) = self.memory else { return (outbox, before) };
        let journal = outbox.journal.as_ref();
        let journal = journal.map_or(0, |journal| JOURNAL + journal.size.bytes() / INDEX);
        let all = memory.bytes().saturating_sub(PROGRAM);
        let limits = || self.ports.values().map(|port| port.framing.limit());
        let ports: usize = limits().map(|limit| PORT + 2 * limit).sum();
        let frame = 8 * limits().max().unwrap_or(0);
        // At least an eighth: the ports never need all their memory at once.
        let left = all.saturating_sub(journal + ports + frame).max(all / 8);
        // The last quarter is for the allocator's waste and for clients of the control socket.
        outbox.bytes = outbox.bytes.min(Size::from_bytes(left / 2));
        (outbox, before.min(left / 4))
    }

    /// The names of files, each with its place.
    fn files(&mut self) -> Vec<(Path, &mut PathBuf)> {
        fn file(pem: &mut Option<Pem>) -> Option<&mut PathBuf> {
            if let Some(Pem::File(path)) = pem { Some(path) } else { None }
        }
        let broker = &mut self.broker;
        let tls = &mut broker.tls;
        let control = if let Control::At(path) = &mut self.control { Some(path) } else { None };
        let journal = self.outbox.journal.as_mut().map(|journal| &mut journal.path);
        let files = [
            (Path::from(["broker", "password_file"]), broker.password_file.as_mut()),
            (Path::from(["broker", "tls", "ca_file"]), file(&mut tls.ca_file)),
            (Path::from(["broker", "tls", "cert_file"]), file(&mut tls.cert_file)),
            (Path::from(["broker", "tls", "key_file"]), file(&mut tls.key_file)),
            (Path::from(["broker", "tls", "key_password_file"]), tls.key_password_file.as_mut()),
            (Path::from(["control"]), control),
            (Path::from(["outbox", "journal", "path"]), journal),
        ];
        let ports = self
            .ports
            .iter_mut()
            .map(|(name, port)| (Path::from(["ports", name.as_str(), "path"]), port.path.as_mut()));
        files.into_iter().chain(ports).filter_map(|(path, file)| Some((path, file?))).collect()
    }

    /// The files with keys of devices, each with its place.
    fn key_files(&mut self) -> Vec<(Path, &mut KeyFile)> {
        let mut all = Vec::new();
        for (name, port) in &mut self.ports {
            let path = Path::from(["ports", name.as_str()]);
            let devices = port.devices.iter_mut().map(|(name, device)| {
                (path.key("devices").key(name.as_str()), device.decrypt.as_mut())
            });
            let own = std::iter::once((path.clone(), port.decrypt.as_mut()));
            for (path, decrypt) in own.chain(devices) {
                let files = decrypt.into_iter().flat_map(Decrypt::files);
                let path = path.key("decrypt");
                all.extend(files.map(|(key, file)| (path.key(key).key("file"), file)));
            }
        }
        all
    }

    /// Whether devices are announced to Home Assistant.
    pub fn announces(&self) -> bool {
        matches!(self.home_assistant, Some(Switch::On(_)))
    }

    /// Whether the brokers are chosen by where a host application is.
    pub fn waits_for_host(&self) -> bool {
        match &self.format {
            Some(Format::SparkplugB(settings)) => settings.primary_host.is_some(),
            Some(Format::Homie(_)) | None => false,
        }
    }

    /// How often the gateway checks whether its status has changed.
    pub fn status_interval(&self) -> Span {
        self.status.on().map_or(Status::default().interval, |status| status.interval)
    }

    /// Whether everything below a key at the top, or below `ports` and a name, is the same in both.
    pub fn is_same(&self, other: &Config, path: &[&str]) -> bool {
        self.digests.is_same(&other.digests, path)
    }

    fn default_grace() -> Span {
        Span::from_secs(5)
    }
}
