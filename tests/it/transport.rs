//! The MQTT client's transport against servers on the loopback that do what the test wants:
//! proxies, WebSockets, TLS with right and wrong certificates, and addresses that lead nowhere.

mod bounds;
mod certificates;
mod dial;
mod keys;
mod mosquitto;
mod proxy;
mod server;
mod tls;
mod trust;
mod url;
mod websocket;
