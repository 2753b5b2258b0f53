//! Authorities and certificates of every kind, right and wrong.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tty2mqtt::mqtt::transport::Settings;
use tty2mqtt::mqtt::transport::settings::{Fingerprint, Pem};
use tty2mqtt::testing::base::secret::Secret;

/// For [`Server::versions`].
pub static ONLY_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// A certificate and its key, both as PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der())
    }
}

pub fn pem(text: &str) -> Option<Pem> {
    Some(Pem::Text(Secret::from(text.to_owned())))
}

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(1975, 1, 1);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> Option<Pem> {
        pem(&self.0.pem())
    }

    /// A certificate for names, as `change` wants it.
    pub fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Valid for a year of the past or the future.
pub fn in_year(year: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = date_time_ymd(year, 1, 1);
        params.not_after = date_time_ymd(year + 1, 1, 1);
    }
}

/// A certificate that signed itself.
pub fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity { certificate: certificate.pem(), key: key.serialize_pem() }
}

/// What a server does besides showing a certificate.
#[derive(Clone, Default)]
pub struct Server {
    pub versions: Option<&'static [&'static SupportedProtocolVersion]>,
    pub alpn: Vec<Vec<u8>>,
    /// Clients must show a certificate of this authority.
    pub clients: Option<Pem>,
}

impl Server {
    pub fn acceptor(&self, identity: &Identity) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions.unwrap_or(rustls::ALL_VERSIONS))
            .unwrap();
        let builder = match &self.clients {
            Some(Pem::Text(text)) => {
                let mut roots = RootCertStore::empty();
                let bytes = text.reveal();
                roots.add(CertificateDer::from_pem_slice(bytes).unwrap()).unwrap();
                let roots = Arc::new(roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            _ => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let mut config = builder.with_single_cert(vec![identity.der()], key).unwrap();
        config.alpn_protocols = self.alpn.clone();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A server that shows a certificate without a look at it, or at whether the key is its own.
pub fn unchecked(
    identity: &Identity,
    versions: &'static [&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    #[derive(Debug)]
    struct Show(Arc<CertifiedKey>);
    impl ResolvesServerCert for Show {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }
    }
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let certified = CertifiedKey::new(vec![identity.der()], key);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Show(Arc::new(certified))));
    TlsAcceptor::from(Arc::new(config))
}

/// What a server saw of a client.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The handshake came to its end.
    pub done: bool,
    pub name: Option<String>,
    pub certificate: Option<CertificateDer<'static>>,
    pub resumed: bool,
    /// How many bytes of data.
    pub data: usize,
}

/// A TLS server that gives back what comes, and what it saw of each client.
pub async fn start(
    server: Server,
    identity: &Identity,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Seen>) {
    let acceptor = server.acceptor(identity);
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let address = crate::transport::server::serve(move |stream: TcpStream| {
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        async move {
            let mut seen = Seen::default();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                seen = look(&stream);
                seen.data = echo_counting(&mut stream).await;
            }
            let _ = sender.send(seen);
        }
    })
    .await;
    (address, receiver)
}

fn look(stream: &TlsStream<TcpStream>) -> Seen {
    let connection = stream.get_ref().1;
    Seen {
        done: true,
        name: connection.server_name().map(str::to_owned),
        certificate: connection.peer_certificates().map(|chain| chain[0].clone().into_owned()),
        resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        data: 0,
    }
}

async fn echo_counting(stream: &mut TlsStream<TcpStream>) -> usize {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut bytes = [0; 1024];
    let mut all = 0;
    while let Ok(n @ 1..) = stream.read(&mut bytes).await {
        all += n;
        let _ = stream.write_all(&bytes[..n]).await;
        let _ = stream.flush().await;
    }
    all
}

/// Settings for a broker on the loopback by its name.
pub fn localhost(address: SocketAddr, authority: &Authority) -> Settings {
    let mut settings =
        crate::transport::server::settings(&format!("mqtts://localhost:{}", address.port()));
    settings.tls.ca_file = authority.pem();
    settings
}
