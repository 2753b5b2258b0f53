//! The client's side of TLS, with rustls and ring.

use super::fault::TlsFault;
use super::keys;
use super::verify::{Check, Verifier};
use crate::mqtt::transport::error::{ConnectError, TlsFileError};
use crate::mqtt::transport::settings::{Fingerprint, Pem, TlsSettings, TlsVersion, Verify};
use crate::mqtt::transport::{Clock, Environment, Stream};
use rustls::client::{Resumption, WantsClientCert};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What the handshakes with all brokers share.
#[derive(Debug)]
pub(in crate::mqtt::transport) struct Tls {
    /// Ends the handshake unless the certificate is valid.
    config: Arc<ClientConfig>,
    check: Check,
    verify: Verify,
    known: Known,
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

impl Tls {
    /// Reads the files.
    pub(in crate::mqtt::transport) fn new(
        settings: &TlsSettings,
        environment: &Environment,
    ) -> Result<Tls, TlsFileError> {
        let trust = Trust::read(settings)?;
        let identity = keys::read(settings)?;
        let known = Known { trust: trust.digest(), identity: keys::digest(identity.as_ref()) };
        let check = trust.check()?;
        let config = config_with(settings, environment, check.clone(), identity)?;
        Ok(Tls { config: Arc::new(config), check, verify: settings.verify, known })
    }

    /// Reads the files again. If they have changed, the next handshake uses them and resumes no earlier
    /// session; with `forget` it resumes none either. Authorities that cannot be read are an error,
    /// because the old ones may have been withdrawn. A certificate and a key that cannot be read or do
    /// not match yet are none: the last pair is used, and the reason is returned.
    pub(in crate::mqtt::transport) fn renew(
        &mut self,
        settings: &TlsSettings,
        environment: &Environment,
        forget: bool,
    ) -> Result<Option<TlsFileError>, TlsFileError> {
        let trust = Trust::read(settings)?;
        let identity = keys::read(settings);
        let digest = match &identity {
            Ok(files) => keys::digest(files.as_ref()),
            Err(_) => self.known.identity,
        };
        let is_new = digest != self.known.identity;
        let trust_digest = trust.digest();
        if !forget && !is_new && trust_digest == self.known.trust {
            return Ok(identity.err());
        }
        let check = trust.check()?;
        let before = self.config.client_auth_cert_resolver.clone();
        let as_before = |builder: Builder| Ok(builder.with_client_cert_resolver(before));
        let renewed = match identity {
            Err(why) => Err(why),
            Ok(identity) if is_new => config_with(settings, environment, check.clone(), identity),
            Ok(_) => config(settings, environment, check.clone(), as_before.clone()),
        };
        let (config, kept) = match renewed {
            Ok(config) => {
                self.known.identity = digest;
                (config, None)
            }
            Err(why) => (config(settings, environment, check.clone(), as_before)?, Some(why)),
        };
        self.known.trust = trust_digest;
        (self.config, self.check) = (Arc::new(config), check);
        Ok(kept)
    }

    /// Whether the files have changed since the last handshake.
    pub(in crate::mqtt::transport) fn is_stale(
        &self,
        settings: &TlsSettings,
    ) -> Result<bool, TlsFileError> {
        let trust = Trust::read(settings)?.digest();
        let identity = keys::digest(keys::read(settings)?.as_ref());
        Ok(self.known != Known { trust, identity })
    }

    /// The handshake. `host` is the broker's name, which its certificate must carry. With
    /// `credentials` it fails unless the broker is trusted.
    pub(in crate::mqtt::transport) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
        credentials: bool,
    ) -> Result<Stream, ConnectError> {
        let failed = |fault| ConnectError::Tls { host: host.to_owned(), fault };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failed(TlsFault::NoName(host.to_owned())))?;
        let mut config = self.config.clone();
        let mut lenient = None;
        if self.verify != Verify::Required && !credentials {
            let verifier = Arc::new(Verifier::lenient(self.check.clone()));
            let config = Arc::make_mut(&mut config);
            // A resumed session shows no certificate, so that it could not be checked.
            config.resumption = Resumption::disabled();
            config.dangerous().set_certificate_verifier(verifier.clone());
            lenient = Some(verifier);
        }
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(Stream {
                alpn: stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec),
                io: Box::new(stream),
                distrust: lenient.and_then(|verifier| verifier.fault()),
            }),
            Err(error) => Err(match TlsFault::of(error) {
                TlsFault::Certificate(fault) if self.verify != Verify::Required && credentials => {
                    ConnectError::UntrustedWithCredentials { host: host.to_owned(), fault }
                }
                fault => failed(fault),
            }),
        }
    }
}

/// The configuration of handshakes, with our certificate and its key, or without.
fn config_with(
    settings: &TlsSettings,
    environment: &Environment,
    check: Check,
    identity: Option<keys::Files>,
) -> Result<ClientConfig, TlsFileError> {
    let Some(files) = identity else {
        return config(settings, environment, check, |it| Ok(it.with_no_client_auth()));
    };
    let (chain, key) = files.open(settings)?;
    config(settings, environment, check, |it| it.with_client_auth_cert(chain, key))
}

type Builder = ConfigBuilder<ClientConfig, WantsClientCert>;

/// The configuration of handshakes; `with` adds who we are.
fn config(
    settings: &TlsSettings,
    environment: &Environment,
    check: Check,
    with: impl FnOnce(Builder) -> Result<ClientConfig, rustls::Error>,
) -> Result<ClientConfig, TlsFileError> {
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
        .with_custom_certificate_verifier(Arc::new(Verifier::strict(check)));
    let mut config = with(builder).map_err(TlsFileError::Rustls)?;
    // There are a few brokers at most; the default of 256 sessions would only take memory.
    config.resumption = Resumption::in_memory_sessions(4);
    config.alpn_protocols = settings.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    Ok(config)
}

/// What brokers' certificates are checked against, as it was read.
enum Trust {
    Nothing,
    Pin(Fingerprint),
    /// The setting `ca_file`, and the contents of the file.
    File(Pem, Vec<u8>),
    System(Vec<CertificateDer<'static>>),
}

impl Trust {
    fn read(settings: &TlsSettings) -> Result<Trust, TlsFileError> {
        Ok(match (settings.verify, settings.fingerprint, &settings.ca_file) {
            (Verify::None, ..) => Trust::Nothing,
            (_, Some(pin), _) => Trust::Pin(pin),
            (_, None, Some(file)) => {
                let text = file.read().map_err(|e| TlsFileError::read(CA_FILE, file, e))?;
                Trust::File(file.clone(), text)
            }
            (_, None, None) => Trust::System(authorities_of_system()?),
        })
    }

    fn digest(&self) -> Digest {
        match self {
            // These come from the settings, which do not change.
            Trust::Nothing | Trust::Pin(_) => digest_of(&[]),
            Trust::File(_, text) => digest_of(&[text]),
            Trust::System(certificates) => {
                digest_of(&certificates.iter().map(AsRef::as_ref).collect::<Vec<_>>())
            }
        }
    }

    fn check(&self) -> Result<Check, TlsFileError> {
        let mut roots = RootCertStore::empty();
        let (added, why) = match self {
            Trust::Nothing => return Ok(Check::Nothing),
            Trust::Pin(pin) => return Ok(Check::Pin(*pin)),
            Trust::File(file, text) => {
                let certificates = certificates_of(CA_FILE, file, text)?;
                let why = "holds no certificate that can be read";
                let why = TlsFileError::content(CA_FILE, file, why);
                (roots.add_parsable_certificates(certificates).0, why)
            }
            Trust::System(certificates) => {
                let why = TlsFileError::NoAuthorities(String::new());
                (roots.add_parsable_certificates(certificates.iter().cloned()).0, why)
            }
        };
        if added > 0 { Ok(Check::Authorities(Arc::new(roots))) } else { Err(why) }
    }
}

const CA_FILE: &str = "tls.ca_file";

/// A digest, to notice changed files without keeping their contents.
pub(super) type Digest = [u8; 32];

/// The digest of several byte strings; it also covers their lengths.
pub(super) fn digest_of(parts: &[&[u8]]) -> Digest {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Digests of the files that a configuration was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    trust: Digest,
    identity: Digest,
}

/// All certificates of a PEM text, at least one.
pub(super) fn certificates_of(
    key: &'static str,
    file: &Pem,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let certificates = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| {
        TlsFileError::content(key, file, format!("{error}; it must hold PEM certificates"))
    })?;
    if certificates.is_empty() {
        let why = "holds no certificate; it must be PEM, with a line -----BEGIN CERTIFICATE-----";
        return Err(TlsFileError::content(key, file, why));
    }
    Ok(certificates)
}

fn authorities_of_system() -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let found = rustls_native_certs::load_native_certs();
    if !found.certs.is_empty() {
        return Ok(found.certs);
    }
    let why = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
    Err(TlsFileError::NoAuthorities(why))
}
