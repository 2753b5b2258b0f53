//! A file of golden cases: the settings of a port, bytes, and the messages they must become.

use super::yaml::{Tree, Value};
use super::{Config, load};
use crate::device::cases::Case;
use serde::{Deserialize, Deserializer, de};

/// A file of cases that share a port's settings. The gateway is called `gw`, the port `port`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Where the bytes come from: the device, and the document that publishes its format.
    #[allow(dead_code, reason = "for people; it must be there")]
    pub source: String,
    /// The port's settings, as in a configuration file.
    #[serde(deserialize_with = "later")]
    pub port: Tree,
    pub cases: Vec<Case>,
}

/// The settings are taken as they are written, and read as a configuration's port later.
fn later<'de, D: Deserializer<'de>>(from: D) -> Result<Tree, D::Error> {
    de::IgnoredAny::deserialize(from).map(|_| Tree::default())
}

impl Golden {
    /// Reads a file of cases.
    pub fn parse(text: &str) -> Result<Golden, String> {
        let tree = Tree::read(text).map_err(|fault| fault.what)?;
        let mut golden: Golden = super::tree::read(&tree)?;
        golden.port = tree.get("port").cloned().unwrap_or_default();
        Ok(golden)
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
