//! Moves bytes between a stream and the session.

use super::{Io, LinkError, Options, now};
use crate::mqtt::session::Session;
use crate::mqtt::source::Source;
use bytes::{BufMut, BytesMut};
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
    pub(super) fn has_output(&self, session: &Session) -> bool {
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
        let io = poll_fn(|cx| self.poll_io(session, read, cx));
        let done = match due {
            // Not even a flood of packets keeps a deadline from being noticed.
            Some(due) if due <= now() => None,
            // To set a timer costs calls, and mostly something can be done at once.
            Some(due) => tokio::select! {
                biased;
                done = io => Some(done?),
                () = sleep_until(due.into()) => None,
            },
            None => Some(io.await?),
        };
        let now = now();
        match done {
            Some(Done::Wrote) => Ok(()),
            Some(Done::Read(0)) => Err(LinkError::Closed),
            Some(Done::Read(_)) => {
                session.receive(&mut self.input, source, now)?;
                if let Some(gather) = options.gather.filter(|_| is_full) {
                    std::thread::sleep(gather);
                }
                Ok(())
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
    ) -> Poll<io::Result<Done>> {
        let wrote = self.poll_write(session, cx);
        if session.wants_input() {
            match (self.poll_read(read, cx), &wrote) {
                // Bytes that the broker sent before it closed the link are read first.
                (Poll::Ready(Ok(n @ 1..)), _) => return Poll::Ready(Ok(Done::Read(n))),
                (_, Poll::Ready(Err(_))) => {}
                (Poll::Ready(end), _) => return Poll::Ready(end.map(Done::Read)),
                (Poll::Pending, _) => session.ran_dry(),
            }
        }
        wrote.map_ok(|()| Done::Wrote)
    }

    /// Writes the session's output, then flushes: TLS holds back what the socket did not take.
    fn poll_write(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !session.output().is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, session.output()))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            session.wrote(n, now());
            self.unflushed = true;
        } else if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        } else {
            return Poll::Pending;
        }
        self.write_due = None;
        Poll::Ready(Ok(()))
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
enum Done {
    Wrote,
    /// It may have written, too. 0 bytes are the end of the stream.
    Read(usize),
}
