//! TLS: right and wrong certificates, and what is negotiated.

use crate::transport::certificates::{
    Authority, Identity, Server, in_year, localhost, pem, self_signed, start,
};
use crate::transport::proxy::http_proxy;
use crate::transport::server::{Stages, connect, echo, failure, serve, settings, works};
use crate::transport::websocket::shake_hands;
use rcgen::{BasicConstraints, DnType, IsCa};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tty2mqtt::mqtt::transport::settings::{Pem, TlsSettings, TlsVersion};
use tty2mqtt::mqtt::transport::tls::{CertificateFault, TlsFault};
use tty2mqtt::mqtt::transport::{ConnectError, Connector, Dial, Environment, Settings, Stage};

#[tokio::test]
async fn a_right_certificate_with_name_alpn_and_resumption() {
    let authority = Authority::new("ours");
    let server = Server { alpn: vec![b"mqtt".to_vec()], ..Server::default() };
    let (address, mut seen) = start(server, &authority.sign(&["localhost"], |_| ())).await;
    let mut settings = localhost(address, &authority);
    settings.tls.alpn = vec!["x-amzn-mqtt-ca".into(), "mqtt".into()];
    // A login is no obstacle to a broker that is trusted.
    settings.credentials = true;
    let mut connector = Connector::new(settings).unwrap();
    for resumed in [false, true, false] {
        let stages = Stages::default();
        let mut stream = connector.connect(&mut stages.note()).await.unwrap();
        assert!(stream.distrust.is_none());
        assert_eq!(stream.alpn.as_deref(), Some(&b"mqtt"[..]));
        assert_eq!(stages.seen(), [Stage::Resolving, Stage::Connecting, Stage::Tls]);
        works(&mut stream).await;
        stream.io.shutdown().await.unwrap();
        let seen = seen.recv().await.unwrap();
        assert_eq!((seen.name.as_deref(), seen.resumed), (Some("localhost"), resumed));
        // A broker that did not take us in gets a new start: our files may have been renewed.
        if !resumed {
            connector.established();
        }
    }
}

#[tokio::test]
async fn b18_the_end_of_a_stream_is_said() {
    let authority = Authority::new("ours");
    let acceptor = Server::default().acceptor(&authority.sign(&["localhost"], |_| ()));
    let (sender, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |stream| {
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut all = Vec::new();
            // Without a close_notify the end is an error.
            let end = stream.read_to_end(&mut all).await;
            sender.send(end.map(|_| all)).unwrap();
        }
    })
    .await;
    let mut stream = connect(localhost(address, &authority)).await.unwrap();
    stream.io.write_all(b"DISCONNECT").await.unwrap();
    stream.io.shutdown().await.unwrap();
    assert_eq!(ends.recv().await.unwrap().unwrap(), b"DISCONNECT");
}

#[tokio::test]
async fn the_name_is_the_brokers_and_not_the_proxys() {
    let authority = Authority::new("ours");
    let (address, mut seen) =
        start(Server::default(), &authority.sign(&["broker.test"], |_| ())).await;
    let proxy = http_proxy(address).await;
    let mut settings = settings("mqtts://broker.test");
    settings.tls.ca_file = authority.pem();
    settings.proxy = Some(format!("http://{proxy}").parse().unwrap());
    let mut stream = connect(settings).await.unwrap();
    works(&mut stream).await;
    drop(stream);
    assert_eq!(seen.recv().await.unwrap().name.as_deref(), Some("broker.test"));
}

#[tokio::test]
async fn secure_websocket() {
    let authority = Authority::new("ours");
    let acceptor = Server::default().acceptor(&authority.sign(&["localhost"], |_| ()));
    let inner = serve(async |mut stream| {
        shake_hands(&mut stream).await;
        stream
            .write_all(&crate::transport::websocket::frame(0x82, b"there and back"))
            .await
            .unwrap();
        std::future::pending().await
    })
    .await;
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut plain = tokio::net::TcpStream::connect(inner).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
        }
    })
    .await;
    let mut settings = settings(&format!("wss://localhost:{}/mqtt", address.port()));
    settings.tls.ca_file = authority.pem();
    let mut stream = connect(settings).await.unwrap();
    assert!(stream.distrust.is_none());
    works(&mut stream).await;
}

#[tokio::test]
async fn wrong_certificates_are_told_apart_and_get_nothing() {
    let authority = Authority::new("ours");
    let other = Authority::new("theirs");
    let no_name = |params: &mut rcgen::CertificateParams| {
        params.distinguished_name.push(DnType::CommonName, "localhost");
    };
    for (identity, expected) in [
        (other.sign(&["localhost"], |_| ()), "not signed by an authority we trust"),
        (
            authority.sign(&["example.org"], |_| ()),
            "is for another name (DnsName(\"example.org\"))",
        ),
        (authority.sign(&[], no_name), "common name (CN) alone is not enough"),
        (authority.sign(&["localhost"], in_year(2020)), "has expired on 2021-01-01"),
        (authority.sign(&["localhost"], in_year(2200)), "not valid before 2200-01-01"),
        (self_signed(|_| ()), "not signed by an authority we trust"),
    ] {
        let (address, mut seen) = start(Server::default(), &identity).await;
        let mut settings = localhost(address, &authority);
        settings.credentials = true;
        let error = failure(settings).await;
        assert!(error.starts_with("TLS with localhost: "), "{error}");
        assert!(error.contains(expected), "{error}");
        let seen = seen.recv().await.unwrap();
        assert!(!seen.done && seen.data == 0);
    }
    // The certificate of an authority, as `openssl req -x509` makes them, in both roles.
    let both = self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let (address, _) = start(Server::default(), &both).await;
    let mut settings = localhost(address, &authority);
    settings.tls.ca_file = pem(&both.certificate);
    let error = failure(settings.clone()).await;
    assert!(error.contains("(CA:TRUE)") && error.contains("tls.fingerprint"), "{error}");
    settings.tls.fingerprint = Some(both.fingerprint());
    works(&mut connect(settings).await.unwrap()).await;
}

#[tokio::test]
async fn a_certificate_of_the_old_form() {
    needs!(openssl);
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out r -subj /CN=localhost",
        "x509 -req -in r -signkey k -out c",
    ] {
        crate::transport::keys::openssl(folder.path(), arguments);
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let identity =
        crate::transport::certificates::Identity { certificate: read("c"), key: read("k") };
    let acceptor = crate::transport::certificates::unchecked(&identity, rustls::ALL_VERSIONS);
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move { drop(acceptor.accept(stream).await) }
    })
    .await;
    let error = failure(localhost(address, &Authority::new("ours"))).await;
    assert!(error.contains("X.509 version 1"), "{error}");
}

#[tokio::test]
async fn a_pinned_certificate() {
    let authority = Authority::new("ours");
    let pinned = self_signed(|_| ());
    let (address, _) = start(Server::default(), &pinned).await;
    // By another name than its own.
    let mut settings = settings(&format!("mqtts://{address}"));
    settings.credentials = true;
    settings.tls.fingerprint = Some(pinned.fingerprint().to_string().parse().unwrap());
    let mut stream = connect(settings.clone()).await.unwrap();
    assert!(stream.distrust.is_none());
    works(&mut stream).await;

    // Another one, even one signed by an authority that would be trusted.
    let other = authority.sign(&["localhost"], |_| ());
    settings.tls.fingerprint = Some(other.fingerprint());
    let error = connect(settings.clone()).await.unwrap_err();
    let ConnectError::Tls { fault, .. } = &error else { panic!("{error}") };
    let TlsFault::Certificate(CertificateFault::Fingerprint(mismatch)) = fault else { panic!() };
    assert_eq!((mismatch.pinned, mismatch.found), (other.fingerprint(), pinned.fingerprint()));
    assert!(error.to_string().contains(&pinned.fingerprint().to_string()), "{error}");

    // Dates count all the same.
    for (year, expected) in [(2020, "has expired on 2021"), (2200, "not valid before 2200")] {
        let old = self_signed(in_year(year));
        let (address, _) = start(Server::default(), &old).await;
        let mut settings = crate::transport::server::settings(&format!("mqtts://{address}"));
        settings.tls.fingerprint = Some(old.fingerprint());
        let error = failure(settings).await;
        assert!(error.contains(expected), "{error}");
    }
}

/// A clock that stands still until it is set, and an environment that has it.
fn clock(seconds: u32) -> (Arc<AtomicU32>, Environment) {
    let clock = Arc::new(AtomicU32::new(seconds));
    let read = clock.clone();
    let now: Arc<dyn Fn() -> SystemTime + Send + Sync> =
        Arc::new(move || UNIX_EPOCH + Duration::from_secs(read.load(Ordering::SeqCst).into()));
    (clock, Environment { now, clock_poll: Duration::from_millis(5), ..Environment::default() })
}

/// 2027-01-01.
const LATER: u32 = 1_798_761_600;

#[tokio::test]
async fn a_router_without_a_clock_waits_for_it() {
    let authority = Authority::new("ours");
    let (address, mut seen) =
        start(Server::default(), &authority.sign(&["localhost"], in_year(2026))).await;
    for credentials in [false, true] {
        let (clock, environment) = clock(300_000_000);
        let mut settings = localhost(address, &authority);
        settings.credentials = credentials;
        if credentials {
            settings.tls.verify = tty2mqtt::mqtt::transport::settings::Verify::Optional;
        }
        let mut connector = Connector::with_environment(settings, environment).unwrap();
        let stages = Stages::default();
        let note = stages.note();
        let mut set = move |stage| {
            note(stage);
            if stage == Stage::WaitingForClock {
                clock.store(LATER - 1000, Ordering::SeqCst);
            }
        };
        let mut stream = connector.connect(&mut set).await.unwrap();
        works(&mut stream).await;
        assert!(stream.distrust.is_none());
        use Stage::{Connecting, Resolving, Tls, WaitingForClock};
        let expected = [Resolving, Connecting, Tls, WaitingForClock, Resolving, Connecting, Tls];
        assert_eq!(stages.seen(), expected);
        assert!(!seen.recv().await.unwrap().done, "nothing was believed before");
        drop(stream);
        assert!(seen.recv().await.unwrap().done);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_or_another_fault_is_not_waited_for() {
    let authority = Authority::new("ours");
    let other = Authority::new("theirs");
    for (identity, seconds, expected) in [
        // Set, and still too early.
        (authority.sign(&["localhost"], in_year(2200)), LATER, "not valid before 2200"),
        // Not set; but what is known already is enough.
        (other.sign(&["localhost"], in_year(2026)), 0, "not signed by an authority"),
        (authority.sign(&["elsewhere"], in_year(2026)), 0, "for another name"),
    ] {
        let (address, _) = start(Server::default(), &identity).await;
        let (_, environment) = clock(seconds);
        let settings = localhost(address, &authority);
        let mut connector = Connector::with_environment(settings, environment).unwrap();
        let stages = Stages::default();
        let error = connector.connect(&mut stages.note()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!stages.seen().contains(&Stage::WaitingForClock));
    }
}

#[tokio::test]
async fn versions_and_alpn_without_common_ground() {
    let authority = Authority::new("ours");
    let identity = authority.sign(&["localhost"], |_| ());
    let old =
        Server { versions: Some(crate::transport::certificates::ONLY_1_2), ..Server::default() };
    let (address, _) = start(old, &identity).await;
    let mut settings = localhost(address, &authority);
    works(&mut connect(settings.clone()).await.unwrap()).await;
    settings.tls.min_version = TlsVersion::V13;
    let error = failure(settings).await;
    assert!(error.contains("speaks no version of TLS that we do"), "{error}");

    let server = Server { alpn: vec![b"h2".to_vec()], ..Server::default() };
    let (address, _) = start(server, &identity).await;
    let mut settings = localhost(address, &authority);
    settings.tls.alpn = vec!["mqtt".into()];
    let error = failure(settings).await;
    assert!(error.contains("`tls.alpn`"), "{error}");
}

#[tokio::test]
async fn what_is_no_tls() {
    let authority = Authority::new("ours");
    let address = serve(echo).await;
    let error = failure(localhost(address, &authority)).await;
    assert!(!error.contains("the link broke"), "{error}");
    let closing = serve(async |_| ()).await;
    let error = failure(localhost(closing, &authority)).await;
    assert!(error.contains("does that port speak TLS?"), "{error}");
    let http = serve(async |mut stream: tokio::net::TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending().await
    })
    .await;
    let error = failure(localhost(http, &authority)).await;
    assert!(error.contains("does not speak TLS there"), "{error}");
}

#[tokio::test]
async fn files_that_are_no_certificates() {
    let authority = Authority::new("ours");
    let address = serve(echo).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let mut settings = localhost(address, &authority);
    settings.tls.ca_file = Some(Pem::File(file.clone()));
    let error = failure(settings.clone()).await;
    assert!(error.contains("tls.ca_file") && error.contains("No such file"), "{error}");
    for (text, expected) in [
        ("", "holds no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "no certificate that can be read",
        ),
        ("-----BEGIN CERTIFICATE-----\n%\n", "must hold PEM certificates"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = failure(settings.clone()).await;
        assert!(error.contains(expected), "{error}");
    }
    std::fs::write(&file, vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(failure(settings).await.contains("more than 1024 KiB"));
}

/// Our own certificate, its key and the broker's authority in files of a folder.
struct Files(tempfile::TempDir);

impl Files {
    fn new(identity: &Identity, authority: &Authority) -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        files.write("own.pem", &identity.certificate);
        files.write("own.key", &identity.key);
        files.trust(authority);
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn trust(&self, authority: &Authority) {
        let Some(Pem::Text(text)) = authority.pem() else { panic!() };
        self.write("ca.pem", std::str::from_utf8(text.reveal()).unwrap());
    }

    fn of(&self, settings: Settings) -> Settings {
        let file = |name| Some(Pem::File(self.0.path().join(name)));
        let (ca_file, cert_file, key_file) = (file("ca.pem"), file("own.pem"), file("own.key"));
        let tls = TlsSettings { ca_file, cert_file, key_file, ..settings.tls };
        Settings { tls, ..settings }
    }
}

#[tokio::test]
async fn renewed_files_count_from_the_next_link_on() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (old, new) = (ours.sign(&["old"], |_| ()), ours.sign(&["new"], |_| ()));
    let server = Server { clients: ours.pem(), ..Server::default() };
    let (address, mut seen) = start(server, &ours.sign(&["localhost"], |_| ())).await;
    let files = Files::new(&old, &ours);
    let mut connector = Connector::new(files.of(localhost(address, &ours))).unwrap();
    let mut connect = async || {
        let mut stream = connector.connect(&mut |_| ()).await?;
        works(&mut stream).await;
        stream.io.shutdown().await.unwrap();
        // All goes well: what is kept is not kept because of a failure.
        connector.established();
        let seen = seen.recv().await.unwrap();
        Ok::<_, ConnectError>((seen.certificate.unwrap(), seen.resumed, connector.is_stale()))
    };
    assert_eq!(connect().await.unwrap(), (old.der(), false, false));
    assert_eq!(connect().await.unwrap(), (old.der(), true, false), "unchanged files are no reason");
    // Half of a renewal.
    files.write("own.pem", &new.certificate);
    assert_eq!(connect().await.unwrap().0, old.der());
    std::fs::remove_file(files.0.path().join("own.key")).unwrap();
    assert_eq!(connect().await.unwrap().0, old.der());
    files.write("own.key", &new.key);
    assert_eq!(connect().await.unwrap(), (new.der(), false, false));
    assert_eq!(connect().await.unwrap(), (new.der(), true, false));
    // An authority that was withdrawn; and one that may have been.
    files.trust(&theirs);
    let error = connect().await.unwrap_err().to_string();
    assert!(error.contains("not signed by an authority we trust"), "{error}");
    files.trust(&ours);
    let before = seen.recv().await.unwrap();
    assert!(!before.done);
    let mut connector = Connector::new(files.of(localhost(address, &ours))).unwrap();
    drop(connector.connect(&mut |_| ()).await.unwrap());
    assert!(!connector.is_stale());
    connector.established();
    files.trust(&theirs);
    assert!(connector.is_stale());
    std::fs::remove_file(files.0.path().join("ca.pem")).unwrap();
    assert!(!connector.is_stale(), "a link is not left for a file that cannot be read");
    let error = connector.connect(&mut |_| ()).await.unwrap_err().to_string();
    assert!(error.contains("tls.ca_file") && error.contains("No such file"), "{error}");
}
