//! Servers on the loopback, and what every test needs.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tty2mqtt::mqtt::transport::{ConnectError, Connector, Environment, Settings, Stage, Stream};

/// Serves each connection by a script of its own.
pub async fn serve<F, W>(script: F) -> SocketAddr
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    address
}

/// Gives back what comes.
pub async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let mut bytes = [0; 1024];
    while let Ok(n @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..n]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// Reads up to the end of a text.
pub async fn read_until<S: AsyncRead + Unpin>(stream: &mut S, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// The stream carries bytes in both directions.
pub async fn works(stream: &mut Stream) {
    stream.io.write_all(b"there and back").await.unwrap();
    stream.io.flush().await.unwrap();
    let mut back = [0; 14];
    stream.io.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"there and back");
}

pub fn settings(url: &str) -> Settings {
    Settings::new(url.parse().unwrap())
}

/// One attempt.
pub async fn connect(settings: Settings) -> Result<Stream, ConnectError> {
    Connector::new(settings).unwrap().connect(&mut |_| ()).await
}

/// The sentence that a failed attempt gives.
pub async fn failure(settings: Settings) -> String {
    match connect(settings).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error.to_string(),
    }
}

/// A resolver that answers each question from a list, and counts them.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    names: HashMap<String, Vec<SocketAddr>>,
    asked: usize,
}

impl Names {
    pub fn new(names: &[(&str, &[SocketAddr])]) -> Names {
        let new = Names::default();
        for (name, addresses) in names {
            new.set(name, addresses);
        }
        new
    }

    pub fn set(&self, name: &str, addresses: &[SocketAddr]) {
        self.0.lock().unwrap().names.insert(name.into(), addresses.to_vec());
    }

    pub fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    pub fn environment(&self) -> Environment {
        let known = self.0.clone();
        Environment {
            resolve: Arc::new(move |host, _| {
                let mut known = known.lock().unwrap();
                known.asked += 1;
                let found = known.names.get(&host).cloned();
                Box::pin(async move { found.ok_or_else(|| std::io::Error::other("no such name")) })
            }),
            ..Environment::default()
        }
    }
}

/// Notes the stages.
#[derive(Clone, Default)]
pub struct Stages(Arc<Mutex<Vec<Stage>>>);

impl Stages {
    pub fn note(&self) -> impl Fn(Stage) + use<> {
        let stages = self.0.clone();
        move |stage| stages.lock().unwrap().push(stage)
    }

    pub fn seen(&self) -> Vec<Stage> {
        self.0.lock().unwrap().clone()
    }
}
