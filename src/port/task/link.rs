//! A port while it is open: its trial, the bytes both ways, its close.

use super::alarm::Alarm;
use super::receiver::Receiver;
use super::retry::{self, Attempt};
use super::{ActivePort, trial};
use crate::base::clock::Now;
use crate::base::line::Line;
use crate::device::{READ, Transmit};
use crate::port::line_change::{LineSetter, NotSet};
use crate::port::open::{LinkKind, Opened};
use bytes::Bytes;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a port may take to close. A tty gets a second of it to send what was written.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

impl ActivePort {
    /// Runs an opened port until it ends. Returns how and why it ended; `None` when the gateway ends.
    pub(super) async fn attempt<S: AsyncRead + AsyncWrite>(
        &mut self,
        opened: Opened<S>,
    ) -> Option<(Attempt, String)> {
        let Opened { stream, device, link, line_counts, setter } = opened;
        let mut stream = pin!(stream);
        let since = Now::read();
        let mut held = trial::Held::new();
        if matches!(link, LinkKind::Network | LinkKind::Telnet) || self.retry.distrusts {
            match self.meanwhile(trial::pass(&mut stream, link)).await? {
                Ok(came) => held = came,
                Err(why) => {
                    self.close(stream).await;
                    return Some((Attempt::Brief, format!("{device}: {why}")));
                }
            }
        }
        self.receiver = Receiver::new(link, line_counts, &mut self.reporter.status);
        let now = Now::read();
        let is_told = self.retry.up(now.mono);
        self.silence.opened(since.mono);
        self.device.opened(since.mono);
        self.reporter.opened(device, is_told, &self.device, now);
        let why = self.serve(stream, held, setter).await?;
        let heard = self.reporter.status.last_rx.is_some_and(|at| at.mono >= since.mono);
        Some((retry::after_link(since.mono.elapsed(), heard), why))
    }

    /// Moves bytes until the port ends, and returns why it did; `None` when the gateway ends. `held` was
    /// read during the trial.
    async fn serve<S: AsyncRead + AsyncWrite>(
        &mut self,
        stream: S,
        held: trial::Held,
        mut setter: LineSetter,
    ) -> Option<String> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; READ];
        let mut messages = Vec::new();
        let mut alarm = Alarm::new();
        let mut passed = held.first().map_or_else(Now::read, |(at, _)| *at);
        for (at, bytes) in held {
            // The time between these reads has passed already.
            self.device.pass(&mut passed, at, &mut messages);
            self.take(&bytes, at, &mut messages);
        }
        let end = loop {
            let now = Now::read();
            let (pending, may_write) = match self.device.transmit(now, &mut messages) {
                Some(Transmit::Write(bytes)) => (bytes, true),
                Some(Transmit::Set(line)) => {
                    setter.ask(line);
                    (Bytes::new(), false)
                }
                None => (Bytes::new(), false),
            };
            self.reporter.settle(&mut self.device, &mut messages, now);
            // To be woken for each byte of a long reply would be most of the work.
            let held = self.device.held_until().filter(|held| *held > now.mono);
            let due = held.into_iter().fold(self.deadline(), Instant::min);
            tokio::select! {
                _ = self.stop.changed() => break None,
                read = reader.read(&mut buffer), if held.is_none() => match read {
                    Ok(0) => break Some("unplugged, or closed by the other end".into()),
                    Ok(n) => self.take(&buffer[..n], Now::read(), &mut messages),
                    Err(error) => break Some(error.to_string()),
                },
                written = writer.write(&pending), if may_write => match written {
                    Ok(0) => break Some("it takes no more bytes".into()),
                    Ok(n) => {
                        let now = Now::read();
                        self.reporter.subscribers.publish_write(now, &pending[..n]);
                        self.device.wrote(n, now, &mut messages);
                    }
                    Err(error) => break Some(error.to_string()),
                },
                (line, outcome) = setter.outcome() => match outcome {
                    Ok(()) => self.device.set(line, Now::read(), &mut messages),
                    Err(why) => if let Some(end) = self.not_set(line, why) { break Some(end) },
                },
                item = self.inbox.next(self.device.wants_command()) => self.came(item),
                Some(request) = self.requests.recv() => self.answer(request),
                () = alarm.until(due) => {
                    let now = Now::read();
                    self.device.timeout(now, &mut messages);
                    if self.silent_at().is_some_and(|due| due <= now.mono) {
                        self.reporter.fell_silent(self.silence.fell(now.mono), &self.device, now);
                    }
                    self.reporter.tick(&self.device, now);
                }
            }
        };
        self.close(writer).await;
        end
    }

    /// Closes the port, and answers requests meanwhile.
    async fn close(&mut self, mut writer: impl AsyncWrite + Unpin) {
        let mut closing = pin!(timeout(CLOSE_DEADLINE, writer.shutdown()));
        loop {
            tokio::select! {
                closed = &mut closing => {
                    return if closed.is_err() {
                        self.reporter.does_not_close();
                    };
                }
                Some(request) = self.requests.recv() => self.answer(request),
            }
        }
    }

    /// The line did not take this setting. Returns why the port is to be opened again, if it is.
    fn not_set(&mut self, line: Line, why: NotSet) -> Option<String> {
        let (now, end) = (Now::read(), format!("the line cannot be set to {line}: {why}"));
        if let NotSet::Kept(_) = why
            && self.device.not_set(now)
        {
            self.reporter.line_not_set(&end, now);
            return None;
        }
        Some(end)
    }
}
