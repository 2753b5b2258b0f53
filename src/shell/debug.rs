//! `-d`: prints each packet as a line on the standard output, as mosquitto's programs do.

use std::io::{self, Write};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Prints packets from now on, as in `Client ID sending CONNECT …`.
pub(super) fn start(client_id: &str) {
    let name = if client_id.is_empty() { "(null)" } else { client_id };
    let prefix = format!("Client {name} ");
    // Asked for once a line; the types are those of the gateway's log, so that this adds little code.
    let out = BoxMakeWriter::new(move || {
        let mut out = io::stdout();
        let _ = out.write_all(prefix.as_bytes());
        out
    });
    let lines = fmt::layer().with_writer(out).with_target(false).with_ansi(false);
    let packets = Targets::new().with_target("tty2mqtt::mqtt::session", LevelFilter::TRACE);
    let lines = lines.with_level(false).without_time().with_filter(packets);
    // A second start in one process keeps the first one's identifier.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}
