//! What the task of a port leaves when it ends: commands for the next task of the port, or to be
//! refused.

use super::inbox::{InboxEnd, InboxItem};
use super::refused::{RefusalReport, RefusedCommands};
use crate::base::clock::Now;
use crate::base::scalar::Name;
use crate::device::command::CommandError;
use crate::device::inbound::{Inbound, Receipt};
use crate::device::{Message, Topic, Unwritten};
use crate::outbox::entry::Entry;
use crate::outbox::inlet;
use crate::port::status::command_report;

/// The commands that wait for a port whose task has ended. What is dropped is not acknowledged.
#[derive(Debug)]
pub struct Leftover {
    pub(super) inbox: InboxEnd,
    pub(super) unwritten: Unwritten,
    pub(super) name: Name,
    pub(super) command_topic: Topic,
    pub(super) farewell: Farewell,
    pub(super) intake: inlet::Sender,
}

/// What is published of each device once nobody asks it any more, with the topic of its availability.
pub(super) type Farewell = Vec<(Topic, Vec<Entry>)>;

impl Leftover {
    /// Refuses them all: the port is not in the configuration any more.
    pub fn refuse(self) {
        self.settle(&CommandError::Removed, false);
    }

    /// The gateway ends. Commands that the broker keeps for the next start are not acknowledged, so that
    /// they come again; the rest is refused.
    pub fn end(self, broker_keeps: bool) {
        self.settle(&CommandError::Ending, broker_keeps);
    }

    fn settle(self, why: &CommandError, broker_keeps: bool) {
        let mut waiting: Vec<(Topic, Receipt, Vec<Message>)> = Vec::new();
        let unwritten = self.unwritten.refuse(why);
        waiting.extend(unwritten.into_iter().map(|it| (it.topic, it.receipt, it.messages)));
        let mut overflow = None;
        for item in self.inbox.drain() {
            match item {
                InboxItem::Message(Inbound { topic, receipt, respond, .. }) => {
                    let answer = respond.map(|respond| respond.message(why.result()));
                    waiting.push((topic, receipt, answer.into_iter().collect()));
                }
                InboxItem::Overflow(topic, count) => {
                    overflow = Some(RefusalReport { topic, why: CommandError::QueueFull, count });
                }
            }
        }
        let count = waiting.len();
        waiting.retain(|(_, receipt, _)| !broker_keeps || receipt.ack.is_none());
        let kept = count - waiting.len();
        let now = Now::read();
        let mut told: Vec<Entry> = self.farewell.into_iter().flat_map(|(_, all)| all).collect();
        let mut refuse = |(topic, receipt, results): (Topic, Receipt, Vec<Message>)| {
            told.extend(results.into_iter().map(|result| Entry::from(result).of_device(now)));
            receipt.tell(Err(why.clone()));
            receipt.acknowledge();
            RefusalReport { topic, why: why.clone(), count: 1 }
        };
        let mut refusals = RefusedCommands::default();
        let (mut reports, mut refused) = (Vec::new(), 0);
        for report in waiting.into_iter().map(&mut refuse).chain(overflow) {
            refused += report.count;
            reports.extend(refusals.refused(report, now.mono).1);
        }
        reports.extend(refusals.rest());
        let message = |it: &RefusalReport| {
            let refused = Err(&it.why);
            command_report(&self.command_topic, it.topic.as_str(), refused, it.count, now)
        };
        // What the MQTT task does not take now is lost; the log has the number.
        let _ = self.intake.offer(told);
        let _ = self.intake.offer(reports.iter().map(message).collect());
        if refused > 0 {
            tracing::warn!("port {}: {refused} commands refused: {why}", self.name);
        }
        if kept > 0 {
            tracing::info!("port {}: the broker keeps {kept} commands that wait", self.name);
        }
    }
}
