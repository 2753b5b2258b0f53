//! SOCKS5 and HTTP CONNECT: scripted proxies, byte for byte.

use crate::transport::server::{Names, connect, echo, failure, serve, settings, works};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tty2mqtt::mqtt::transport::proxy::ProxyError;
use tty2mqtt::mqtt::transport::{ConnectError, Connector, Settings};

/// A step of a script: what must come, then what is said.
type Step = (&'static [u8], &'static [u8]);

/// Plays a script, one byte at a time, then gives back what comes.
async fn play(mut stream: TcpStream, script: &[Step]) {
    stream.set_nodelay(true).unwrap();
    for (expected, answer) in script {
        let mut bytes = vec![0; expected.len()];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, *expected);
        for byte in *answer {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
    echo(stream).await;
}

async fn scripted(script: &'static [Step]) -> SocketAddr {
    serve(move |stream| play(stream, script)).await
}

fn through(proxy: &str, url: &str) -> Settings {
    let mut settings = settings(url);
    settings.proxy = Some(proxy.parse().unwrap());
    settings
}

const DONE: &[u8] = &[5, 0, 0, 1, 9, 9, 9, 9, 9, 9];

#[tokio::test]
async fn socks5h_hands_the_name_over_with_login() {
    let proxy = scripted(&[
        (&[5, 2, 0, 2], &[5, 2]),
        (b"\x01\x02me\x06geheim", &[1, 0]),
        // The reply carries a name of its own, whose bytes are not the broker's.
        (b"\x05\x01\x00\x03\x0bbroker.test\x07\x5b", b"\x05\x00\x00\x03\x05proxy\x00\x01"),
    ])
    .await;
    let settings = through(&format!("socks5h://me:geheim@{proxy}"), "mqtt://broker.test:1883");
    works(&mut connect(settings).await.unwrap()).await;
}

#[tokio::test]
async fn socks5_looks_the_name_up_and_tries_each_address() {
    let tried = Arc::new(AtomicUsize::new(0));
    let counter = tried.clone();
    let proxy = serve(move |stream| {
        const REFUSED: &[Step] = &[
            (&[5, 1, 0], &[5, 0]),
            (
                &[5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 91],
                &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0],
            ),
        ];
        const TAKEN: &[Step] = &[(&[5, 1, 0], &[5, 0]), (&[5, 1, 0, 1, 192, 0, 2, 7, 7, 91], DONE)];
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        play(stream, if first { REFUSED } else { TAKEN })
    })
    .await;
    let names = Names::new(&[
        ("broker", &["[::7]:1883".parse().unwrap(), "192.0.2.7:1883".parse().unwrap()]),
        ("proxy", &[proxy]),
    ]);
    let settings = through("socks5://proxy", "mqtt://broker");
    let mut connector = Connector::with_environment(settings, names.environment()).unwrap();
    works(&mut connector.connect(&mut |_| ()).await.unwrap()).await;
    assert_eq!(tried.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_address_is_handed_over_as_one() {
    for kind in ["socks5", "socks5h"] {
        let proxy =
            scripted(&[(&[5, 1, 0], &[5, 0]), (&[5, 1, 0, 1, 192, 0, 2, 1, 0, 9], DONE)]).await;
        let settings = through(&format!("{kind}://{proxy}"), "mqtt://192.0.2.1:9");
        works(&mut connect(settings).await.unwrap()).await;
    }
}

#[tokio::test]
async fn what_a_socks_proxy_may_answer() {
    let refusals: &[(&'static [Step], &str, &str)] = &[
        (&[(&[5, 1, 0], &[5, 0xFF])], "", "wants a login"),
        (&[(&[5, 1, 0], &[5, 2])], "", "wants a login"),
        (&[(&[5, 2, 0, 2], &[5, 0xFF])], "a:b@", "does not take this user and password"),
        (&[(&[5, 2, 0, 2], &[5, 2]), (b"\x01\x01a\x01b", &[1, 1])], "a:b@", "does not take"),
        (&[(&[5, 1, 0], &[5, 1])], "", "login method 1"),
        (&[(&[5, 1, 0], &[4, 0])], "", "version 4"),
        (&[(&[5, 1, 0], b"HTTP/1.1 400 Bad Request\r\n\r\n")], "", "it speaks HTTP"),
        (&[(&[5, 1, 0], &[5, 0]), (&[5, 1, 0, 3], &[5, 5, 0, 1])], "", "connection refused"),
        (&[(&[5, 1, 0], &[5, 0]), (&[5, 1, 0, 3], &[5, 2, 0, 1])], "", "not allowed by its rules"),
        (&[(&[5, 1, 0], &[5, 0]), (&[5, 1, 0, 3], &[5, 77, 0, 1])], "", "reply 77"),
        (&[(&[5, 1, 0], &[5, 0]), (&[5, 1, 0, 3], &[5, 0, 0, 9])], "", "address type 9"),
    ];
    for (script, login, expected) in refusals {
        let proxy = scripted(script).await;
        let error = failure(through(&format!("socks5h://{login}{proxy}"), "mqtt://broker")).await;
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with("proxy socks5h://"), "{error}");
    }
    // Gone in the middle.
    let proxy = serve(async |mut stream: TcpStream| stream.write_all(&[5]).await.unwrap()).await;
    let error = connect(through(&format!("socks5h://{proxy}"), "mqtt://b")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy { source: ProxyError::Io(_), .. }), "{error}");
}

#[tokio::test]
async fn http_connect_with_login() {
    let proxy = scripted(&[(
        b"CONNECT broker.test:8883 HTTP/1.1\r\nHost: broker.test:8883\r\n\
          Proxy-Authorization: Basic bWU6Z2VoZWlt\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n",
    )])
    .await;
    let settings = through(&format!("http://me:geheim@{proxy}"), "mqtt://broker.test:8883");
    works(&mut connect(settings).await.unwrap()).await;
}

#[tokio::test]
async fn what_follows_the_answer_of_a_proxy_is_the_brokers() {
    let proxy = serve(async |mut stream: TcpStream| {
        let request = crate::transport::server::read_until(&mut stream, "\r\n\r\n").await;
        assert_eq!(request, "CONNECT [::7]:1883 HTTP/1.1\r\nHost: [::7]:1883\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        echo(stream).await;
    })
    .await;
    let mut stream = connect(through(&format!("http://{proxy}"), "mqtt://[::7]")).await.unwrap();
    let mut bytes = [0; 5];
    stream.io.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
}

#[tokio::test]
async fn what_an_http_proxy_may_answer() {
    let refusals: &[(&'static [u8], &str, &str)] = &[
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "", "wants a login"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "a:b@", "does not take this user"),
        (b"HTTP/1.1 403 \x1b[31mForbidden\r\n\r\n", "", "403 [31mForbidden"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "", "could not connect to the broker: 502"),
        (b"SSH-2.0-OpenSSH\r\n", "", "its answer is no HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "", "no status"),
    ];
    for (answer, login, expected) in refusals {
        let proxy = serve(move |mut stream: TcpStream| async move {
            crate::transport::server::read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(answer).await.unwrap();
            echo(stream).await;
        })
        .await;
        let error = failure(through(&format!("http://{login}{proxy}"), "mqtt://broker")).await;
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\x1b'));
    }
}

/// A proxy that really leads somewhere.
pub async fn http_proxy(to: SocketAddr) -> SocketAddr {
    serve(move |mut stream: TcpStream| async move {
        crate::transport::server::read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut broker = TcpStream::connect(to).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut broker).await;
    })
    .await
}
