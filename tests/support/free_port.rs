//! Port numbers for servers that a test starts as programs.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A number that nobody uses, that was given to no other test of this process, and that the system
/// gives to no outgoing connection in the meantime: those are from 32,768 on.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id().wrapping_mul(61);
    loop {
        let n = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + (start.wrapping_add(n) % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
