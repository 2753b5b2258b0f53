//! An open port without a task of its own, for commands that read and write it by themselves.

use super::line_change::LineSetter;
use super::line_counts::LineCounts;
use super::marks::{Marks, Piece as Marked};
use super::open::{LinkKind, OpenError, Opened, Opener};
use super::settings::Port;
use super::stream::Stream;
use crate::base::line::Line;
use crate::device::READ;
use crate::device::capture::Piece;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

#[derive(Debug)]
pub struct BarePort {
    /// Its path or address.
    pub device: String,
    stream: Stream,
    /// The state of the marks, on a tty that has them.
    marks: Option<Marks>,
    counts: Option<watch::Receiver<LineCounts>>,
    setter: LineSetter,
    buffer: Vec<u8>,
}

impl BarePort {
    /// Opens a port as the gateway does: one that another program has open is refused.
    pub async fn open(port: &Port) -> Result<BarePort, OpenError> {
        let opened = Opener::new(port.clone()).open().await?;
        let Opened { stream, device, link, line_counts: counts, setter } = opened;
        let marks = (link == LinkKind::MarkedTty).then(Marks::default);
        Ok(BarePort { device, stream, marks, counts, setter, buffer: vec![0; READ] })
    }

    /// What comes next, good and damaged bytes apart. Cancel-safe.
    pub async fn read(&mut self) -> io::Result<Vec<Piece>> {
        let n = self.stream.read(&mut self.buffer).await?;
        let mut read = self.buffer.get(..n).unwrap_or_default();
        if read.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was unplugged or closed"));
        }
        let mut pieces = Vec::new();
        let Some(marks) = &mut self.marks else {
            push(&mut pieces, read, false);
            return Ok(pieces);
        };
        while let Some(piece) = marks.next(&mut read) {
            match piece {
                Marked::Good(bytes) => push(&mut pieces, bytes, false),
                Marked::Damaged(bytes) => push(&mut pieces, bytes, true),
            }
        }
        Ok(pieces)
    }

    /// Line errors since the port was opened, if the driver counts them.
    pub(crate) fn counts(&self) -> Option<LineCounts> {
        self.counts.as_ref().map(|counts| *counts.borrow())
    }

    /// Changes speed and format. What comes meanwhile is dropped: it may be of either.
    pub(crate) async fn set(&mut self, line: Line) -> Result<(), String> {
        self.setter.ask(line);
        self.marks = self.marks.map(|_| Marks::default());
        loop {
            tokio::select! {
                (_, outcome) = self.setter.outcome() => return outcome.map_err(|why| why.to_string()),
                // The stream changes the line while it is read.
                read = self.stream.read(&mut self.buffer) => if !matches!(read, Ok(n) if n > 0) {
                    return Err("it was unplugged or closed".into());
                },
            }
        }
    }

    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits until what was written is out, for a second at most.
    pub async fn close(mut self) {
        // What is wrong with the port was said by a read or a write.
        let _ = self.stream.shutdown().await;
    }
}

/// Good bytes with marks between them are joined.
fn push(pieces: &mut Vec<Piece>, bytes: &[u8], is_damaged: bool) {
    match pieces.last_mut() {
        _ if bytes.is_empty() => {}
        Some(last) if last.is_damaged == is_damaged => last.bytes.extend_from_slice(bytes),
        _ => pieces.push(Piece { bytes: bytes.to_vec(), is_damaged }),
    }
}
