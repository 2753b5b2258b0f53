//! Streams to a broker, and who makes them.

use super::tls::CertificateFault;
use super::{ConnectError, Stage};
use crate::mqtt::url::BrokerUrl;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of bytes. Reading and writing belong to one task.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// A stream to a broker, and what its handshake showed.
pub struct Stream {
    /// The bytes.
    pub io: Box<dyn Io>,
    /// Why the broker is not trusted: TLS did not find its certificate valid. A stream without TLS
    /// counts as trusted, because the user chose it.
    pub distrust: Option<CertificateFault>,
    /// The protocol name that the broker chose of those offered (ALPN).
    pub alpn: Option<Vec<u8>>,
}

impl Stream {
    pub(super) fn plain(io: impl Io + 'static) -> Stream {
        Stream { io: Box::new(io), distrust: None, alpn: None }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("distrust", &self.distrust).finish_non_exhaustive()
    }
}

/// What a dialer returns.
pub type Dialed<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, ConnectError>> + Send + 'a>>;

/// Makes the streams of a link. [`Connector`](super::Connector) knows all transports; a program that
/// needs another one, or a smaller one, brings its own.
pub trait Dial: Send {
    /// Connects to the broker, or to the next of several. `stage` is called at each new stage. The
    /// future may be dropped at any time.
    fn dial<'a>(&'a mut self, stage: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a>;

    /// Whether the session will send a login or AUTH data, which only a trusted broker may get.
    fn set_credentials(&mut self, _secrets: bool) {}

    /// The broker at the other end of the last stream accepted the connection (CONNACK).
    fn established(&mut self) {}

    /// The next attempt is for the first of several brokers.
    fn begin_again(&mut self) {}

    /// The broker of the last attempt, if it has an address. A user or a password in it is this
    /// broker's login, in place of the session's, and no other broker gets it.
    fn broker(&self) -> Option<&BrokerUrl> {
        None
    }

    /// Whether the next attempt is for another broker than the first: then the link waits for a
    /// shorter time than after all of them failed.
    fn has_another(&self) -> bool {
        false
    }

    /// Whether a file that the last stream was made with, such as a certificate, has changed.
    fn is_stale(&self) -> bool {
        false
    }

    /// A dialer that leads to the first of several brokers only, if that is not the one at the other
    /// end.
    fn to_first(&self) -> Option<Box<dyn Dial>> {
        None
    }
}

/// Streams that somebody else made, one for each link.
pub(in crate::mqtt) struct FixedStreams(pub(in crate::mqtt) VecDeque<Box<dyn Io>>);

impl Dial for FixedStreams {
    fn dial<'a>(&'a mut self, _: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        let stream = self.0.pop_front().ok_or(ConnectError::NoStreamLeft);
        Box::pin(std::future::ready(stream))
    }
}
