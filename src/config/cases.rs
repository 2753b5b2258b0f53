//! Golden cases as files: the settings of a port or of a kind of device, bytes, and the messages they
//! must become.

use super::device_file::{self, Head};
use super::error::{ConfigError, Problem};
use super::yaml::{Tree, Value};
use super::{Config, load};
use crate::base::path::BuildError;
use crate::device::cases::Case;
#[cfg(feature = "tools")]
use crate::device::cases::Recorded;
#[cfg(feature = "demo")]
use crate::device::cases::Told;
use crate::port::settings::Port;
use serde::Deserialize;

/// A file of cases that share a port's settings: those below its key `port`, or those of a device
/// file. The gateway is called `gw`, the port `port`.
#[derive(Debug)]
pub struct Golden {
    /// What a device file says for people. Other files have a `source`.
    pub head: Option<Head>,
    /// The port's settings, as in a configuration file.
    pub port: Tree,
    pub cases: Vec<Case>,
    file: String,
    text: String,
}

/// What stands beside the settings of a port.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sourced {
    /// Where the bytes come from: the device, and the document that publishes its format.
    #[allow(dead_code, reason = "for people; it must be there")]
    source: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default)]
    cases: Vec<Case>,
}

impl Golden {
    /// Reads a file of cases.
    pub fn read(file: &str, text: String) -> Result<Golden, ConfigError> {
        let whole = load::tree(file, &text)?;
        if let Some(port) = whole.get("port").cloned() {
            let (_, beside) = device_file::split(whole, &["port"]);
            let Sourced { cases, .. } = load::typed(file, &text, &beside)?;
            return Ok(Golden { head: None, port, cases, file: file.to_owned(), text });
        }
        if whole.get("cases").is_none() {
            let wrong = BuildError::new("the key `cases` is missing");
            let wrong =
                wrong.remedy("add bytes and the messages that they become: `cases: [{name: …}]`");
            return Err(ConfigError::of(file, None, "", wrong));
        }
        Golden::of_device(file, text, whole)
    }

    /// Reads a device file, which need not have cases.
    #[cfg(any(feature = "demo", feature = "tools"))]
    pub fn device(file: &str, text: String) -> Result<Golden, ConfigError> {
        let whole = load::tree(file, &text)?;
        Golden::of_device(file, text, whole)
    }

    fn of_device(file: &str, text: String, whole: Tree) -> Result<Golden, ConfigError> {
        let (head, port) = device_file::split(whole, Head::KEYS);
        let (cases, head) = device_file::split(head, &["cases"]);
        let head: Head = load::typed(file, &text, &head)?;
        let Cases { cases } = load::typed(file, &text, &cases)?;
        Ok(Golden { head: Some(head), port, cases, file: file.to_owned(), text })
    }

    /// Runs all cases; a text for each that went wrong.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for case in &self.cases {
            let port = match self.port_of(Some(case)) {
                Ok(port) => port,
                Err(why) => {
                    failures.push(format!("{}: {why}", case.name));
                    continue;
                }
            };
            let config = match self.config(port) {
                Ok(config) => config,
                // It is no better for the next case.
                Err(why) => return vec![why.to_string()],
            };
            let mut ports = config.ports.iter();
            let run =
                |(name, port): (_, &Port)| case.run(&port.device(&config.gateway, name)).err();
            failures.extend(ports.find_map(run));
        }
        failures
    }

    /// A configuration with this port.
    #[cfg(any(feature = "demo", feature = "tools"))]
    pub fn whole(&self) -> Result<Config, ConfigError> {
        let wrong = |why| ConfigError::of(&self.file, None, "", BuildError::new(why));
        self.config(self.port_of(None).map_err(wrong)?)
    }

    /// What the device says in those of its cases in which nothing is damaged.
    #[cfg(feature = "demo")]
    pub fn told(&self) -> Vec<Told> {
        let told = |case: &Case| {
            let config = self.config(self.port_of(Some(case)).ok()?).ok()?;
            let (name, port) = config.ports.first_key_value()?;
            case.told(&port.device(&config.gateway, name))
        };
        let mut all: Vec<Told> = self.cases.iter().filter_map(told).collect();
        if all.iter().any(|told| !told.is_doubtful) {
            all.retain(|told| !told.is_doubtful);
        }
        all
    }

    /// The port's settings, as a case wants them.
    fn port_of(&self, case: Option<&Case>) -> Result<Tree, String> {
        let mut port = self.port.clone();
        keep(&mut port, case.map_or(&[], |case| &case.only))?;
        if let Value::Map(keys) = &mut port.value {
            if self.port.get("path").is_none() {
                keys.push((Tree::text("path"), Tree::text("/dev/null")));
                if self.port.get("line").is_none() {
                    keys.push((Tree::text("line"), Tree::text("9600 8N1")));
                }
            }
            if let Some(address) = case.and_then(|case| case.address) {
                keys.retain(|(key, _)| key.key_text() != "address");
                let text = address.to_string().into();
                let value = Value::Scalar { text, plain: true };
                keys.push((Tree::text("address"), Tree { value, ..Tree::default() }));
            }
        }
        Ok(port)
    }

    /// What becomes of the input of the first case, whatever it expects.
    #[cfg(feature = "tools")]
    pub fn record(&self) -> Result<Recorded, String> {
        let case = self.cases.first().ok_or("no case")?;
        let config = self.config(self.port_of(Some(case))?).map_err(|wrong| wrong.to_string())?;
        let port = config.ports.iter().next().ok_or("no port")?;
        case.record(&port.1.device(&config.gateway, port.0))
    }

    /// A configuration with this port, read as any other.
    fn config(&self, port: Tree) -> Result<Config, ConfigError> {
        let tree = Tree::map(vec![
            ("gateway", Tree::text("gw")),
            ("broker", Tree::map(vec![("url", Tree::text("mqtt://x"))])),
            ("ports", Tree::map(vec![("port", port)])),
        ]);
        let parsed = load::from_tree(&self.file, &self.text, tree, std::path::Path::new("/"));
        let parsed = parsed.map_err(|mut wrong| {
            wrong.problems.iter_mut().for_each(|problem| self.shorten(problem));
            wrong
        });
        parsed.map(|(config, _)| config)
    }

    /// A path as it stands in the file.
    fn shorten(&self, problem: &mut Problem) {
        let own = if self.head.is_some() { "ports.port." } else { "ports." };
        if let Some(path) = problem.path.strip_prefix(own) {
            problem.path = path.to_owned();
        }
    }
}

/// Leaves of the port's registers and polls those with these names, if there are any names.
fn keep(port: &mut Tree, names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Ok(());
    }
    let mut left: Vec<&String> = names.iter().collect();
    for of in ["registers", "poll"] {
        let Some(keys) = port.get_mut(of).and_then(Tree::keys_mut) else { continue };
        keys.retain(|(key, _)| names.iter().any(|name| *name == key.key_text()));
        left.retain(|name| keys.iter().all(|(key, _)| **name != key.key_text()));
        if keys.is_empty()
            && let Value::Map(parts) = &mut port.value
        {
            parts.retain(|(key, _)| key.key_text() != of);
        }
    }
    match left.first() {
        Some(name) => Err(format!("`only`: there is no register or poll `{name}`")),
        None => Ok(()),
    }
}
