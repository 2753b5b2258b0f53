//! The real mosquitto: CONNECT and CONNACK over each of its listeners.

use crate::support::mosquitto::Server;
use crate::transport::certificates::{Authority, pem};
use crate::transport::server::{connect, settings};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tty2mqtt::mqtt::transport::{Settings, Stream};

/// Listens plainly, with WebSockets, with TLS, with WebSockets on TLS, and at `mosquitto.sock`.
fn start(authority: &Authority) -> Server<4> {
    let folder = tempfile::tempdir().unwrap();
    let server = authority.sign(&["localhost"], |_| ());
    std::fs::write(folder.path().join("server.pem"), &server.certificate).unwrap();
    std::fs::write(folder.path().join("server.key"), &server.key).unwrap();
    Server::start(folder, |folder, [plain, ws, tls, wss]| {
        let folder = folder.display();
        let certificates = format!("certfile {folder}/server.pem\nkeyfile {folder}/server.key\n");
        // As root it would give up the right to read the folder.
        format!(
            "user root\nallow_anonymous true\nlistener {plain} 127.0.0.1\n\
             listener {ws} 127.0.0.1\nprotocol websockets\n\
             listener {tls} 127.0.0.1\n{certificates}\
             listener {wss} 127.0.0.1\nprotocol websockets\n{certificates}\
             listener 0 {folder}/mosquitto.sock\n"
        )
    })
}

/// Speaks enough of MQTT 3.1.1 to see that it gets through: CONNECT, CONNACK, a large message to
/// itself and back, DISCONNECT.
async fn converse(stream: &mut Stream) {
    // More than one frame of ours; Debian's mosquitto takes 0.1 s for each 4 KiB in WebSockets.
    const LARGE: usize = 20_000;
    let mut bytes = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test".to_vec();
    bytes.extend(b"\x82\x06\x00\x01\x00\x01t\x00");
    // Remaining length 20_003 and topic `t`.
    bytes.extend([0x30, 0xA3, 0x9C, 0x01, 0, 1, b't']);
    bytes.extend(vec![b'x'; LARGE]);
    stream.io.write_all(&bytes).await.unwrap();
    stream.io.flush().await.unwrap();
    let mut acks = [0; 9];
    stream.io.read_exact(&mut acks).await.unwrap();
    assert_eq!(acks, [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0]);
    let mut message = vec![0; 7 + LARGE];
    stream.io.read_exact(&mut message).await.unwrap();
    assert_eq!(message[..7], [0x30, 0xA3, 0x9C, 0x01, 0, 1, b't']);
    assert!(message[7..].iter().all(|byte| *byte == b'x'));
    stream.io.write_all(&[0xE0, 0]).await.unwrap();
    stream.io.flush().await.unwrap();
    stream.io.shutdown().await.unwrap();
}

async fn connect_when_up(settings: Settings) -> Stream {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match connect(settings.clone()).await {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn mosquitto_by_every_way_it_offers() {
    needs!(mosquitto);
    let authority = Authority::new("ours");
    let broker = start(&authority);
    let [plain, ws, tls, wss] = broker.ports;
    for url in [
        format!("mqtt://localhost:{plain}"),
        format!("ws://localhost:{ws}/mqtt"),
        format!("ws://localhost:{ws}"),
        format!("mqtts://localhost:{tls}"),
        format!("wss://localhost:{wss}/mqtt"),
        format!("unix://{}/mosquitto.sock", broker.folder.path().display()),
    ] {
        let mut settings = settings(&url);
        settings.tls.ca_file = authority.pem();
        let mut stream = connect_when_up(settings).await;
        converse(&mut stream).await;
    }
    let mut wrong = settings(&format!("wss://localhost:{wss}"));
    wrong.tls.ca_file = pem(&authority.sign(&["x"], |_| ()).certificate);
    assert!(connect(wrong).await.is_err());
}
