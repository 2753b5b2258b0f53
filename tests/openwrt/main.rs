//! The scripts of the OpenWrt package, run by busybox's ash: what they tell procd, what they write,
//! what they refuse; with the real binary, a PTY and mosquitto.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[macro_use]
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;

mod docs;
mod first;
mod procd;
mod router;
mod service;
