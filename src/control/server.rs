//! Serves one client of the control socket. It asks, waits for the answer and may ask again; a status
//! that is watched and a monitored port go on until it leaves.

use super::protocol::{Event, Failure, Happened};
use super::request::{LONGEST, Request};
use super::{ANSWER, AskError, Control, answers, status};
use crate::base::clock::Stamp;
use crate::base::json::line;
use crate::gateway::PortHandle;
use crate::port::task;
use crate::port::task::monitor::Subscriber;
use serde::Serialize;
use std::io;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// A client that makes no request for this long is closed, to make room for others.
const IDLE: Duration = Duration::from_secs(60);

/// A client that reads no byte for this long is closed.
const WRITE: Duration = Duration::from_secs(10);

/// How often a watched status is sent.
const WATCH: Duration = Duration::from_secs(1);

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
            let request = timeout(IDLE, self.next()).await;
            let request = request.map_err(|_| io::Error::other("it asks nothing"))??;
            if request.is_empty() {
                return Ok(());
            }
            if request.len() > LONGEST {
                // What follows belongs to the same request.
                let why = format!("a request has at most {LONGEST} bytes");
                return self.write(&Failure::new(why)).await;
            }
            match Request::parse(&request) {
                Err(why) => self.write(&Failure::new(why)).await?,
                Ok(Request::Status { watch: true }) => return self.watch(control).await,
                Ok(Request::Monitor { port, raw }) => match answers::find(control, &port).await {
                    Ok((_, handle)) => return self.monitor(handle, raw).await,
                    Err(why) => self.write(&Failure::new(why)).await?,
                },
                Ok(Request::Status { watch: false }) => drop(self.status(control).await?),
                Ok(request) => {
                    let answer = answers::answer(control, request).await;
                    let answer = answer.unwrap_or_else(|why| line(&Failure::new(why)));
                    self.write_text(&answer).await?;
                }
            }
        }
    }

    /// The next line, or what there is before the end; longer than [`LONGEST`] if it is too long.
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(LONGEST as u64 + 1);
        bounded.read_until(b'\n', &mut line).await?;
        Ok(line)
    }

    async fn write(&mut self, answer: &impl Serialize) -> io::Result<()> {
        self.write_text(&line(answer)).await
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
        let (status, ports) = match status::head(control).await {
            Ok(all) => all,
            Err(why) => {
                self.write(&Failure::new(why)).await?;
                return Ok(false);
            }
        };
        // Up to the brace behind which the ports come.
        self.write_text(line(&status).trim_end_matches("}}\n")).await?;
        let mut before = "";
        for (name, handle) in ports {
            let port = line(&status::port(&handle).await);
            self.write_text(&format!("{before}{}:", line(&name.as_str()).trim_end())).await?;
            self.write_text(port.trim_end()).await?;
            before = ",";
        }
        self.write_text("}}\n").await?;
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
            return self.write(&Failure::new(AskError::Silent)).await;
        }
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = gone(&mut self.reader) => return Ok(()),
            };
            match event {
                Some(event) => self.write(&Event::from(&event)).await?,
                None => {
                    let reason = "the port has ended, was set up anew, or has too many monitors";
                    let what = Happened::End { reason: reason.into() };
                    let time = Stamp(SystemTime::now()).to_string();
                    return self.write(&Event { what, time, missed: None }).await;
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
