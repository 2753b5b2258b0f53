//! Brokers of others, as ordinary child processes on free ports: what of MQTT works with them. The
//! result is the table in docs/BROKERS.md; `UPDATE=1` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[macro_use]
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;

mod broker;
mod certificates;
mod features;
mod kinds;
mod notes;
mod probe;
mod table;
