//! The bytes of an open port.

use super::line_counts::LineCounts;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_serial::{ClearBuffer, SerialPort, SerialStream};

/// How long a closing tty may take to send what was written, before that is thrown away. What flow
/// control holds back for longer would delay the close for 30 s.
const DRAIN: Duration = Duration::from_secs(1);

/// How often a closing tty is asked how much is left.
const PAUSE: Duration = Duration::from_millis(5);

/// An open port. Its owner has to shut it down: Linux closes a tty only when what was written is on the
/// wire, and waits up to 30 s for that.
#[derive(Debug)]
pub enum Stream {
    Tty(Tty),
    Closing(JoinHandle<()>),
    Closed,
    Tcp(TcpStream),
}

#[derive(Debug)]
pub struct Tty {
    pub(super) stream: SerialStream,
    /// The same tty, for what the stream does not offer.
    pub(super) tty: OwnedFd,
    pub(super) counts: Option<Counts>,
}

/// What the driver counts; read after each read of the tty.
#[derive(Debug)]
pub(super) struct Counts {
    /// What the driver had counted when the port was opened.
    pub(super) before: LineCounts,
    pub(super) latest: watch::Sender<LineCounts>,
}

impl AsFd for Tty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tty.as_fd()
    }
}

impl Counts {
    fn look(&self, tty: &OwnedFd) {
        let Some(now) = LineCounts::read(tty) else { return };
        let now = now.since(self.before);
        self.latest.send_if_modified(|latest| std::mem::replace(latest, now) != now);
    }
}

/// Closes a tty once what was written is on the wire, or is thrown away.
fn close(tty: Tty) {
    let start = Instant::now();
    // An error means that it is unplugged.
    while let Ok(left @ 1..) = tty.stream.bytes_to_write() {
        if start.elapsed() >= DRAIN {
            let name = tty.stream.name().unwrap_or_default();
            tracing::warn!("{name} does not take the last {left} bytes of commands; they are lost");
            let _ = tty.stream.clear(ClearBuffer::Output);
            break;
        }
        std::thread::sleep(PAUSE);
    }
    drop(tty);
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tty(tty) => {
                ready!(Pin::new(&mut tty.stream).poll_read(cx, buf))?;
                if let Some(counts) = &tty.counts {
                    counts.look(&tty.tty);
                }
                Poll::Ready(Ok(()))
            }
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Closing(_) | Stream::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tty(tty) => Pin::new(&mut tty.stream).poll_write(cx, buf),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Closing(_) | Stream::Closed => Poll::Ready(Ok(0)),
        }
    }

    /// Nothing is held back, so there is nothing to flush; on a tty this would block until the last
    /// bit is on the wire.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        *this = match std::mem::replace(this, Stream::Closed) {
            Stream::Tty(tty) => Stream::Closing(spawn_blocking(move || close(tty))),
            other => other,
        };
        match this {
            Stream::Tcp(stream) => return Pin::new(stream).poll_shutdown(cx),
            // However it ended, the tty is closed.
            Stream::Closing(closing) => drop(ready!(Pin::new(closing).poll(cx))),
            Stream::Tty(_) | Stream::Closed => {}
        }
        *this = Stream::Closed;
        Poll::Ready(Ok(()))
    }
}
