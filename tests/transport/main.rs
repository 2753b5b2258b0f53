//! The MQTT client's transport against servers on the loopback that do what the test wants:
//! proxies, WebSockets, TLS with right and wrong certificates, and addresses that lead nowhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod bounds;
mod certificates;
mod dial;
#[path = "../daemon/free_port.rs"]
mod free_port;
mod keys;
mod mosquitto;
mod proxy;
mod server;
mod tls;
mod trust;
mod url;
mod websocket;
