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
use crate::port::stream::PortStream;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// How long a port may take to close. A tty gets a second of it to send what was written.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

impl ActivePort {
    /// Runs an opened port until it ends. Returns how and why it ended; `None` when the gateway ends.
    pub(super) async fn attempt<S: PortStream>(
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
        self.receiver = Receiver::new(link, line_counts, &mut self.reporter.status.report);
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
    async fn serve<S: PortStream>(
        &mut self,
        mut stream: Pin<&mut S>,
        held: trial::Held,
        mut setter: LineSetter,
    ) -> Option<String> {
        let mut buffer = vec![0; READ];
        let mut messages = Vec::new();
        let mut was_read = false;
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
            let held = self.device.held_until().filter(|held| *held > now.mono);
            let due = held.into_iter().fold(self.deadline(), Instant::min);
            if held.is_some() && !may_write {
                // To be woken for each byte of a long reply would be most of the work.
                stream.as_mut().rest();
            }
            let room = held.is_none().then_some(&mut buffer[..]);
            let ready = may_write.then_some(&pending[..]);
            let moving = moved(stream.as_mut(), room, ready, !was_read);
            tokio::select! {
                _ = self.stop.changed() => break None,
                moved = moving => {
                    was_read = matches!(moved, Moved::Read(_));
                    match moved {
                        Moved::Read(Ok(0)) => {
                            break Some("unplugged, or closed by the other end".into());
                        }
                        Moved::Read(Ok(n)) => self.take(&buffer[..n], Now::read(), &mut messages),
                        Moved::Written(Ok(0)) => break Some("it takes no more bytes".into()),
                        Moved::Written(Ok(n)) => {
                            let now = Now::read();
                            self.reporter.subscribers.publish_write(now, &pending[..n]);
                            self.device.wrote(n, now, &mut messages);
                        }
                        Moved::Read(Err(error)) | Moved::Written(Err(error)) => {
                            break Some(error.to_string());
                        }
                    }
                }
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
        self.close(stream).await;
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

/// What a stream has done, and with how many bytes.
enum Moved {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
}

/// Reads into `room` or writes of `pending`, whatever the stream can do, reading if it can do both and `read_first`.
/// Cancel-safe.
async fn moved<S: PortStream>(
    mut stream: Pin<&mut S>,
    mut room: Option<&mut [u8]>,
    pending: Option<&[u8]>,
    read_first: bool,
) -> Moved {
    poll_fn(|cx| {
        for is_read in [read_first, !read_first] {
            if is_read && let Some(room) = &mut room {
                let mut buf = ReadBuf::new(room);
                if let Poll::Ready(read) = stream.as_mut().poll_read(cx, &mut buf) {
                    return Poll::Ready(Moved::Read(read.map(|()| buf.filled().len())));
                }
            }
            if !is_read
                && let Some(pending) = pending
                && let Poll::Ready(written) = stream.as_mut().poll_write(cx, pending)
            {
                return Poll::Ready(Moved::Written(written));
            }
        }
        Poll::Pending
    })
    .await
}
