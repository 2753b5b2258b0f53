//! What others ask of a running port.

use super::monitor::Subscriber;
use crate::port::status::Snapshot;
use tokio::sync::oneshot;

/// What somebody wants to know of a port.
#[derive(Debug)]
pub enum PortRequest {
    /// How it is.
    Status(oneshot::Sender<Snapshot>),
    /// What happens on it from now on.
    Monitor(Subscriber),
    /// Try now if it is away: a device was plugged in.
    Rescan,
}

/// How many requests wait for a port at most.
pub const REQUESTS: usize = 16;
