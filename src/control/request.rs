//! What can be asked on the control socket.

use serde::{Deserialize, Serialize};

/// The longest request in bytes, its line break included.
pub const LONGEST: usize = 64 << 10;

/// A request: one line of JSON.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(tag = "request", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// How the gateway, its link and its ports are, with the last value of each topic.
    Status {
        /// Again each second, until the client goes.
        #[serde(default)]
        watch: bool,
    },
    /// Read the configuration again.
    Reload {},
    /// Connect to the broker now, or again.
    Reconnect {},
    /// Look for the devices of ports that are away now.
    Rescan {},
    /// Write a command to a port.
    Send {
        /// The port.
        port: String,
        /// The command's topic, or the end of it if that is enough to tell which.
        command: String,
        /// The payload.
        #[serde(default)]
        payload: String,
    },
    /// What is logged.
    Log {
        /// From now on this, as after `tty2mqtt run --log`.
        #[serde(default)]
        filter: Option<String>,
    },
    /// What happens on a port, until the client goes.
    Monitor {
        /// The port.
        port: String,
        /// Bytes as they are read, too.
        #[serde(default)]
        raw: bool,
    },
}

impl Request {
    /// Reads a line; the error says what is possible.
    pub fn parse(line: &[u8]) -> Result<Request, String> {
        serde_json::from_slice(line).map_err(|error| {
            format!("no request: {error}; write one JSON object a line, as in {{\"request\":\"status\"}}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_what_is_none() {
        let parse = |text: &str| Request::parse(text.as_bytes());
        assert_eq!(parse(r#"{"request":"status"}"#), Ok(Request::Status { watch: false }));
        assert_eq!(parse(r#"{"request":"reload"}"#), Ok(Request::Reload {}));
        assert_eq!(parse(r#"{"request":"log"}"#), Ok(Request::Log { filter: None }));
        for (text, error) in [
            ("status", "expected"),
            (r#"{"request":"stop"}"#, "expected one of `status`, `reload`"),
            (r#"{"request":"reload","now":1}"#, "unknown field `now`"),
            (r#"{"request":"send","port":"a"}"#, "missing field `command`"),
            (r#"{"watch":true}"#, "missing field `request`"),
        ] {
            let got = parse(text).unwrap_err();
            assert!(got.contains(error), "{text}: {got}");
            assert!(got.contains(r#"{"request":"status"}"#), "{text}: {got}");
        }
    }
}
