//! `tty2mqtt sub`: subscribes, and prints messages as they come.

use super::exit::Exit;
use super::failure::Failure;
use super::format::time::Moment;
use super::format::zone::TimeZone;
use super::format::{NotJson, PrintedMessage};
use super::link::ShellLink;
use super::options::Subscribe;
use crate::base::clock::Now;
use crate::base::command_line::write;
use crate::mqtt::link::Event;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Properties, Reason, RetainHandling, Subscription};
use crate::mqtt::session::{self, Received};
use crate::mqtt::source::MessageId;
use crate::mqtt::topic::{Qos, TopicFilter};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

pub(super) async fn subscribe(options: &Subscribe, link: &mut ShellLink) -> Result<(), Failure> {
    let own = &options.own;
    let filters: Vec<_> = own
        .filters
        .iter()
        .map(|(filter, qos)| Subscription {
            filter: filter.clone(),
            qos: *qos,
            no_local: own.no_local,
            retain_as_published: own.retain_as_published,
            retain_handling: if own.skip_retained && !own.remove_retained {
                RetainHandling::DoNotSend
            } else {
                RetainHandling::default()
            },
        })
        .collect();
    let mut subscriber = Subscriber {
        options,
        zone: TimeZone::of_machine(),
        unanswered: own.filters.iter().map(|(filter, _)| filter.clone()).collect(),
        leaving: own.unsubscribe.clone(),
        granted: 0,
        refused: None,
        printed: 0,
        removing: BTreeSet::new(),
        is_done: false,
    };
    if !filters.is_empty() {
        link.session().subscribe(filters, &options.connection.properties.subscribe);
    }
    link.connected(options.connection.connect_timeout).await?;
    if subscriber.unanswered.is_empty() {
        subscriber.subscribed(link)?;
    }
    loop {
        if subscriber.is_done && subscriber.removing.is_empty() {
            return link.leave().await;
        }
        match link.next().await {
            // The normal end of this command.
            Err(failure) if failure.exit.is_signal() => {
                link.end().await;
                return Ok(());
            }
            event => subscriber.take(event?, link)?,
        }
    }
}

struct Subscriber<'a> {
    options: &'a Subscribe,
    zone: TimeZone,
    /// Subscriptions without an answer of the broker.
    unanswered: Vec<TopicFilter>,
    /// Filters to unsubscribe from when all subscriptions are answered, until UNSUBACK.
    leaving: Vec<TopicFilter>,
    granted: usize,
    refused: Option<Reason>,
    printed: u32,
    /// Empty messages that remove retained ones at the broker.
    removing: BTreeSet<MessageId>,
    is_done: bool,
}

impl Subscriber<'_> {
    fn take(&mut self, event: Event, link: &mut ShellLink) -> Result<(), Failure> {
        match event {
            Event::Session(session::Event::Message(message)) => self.message(message, link),
            Event::Session(session::Event::Subscribed { filter, granted, .. }) => {
                self.answered(&filter, granted, link)
            }
            Event::Session(session::Event::Unsubscribed { filter, .. }) => {
                self.leaving.retain(|left| *left != filter);
                let only_that = self.options.own.filters.is_empty();
                self.is_done |=
                    only_that && self.leaving.is_empty() && self.options.own.end_when_subscribed;
                Ok(())
            }
            Event::Session(session::Event::Oversize { topic, bytes, .. }) => {
                link.warn(&format!("{topic}: a message of {bytes} bytes is too large"));
                Ok(())
            }
            Event::Session(session::Event::WildcardTopic { topic }) => {
                let topic = topic.unwrap_or_default();
                link.warn(&format!(
                    "{topic}: a message whose topic has a wildcard is skipped; RabbitMQ makes such \
                     topics from a `*`"
                ));
                Ok(())
            }
            Event::Outcome(ticket, _) => {
                self.removing.remove(&ticket);
                Ok(())
            }
            Event::Down(error) => link.lost(&error),
            other => link.interrupted(other),
        }
    }

    fn answered(
        &mut self,
        filter: &TopicFilter,
        granted: Result<Qos, Reason>,
        link: &mut ShellLink,
    ) -> Result<(), Failure> {
        // After a reconnect all are answered again.
        let Some(at) = self.unanswered.iter().position(|wanted| wanted == filter) else {
            return Ok(());
        };
        self.unanswered.remove(at);
        match granted {
            Ok(_) => self.granted += 1,
            Err(reason) => {
                link.warn(&format!(
                    "the broker refuses the subscription of {}: {reason}",
                    filter.as_str()
                ));
                self.refused.get_or_insert(reason);
            }
        }
        if !self.unanswered.is_empty() {
            return Ok(());
        }
        match self.refused {
            Some(reason) if self.granted == 0 => {
                let text = "All subscription requests were denied.";
                Err(Failure::new(Exit(reason.code()), text))
            }
            _ => self.subscribed(link),
        }
    }

    /// All subscriptions are answered.
    fn subscribed(&mut self, link: &mut ShellLink) -> Result<(), Failure> {
        if !self.leaving.is_empty() {
            link.session().unsubscribe(self.leaving.clone(), &Properties::NONE);
        }
        let own = &self.options.own;
        self.is_done |=
            own.end_when_subscribed && (self.leaving.is_empty() || !own.filters.is_empty());
        Ok(())
    }

    fn message(&mut self, message: Received, link: &mut ShellLink) -> Result<(), Failure> {
        if self.is_done {
            return Ok(());
        }
        let own = &self.options.own;
        if own.retained_only && !message.retain {
            self.is_done = true;
            return Ok(());
        }
        self.show(&message, link)?;
        // Not before: a message that could not be printed comes again.
        link.acknowledge(&message);
        Ok(())
    }

    fn show(&mut self, message: &Received, link: &mut ShellLink) -> Result<(), Failure> {
        let own = &self.options.own;
        let is_out = |filter: &TopicFilter| filter.matches(message.topic.as_str());
        if own.filter_out.iter().any(is_out) {
            return Ok(());
        }
        if own.remove_retained && message.retain {
            let empty = Message {
                qos: Qos::AtLeastOnce,
                retain: true,
                ..Message::new(message.topic.clone(), Bytes::new())
            };
            self.removing.insert(link.publish(empty));
        }
        if message.retain && own.skip_retained {
            return Ok(());
        }
        if own.chance.is_none_or(|chance| random() < chance) {
            self.print(message, link)?;
        }
        self.printed += 1;
        self.is_done |= own.count == Some(self.printed);
        Ok(())
    }

    fn print(&self, message: &Received, link: &ShellLink) -> Result<(), Failure> {
        let printed = PrintedMessage {
            topic: message.topic.as_str(),
            payload: &message.payload,
            qos: message.qos,
            retain: message.retain,
            id: message.token.map_or(0, |token| token.id().get()),
            properties: &message.properties,
        };
        let at = Moment::new(Now::read().wall, &self.zone);
        let mut text = Vec::with_capacity(message.payload.len() + 128);
        let own = &self.options.own;
        let shown =
            own.format.print(&printed, &at, !own.no_eol, io::stdout().is_terminal(), &mut text);
        if let Err(NotJson) = shown {
            link.warn(&format!("Message payload is not valid JSON on topic {}.", message.topic));
        }
        match write(&text) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::new(Exit::DONE, "")),
            Err(error) => Err(Failure::new(Exit::LOCAL, error.to_string())),
        }
    }
}

/// Random enough to pick a part of the messages.
fn random() -> u16 {
    let mut bytes = [0; 2];
    let _ = getrandom::fill(&mut bytes);
    u16::from_be_bytes(bytes) % 1000
}
