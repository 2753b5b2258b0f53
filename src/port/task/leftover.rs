//! What the task of a port leaves when it ends: commands for the next task of the port, or to be
//! refused.

use super::inbox::{InboxEnd, InboxItem};
use super::refused::{RefusalReport, RefusedCommands};
use crate::base::clock::Now;
use crate::base::scalar::Name;
use crate::device::command::CommandError;
use crate::device::inbound::Receipt;
use crate::device::{Topic, Unwritten};
use crate::outbox::inlet;
use crate::port::status::command_report;

/// The commands that wait for a port whose task has ended. What is dropped is not acknowledged.
#[derive(Debug)]
pub struct Leftover {
    pub(super) inbox: InboxEnd,
    pub(super) unwritten: Unwritten,
    pub(super) name: Name,
    pub(super) command_topic: Topic,
    pub(super) intake: inlet::Sender,
}

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
        let mut waiting: Vec<(Topic, Receipt)> = Vec::new();
        let unwritten = self.unwritten.refuse(why);
        waiting.extend(unwritten.into_iter().map(|it| (it.topic, it.receipt)));
        let mut overflow = None;
        for item in self.inbox.drain() {
            match item {
                InboxItem::Message(inbound) => waiting.push((inbound.topic, inbound.receipt)),
                InboxItem::Overflow(topic, count) => {
                    overflow = Some(RefusalReport { topic, why: CommandError::QueueFull, count });
                }
            }
        }
        let count = waiting.len();
        waiting.retain(|(_, receipt)| !broker_keeps || receipt.ack.is_none());
        let kept = count - waiting.len();
        let refuse = |(topic, receipt): (Topic, Receipt)| {
            receipt.tell(Err(why.clone()));
            receipt.acknowledge();
            RefusalReport { topic, why: why.clone(), count: 1 }
        };
        let (now, mut refusals) = (Now::read(), RefusedCommands::default());
        let (mut reports, mut refused) = (Vec::new(), 0);
        for report in waiting.into_iter().map(refuse).chain(overflow) {
            refused += report.count;
            reports.extend(refusals.refused(report, now.mono).1);
        }
        reports.extend(refusals.rest());
        let message = |it: &RefusalReport| {
            let refused = Err(&it.why);
            command_report(&self.command_topic, it.topic.as_str(), refused, it.count, now)
        };
        // What the MQTT task does not take now is lost; the log has the number.
        let _ = self.intake.offer(reports.iter().map(message).collect());
        if refused > 0 {
            tracing::warn!("port {}: {refused} commands refused: {why}", self.name);
        }
        if kept > 0 {
            tracing::info!("port {}: the broker keeps {kept} commands that wait", self.name);
        }
    }
}
