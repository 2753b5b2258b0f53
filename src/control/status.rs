//! The whole status: what the status topics say, and the last value of each topic.

use super::{AskError, Control, ask, json};
use crate::base::clock::{Now, Stamp};
use crate::base::scalar::Name;
use crate::device::last_values::LastValue;
use crate::gateway::PortHandle;
use crate::gateway::uplink;
use crate::port::task::{self, Snapshot};
use serde_json::{Value, json};
use std::time::Duration;

/// The status of all but the ports, and who they are. A part that does not answer says why.
pub(super) async fn head(control: &Control) -> Result<(Value, Vec<(Name, PortHandle)>), AskError> {
    let directory = control.directory().await?;
    let broker = ask(&directory.uplink, uplink::UplinkRequest::Status).await;
    let mut broker = broker.unwrap_or_else(|why| json::error(&why.to_string()));
    let mut program = control.program.json();
    // The MQTT task knows under which client identifier we are there.
    let instance = broker.as_object_mut().and_then(|broker| broker.remove("instance"));
    program["instance"] = instance.unwrap_or_default();
    let now = Now::read();
    let uptime = now.mono.saturating_duration_since(control.program.started.mono);
    let head = json!({
        "gateway": directory.gateway.as_str(),
        "program": program,
        "pid": std::process::id(),
        "config": control.files.config.display().to_string(),
        "log": control.log.get(),
        "time": Stamp(now.wall).to_string(),
        "uptime": uptime.as_secs(),
        "broker": broker,
    });
    Ok((head, directory.ports.into_iter().collect()))
}

/// The status of a port.
pub(super) async fn port(handle: &PortHandle) -> Value {
    let snapshot = match ask(&handle.asks, task::PortRequest::Status).await {
        Ok(snapshot) => snapshot,
        Err(why) => return json::error(&why.to_string()),
    };
    let Snapshot { status, frames, counts, values } = snapshot;
    let now = Now::read();
    let mut port = status.json(&frames, &counts);
    port["heard_ago"] = status.last_rx.map(|heard| seconds(now, heard)).into();
    let filters = handle.commands.iter().flat_map(|route| &route.filters);
    port["command_topics"] = filters.map(|filter| filter.as_str()).collect();
    port["values"] = values.iter().map(|value| last(value, now)).collect();
    port
}

fn last(value: &LastValue, now: Now) -> Value {
    let mut last = json!({
        "topic": value.topic.as_str(),
        "unit": value.unit,
        "time": Stamp(value.at.wall).to_string(),
        "ago": seconds(now, value.at),
        "size": value.size,
    });
    json::payload(&mut last, whole_characters(&value.payload, value.size));
    last
}

/// Seconds from then to now, to the millisecond.
fn seconds(now: Now, then: Now) -> f64 {
    let ago = now.mono.saturating_duration_since(then.mono);
    Duration::from_millis(ago.as_millis() as u64).as_secs_f64()
}

/// A text that was cut within a character ends before it.
fn whole_characters(bytes: &[u8], size: usize) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if bytes.len() < size && error.error_len().is_none() => {
            &bytes[..error.valid_up_to()]
        }
        _ => bytes,
    }
}
