//! `-d`: prints each packet as a line on the standard output, as mosquitto's programs do.

use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as lines};

/// `Client ID sending CONNECT …`
struct PacketLine(String);

impl<S, N> FormatEvent<S, N> for PacketLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "Client {} ", self.0)?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Prints packets from now on, with the client identifier in front.
pub(super) fn start(client_id: &str) {
    let name = if client_id.is_empty() { "(null)" } else { client_id };
    let packets = Targets::new().with_target("tty2mqtt::mqtt::session", LevelFilter::TRACE);
    let lines = lines::layer()
        .with_writer(std::io::stdout)
        .with_ansi(false)
        .event_format(PacketLine(name.into()))
        .with_filter(packets);
    // A second start in one process keeps the first one's identifier.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}
