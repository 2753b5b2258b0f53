//! The scripts of the OpenWrt package, run by busybox's ash: what they tell procd, what they write,
//! what they refuse; with the real binary, a PTY and mosquitto.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../daemon/broker.rs"]
#[allow(dead_code)]
mod broker;
mod docs;
mod first;
#[path = "../daemon/lines.rs"]
#[allow(dead_code)]
mod lines;
#[path = "../daemon/port.rs"]
#[allow(dead_code)]
mod port;
mod procd;
mod router;
mod service;

use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);
