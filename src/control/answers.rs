//! What the gateway answers to each request, but for the status and a monitored port, which
//! [`super::server`] writes in parts.

use super::protocol::{Done, Failure, Log, Problems, Reconnected, Reloaded, Sent};
use super::request::Request;
use super::{AskError, Control, ask};
use crate::base::json::line;
use crate::base::scalar::Name;
use crate::device::command::CommandError;
use crate::device::inbound::{Inbound, Receipt, Written};
use crate::gateway::uplink::UplinkRequest;
use crate::gateway::{self, PortHandle, ReloadError};
use crate::mqtt::topic::{Topic, TopicFilter};
use crate::port::status::PortState;
use crate::port::task::{self, OfferError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long the answer to a command may take. The device may be busy with others before it.
const SEND: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("there is no port {name:?}; there are: {}", known.join(", "))]
    NoPort { name: String, known: Vec<String> },
    #[error("port {0} has no commands; add some under its key `commands`")]
    NoCommands(Name),
    #[error("port {port} has no command {name:?}; there are: {}", known.join(", "))]
    NoCommand { port: Name, name: String, known: Vec<String> },
    #[error("{name:?} can be several commands: {}; write more of the topic", known.join(", "))]
    Ambiguous { name: String, known: Vec<String> },
    #[error("command {0} refused: {1}")]
    Refused(Topic, CommandError),
    #[error("command {0} failed: {why}", why = .1.reason())]
    Failed(Topic, CommandError),
    #[error("command {0} was not done within {seconds} s, and will not be written if it has not begun", seconds = SEND.as_secs())]
    Late(Topic),
    #[error("{0}")]
    Filter(#[from] crate::base::log::FilterError),
}

/// The answer as a line.
pub(super) async fn answer(control: &Control, request: Request) -> Result<String, RequestError> {
    match request {
        // The server answers these two itself, in several parts.
        Request::Status { .. } | Request::Monitor { .. } => Ok(String::new()),
        Request::Reload {} => Ok(reload(control).await),
        Request::Reconnect {} => {
            let directory = control.directory().await?;
            let was = ask(&directory.uplink, UplinkRequest::Reconnect).await?;
            Ok(line(&Reconnected { ok: true, was: was.to_string() }))
        }
        Request::Rescan {} => {
            for (_, handle) in control.directory().await?.ports {
                // A port whose request channel is full is busy, not waiting for its device.
                let _ = handle.asks.try_send(task::PortRequest::Rescan);
            }
            Ok(line(&Done { ok: true }))
        }
        Request::Send { port, command, payload } => {
            let sent = send(control, &port, &command, payload).await?;
            Ok(line(&sent))
        }
        Request::Log { filter } => {
            if let Some(filter) = filter {
                let before = control.log.get();
                control.log.set(&filter)?;
                let now = control.log.get();
                if now != before {
                    tracing::info!("the log's filter is {now} from now on");
                }
            }
            Ok(line(&Log { ok: true, filter: control.log.get() }))
        }
    }
}

async fn reload(control: &Control) -> String {
    match gateway::reload(control.files.clone(), &control.requests).await {
        Ok(changes) => line(&Reloaded { ok: true, changes }),
        Err(ReloadError::Config(error)) => line(&Problems::from(&error)),
        Err(error) => line(&Failure::new(format!("nothing was changed: {error}"))),
    }
}

/// The port of a name, and how it is reached.
pub(super) async fn find(
    control: &Control,
    name: &str,
) -> Result<(Name, PortHandle), RequestError> {
    let ports = control.directory().await?.ports;
    let known = ports.iter().map(|(known, _)| known.to_string()).collect();
    let found = ports.into_iter().find(|(known, _)| known.as_str() == name);
    found.ok_or_else(|| RequestError::NoPort { name: name.to_owned(), known })
}

/// Writes a command to a port, by the same rules as one from the broker, and waits until the device
/// has it.
async fn send(
    control: &Control,
    port: &str,
    command: &str,
    payload: String,
) -> Result<Sent, RequestError> {
    let (name, handle) = find(control, port).await?;
    let Some(route) = handle.commands else { return Err(RequestError::NoCommands(name)) };
    let topic = topic(&name, command, &route.filters)?;
    // The client is told at once that the port is away, and may ask again.
    let port = ask(&handle.asks, task::PortRequest::Status).await?.report;
    if let PortState::Away | PortState::Stopped = port.state {
        return Err(RequestError::Refused(topic, CommandError::away(port.error.as_deref())));
    }
    let (outcome, mut results) = mpsc::channel(route.filters.len().max(1));
    let inbound = Inbound {
        topic: topic.clone(),
        payload: payload.into(),
        retain: false,
        since: Some(Instant::now()),
        expires: None,
        respond: None,
        receipt: Receipt { ack: None, outcome: Some(outcome) },
    };
    match route.inbox.offer(inbound) {
        Ok(()) => {}
        Err(OfferError::Full) => return Err(RequestError::Refused(topic, CommandError::QueueFull)),
        Err(OfferError::Closed(_)) => {
            return Err(RequestError::Refused(topic, CommandError::Removed));
        }
    }
    let all = async {
        let mut written = None::<Written>;
        while let Some(result) = results.recv().await {
            let Written { bytes, has_answered } = result?;
            let before = written.unwrap_or(Written { bytes: 0, has_answered: true });
            let has_answered = has_answered && before.has_answered;
            written = Some(Written { bytes: before.bytes + bytes, has_answered });
        }
        // A task that panicked never answers.
        written.ok_or(CommandError::Cut)
    };
    match timeout(SEND, all).await {
        Ok(Ok(Written { bytes, has_answered })) => {
            let result = if has_answered { "done" } else { "sent" };
            Ok(Sent { ok: true, topic: topic.to_string(), bytes, result: result.into() })
        }
        Ok(Err(why)) if why.is_late() => Err(RequestError::Failed(topic, why)),
        Ok(Err(why)) => Err(RequestError::Refused(topic, why)),
        Err(_) => Err(RequestError::Late(topic)),
    }
}

/// The topic that a command's name means: one that a filter takes, or the end of one filter; `/set`
/// at its end need not be said.
fn topic(port: &Name, name: &str, filters: &[TopicFilter]) -> Result<Topic, RequestError> {
    if let Ok(topic) = name.parse::<Topic>()
        && filters.iter().any(|filter| filter.matches(name))
    {
        return Ok(topic);
    }
    let none = || {
        let known = filters.iter().map(|filter| filter.as_str().to_owned()).collect();
        RequestError::NoCommand { port: port.clone(), name: name.to_owned(), known }
    };
    let ending = |end: &str| {
        let end = format!("{name}{end}");
        let ends =
            |filter: &&str| filter.strip_suffix(&end).is_some_and(|rest| rest.ends_with('/'));
        filters.iter().map(TopicFilter::as_str).filter(ends).collect::<Vec<_>>()
    };
    let mut found = ending("");
    if found.is_empty() {
        found = ending("/set");
    }
    found.dedup();
    match found[..] {
        [filter] => filter.parse().map_err(|_| none()),
        [] => Err(none()),
        _ => Err(RequestError::Ambiguous {
            name: name.to_owned(),
            known: found.into_iter().map(str::to_owned).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_by_its_topic_or_the_end_of_it() {
        let filters =
            ["gw/a/relay", "gw/b/relay", "gw/b/lamp", "gw/any/+", "gw/c/lamp/set", "gw/c/fan/set"];
        let filters = filters.map(|filter| filter.parse().unwrap());
        let port: Name = "p".parse().unwrap();
        let topic = |name: &str| {
            topic(&port, name, &filters).map(|topic| topic.to_string()).map_err(|e| e.to_string())
        };
        assert_eq!(topic("gw/a/relay").unwrap(), "gw/a/relay");
        assert_eq!(topic("a/relay").unwrap(), "gw/a/relay");
        assert_eq!(topic("lamp").unwrap(), "gw/b/lamp");
        assert_eq!(topic("fan").unwrap(), "gw/c/fan/set");
        assert_eq!(topic("c/lamp").unwrap(), "gw/c/lamp/set");
        assert!(topic("set").unwrap_err().contains("gw/c/lamp/set, gw/c/fan/set"));
        assert_eq!(topic("gw/any/thing").unwrap(), "gw/any/thing");
        assert!(topic("relay").unwrap_err().contains("gw/a/relay, gw/b/relay"));
        assert!(topic("amp").unwrap_err().contains("no command \"amp\"; there are: gw/a/relay"));
        assert!(topic("+").unwrap_err().contains("no command"));
    }
}
