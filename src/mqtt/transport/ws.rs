//! MQTT in WebSocket messages: RFC 6455, the client's side, as a stream of bytes.
//!
//! It is our own, because the known libraries gather a whole message: a broker may put any number of
//! packets into one, and a limit on its size would end links that survive MQTT's own limit, which
//! skips packets that are too large. Here payload is passed on as it arrives.

mod frame;
mod handshake;

pub use handshake::WebSocketError;
pub(crate) use handshake::header_fault;
pub(super) use handshake::shake_hands;

use super::Io;
use bytes::{Buf, BytesMut};
use frame::{Event, Reader};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The maximum payload of one frame of ours.
const PAYLOAD: usize = 16 << 10;

/// A WebSocket as a stream of bytes. Both directions belong to one task: reading also writes, to
/// answer pings.
pub(super) struct WebSocket {
    inner: Box<dyn Io>,
    reader: Reader,
    /// Bytes of the stream below that were not parsed yet, at most [`INPUT`].
    input: BytesMut,
    /// Whole frames that the stream below has not accepted yet: at most one data frame, and at most
    /// [`CONTROL`] bytes of control frames.
    output: BytesMut,
    /// The answer to the latest ping, while `output` is full.
    pong: Option<Vec<u8>>,
    /// We have sent a close frame.
    closing: bool,
    /// The broker has, or the stream below has ended.
    closed: bool,
}

const INPUT: usize = 4 << 10;
const CONTROL: usize = 512;

impl WebSocket {
    /// On a stream whose handshake is done.
    fn new(inner: Box<dyn Io>) -> WebSocket {
        WebSocket {
            inner,
            reader: Reader::default(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            pong: None,
            closing: false,
            closed: false,
        }
    }

    /// Writes `output` down until it is empty.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.output.len() < CONTROL
                && let Some(pong) = self.pong.take()
            {
                frame::write(frame::PONG, &pong, &mut self.output)?;
            }
            if self.output.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.output))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.output.advance(n),
            }
        }
    }

    /// Queues a close frame, once.
    fn close(&mut self, code: Option<u16>) -> io::Result<()> {
        if !std::mem::replace(&mut self.closing, true) {
            self.pong = None;
            let code = code.map(u16::to_be_bytes);
            let payload = code.as_ref().map_or(&[][..], |code| code);
            frame::write(frame::CLOSE, payload, &mut self.output)?;
        }
        Ok(())
    }

    /// Does what a control frame asks for. `Some` if it ends the stream.
    fn handle(&mut self, event: Event) -> io::Result<Option<io::Result<()>>> {
        match event {
            Event::Ping(payload) if !self.closing => self.pong = Some(payload),
            Event::Ping(_) | Event::Pong => {}
            Event::Close(code, reason) => {
                self.closed = true;
                self.close(code)?;
                return Ok(Some(frame::ending(code, &reason)));
            }
        }
        Ok(None)
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closed || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            // Answers to the broker's control frames are written even if the caller only reads.
            if (this.pong.is_some() || !this.output.is_empty()) && this.drain(cx)?.is_ready() {
                // TLS may hold back bytes until a later flush.
                let _ = Pin::new(&mut this.inner).poll_flush(cx)?;
            }
            let before = buf.filled().len();
            match this.reader.take(&mut this.input, buf) {
                Ok(Some(event)) => {
                    if let Some(end) = this.handle(event)? {
                        let _ = this.drain(cx)?;
                        return Poll::Ready(end);
                    }
                    continue;
                }
                Ok(None) if buf.filled().len() > before => return Poll::Ready(Ok(())),
                Ok(None) => {}
                Err(why) => {
                    this.closed = true;
                    this.close(Some(frame::PROTOCOL_ERROR))?;
                    let _ = this.drain(cx)?;
                    let what = format!("the broker's WebSocket frames are wrong: {why}");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
            }
            let mut bytes = [0; INPUT];
            let mut below = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut below))?;
            if below.filled().is_empty() {
                this.closed = true;
                return Poll::Ready(if this.reader.is_between_messages() {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                });
            }
            this.input.extend_from_slice(below.filled());
        }
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.drain(cx))?;
        let taken = &bytes[..bytes.len().min(PAYLOAD)];
        frame::write(frame::BINARY, taken, &mut this.output)?;
        // The next write or flush writes the rest.
        let _ = this.drain(cx)?;
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.close(Some(frame::NORMAL))?;
        ready!(this.drain(cx))?;
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
