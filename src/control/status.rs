//! The whole status: what the status topics say, and the last value of each topic.

use super::protocol::{Device, Failure, Part, Port, Status, Value};
use super::{AskError, Control, ask};
use crate::base::clock::{Now, Stamp};
use crate::base::scalar::Name;
use crate::device::last_values::LastValue;
use crate::gateway::PortHandle;
use crate::gateway::uplink::UplinkRequest;
use crate::port::status::{DeviceSnapshot, Snapshot};
use crate::port::task;
use std::collections::BTreeMap;
use std::time::Duration;

/// The status of all but the ports, and the ports that can be asked. A part that does not answer
/// says why.
pub(super) async fn head(control: &Control) -> Result<(Status, Vec<(Name, PortHandle)>), AskError> {
    let directory = control.directory().await?;
    // The MQTT task knows the client identifier in use.
    let (broker, instance) = match ask(&directory.uplink, UplinkRequest::Status).await {
        Err(why) => (Part::Silent(Failure::new(why)), None),
        Ok((report, instance)) => (Part::Answer(report), Some(instance)),
    };
    let now = Now::read();
    let uptime = now.mono.saturating_duration_since(control.program.started.mono);
    let status = Status {
        gateway: directory.gateway.to_string(),
        program: control.program.report(instance),
        pid: std::process::id(),
        config: control.files.config.display().to_string(),
        log: control.log.get(),
        time: Stamp(now.wall).to_string(),
        uptime: uptime.as_secs(),
        broker,
        ports: BTreeMap::new(),
    };
    Ok((status, directory.ports))
}

pub(super) async fn port(handle: &PortHandle) -> Part<Port> {
    let snapshot = match ask(&handle.asks, task::PortRequest::Status).await {
        Ok(snapshot) => snapshot,
        Err(why) => return Part::Silent(Failure::new(why)),
    };
    let Snapshot { report, last_rx, devices, values } = snapshot;
    let now = Now::read();
    let filters = handle.commands.iter().flat_map(|route| &route.filters);
    Part::Answer(Port {
        report,
        heard_ago: last_rx.map(|then| seconds(now, then)),
        command_topics: filters.map(|filter| filter.as_str().to_owned()).collect(),
        devices: devices.into_iter().map(|device| of_device(device, now)).collect(),
        values: values.iter().map(|value| last(value, now)).collect(),
    })
}

fn of_device(device: DeviceSnapshot, now: Now) -> (String, Device) {
    let DeviceSnapshot { name, report, answered } = device;
    let answered_ago = answered.map(|then| seconds(now, then));
    (name, Device { report, answered_ago })
}

fn last(value: &LastValue, now: Now) -> Value {
    Value {
        topic: value.topic.to_string(),
        unit: value.unit.as_deref().map(str::to_owned),
        time: Stamp(value.at.wall).to_string(),
        ago: seconds(now, value.at),
        size: value.size,
        payload: whole_characters(&value.payload, value.size).into(),
    }
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
