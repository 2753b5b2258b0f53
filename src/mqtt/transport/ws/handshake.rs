//! The opening handshake: RFC 6455, section 4.

use super::WebSocket;
use crate::mqtt::transport::head::{Head, HeadError, printable};
use crate::mqtt::url::BrokerUrl;
use base64ct::{Base64, Encoding};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// Why a broker opened no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The link broke meanwhile.
    #[error("the link broke: {0}")]
    Io(#[from] io::Error),
    /// It does not speak HTTP, or not the WebSocket's way.
    #[error("{0}; is this the port of the broker's WebSocket listener?")]
    Protocol(String),
    /// It wants another path.
    #[error("it has no WebSocket at this path ({status}); most brokers use /mqtt, /ws or /")]
    NotFound {
        /// Status line of the answer.
        status: String,
    },
    /// It does not let us in.
    #[error("it does not let us in ({status}); is there a gateway or a firewall in front of it?")]
    Forbidden {
        /// Status line of the answer.
        status: String,
    },
    /// It is somewhere else.
    #[error("it has moved; write the address it names into `url`: {location}")]
    Redirect {
        /// The address it names.
        location: String,
    },
    /// It answers something else.
    #[error("it refuses the WebSocket: {status}")]
    Refused {
        /// Status line of the answer.
        status: String,
    },
    /// It speaks WebSocket, but not MQTT in it.
    #[error("it speaks WebSocket but no MQTT in it; is the path of the address right?")]
    NoMqtt,
}

/// Asks for a WebSocket that carries MQTT.
pub(in crate::mqtt::transport) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    url: &BrokerUrl,
) -> Result<WebSocket<S>, WebSocketError> {
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
         Sec-WebSocket-Protocol: mqtt\r\n\r\n",
        url.target()
    );
    stream.write_all(request.as_bytes()).await?;
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

/// What a server makes of our key, which shows that it is one for WebSockets.
fn accept(key: &str) -> String {
    const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let text = format!("{key}{MAGIC}");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    Base64::encode_string(digest.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
