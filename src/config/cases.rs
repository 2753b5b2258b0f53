//! Golden cases as files: the settings of a port or of a kind of device, bytes, and the messages they
//! must become.

use super::device_file::{self, Head};
use super::yaml::{Tree, Value};
use super::{Config, load, tree};
use crate::device::cases::Case;
use serde::Deserialize;

/// A file of cases that share a port's settings: those below its key `port`, or those of a device
/// file. The gateway is called `gw`, the port `port`.
#[derive(Debug)]
pub struct Golden {
    /// What a device file says for people. Other files have a `source`.
    #[allow(dead_code, reason = "only the tests look at it")]
    pub head: Option<Head>,
    /// The port's settings, as in a configuration file.
    pub port: Tree,
    pub cases: Vec<Case>,
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

impl Golden {
    /// Reads a file of cases.
    pub fn parse(text: &str) -> Result<Golden, String> {
        let whole = Tree::read(text).map_err(|fault| fault.what)?;
        if let Some(port) = whole.get("port").cloned() {
            let (_, beside) = device_file::split(whole, &["port"]);
            let Sourced { cases, .. } = tree::read(&beside)?;
            return Ok(Golden { head: None, port, cases });
        }
        let (head, port) = device_file::split(whole, Head::KEYS);
        let mut head: Head = tree::read(&head)?;
        let cases = std::mem::take(&mut head.cases);
        Ok(Golden { head: Some(head), port, cases })
    }

    /// Runs all cases; a text for each that went wrong.
    pub fn failures(&self) -> Vec<String> {
        let config = match self.config() {
            Ok(config) => config,
            Err(why) => return vec![why],
        };
        let ports = config.ports.iter();
        let devices: Vec<_> =
            ports.map(|(name, port)| port.device(&config.gateway, name)).collect();
        let run = |case: &Case| devices.iter().find_map(|device| case.run(device).err());
        self.cases.iter().filter_map(run).collect()
    }

    /// A configuration with this port, read as any other.
    fn config(&self) -> Result<Config, String> {
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
        let parsed = load::from_tree("golden", tree, std::path::Path::new("/"));
        parsed.map(|(config, _)| config).map_err(|e| e.to_string())
    }
}
