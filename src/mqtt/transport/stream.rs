//! A stream to a broker, whatever it is made of.

use super::tls::CertificateFault;
#[cfg(feature = "tls")]
use super::tls::TlsLink;
use super::ws::WebSocket;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A stream to a broker. Reading and writing belong to one task.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// TLS on TCP.
    #[cfg(feature = "tls")]
    Tls(Box<TlsLink>),
    /// A Unix socket.
    Unix(UnixStream),
    /// WebSocket messages on TCP or TLS.
    WebSocket(Box<WebSocket<Stream>>),
}

impl Stream {
    /// Whether the other side may get a password: `false` for TLS whose certificate was not found
    /// right. TCP without TLS counts as trusted, the user chose it.
    pub fn is_trusted(&self) -> bool {
        self.distrust().is_none()
    }

    /// Why it is not trusted.
    pub fn distrust(&self) -> Option<&CertificateFault> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => None,
            #[cfg(feature = "tls")]
            Stream::Tls(link) => link.distrust.as_ref(),
            Stream::WebSocket(socket) => socket.inner().distrust(),
        }
    }

    /// The protocol name that the broker chose of those offered (ALPN).
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => None,
            #[cfg(feature = "tls")]
            Stream::Tls(link) => link.stream.get_ref().1.alpn_protocol(),
            Stream::WebSocket(socket) => socket.inner().alpn(),
        }
    }
}

/// Calls a method of whatever the stream is.
macro_rules! pass {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "tls")]
            Stream::Tls(link) => {
                let $stream = Pin::new(&mut link.stream);
                $call
            }
            Stream::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::WebSocket(socket) => {
                let $stream = Pin::new(&mut **socket);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pass!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        pass!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass!(self, stream => stream.poll_shutdown(cx))
    }
}
