//! Whatever the other side does, a connection takes a bounded amount of memory and time.

use crate::transport::server::{connect, failure, read_until, serve, settings};
use crate::transport::websocket::{frame, read_frame, shake_hands};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Says a head that never ends.
async fn endless(mut stream: TcpStream) {
    read_until(&mut stream, "\r\n\r\n").await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
    while stream.write_all(&[b'x'; 1000]).await.is_ok() {}
}

#[tokio::test]
async fn a_head_without_an_end_is_cut_off() {
    let address = serve(endless).await;
    let error = failure(settings(&format!("ws://{address}"))).await;
    assert!(error.contains("more than 8 KiB"), "{error}");
    let mut settings = settings("mqtt://broker");
    settings.proxy = Some(format!("http://{address}").parse().unwrap());
    let error = failure(settings).await;
    assert!(error.contains("more than 8 KiB"), "{error}");
}

#[tokio::test]
async fn a_frame_of_exabytes_is_read_as_it_comes() {
    let address = serve(async |mut stream: TcpStream| {
        shake_hands(&mut stream).await;
        let head = [&[0x82, 127][..], &(i64::MAX as u64).to_be_bytes()].concat();
        let _ = stream.write_all(&head).await;
        while stream.write_all(&[1; 10_000]).await.is_ok() {}
    })
    .await;
    let mut stream = connect(settings(&format!("ws://{address}"))).await.unwrap();
    let mut bytes = vec![0; 1_000_000];
    stream.io.read_exact(&mut bytes).await.unwrap();
    assert!(bytes.iter().all(|byte| *byte == 1));
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_by_the_last_and_holds_up_nothing() {
    const PINGS: u32 = 50_000;
    let address = serve(async |mut stream: TcpStream| {
        shake_hands(&mut stream).await;
        // Nobody reads the pongs meanwhile.
        let flood: Vec<u8> =
            (0..PINGS).flat_map(|n| frame(0x89, &[n.to_be_bytes(); 30].concat())).collect();
        stream.write_all(&flood).await.unwrap();
        stream.write_all(&frame(0x82, b"at last")).await.unwrap();
        let mut pongs = 0;
        loop {
            let (first, payload, _) = read_frame(&mut stream).await.unwrap();
            assert_eq!(first, 0x8A);
            pongs += 1;
            if payload.starts_with(&(PINGS - 1).to_be_bytes()) {
                break;
            }
        }
        stream.write_all(&frame(0x82, &[u8::from(pongs < PINGS)])).await.unwrap();
    })
    .await;
    let mut stream = connect(settings(&format!("ws://{address}"))).await.unwrap();
    let mut bytes = [0; 7];
    stream.io.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"at last");
    assert_eq!(stream.io.read_u8().await.unwrap(), 1, "every ping was answered by itself");
}
