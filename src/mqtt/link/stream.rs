//! Moves bytes between a stream and the session.

use super::{Io, LinkError, Options, now};
use crate::mqtt::session::Session;
use crate::mqtt::source::Source;
use bytes::{Buf, BufMut, BytesMut};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::sleep_until;

/// How long the broker may accept no byte before the link is given up.
pub(super) const WRITE_DEADLINE: Duration = Duration::from_secs(20);

/// A stream that is connected, and what was read of it.
pub(super) struct Stream {
    io: Box<dyn Io>,
    input: BytesMut,
    /// Whether the stream may hold back what was written: TLS does.
    unflushed: bool,
    write_due: Option<Instant>,
}

impl Stream {
    pub(super) fn new(io: Box<dyn Io>) -> Stream {
        Stream { io, input: BytesMut::new(), unflushed: false, write_due: None }
    }

    /// Whether something is still to be written or flushed.
    pub(super) fn has_output(&self, session: &mut Session) -> bool {
        self.unflushed || !session.output().is_empty()
    }

    /// One step of a link that is up: bytes out, bytes in, or a deadline. Cancel-safe.
    pub(super) async fn turn(
        &mut self,
        session: &mut Session,
        source: &mut dyn Source,
        options: &Options,
    ) -> Result<(), LinkError> {
        source.tick(now());
        session.send(source);
        if session.has_event() {
            // The session itself refuses what CONNACK ruled out; that needs no packet.
            return Ok(());
        }
        if !self.has_output(session) {
            self.write_due = None;
        } else if self.write_due.is_none() {
            self.write_due = Some(now() + WRITE_DEADLINE);
        }
        let due =
            [session.deadline(), self.write_due, source.deadline()].into_iter().flatten().min();
        let is_full = session.is_full();
        let read = options.read_buffer.clamp(1, 65_536);
        let progress = poll_fn(|cx| self.poll_io(session, read, cx));
        let progress = match due {
            Some(due) => tokio::select! {
                progress = progress => Some(progress?),
                () = sleep_until(due.into()) => None,
            },
            None => Some(progress.await?),
        };
        let now = now();
        match progress {
            Some(Progress { wrote, read, closed }) => {
                if wrote {
                    self.write_due = None;
                    session.wrote(now);
                }
                if read {
                    session.receive(&mut self.input, source, now)?;
                    if let Some(gather) = options.gather.filter(|_| is_full) {
                        std::thread::sleep(gather);
                    }
                }
                if closed { Err(LinkError::Closed) } else { Ok(()) }
            }
            None if self.write_due.is_some_and(|due| due <= now) => Err(LinkError::Stuck),
            None => Ok(session.timeout(now)?),
        }
    }

    /// Writes and reads as far as the stream lets us; ready as soon as either did anything.
    fn poll_io(
        &mut self,
        session: &mut Session,
        read: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Progress>> {
        let mut progress = Progress::default();
        let mut broken = None;
        match self.poll_write(session, cx) {
            Poll::Ready(Ok(wrote)) => progress.wrote = wrote,
            Poll::Ready(Err(error)) => broken = Some(error),
            Poll::Pending => {}
        }
        if session.wants_input() {
            match (self.poll_read(read, cx), broken.take()) {
                // Bytes that the broker sent before it closed the link are read first.
                (Poll::Ready(Ok(1..)), _) => progress.read = true,
                (_, Some(error)) => return Poll::Ready(Err(error)),
                (Poll::Ready(Ok(0)), None) => progress.closed = true,
                (Poll::Ready(Err(error)), None) => return Poll::Ready(Err(error)),
                (Poll::Pending, None) => session.ran_dry(),
            }
        }
        if let Some(error) = broken {
            return Poll::Ready(Err(error));
        }
        match progress.wrote || progress.read || progress.closed {
            true => Poll::Ready(Ok(progress)),
            false => Poll::Pending,
        }
    }

    /// Writes the session's output, then flushes: TLS holds back what the socket did not take.
    fn poll_write(
        &mut self,
        session: &mut Session,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let output = session.output();
        if !output.is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, output))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.advance(n);
            self.unflushed = true;
            return Poll::Ready(Ok(true));
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
            return Poll::Ready(Ok(true));
        }
        Poll::Pending
    }

    /// Reads at most `most` bytes.
    fn poll_read(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(most);
        pin!(self.io.read_buf(&mut (&mut self.input).limit(most))).poll(cx)
    }

    /// Writes what is left, closes our side, and waits until the broker has closed its own. The kernel
    /// resets a socket that is dropped with unread bytes, and a reset may destroy our last bytes
    /// before the broker reads them, acknowledgements among them.
    pub(super) async fn farewell(&mut self, session: &mut Session) -> io::Result<()> {
        while self.has_output(session) {
            poll_fn(|cx| self.poll_write(session, cx)).await?;
        }
        poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
        loop {
            self.input.clear();
            if poll_fn(|cx| self.poll_read(4096, cx)).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// What one poll of the stream did.
#[derive(Debug, Default)]
struct Progress {
    wrote: bool,
    read: bool,
    closed: bool,
}
