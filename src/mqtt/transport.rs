//! From a broker's address to a stream of bytes: names, TCP, TLS.

mod tls;

use crate::config::scalar::BrokerUrl;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// For one address. A TLS handshake on a slow MIPS takes seconds.
const ADDRESS_DEADLINE: Duration = Duration::from_secs(10);
const TLS_DEADLINE: Duration = Duration::from_secs(30);

/// Why no stream came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name could not be looked up.
    #[error("cannot look up {host}: {source}")]
    Lookup {
        /// The broker's name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// No address answered; the last one's error.
    #[error("cannot connect to {address}: {source}")]
    Tcp {
        /// The address tried last.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificates of authorities could not be read.
    #[error("{0}")]
    Authorities(String),
    /// The TLS handshake failed: most often an unknown authority, a wrong name or a wrong clock.
    #[error("TLS with {host}: {why}")]
    Tls {
        /// The broker's name.
        host: String,
        /// What rustls said, and the remedy where there is one.
        why: String,
    },
    /// There is no stream left of those that were given.
    #[error("no stream is left")]
    NoStreamLeft,
}

impl ConnectError {
    /// The number that NodeMCU gives it: -5 no server, -3 no such name, -1 no answer in time.
    pub fn code(&self) -> i16 {
        match self {
            ConnectError::Lookup { .. } | ConnectError::NoAddress(_) => -3,
            _ => -5,
        }
    }
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The name is looked up.
    Resolving,
    /// A connection is made.
    Connecting,
    /// TLS begins.
    Tls,
    /// The clock must be set before a certificate can be judged.
    WaitingForClock,
}

/// Makes streams to one broker.
#[derive(Debug)]
pub struct Connector {
    url: BrokerUrl,
    ca_file: Option<PathBuf>,
    /// Built at the first use and kept: reading the bundle costs a slow router 0.1 s.
    tls: Option<Tls>,
}

impl Connector {
    /// For a broker; `ca_file` in place of the system's certificate authorities.
    pub fn new(url: BrokerUrl, ca_file: Option<PathBuf>) -> Connector {
        Connector { url, ca_file, tls: None }
    }

    /// One attempt. The name is looked up anew each time, and each of its addresses is tried.
    pub async fn connect(&mut self, stage: impl Fn(Stage)) -> Result<Stream, ConnectError> {
        stage(Stage::Resolving);
        let stream = self.connect_tcp().await?;
        // We gather what goes out ourselves; waiting for more would only delay acknowledgements.
        let _ = stream.set_nodelay(true);
        if !self.url.tls {
            return Ok(Stream::Plain(stream));
        }
        stage(Stage::Tls);
        let tls = match self.tls.take() {
            Some(tls) => self.tls.insert(tls),
            None => {
                let tls = Tls::new(self.ca_file.as_deref()).map_err(ConnectError::Authorities)?;
                self.tls.insert(tls)
            }
        };
        let host = &self.url.host;
        let wrong = |why: String| ConnectError::Tls { host: host.clone(), why };
        match timeout(TLS_DEADLINE, tls.handshake(host, stream)).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(wrong(tls::explain(&error))),
            Err(_) => Err(wrong("no answer within 30 s".into())),
        }
    }

    async fn connect_tcp(&self) -> Result<TcpStream, ConnectError> {
        let BrokerUrl { host, port, .. } = &self.url;
        let addresses = tokio::net::lookup_host((host.as_str(), *port)).await;
        let addresses =
            addresses.map_err(|source| ConnectError::Lookup { host: host.clone(), source })?;
        let mut error = ConnectError::NoAddress(host.clone());
        for address in addresses {
            match timeout(ADDRESS_DEADLINE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(source)) => error = ConnectError::Tcp { address, source },
                Err(late) => error = ConnectError::Tcp { address, source: late.into() },
            }
        }
        Err(error)
    }
}

/// A stream to a broker.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS on TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
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
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
