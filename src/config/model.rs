//! Device files: the keys of a `model` are laid below the settings that name it, before these get types.

use super::device_file::Head;
use super::error::{Part, Problem};
use super::field_overrides;
use super::layer::Layers;
use super::library::{Library, Source};
use super::made::{Made, MadeBy};
use super::tree::Path;
use super::yaml::{Tree, Value};
use crate::base::path::BuildError;
use std::collections::{BTreeMap, BTreeSet};

/// Keys of a port, not of a device: on a bus, those of the models hold for the port.
const LINE: &[&str] = &["line", "flow", "dtr", "rts", "modbus", "bus"];

/// What a port says for all devices of its bus counts for more than what their models say: these
/// are wishes of the user, the other keys facts of the device.
const WISHES: &[&str] = &["interval", "align", "misses", "messages"];

/// Keys that describe the one device of a port, and none of a bus.
const OF_ONE_DEVICE: &[&str] = &[
    "model",
    "name",
    "device",
    "address",
    "byte_order",
    "join",
    "framing",
    "decrypt",
    "decode",
    "frames",
    "registers",
    "fields",
    "poll",
    "startup",
    "commands",
];

/// A mistake that is found before settings get their types.
pub(super) struct Misfit {
    pub(super) path: Path,
    pub(super) part: Part,
    pub(super) wrong: BuildError,
}

/// The device files that a configuration names.
pub(super) struct Models<'a> {
    library: Library,
    layers: &'a mut Layers,
    /// What was found for the models that the configuration names itself, until it is read.
    found: BTreeMap<String, Result<Option<Source>, BuildError>>,
    /// Each model that was looked for, with its place among the texts.
    read: BTreeMap<String, Option<usize>>,
    /// Nodes that were laid below settings.
    nodes: usize,
    pub(super) misfits: Vec<Misfit>,
    /// What is wrong with device files as YAML.
    pub(super) faults: Vec<Problem>,
    /// What the device files say of who made the devices.
    pub(super) made: MadeBy,
}

/// Most nodes that device files add to a configuration: a bus of 247 large devices has half of them.
const MOST_NODES: usize = 400_000;

impl<'a> Models<'a> {
    /// Device files in the folder `devices` beside the configuration count for more than those of the
    /// system, and these for more than the built-in ones.
    pub(super) fn new(folder: &std::path::Path, layers: &'a mut Layers) -> Models<'a> {
        Models {
            library: Library::beside(folder),
            layers,
            found: BTreeMap::new(),
            read: BTreeMap::new(),
            nodes: 0,
            misfits: Vec::new(),
            faults: Vec::new(),
            made: MadeBy::default(),
        }
    }

    /// Lays the models of all ports and devices below their settings.
    pub(super) fn lay_below(&mut self, config: &mut Tree) {
        self.found = self.library.read_all(named_in(config));
        let Some(ports) = config.get_mut("ports").and_then(Tree::keys_mut) else { return };
        for (name, port) in ports {
            let path = Path::from(["ports", &name.key_text()]);
            if port.get("devices").and_then(Tree::keys).is_some_and(|devices| !devices.is_empty()) {
                self.bus(&path, port);
            } else {
                if let Some(model) = self.keys_of(&path, port) {
                    lay_below(port, &model);
                }
                field_overrides::apply(&path, port, &mut self.misfits);
            }
        }
    }

    fn bus(&mut self, path: &Path, port: &mut Tree) {
        for key in OF_ONE_DEVICE.iter().filter(|key| port.get(key).is_some()) {
            let what = format!("`{key}` stands on the port, and the port has `devices`, too");
            let remedy = "with `devices`, each device has its own: move it below a device's name";
            self.misfit(path.key(key), Part::Key, BuildError::new(what).remedy(remedy));
        }
        let mut of_line: Vec<(Tree, Tree, String)> = Vec::new();
        let is_given = |key: &str| port.get(key).is_some();
        let given: Vec<&str> =
            LINE.iter().chain(WISHES).copied().filter(|key| is_given(key)).collect();
        let devices = port.get_mut("devices").and_then(Tree::keys_mut);
        for (name, device) in devices.into_iter().flatten() {
            let path = path.key("devices").key(&name.key_text());
            if let Some(mut model) = self.keys_of(&path, device) {
                let keys = model.keys_mut().map(std::mem::take).unwrap_or_default();
                let (line, mut keys): (Vec<_>, Vec<_>) =
                    keys.into_iter().partition(|(key, _)| LINE.contains(&&*key.key_text()));
                keys.retain(|(key, _)| !given.contains(&&*key.key_text()));
                model.value = Value::Map(keys);
                lay_below(device, &model);
                for (key, value) in line {
                    let text = key.key_text();
                    if given.contains(&&*text) {
                        continue;
                    }
                    match of_line.iter().find(|(other, ..)| other.key_text() == text) {
                        None => of_line.push((key, value, name.key_text().into_owned())),
                        Some((_, same, _)) if *same == value => {}
                        Some((.., other)) => {
                            let what = format!("its `{text}` is not that of {other:?}");
                            let remedy = format!("write the `{text}` of the bus on the port");
                            let wrong = BuildError::new(what).remedy(remedy);
                            self.misfit(path.key("model"), Part::Value, wrong);
                        }
                    }
                }
            }
            field_overrides::apply(&path, device, &mut self.misfits);
        }
        if let Some(keys) = port.keys_mut() {
            keys.extend(of_line.into_iter().map(|(key, value, _)| (key, value)));
        }
    }

    /// The settings that the model of some settings has, those of the model that this one names below
    /// them.
    pub(super) fn keys_of(&mut self, path: &Path, settings: &Tree) -> Option<Tree> {
        let mut whole: Option<Tree> = None;
        let mut next = settings.get("model").cloned();
        let mut seen = Vec::new();
        while let Some(model) = next {
            // What is no word is said when the settings get their types.
            let Value::Scalar { text, .. } = &model.value else { break };
            if seen.contains(text) {
                let error = BuildError::new(format!("the device file {text:?} names itself"));
                let error = error.remedy("a `model` in a device file names another one");
                self.misfit(path.key("model"), Part::Value, error);
                break;
            }
            seen.push(text.clone());
            let at = self.find(path, text)?;
            let file = &self.layers.iter().nth(at)?.tree;
            self.made.add(path, Made::of(file));
            let keys = settings_of(file);
            self.nodes += keys.nodes();
            if self.nodes > MOST_NODES {
                let error = BuildError::new(format!("the models add more than {MOST_NODES} keys"));
                let error = error.remedy("take smaller device files");
                self.misfit(path.key("model"), Part::Value, error);
                return None;
            }
            next = keys.get("model").cloned();
            match &mut whole {
                None => whole = Some(keys),
                Some(whole) => lay_below(whole, &keys),
            }
        }
        whole
    }

    /// The place of a model's text among the layers.
    fn find(&mut self, path: &Path, name: &str) -> Option<usize> {
        if let Some(found) = self.read.get(name) {
            return *found;
        }
        let found = self.read_file(path, name);
        self.read.insert(name.to_owned(), found);
        found
    }

    fn read_file(&mut self, path: &Path, name: &str) -> Option<usize> {
        let found = self.found.remove(name).unwrap_or_else(|| self.library.read(name));
        let wrong = match found {
            Ok(Some(Source { file, text, .. })) => match self.layers.read(&file, text) {
                Ok(layer) if layer.tree.keys().is_some() => {
                    return self.layers.iter().len().checked_sub(1);
                }
                Ok(_) => BuildError::new(format!("{file} is not a map of keys")),
                Err(error) => {
                    let named = |problem: Problem| Problem { file: Some(file.clone()), ..problem };
                    self.faults.extend(error.problems.into_iter().map(named));
                    return None;
                }
            },
            Ok(None) => self.library.unknown(name),
            Err(wrong) => wrong,
        };
        self.misfit(path.key("model"), Part::Value, wrong);
        None
    }

    fn misfit(&mut self, path: Path, part: Part, wrong: BuildError) {
        self.misfits.push(Misfit { path, part, wrong });
    }
}

/// The models that the ports of a configuration and the devices on them name.
fn named_in(config: &Tree) -> BTreeSet<&str> {
    let ports = config.get("ports").and_then(Tree::keys).unwrap_or_default();
    let settings = ports.iter().flat_map(|(_, port)| {
        let devices = port.get("devices").and_then(Tree::keys).unwrap_or_default();
        std::iter::once(port).chain(devices.iter().map(|(_, device)| device))
    });
    let models = settings.filter_map(|settings| settings.get("model"));
    models
        .filter_map(|model| {
            if let Value::Scalar { text, .. } = &model.value { Some(&**text) } else { None }
        })
        .collect()
}

/// What a device file says, without what it says about itself.
fn settings_of(file: &Tree) -> Tree {
    let mut settings = file.clone();
    if let Some(keys) = settings.keys_mut() {
        keys.retain(|(key, _)| !Head::KEYS.contains(&&*key.key_text()));
    }
    settings
}

/// Completes settings by those of a device file: maps are merged, a list or a scalar stands as it is.
pub(super) fn lay_below(settings: &mut Tree, model: &Tree) {
    merge(settings, model, &mut Vec::new());
}

/// `at` is where both are in the settings of a device.
fn merge(over: &mut Tree, below: &Tree, at: &mut Vec<String>) {
    let (Value::Map(over), Value::Map(below)) = (&mut over.value, &below.value) else { return };
    let own: Vec<String> = over.iter().map(|(key, _)| key.key_text().into_owned()).collect();
    for (key, value) in below {
        let name = key.key_text();
        match over.iter_mut().find(|(key, _)| key.key_text() == name) {
            // One kind of framing has nothing to do with another.
            Some((_, own)) if is_choice(at, &name) && is_another(own, value) => {}
            Some((_, own)) => {
                at.push(name.into_owned());
                merge(own, value, at);
                at.pop();
            }
            None if !own.iter().any(|own| excludes(at, own, &name)) => {
                over.push((key.clone(), value.clone()));
            }
            None => {}
        }
    }
}

/// Whether the value of a key is one of several kinds, the key of a map being the kind.
fn is_choice(at: &[String], key: &str) -> bool {
    let at: Vec<&str> = at.iter().map(String::as_str).collect();
    let is_settings =
        matches!(at[..], [] | ["poll" | "commands", _] | ["poll" | "commands", _, "reply"]);
    is_settings && matches!(key, "framing" | "checksum" | "decode")
}

/// Whether two maps are of different kinds.
fn is_another(a: &Tree, b: &Tree) -> bool {
    let kind = |tree: &Tree| match &tree.value {
        Value::Map(keys) => keys.first().map(|(key, _)| key.key_text().into_owned()),
        _ => None,
    };
    kind(a) != kind(b)
}

/// Whether a key takes the place of another one.
fn excludes(at: &[String], own: &str, other: &str) -> bool {
    let rivals: &[&[&str]] = match (at.first().map(String::as_str), at.len()) {
        (None, _) => &[&["decode", "frames"]],
        (Some("registers"), 2) => &[&["input", "holding", "coil", "discrete"]],
        (Some("poll"), 2) => &[&["send", "dialogue"]],
        (Some("commands"), 2) => &[&["values", "number"]],
        _ => &[],
    };
    rivals.iter().any(|group| group.contains(&own) && group.contains(&other))
}

#[cfg(test)]
mod tests;
