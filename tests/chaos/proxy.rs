//! A TCP proxy in front of the broker. It corrupts nothing; it cuts, resets, stalls, delays, slows
//! down and leaves links half-open.

use socket2::{Domain, SockRef, Socket, Type};

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Pass,
    /// Nothing moves, nothing is lost.
    Stall,
    /// Each read waits for so long.
    Delay(Duration),
    /// So many bytes a second, in each direction.
    Slow(usize),
    /// What comes is read and thrown away, and nothing is closed. Links that this hits stay dead.
    Swallow,
    /// A new link's first bytes wait for so long; then everything passes.
    Greet(Duration),
    /// The link ends at each packet of the gateway with [`MARK`] in it, as brokers do with what
    /// they will not take.
    Refuse(Cut),
}

/// What [`Mode::Refuse`] looks for.
pub const MARK: &[u8] = b"POISON";

/// How a link ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// FIN, as by a proxy that restarts.
    #[default]
    Close,
    /// RST, as by a firewall that forgot the link.
    Reset,
}

pub struct Proxy {
    pub port: u16,
    mode: watch::Sender<Mode>,
    cut: watch::Sender<Cut>,
    links: Arc<AtomicU64>,
}

/// What each link watches.
#[derive(Clone)]
struct Signals {
    mode: watch::Receiver<Mode>,
    cut: watch::Receiver<Cut>,
}

impl Proxy {
    /// Leads to the first of these ports that somebody listens at. Runs in a thread of its own, for
    /// as long as the test does.
    pub fn start(brokers: Vec<u16>) -> Proxy {
        let (mode, modes) = watch::channel(Mode::default());
        let (cut, cuts) = watch::channel(Cut::default());
        let signals = Signals { mode: modes, cut: cuts };
        let links = Arc::new(AtomicU64::new(0));
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // The kernel shall not hide from the gateway how slow we are.
        listener.set_recv_buffer_size(16 << 10).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(16).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = std::net::TcpListener::from(listener);
        let port = listener.local_addr().unwrap().port();
        let counted = links.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(accept(listener, &brokers, &signals, &counted));
        });
        Proxy { port, mode, cut, links }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Ends all links that there are. New ones pass.
    pub fn cut(&self, how: Cut) {
        self.cut.send_replace(how);
    }

    /// How many links reached the broker so far.
    pub fn links(&self) -> u64 {
        self.links.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: std::net::TcpListener,
    brokers: &[u16],
    signals: &Signals,
    links: &AtomicU64,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        // While the broker is away, so is what stands in front of it.
        let Some(broker) = first_of(brokers).await else { continue };
        links.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(link(client, broker, signals.clone()));
    }
}

async fn first_of(ports: &[u16]) -> Option<TcpStream> {
    for port in ports {
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await {
            return Some(stream);
        }
    }
    None
}

async fn link(mut client: TcpStream, mut broker: TcpStream, mut signals: Signals) {
    client.set_nodelay(true).unwrap();
    broker.set_nodelay(true).unwrap();
    signals.cut.mark_unchanged();
    let mode = *signals.mode.borrow();
    let refusing = signals.mode.clone();
    let passing = async {
        if let Mode::Greet(wait) = mode {
            sleep(wait).await;
        }
        let dead = AtomicBool::new(false);
        let (from_client, to_client) = client.split();
        let (from_broker, to_broker) = broker.split();
        tokio::select! {
            () = pump(from_client, to_broker, signals.mode.clone(), &dead) => {}
            () = pump(from_broker, to_client, signals.mode.clone(), &dead) => {}
        }
        match *refusing.borrow() {
            Mode::Refuse(cut) => cut,
            _ => Cut::Close,
        }
    };
    let cut = tokio::select! {
        cut = passing => cut,
        _ = signals.cut.changed() => *signals.cut.borrow(),
    };
    if cut == Cut::Reset {
        // Closed with a linger of zero, a socket sends RST.
        for stream in [&client, &broker] {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Until either end closes. A link that was half-open once stays so.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut mode: watch::Receiver<Mode>,
    dead: &AtomicBool,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let now = settled(&mut mode).await;
        let most = match now {
            Mode::Slow(rate) => (rate / 50).clamp(1, buffer.len()),
            _ => buffer.len(),
        };
        let Ok(n) = from.read(&mut buffer[..most]).await else { break };
        if n == 0 {
            break;
        }
        let now = settled(&mut mode).await;
        if matches!(now, Mode::Refuse(_))
            && buffer[..n].windows(MARK.len()).any(|part| part == MARK)
        {
            return;
        }
        dead.fetch_or(now == Mode::Swallow, Ordering::SeqCst);
        if dead.load(Ordering::SeqCst) {
            continue;
        }
        match now {
            Mode::Delay(wait) => sleep(wait).await,
            Mode::Slow(_) => sleep(Duration::from_millis(20)).await,
            _ => {}
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    if dead.load(Ordering::SeqCst) {
        // Neither end learns that the other has gone.
        std::future::pending::<()>().await;
    }
}

/// The mode, once nothing is stalled.
async fn settled(mode: &mut watch::Receiver<Mode>) -> Mode {
    match mode.wait_for(|mode| *mode != Mode::Stall).await {
        Ok(mode) => *mode,
        Err(_) => Mode::Pass,
    }
}
