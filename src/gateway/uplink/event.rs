//! What the MQTT task does at each event of the link, and what the log is told of it.

use super::UplinkTask;
use crate::base::clock::Now;
use crate::gateway::format::Format;
use crate::gateway::status::sender;
use crate::mqtt::link::LinkError;
use crate::mqtt::packet::{ConnAck, Properties};
use crate::mqtt::session::Event;
use crate::mqtt::url::BrokerUrl;
use std::time::Instant;

impl UplinkTask {
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected(answer) => self.connected(&answer),
            Event::Message(message) if self.format.is_some() => self.hear(message),
            Event::Message(message) => {
                let is_of_discovery = self.hear_discovery(&message);
                self.hear_namesakes(&message);
                self.route(message, is_of_discovery);
            }
            Event::Subscribed { filter, granted, .. } => {
                self.announcer.subscribed(filter.as_str(), Instant::now());
                let is_for_namesakes = self.namesakes.answered(&filter, granted.is_ok());
                let filter = filter.as_str();
                match granted {
                    Ok(_) if is_for_namesakes => {
                        tracing::debug!("subscribed to {filter}, for others of our name");
                    }
                    Ok(qos) => tracing::debug!("subscribed to {filter} with QoS {}", qos.bits()),
                    Err(why) if is_for_namesakes => tracing::info!(
                        "another gateway of our name would not be noticed: the broker refuses the \
                         subscription to {filter}: {why}"
                    ),
                    Err(why) => {
                        tracing::error!("the broker refuses the subscription to {filter}: {why}");
                    }
                }
            }
            Event::Oversize { topic, bytes, .. } => {
                tracing::warn!("a message of {bytes} bytes to {topic} was too large for us");
            }
            Event::WildcardTopic { topic } => {
                self.status.passed_over += 1;
                if let Some(again) = self.wildcards.occurred(Instant::now()) {
                    let topic = topic.as_deref().unwrap_or("a topic with a wildcard");
                    tracing::warn!(
                        "a message to {topic:?} was passed over: nobody may publish to a wildcard. \
                         RabbitMQ makes such of a `*`; with it, set `broker.amqp_topics`{again}"
                    );
                }
            }
            Event::Refused { .. } | Event::Suspected(_) | Event::PutOff { .. } => {
                let ports = &self.config.ports;
                let name = |port| sender(port, ports).to_owned();
                self.refused.tell(&event, name, Instant::now());
            }
            Event::Pong => self.ages.answered(),
            Event::Unsubscribed { .. } | Event::Authenticated => {}
        }
    }

    fn connected(&mut self, answer: &ConnAck) {
        let now = Now::read();
        let version = self.link.session.version();
        let session = if answer.session_present { ", session resumed" } else { "" };
        self.is_resumed = answer.session_present;
        if self.away.connected(&self.broker(), now.mono) {
            tracing::info!("connected to {} with MQTT {version}{session}", self.broker());
        }
        self.status.connected(now);
        self.ages.connected(answer.session_present);
        self.say_online();
        self.tell_about_us(self.ends.program.message(&self.config.topics, self.mark()));
        self.publish_status(now);
        let largest = answer.properties.maximum_packet_size().map(|most| *most as usize);
        self.announcer.connected(largest, now.mono);
    }

    pub(super) fn down(&mut self, why: &LinkError) {
        if self.status.connected {
            self.ages.lost(Instant::now());
        }
        self.outbox.disconnected(Instant::now());
        self.announcer.link_lost();
        self.format.iter_mut().for_each(Format::disconnected);
        if let Some(filter) = self.namesakes.link_lost() {
            self.link.session.unsubscribe(vec![filter], &Properties::NONE);
        }
        match why {
            LinkError::BetterBroker => {
                self.away.left();
                return tracing::info!("{why}; leaving {} for it", self.broker());
            }
            LinkError::Asked | LinkError::MovedOn => {
                self.away.left();
                return tracing::info!("{}: {why}", self.broker());
            }
            _ => {}
        }
        let now = Now::read();
        // A broker that stays away is worth one line, until it fails in another way.
        if let Some(again) = self.away.ended(&self.broker(), why, now.mono) {
            tracing::warn!("{}: {why}; trying again until it works{again}", self.broker());
        }
        self.status.lost(why.to_string(), now);
    }

    /// The broker's address, for the log.
    fn broker(&self) -> String {
        self.link.broker().map(BrokerUrl::to_string).unwrap_or_default()
    }
}
