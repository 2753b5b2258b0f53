//! The bytes of a serial port behind telnet.

use super::{ComPort, Telnet};
use crate::base::line::Line;
use crate::port::line_change::{LineRequests, NotSet};
use crate::port::line_counts::LineCounts;
use crate::port::tty::time_of;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep_until};

/// How long the other end may take to agree on telnet's options and to set its line.
const SETTLED: Duration = Duration::from_secs(5);

/// While so much waits to be sent, nothing more is read, which might ask for more answers.
const MOST: usize = 4096;

/// At most this many bytes of what a server said are quoted.
const QUOTED: usize = 128;

/// What the log was told of the other end; it is told once.
#[derive(Debug, Default)]
pub(in crate::port) struct Told {
    signature: OnceLock<String>,
    line: OnceLock<String>,
}

#[derive(Debug)]
pub struct TelnetStream {
    tcp: TcpStream,
    /// Its address, for the log.
    name: String,
    telnet: Telnet,
    /// What is to be sent.
    out: Vec<u8>,
    /// What was received and not yet read.
    data: Vec<u8>,
    /// Until then both ends must have agreed; nothing is written before.
    unsettled: Option<Pin<Box<Sleep>>>,
    /// With RFC 2217: the line that holds, and what is asked of it.
    line: Option<Line>,
    requests: Option<LineRequests>,
    change: Option<Change>,
    /// When the last bit of what was written is out, by the line's own time.
    last_bit: Instant,
    counts: watch::Sender<LineCounts>,
    told: Arc<Told>,
}

/// A change of the line.
#[derive(Debug)]
struct Change {
    line: Line,
    /// Until what was written is out; then the other end is asked.
    wait: Option<Pin<Box<Sleep>>>,
}

impl TelnetStream {
    /// With what is to be set and asked at the other end if it speaks RFC 2217. Must be called within a
    /// runtime.
    pub(in crate::port) fn new(
        tcp: TcpStream,
        name: String,
        com_port: Option<(ComPort, LineRequests)>,
        counts: watch::Sender<LineCounts>,
        told: Arc<Told>,
    ) -> TelnetStream {
        let (com_port, requests) = com_port.unzip();
        let line = com_port.as_ref().map(ComPort::line);
        let now = Instant::now();
        TelnetStream {
            tcp,
            name,
            telnet: Telnet::new(com_port),
            out: Vec::new(),
            data: Vec::new(),
            unsettled: Some(Box::pin(sleep_until((now + SETTLED).into()))),
            line,
            requests,
            change: None,
            last_bit: now,
            counts,
            told,
        }
    }

    pub(in crate::port) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.poll_settled(cx)?;
            self.poll_change(cx);
            self.poll_send(cx)?;
            if self.unsettled.is_none() && !self.data.is_empty() {
                let n = self.data.len().min(buf.remaining());
                buf.put_slice(self.data.get(..n).unwrap_or_default());
                self.data.drain(..n);
                return Poll::Ready(Ok(()));
            }
            if self.out.len() > MOST {
                // What can be sent wakes this.
                return Poll::Pending;
            }
            let mut bytes = [0; 1024];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(self.ended());
            }
            self.telnet.receive(read.filled(), &mut self.data);
            if self.unsettled.is_some() {
                self.data.truncate(MOST);
            }
            self.look();
            // A write may wait for what this brought.
            cx.waker().wake_by_ref();
        }
    }

    pub(in crate::port) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx)?;
        let is_suspended = self.telnet.com_port().is_some_and(|com_port| com_port.is_suspended);
        if self.unsettled.is_some() || is_suspended || self.out.len() > MOST {
            // Reading, which the same task does, ends each of these.
            return Poll::Pending;
        }
        let bytes = bytes.get(..MOST).unwrap_or(bytes);
        self.telnet.encode(bytes, &mut self.out);
        if let Some(line) = &self.line {
            self.last_bit = self.last_bit.max(Instant::now()) + time_of(line, bytes.len());
        }
        self.poll_send(cx)?;
        Poll::Ready(Ok(bytes.len()))
    }

    pub(in crate::port) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)?;
        if !self.out.is_empty() {
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// Sends what can be sent now, commands first.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.out.extend(self.telnet.commands());
        while !self.out.is_empty() {
            match Pin::new(&mut self.tcp).poll_write(cx, &self.out) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => drop(self.out.drain(..n)),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends the beginning of the connection, in which nothing is written.
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(until) = &mut self.unsettled else { return Ok(()) };
        if self.telnet.is_settled().map_err(io::Error::other)? {
            self.unsettled = None;
            if let Some(com_port) = self.telnet.com_port() {
                // What came before the line was set is of another speed.
                self.data.clear();
                if let Some(Err(why)) = com_port.outcome()
                    && self.told.line.set(why.clone()).is_ok()
                {
                    tracing::warn!("{}: {why}", self.name);
                }
            }
        } else if until.as_mut().poll(cx).is_ready() {
            let why = "the other end does not answer as telnet does; write its address without \
                       `telnet://` or `rfc2217://` if it is raw TCP";
            return Err(io::Error::other(why));
        }
        Ok(())
    }

    /// Takes a change of the line as far as it comes now.
    fn poll_change(&mut self, cx: &mut Context<'_>) {
        let Some(requests) = &mut self.requests else { return };
        while self.unsettled.is_none() {
            let Some(change) = &mut self.change else {
                let Poll::Ready(line) = requests.poll(cx) else { return };
                let character = self.line.as_ref().map_or(Duration::ZERO, |line| time_of(line, 1));
                let wait = Some(Box::pin(sleep_until((self.last_bit + character).into())));
                self.change = Some(Change { line, wait });
                continue;
            };
            if let Some(wait) = &mut change.wait {
                if wait.as_mut().poll(cx).is_pending() {
                    return;
                }
                change.wait = None;
                self.telnet.set_line(change.line);
            }
            let line = change.line;
            let Some(outcome) = self.telnet.com_port().and_then(|com_port| com_port.outcome())
            else {
                return;
            };
            match (&outcome, self.line) {
                (Ok(()), _) => self.line = Some(line),
                (Err(_), Some(before)) => self.telnet.set_line(before),
                (Err(_), None) => {}
            }
            requests.tell(line, outcome.map_err(NotSet::Kept));
            self.change = None;
        }
    }

    /// Passes on what the other end has said of itself and its line.
    fn look(&mut self) {
        let Some(com_port) = self.telnet.com_port() else { return };
        if let Some(name) = com_port.signature()
            && self.told.signature.set(name.clone()).is_ok()
        {
            tracing::info!("{}: the serial server is {name:?}", self.name);
        }
        let counts = com_port.counts;
        self.counts.send_if_modified(|latest| std::mem::replace(latest, counts) != counts);
    }

    /// The other end closed it: a server that cannot serve says why.
    fn ended(&mut self) -> io::Result<()> {
        if self.unsettled.is_none() {
            return Ok(());
        }
        let words = self.data.get(..QUOTED).unwrap_or(&self.data);
        match String::from_utf8_lossy(words).trim() {
            "" => Ok(()),
            words => Err(io::Error::other(format!("the other end closed it, saying {words:?}"))),
        }
    }
}
