//! Ports and devices that the command line names, as a configuration would.

use crate::base::command_line::CliError;
use crate::config::{Config, Files, load};
use std::path::PathBuf;
#[cfg(feature = "tools")]
use {
    crate::base::line::Line, crate::base::path::BuildError, crate::config::tree,
    crate::config::yaml::Tree, crate::port::settings::Port, std::path::Path,
};

/// A line setting, `9600 8N1` where there is none.
#[cfg(feature = "tools")]
pub(super) fn line(text: &str) -> Result<Line, CliError> {
    if text.trim().is_empty() {
        return Ok(Line::DEFAULT);
    }
    text.parse().map_err(|wrong: BuildError| CliError::Usage(format!("LINE: {wrong}")))
}

/// The port at a path, or behind `tcp:HOST:PORT`, `telnet://HOST:PORT` or `rfc2217://HOST:PORT`.
#[cfg(feature = "tools")]
pub(super) fn port(place: &str, line: Line) -> Result<Port, CliError> {
    let tcp = place.strip_prefix("tcp:").or_else(|| place.contains("://").then_some(place));
    let (key, value) = match tcp {
        Some(address) => ("tcp", address.to_owned()),
        None => ("path", path(place)),
    };
    let port = tree::read::<Port>(&Tree::map(vec![(key, Tree::text(&value))]));
    Ok(Port { line: Some(line), ..port.map_err(CliError::Usage)? })
}

#[cfg(feature = "tools")]
/// The path of a tty, whose folder `/dev` may be left out.
fn path(place: &str) -> String {
    let of_dev = Path::new("/dev").join(place);
    let is_short = !place.contains('/') && !Path::new(place).exists() && of_dev.exists();
    if is_short { of_dev.display().to_string() } else { place.to_owned() }
}

/// The configuration of one port with the settings of a device file. The folder `devices` of the
/// working directory counts, as does that beside a configuration.
pub(super) fn of_model(model: &str) -> Result<(Config, Vec<String>), CliError> {
    let model = quoted(model);
    config(&format!("port: {{tcp: \"device:1\", model: {model}}}"))
}

/// A configuration with these ports.
pub(super) fn config(ports: &str) -> Result<(Config, Vec<String>), CliError> {
    // Neither a broker nor a control socket is used.
    let text =
        format!("gateway: tty2mqtt\nbroker: {{url: mqtt://localhost}}\nports: {{{ports}}}\n");
    Ok(load::load_text(&Files::from(PathBuf::from("the command line")), &text)?)
}

/// A text as YAML has it in quotes; JSON's are among these.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
