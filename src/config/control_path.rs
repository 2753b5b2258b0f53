//! The path of the control socket, in the configuration.

use crate::base::path::BuildError;
use crate::base::scalar::{deserialize_from_str, wrong};
use std::path::PathBuf;
use std::str::FromStr;

deserialize_from_str!(Control: "file or off");

/// Where the control socket is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// Where it is by default.
    #[default]
    Standard,
    Off,
    At(PathBuf),
}

impl Control {
    /// The longest path of a Unix socket, in bytes (`sun_path` of unix(7) without its zero byte).
    const LONGEST: usize = 107;
}

impl FromStr for Control {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Control, BuildError> {
        match text {
            "off" | "false" => Ok(Control::Off),
            "" | "true" | "on" => {
                wrong(format!("{text:?} is not a valid path"), "write a path, or `off`")
            }
            _ if text.len() > Control::LONGEST => wrong(
                format!("the path of a socket has at most {} bytes", Control::LONGEST),
                "choose a shorter one",
            ),
            _ => Ok(Control::At(text.into())),
        }
    }
}
