//! One client of the control socket. It asks, waits for the answer and may ask again; a status that
//! is watched and a monitored port go on until it leaves.

use super::request::{LONGEST, Request};
use super::{ANSWER, AskError, Control, ask, json, status};
use crate::base::scalar::Name;
use crate::device::command::CommandError;
use crate::gateway::uplink;
use crate::gateway::{self, PortHandle, ReloadError};
use crate::mqtt::topic::{Topic, TopicFilter};
use crate::port::status::PortState;
use crate::port::task::monitor::Subscriber;
use crate::port::task::{self, Inbound, OfferError};
use serde_json::{Value, json};
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// A client that asks nothing for so long makes room for others.
const IDLE: Duration = Duration::from_secs(60);

/// A client that takes no byte for so long is cut off.
const WRITE: Duration = Duration::from_secs(10);

/// How often a watched status is sent.
const WATCH: Duration = Duration::from_secs(1);

/// How long the answer to a command may take. The device may be busy with others before it.
const SEND: Duration = Duration::from_secs(30);

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum RequestError {
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
    #[error("command {0} was not written within {seconds} s, and will not be if it has not begun", seconds = SEND.as_secs())]
    Late(Topic),
    #[error("{0}")]
    Filter(#[from] crate::base::log::FilterError),
}

/// Serves a client until it goes, falls silent or stops reading.
pub(super) async fn talk(control: &Control, stream: UnixStream) {
    let (reader, writer) = stream.into_split();
    let mut client = Client { reader: BufReader::new(reader), writer };
    if let Err(error) = client.serve(control).await {
        tracing::debug!("a client of the control socket: {error}");
    }
}

struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    async fn serve(&mut self, control: &Control) -> io::Result<()> {
        loop {
            let line = timeout(IDLE, self.line()).await;
            let line = line.map_err(|_| io::Error::other("it asks nothing"))??;
            if line.is_empty() {
                return Ok(());
            }
            if line.len() > LONGEST {
                // What follows belongs to the same request.
                let why = format!("a request has at most {LONGEST} bytes");
                return self.write(&json::error(&why)).await;
            }
            match Request::parse(&line) {
                Err(why) => self.write(&json::error(&why)).await?,
                Ok(Request::Status { watch: true }) => return self.watch(control).await,
                Ok(Request::Monitor { port, raw }) => match find(control, &port).await {
                    Ok((_, handle)) => return self.monitor(handle, raw).await,
                    Err(why) => self.write(&json::error(&why.to_string())).await?,
                },
                Ok(Request::Status { watch: false }) => drop(self.status(control).await?),
                Ok(request) => {
                    let answer = answer(control, request).await;
                    let refused = |why: RequestError| json::error(&why.to_string());
                    self.write(&answer.unwrap_or_else(refused)).await?;
                }
            }
        }
    }

    /// The next line, or what there is before the end; longer than [`LONGEST`] if it is too long.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(LONGEST as u64 + 1);
        bounded.read_until(b'\n', &mut line).await?;
        Ok(line)
    }

    async fn write(&mut self, answer: &Value) -> io::Result<()> {
        self.write_text(&json::line(answer)).await
    }

    async fn write_text(&mut self, text: &str) -> io::Result<()> {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            let written = timeout(WRITE, self.writer.write(left)).await;
            let n = written.map_err(|_| io::Error::other("it does not read"))??;
            left = &left[n..];
        }
        Ok(())
    }

    /// Writes the status of everything, port by port: all at once would take a multiple of its bytes
    /// while a client does not read. Returns whether the gateway was there to be asked.
    async fn status(&mut self, control: &Control) -> io::Result<bool> {
        let (head, ports) = match status::head(control).await {
            Ok(all) => all,
            Err(why) => {
                self.write(&json::error(&why.to_string())).await?;
                return Ok(false);
            }
        };
        let head = json::line(&head);
        self.write_text(head.trim_end_matches("}\n")).await?;
        let mut before = ",\"ports\":{";
        for (name, handle) in ports {
            let name = json::line(&name.as_str().into());
            let port = json::line(&status::port(&handle).await);
            self.write_text(&format!("{before}{}:", name.trim_end())).await?;
            self.write_text(port.trim_end()).await?;
            before = ",";
        }
        let end = if before == "," { "}}\n" } else { ",\"ports\":{}}\n" };
        self.write_text(end).await?;
        Ok(true)
    }

    async fn watch(&mut self, control: &Control) -> io::Result<()> {
        let mut ticks = interval(WATCH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = gone(&mut self.reader) => return Ok(()),
            }
            if !self.status(control).await? {
                return Ok(());
            }
        }
    }

    async fn monitor(&mut self, handle: PortHandle, raw: bool) -> io::Result<()> {
        let (monitor, mut events) = Subscriber::new(raw);
        // A port that has just ended ends the channel, too.
        let asked = timeout(ANSWER, handle.asks.send(task::PortRequest::Monitor(monitor))).await;
        if asked.is_err() {
            return self.write(&json::error(&AskError::Silent.to_string())).await;
        }
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = gone(&mut self.reader) => return Ok(()),
            };
            match event {
                Some(event) => self.write(&json::event(&event)).await?,
                None => {
                    let why = "the port has ended, was set up anew, or has too many monitors";
                    return self.write(&json!({ "event": "end", "reason": why })).await;
                }
            }
        }
    }
}

/// Resolves when the client has closed its side. What it still sends is not looked at.
async fn gone(reader: &mut BufReader<OwnedReadHalf>) {
    loop {
        match reader.fill_buf().await.map(<[u8]>::len) {
            Ok(0) | Err(_) => return,
            Ok(n) => reader.consume(n),
        }
    }
}

async fn answer(control: &Control, request: Request) -> Result<Value, RequestError> {
    match request {
        // These two are answered in several parts, and were taken before.
        Request::Status { .. } | Request::Monitor { .. } => Ok(Value::Null),
        Request::Reload {} => reload(control).await,
        Request::Reconnect {} => {
            let directory = control.directory().await?;
            let was = ask(&directory.uplink, uplink::UplinkRequest::Reconnect).await?;
            Ok(json!({ "ok": true, "was": was.to_string() }))
        }
        Request::Rescan {} => {
            for handle in control.directory().await?.ports.values() {
                // A port whose questions pile up is not waiting for its device.
                let _ = handle.asks.try_send(task::PortRequest::Rescan);
            }
            Ok(json!({ "ok": true }))
        }
        Request::Send { port, command, payload } => send(control, &port, &command, payload).await,
        Request::Log { filter } => {
            if let Some(filter) = filter {
                let before = control.log.get();
                control.log.set(&filter)?;
                let now = control.log.get();
                if now != before {
                    tracing::info!("the log's filter is {now} from now on");
                }
            }
            Ok(json!({ "ok": true, "filter": control.log.get() }))
        }
    }
}

async fn reload(control: &Control) -> Result<Value, RequestError> {
    Ok(match gateway::reload(control.files.clone(), &control.requests).await {
        Ok((changes, warnings)) => json::changes(&changes, &warnings),
        Err(ReloadError::Config(error)) => json::problems(&error),
        Err(error) => json::error(&format!("nothing was changed: {error}")),
    })
}

async fn find(control: &Control, name: &str) -> Result<(Name, PortHandle), RequestError> {
    let mut ports = control.directory().await?.ports;
    let known = ports.keys().map(Name::to_string).collect();
    let found = name.parse().ok().and_then(|name: Name| ports.remove_entry(&name));
    found.ok_or_else(|| RequestError::NoPort { name: name.to_owned(), known })
}

/// Writes a command to a port, by the same rules as one from the broker, and waits until the device
/// has it.
async fn send(
    control: &Control,
    port: &str,
    command: &str,
    payload: String,
) -> Result<Value, RequestError> {
    let (name, handle) = find(control, port).await?;
    let Some(route) = handle.commands else { return Err(RequestError::NoCommands(name)) };
    let topic = topic(&name, command, &route.filters)?;
    // Who asks hears at once that the port is away, and may ask again.
    let port = ask(&handle.asks, task::PortRequest::Status).await?.status;
    if let PortState::Away | PortState::Stopped = port.state {
        return Err(RequestError::Refused(topic, CommandError::away(port.last_error.as_deref())));
    }
    let (outcome, mut results) = mpsc::channel(route.filters.len().max(1));
    let inbound = Inbound {
        topic: topic.clone(),
        payload: payload.into(),
        retain: false,
        since: Some(Instant::now()),
        expires: None,
        taken: None,
        outcome: Some(outcome),
    };
    match route.inbox.offer(inbound) {
        Ok(()) => {}
        Err(OfferError::Full) => return Err(RequestError::Refused(topic, CommandError::QueueFull)),
        Err(OfferError::Closed(_)) => {
            return Err(RequestError::Refused(topic, CommandError::Removed));
        }
    }
    let all = async {
        let mut written = None;
        while let Some(result) = results.recv().await {
            written = Some(written.unwrap_or(0) + result?);
        }
        // A task that panicked says nothing.
        written.ok_or(CommandError::Cut)
    };
    match timeout(SEND, all).await {
        Ok(Ok(bytes)) => Ok(json!({ "ok": true, "topic": topic.as_str(), "bytes": bytes })),
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
    let known = || filters.iter().map(|filter| filter.as_str().to_owned()).collect();
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
        [filter] => filter.parse().map_err(|_| RequestError::NoCommand {
            port: port.clone(),
            name: name.to_owned(),
            known: known(),
        }),
        [] => Err(RequestError::NoCommand {
            port: port.clone(),
            name: name.to_owned(),
            known: known(),
        }),
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
