//! What others ask of a running port.

use super::monitor::Subscriber;
use crate::port::status::Snapshot;
use tokio::sync::oneshot;

/// A question to a running port, or a request.
#[derive(Debug)]
pub enum PortRequest {
    /// How it is.
    Status(oneshot::Sender<Snapshot>),
    /// What happens on it from now on.
    Monitor(Subscriber),
    /// To try again now if it is away: a device was plugged in.
    Rescan,
}

/// How many requests wait for a port at most.
pub const REQUESTS: usize = 16;
