//! An open tty: its bytes, its line, and the direction of an RS-485 adapter.

use super::line;
use super::line_change::{LineRequests, NotSet, Outcome};
use super::line_counts::LineCounts;
use super::rs485::Transmitter;
use super::tty_io::TtyIo;
use crate::base::line::Line;
use rustix::termios::tcdrain;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::io::ReadBuf;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_serial::{ClearBuffer, SerialPort};

/// How long a closing tty may take to send what was written, before that is thrown away. What flow
/// control holds back for longer would delay the close for 30 s.
const DRAIN: Duration = Duration::from_secs(1);

/// How often a closing tty is asked how much is left.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub struct Tty {
    /// Keeps other programs out, and knows what the driver holds.
    port: Box<dyn SerialPort>,
    tty: Arc<OwnedFd>,
    io: TtyIo,
    counts: Option<Counts>,
    /// Speed and format that hold.
    line: Line,
    is_virtual: bool,
    /// When the last bit of what was written is out, by the line's own time.
    out: Instant,
    requests: LineRequests,
    /// A change of speed or format that is under way.
    change: Option<(Line, JoinHandle<Outcome>)>,
    /// Where RTS is switched around each write.
    transmitter: Option<Transmitter>,
    is_closing: Arc<AtomicBool>,
}

/// What the driver counts; read after each read of the tty.
#[derive(Debug)]
pub(super) struct Counts {
    /// What the driver had counted when the port was opened.
    pub(super) before: LineCounts,
    pub(super) latest: watch::Sender<LineCounts>,
}

impl AsFd for Tty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tty.as_fd()
    }
}

impl Counts {
    fn look(&self, tty: &OwnedFd) {
        let Some(now) = LineCounts::read(tty) else { return };
        let now = now.since(self.before);
        self.latest.send_if_modified(|latest| std::mem::replace(latest, now) != now);
    }
}

impl Tty {
    pub(super) fn new(
        port: Box<dyn SerialPort>,
        tty: OwnedFd,
        counts: Option<Counts>,
        (line, is_virtual): (Line, bool),
        requests: LineRequests,
        transmitter: Option<Transmitter>,
    ) -> Tty {
        let tty = Arc::new(tty);
        Tty {
            port,
            io: TtyIo::new(Arc::clone(&tty)),
            tty,
            counts,
            line,
            is_virtual,
            out: Instant::now(),
            requests,
            change: None,
            transmitter,
            is_closing: Arc::default(),
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_change(cx);
        ready!(self.io.poll_read(cx, buf))?;
        if let Some(counts) = &self.counts {
            counts.look(&self.tty);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        let n = match &mut self.transmitter {
            // Its bytes are out when it says so.
            Some(transmitter) => {
                return transmitter.poll_write(cx, bytes, &self.tty, &self.line, &self.is_closing);
            }
            None => ready!(self.io.poll_write(cx, bytes))?,
        };
        self.out = self.out.max(now) + time_of(&self.line, n);
        Poll::Ready(Ok(n))
    }

    /// Nobody waits for bytes until the next read. A change of the line goes on with that.
    pub(super) fn rest(&mut self) {
        self.io.rest();
    }

    /// Takes changes of speed and format as far as they come now.
    fn poll_change(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some((line, change)) = &mut self.change {
                let line = *line;
                let Poll::Ready(outcome) = Pin::new(change).poll(cx) else { return };
                let outcome = outcome.unwrap_or_else(|e| Err(NotSet::Unknown(e.to_string())));
                if outcome.is_ok() {
                    self.line = line;
                }
                self.change = None;
                self.requests.tell(line, outcome);
            }
            let Poll::Ready(line) = self.requests.poll(cx) else { return };
            let (tty, is_closing) = (Arc::clone(&self.tty), Arc::clone(&self.is_closing));
            // The last bit leaves a chip's shift register when its last byte has left the FIFO.
            let out = self.out + time_of(&self.line, 1);
            let is_virtual = self.is_virtual;
            let change = spawn_blocking(move || {
                wait_until_out(&tty, out, &is_closing)
                    .map_err(|e| NotSet::Unknown(e.to_string()))?;
                line::set(&*tty, line, is_virtual).map_err(NotSet::Kept)
            });
            self.change = Some((line, change));
        }
    }

    /// Closes it once what was written is on the wire, or is thrown away. Blocks.
    pub(super) fn close(self) {
        self.is_closing.store(true, Ordering::Relaxed);
        let start = Instant::now();
        // An error means that it is unplugged.
        while let Ok(left @ 1..) = self.port.bytes_to_write() {
            if start.elapsed() >= DRAIN {
                let name = self.port.name().unwrap_or_default();
                tracing::warn!(
                    "{name} does not take the last {left} bytes of commands; they are lost"
                );
                let _ = self.port.clear(ClearBuffer::Output);
                break;
            }
            sleep(PAUSE);
        }
        // Who still waits for its last bit has it open, too.
        let change = self.change.map(|(_, change)| change);
        if let Some(change) = change {
            let _ = Handle::current().block_on(change);
        }
        if let Some(transmission) = self.transmitter.and_then(Transmitter::end) {
            let _ = Handle::current().block_on(transmission);
        }
    }
}

/// How long `n` characters take on the line.
pub(super) fn time_of(line: &Line, n: usize) -> Duration {
    line.time_of(1.0).saturating_mul(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Waits until the last bit of what was written has left: what the kernel holds, then what the chip of
/// an adapter may hold still, for which there is only the line's own time. Blocks.
pub(super) fn wait_until_out(
    tty: &OwnedFd,
    out: Instant,
    is_closing: &AtomicBool,
) -> io::Result<()> {
    tcdrain(tty)?;
    loop {
        let left = out.saturating_duration_since(Instant::now());
        if left.is_zero() || is_closing.load(Ordering::Relaxed) {
            return Ok(());
        }
        sleep(left.min(PAUSE));
    }
}
