//! The options of `tty2mqtt sub`.

use super::arguments::{Argument, Row, on, push, some};
use super::connection::{AHEAD, Connection};
use super::{CommandOptions, UsageError, parsed, wrong};
use crate::mqtt::topic::{Qos, TopicFilter};
use crate::shell::format::Format;
use std::ffi::OsString;

#[derive(Clone, Debug, Default)]
pub struct SubscribeOptions {
    pub filters: Vec<(TopicFilter, Qos)>,
    pub unsubscribe: Vec<TopicFilter>,
    /// Topics that are not printed.
    pub filter_out: Vec<TopicFilter>,
    pub format: Format,
    pub no_eol: bool,
    /// End after this many messages.
    pub count: Option<u32>,
    /// End when all subscriptions are acknowledged.
    pub end_when_subscribed: bool,
    /// Do not print retained messages, and ask the broker to send none.
    pub skip_retained: bool,
    /// Print retained messages only, and end at the first other one.
    pub retained_only: bool,
    /// Remove the received retained messages from the broker.
    pub remove_retained: bool,
    pub retain_as_published: bool,
    pub no_local: bool,
    /// Print about this many of 1,000 messages.
    pub chance: Option<u16>,
    names: Vec<TopicFilter>,
    qos: Vec<Qos>,
    default_qos: Option<Qos>,
    verbose: bool,
    pretty: bool,
    json: bool,
    custom: Option<OsString>,
}

impl SubscribeOptions {
    fn take_percentage(&mut self, value: &Argument) -> Result<(), UsageError> {
        let text = value.text()?;
        match text.parse::<f64>() {
            Ok(percent) if (0.1..=100.0).contains(&percent) => {
                self.chance = Some((percent * 10.0) as u16).filter(|c| *c < 1000);
                Ok(())
            }
            _ => value.wrong(format_args!("{text}: write a percentage, 0.1 to 100")),
        }
    }
}

impl CommandOptions for SubscribeOptions {
    const DEFAULTS: &'static [&'static str] = &["tty2mqtt_sub", "mosquitto_sub"];

    const OPTIONS: &'static [Row<Self>] = &[
        ("-t --topic", "TOPIC", "repeatable", |o, v| o.topic(&v.text()?, &v.name)),
        ("-q --qos", "QOS", "0, 1, 2; repeatable", |o, v| push(&mut o.qos, v.qos())),
        ("-v --verbose", "", "print topics, too", |o, _| on(&mut o.verbose)),
        ("-N", "", "no line breaks", |o, _| on(&mut o.no_eol)),
        ("--json", "", "JSON objects", |o, _| on(&mut o.json)),
        ("--pretty", "", "on several lines", |o, _| on(&mut o.pretty)),
        ("-F --format", "FORMAT", "as '@H:@M %t %p'", |o, v| some(&mut o.custom, Ok(v.os()))),
        ("-C --count", "N", "end after N", |o, v| some(&mut o.count, v.number(1, u32::MAX))),
        ("-E", "", "end when subscribed", |o, _| on(&mut o.end_when_subscribed)),
        ("-U --unsubscribe", "TOPIC", "repeatable", |o, v| push(&mut o.unsubscribe, v.parse())),
        ("-T --filter-out", "TOPIC", "do not print", |o, v| push(&mut o.filter_out, v.parse())),
        ("-R", "", "nothing retained", |o, _| on(&mut o.skip_retained)),
        ("--retained-only", "", "end behind them", |o, _| on(&mut o.retained_only)),
        ("--remove-retained", "", "at the broker", |o, _| on(&mut o.remove_retained)),
        ("--retain-as-published", "", "MQTT 5", |o, _| on(&mut o.retain_as_published)),
        ("--no-local", "", "MQTT 5", |o, _| on(&mut o.no_local)),
        ("--random-filter", "PERCENT", "print a part", SubscribeOptions::take_percentage),
    ];

    const ABOUT: &'static str = "\
tty2mqtt sub: prints messages. What mosquitto_sub takes works here too.

Usage: tty2mqtt sub [OPTIONS] -t TOPIC...   (formats of -F: docs/SHELL.md)
";

    const EXAMPLE: &'static str = "tty2mqtt sub -h broker.lan -v -t 'door/#'";

    fn topic(&mut self, topic: &str, option: &str) -> Result<(), UsageError> {
        push(&mut self.names, parsed(topic, option))
    }

    fn defaults_end(&mut self) {
        // As with mosquitto, the topics of the file stay.
        self.default_qos = self.qos.pop();
        self.qos.clear();
    }

    fn finish(&mut self, connection: &mut Connection) -> Result<(), UsageError> {
        if self.names.is_empty() && self.unsubscribe.is_empty() {
            return wrong("-t is missing: the topic to subscribe to (or -U, to unsubscribe from)");
        }
        if self.skip_retained && self.retained_only {
            return wrong("-R and --retained-only exclude each other");
        }
        self.format = match self.custom.take() {
            _ if self.json => Format::json(self.pretty),
            Some(text) => Format::parse(text.as_encoded_bytes(), self.pretty)
                .map_err(|why| UsageError(format!("-F: {why}")))?,
            None if self.verbose => Format::Verbose,
            None => Format::Payload,
        };
        // Messages that will not be printed stay at the broker.
        let count = self.count.and_then(|n| u16::try_from(n).ok()).unwrap_or(AHEAD);
        connection.session.receive_maximum = count.min(AHEAD);
        self.filters = pair(std::mem::take(&mut self.names), &self.qos, self.default_qos)?;
        Ok(())
    }
}

/// Gives each topic its QoS. A single `-q` is for all topics; with several, each is for one topic, in their
/// order, and the last for all that are left.
pub(super) fn pair<T>(
    topics: Vec<T>,
    qos: &[Qos],
    default: Option<Qos>,
) -> Result<Vec<(T, Qos)>, UsageError> {
    if qos.len() > topics.len().max(1) {
        return wrong(format!("{} times -q for {} times -t", qos.len(), topics.len()));
    }
    let last = qos.last().copied().or(default).unwrap_or(Qos::AtMostOnce);
    let each = qos.iter().copied().chain(std::iter::repeat(last));
    Ok(topics.into_iter().zip(each).collect())
}
