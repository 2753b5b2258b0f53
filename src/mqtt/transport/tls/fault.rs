//! What can go wrong in a handshake, in plain sentences.

use crate::clock::Stamp;
use crate::mqtt::transport::error::Mismatch;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use rustls_pki_types::UnixTime;
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The broker's certificate is not right.
    #[error("{0}")]
    Certificate(CertificateFault),
    /// The broker wants a certificate of ours.
    #[error("it wants a certificate of ours; name one in `tls.cert_file`")]
    CertificateNeeded,
    /// The broker does not take our certificate.
    #[error("it does not take our certificate ({0}); is `tls.cert_file` signed by its authority?")]
    CertificateRefused(String),
    /// There is no version, cipher or ALPN name that both sides speak.
    #[error("no common ground: {0}")]
    Incompatible(String),
    /// The other side speaks something else.
    #[error("it does not speak TLS there; is the port right, and the scheme of the address?")]
    NotTls,
    /// The broker's name cannot stand in a certificate.
    #[error("{0:?} is no name that a certificate can carry; use in `broker.url` one that is")]
    NoName(String),
    /// The stream below broke.
    #[error("the link broke: {0}")]
    Io(io::Error),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Why a broker's certificate is not right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Nobody whom we trust signed it.
    #[error(
        "its certificate was not signed by an authority we trust; name that authority in \
         `tls.ca_file`"
    )]
    UnknownAuthority,
    /// It is an authority's.
    #[error(
        "its certificate is an authority's own (CA:TRUE) and cannot stand for a server; make one \
         for the server, or pin this one by `tls.fingerprint`"
    )]
    AuthorityAsServer,
    /// It is of an old form.
    #[error(
        "its certificate is of X.509 version 1, which carries no names; make one of version 3 with \
         a subjectAltName (openssl: -extfile or -addext)"
    )]
    OldVersion,
    /// It is for another name.
    #[error(
        "its certificate is for another name ({}); use in `broker.url` a name that it carries{}",
        shown(.0), name_remedy(.0)
    )]
    WrongName(Vec<String>),
    /// It is too old.
    #[error("its certificate has expired on {}; it must be renewed at the broker", day(*.0))]
    Expired(UnixTime),
    /// It is too new, or the clock is behind. Nothing else is wrong with it.
    #[error("its certificate is not valid before {}; is this router's clock set?", day(*.0))]
    NotValidYet(UnixTime),
    /// It is another one than the pinned one.
    #[error(
        "its certificate has the fingerprint {} and not that of `tls.fingerprint`; if it was \
         renewed, write the new one there", .0.found
    )]
    Fingerprint(Mismatch),
    /// Nobody looked.
    #[error("its certificate is not checked (`tls.verify: none`)")]
    NotChecked,
    /// Anything else.
    #[error("its certificate is wrong: {0}")]
    Other(String),
}

fn shown(names: &[String]) -> String {
    match names {
        [] => "it carries none".into(),
        names => names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn name_remedy(names: &[String]) -> &'static str {
    if names.is_empty() {
        ", after making one with a subjectAltName; a common name (CN) alone is not enough"
    } else {
        ""
    }
}

fn day(time: UnixTime) -> String {
    // More than any date that Stamp can print stays what it is.
    let seconds = time.as_secs().min(253_402_300_799);
    let stamp = Stamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    stamp.chars().take(10).collect()
}

impl CertificateFault {
    /// As rustls hands it through a handshake.
    pub(super) fn into_rustls(self) -> Error {
        CertificateError::Other(OtherError(Arc::new(self))).into()
    }

    pub(super) fn of(error: &Error) -> CertificateFault {
        let Error::InvalidCertificate(error) = error else {
            return CertificateFault::Other(error.to_string());
        };
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                CertificateFault::UnknownAuthority
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                CertificateFault::NotValidYet(*not_before)
            }
            CertificateError::ExpiredContext { not_after, .. } => {
                CertificateFault::Expired(*not_after)
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
