//! What the MQTT task does where a `format` says in which form readings are published.

use super::UplinkTask;
use crate::base::clock::Now;
use crate::gateway::format::Format;
use crate::mqtt::link::{self, Link};
use crate::mqtt::packet::Reason;
use crate::mqtt::session::Received;
use crate::outbox::Outbox;
use crate::outbox::entry::Entry;
use std::time::Instant;

/// The next event of the link, which sends from the outbox in the form that there is.
pub(super) async fn event(
    link: &mut Link,
    outbox: &mut Outbox,
    format: &mut Option<Format>,
) -> link::Event {
    match format {
        Some(format) => link.event(&mut format.source(outbox, Now::read())).await,
        None => link.event(outbox).await,
    }
}

impl UplinkTask {
    /// Stores what a port sent in the form that there is.
    pub(super) fn push_formed(&mut self, entries: Vec<Entry>) {
        let Some(format) = &mut self.format else { return };
        let (now, mut formed) = (Now::read(), Vec::new());
        entries.into_iter().for_each(|entry| format.take(entry, now, &mut formed));
        for entry in formed {
            self.outbox.push(entry);
        }
    }

    /// Takes a message of the broker in another form than commands have here. One that is several commands is
    /// acknowledged at once, any other with the command.
    pub(super) fn hear(&mut self, mut message: Received) {
        let Some(format) = &mut self.format else { return };
        let heard = format.hear(&message.topic, &message.payload, message.retain);
        if heard.commands.len() != 1
            && let Some(token) = message.token.take()
        {
            self.link.session.acknowledge(token, Reason::SUCCESS);
        }
        if let Some(news) = heard.news {
            tracing::info!("{news}");
        }
        for refused in heard.refused {
            if let Some(again) = self.format_log.occurred(Instant::now()) {
                tracing::warn!("{}: {refused}{again}", message.topic);
            }
        }
        for (topic, payload) in heard.commands {
            let token = message.token.take();
            self.route(Received { topic, payload, token, ..message.clone() }, false);
        }
    }

    /// Leaves the broker once the form of what is published demands it.
    pub(super) fn follow_format(&mut self) {
        let Some(format) = &self.format else { return };
        if format.has_left() && self.ended.is_some() {
            self.link.leave(format.parting());
        } else if format.wants_another_broker() {
            self.link.move_on(format.parting());
        }
    }
}
