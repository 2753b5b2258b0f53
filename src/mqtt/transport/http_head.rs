//! The head of an HTTP response, as far as a proxy and a WebSocket need it.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The maximum size of a head in bytes.
const LARGEST: usize = 8 << 10;

/// Status and header lines of a response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    reason: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

/// Why there is no head.
#[derive(Debug)]
pub(super) enum HeadError {
    Io(io::Error),
    Wrong(&'static str),
}

impl Head {
    /// Reads a head and not a byte more, because the bytes after it are the broker's. That takes a
    /// read for each byte, once per connection.
    pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Head, HeadError> {
        let mut bytes = Vec::with_capacity(512);
        while !bytes.ends_with(b"\r\n\r\n") && !bytes.ends_with(b"\n\n") {
            if bytes.len() == LARGEST {
                return Err(HeadError::Wrong("the head of its answer has more than 8 KiB"));
            }
            bytes.push(stream.read_u8().await.map_err(HeadError::Io)?);
            // Anything else may be a stream without an end, of one byte per minute.
            if !b"HTTP/1.".starts_with(&bytes[..bytes.len().min(7)]) {
                return Err(HeadError::Wrong("its answer is no HTTP"));
            }
        }
        Head::parse(&bytes).map_err(HeadError::Wrong)
    }

    fn parse(bytes: &[u8]) -> Result<Head, &'static str> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let mut first = lines.next().unwrap_or_default().splitn(3, ' ').skip(1);
        let status = first.next().filter(|status| status.len() == 3);
        let status = status.and_then(|status| status.parse().ok());
        let status = status.ok_or("its answer has no status")?;
        let reason = first.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or("a header line has no colon")?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Head { status, reason, headers })
    }

    /// The value of the first header of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether a list such as `Connection: keep-alive, Upgrade` contains a word.
    pub(super) fn has(&self, name: &str, word: &str) -> bool {
        let values = self.headers.iter().filter(|(n, _)| n == name);
        let mut words = values.flat_map(|(_, value)| value.split(','));
        words.any(|w| w.trim().eq_ignore_ascii_case(word))
    }

    /// `404 Not Found`, fit to be printed.
    pub(super) fn status_line(&self) -> String {
        format!("{} {}", self.status, printable(&self.reason)).trim_end().to_owned()
    }
}

/// Text from the other side, shortened and without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_and_not_a_byte_more() {
        let mut stream: &[u8] = b"HTTP/1.1 200 \r\nA: b\r\nConnection: x, Upgrade\r\n\r\nrest";
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let head = runtime.block_on(Head::read(&mut stream)).unwrap();
        assert_eq!((head.status, head.get("a")), (200, Some("b")));
        assert!(head.has("connection", "upgrade") && !head.has("connection", "up"));
        assert_eq!(stream, b"rest");
    }

    #[test]
    fn what_is_no_head() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(LARGEST));
        for bad in
            ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "HTTP/1.1 200\r\nx\r\n\r\n", &long, ""]
        {
            assert!(runtime.block_on(Head::read(&mut bad.as_bytes())).is_err(), "{bad}");
        }
    }
}
