//! Our MQTT client, from the bytes of a packet up to a link that comes back by itself.

#![warn(missing_docs)]

pub mod auth;
pub mod blocking;
pub mod client;
pub mod fifo;
pub(crate) mod files;
pub mod link;
pub mod message;
pub mod packet;
pub(crate) mod pause;
pub mod session;
pub mod source;
pub mod topic;
pub mod transport;
pub mod url;
