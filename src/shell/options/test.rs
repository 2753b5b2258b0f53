//! The options of `tty2mqtt test`.

use super::arguments::{Row, on, set};
use super::connection::Connection;
use super::{CommandOptions, UsageError, parsed, wrong};
use crate::mqtt::topic::Topic;
use std::ffi::OsString;
use std::num::NonZeroU16;

#[derive(Clone, Debug)]
pub struct TestOptions {
    /// Check each step to the broker and back instead of waiting for `quit`.
    pub self_check: bool,
    pub json: bool,
    /// Where the dialogue publishes; the check publishes below it.
    pub publish: Topic,
    /// Where the dialogue subscribes.
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

impl CommandOptions for TestOptions {
    const DEFAULTS: &'static [&'static str] = &["tty2mqtt_test"];

    const OPTIONS: &'static [Row<Self>] = &[
        ("--self-check", "", "step by step", |o, _| on(&mut o.self_check)),
        ("--json", "", "JSON", |o, _| {
            o.self_check = true;
            on(&mut o.json)
        }),
        ("-t --topic", "TOPIC", "[test/1]", |o, v| set(&mut o.publish, v.parse())),
        ("--listen", "TOPIC", "[test/2]", |o, v| set(&mut o.listen, v.parse())),
    ];

    const ABOUT: &'static str = "\
tty2mqtt test: publishes to test/1, prints what comes on test/2 until `quit`.
With --self-check: tries name, TCP, TLS, login and a message with each QoS,
and says what is wrong.

Usage: tty2mqtt test [OPTIONS] HOST
       tty2mqtt test [OPTIONS] mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT]
";

    const EXAMPLE: &'static str = "tty2mqtt test --self-check mqtts://broker.lan";

    fn word(&mut self, word: OsString, connection: &mut Connection) -> Result<(), UsageError> {
        let Some(host) = word.to_str().filter(|host| !host.is_empty() && !self.host) else {
            return wrong(format!("{}: only one broker can be given", word.display()));
        };
        self.host = true;
        if let Some((_, rest)) = host.split_once("://") {
            // The topic of a URL is optional here.
            let slash = if rest.contains('/') { "" } else { "/" };
            connection.take_url(&format!("{host}{slash}"), "HOST")?;
            connection.topic = None;
            return Ok(());
        }
        // One colon is before a port; an IPv6 address has more.
        let port = host.rsplit_once(':');
        let port = port.filter(|(name, _)| !name.contains(':') || name.ends_with(']'));
        let host = port.map_or(host, |(name, _)| name);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        connection.parts.host = Some(bare.into());
        if let Some((_, port)) = port {
            let Ok(number) = port.parse::<NonZeroU16>() else {
                return wrong(format!("{port:?} is no port; write HOST:1883"));
            };
            connection.parts.port = Some(number.get());
        }
        Ok(())
    }

    fn topic(&mut self, topic: &str, option: &str) -> Result<(), UsageError> {
        if !topic.is_empty() {
            self.publish = parsed(topic, option)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Connection) -> Result<(), UsageError> {
        Ok(())
    }
}
