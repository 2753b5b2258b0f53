//! What can go wrong in a handshake, in plain sentences.

#[cfg(feature = "tls")]
mod rustls_error;

use crate::base::clock::Stamp;
use crate::mqtt::transport::error::Mismatch;
use std::io;
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
    #[error("the link broke: {0}; does that port speak TLS?")]
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
    /// It is too old: when it ended, in seconds since 1970.
    #[error("its certificate has expired on {}; it must be renewed at the broker", day(*.0))]
    Expired(u64),
    /// It is too new, or the clock is behind: when it begins, in seconds since 1970. Nothing else
    /// is wrong with it.
    #[error("its certificate is not valid before {}; is this router's clock set?", day(*.0))]
    NotValidYet(u64),
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

fn day(seconds: u64) -> String {
    // More than any date that Stamp can print stays what it is.
    let seconds = seconds.min(253_402_300_799);
    let stamp = Stamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    stamp.chars().take(10).collect()
}
