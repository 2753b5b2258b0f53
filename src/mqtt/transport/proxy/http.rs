//! HTTP CONNECT: RFC 9110, section 9.3.6, login by RFC 7617.

use super::{ProxyError, ProxyUrl, Target};
use crate::mqtt::transport::http_head::{Head, HeadError};
use base64ct::{Base64, Encoding};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

pub(super) async fn connect(
    stream: &mut TcpStream,
    proxy: &ProxyUrl,
    target: &Target,
) -> Result<(), ProxyError> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if proxy.has_login() {
        let (user, password) = proxy.login();
        let login = Base64::encode_string(&[user, b":", password].concat());
        request += &format!("Proxy-Authorization: Basic {login}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let head = Head::read(stream).await.map_err(|error| match error {
        HeadError::Io(error) => ProxyError::Io(error),
        HeadError::Wrong(why) => ProxyError::Protocol(why.into()),
    })?;
    match head.status {
        200..=299 => Ok(()),
        407 if proxy.has_login() => Err(ProxyError::LoginRefused),
        407 => Err(ProxyError::LoginNeeded),
        _ => Err(ProxyError::Refused(head.status_line())),
    }
}
