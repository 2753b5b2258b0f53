//! Warnings: what is allowed, but most likely not meant.

mod home_assistant;

use super::Config;
use super::check::kinds;
use super::check::network::url_path;
use super::load::Found;
use super::tree::{Path, Step};
use super::yaml::{Tree, Value};
use crate::base::scalar::{Name, Span};
use crate::codec::decode::Decode;
use crate::codec::frame::Framing;
use crate::device::mapping::{Mapping, Per, Slot};
use crate::device::settings::{DeviceSettings, MemberSettings, Mode, OnBus, RegisterSettings};
use crate::device::{Device, LineTime};
use crate::port::settings::{Port, Protocol};
use crate::port::usb::{self, Adapter};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Warns of everything in a valid configuration that looks like a slip.
pub(super) fn warn(config: &Config, tree: &Tree, found: &mut Found<'_>) {
    if config.gateway.as_str().contains(' ') && tree.get("gateway").is_some() {
        found.add(["gateway"], BLANK, WRITE_UNDERSCORE);
    }
    let broker = &config.broker;
    for (n, url) in broker.urls().enumerate() {
        let login = broker.user.is_some() || url.user.is_some() || url.password.is_some();
        if login && !url.is_tls() && !url.is_local() {
            let what = format!("user and password go over the network to {url} in the clear");
            found.add(url_path(n), what, "mqtts:// encrypts them");
        }
    }
    if config.ports.values().any(|port| port.usb.is_some()) {
        for (name, other) in same_adapter(config, &usb::adapters(std::path::Path::new("/sys"))) {
            let what = format!("this finds the device of port {:?}", other.as_str());
            found.add(["ports", name.as_str(), "usb"], what, "add `serial` or `interface`");
        }
    }
    let ports = tree.get("ports").and_then(Tree::keys).unwrap_or_default();
    // A look-up for each port would go through all of them each time.
    let trees: HashMap<_, _> = ports.iter().map(|(key, value)| (key.key_text(), value)).collect();
    for (name, port) in &config.ports {
        let mut path = Path::from(["ports", name.as_str()]);
        if name.as_str().contains(' ') {
            found.add(path.clone(), BLANK, WRITE_UNDERSCORE);
        }
        if port.name.as_ref().is_some_and(|device| device.as_str().contains(' ')) {
            found.add(path.key("name"), BLANK, WRITE_UNDERSCORE);
        }
        self::port(&path, port, found);
        busy(&path, &port.device(&config.gateway, name), found);
        if let Some(after) = port.silent_after
            && let Some(interval) = shortest(&port.device(&config.gateway, name).members)
            && after.duration() <= interval.duration()
        {
            let what = "the port is silent between two polls anyway";
            let remedy = format!("write a time that is longer than {interval}");
            found.add(path.key("silent_after"), what, remedy);
        }
        registers(&path, &port.registers, tree, found);
        for (name, device) in &port.devices {
            registers(&path.key("devices").key(name.as_str()), &device.registers, tree, found);
        }
        if let Some(tree) = trees.get(name.as_str()) {
            words(&mut path, tree, found);
        }
    }
    home_assistant::warn(config, found);
}

/// Ports of which one finds the other's device by `usb`, as long as it is plugged in as it is now.
fn same_adapter<'a>(config: &'a Config, adapters: &[Adapter]) -> Vec<(&'a Name, &'a Name)> {
    let mut taken = HashMap::new();
    for (name, port) in &config.ports {
        if let Some(path) = &port.path {
            taken.insert(path.canonicalize().unwrap_or_else(|_| path.clone()), name);
        }
    }
    let mut same = Vec::new();
    for (name, port) in &config.ports {
        let Some(usb) = &port.usb else { continue };
        let mut fits = adapters.iter().filter(|adapter| adapter.fits(usb));
        if let (Some(only), None) = (fits.next(), fits.next())
            && let Some(other) = taken.insert(only.path(), name)
        {
            same.push((name, other));
        }
    }
    same
}

const BLANK: &str =
    "a blank in a name is part of every topic, where shells and Home Assistant stumble over it";
const WRITE_UNDERSCORE: &str = "write `_` in its place";

/// Addresses that look like numbers of old manuals. Those are decimal: `0xA000` is none.
fn registers(
    path: &Path,
    registers: &BTreeMap<String, RegisterSettings>,
    tree: &Tree,
    found: &mut Found<'_>,
) {
    for (name, register) in registers {
        if let Some(warning) = register.warning() {
            let path = path.key("registers").key(name);
            let written = path.find(tree).map(|(_, register)| register);
            let is_hex = |word: &&str| {
                let address = written.and_then(|register| register.get(word));
                let Some(Tree { value: Value::Scalar { text, .. }, .. }) = address else {
                    return false;
                };
                text.starts_with("0x")
            };
            if !["input", "holding", "discrete"].iter().any(is_hex) {
                found.built(&path, warning);
            }
        }
    }
}

fn port(path: &Path, port: &Port, found: &mut Found<'_>) {
    let slip = |decode: &Decode| {
        let bytes = "frames of bytes have no lines, which is the `framing` if none is given";
        let readout =
            "a readout has many lines, and `framing` makes a frame of each if none is given";
        Some(match decode {
            Decode::Binary(_) => {
                (bytes, "write `framing: gap`, or one of delimited, fixed and length")
            }
            Decode::Sml(_) => (bytes, "write `framing: sml`"),
            Decode::Dlms(_) => (bytes, "write `framing: hdlc`"),
            Decode::Mbus(_) => (
                bytes,
                "write `framing: {length: {prefix: \"hex:68\", offset: 1, size: 1, add: 6}}`",
            ),
            Decode::Obis(_) => (readout, "write `framing: p1`"),
            _ => return None,
        })
    };
    let mut decodes = port.frames.iter().map(|frame| &frame.decode).chain(&port.decode);
    if matches!(port.framing, Framing::Lines(_))
        && let Some((what, remedy)) = decodes.find_map(slip)
    {
        found.add(path.clone(), what, remedy);
    }
    let by_speed = matches!(&port.framing, Framing::Gap(gap) if gap.after.is_none());
    // What is asked keeps the silences of the line.
    let by_speed = by_speed || is_asked(port);
    let line = path.key("line");
    let is_remote = port.tcp.as_ref().is_some_and(|tcp| tcp.protocol != Protocol::Rfc2217);
    if is_remote && port.line.is_some() && !by_speed && found.is_own(&line) {
        let what = "does nothing beside `tcp`";
        found.add(line, what, "the serial server sets the line");
    }
    let reads = |device: &OnBus| !device.registers.is_empty();
    let is_rtu = port.modbus == Mode::Rtu
        && (!port.registers.is_empty() || port.devices.values().any(reads));
    if port.tcp.is_some() && port.line.is_none() && is_rtu {
        let what = "without `line` nobody knows how long the silence of 3.5 characters is that \
                    stands between two frames of Modbus RTU";
        let remedy = "add the `line` that the serial server has set, or write `modbus: tcp` if it \
                      speaks that";
        found.add(path.key("tcp"), what, remedy);
    }
    for (path, names, mappings) in kinds(path, port) {
        one_topic(&path, names.len(), mappings, found);
    }
}

fn is_asked(port: &Port) -> bool {
    !(port.registers.is_empty() && port.poll.is_empty() && port.devices.is_empty())
}

/// Polls that take more time than the line has.
fn busy(path: &Path, settings: &DeviceSettings<'_>, found: &mut Found<'_>) {
    let (Some(line), Ok(device)) = (settings.line, Device::build(settings)) else { return };
    let polls: Vec<LineTime> = device.line_times().collect();
    // In millionths of the time that there is.
    let share =
        |poll: &LineTime| poll.time.as_nanos() * 1_000_000 / poll.interval.as_nanos().max(1);
    let load: u128 = polls.iter().map(share).sum();
    if load <= 1_000_000 {
        return;
    }
    let round: Duration = polls.iter().map(|poll| poll.time).sum();
    let (what, remedy) = match polls.iter().map(|poll| poll.interval).min() {
        Some(interval) if polls.iter().all(|poll| poll.interval == interval) => (
            format!(
                "at {line} all that is asked takes at least {} ms, longer than the interval of {} ms: \
                 polls will be left out",
                round.as_millis(),
                interval.as_millis()
            ),
            format!("write at least {}ms, or a faster `line`", round_up(round)),
        ),
        _ => (
            format!(
                "at {line} what is asked takes at least {} % of the time: polls will be left out",
                load.div_ceil(10_000)
            ),
            "write longer intervals, or a faster `line`".to_owned(),
        ),
    };
    found.add(path.key("interval"), what, remedy);
}

/// In whole tenths of a second above one.
fn round_up(time: Duration) -> u128 {
    let step = if time > Duration::from_secs(1) { 100 } else { 10 };
    time.as_millis().div_ceil(step) * step
}

/// The shortest time between two polls of these devices.
fn shortest(members: &[MemberSettings<'_>]) -> Option<Span> {
    let asked = members.iter().filter(|member| member.is_asked());
    let intervals = asked.flat_map(|member| {
        let default = member.interval;
        let registers = member.registers.values().map(move |it| it.interval.or(default));
        registers.chain(member.poll.values().map(move |it| it.interval.or(default)))
    });
    let default = Span::from_secs(MemberSettings::INTERVAL.as_secs());
    intervals.map(|it| it.unwrap_or(default)).min_by_key(|it| it.duration())
}

/// Several fields of a frame that go to one topic, one after the other.
fn one_topic(path: &Path, all: usize, mappings: &[Mapping], found: &mut Found<'_>) {
    for (n, mapping) in mappings.iter().enumerate() {
        let fields = if mapping.fields.is_empty() { all } else { mapping.fields.len() };
        let slots = [Slot::Field, Slot::Value, Slot::Unit];
        let tells_apart = slots.iter().any(|slot| mapping.topic.uses(*slot));
        if mapping.per == Per::Field && fields > 1 && !tells_apart {
            found.add(
                path.key("messages").item(n).key("topic"),
                "the values of several fields alternate under this topic",
                "put {field} into it, write `per: frame`, or name one of `fields`",
            );
        }
    }
}

/// Keys whose values are bytes.
const BYTES: &[&str] =
    &["start", "prefix", "end", "terminator", "separator", "between", "equals", "close"];

/// Words whose spelling says that something else was meant.
fn words(path: &mut Path, tree: &Tree, found: &mut Found<'_>) {
    match &tree.value {
        Value::Map(keys) => {
            for (key, value) in keys {
                path.0.push(Step::Key(key.key_text().into_owned()));
                words(path, value, found);
                path.0.pop();
            }
        }
        Value::List(items) => {
            for (n, item) in items.iter().enumerate() {
                path.0.push(Step::Item(n));
                words(path, item, found);
                path.0.pop();
            }
        }
        Value::Scalar { text, .. } => {
            let Some(Step::Key(key)) = path.0.last() else { return };
            if let Some((what, remedy)) = word(key, text, path) {
                found.add(path.clone(), what, remedy);
            }
        }
        Value::Tagged(_) => {}
    }
}

/// What is wrong with it, and the remedy.
fn word(key: &str, text: &str, path: &Path) -> Option<(String, String)> {
    let is_template = matches!(key, "topic" | "payload" | "send");
    if is_template && let Some((_, behind)) = text.split_once("{{") {
        let name = behind.split('}').next().unwrap_or_default().trim();
        const SLOTS: &[&str] = &[
            "gateway", "port", "device", "node", "field", "value", "unit", "time", "json",
            "payload",
        ];
        return SLOTS.contains(&name).then(|| {
            (
                format!("doubled braces stand for braces: this prints {{{name}}}, not its value"),
                format!("write {{{name}}}"),
            )
        });
    }
    let in_json = path.0.iter().any(|step| matches!(step, Step::Key(key) if key == "json"));
    if key == "from" && in_json && text.contains('.') && !text.starts_with('/') {
        let pointer = format!("/{}", text.replace('.', "/"));
        return Some((
            format!("this is a member called {text:?}"),
            format!("for one inside another write `from: {pointer}`"),
        ));
    }
    if !BYTES.contains(&key) || text.starts_with("hex:") {
        return None;
    }
    if let Some(escape) = ["\\r", "\\n", "\\t", "\\x", "\\0"].iter().find(|e| text.contains(**e)) {
        return Some((
            format!("`{escape}` is a backslash and a letter here"),
            "in double quotes it stands for one byte".into(),
        ));
    }
    let digits = text.trim_start_matches("0x");
    let pairs: Vec<&str> = digits.split([' ', ',', ':']).filter(|pair| !pair.is_empty()).collect();
    let is_hex = |pair: &&str| {
        pair.len().is_multiple_of(2)
            && pair.trim_start_matches("0x").bytes().all(|b| b.is_ascii_hexdigit())
    };
    let says_so = digits.len() < text.len() || pairs.len() > 1;
    (says_so && digits.len() >= 2 && pairs.iter().all(is_hex)).then(|| {
        let bytes = pairs.iter().map(|pair| pair.trim_start_matches("0x")).collect::<Vec<_>>();
        (
            format!("these are {} letters", text.chars().count()),
            format!("for bytes write `hex:{}`", bytes.join(" ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::port::settings::UsbId;

    #[test]
    fn an_adapter_belongs_to_one_port() {
        let adapter = |tty: &str, serial: &str| Adapter {
            tty: tty.into(),
            vendor: UsbId(0x1a86),
            product: UsbId(0x7523),
            serial: Some(serial.into()),
            interface: 0,
            name: String::new(),
        };
        let same = |ports: &str, adapters: &[Adapter]| {
            let text = format!("broker: {{url: \"mqtt://x\"}}\nports: {ports}\n");
            let (config, _) = load::parse("c", &text, std::path::Path::new("/")).unwrap();
            let same = same_adapter(&config, adapters);
            same.iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>()
        };
        let one = [adapter("no-tty0", "A")];
        let two = [adapter("no-tty0", "A"), adapter("no-tty1", "B")];
        let usb = "usb: {vendor: \"1a86\", product: \"7523\"";
        let with_path =
            format!("{{a: {{path: /dev/no-tty0, line: 9600}}, b: {{{usb}}}, line: 9600}}}}");
        assert_eq!(same(&with_path, &one), ["b a"]);
        // One of several is not found by this.
        assert_eq!(same(&with_path, &two), [""; 0]);
        let with_serial =
            format!("{{a: {{{usb}}}, line: 9600}}, b: {{{usb}, serial: A}}, line: 9600}}}}");
        assert_eq!(same(&with_serial, &one), ["b a"]);
        assert_eq!(same(&with_serial, &[]), [""; 0]);
    }
}
