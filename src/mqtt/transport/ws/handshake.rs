//! The opening handshake: RFC 6455, section 4.

use super::WebSocket;
use crate::base::secret::Secret;
use crate::mqtt::transport::Io;
use crate::mqtt::transport::http_head::{Head, HeadError, printable};
use crate::mqtt::url::BrokerUrl;
use base64ct::{Base64, Encoding};
use std::collections::BTreeMap;
use std::io;
use tokio::io::AsyncWriteExt;

/// Why the opening handshake failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts of `error` say what each one is")]
pub enum WebSocketError {
    #[error("the link broke: {0}")]
    Io(#[from] io::Error),
    #[error("{0}; is this the port of the broker's WebSocket listener?")]
    Protocol(String),
    #[error("it has no WebSocket at this path ({status}); most brokers use /mqtt, /ws or /")]
    NotFound { status: String },
    #[error("it does not let us in ({status}); is there a gateway or a firewall in front of it?")]
    Forbidden { status: String },
    #[error("it has moved; write the address it names into `url`: {location}")]
    Redirect { location: String },
    #[error("it refuses the WebSocket: {status}")]
    Refused { status: String },
    #[error("the header {name:?}: {why}")]
    Header { name: String, why: &'static str },
    #[error("it speaks WebSocket but no MQTT in it; is the path of the address right?")]
    NoMqtt,
}

/// What is wrong with a header line (RFC 9110, 5.1 and 5.5), and the remedy: a header that we send
/// ourselves, an invalid name, or a value that would end the line.
pub(crate) fn header_fault(name: &str, value: &[u8]) -> Option<[&'static str; 2]> {
    const OURS: [&str; 5] =
        ["host", "upgrade", "connection", "content-length", "transfer-encoding"];
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token) {
        Some(["this is not a valid header name", "it has letters, digits and hyphens"])
    } else if OURS.contains(&&*lower) || lower.starts_with("sec-websocket-") {
        Some(["the WebSocket's request has this header already", "leave it out"])
    } else if !value.iter().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
        Some(["its value has a character that is not printable ASCII", "remove it"])
    } else {
        None
    }
}

/// Asks for a WebSocket that carries MQTT.
pub(in crate::mqtt::transport) async fn shake_hands(
    mut stream: Box<dyn Io>,
    url: &BrokerUrl,
    headers: &BTreeMap<String, Secret>,
) -> Result<WebSocket, WebSocketError> {
    let mut more = Vec::new();
    for (name, value) in headers {
        if let Some([why, _]) = header_fault(name, value.reveal()) {
            return Err(WebSocketError::Header { name: name.clone(), why });
        }
        for part in [name.as_bytes(), b": ", value.reveal(), b"\r\n"] {
            more.extend_from_slice(part);
        }
    }
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let key = Base64::encode_string(&nonce);
    let host = if url.port == url.scheme.default_port() {
        let authority = url.authority();
        authority.rsplit_once(':').map_or(authority.clone(), |(host, _)| host.to_owned())
    } else {
        url.authority()
    };
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n",
        url.target()
    );
    let request = [request.as_bytes(), &more, b"\r\n"].concat();
    stream.write_all(&request).await?;
    stream.flush().await?;
    let head = Head::read(&mut stream).await.map_err(|error| match error {
        HeadError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            WebSocketError::Protocol("it closed the link without an answer".into())
        }
        HeadError::Io(error) => WebSocketError::Io(error),
        HeadError::Wrong(why) => WebSocketError::Protocol(why.into()),
    })?;
    judge(&head, &key)?;
    Ok(WebSocket::new(stream))
}

fn judge(head: &Head, key: &str) -> Result<(), WebSocketError> {
    let status = || head.status_line();
    match head.status {
        101 => {}
        404 | 405 | 410 => return Err(WebSocketError::NotFound { status: status() }),
        401 | 403 | 407 => return Err(WebSocketError::Forbidden { status: status() }),
        300..=399 => {
            let location = printable(head.get("location").unwrap_or("(none)"));
            // It may carry a signature, as ours may.
            let location = location.split('?').next().unwrap_or_default().to_owned();
            return Err(WebSocketError::Redirect { location });
        }
        200..=299 => return Err(WebSocketError::Protocol("it is a plain web server".into())),
        _ => return Err(WebSocketError::Refused { status: status() }),
    }
    let wrong = |what: &str| Err(WebSocketError::Protocol(what.into()));
    if !head.has("upgrade", "websocket") || !head.has("connection", "upgrade") {
        return wrong("it switches to something else than WebSocket");
    }
    if head.get("sec-websocket-accept") != Some(accept(key).as_str()) {
        return wrong("its Sec-WebSocket-Accept is not the answer to our key");
    }
    if head.get("sec-websocket-extensions").is_some_and(|value| !value.is_empty()) {
        return wrong("it uses an extension that we did not offer");
    }
    if head.get("sec-websocket-protocol") != Some("mqtt") {
        return Err(WebSocketError::NoMqtt);
    }
    Ok(())
}

/// The answer to our key, which proves that the server speaks WebSocket.
fn accept(key: &str) -> String {
    const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let text = format!("{key}{MAGIC}");
    Base64::encode_string(&sha1(text.as_bytes()))
}

/// SHA-1 (RFC 3174), because builds without TLS have no library for it. Nothing secret depends on it.
fn sha1(text: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let mut padded = text.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - text.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let end = padded.len() - 8;
    padded[end..].copy_from_slice(&(8 * text.len() as u64).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut w = [0_u32; 80];
        for (word, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for t in 16..80 {
            w[t] = (w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (t, word) in w.iter().enumerate() {
            let (f, k) = match t / 20 {
                0 => (b & c | !b & d, 0x5A82_7999),
                1 => (b ^ c ^ d, 0x6ED9_EBA1),
                2 => (b & c | b & d | c & d, 0x8F1B_BCDC),
                _ => (b ^ c ^ d, 0xCA62_C1D6),
            };
            let next = [a.rotate_left(5), f, e, k, *word].into_iter().fold(0, u32::wrapping_add);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (old, new) in state.iter_mut().zip([a, b, c, d, e]) {
            *old = old.wrapping_add(new);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn it_is_sha_1_at_every_length() {
        for n in 0..200 {
            let text = vec![n as u8; n];
            let ring = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
            assert_eq!(sha1(&text), ring.as_ref(), "{n}");
        }
    }
}
