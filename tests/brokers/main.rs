//! Brokers of others, as ordinary child processes on free ports: what of MQTT works with them. The
//! result is the table in docs/BROKERS.md; `UPDATE=1` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod broker;
mod certificates;
mod features;
#[path = "../daemon/free_port.rs"]
mod free_port;
mod kinds;
mod notes;
mod probe;
mod table;
