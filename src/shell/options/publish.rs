//! The options of `tty2mqtt pub`.

use super::arguments::{Argument, Row, on, push, set};
use super::connection::{Connection, Password};
use super::{CommandOptions, UsageError, parsed, wrong};
use crate::mqtt::topic::{Qos, Topic};
use std::path::PathBuf;
use std::time::Duration;

/// The longest payload: what fits into a packet with the shortest topic (MQTT 2.2.3).
pub(in crate::shell) const MAX_PAYLOAD: usize = 268_435_455 - 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PayloadSource {
    /// `-m`: this.
    Message(Vec<u8>),
    /// `-n`: an empty message.
    #[default]
    Empty,
    /// `-f`: a file as one message.
    File(PathBuf),
    /// `-s`: the standard input as one message.
    Stdin,
    /// `-l`: each line of the standard input.
    Lines,
}

#[derive(Clone, Debug, Default)]
pub struct PublishOptions {
    /// At least one.
    pub topics: Vec<(Topic, Qos)>,
    pub source: PayloadSource,
    pub retain: bool,
    pub repeat: u32,
    /// From the acknowledgement to the next time.
    pub repeat_delay: Duration,
    given: Option<PayloadSource>,
    names: Vec<Topic>,
    default_name: Option<Topic>,
    qos: Vec<Qos>,
    default_qos: Option<Qos>,
}

impl PublishOptions {
    fn take_source(&mut self, source: PayloadSource) -> Result<(), UsageError> {
        match self.given.replace(source) {
            None => Ok(()),
            Some(_) => wrong("-f, -l, -m, -n and -s exclude each other"),
        }
    }

    fn take_message(&mut self, value: &Argument) -> Result<(), UsageError> {
        let payload = value.bytes();
        if payload.len() > MAX_PAYLOAD {
            return value.wrong(format_args!("a message has at most {MAX_PAYLOAD} bytes"));
        }
        self.take_source(PayloadSource::Message(payload))
    }
}

impl CommandOptions for PublishOptions {
    const DEFAULTS: &'static [&'static str] = &["tty2mqtt_pub", "mosquitto_pub"];

    const OPTIONS: &'static [Row<Self>] = &[
        ("-t --topic", "TOPIC", "repeatable", |o, v| o.topic(&v.text()?, &v.name)),
        ("-m --message", "TEXT", "the payload", PublishOptions::take_message),
        ("-f --file", "FILE", "a file's content", |o, v| {
            o.take_source(PayloadSource::File(v.path()))
        }),
        ("-s --stdin-file", "", "standard input", |o, _| o.take_source(PayloadSource::Stdin)),
        ("-l --stdin-line", "", "each line of it", |o, _| o.take_source(PayloadSource::Lines)),
        ("-n --null-message", "", "empty payload", |o, _| o.take_source(PayloadSource::Empty)),
        ("-q --qos", "QOS", "0, 1, 2; repeatable", |o, v| push(&mut o.qos, v.qos())),
        ("-r --retain", "", "retained", |o, _| on(&mut o.retain)),
        ("--repeat", "N", "publish N times", |o, v| set(&mut o.repeat, v.number(1, u32::MAX))),
        ("--repeat-delay", "SECONDS", "between them", |o, v| set(&mut o.repeat_delay, v.seconds())),
    ];

    const ABOUT: &'static str = "\
tty2mqtt pub: publishes, and ends when the broker has the message.
What mosquitto_pub takes works here too.

Usage: tty2mqtt pub [OPTIONS] -t TOPIC {-m TEXT | -f FILE | -s | -l | -n}
";

    const EXAMPLE: &'static str = "tty2mqtt pub -h broker.lan -q 1 -t door/bell -m ring";

    fn topic(&mut self, topic: &str, option: &str) -> Result<(), UsageError> {
        push(&mut self.names, parsed(topic, option))
    }

    fn defaults_end(&mut self) {
        self.default_name = self.names.pop();
        self.names.clear();
        self.default_qos = self.qos.pop();
        self.qos.clear();
    }

    fn finish(&mut self, connection: &mut Connection) -> Result<(), UsageError> {
        if self.names.is_empty() {
            self.names.extend(self.default_name.take());
        }
        if self.names.is_empty() {
            return wrong("-t is missing: the topic to publish to");
        }
        let Some(source) = self.given.take() else {
            return wrong("the payload is missing. Give -m, -f, -l, -s or -n");
        };
        if self.repeat > 1 && source == PayloadSource::Lines {
            return wrong("--repeat and -l exclude each other");
        }
        let stdin = matches!(source, PayloadSource::Lines | PayloadSource::Stdin);
        if stdin && matches!(connection.password, Some(Password::Stdin)) {
            return wrong("the standard input cannot be both password and message");
        }
        self.source = source;
        // Without --repeat there is a 0.
        self.repeat = self.repeat.max(1);
        let names = std::mem::take(&mut self.names);
        self.topics = super::subscribe::pair(names, &self.qos, self.default_qos)?;
        Ok(())
    }
}
