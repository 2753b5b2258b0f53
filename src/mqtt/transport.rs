//! From a broker's address to a stream of bytes: names, TCP, proxies, TLS, WebSocket.

pub mod error;
mod http_head;
pub mod proxy;
pub mod settings;
mod stream;
mod tcp;
pub mod tls;
pub mod ws;

pub use error::ConnectError;
pub use settings::Settings;
pub(in crate::mqtt) use stream::FixedStreams;
pub use stream::{Dial, Dialed, Io, Stream};

use super::url::{BrokerUrl, Scheme};
use crate::base::clock::{Now, Stamp};
#[cfg(feature = "tls")]
use crate::base::log::lasting::Lasting;
use error::ConnectError as Error;
use proxy::{ProxyKind, ProxyUrl, Target};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
#[cfg(feature = "tls")]
use tls::Tls;
use tls::{CertificateFault, TlsFault};
use tokio::net::{TcpStream, UnixStream};
#[cfg(feature = "tls")]
use tokio::time::Instant;
use tokio::time::timeout;

/// Limit for one attempt, from the first look-up to the last handshake. A TLS handshake on a slow
/// MIPS takes seconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// The maximum number of a broker's addresses that a proxy is asked for.
const PROXIED: usize = 4;

/// How far an attempt to connect has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A name is looked up.
    Resolving,
    /// TCP connects, perhaps through a proxy.
    Connecting,
    /// TLS shakes hands.
    Tls,
    /// Only the dates of the broker's certificate are wrong, and this machine's clock was never set:
    /// the attempt goes on when it is.
    WaitingForClock,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Resolving => "resolving",
            Stage::Connecting => "connecting",
            Stage::Tls => "tls",
            Stage::WaitingForClock => "waiting for clock",
        })
    }
}

/// Tells the wall clock.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The addresses of a host; called at each attempt, so that a name that moved is followed.
pub type Resolve = Arc<dyn Fn(String, u16) -> Resolved + Send + Sync>;

/// What [`Resolve`] gives.
pub type Resolved = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// What a connector needs of the machine. Tests bring their own.
#[derive(Clone)]
pub struct Environment {
    /// Looks up names.
    pub resolve: Resolve,
    /// Tells the wall clock, for the dates of certificates.
    pub now: Clock,
    /// The interval at which a clock that is not set is read.
    pub clock_poll: Duration,
}

impl Default for Environment {
    fn default() -> Environment {
        Environment {
            resolve: Arc::new(|host, port| {
                Box::pin(async move {
                    Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect())
                })
            }),
            now: Arc::new(|| Now::read().wall),
            clock_poll: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// Makes streams to a broker, or to one of several.
///
/// Each call of [`Connector::connect`] tries one broker, the next in the list, and after the last the
/// first again; after [`Dial::begin_again`] the first. So a broker that is away or refuses us is
/// skipped, the second one serves as long as its link holds, and each new link prefers the first.
#[derive(Debug)]
pub struct Connector {
    settings: Settings,
    environment: Environment,
    /// The broker of the last attempt, and of the next.
    current: usize,
    next: usize,
    established: bool,
    /// Whether the session has something to send that only a trusted broker may get.
    secrets: bool,
    /// Built at the first use. The files are read again before each attempt. TLS sessions are resumed
    /// while the files are unchanged and the last link was established.
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    /// Our certificate cannot be read again, and the last one that could is used.
    #[cfg(feature = "tls")]
    kept: Lasting,
}

impl Connector {
    /// From settings, which must name a broker. Files are read at the first attempt that uses TLS.
    pub fn new(settings: Settings) -> Result<Connector, ConnectError> {
        Connector::with_environment(settings, Environment::default())
    }

    /// With another resolver or clock than the machine's.
    pub fn with_environment(
        settings: Settings,
        environment: Environment,
    ) -> Result<Connector, ConnectError> {
        if settings.urls.is_empty() {
            return Err(Error::NoBroker);
        }
        if cfg!(not(feature = "tls")) && settings.urls.iter().any(BrokerUrl::is_tls) {
            return Err(Error::NoTls);
        }
        let (current, next) = (0, 0);
        Ok(Connector {
            settings,
            environment,
            current,
            next,
            established: false,
            secrets: false,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            kept: Lasting::default(),
        })
    }

    /// The broker of the last attempt; before any attempt, the first broker.
    pub fn broker(&self) -> &BrokerUrl {
        &self.settings.urls[self.current]
    }

    /// Tries one broker, for at most 30 s plus the wait for the clock. `stage` is called at each new
    /// stage. The future may be dropped at any time.
    pub async fn connect(&mut self, stage: &mut StageFn<'_>) -> Result<Stream, ConnectError> {
        self.current = self.next;
        self.next = (self.next + 1) % self.settings.urls.len();
        let _established = std::mem::take(&mut self.established);
        let url = self.broker().clone();
        #[cfg(feature = "tls")]
        if url.is_tls() {
            self.read_files(!_established)?;
        }
        loop {
            match self.attempt(&url, stage).await {
                Err(error) if is_early(&error) && !self.clock_is_set() => {
                    stage(Stage::WaitingForClock);
                    while !self.clock_is_set() {
                        tokio::time::sleep(self.environment.clock_poll).await;
                    }
                }
                result => return result,
            }
        }
    }

    fn clock_is_set(&self) -> bool {
        Stamp((self.environment.now)()).is_synchronised()
    }

    async fn attempt(
        &mut self,
        url: &BrokerUrl,
        stage: &mut StageFn<'_>,
    ) -> Result<Stream, ConnectError> {
        let mut step = "connecting";
        // One timer around all steps: each would be much code, one for each step's type.
        let within = timeout(DEADLINE, self.take_steps(url, stage, &mut step)).await;
        within.unwrap_or_else(|_| {
            let host = if url.host.is_empty() { &url.path } else { &url.host };
            Err(Error::Deadline { host: host.clone(), step })
        })
    }

    /// `step` is which step of the attempt is under way.
    async fn take_steps(
        &mut self,
        url: &BrokerUrl,
        stage: &mut StageFn<'_>,
        step: &mut &'static str,
    ) -> Result<Stream, ConnectError> {
        if url.scheme == Scheme::Unix {
            stage(Stage::Connecting);
            let socket = UnixStream::connect(&url.path).await;
            let failed = |source| Error::Unix { path: url.path.clone().into(), source };
            return socket.map(Stream::plain).map_err(failed);
        }
        let tcp = match &self.settings.proxy {
            None => self.reach(&url.host, url.port, stage, step).await?,
            Some(proxy) => self.reach_through(proxy, url, stage, step).await?,
        };
        let mut stream = if !url.is_tls() {
            Stream::plain(tcp)
        } else {
            #[cfg(not(feature = "tls"))]
            return Err(Error::NoTls);
            #[cfg(feature = "tls")]
            {
                *step = "the TLS handshake";
                self.shake_hands(url, tcp, stage).await?
            }
        };
        if url.scheme.is_websocket() {
            *step = "the WebSocket handshake";
            let socket = ws::shake_hands(stream.io, url, &self.settings.headers).await;
            let failed = |source| Error::WebSocket { host: url.host.clone(), source };
            stream.io = Box::new(socket.map_err(failed)?);
        }
        Ok(stream)
    }

    /// Certificates, key and authorities may have been renewed since the last attempt.
    #[cfg(feature = "tls")]
    fn read_files(&mut self, forget: bool) -> Result<(), ConnectError> {
        let Some(tls) = &mut self.tls else {
            self.tls = Some(Tls::new(&self.settings.tls, &self.environment)?);
            return Ok(());
        };
        let now = Instant::now().into_std();
        match tls.renew(&self.settings.tls, &self.environment, forget)? {
            None => drop(self.kept.over(now)),
            Some(why) => {
                if let Some(again) = self.kept.occurred(now) {
                    tracing::warn!("{why}; the certificate and key of before are used{again}");
                }
            }
        }
        Ok(())
    }

    #[cfg(feature = "tls")]
    async fn shake_hands(
        &mut self,
        url: &BrokerUrl,
        tcp: TcpStream,
        stage: &mut StageFn<'_>,
    ) -> Result<Stream, ConnectError> {
        stage(Stage::Tls);
        let credentials = self.secrets || self.settings.has_credentials();
        let tls = match &self.tls {
            Some(tls) => tls,
            None => self.tls.insert(Tls::new(&self.settings.tls, &self.environment)?),
        };
        tls.handshake(&url.host, tcp, credentials).await
    }

    async fn look_up(
        &self,
        host: &str,
        port: u16,
        stage: &mut StageFn<'_>,
        step: &mut &'static str,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        stage(Stage::Resolving);
        *step = "the DNS look-up";
        let found = (self.environment.resolve)(host.to_owned(), port).await;
        found.map_err(|source| Error::Lookup { host: host.to_owned(), source })
    }

    /// TCP to one of a host's addresses that the settings allow.
    async fn reach(
        &self,
        host: &str,
        port: u16,
        stage: &mut StageFn<'_>,
        step: &mut &'static str,
    ) -> Result<TcpStream, ConnectError> {
        let mut addresses = self.look_up(host, port, stage, step).await?;
        addresses.retain(|address| self.settings.network.allows(address));
        if addresses.is_empty() {
            let family = self.settings.network.wanted();
            return Err(Error::NoAddress { host: host.to_owned(), family });
        }
        stage(Stage::Connecting);
        *step = "connecting";
        tcp::race(addresses, &self.settings.network).await
    }

    /// TCP to a broker through a proxy.
    async fn reach_through(
        &self,
        proxy: &ProxyUrl,
        url: &BrokerUrl,
        stage: &mut StageFn<'_>,
        step: &mut &'static str,
    ) -> Result<TcpStream, ConnectError> {
        let mut targets = vec![Target::of(&url.host, url.port)];
        if proxy.kind == ProxyKind::Socks5 && matches!(targets[0], Target::Name(..)) {
            // `network.family` is about the way to the proxy, not about the proxy's way to the broker.
            let found = self.look_up(&url.host, url.port, stage, step).await?;
            targets = found.into_iter().take(PROXIED).map(Target::Address).collect();
        }
        let mut error = Error::NoAddress { host: url.host.clone(), family: Default::default() };
        for target in targets {
            let mut stream = self.reach(&proxy.host, proxy.port, stage, step).await?;
            *step = "the proxy";
            match proxy::tunnel(&mut stream, proxy, &target).await {
                Ok(()) => return Ok(stream),
                Err(source) => error = Error::Proxy { proxy: proxy.clone(), source },
            }
        }
        Err(error)
    }
}

impl Dial for Connector {
    fn dial<'a>(&'a mut self, stage: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        Box::pin(async move {
            let stream = self.connect(stage).await?;
            if let Some(why) = stream.distrust {
                tracing::warn!("{} is not trusted: {why}", self.broker());
            }
            Ok(stream.io)
        })
    }

    fn set_credentials(&mut self, secrets: bool) {
        self.secrets = secrets;
    }

    /// TLS may resume its session at the next attempt.
    fn established(&mut self) {
        self.established = true;
    }

    fn begin_again(&mut self) {
        self.next = 0;
    }

    fn broker(&self) -> Option<&BrokerUrl> {
        Some(self.broker())
    }

    fn has_another(&self) -> bool {
        self.next != 0
    }

    /// A file that cannot be read is logged, and is no reason to leave a broker.
    fn is_stale(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.as_ref().filter(|_| self.broker().is_tls()) {
            return tls.is_stale(&self.settings.tls).unwrap_or_else(|why| {
                tracing::warn!("{why}; the link stays as it is");
                false
            });
        }
        false
    }

    fn to_first(&self) -> Option<Box<dyn Dial>> {
        if self.current == 0 {
            return None;
        }
        let mut settings = self.settings.clone();
        settings.urls.truncate(1);
        let mut first = Connector::with_environment(settings, self.environment.clone()).ok()?;
        first.secrets = self.secrets;
        Some(Box::new(first))
    }
}

/// Whether the broker's certificate is only too new for our clock.
fn is_early(error: &ConnectError) -> bool {
    use CertificateFault::NotValidYet;
    matches!(
        error,
        Error::Tls { fault: TlsFault::Certificate(NotValidYet(_)), .. }
            | Error::UntrustedWithCredentials { fault: NotValidYet(_), .. }
    )
}

/// Called at each new stage.
type StageFn<'a> = dyn FnMut(Stage) + Send + 'a;
