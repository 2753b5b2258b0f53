//! What the gateway publishes about itself, and its look-out for another gateway of its name.

use super::UplinkTask;
use crate::base::clock::Now;
use crate::gateway::status::mark;
use crate::gateway::topics;
use crate::mqtt::packet::{Properties, Subscription};
use crate::mqtt::session::Received;
use crate::mqtt::topic::Qos;
use crate::outbox::entry::Entry;
use std::time::Instant;

impl UplinkTask {
    /// Publishes what the gateway says about itself, unless `status` turns that off.
    pub(super) fn tell_about_us(&mut self, entry: Entry) {
        if let Some(entry) = self.config.topics.admit(entry) {
            self.outbox.push(entry);
        }
    }

    /// Publishes the birth message ahead of everything else: a backlog would delay it.
    pub(super) fn say_online(&mut self) {
        if let Some(birth) = topics::gateway(&self.config.topics, true) {
            self.outbox.push_first(birth);
        }
    }

    pub(super) fn publish_status(&mut self, now: Now) {
        self.next_status = now.mono + self.config.interval;
        let config = &self.config;
        let status = self.status.message(&config.topics, &self.outbox, &config.ports);
        self.tell_about_us(status);
        // Somebody may have written `offline` meanwhile, such as a broker that closed our older link.
        if self.status.connected && self.ended.is_none() {
            self.say_online();
        }
    }

    /// Subscribes to the topic on which another gateway of our name would be seen, once the link
    /// has stood for a while.
    pub(super) fn look_for_namesakes(&mut self) {
        if !self.status.connected || self.ended.is_some() {
            return;
        }
        let topic = self.config.topics.seen_program();
        if let Some(filter) = self.namesakes.ask(topic) {
            let wanted = Subscription::new(filter, Qos::AtMostOnce);
            self.link.session.subscribe(vec![wanted], &Properties::NONE);
        }
    }

    /// Checks whether another gateway wrote to the topic of our program's status.
    pub(super) fn hear_namesakes(&mut self, message: &Received) {
        let mark = self.mark();
        let Received { topic, payload, .. } = message;
        let again = self.namesakes.hear(topic, payload, &mark, Instant::now());
        let Some(again) = again else { return };
        tracing::error!(
            "another gateway publishes to {topic} too, so that neither status can be trusted: give \
             each a name of its own, the key `gateway`{again}"
        );
        // The other gateway is to find us, too.
        self.tell_about_us(self.ends.program.message(&self.config.topics, mark));
    }

    /// Tells us from another gateway of our name.
    pub(super) fn mark(&self) -> String {
        mark(&self.link.session.options().client_id)
    }
}
