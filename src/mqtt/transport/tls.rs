//! TLS by rustls with ring; verification is always on.

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What every handshake with one broker shares.
pub(super) struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Trusts the authorities of `ca_file`, or of the system.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Tls, String> {
        let roots = match ca_file {
            Some(path) => authorities_of(path)?,
            None => authorities_of_system()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        // One broker: a few sessions to resume are enough, 256 would only take memory.
        config.resumption = Resumption::in_memory_sessions(4);
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }

    /// The handshake. `host` is the broker's name, which its certificate must carry.
    pub(super) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

fn authorities_of(path: &Path) -> Result<RootCertStore, String> {
    let shown = path.display();
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|e| format!("ca_file {shown}: {e}; it must hold PEM certificates"))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 { Err(format!("ca_file {shown} holds no certificate")) } else { Ok(roots) }
}

fn authorities_of_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
    Err(format!(
        "no certificate authorities on this system{why}; install them \
         (OpenWrt: opkg install ca-bundle) or name the broker's own in `ca_file`"
    ))
}

/// What went wrong in a handshake, with the remedy where there is one.
pub(super) fn explain(error: &io::Error) -> String {
    use rustls::{CertificateError, Error};
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(why)) = cause else { return error.to_string() };
    let remedy = match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate was not signed by an authority we trust; name that authority in `ca_file`"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; is this router's clock set?"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; use in `broker.url` a name that it carries"
        }
        _ => return error.to_string(),
    };
    format!("{remedy} ({why})")
}
