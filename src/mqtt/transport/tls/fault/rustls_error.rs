//! What rustls says, as one of ours.

use super::{CertificateFault, TlsFault};
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use std::io;
use std::sync::Arc;

impl CertificateFault {
    /// As rustls hands it through a handshake.
    pub(in crate::mqtt::transport::tls) fn into_rustls(self) -> Error {
        CertificateError::Other(OtherError(Arc::new(self))).into()
    }

    pub(in crate::mqtt::transport::tls) fn of(error: &Error) -> CertificateFault {
        let Error::InvalidCertificate(error) = error else {
            return CertificateFault::Other(error.to_string());
        };
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                CertificateFault::UnknownAuthority
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                CertificateFault::NotValidYet(not_before.as_secs())
            }
            CertificateError::ExpiredContext { not_after, .. } => {
                CertificateFault::Expired(not_after.as_secs())
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                CertificateFault::WrongName(presented.clone())
            }
            CertificateError::Other(OtherError(other)) => {
                let known = other.downcast_ref::<CertificateFault>().cloned();
                known.unwrap_or_else(|| match other.to_string() {
                    // webpki's own words, by which rustls tells what it has no word for.
                    what if what.contains("CaUsedAsEndEntity") => {
                        CertificateFault::AuthorityAsServer
                    }
                    what if what.contains("UnsupportedCertVersion") => CertificateFault::OldVersion,
                    what => CertificateFault::Other(what),
                })
            }
            other => CertificateFault::Other(other.to_string()),
        }
    }
}

impl TlsFault {
    /// What a failed handshake, or a later read of the stream, died of.
    pub fn of(error: io::Error) -> TlsFault {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let Some(cause) = cause else {
            return if error.kind() == io::ErrorKind::UnexpectedEof {
                let what = "it closed the link in mid-handshake; is the port right?";
                TlsFault::Io(io::Error::new(error.kind(), what))
            } else {
                TlsFault::Io(error)
            };
        };
        match cause {
            Error::InvalidCertificate(_) => TlsFault::Certificate(CertificateFault::of(cause)),
            Error::InvalidMessage(_) => TlsFault::NotTls,
            Error::AlertReceived(alert) => TlsFault::of_alert(*alert),
            Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig) => {
                TlsFault::Incompatible(
                    "it speaks only an older version of TLS than \
                    `tls.min_version`"
                        .into(),
                )
            }
            Error::PeerIncompatible(what) => TlsFault::Incompatible(format!("{what:?}")),
            other => TlsFault::Other(other.to_string()),
        }
    }

    fn of_alert(alert: AlertDescription) -> TlsFault {
        use AlertDescription as A;
        match alert {
            A::CertificateRequired => TlsFault::CertificateNeeded,
            A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError => TlsFault::CertificateRefused(format!("{alert:?}")),
            A::ProtocolVersion => {
                TlsFault::Incompatible("it speaks no version of TLS that we do".into())
            }
            A::NoApplicationProtocol => {
                TlsFault::Incompatible("it speaks none of the names in `tls.alpn`".into())
            }
            A::UnrecognisedName => {
                TlsFault::Other("it does not know the name in `broker.url`".into())
            }
            alert => TlsFault::Other(format!("it ended the handshake with {alert:?}")),
        }
    }
}
