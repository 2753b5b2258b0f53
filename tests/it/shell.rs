//! `tty2mqtt pub`, `sub` and `test` against mosquitto, and beside mosquitto_pub and mosquitto_sub.

mod check;
mod program;
mod publish;
mod subscribe;
