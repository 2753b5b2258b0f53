//! The direction of an RS-485 line: switched by the driver, or by us with RTS around each write.

use super::system_calls;
use super::tty::{time_of, wait_until_out};
use crate::base::line::Line;
use crate::base::scalar::Span;
use rustix::io::Errno;
use serde::Deserialize;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, spawn_blocking};

/// Who switches the transmitter of an RS-485 line on and off.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Rs485 {
    /// The adapter itself, as nearly all USB adapters do; or it is RS-232.
    #[default]
    None,
    /// The driver of a UART, with RTS (Linux: TIOCSRS485). Delays and polarity of the device tree hold;
    /// where it says nothing, RTS is on while sending.
    Kernel,
    /// The gateway, with RTS: on while sending. For drivers that cannot do it themselves.
    Rts(RtsDelays),
}

/// Delays of RTS around a write.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RtsDelays {
    /// From RTS on to the first bit, at most 100ms. Default: 0s.
    pub before: Span,
    /// From the last bit to RTS off, at most 100ms. Default: 0s.
    pub after: Span,
}

impl Default for RtsDelays {
    fn default() -> RtsDelays {
        RtsDelays { before: Span::from_secs(0), after: Span::from_secs(0) }
    }
}

/// Longest delay.
pub const LONGEST: Span = Span::from_millis(100);

/// How long a tty may take no byte.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How often a tty whose buffer is full is asked again.
const PAUSE: Duration = Duration::from_millis(1);

// From linux/serial.h.
const SER_RS485_ENABLED: u32 = 1;
const SER_RS485_RTS_ON_SEND: u32 = 1 << 1;
const SER_RS485_RTS_AFTER_SEND: u32 = 1 << 2;

/// What the driver is asked, after what it has from the device tree.
fn enabled(mut of_device_tree: system_calls::Rs485) -> system_calls::Rs485 {
    let [flags, ..] = &mut of_device_tree;
    if *flags & (SER_RS485_RTS_ON_SEND | SER_RS485_RTS_AFTER_SEND) == 0 {
        *flags |= SER_RS485_RTS_ON_SEND;
    }
    *flags |= SER_RS485_ENABLED;
    of_device_tree
}

/// Prepares a tty. `Err`: the driver cannot do it, and why.
pub(super) fn set_up(tty: impl AsFd, wanted: Rs485) -> Result<Option<Transmitter>, String> {
    match wanted {
        Rs485::None => Ok(None),
        Rs485::Kernel => {
            let remedy = "its driver has no RS-485 mode; try `rs485: rts`, or `none` if the adapter \
                          switches by itself";
            let failed = |e: Errno| match e {
                Errno::NOTTY | Errno::INVAL | Errno::OPNOTSUPP => remedy.to_owned(),
                other => io::Error::from(other).to_string(),
            };
            let mut settings = enabled(system_calls::rs485(&tty).map_err(failed)?);
            system_calls::set_rs485(&tty, &mut settings).map_err(failed)?;
            match settings {
                [flags, ..] if flags & SER_RS485_ENABLED != 0 => Ok(None),
                _ => Err(remedy.into()),
            }
        }
        Rs485::Rts(delays) => {
            // The line is free for others.
            system_calls::set_rts(&tty, false)
                .map_err(|e| format!("its driver cannot switch RTS: {}", io::Error::from(e)))?;
            Ok(Some(Transmitter { delays, sending: None }))
        }
    }
}

/// Writes with RTS on.
#[derive(Debug)]
pub(super) struct Transmitter {
    delays: RtsDelays,
    /// What is being written.
    sending: Option<(Vec<u8>, JoinHandle<io::Result<()>>)>,
}

impl Transmitter {
    /// Ready when all bytes are out and RTS is off.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        tty: &Arc<OwnedFd>,
        line: &Line,
        is_closing: &Arc<AtomicBool>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some((_, sending)) = &mut self.sending {
                let result = ready!(Pin::new(sending).poll(cx));
                let sent = self.sending.take().map(|(sent, _)| sent).unwrap_or_default();
                result.map_err(io::Error::from)??;
                if bytes.starts_with(&sent) {
                    return Poll::Ready(Ok(sent.len()));
                }
                // Nobody waits for that write any more.
            }
            let (delays, on_line) = (self.delays, time_of(line, bytes.len()));
            let sending = bytes.to_vec();
            let mut tty = Direction { tty: Arc::clone(tty), is_closing: Arc::clone(is_closing) };
            let written = sending.clone();
            let job = spawn_blocking(move || send(&mut tty, &written, delays, on_line));
            self.sending = Some((sending, job));
        }
    }

    /// What is to be waited for before the tty is closed.
    pub(super) fn end(self) -> Option<JoinHandle<io::Result<()>>> {
        self.sending.map(|(_, sending)| sending)
    }
}

/// What a transmission does to a line: a tty's, or one that a test records.
trait HalfDuplex {
    fn rts(&mut self, on: bool) -> io::Result<()>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits until the last bit is out, which takes this time at least from `since` on.
    fn wait_until_out(&mut self, since: Instant, on_line: Duration) -> io::Result<()>;
    fn pause(&mut self, time: Duration);
}

fn send(
    line: &mut impl HalfDuplex,
    bytes: &[u8],
    delays: RtsDelays,
    on_line: Duration,
) -> io::Result<()> {
    line.rts(true)?;
    line.pause(delays.before.duration());
    let since = Instant::now();
    let sent = line.write(bytes).and_then(|()| line.wait_until_out(since, on_line));
    line.pause(delays.after.duration());
    // Whatever became of the write, others must be able to talk.
    line.rts(false)?;
    sent
}

struct Direction {
    tty: Arc<OwnedFd>,
    is_closing: Arc<AtomicBool>,
}

impl HalfDuplex for Direction {
    fn rts(&mut self, on: bool) -> io::Result<()> {
        Ok(system_calls::set_rts(&*self.tty, on)?)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut due = Instant::now() + WRITE_DEADLINE;
        while !bytes.is_empty() {
            match rustix::io::write(&*self.tty, bytes) {
                Err(Errno::AGAIN) if self.is_closing.load(Ordering::Relaxed) => {
                    return Err(Errno::CANCELED.into());
                }
                Err(Errno::AGAIN) if Instant::now() < due => sleep(PAUSE),
                Err(error) => return Err(error.into()),
                Ok(n) => {
                    bytes = bytes.get(n..).unwrap_or_default();
                    due = Instant::now() + WRITE_DEADLINE;
                }
            }
        }
        Ok(())
    }

    fn wait_until_out(&mut self, since: Instant, on_line: Duration) -> io::Result<()> {
        wait_until_out(&self.tty, since + on_line, &self.is_closing)
    }

    fn pause(&mut self, time: Duration) {
        if !time.is_zero() {
            sleep(time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down what would be asked of the kernel.
    #[derive(Default)]
    struct Recorded {
        asked: Vec<String>,
        is_unplugged: bool,
    }

    impl HalfDuplex for Recorded {
        fn rts(&mut self, on: bool) -> io::Result<()> {
            self.asked.push(format!("RTS {on}"));
            Ok(())
        }
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.asked.push(format!("write {}", bytes.escape_ascii()));
            if self.is_unplugged { Err(Errno::IO.into()) } else { Ok(()) }
        }
        fn wait_until_out(&mut self, _: Instant, on_line: Duration) -> io::Result<()> {
            self.asked.push(format!("drain {on_line:?}"));
            Ok(())
        }
        fn pause(&mut self, time: Duration) {
            self.asked.push(format!("pause {time:?}"));
        }
    }

    fn delays(before: u64, after: u64) -> RtsDelays {
        RtsDelays { before: Span::from_millis(before), after: Span::from_millis(after) }
    }

    #[test]
    fn rts_is_on_from_before_the_first_bit_until_after_the_last() {
        let mut line = Recorded::default();
        send(&mut line, b"abc", delays(1, 2), Duration::from_millis(3)).unwrap();
        assert_eq!(
            line.asked,
            ["RTS true", "pause 1ms", "write abc", "drain 3ms", "pause 2ms", "RTS false"]
        );
    }

    #[test]
    fn a_write_that_fails_leaves_the_line_to_others() {
        let mut line = Recorded { is_unplugged: true, ..Recorded::default() };
        assert!(send(&mut line, b"a", delays(0, 0), Duration::ZERO).is_err());
        assert_eq!(line.asked.last().map(String::as_str), Some("RTS false"));
    }

    #[test]
    fn the_kernels_mode_keeps_what_the_device_tree_says() {
        assert_eq!(enabled([0; 8]), [0b11, 0, 0, 0, 0, 0, 0, 0]);
        // RTS low while sending, delays in milliseconds.
        assert_eq!(enabled([0b100, 1, 2, 0, 0, 0, 0, 0]), [0b101, 1, 2, 0, 0, 0, 0, 0]);
        assert_eq!(enabled([0b1_0010, 5, 0, 0, 0, 0, 0, 0]), [0b1_0011, 5, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_driver_that_cannot_do_it_says_so() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(set_up(&file, Rs485::None).unwrap().is_none());
        let why = set_up(&file, Rs485::Kernel).unwrap_err();
        assert!(why.contains("no RS-485 mode"), "{why}");
        let why = set_up(&file, Rs485::Rts(RtsDelays::default())).unwrap_err();
        assert!(why.contains("cannot switch RTS"), "{why}");
    }
}
