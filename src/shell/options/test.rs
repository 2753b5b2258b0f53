//! The options of `tty2mqtt test`.

use super::connection::Connection;
use super::{Own, UsageError, Values, wrong};
use crate::mqtt::topic::Topic;
use std::ffi::OsString;
use std::num::NonZeroU16;

/// The options of `tty2mqtt test` besides those of the connection.
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// Check the way to the broker and back instead of waiting for `quit`.
    pub self_check: bool,
    /// Print the results of the check as JSON.
    pub json: bool,
    /// Where the dialogue publishes; the check publishes below it.
    pub publish: Topic,
    /// What the dialogue listens to.
    pub listen: Topic,
    host: bool,
}

impl Default for TestOptions {
    fn default() -> TestOptions {
        let topic = |text: &'static str| {
            Topic::from_utf8(bytes::Bytes::from_static(text.as_bytes()))
                .unwrap_or_else(|_| unreachable!("{text} is a topic"))
        };
        TestOptions {
            self_check: false,
            json: false,
            publish: topic("test/1"),
            listen: topic("test/2"),
            host: false,
        }
    }
}

impl Own for TestOptions {
    const DEFAULTS: &'static [&'static str] = &["tty2mqtt_test"];

    fn take(&mut self, name: &str, values: &mut Values<'_>) -> Result<bool, UsageError> {
        match name {
            "--self-check" => self.self_check = true,
            "--json" => {
                self.self_check = true;
                self.json = true;
            }
            "-t" | "--topic" => self.publish = values.parse("a topic")?,
            "--listen" => self.listen = values.parse("a topic")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn word(&mut self, word: OsString, connection: &mut Connection) -> Result<(), UsageError> {
        let Some(host) = word.to_str().filter(|host| !host.is_empty() && !self.host) else {
            return wrong(format!("{}: one broker, please", word.display()));
        };
        self.host = true;
        match host.contains("://") {
            // The topic of a URL is optional here.
            true => {
                let rest = host.split_once("://").map_or("", |(_, rest)| rest);
                let slash = if rest.contains('/') { "" } else { "/" };
                connection.url(&format!("{host}{slash}"), "HOST").map(drop)
            }
            false => {
                // One colon is before a port; an IPv6 address has more.
                let port = match host.rsplit_once(':') {
                    Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                        Some((name, port))
                    }
                    _ => None,
                };
                let host = port.map_or(host, |(name, _)| name);
                connection.host = host.trim_start_matches('[').trim_end_matches(']').into();
                if let Some((_, port)) = port {
                    let number: Option<NonZeroU16> = port.parse().ok();
                    let Some(number) = number else {
                        return wrong(format!("{port:?} is no port; write HOST:1883"));
                    };
                    connection.port = Some(number.get());
                }
                Ok(())
            }
        }
    }

    fn topic(&mut self, topic: &str, option: &str) -> Result<(), UsageError> {
        if !topic.is_empty() {
            let topic = topic.parse().map_err(|why| UsageError(format!("{option}: {why}")))?;
            self.publish = topic;
        }
        Ok(())
    }

    fn finish(&mut self, _: &Connection) -> Result<(), UsageError> {
        Ok(())
    }
}
