//! An open port without a task of its own, for commands that read and write it by themselves.

use super::marks::{Marks, Piece};
use super::open::{LinkKind, OpenError, Opened, Opener};
use super::settings::Port;
use super::stream::Stream;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Debug)]
pub struct BarePort {
    stream: Stream,
    /// The state of the marks, on a tty that has them.
    marks: Option<Marks>,
}

impl BarePort {
    pub async fn open(port: &Port) -> Result<BarePort, OpenError> {
        let Opened { stream, link, .. } = Opener::new(port.clone()).open().await?;
        let marks = (link == LinkKind::MarkedTty).then(Marks::default);
        Ok(BarePort { stream, marks })
    }

    /// Appends what comes next. Returns how many of these bytes the driver says are damaged. Cancel-safe.
    pub async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let mut buffer = [0; 512];
        let n = self.stream.read(&mut buffer).await?;
        let mut read = buffer.get(..n).unwrap_or_default();
        if read.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was unplugged or closed"));
        }
        let Some(marks) = &mut self.marks else {
            into.extend_from_slice(read);
            return Ok(0);
        };
        let mut all_damaged = 0;
        while let Some(piece) = marks.next(&mut read) {
            match piece {
                Piece::Good(bytes) => into.extend_from_slice(bytes),
                Piece::Damaged(bytes) => {
                    into.extend_from_slice(bytes);
                    all_damaged += bytes.len();
                }
            }
        }
        Ok(all_damaged)
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
