//! The way of a command from the broker to the ports.

use super::UplinkTask;
use crate::base::clock::Now;
use crate::device::command::CommandError;
use crate::device::inbound::{AckGuard, Inbound, Receipt, Respond};
use crate::mqtt::packet::{Properties, Reason};
use crate::mqtt::session::{AckToken, Received};
use crate::mqtt::topic::{Topic, TopicFilter};
use crate::outbox::entry::Entry;
use crate::port::status::command_report;
use crate::port::task::{Inbox, OfferError};
use std::time::Duration;

/// Where the messages of some subscriptions go.
#[derive(Clone, Debug)]
pub struct Route {
    pub filters: Vec<TopicFilter>,
    /// Takes each message that one of the filters matches, once.
    pub inbox: Inbox,
    /// Where a message is reported whose port has ended.
    pub report: Topic,
}

impl UplinkTask {
    /// Hands a command message to every port that wants it. It is acknowledged when the last of
    /// them is done with it.
    pub(super) fn route(&mut self, message: Received, is_of_discovery: bool) {
        let Received { topic, payload, retain, token, properties, .. } = message;
        let config = &self.config;
        let is_wanted = |route: &&Route| route.filters.iter().any(|it| it.matches(topic.as_str()));
        let is_expected = is_of_discovery || config.topics.seen_program().as_ref() == Some(&topic);
        if self.is_resumed && !config.routes.iter().any(|route| is_wanted(&route)) && !is_expected {
            return self.end_leftover(&topic, token);
        }
        let now = Now::read();
        let ack = token.map(|token| {
            let taken = self.taken.clone();
            AckGuard::new(move || {
                // Without a receiver the broker is another one, or this task has ended.
                let _ = taken.try_send(token);
            })
        });
        let receipt = Receipt { ack, outcome: None };
        let expiry = properties.message_expiry().copied();
        let expires = expiry.map(|seconds| now.mono + Duration::from_secs(seconds.into()));
        let since = self.ages.came(retain, now.mono);
        let respond = properties.response_topic().and_then(|topic| topic.parse().ok());
        let correlation = properties.correlation_data().cloned();
        let respond = respond.map(|topic| Respond { topic, correlation });
        for route in config.routes.iter().filter(is_wanted) {
            let inbound = Inbound {
                topic: topic.clone(),
                payload: payload.clone(),
                retain,
                since,
                expires,
                respond: respond.clone(),
                receipt: receipt.share(),
            };
            let answer = |why: CommandError| {
                let answer = respond.clone().map(|respond| respond.message(why.result()));
                answer.map(Entry::from)
            };
            let inbound = match route.inbox.offer(inbound) {
                Ok(()) => continue,
                Err(OfferError::Full) => {
                    answer(CommandError::QueueFull).map(|entry| self.outbox.push(entry));
                    continue;
                }
                Err(OfferError::Closed(inbound)) => inbound,
            };
            // Ports end before this task does.
            let Inbound { topic, receipt, .. } = *inbound;
            if config.broker_keeps && receipt.ack.is_some() {
                continue;
            }
            tracing::warn!("command {topic} refused: {}", CommandError::Ending);
            let refused = Err(&CommandError::Ending);
            let report = command_report(&route.report, topic.as_str(), refused, 1, now);
            let report = config.topics.admit(report);
            report.map(|report| self.outbox.push(report));
            answer(CommandError::Ending).map(|entry| self.outbox.push(entry));
            receipt.acknowledge();
        }
        receipt.acknowledge();
    }

    /// A message that no command wants: an earlier configuration subscribed to it, in a session
    /// that the broker kept.
    fn end_leftover(&mut self, topic: &Topic, token: Option<AckToken>) {
        if let Some(token) = token {
            self.link.session.acknowledge(token, Reason::SUCCESS);
        }
        let wanted = self.config.subscriptions.iter().map(|wanted| &wanted.filter);
        let filters = self.leftovers.end(topic, wanted);
        if !filters.is_empty() {
            tracing::info!("an earlier configuration subscribed to {topic}; that is ended");
            self.link.session.unsubscribe(filters, &Properties::NONE);
        }
    }
}
