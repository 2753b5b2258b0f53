//! Other forms of what the gateway publishes than topics of its own: the devices, fields and commands are the same.
//! Sans-io.

mod homie;
mod reading;
mod said;
mod source;
pub mod sparkplug_b;

use crate::base::clock::Now;
use crate::base::path::BuildError;
use crate::config::{self, Config};
use crate::device::mapping::Mapping;
use crate::device::outline::Outline;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Reason, Subscription};
use crate::mqtt::source::Source;
use crate::mqtt::topic::Topic;
use crate::outbox::Outbox;
use crate::outbox::entry::Entry;
use crate::port::status::PortTopics;
use bytes::Bytes;
use homie::Homie;
use source::Formatted;
use sparkplug_b::EdgeNode;

/// What is known of a device, and the topics by which its port says more.
#[derive(Clone, Debug)]
pub struct Facts {
    pub outline: Outline,
    /// Where its port says whether it answers, if it is asked.
    availability: Option<Topic>,
    /// Where its port says how it is.
    port_status: Topic,
}

impl Facts {
    /// Of all devices on a port.
    pub fn of_port(outlines: Vec<Outline>, topics: &PortTopics) -> Vec<Facts> {
        let facts = |outline: Outline| Facts {
            availability: topics.devices.get(&outline.device).map(|it| it.availability.clone()),
            port_status: topics.status.clone(),
            outline,
        };
        outlines.into_iter().map(facts).collect()
    }
}

/// What a message from the broker has told.
#[derive(Debug, Default)]
pub struct Heard {
    /// Commands as the ports know them.
    pub commands: Vec<(Topic, Bytes)>,
    /// What cannot be done, for the log.
    pub refused: Vec<String>,
    /// For the log.
    pub news: Option<&'static str>,
}

/// The form of what is published, if it is not the gateway's own.
#[derive(Debug)]
pub enum Format {
    Homie(Homie),
    SparkplugB(EdgeNode),
}

impl Format {
    /// The form that a configuration names, if it does, for devices that are known by these facts.
    pub fn of(config: &Config, facts: Vec<Facts>) -> Option<Format> {
        Some(match config.format.as_ref()? {
            config::Format::Homie(settings) => Format::Homie(Homie::new(settings, config, facts)),
            config::Format::SparkplugB(settings) => {
                Format::SparkplugB(EdgeNode::new(settings, config, facts))
            }
        })
    }

    /// How the ports make messages: each of a whole frame, as JSON.
    pub fn mapping(format: &config::Format, config: &Config) -> Result<Mapping, BuildError> {
        match format {
            config::Format::Homie(settings) => {
                Mapping::whole(&homie::data_prefix(settings, &config.gateway))
            }
            config::Format::SparkplugB(settings) => {
                Mapping::whole(&sparkplug_b::data_prefix(settings, &config.gateway))
            }
        }
    }

    /// Goes on in the place of another one. `is_same_link`: the link to the broker stays.
    pub fn adopt(&mut self, old: Format, is_same_link: bool) {
        match (self, old) {
            (Format::Homie(new), Format::Homie(old)) => new.adopt(old, is_same_link),
            (Format::SparkplugB(new), Format::SparkplugB(old)) => new.adopt(old, is_same_link),
            (Format::Homie(_), _) | (Format::SparkplugB(_), _) => {}
        }
    }

    pub fn subscriptions(&self) -> Vec<Subscription> {
        match self {
            Format::Homie(homie) => homie.subscriptions(),
            Format::SparkplugB(node) => node.subscriptions(),
        }
    }

    /// The outbox in this form.
    pub fn source<'a>(&'a mut self, outbox: &'a mut Outbox, now: Now) -> Formatted<'a> {
        Formatted::new(outbox, self, now)
    }

    /// The will of the CONNECT that is about to be sent.
    fn will(&mut self, now: Now) -> Message {
        match self {
            Format::Homie(homie) => homie.will(),
            Format::SparkplugB(node) => node.will(now),
        }
    }

    /// A broker has let us in.
    fn connected(&mut self) {
        match self {
            Format::Homie(homie) => homie.connected(),
            Format::SparkplugB(node) => node.connected(),
        }
    }

    /// Prepares what is to be sent next. Returns whether the front message of the outbox was told already.
    fn prepare(&mut self, outbox: &Outbox, now: Now) -> bool {
        match self {
            Format::Homie(homie) => {
                homie.prepare(outbox.is_empty());
                false
            }
            Format::SparkplugB(node) => node.prepare(outbox.front_entry(), outbox.is_empty(), now),
        }
    }

    /// What is to be sent next.
    fn next<'a>(&'a self, outbox: &'a Outbox) -> Option<&'a Message> {
        match self {
            Format::Homie(homie) => homie.next().or_else(|| outbox.front()),
            Format::SparkplugB(node) => node.next(),
        }
    }

    /// What was next is with the link, or the broker does not take it. Returns whether it was the front message of
    /// the outbox.
    fn sent(&mut self, is_taken: bool, now: Now) -> bool {
        match self {
            Format::Homie(homie) => {
                homie.next().is_none() || {
                    homie.sent();
                    false
                }
            }
            Format::SparkplugB(node) if is_taken => node.sent(now),
            Format::SparkplugB(node) => node.pass_over(now),
        }
    }

    /// What stands aside in the outbox, as it is sent now; `None`: as it is.
    fn aside(&self, entry: &Entry, now: Now) -> Option<Message> {
        match self {
            Format::Homie(_) => None,
            Format::SparkplugB(node) => node.aside(entry, now),
        }
    }

    fn sent_aside(&mut self) {
        match self {
            Format::Homie(_) => {}
            Format::SparkplugB(node) => node.sent_aside(),
        }
    }

    /// Whether something is to be said before the link is left.
    fn owes_farewell(&self) -> bool {
        match self {
            Format::Homie(homie) => homie.owes_farewell(),
            Format::SparkplugB(node) => node.owes_farewell(),
        }
    }

    pub fn disconnected(&mut self) {
        match self {
            Format::Homie(homie) => homie.disconnected(),
            Format::SparkplugB(node) => node.disconnected(),
        }
    }

    /// The gateway ends.
    pub fn leave(&mut self) {
        match self {
            Format::Homie(homie) => homie.leave(),
            Format::SparkplugB(node) => node.leave(),
        }
    }

    /// Whether the broker was told that nothing more comes.
    pub fn has_left(&self) -> bool {
        match self {
            Format::Homie(homie) => homie.has_left(),
            Format::SparkplugB(node) => node.has_left(),
        }
    }

    /// With which reason the link ends when the broker was told so.
    pub fn parting(&self) -> Reason {
        match self {
            Format::Homie(_) => Reason::SUCCESS,
            // "NDEATH" (section 6.4.25).
            Format::SparkplugB(_) => Reason::DISCONNECT_WITH_WILL,
        }
    }

    /// Whether this broker is to be left for the next one.
    pub fn wants_another_broker(&self) -> bool {
        match self {
            Format::Homie(_) => false,
            Format::SparkplugB(node) => node.wants_another_broker(),
        }
    }

    /// Takes a message of the ports; what goes to the outbox is put into `out`.
    pub fn take(&mut self, entry: Entry, now: Now, out: &mut Vec<Entry>) {
        match self {
            Format::Homie(homie) => homie.take(entry, out),
            Format::SparkplugB(node) => node.take(entry, now, out),
        }
    }

    /// Takes a message from the broker.
    pub fn hear(&mut self, topic: &Topic, payload: &[u8], retain: bool) -> Heard {
        match self {
            Format::Homie(homie) => homie.hear(topic, payload, retain),
            Format::SparkplugB(node) => node.hear(topic, payload, retain),
        }
    }
}
