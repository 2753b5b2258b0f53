//! `tty2mqtt pub`, `sub` and `test` against mosquitto, and beside mosquitto_pub and mosquitto_sub.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "daemon/broker.rs"]
#[allow(dead_code)]
mod broker;
#[path = "daemon/certificates.rs"]
mod certificates;
#[path = "shell/check.rs"]
mod check;
#[path = "daemon/lines.rs"]
#[allow(dead_code)]
mod lines;
#[path = "shell/program.rs"]
mod program;
#[path = "shell/publish.rs"]
mod publish;
#[path = "shell/subscribe.rs"]
mod subscribe;

use std::time::Duration;

/// For anything that should happen soon.
const DEADLINE: Duration = Duration::from_secs(60);
