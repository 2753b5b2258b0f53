//! What the task of a port leaves when it ends: commands for the next task of the port, or to be
//! refused.

use super::inbox::{InboxEnd, InboxItem};
use super::refused::{RefusalReport, RefusedCommands};
use crate::base::clock::Now;
use crate::base::scalar::Name;
use crate::device::command::CommandError;
use crate::device::inbound::Receipt;
use crate::device::{Concluded, Topic, Unwritten};
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
        let (now, mut refusals) = (Now::read(), RefusedCommands::default());
        let (mut reports, mut refused, mut kept) = (Vec::new(), 0, 0);
        let mut report = |report: RefusalReport| {
            refused += report.count;
            reports.extend(refusals.refused(report, now.mono).1);
        };
        let mut settle = |topic, receipt: Receipt| {
            if broker_keeps && receipt.ack.is_some() {
                kept += 1;
                return;
            }
            receipt.tell(Err(why.clone()));
            report(RefusalReport { topic, why: why.clone(), count: 1 });
            receipt.acknowledge();
        };
        for Concluded { topic, receipt, .. } in self.unwritten.refuse(why) {
            settle(topic, receipt);
        }
        let mut overflow = None;
        for item in self.inbox.drain() {
            match item {
                InboxItem::Message(inbound) => settle(inbound.topic, inbound.receipt),
                InboxItem::Overflow(topic, count) => {
                    overflow = Some(RefusalReport { topic, why: CommandError::QueueFull, count });
                }
            }
        }
        overflow.map(&mut report);
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
