//! SOCKS5: RFC 1928, and RFC 1929 for the login.

use super::{ProxyError, ProxyUrl, Target};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xFF;

pub(super) async fn connect(
    stream: &mut TcpStream,
    proxy: &ProxyUrl,
    target: &Target,
) -> Result<(), ProxyError> {
    let with_login = proxy.has_login();
    let greeting: &[u8] = if with_login {
        &[VERSION, 2, NO_LOGIN, USER_AND_PASSWORD]
    } else {
        &[VERSION, 1, NO_LOGIN]
    };
    stream.write_all(greeting).await?;
    stream.flush().await?;
    match read::<2>(stream).await? {
        [VERSION, NO_LOGIN] => {}
        [VERSION, USER_AND_PASSWORD] if with_login => login(stream, proxy).await?,
        [VERSION, NO_METHOD] if with_login => return Err(ProxyError::LoginRefused),
        [VERSION, NO_METHOD | USER_AND_PASSWORD] => return Err(ProxyError::LoginNeeded),
        [VERSION, method] => return protocol(format!("login method {method}")),
        [b'H', _] => return protocol("it speaks HTTP".into()),
        [version, _] => return protocol(format!("version {version}")),
    }
    stream.write_all(&request(target)?).await?;
    stream.flush().await?;
    let [version, reply, _, kind] = read(stream).await?;
    if version != VERSION {
        return protocol(format!("version {version} in the reply"));
    }
    if reply != 0 {
        return Err(ProxyError::Refused(meaning(reply)));
    }
    // The address that the proxy connects from is not used, but its bytes precede the broker's.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(read::<1>(stream).await?[0]),
        kind => return protocol(format!("address type {kind} in the reply")),
    };
    let mut bound = [0; 255 + 2];
    stream.read_exact(&mut bound[..length + 2]).await?;
    Ok(())
}

async fn login(stream: &mut TcpStream, proxy: &ProxyUrl) -> Result<(), ProxyError> {
    let (user, password) = proxy.login();
    let mut bytes = vec![1];
    for text in [user, password] {
        // Parsing checks the length; a `ProxyUrl` that was built by hand may be longer.
        let length = u8::try_from(text.len()).map_err(|_| ProxyError::LoginRefused)?;
        bytes.push(length);
        bytes.extend_from_slice(text);
    }
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    match read::<2>(stream).await? {
        [_, 0] => Ok(()),
        _ => Err(ProxyError::LoginRefused),
    }
}

fn request(target: &Target) -> Result<Vec<u8>, ProxyError> {
    let mut bytes = vec![VERSION, 1, 0];
    let port = match target {
        Target::Address(SocketAddr::V4(address)) => {
            bytes.push(1);
            bytes.extend_from_slice(&address.ip().octets());
            address.port()
        }
        Target::Address(SocketAddr::V6(address)) => {
            bytes.push(4);
            bytes.extend_from_slice(&address.ip().octets());
            address.port()
        }
        Target::Name(host, port) => {
            let too_long = |_| ProxyError::Refused("its name has more than 255 bytes".into());
            bytes.extend_from_slice(&[3, u8::try_from(host.len()).map_err(too_long)?]);
            bytes.extend_from_slice(host.as_bytes());
            *port
        }
    };
    bytes.extend_from_slice(&port.to_be_bytes());
    Ok(bytes)
}

async fn read<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N], ProxyError> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn protocol<T>(what: String) -> Result<T, ProxyError> {
    Err(ProxyError::Protocol(what))
}

/// RFC 1928, section 6.
fn meaning(reply: u8) -> String {
    let known = [
        "general failure",
        "not allowed by its rules",
        "network unreachable",
        "host unreachable",
        "connection refused",
        "time to live expired",
        "command not supported",
        "address type not supported",
    ];
    match known.get(usize::from(reply).wrapping_sub(1)) {
        Some(text) => (*text).to_owned(),
        None => format!("reply {reply}"),
    }
}
