//! A TCP proxy in front of the broker that can shut its door or swallow what passes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

const OPEN: u8 = 0;
const SHUT: u8 = 1;
const SWALLOW: u8 = 2;

pub struct Proxy {
    pub port: u16,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    pub fn start(broker: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(OPEN));
        let shared = mode.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.load(Ordering::SeqCst) == SHUT {
                    continue;
                }
                let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                let back = (broker.try_clone().unwrap(), client.try_clone().unwrap());
                pump(client, broker, shared.clone());
                pump(back.0, back.1, shared.clone());
            }
        });
        Proxy { port, mode }
    }

    /// Everything passes. Links that were swallowed stay dead: their bytes are gone.
    pub fn open(&self) {
        self.mode.store(OPEN, Ordering::SeqCst);
    }

    /// New links are closed at once.
    pub fn shut(&self) {
        self.mode.store(SHUT, Ordering::SeqCst);
    }

    /// Half-open: what comes is read and thrown away, nothing is closed.
    pub fn swallow(&self) {
        self.mode.store(SWALLOW, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, mode: Arc<AtomicU8>) {
    from.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        let mut dead = false;
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            dead |= mode.load(Ordering::SeqCst) == SWALLOW;
            if !dead && to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        if dead || mode.load(Ordering::SeqCst) == SWALLOW {
            // Half-open: neither end learns that the other has gone.
            return std::mem::forget((from, to));
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
