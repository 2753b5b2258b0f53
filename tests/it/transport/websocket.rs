//! WebSocket: a server of frames written by hand.

use crate::transport::server::{connect, echo, failure, read_until, serve, settings, works};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tty2mqtt::mqtt::transport::Stream;

/// A frame as a server sends it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        n @ 0..=125 => bytes.push(n as u8),
        n @ 126..=0xFFFF => {
            bytes.push(126);
            bytes.extend((n as u16).to_be_bytes());
        }
        n => {
            bytes.push(127);
            bytes.extend((n as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// Opcode and payload of a client's frame, which must be masked; and the mask.
pub async fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>, [u8; 4])> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.ok()?;
    assert_eq!(head[1] & 0x80, 0x80, "a client's frame is masked");
    let length = match head[1] & 0x7F {
        126 => stream.read_u16().await.unwrap().into(),
        127 => stream.read_u64().await.unwrap(),
        short => u64::from(short),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await.unwrap();
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    for (n, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[n % 4];
    }
    Some((head[0], payload, mask))
}

/// The answer to a key, by the text of RFC 6455.
fn accept(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let mut child = std::process::Command::new("base64")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), sum.as_ref()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

pub async fn shake_hands(stream: &mut TcpStream) -> String {
    let request = read_until(stream, "\r\n\r\n").await;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        accept(&request)
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

/// Shakes hands, says all of `bytes` in writes of `size`, then notes what frames come back.
async fn says(
    bytes: Vec<u8>,
    size: usize,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<(u8, Vec<u8>)>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |mut stream: TcpStream| {
        let (bytes, sender) = (bytes.clone(), sender.clone());
        async move {
            stream.set_nodelay(true).unwrap();
            shake_hands(&mut stream).await;
            for part in bytes.chunks(size) {
                if stream.write_all(part).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            while let Some((first, payload, _)) = read_frame(&mut stream).await {
                let _ = sender.send((first, payload));
            }
        }
    })
    .await;
    (address, receiver)
}

async fn open(address: SocketAddr) -> Stream {
    connect(settings(&format!("ws://{address}/mqtt"))).await.unwrap()
}

#[tokio::test]
async fn the_request_and_masked_frames_both_ways() {
    let (sender, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |mut stream: TcpStream| {
        let sender = sender.clone();
        async move {
            sender.send(shake_hands(&mut stream).await).unwrap();
            let mut masks = Vec::new();
            while let Some((first, payload, mask)) = read_frame(&mut stream).await {
                assert_eq!(first, 0x82);
                assert!(!masks.contains(&mask), "each frame has a mask of its own");
                masks.push(mask);
                stream.write_all(&frame(0x82, &payload)).await.unwrap();
            }
        }
    })
    .await;
    let url = format!("ws://me:geheim@{address}/a%20b?token=x");
    let mut settings = settings(&url);
    let headers = [("Authorization", "Bearer a.b-c"), ("X-Site", "")];
    let header = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned().into());
    settings.headers = headers.map(header).into();
    assert!(!format!("{settings:?}").contains("a.b-c"), "values are secrets");
    let mut stream = connect(settings.clone()).await.unwrap();
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with(&format!("GET /a%20b?token=x HTTP/1.1\r\nHost: {address}\r\n")));
    assert!(request.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "{request}");
    assert!(!request.contains("geheim"), "the login is MQTT's");
    let lines = "\r\nAuthorization: Bearer a.b-c\r\nX-Site: \r\n\r\n";
    assert!(request.ends_with(lines), "{request}");
    for (name, value) in [
        ("X", "a\r\nHost: other"),
        ("X", "a\0"),
        ("X", "ü"),
        ("X Y", ""),
        ("", ""),
        ("hOST", "other"),
        ("Sec-WebSocket-Protocol", "other"),
    ] {
        let mut settings = settings.clone();
        settings.headers = [header((name, value))].into();
        let error = connect(settings).await.unwrap_err().to_string();
        assert!(error.contains("header"), "{name} {value}: {error}");
    }
    assert!(requests.try_recv().is_err(), "none of these was sent");
    works(&mut stream).await;
    works(&mut stream).await;
    // Every size of a length, and more than a frame of ours holds.
    for size in [1, 125, 126, 65_535, 65_536, 200_000] {
        let sent: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let (mut reader, mut writer) = tokio::io::split(&mut stream.io);
        let mut back = vec![0; size];
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.flush().await.unwrap();
        };
        tokio::join!(write, async { reader.read_exact(&mut back).await.unwrap() });
        assert!(sent == back);
    }
}

#[tokio::test]
async fn fragments_pings_and_the_end_at_any_split() {
    let parts = [
        frame(0x02, b"frag"),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x8A, b"unasked"),
        frame(0x80, b"ments"),
        frame(0x82, b""),
        frame(0x82, &[7; 300]),
        frame(0x82, &[8; 70_000]),
        frame(0x88, &[0x03, 0xE8]),
    ]
    .concat();
    for size in [1, 2, 3, 7, 4096, parts.len()] {
        let (address, mut frames) = says(parts.clone(), size).await;
        let mut stream = open(address).await;
        let mut all = Vec::new();
        stream.io.read_to_end(&mut all).await.unwrap();
        assert_eq!(all[..9], *b"fragments");
        assert_eq!(all[9..], [vec![7; 300], vec![8; 70_000]].concat());
        assert_eq!(frames.recv().await.unwrap(), (0x8A, b"are you there".to_vec()), "by {size}");
        assert_eq!(frames.recv().await.unwrap(), (0x88, vec![0x03, 0xE8]));
        // The end stays the end.
        assert_eq!(stream.io.read(&mut [0; 9]).await.unwrap(), 0);
        assert!(stream.io.write(b"x").await.is_err());
    }
}

#[tokio::test]
async fn a_close_of_ours_is_said() {
    let (address, mut frames) = says(Vec::new(), 1).await;
    let mut stream = open(address).await;
    stream.io.write_all(b"bye").await.unwrap();
    stream.io.shutdown().await.unwrap();
    assert_eq!(frames.recv().await.unwrap(), (0x82, b"bye".to_vec()));
    assert_eq!(frames.recv().await.unwrap(), (0x88, 1000u16.to_be_bytes().to_vec()));
}

#[tokio::test]
async fn a_broker_that_closes_with_a_complaint() {
    let complaint = [&[0x03, 0xF0][..], b"not \x1b for you"].concat();
    let (address, _frames) = says(frame(0x88, &complaint), 100).await;
    let error = open(address).await.io.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(error.to_string(), "the broker closed the WebSocket with code 1008: not  for you");
    // Gone in the middle of a message.
    let address = serve(async |mut stream: TcpStream| {
        shake_hands(&mut stream).await;
        stream.write_all(&frame(0x02, b"x")).await.unwrap();
    })
    .await;
    let mut stream = open(address).await;
    assert_eq!(stream.io.read_u8().await.unwrap(), b'x');
    let error = stream.io.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn wrong_frames_end_the_link_with_code_1002() {
    for (bytes, why) in [
        (frame(0x81, b"text"), "text message"),
        (frame(0xC2, b"x"), "reserved bit"),
        (frame(0x83, b"x"), "unknown opcode"),
        (frame(0x80, b"x"), "out of order"),
        ([frame(0x02, b"x"), frame(0x82, b"x")].concat(), "out of order"),
        (frame(0x09, b"x"), "fragmented"),
        (vec![0x89, 126], "longer than 125"),
        (vec![0x82, 0x81, 1, 2, 3, 4, 5], "masked"),
        (vec![0x82, 126, 0, 125], "length"),
        (vec![0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "length"),
        (vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], "length"),
        (frame(0x88, &[3]), "half a close code"),
        (frame(0x88, &[3, 0xED]), "invalid close code"),
    ] {
        let (address, mut frames) = says(bytes, 1000).await;
        let mut stream = open(address).await;
        let error = loop {
            match stream.io.read(&mut [0; 9]).await {
                Ok(0) => panic!("{why}: the end"),
                Ok(_) => {}
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains(why), "{error}");
        assert_eq!(frames.recv().await.unwrap(), (0x88, 1002u16.to_be_bytes().to_vec()), "{why}");
    }
}

#[tokio::test]
async fn what_a_server_may_answer_instead() {
    for (answer, expected) in [
        ("HTTP/1.1 404 Not Found", "most brokers use /mqtt"),
        ("HTTP/1.1 401 Unauthorized", "does not let us in (401 Unauthorized)"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: wss://x/y?secret",
            "write the address it names into `url`: wss://x/y",
        ),
        ("HTTP/1.1 200 OK", "it is a plain web server"),
        ("HTTP/1.1 503 Busy", "refuses the WebSocket: 503 Busy"),
        ("HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade", "something else than WebSocket"),
        ("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade", "Sec-WebSocket-Accept"),
        ("\x20\x02\x00\x00", "its answer is no HTTP"),
    ] {
        let address = serve(move |mut stream: TcpStream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(format!("{answer}\r\n\r\n").as_bytes()).await.unwrap();
            echo(stream).await;
        })
        .await;
        let error = failure(settings(&format!("ws://{address}"))).await;
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with("WebSocket with 127.0.0.1: ") && !error.contains("secret"));
    }
    // The right answer but for the protocol.
    for (more, expected) in [
        ("", "no MQTT in it"),
        ("Sec-WebSocket-Protocol: chat\r\n", "no MQTT in it"),
        ("Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: x\r\n", "did not offer"),
    ] {
        let address = serve(move |mut stream: TcpStream| async move {
            let request = read_until(&mut stream, "\r\n\r\n").await;
            let answer = format!(
                "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\n{more}\r\n",
                accept(&request)
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            echo(stream).await;
        })
        .await;
        let error = failure(settings(&format!("ws://{address}"))).await;
        assert!(error.contains(expected), "{error}");
    }
    let silent = serve(async |mut stream: TcpStream| {
        read_until(&mut stream, "\r\n\r\n").await;
    })
    .await;
    let error = failure(settings(&format!("ws://{silent}"))).await;
    assert!(error.contains("closed the link without an answer"), "{error}");
}
