//! What other tasks ask of the MQTT task.

use super::UplinkTask;
use crate::gateway::status::BrokerReport;
use crate::mqtt::link;
use crate::mqtt::url::BrokerUrl;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

#[derive(Debug)]
pub enum UplinkRequest {
    /// How the link and the outbox are, and the mark that tells gateways of one name apart.
    Status(oneshot::Sender<(UplinkReport, String)>),
    /// Reconnect now. Replies with the previous state of the link.
    Reconnect(oneshot::Sender<link::State>),
}

/// How the link and the outbox are: what the broker's status message says, and more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UplinkReport {
    #[serde(flatten)]
    pub broker: BrokerReport,
    pub url: Option<String>,
    pub state: String,
    /// Seconds from the write of a packet to the broker's answer.
    pub round_trip: Option<f64>,
}

/// Capacity of the request channel.
pub const REQUESTS: usize = 16;

impl UplinkTask {
    pub(super) fn answer(&mut self, request: UplinkRequest) {
        let link = &mut self.link;
        // The asking side may have gone.
        match request {
            UplinkRequest::Status(reply) => {
                let report = UplinkReport {
                    broker: self.status.with_counts(&self.outbox, &self.config.ports),
                    url: link.broker().map(BrokerUrl::to_string),
                    state: link.state().borrow().to_string(),
                    round_trip: link.session.round_trip().map(|took| took.as_secs_f64()),
                };
                let _ = reply.send((report, self.mark()));
            }
            UplinkRequest::Reconnect(reply) => {
                let _ = reply.send(link.state().borrow().clone());
                link.reconnect();
            }
        }
    }
}
