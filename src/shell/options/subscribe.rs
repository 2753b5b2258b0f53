//! The options of `tty2mqtt sub`.

use super::connection::Connection;
use super::{Own, UsageError, Values, wrong};
use crate::mqtt::topic::{Qos, TopicFilter};
use crate::shell::format::Format;
use std::ffi::OsString;

/// The options of `tty2mqtt sub` besides those of the connection.
#[derive(Clone, Debug, Default)]
pub struct SubscribeOptions {
    /// What to subscribe to, each with its QoS.
    pub filters: Vec<(TopicFilter, Qos)>,
    /// What to unsubscribe from.
    pub unsubscribe: Vec<TopicFilter>,
    /// Topics that are not printed.
    pub filter_out: Vec<TopicFilter>,
    /// How a message is printed.
    pub format: Format,
    /// No line break behind a message.
    pub no_eol: bool,
    /// End after so many messages.
    pub count: Option<u32>,
    /// End when all subscriptions are acknowledged.
    pub end_when_subscribed: bool,
    /// Do not print retained messages, and ask the broker to send none.
    pub skip_retained: bool,
    /// Print retained messages only, and end at the first that is none.
    pub retained_only: bool,
    /// Have the broker forget the retained messages that come.
    pub remove_retained: bool,
    /// Keep the retain flag as it was published.
    pub retain_as_published: bool,
    /// Do not get back what we publish ourselves.
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

impl Own for SubscribeOptions {
    const DEFAULTS: &'static [&'static str] = &["tty2mqtt_sub", "mosquitto_sub"];

    fn take(&mut self, name: &str, values: &mut Values<'_>) -> Result<bool, UsageError> {
        match name {
            "-t" | "--topic" => {
                let topic = values.text("a topic")?;
                self.topic(&topic, name)?;
            }
            "-T" | "--filter-out" => self.filter_out.push(values.parse("a topic")?),
            "-U" | "--unsubscribe" => self.unsubscribe.push(values.parse("a topic")?),
            "-q" | "--qos" => self.qos.push(values.qos()?),
            "-C" | "--count" => self.count = Some(values.number("how many", 1, u32::MAX)?),
            "-E" => self.end_when_subscribed = true,
            "-F" | "--format" => self.custom = Some(values.os("a format")?),
            "--json" => self.json = true,
            "-N" => self.no_eol = true,
            "-v" | "--verbose" => self.verbose = true,
            "--pretty" => self.pretty = true,
            "-R" => self.skip_retained = true,
            "--retained-only" => self.retained_only = true,
            "--remove-retained" => self.remove_retained = true,
            "--retain-as-published" => self.retain_as_published = true,
            "--no-local" => self.no_local = true,
            "--random-filter" => {
                let text = values.text("a percentage")?;
                match text.parse::<f64>() {
                    Ok(percent) if (0.1..=100.0).contains(&percent) => {
                        self.chance = Some((percent * 10.0) as u16).filter(|c| *c < 1000);
                    }
                    _ => return wrong(format!("{name} {text}: write a percentage, 0.1 to 100")),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn topic(&mut self, topic: &str, option: &str) -> Result<(), UsageError> {
        let filter = topic.parse().map_err(|why| UsageError(format!("{option}: {why}")))?;
        self.names.push(filter);
        Ok(())
    }

    fn defaults_end(&mut self) {
        // As with mosquitto, the topics of the file stay.
        self.default_qos = self.qos.pop();
        self.qos.clear();
    }

    fn finish(&mut self, _: &Connection) -> Result<(), UsageError> {
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
        let default = self.default_qos.unwrap_or(Qos::AtMostOnce);
        self.filters = pair(std::mem::take(&mut self.names), &self.qos, default)?;
        Ok(())
    }
}

/// Gives each topic its QoS. One `-q` is for all of them; several are for one each, in their
/// order, and the last for all that are left.
pub(super) fn pair<T>(
    topics: Vec<T>,
    qos: &[Qos],
    default: Qos,
) -> Result<Vec<(T, Qos)>, UsageError> {
    if qos.len() > topics.len().max(1) {
        return wrong(format!("{} times -q for {} times -t", qos.len(), topics.len()));
    }
    let last = qos.last().copied().unwrap_or(default);
    let each = qos.iter().copied().chain(std::iter::repeat(last));
    Ok(topics.into_iter().zip(each).collect())
}
