//! A small program on tokio without the client: sockets, names, time, channels, a task.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_default();
    let line = arguments.next().unwrap_or_default();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return };
        if stream.write_all(line.as_bytes()).await.is_err() {
            return;
        }
        let mut bytes = [0; 1024];
        while let Ok(n @ 1..) = stream.read(&mut bytes).await {
            if sender.send(bytes[..n].to_vec()).await.is_err() {
                return;
            }
        }
    });
    let mut out = tokio::time::timeout(Duration::from_secs(5), receiver.recv()).await;
    while let Ok(Some(bytes)) = out {
        println!("{}", String::from_utf8_lossy(&bytes));
        out = tokio::time::timeout(Duration::from_secs(5), receiver.recv()).await;
    }
    Ok(())
}
