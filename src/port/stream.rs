//! The bytes of an open port.

use super::telnet::TelnetStream;
use super::tty::Tty;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_blocking};

/// What the task of a port moves bytes through.
pub trait PortStream: AsyncRead + AsyncWrite {
    /// Nobody waits for bytes until the next read: what comes need not wake anybody.
    fn rest(self: Pin<&mut Self>) {}
}

#[cfg(any(test, feature = "testing"))]
impl PortStream for tokio::io::DuplexStream {}

/// An open port. Its owner has to shut it down: Linux closes a tty only when what was written is on the
/// wire, and waits up to 30 s for that.
#[derive(Debug)]
pub enum Stream {
    Tty(Box<Tty>),
    Closing(JoinHandle<()>),
    Closed,
    Tcp(TcpStream),
    Telnet(Box<TelnetStream>),
}

impl PortStream for Stream {
    fn rest(self: Pin<&mut Self>) {
        if let Stream::Tty(tty) = self.get_mut() {
            tty.rest();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tty(tty) => tty.poll_read(cx, buf),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Telnet(stream) => stream.poll_read(cx, buf),
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
            Stream::Tty(tty) => tty.poll_write(cx, buf),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Telnet(stream) => stream.poll_write(cx, buf),
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
            Stream::Tty(tty) => Stream::Closing(spawn_blocking(move || tty.close())),
            other => other,
        };
        match this {
            Stream::Tcp(stream) => return Pin::new(stream).poll_shutdown(cx),
            Stream::Telnet(stream) => return stream.poll_shutdown(cx),
            // However it ended, the tty is closed.
            Stream::Closing(closing) => drop(ready!(Pin::new(closing).poll(cx))),
            Stream::Tty(_) | Stream::Closed => {}
        }
        *this = Stream::Closed;
        Poll::Ready(Ok(()))
    }
}
