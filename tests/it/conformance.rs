//! The statements of MQTT 5.0 that a client must keep, and those of Sparkplug B to edge nodes. `conformance.tsv`
//! and `sparkplug_b.tsv` say for each of them which test proves it, or why there is nothing to prove; tests are
//! named after the statements of MQTT.

mod auth;
mod connect;
mod link;
mod matrix;
mod messages;
mod packet;
mod reasons;
mod receiver;
mod requests;
mod rules;
mod sender;
mod sparkplug_b;
mod strings;
