//! A first configuration as a text with comments, made of answers to a few questions.

use super::layer::Layers;
use super::library;
use super::model::Models;
use super::tree::Path as Place;
use super::yaml::{Scalar, Tree, Value};
use crate::base::line::Line;
use crate::base::scalar::Name;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The answers. One port, with one device or several on its bus.
#[derive(Clone, Debug)]
pub struct First {
    pub gateway: Name,
    /// Address of the broker, without a login.
    pub url: String,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    pub home_assistant: bool,
    /// Which port it is: a line of the configuration, as `tty2mqtt ports` prints it.
    pub port: String,
    /// What is said of the port beside it.
    pub about: Option<String>,
    /// Where no model says it, or another one is wanted.
    pub line: Option<Line>,
    /// At least one.
    pub devices: Vec<FirstDevice>,
}

/// A device of a first configuration.
#[derive(Clone, Debug)]
pub struct FirstDevice {
    pub name: Name,
    /// `None`: its user writes what its bytes mean.
    pub model: Option<Model>,
    pub address: Option<u8>,
    /// The files with the keys with which it encrypts: the encryption key, the authentication key.
    pub key_file: Option<PathBuf>,
    pub auth_key_file: Option<PathBuf>,
}

/// A device file, and what is said of it in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub name: String,
    pub title: String,
    pub wiring: String,
}

/// What a user must say of a device besides its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wants {
    pub address: Address,
    /// It may encrypt what it sends.
    pub key: bool,
    /// The line of the model; `None` if it does not say how fast that is.
    pub line: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// It is alone on its line.
    Never,
    /// It may have one.
    May,
    /// It is asked at one; what it has at the factory, if the model knows.
    Must(Option<u8>),
}

impl Wants {
    /// What a device file leaves to its user. `folder` is that of the configuration.
    pub fn of(folder: &Path, model: &library::Model) -> Wants {
        if model.settings.get("model").is_none() {
            return Wants::in_settings(&model.settings);
        }
        // It has the keys of the device file that it names, too.
        let mut layers = Layers::default();
        let named = Tree::map(vec![("model", Tree::text(&model.name))]);
        let whole = Models::new(folder, &mut layers).keys_of(&Place::from(["model"]), &named);
        Wants::in_settings(&whole.unwrap_or_default())
    }

    fn in_settings(settings: &Tree) -> Wants {
        let address = match settings.get("address").and_then(Tree::scalar) {
            Some(Scalar::Unsigned(address)) => Address::Must(u8::try_from(address).ok()),
            _ if settings.get("registers").is_some() => Address::Must(None),
            _ if has(settings, &|text| text.contains("{address}")) => Address::May,
            _ => Address::Never,
        };
        let decode = settings.get("decode");
        let decoder = |name| decode.is_some_and(|decode| has(decode, &|text| text == name));
        Wants {
            address,
            key: settings.get("decrypt").is_some() || decoder("dlms") || decoder("mbus"),
            line: settings.get("line").map(|line| line.key_text().into_owned()),
        }
    }
}

/// Whether a text in the tree, a key or a value, is as `is` says.
fn has(tree: &Tree, is: &dyn Fn(&str) -> bool) -> bool {
    match &tree.value {
        Value::Scalar { text, .. } => is(text),
        Value::List(items) => items.iter().any(|item| has(item, is)),
        Value::Map(keys) => keys.iter().any(|(key, value)| has(key, is) || has(value, is)),
        Value::Tagged(_) => false,
    }
}

/// What to begin with where no model is taken. Each block is a port's keys when its `#` are gone.
const BY_HAND: &str = "\
# Without more each line of text that comes in is published as it is. What the bytes mean is said
# here: take one of these out of its comment, and change it. docs/CONFIG.md has every key, and
# docs/DEVICES.md more devices to begin from. What comes in, and what becomes of it:
#   tty2mqtt monitor --raw {name}
#
# Numbers in columns, as in `21.50,40`:
#decode:
#  fields:
#    names: [{name: temperature, unit: °C}, {name: humidity, unit: \"%\"}]
#
# Names with values, as in `temperature=21.50 humidity=40`:
#decode: pairs
#
# Frames of bytes with a prefix, a length and a checksum:
#framing: {length: {prefix: \"hex:42 4D\", offset: 2, size: 2}}
#checksum: sum16
#decode: {binary: {fields: [{name: pm2_5, at: 12, type: u16, unit: µg/m³}]}}
#
# Registers of a Modbus device, which is asked every 10 s:
#address: 1
#registers:
#  temperature: {input: 0, type: i16, scale: 0.1, unit: °C}
#  setpoint: {holding: 0, type: i16, scale: 0.1, unit: °C, write: {min: 5, max: 30, step: 0.5}}
";

impl First {
    /// The configuration as YAML.
    #[allow(clippy::unwrap_used, reason = "writing to a String does not fail")]
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# Which serial ports are read, and what is published. docs/CONFIG.md has every key.\n\
             # `tty2mqtt check` reports every mistake in this file, with its line and its remedy.\n\n\
             # The first level of all topics.\n",
        );
        writeln!(text, "gateway: {}\n\nbroker:", word(self.gateway.as_str())).unwrap();
        writeln!(text, "  url: {}", word(&self.url)).unwrap();
        if let Some(user) = &self.user {
            writeln!(text, "  user: {}", word(user)).unwrap();
        }
        if let Some(file) = &self.password_file {
            writeln!(text, "  password_file: {}      # its first line", path(file)).unwrap();
        }
        text.push_str(
            "\n# While the broker is unreachable, messages wait in memory. To outlive a power failure they \
             need\n# a disk (docs/JOURNAL.md):\n\
             #outbox: {durability: spill, journal: {path: /mnt/stick/tty2mqtt}}\n",
        );
        if self.home_assistant {
            text.push_str(
                "\n# Home Assistant finds the gateway and its devices by itself.\nhome_assistant: true\n",
            );
        }
        text.push_str("\nports:\n");
        let name = match &self.devices[..] {
            [one] => word(one.name.as_str()),
            _ => "bus".to_owned(),
        };
        if let Some(about) = &self.about {
            writeln!(text, "  # {about}").unwrap();
        }
        writeln!(text, "  {name}:\n    {}", self.port).unwrap();
        if let Some(line) = self.line {
            writeln!(text, "    line: {line}").unwrap();
        }
        if let [one] = &self.devices[..] {
            self.device(&mut text, "    ", one);
        } else {
            text.push_str("    devices:\n");
            for device in &self.devices {
                writeln!(text, "      {}:", word(device.name.as_str())).unwrap();
                self.device(&mut text, "        ", device);
            }
        }
        text
    }

    /// The keys of one device.
    #[allow(clippy::unwrap_used, reason = "writing to a String does not fail")]
    fn device(&self, text: &mut String, indent: &str, device: &FirstDevice) {
        let topic = format!("{}/{}", self.gateway, device.name);
        match &device.model {
            Some(Model { name, title, wiring }) => {
                comment(text, indent, &format!("{title}. {wiring}"));
                comment(text, indent, &format!("Its values are published below {topic}."));
                writeln!(text, "{indent}model: {}", word(name)).unwrap();
            }
            None => {
                for line in BY_HAND.replace("{name}", device.name.as_str()).lines() {
                    writeln!(text, "{indent}{line}").unwrap();
                }
            }
        }
        if let Some(address) = device.address {
            writeln!(text, "{indent}address: {address}").unwrap();
            if device.model.is_some() {
                writeln!(text, "{indent}#interval: 10s      # from one poll to the next").unwrap();
            }
        }
        if let Some(file) = &device.key_file {
            let auth = device
                .auth_key_file
                .as_deref()
                .map(|file| format!(", auth_key: {{file: {}}}", path(file)));
            let auth = auth.unwrap_or_default();
            writeln!(text, "{indent}decrypt: {{key: {{file: {}}}{auth}}}", path(file)).unwrap();
        }
    }
}

/// A comment of lines that a terminal shows whole.
fn comment(text: &mut String, indent: &str, words: &str) {
    const WIDTH: usize = 100;
    let mut line = format!("{indent}#");
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = format!("{indent}#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

fn path(file: &Path) -> String {
    word(&file.display().to_string())
}

/// A scalar of YAML, in quotes where it could be read as anything but a text.
pub fn word(text: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | ':');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_word = is_word.iter().any(|word| text.eq_ignore_ascii_case(word));
    if begins && !is_word && !text.ends_with(':') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, load};

    fn device(name: &str, model: Option<&str>, address: Option<u8>) -> FirstDevice {
        let model = model.map(|name| Model {
            name: name.to_owned(),
            title: "Title".to_owned(),
            wiring: "A to A.\nB to B.".to_owned(),
        });
        FirstDevice {
            name: name.parse().unwrap(),
            model,
            address,
            key_file: None,
            auth_key_file: None,
        }
    }

    fn first(devices: Vec<FirstDevice>) -> First {
        First {
            gateway: "barn".parse().unwrap(),
            url: "mqtt://192.168.1.10".to_owned(),
            user: None,
            password_file: None,
            home_assistant: false,
            port: "path: /dev/ttyUSB0".to_owned(),
            about: None,
            line: None,
            devices,
        }
    }

    fn check(text: &str) -> Config {
        match load::parse("c.yaml", text, Path::new("/nowhere")) {
            Ok((config, warnings)) => {
                assert_eq!(warnings, [""; 0], "{text}");
                config
            }
            Err(error) => panic!("{error}\n{text}"),
        }
    }

    #[test]
    fn what_is_written_is_right() {
        let mut one = first(vec![device("house", Some("eastron-sdm630"), Some(3))]);
        one.url = "mqtts://192.168.1.10".to_owned();
        one.user = Some("on".to_owned());
        one.password_file = Some("/etc/tty2mqtt/a password".into());
        let config = check(&one.text());
        assert_eq!(config.broker.user.as_deref(), Some("on"));
        assert_eq!(
            config.broker.password_file.as_deref(),
            Some(Path::new("/etc/tty2mqtt/a password"))
        );
        let port = config.ports.values().next().unwrap();
        assert_eq!(port.address, Some(3));
        assert_eq!(port.line.unwrap().baud, 9600);

        let bus = first(vec![
            device("house", Some("eastron-sdm630"), Some(1)),
            device("heat pump", Some("eastron-sdm630"), Some(2)),
        ]);
        let config = check(&bus.text());
        let port = config.ports.values().next().unwrap();
        let addresses: Vec<_> =
            port.devices.iter().map(|(name, device)| (name.as_str(), device.address)).collect();
        assert_eq!(addresses, [("heat pump", Some(2)), ("house", Some(1))]);
    }

    #[test]
    fn each_block_of_the_skeleton_is_right_without_its_comment() {
        let mut by_hand = first(vec![device("sensor", None, None)]);
        by_hand.line = Some(Line::DEFAULT);
        let text = by_hand.text();
        check(&text);
        let blocks = BY_HAND.split("\n#\n").skip(1);
        let mut tried = 0;
        for block in blocks {
            let keys = block.lines().filter_map(|line| line.strip_prefix('#'));
            let keys: String = keys
                .filter(|line| !line.starts_with(' ') || line.starts_with("  "))
                .map(|line| format!("    {line}\n"))
                .collect();
            check(&format!("{text}{keys}"));
            tried += 1;
        }
        assert_eq!(tried, 4);
    }

    #[test]
    fn what_a_model_leaves_to_its_user() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("devices")).unwrap();
        let mine = "model: eastron-sdm630\nline: 19200 8N1\n";
        std::fs::write(folder.path().join("devices/mine.yaml"), mine).unwrap();
        let library = library::Library::beside(folder.path());
        let wants = |model| Wants::of(folder.path(), &library.open(model).unwrap().0);
        let line = |line: &str| Some(line.to_owned());
        let modbus = Wants { address: Address::Must(Some(1)), key: false, line: line("9600 8N1") };
        assert_eq!(wants("eastron-sdm630"), modbus);
        assert_eq!(wants("mine"), Wants { line: line("19200 8N1"), ..modbus });
        assert_eq!(wants("iec-62056-21-mode-c").address, Address::May);
        let p1 = Wants { address: Address::Never, key: false, line: line("115200 8N1") };
        assert_eq!(wants("dsmr-5"), p1);
        assert!(wants("han-dlms").key);
    }

    #[test]
    fn words_that_yaml_would_change_are_quoted() {
        for plain in ["barn", "mqtt://h:1883", "/etc/tty2mqtt/password", "eastron-sdm630"] {
            assert_eq!(word(plain), plain);
        }
        for other in ["on", "No", "1", "0x10", "a b", "a: b", "a #b", "", "-", "a\"b", "ä", "x:"] {
            assert!(word(other).starts_with('"'), "{other}");
            let tree = Tree::read(&format!("k: {}", word(other))).unwrap();
            assert_eq!(tree.get("k").and_then(Tree::scalar), Some(Scalar::Text(other)));
        }
    }
}
