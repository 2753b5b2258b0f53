//! Golden cases as files: the settings of a port or of a kind of device, bytes, and the messages they
//! must become.

use super::device_file::{self, Head};
use super::error::{ConfigError, Problem};
use super::yaml::{Tree, Value};
use super::{Config, load};
use crate::base::path::BuildError;
use crate::device::cases::Case;
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
        let (head, port) = device_file::split(whole, Head::KEYS);
        let (cases, head) = device_file::split(head, &["cases"]);
        let head: Head = load::typed(file, &text, &head)?;
        if cases.get("cases").is_none() {
            let wrong = BuildError::new("the key `cases` is missing");
            let wrong =
                wrong.remedy("add bytes and the messages that they become: `cases: [{name: …}]`");
            return Err(ConfigError::of(file, None, "", wrong));
        }
        let Cases { cases } = load::typed(file, &text, &cases)?;
        Ok(Golden { head: Some(head), port, cases, file: file.to_owned(), text })
    }

    /// Runs all cases; a text for each that went wrong.
    pub fn failures(&self) -> Vec<String> {
        let config = match self.config() {
            Ok(config) => config,
            Err(why) => return vec![why.to_string()],
        };
        let ports = config.ports.iter();
        let devices: Vec<_> =
            ports.map(|(name, port)| port.device(&config.gateway, name)).collect();
        let run = |case: &Case| devices.iter().find_map(|device| case.run(device).err());
        self.cases.iter().filter_map(run).collect()
    }

    /// A configuration with this port, read as any other.
    fn config(&self) -> Result<Config, ConfigError> {
        let mut port = self.port.clone();
        if let Value::Map(keys) = &mut port.value
            && self.port.get("path").is_none()
        {
            keys.push((Tree::text("path"), Tree::text("/dev/null")));
            if self.port.get("line").is_none() {
                keys.push((Tree::text("line"), Tree::text("9600 8N1")));
            }
        }
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
