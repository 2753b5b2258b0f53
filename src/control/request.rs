//! Every request of the control socket, as both ends know it.

use serde::Serialize;
use serde_json::{Map, Value};

/// The longest request in bytes, its line break included.
pub const LONGEST: usize = 64 << 10;

/// A request: one line of JSON.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "request", rename_all = "lowercase")]
pub enum Request {
    /// Answered by a `Status`.
    Status {
        /// Again each second, until the client closes its side.
        watch: bool,
    },
    /// Read the configuration again. Answered by `Reloaded` or `Problems`.
    Reload {},
    /// Connect to the broker now. Answered by `Reconnected`.
    Reconnect {},
    /// Ports that are away look for their devices now. Answered by `Done`.
    Rescan {},
    /// Write a command to a port. Answered by `Sent`.
    Send {
        port: String,
        /// The command's topic, or the end of it if that is enough to tell which.
        command: String,
        payload: String,
    },
    /// Show the log's filter, or set it. Answered by `Log`.
    Log { filter: Option<String> },
    /// Answered by an `Event` a line, until the client closes its side.
    Monitor {
        port: String,
        /// Bytes as they are read and written, too.
        raw: bool,
    },
}

impl Request {
    /// Reads a line; the error says what is possible.
    pub fn parse(line: &[u8]) -> Result<Request, String> {
        Request::read(line).map_err(|error| {
            format!(
                "no request: {error}; write one JSON object a line, as in \
                 {{\"request\":\"status\"}}"
            )
        })
    }

    /// Written by hand, because a derived reader costs a router 16 KB. A key that is `null` is as good as absent.
    fn read(line: &[u8]) -> Result<Request, String> {
        let mut keys = Keys::read(line)?;
        let request = match keys.text("request")?.as_str() {
            "status" => Request::Status { watch: keys.flag("watch")? },
            "reload" => Request::Reload {},
            "reconnect" => Request::Reconnect {},
            "rescan" => Request::Rescan {},
            "send" => Request::Send {
                port: keys.text("port")?,
                command: keys.text("command")?,
                payload: keys.text_if_any("payload")?.unwrap_or_default(),
            },
            "log" => Request::Log { filter: keys.text_if_any("filter")? },
            "monitor" => Request::Monitor { port: keys.text("port")?, raw: keys.flag("raw")? },
            name => {
                return Err(format!(
                    "unknown request {name:?}, expected one of `status`, `reload`, `reconnect`, \
                     `rescan`, `send`, `log`, `monitor`"
                ));
            }
        };
        match keys.0.keys().next() {
            None => Ok(request),
            Some(key) => Err(format!("unknown field `{key}`")),
        }
    }
}

/// The keys of an object that were not read yet.
pub(super) struct Keys(Map<String, Value>);

impl Keys {
    pub(super) fn read(json: &[u8]) -> Result<Keys, String> {
        match serde_json::from_slice(json).map_err(|error| error.to_string())? {
            Value::Object(keys) => Ok(Keys(keys)),
            _ => Err("expected an object".into()),
        }
    }

    pub(super) fn text_if_any(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("expected a string at `{key}`, not {other}")),
        }
    }

    fn text(&mut self, key: &str) -> Result<String, String> {
        self.text_if_any(key)?.ok_or_else(|| format!("missing field `{key}`"))
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<bool, String> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(is_set)) => Ok(is_set),
            Some(other) => Err(format!("expected a boolean at `{key}`, not {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::line;

    const MANUAL: &str = include_str!("../../docs/CONTROL.md");

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

    #[test]
    fn the_manual_has_every_request_with_all_it_takes() {
        for (request, heading) in [
            (Request::Status { watch: true }, "status"),
            (Request::Reload {}, "reload"),
            (Request::Reconnect {}, "reconnect"),
            (Request::Rescan {}, "rescan"),
            (Request::Log { filter: Some(String::new()) }, "log"),
            (
                Request::Send {
                    port: String::new(),
                    command: String::new(),
                    payload: String::new(),
                },
                "send",
            ),
            (Request::Monitor { port: String::new(), raw: true }, "monitor"),
        ] {
            assert_eq!(Request::parse(line(&request).as_bytes()), Ok(request.clone()));
            let section = MANUAL.split_once(&format!("\n## {heading}\n")).unwrap().1;
            let section = section.split("\n## ").next().unwrap();
            let request = serde_json::to_value(request).unwrap();
            assert!(section.contains(&format!("`{{\"request\": \"{heading}\"")), "{heading}");
            for key in request.as_object().unwrap().keys() {
                assert!(section.contains(&format!("\"{key}\"")), "{heading}: {key}");
            }
        }
    }
}
