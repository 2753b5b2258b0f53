//! Names, addresses and sockets: which one is used, and how soon.

use crate::transport::server::{Names, Stages, connect, echo, failure, serve, settings, works};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tty2mqtt::mqtt::transport::settings::{Family, Network};
use tty2mqtt::mqtt::transport::{ConnectError, Connector, Dial, Stage};

/// An address that answers nothing: its queue of connections is full.
pub struct BlackHole {
    pub address: SocketAddr,
    _held: (TcpListener, Vec<TcpStream>),
}

impl BlackHole {
    pub fn new(bind: &str) -> BlackHole {
        let address: SocketAddr = bind.parse().unwrap();
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let wait = Duration::from_millis(100);
        let mut held = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, wait) {
            held.push(stream);
            assert!(held.len() < 100, "the queue never fills");
        }
        BlackHole { address, _held: (listener, held) }
    }
}

/// An address where nobody listens.
pub fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_black_hole_in_front_costs_a_quarter_of_a_second() {
    let hole = BlackHole::new("[::1]:0");
    let other = BlackHole::new("[::1]:0");
    let server = serve(echo).await;
    let names = Names::new(&[("broker", &[hole.address, other.address, server])]);
    let mut connector =
        Connector::with_environment(settings("mqtt://broker"), names.environment()).unwrap();
    let begin = Instant::now();
    let mut stream = connector.connect(&mut |_| ()).await.unwrap();
    works(&mut stream).await;
    // One delay: the families take turns.
    assert!(begin.elapsed() >= Duration::from_millis(250));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_refusal_makes_way_for_the_next_address_at_once() {
    let server = serve(echo).await;
    let names = Names::new(&[("broker", &[dead(), dead(), dead(), server])]);
    let mut connector =
        Connector::with_environment(settings("mqtt://broker"), names.environment()).unwrap();
    let begin = Instant::now();
    works(&mut connector.connect(&mut |_| ()).await.unwrap()).await;
    assert!(begin.elapsed() < Duration::from_millis(700), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn addresses_that_answer_nothing_end_after_ten_seconds_each() {
    let holes = [BlackHole::new("127.0.0.1:0"), BlackHole::new("[::1]:0")];
    let names = Names::new(&[("broker", &[holes[0].address, holes[1].address])]);
    let mut connector =
        Connector::with_environment(settings("mqtt://broker"), names.environment()).unwrap();
    let begin = tokio::time::Instant::now();
    let error = connector.connect(&mut |_| ()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tcp { address, .. } if address == holes[1].address));
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_whole_attempt_ends_after_thirty_seconds() {
    let silent = serve(async |mut stream| {
        let _ = stream.read(&mut [0; 1]).await;
        std::future::pending().await
    })
    .await;
    for url in [format!("mqtts://localhost:{}", silent.port()), format!("ws://{silent}")] {
        let mut settings = settings(&url);
        settings.tls.verify = tty2mqtt::mqtt::transport::settings::Verify::None;
        let begin = tokio::time::Instant::now();
        let error = connect(settings).await.unwrap_err();
        assert!(matches!(error, ConnectError::Deadline { .. }), "{error}");
        assert!(error.to_string().contains("within 30 s"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(31));
    }
}

#[tokio::test]
async fn the_name_is_looked_up_at_each_attempt() {
    let names = Names::new(&[("broker", &[dead()])]);
    let mut connector =
        Connector::with_environment(settings("mqtt://broker"), names.environment()).unwrap();
    let stages = Stages::default();
    assert!(connector.connect(&mut stages.note()).await.is_err());
    assert_eq!(stages.seen(), [Stage::Resolving, Stage::Connecting]);
    // The broker has moved.
    names.set("broker", &[serve(echo).await]);
    works(&mut connector.connect(&mut |_| ()).await.unwrap()).await;
    assert_eq!(names.asked(), 2);
}

#[tokio::test]
async fn failures_of_a_name_are_told_apart() {
    let names = Names::new(&[("empty", &[]), ("v4", &["127.0.0.1:1".parse().unwrap()])]);
    let connect = async |url: &str, family| {
        let mut settings = settings(url);
        settings.network.family = family;
        let mut connector = Connector::with_environment(settings, names.environment()).unwrap();
        connector.connect(&mut |_| ()).await.unwrap_err()
    };
    let error = connect("mqtt://unknown", Family::Any).await;
    assert!(matches!(error, ConnectError::Lookup { .. }));
    assert_eq!(error.to_string(), "cannot look up unknown: no such name");
    let error = connect("mqtt://empty", Family::Any).await;
    assert_eq!(error.to_string(), "empty has no address");
    let error = connect("mqtt://v4", Family::V6).await;
    assert_eq!(error.to_string(), "v4 has no IPv6 address");
    assert!(matches!(connect("mqtt://v4", Family::V4).await, ConnectError::Tcp { .. }));
}

#[tokio::test]
async fn brokers_in_order_with_failover_and_return() {
    let (a, b, c) = (dead(), serve(echo).await, serve(echo).await);
    let mut settings = settings(&format!("mqtt://{a}"));
    settings.urls.push(format!("mqtt://{b}").parse().unwrap());
    settings.urls.push(format!("mqtt://{c}").parse().unwrap());
    let mut connector = Connector::new(settings).unwrap();
    assert_eq!(connector.broker().port, a.port());
    assert!(connector.connect(&mut |_| ()).await.is_err());
    assert!(connector.to_first().is_none());
    // The second lets us connect, but does not take us in; the third does.
    assert!(connector.connect(&mut |_| ()).await.is_ok());
    assert_eq!(connector.broker().port, b.port());
    assert!(connector.connect(&mut |_| ()).await.is_ok());
    assert_eq!(connector.broker().port, c.port());
    connector.established();
    connector.begin_again();
    assert_eq!(connector.broker().port, c.port());
    // The first is asked first again, although it is still away; and after the last comes it.
    for expected in [a, b, c, a] {
        let _ = connector.connect(&mut |_| ()).await;
        assert_eq!(connector.broker().port, expected.port());
    }
}

#[tokio::test]
async fn a_local_address_and_a_device() {
    let (sender, mut peers) = tokio::sync::mpsc::unbounded_channel();
    let server = serve(move |stream| {
        sender.send(stream.peer_addr().unwrap()).unwrap();
        echo(stream)
    })
    .await;
    let mut wanted = settings(&format!("mqtt://{server}"));
    wanted.network = Network {
        local_address: Some("127.0.0.5".parse().unwrap()),
        bind_device: Some("lo".into()),
        family: Family::Any,
    };
    works(&mut connect(wanted.clone()).await.unwrap()).await;
    assert_eq!(peers.recv().await.unwrap().ip().to_string(), "127.0.0.5");

    wanted.network.bind_device = Some("nosuch0".into());
    let error = connect(wanted.clone()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Device { .. }), "{error}");
    assert!(error.to_string().contains("`bind_device` nosuch0"), "{error}");

    wanted.network.bind_device = None;
    wanted.network.local_address = Some("192.0.2.1".parse().unwrap());
    let error = connect(wanted.clone()).await.unwrap_err();
    assert!(matches!(error, ConnectError::LocalAddress { .. }), "{error}");

    // An address of one family cannot reach one of the other.
    wanted.network.local_address = Some("::1".parse().unwrap());
    assert!(failure(wanted).await.contains("has no IPv6 address"));
}

#[tokio::test]
async fn a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b.sock");
    let url = format!("unix://{}/a%20b.sock", folder.path().display());
    let error = connect(settings(&url)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unix { .. }));
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let mut stream = connect(settings(&url)).await.unwrap();
    assert!(stream.distrust.is_none());
    works(&mut stream).await;
}

#[tokio::test]
async fn no_broker_is_an_error_from_the_start() {
    let mut settings = settings("mqtt://x");
    settings.urls.clear();
    assert!(matches!(Connector::new(settings), Err(ConnectError::NoBroker)));
}
