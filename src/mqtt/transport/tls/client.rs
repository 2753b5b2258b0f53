//! A client's TLS, by rustls with ring.

use super::fault::{CertificateFault, TlsFault};
use super::keys;
use super::verify::{Check, Verifier};
use crate::mqtt::transport::error::{ConnectError, TlsFileError};
use crate::mqtt::transport::settings::{Pem, TlsSettings, TlsVersion, Verify};
use crate::mqtt::transport::{Clock, Environment};
use rustls::client::Resumption;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the handshakes with all brokers share.
pub(in crate::mqtt::transport) struct Tls {
    /// Ends the handshake unless the certificate is right.
    config: Arc<ClientConfig>,
    check: Check,
    verify: Verify,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

struct Time(Clock);

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        (self.0)().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// A stream after the handshake.
#[derive(Debug)]
pub struct TlsLink {
    pub(in crate::mqtt::transport) stream: TlsStream<TcpStream>,
    /// Why the broker is not trusted; `None` when it is.
    pub(in crate::mqtt::transport) distrust: Option<CertificateFault>,
}

impl Tls {
    /// Reads the files.
    pub(in crate::mqtt::transport) fn new(
        settings: &TlsSettings,
        environment: &Environment,
    ) -> Result<Tls, TlsFileError> {
        let check = match (settings.verify, settings.fingerprint) {
            (Verify::None, _) => Check::Nothing,
            (_, Some(pin)) => Check::Pin(pin),
            (_, None) => Check::Authorities(Arc::new(match &settings.ca_file {
                Some(file) => authorities_of(file)?,
                None => authorities_of_system()?,
            })),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(Time(environment.now.clone()));
        let versions: &[_] = match settings.min_version {
            TlsVersion::V12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V13 => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(versions)
            .map_err(TlsFileError::Rustls)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::strict(check.clone())));
        let mut config = match keys::identity(settings)? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(TlsFileError::Rustls)?
            }
            None => builder.with_no_client_auth(),
        };
        // A few brokers: as many sessions to resume are enough, 256 would only take memory.
        config.resumption = Resumption::in_memory_sessions(4);
        config.alpn_protocols =
            settings.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(Tls { config: Arc::new(config), check, verify: settings.verify })
    }

    /// The handshake. `host` is the broker's name, which its certificate must carry. With
    /// `credentials` it fails unless the broker is trusted.
    pub(in crate::mqtt::transport) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
        credentials: bool,
    ) -> Result<TlsLink, ConnectError> {
        let failed = |fault| ConnectError::Tls { host: host.to_owned(), fault };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failed(TlsFault::NoName(host.to_owned())))?;
        let mut config = self.config.clone();
        let mut lenient = None;
        if self.verify != Verify::Required && !credentials {
            let verifier = Arc::new(Verifier::lenient(self.check.clone()));
            let config = Arc::make_mut(&mut config);
            // A resumed session shows no certificate, so that nothing could be said of it.
            config.resumption = Resumption::disabled();
            config.dangerous().set_certificate_verifier(verifier.clone());
            lenient = Some(verifier);
        }
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => {
                let distrust = lenient.and_then(|verifier| verifier.fault());
                Ok(TlsLink { stream, distrust })
            }
            Err(error) => Err(match TlsFault::of(error) {
                TlsFault::Certificate(fault) if self.verify != Verify::Required && credentials => {
                    ConnectError::UntrustedWithCredentials { host: host.to_owned(), fault }
                }
                fault => failed(fault),
            }),
        }
    }
}

fn authorities_of(file: &Pem) -> Result<RootCertStore, TlsFileError> {
    const KEY: &str = "tls.ca_file";
    let certificates = certificates_of(KEY, file)?;
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(TlsFileError::content(KEY, file, "holds no certificate that can be read")),
        _ => Ok(roots),
    }
}

/// All certificates of a PEM text, at least one.
pub(super) fn certificates_of(
    key: &'static str,
    file: &Pem,
) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let text = file.read().map_err(|source| TlsFileError::read(key, file, source))?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| {
        TlsFileError::content(key, file, format!("{error}; it must hold PEM certificates"))
    })?;
    if certificates.is_empty() {
        let why = "holds no certificate; it must be PEM, with a line -----BEGIN CERTIFICATE-----";
        return Err(TlsFileError::content(key, file, why));
    }
    Ok(certificates)
}

fn authorities_of_system() -> Result<RootCertStore, TlsFileError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
    Err(TlsFileError::NoAuthorities(why))
}
