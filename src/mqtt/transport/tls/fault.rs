//! What can go wrong in a handshake, in plain sentences.

#[cfg(feature = "tls")]
mod rustls_error;

use crate::base::clock::Stamp;
use crate::mqtt::transport::error::Mismatch;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts of `error` say what each one is")]
pub enum TlsFault {
    #[error("{0}")]
    Certificate(CertificateFault),
    #[error("it wants a certificate of ours; name one in `tls.cert_file`")]
    CertificateNeeded,
    #[error("it does not take our certificate ({0}); is `tls.cert_file` signed by its authority?")]
    CertificateRefused(String),
    #[error("no common ground: {0}")]
    Incompatible(String),
    #[error("it does not speak TLS there; is the port right, and the scheme of the address?")]
    NotTls,
    #[error("{0:?} is no name that a certificate can carry; use in `broker.url` one that is")]
    NoName(String),
    #[error("the link broke: {0}; does that port speak TLS?")]
    Io(io::Error),
    #[error("{0}")]
    Other(String),
}

/// Why a broker's certificate is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the texts of `error` say what each one is")]
pub enum CertificateFault {
    #[error(
        "its certificate was not signed by an authority we trust; name that authority in \
         `tls.ca_file`"
    )]
    UnknownAuthority,
    #[error(
        "its certificate is an authority's own (CA:TRUE) and cannot stand for a server; make one \
         for the server, or pin this one by `tls.fingerprint`"
    )]
    AuthorityAsServer,
    #[error(
        "its certificate is of X.509 version 1, which carries no names; make one of version 3 with \
         a subjectAltName (openssl: -extfile or -addext)"
    )]
    OldVersion,
    #[error(
        "its certificate is for another name ({}); use in `broker.url` a name that it carries{}",
        shown(.0), name_remedy(.0)
    )]
    WrongName(Vec<String>),
    /// In seconds since 1970, like `NotValidYet`.
    #[error("its certificate has expired on {}; it must be renewed at the broker", day(*.0))]
    Expired(u64),
    #[error("its certificate is not valid before {}; is this router's clock set?", day(*.0))]
    NotValidYet(u64),
    #[error(
        "its certificate has the fingerprint {} and not that of `tls.fingerprint`; if it was \
         renewed, write the new one there", .0.found
    )]
    Fingerprint(Mismatch),
    #[error("its certificate is not checked (`tls.verify: none`)")]
    NotChecked,
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

fn day(seconds: u64) -> String {
    // The last second that `Stamp` can print.
    let seconds = seconds.min(253_402_300_799);
    let stamp = Stamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    stamp.chars().take(10).collect()
}
