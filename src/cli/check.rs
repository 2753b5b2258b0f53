//! `tty2mqtt check`: is a configuration file right?

use super::{CliError, DEFAULT_CONFIG, print};
use crate::config::load;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt check: reads a configuration file and reports every mistake in it, with line and remedy.
Opens no port and no connection.

Usage: tty2mqtt check [FILE]

  FILE   configuration [/etc/tty2mqtt/config.yaml]

Exit codes: 0 the file is right, 2 it is not.
Example: tty2mqtt check my.yaml
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut file = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('c') | Long("config") if file.is_none() => {
                file = Some(PathBuf::from(parser.value()?));
            }
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.unwrap_or_else(|| DEFAULT_CONFIG.into());
    let (config, warnings) = load::load(&file)?;
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    let ports: Vec<_> = config.ports.keys().map(|name| name.as_str()).collect();
    print(&format!(
        "{} is right: gateway {}, broker {}, ports {}\n",
        file.display(),
        config.gateway,
        config.broker.url,
        ports.join(", ")
    ))
}
