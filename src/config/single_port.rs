//! A configuration of one port and nothing else, for commands that need no configuration file.

use super::yaml::Tree;
use super::{Config, ConfigError, load};
use std::path::Path;

/// With these settings of the port. The gateway is called `gw`, the port `port`; device files are those of
/// the system and of the program.
pub fn of(keys: Vec<(&str, Tree)>) -> Result<Config, ConfigError> {
    let tree = Tree::map(vec![
        ("gateway", Tree::text("gw")),
        ("broker", Tree::map(vec![("url", Tree::text("mqtt://localhost"))])),
        ("ports", Tree::map(vec![("port", Tree::map(keys))])),
    ]);
    load::from_tree("command line", "", tree, Path::new("/etc/tty2mqtt")).map(|(config, _)| config)
}
