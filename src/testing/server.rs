//! The demo's broker on a loopback address, and the switches to break it.

use super::broker::{Broker, Connection, Faults, Way};
use bytes::Buf;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A running broker; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
}

/// What can be done to a running broker.
#[derive(Debug)]
enum Order {
    /// All links break, nothing listens for a while, then it is back at the same address.
    Restart {
        keep_sessions: bool,
        after: Duration,
    },
    /// All links break; it goes on listening.
    HangUp,
    /// Reads, but answers nothing, until told otherwise.
    HalfOpen(bool),
    Faults(Faults),
}

impl Server {
    /// Starts a broker at a free port of the loopback address, as a task of this runtime.
    pub async fn start() -> io::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (orders, receiver) = mpsc::channel(16);
        let running = Running {
            address,
            listener: Some(listener),
            broker: Broker::default(),
            streams: BTreeMap::new(),
            next: 0,
            half_open: false,
            orders: receiver,
        };
        tokio::spawn(running.run());
        Ok(Server { address, orders })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all links and is back after a while, with or without the sessions it had.
    pub async fn restart(&self, keep_sessions: bool, after: Duration) {
        // The task only ends with this handle.
        let _ = self.orders.send(Order::Restart { keep_sessions, after }).await;
    }

    /// Breaks all links; the next ones are served.
    pub async fn hang_up(&self) {
        let _ = self.orders.send(Order::HangUp).await;
    }

    /// Keeps the links open and takes what comes, but answers nothing: only a PINGRESP that is
    /// missing tells a client.
    pub async fn half_open(&self, on: bool) {
        let _ = self.orders.send(Order::HalfOpen(on)).await;
    }

    /// Sets what goes wrong from now on.
    pub async fn faults(&self, faults: Faults) {
        let _ = self.orders.send(Order::Faults(faults)).await;
    }
}

struct Running {
    address: SocketAddr,
    listener: Option<TcpListener>,
    broker: Broker,
    streams: BTreeMap<Connection, TcpStream>,
    next: Connection,
    half_open: bool,
    orders: mpsc::Receiver<Order>,
}

/// How often links are looked at. One task for all keeps the broker's state in one place; a few
/// milliseconds do not matter to a demo.
const TICK: Duration = Duration::from_millis(2);

impl Running {
    async fn run(mut self) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    None => return,
                    Some(order) => self.obey(order).await,
                },
                accepted = accept(self.listener.as_ref()) => {
                    if let Ok(stream) = accepted {
                        let _ = stream.set_nodelay(true);
                        self.next += 1;
                        self.broker.open(self.next, Instant::now());
                        self.streams.insert(self.next, stream);
                    }
                }
                () = tokio::time::sleep(TICK) => self.exchange(&mut buffer),
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Faults(faults) => self.broker.faults = faults,
            Order::HalfOpen(on) => self.half_open = on,
            Order::HangUp => {
                for (link, _) in std::mem::take(&mut self.streams) {
                    self.broker.close(link);
                }
            }
            Order::Restart { keep_sessions, after } => {
                self.streams.clear();
                self.listener = None;
                self.broker.restart(keep_sessions);
                tokio::time::sleep(after).await;
                self.listener = TcpListener::bind(self.address).await.ok();
            }
        }
    }

    /// Reads and writes whatever is possible without waiting.
    fn exchange(&mut self, buffer: &mut [u8]) {
        let now = Instant::now();
        let mut ended = Vec::new();
        for (link, stream) in &self.streams {
            loop {
                match stream.try_read(buffer) {
                    Ok(0) => ended.push(*link),
                    Ok(_) if self.half_open => continue,
                    Ok(n) => {
                        self.broker.receive(*link, &buffer[..n], now);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => ended.push(*link),
                }
                break;
            }
        }
        if !self.half_open && self.broker.deadline().is_some_and(|due| due <= now) {
            self.broker.timeout(now);
        }
        for link in ended {
            self.streams.remove(&link);
            self.broker.close(link);
        }
        if self.half_open {
            return;
        }
        for link in self.broker.links() {
            let Some(stream) = self.streams.get(&link) else { continue };
            let mut broken = false;
            if let Some(output) = self.broker.output(link) {
                while !output.is_empty() {
                    match stream.try_write(output) {
                        Ok(n) => output.advance(n),
                        Err(error) => {
                            broken = error.kind() != io::ErrorKind::WouldBlock;
                            break;
                        }
                    }
                }
                broken |= output.is_empty() && self.broker.is_closing(link);
            }
            if broken {
                if self.broker.way(link) == Some(Way::Reset) {
                    // Dropped so, it is reset.
                    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                }
                self.streams.remove(&link);
                self.broker.close(link);
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}
