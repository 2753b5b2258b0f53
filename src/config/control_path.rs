//! Where the control socket is.

use crate::base::scalar::{ScalarError, deserialize_from_str, wrong};
use std::path::PathBuf;
use std::str::FromStr;

deserialize_from_str!(Control: "file or off");

/// Where the control socket is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// Where it is by default.
    #[default]
    Standard,
    /// There is none.
    Off,
    /// Here.
    At(PathBuf),
}

impl Control {
    /// The longest path of a Unix socket, in bytes (`sun_path` of unix(7) without its zero byte).
    const LONGEST: usize = 107;
}

impl FromStr for Control {
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<Control, ScalarError> {
        match text {
            "off" | "false" => Ok(Control::Off),
            "" | "true" | "on" => wrong(format!("{text:?} is no path; write one, or `off`")),
            _ if text.len() > Control::LONGEST => {
                wrong(format!("the path of a socket has at most {} bytes", Control::LONGEST))
            }
            _ => Ok(Control::At(text.into())),
        }
    }
}
