//! Every test of the program that shares a process with others: `cargo test --test it simulator::` runs
//! one module. Apart are `chaos`, `brokers` and `openwrt`, which need much of a machine, and `mini`, which
//! is for another build.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod allocations;
mod architecture;
mod bounds;
mod broker;
mod bus;
mod captures;
mod client;
mod config;
mod conformance;
mod control;
mod daemon;
mod decode;
mod detect;
mod devices;
mod differential;
mod examples;
mod foreign;
mod framing;
mod fuzz;
mod golden;
mod home_assistant;
#[cfg(feature = "tools")]
mod init;
mod laws;
mod line;
mod link;
mod packets;
mod polling;
mod port_task;
mod rules;
mod serial;
mod session;
mod shell;
mod simulate;
mod simulator;
mod sniff;
mod transport;
