//! Checks of devices that are asked: times, addresses, names, and what two of them claim.

use crate::base::scalar::{Name, Span};
use crate::config::Config;
use crate::config::load::Found;
use crate::config::tree::Path;
use crate::device::settings::{MemberSettings, Mode};
use crate::port::settings::Port;
use std::collections::{BTreeMap, HashMap};

const ZERO: Span = Span::from_secs(0);
const WEEK: Span = Span::from_secs(7 * 86_400);
const MINUTE: Span = Span::from_secs(60);

/// Finds what is wrong with the devices of all ports, as far as it takes more than one key.
pub(super) fn check(config: &Config, found: &mut Found<'_>) {
    let mut names = BTreeMap::new();
    for (name, port) in &config.ports {
        let path = Path::from(["ports", name.as_str()]);
        found.bus(&path, port);
        let settings = port.device(&config.gateway, name);
        for member in &settings.members {
            let path = match member.key {
                Some(key) => path.key("devices").key(key),
                None => path.clone(),
            };
            found.member(&path, member);
        }
        for (name, path) in devices(&path, name, port) {
            if let Some(other) = names.get(name) {
                let what = format!("the device {other} has this name, too{}", found.line_of(other));
                found.add(path, what, "topics begin with it: give each a name of its own");
            } else {
                names.insert(name, path);
            }
        }
    }
}

/// The devices of a port, by name, with the places of their names.
fn devices<'a>(path: &Path, name: &'a Name, port: &'a Port) -> Vec<(&'a Name, Path)> {
    if port.devices.is_empty() {
        return vec![match &port.name {
            Some(own) => (own, path.key("name")),
            None => (name, path.clone()),
        }];
    }
    let devices = port.devices.keys();
    devices.map(|name| (name, path.key("devices").key(name.as_str()))).collect()
}

impl Found<'_> {
    fn bus(&mut self, path: &Path, port: &Port) {
        let bus = path.key("bus");
        self.within_some(bus.key("silence"), port.bus.silence, ZERO, Span::from_secs(1));
        self.within_some(
            bus.key("turnaround"),
            Some(port.bus.turnaround),
            ZERO,
            Span::from_secs(10),
        );
        self.times(path, port.interval, port.timeout, port.misses);
        if port.modbus == Mode::Tcp && port.tcp.is_none() {
            let what = "Modbus TCP needs a network";
            self.add(path.key("modbus"), what, "write `tcp: HOST:502`, or `modbus: rtu`");
        }
        let mut addresses = HashMap::new();
        for (name, device) in &port.devices {
            let path = path.key("devices").key(name.as_str());
            self.times(&path, device.interval, device.timeout, device.misses);
            if let Some(address) = device.address {
                let path = path.key("address");
                // What is written to 0 is for all.
                if let Some(other) = addresses.get(&address).filter(|_| address != 0) {
                    let what = format!("{other} is {address}, too{}", self.line_of(other));
                    self.add(path, what, "give each device of a bus an address of its own");
                } else {
                    addresses.insert(address, path);
                }
            }
            let is_mute = device.registers.is_empty()
                && device.poll.is_empty()
                && device.startup.is_empty()
                && device.commands.is_empty();
            if is_mute {
                let what = "nothing is asked of this device, and nothing told";
                self.add(path, what, "add `model`, `registers`, `poll` or `commands`");
            }
        }
    }

    fn member(&mut self, path: &Path, member: &MemberSettings<'_>) {
        if !(1..=125).contains(&member.join.count) {
            let what = format!("one request cannot read {} registers", member.join.count);
            self.add(path.key("join").key("count"), what, "write a number from 1 to 125");
        }
        for (name, register) in member.registers {
            self.times(&path.key("registers").key(name), register.interval, None, None);
        }
        for (name, poll) in member.poll {
            let path = path.key("poll").key(name);
            self.times(&path, poll.interval, poll.timeout, None);
            for (n, step) in poll.dialogue.iter().enumerate() {
                let path = path.key("dialogue").item(n).key("pause");
                self.within_some(path, step.pause, ZERO, MINUTE);
            }
        }
        for (n, step) in member.startup.iter().enumerate() {
            let path = path.key("startup").item(n).key("pause");
            self.within_some(path, step.pause, ZERO, MINUTE);
        }
        for (name, command) in member.commands {
            let path = path.key("commands").key(name);
            self.within_some(path.key("max_age"), command.max_age, Span::from_secs(1), WEEK);
            if member.registers.get(name).is_some_and(|register| register.write.is_wanted()) {
                let what = "the register of this name takes what is sent to this topic, too";
                self.add(path, what, "rename one of them, or leave out its `write`");
            }
        }
    }

    fn times(
        &mut self,
        path: &Path,
        interval: Option<Span>,
        timeout: Option<Span>,
        misses: Option<u8>,
    ) {
        self.within_some(path.key("interval"), interval, Span::from_millis(10), WEEK);
        self.within_some(path.key("timeout"), timeout, Span::from_millis(1), MINUTE);
        if misses == Some(0) {
            self.add(path.key("misses"), "a device fails at least once", "write 1 to 255");
        }
    }

    fn within_some(&mut self, path: Path, span: Option<Span>, least: Span, most: Span) {
        if let Some(span) = span {
            self.within(path, span, least, most);
        }
    }
}
