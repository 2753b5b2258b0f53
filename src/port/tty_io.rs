//! The bytes of a tty, without blocking. It is watched only while somebody waits: what comes meanwhile wakes
//! nobody.

use super::system_calls;
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, ReadBuf};

#[derive(Debug)]
pub(super) struct TtyIo {
    tty: Arc<OwnedFd>,
    /// `None`: nobody waits.
    watch: Option<AsyncFd<Arc<OwnedFd>>>,
    /// Whether it is also watched for room to write.
    is_full: bool,
}

impl TtyIo {
    /// Of a tty that does not block.
    pub(super) fn new(tty: Arc<OwnedFd>) -> TtyIo {
        TtyIo { tty, watch: None, is_full: false }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = match &self.watch {
                Some(watch) => Some(ready!(watch.poll_read_ready(cx))?),
                // It may have something already.
                None => None,
            };
            let room = buf.initialize_unfilled();
            match rustix::io::read(&*self.tty, &mut *room) {
                Ok(n) => {
                    // A tty gives all that it has.
                    if let Some(ready) = ready.as_mut().filter(|_| n < room.len()) {
                        ready.clear_ready();
                    }
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => match &mut ready {
                    Some(ready) => ready.clear_ready(),
                    None => self.watch = Some(self.watched()?),
                },
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match rustix::io::write(&*self.tty, bytes) {
                Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => continue,
                written => {
                    if self.is_full {
                        self.watch_for_room(false, cx);
                    }
                    return Poll::Ready(Ok(written?));
                }
            }
            if !self.is_full {
                self.watch_for_room(true, cx);
            }
            let watch = match self.watch.take() {
                Some(watch) => watch,
                None => self.watched()?,
            };
            let watch = self.watch.insert(watch);
            ready!(watch.poll_write_ready(cx))?.clear_ready();
        }
    }

    /// Nobody waits any more, until the next read or write.
    pub(super) fn rest(&mut self) {
        self.watch = None;
        self.is_full = false;
    }

    fn watch_for_room(&mut self, is_full: bool, cx: &Context<'_>) {
        self.watch = None;
        self.is_full = is_full;
        // Whoever waits to read has to look again.
        cx.waker().wake_by_ref();
    }

    fn watched(&self) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
        let interest = match self.is_full {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        system_calls::watch(Arc::clone(&self.tty), interest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pty::Pty;
    use rustix::fs::{Mode, OFlags, open};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::time::timeout;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn pty() -> (Pty, TtyIo) {
        let pty = Pty::open().unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
        let tty = open(pty.path(), flags, Mode::empty()).unwrap();
        let mut settings = tcgetattr(&tty).unwrap();
        settings.make_raw();
        tcsetattr(&tty, OptionalActions::Now, &settings).unwrap();
        (pty, TtyIo::new(Arc::new(tty)))
    }

    async fn read(io: &mut TtyIo, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let mut buf = ReadBuf::new(&mut bytes);
        timeout(DEADLINE, poll_fn(|cx| io.poll_read(cx, &mut buf))).await.unwrap().unwrap();
        buf.filled().to_vec()
    }

    #[tokio::test]
    async fn what_comes_while_nobody_waits_is_read_then() {
        let (pty, mut io) = pty();
        for n in 0..3 {
            pty.write_all(b"abc").await.unwrap();
            // All at once, or in pieces.
            let mut came = Vec::new();
            while came.len() < 3 {
                came.extend(read(&mut io, if n == 1 { 1 } else { 64 }).await);
            }
            assert_eq!(came, b"abc");
            let wait = read(&mut io, 64);
            let (came, _) = tokio::join!(wait, async { pty.write_all(b"d").await.unwrap() });
            assert_eq!(came, b"d", "it is waited for");
            if n != 0 {
                io.rest();
            }
        }
    }

    #[tokio::test]
    async fn a_write_waits_for_room_and_reading_goes_on() {
        let (pty, mut io) = pty();
        let all: Vec<u8> = (0..40_000_u32).map(|n| (n % 251) as u8).collect();
        let write = async {
            let (mut left, mut came) = (&all[..], 0);
            while !left.is_empty() || came < 200 {
                let mut room = [0; 64];
                let mut buf = ReadBuf::new(&mut room);
                poll_fn(|cx| {
                    if io.poll_read(cx, &mut buf)?.is_ready() {
                        came += buf.filled().len();
                        return Poll::Ready(Ok(()));
                    }
                    if left.is_empty() {
                        return Poll::Pending;
                    }
                    let n = ready!(io.poll_write(cx, left))?;
                    left = &left[n..];
                    Poll::Ready(io::Result::Ok(()))
                })
                .await
                .unwrap();
            }
        };
        let other = async {
            let mut heard = Vec::new();
            for _ in 0..200 {
                pty.write_all(b"x").await.unwrap();
                let mut buffer = [0; 4096];
                if heard.len() < all.len() {
                    let n = pty.read(&mut buffer).await.unwrap();
                    heard.extend_from_slice(&buffer[..n]);
                }
            }
            while heard.len() < all.len() {
                let mut buffer = [0; 4096];
                let n = pty.read(&mut buffer).await.unwrap();
                heard.extend_from_slice(&buffer[..n]);
            }
            heard
        };
        let both = async { tokio::join!(write, other) };
        let ((), heard) = timeout(DEADLINE, both).await.expect("it stands still");
        assert!(heard == all);
    }
}
