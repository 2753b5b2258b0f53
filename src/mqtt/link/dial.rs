//! Where a link's streams come from.

use crate::mqtt::transport::{ConnectError, Connector, Stage};
use crate::mqtt::url::BrokerUrl;
use std::collections::VecDeque;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream to a broker.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// What a dialer gives.
pub type Dialed<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, ConnectError>> + Send + 'a>>;

/// Makes the streams of a link. [`Connector`] is the one that knows all the ways; a program that
/// needs another one, or one that is smaller, brings its own.
pub trait Dial: Send {
    /// A stream to the broker, or to the next of several. `stage` is told how far it has come. The
    /// future may be dropped at any time.
    fn dial<'a>(&'a mut self, stage: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a>;

    /// Whether the session will tell a login or AUTH data, which only a trusted broker may get.
    fn set_credentials(&mut self, _secrets: bool) {}

    /// The broker at the other end of the last stream took us in.
    fn established(&mut self) {}

    /// The next attempt is for the first of several brokers.
    fn begin_again(&mut self) {}

    /// The broker of the last try, if it has an address. A user or a password in it is this
    /// broker's login, in place of the session's, and no other broker gets it.
    fn broker(&self) -> Option<&BrokerUrl> {
        None
    }

    /// Whether a broker is next that was not tried since all of them failed or since it was to begin
    /// again: then it is not waited for as long as after a failure of all.
    fn has_another(&self) -> bool {
        false
    }

    /// Whether a file that the last stream was made with, such as a certificate, holds something
    /// else now.
    fn is_stale(&self) -> bool {
        false
    }

    /// A dialer to nothing but the first of several brokers, if that is not the one at the other
    /// end.
    fn to_first(&self) -> Option<Box<dyn Dial>> {
        None
    }
}

impl Dial for Connector {
    fn dial<'a>(&'a mut self, stage: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        Box::pin(async move {
            let stream = self.connect(stage).await?;
            if let Some(why) = stream.distrust() {
                tracing::warn!("{} is not trusted: {why}", self.broker());
            }
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }

    fn set_credentials(&mut self, secrets: bool) {
        Connector::set_credentials(self, secrets);
    }

    fn established(&mut self) {
        Connector::established(self);
    }

    fn begin_again(&mut self) {
        Connector::begin_again(self);
    }

    fn broker(&self) -> Option<&BrokerUrl> {
        Some(Connector::broker(self))
    }

    fn has_another(&self) -> bool {
        Connector::has_another(self)
    }

    fn is_stale(&self) -> bool {
        Connector::is_stale(self)
    }

    fn to_first(&self) -> Option<Box<dyn Dial>> {
        Some(Box::new(Connector::to_first(self)?))
    }
}

/// Streams that somebody else made, one for each link.
pub(super) struct FixedStreams(pub(super) VecDeque<Box<dyn Io>>);

impl Dial for FixedStreams {
    fn dial<'a>(&'a mut self, _: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        let stream = self.0.pop_front().ok_or(ConnectError::NoStreamLeft);
        Box::pin(std::future::ready(stream))
    }
}
