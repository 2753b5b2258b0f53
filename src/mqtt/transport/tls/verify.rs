//! Whether the broker's certificate is valid.

use super::fault::CertificateFault;
use crate::mqtt::transport::error::Mismatch;
use crate::mqtt::transport::settings::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, OnceLock};

/// What makes a certificate valid.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// A chain to one of these authorities, and the broker's name in the certificate.
    Authorities(Arc<RootCertStore>),
    /// This fingerprint, and dates that are valid: an expired certificate is never accepted silently.
    Pin(Fingerprint),
    /// Nothing: no certificate is valid.
    Nothing,
}

impl Check {
    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        match self {
            Check::Nothing => Err(CertificateFault::NotChecked.into_rustls()),
            Check::Pin(pinned) => {
                let found = Fingerprint::of(certificate);
                if found != *pinned {
                    let mismatch = Mismatch { pinned: *pinned, found };
                    return Err(CertificateFault::Fingerprint(mismatch).into_rustls());
                }
                // Without authorities only faults of the certificate itself are found before the
                // missing authority; of these, the dates and the encoding matter.
                match chain(certificate, intermediates, &RootCertStore::empty(), now) {
                    Err(Error::InvalidCertificate(
                        error @ (CertificateError::ExpiredContext { .. }
                        | CertificateError::NotValidYetContext { .. }
                        | CertificateError::BadEncoding),
                    )) => Err(error.into()),
                    _ => Ok(()),
                }
            }
            Check::Authorities(roots) => {
                let at = |now| {
                    chain(certificate, intermediates, roots, now)?;
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
                };
                let first = at(now);
                let mut result = first.clone();
                // A clock that is slow hides all other faults: they are looked for at the time when
                // the certificate becomes valid. Each certificate of the chain may begin later than
                // the one before.
                for _ in 0..=intermediates.len() {
                    let Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                        not_before,
                        ..
                    })) = result
                    else {
                        break;
                    };
                    result = at(not_before);
                }
                if result.is_ok() { first } else { result }
            }
        }
    }
}

fn chain(
    certificate: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<(), Error> {
    let certificate = ParsedCertificate::try_from(certificate)?;
    let algorithms = algorithms().all;
    verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    ring::default_provider().signature_verification_algorithms
}

/// Applies a [`Check`]. The broker must prove in any case that it has the key of its certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    algorithms: WebPkiSupportedAlgorithms,
    /// Goes on with a broker that is not trusted, and keeps the reason.
    lenient: Option<OnceLock<CertificateFault>>,
}

impl Verifier {
    pub(super) fn strict(check: Check) -> Verifier {
        Verifier { check, algorithms: algorithms(), lenient: None }
    }

    /// For one handshake.
    pub(super) fn lenient(check: Check) -> Verifier {
        Verifier { check, algorithms: algorithms(), lenient: Some(OnceLock::new()) }
    }

    /// Why the broker of a lenient handshake is not trusted.
    pub(super) fn fault(&self) -> Option<CertificateFault> {
        self.lenient.as_ref().and_then(OnceLock::get).cloned()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match (self.check.judge(end_entity, intermediates, server_name, now), &self.lenient) {
            (Err(error), Some(fault)) => {
                // There is one certificate per handshake, so that this is set once.
                let _ = fault.set(CertificateFault::of(&error));
                Ok(ServerCertVerified::assertion())
            }
            (result, _) => result.map(|()| ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
