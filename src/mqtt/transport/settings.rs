//! What a connection needs to know. The doc comments of what a user writes are the manual of the
//! configuration's keys.

use super::proxy::ProxyUrl;
use crate::base::path::BuildError;
use crate::base::scalar::{parse_hex, wrong};
use crate::base::secret::Secret;
#[cfg(feature = "tls")]
use crate::mqtt::files;
use crate::mqtt::url::BrokerUrl;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

crate::base::scalar::deserialize_from_str!(Family: "any, 4 or 6",
    TlsVersion: "1.2 or 1.3",
    Pem: "file or PEM text",
    Fingerprint: "fingerprint");

/// The settings of a [`super::Connector`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The brokers in order of preference, at least one.
    pub urls: Vec<BrokerUrl>,
    /// The proxy between us and the broker.
    pub proxy: Option<ProxyUrl>,
    /// More header lines of a WebSocket's request: names and values.
    pub headers: BTreeMap<String, Secret>,
    /// For addresses with `mqtts://` and `wss://`.
    pub tls: TlsSettings,
    /// How packets leave this machine.
    pub network: Network,
    /// Whether a user name, a password or AUTH data will be sent, which only a trusted broker may get.
    /// A login in an address, a header and a client certificate have the same effect.
    pub credentials: bool,
}

impl Settings {
    /// For one broker, with the defaults for everything else.
    pub fn new(url: BrokerUrl) -> Settings {
        Settings {
            urls: vec![url],
            proxy: None,
            headers: BTreeMap::new(),
            tls: TlsSettings::default(),
            network: Network::default(),
            credentials: false,
        }
    }

    /// Whether something will be sent that only a trusted broker may get. A login in the address of
    /// one broker has this effect for all of them: they are trusted or not as one list.
    pub(crate) fn has_credentials(&self) -> bool {
        let login = |url: &BrokerUrl| url.user.is_some() || url.password.is_some();
        self.credentials
            || self.urls.iter().any(login)
            || self.tls.cert_file.is_some()
            || !self.headers.is_empty()
    }
}

/// How packets leave this machine.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Name of the only network device to use.
    pub bind_device: Option<String>,
    /// The address to connect from.
    pub local_address: Option<IpAddr>,
    /// Which addresses of a name are used.
    pub family: Family,
}

impl Network {
    /// The family that an address must have.
    pub(super) fn wanted(&self) -> Family {
        match (self.family, self.local_address) {
            (Family::Any, Some(IpAddr::V4(_))) => Family::V4,
            (Family::Any, Some(IpAddr::V6(_))) => Family::V6,
            (family, _) => family,
        }
    }

    /// Whether an address may be used.
    pub(super) fn allows(&self, address: &SocketAddr) -> bool {
        match self.wanted() {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both kinds; whichever answers first.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl FromStr for Family {
    type Err = BuildError;
    fn from_str(word: &str) -> Result<Family, BuildError> {
        match word {
            "any" => Ok(Family::Any),
            "4" => Ok(Family::V4),
            "6" => Ok(Family::V6),
            _ => wrong(format!("{word:?} is not a valid address family"), "write any, 4 or 6"),
        }
    }
}

/// How the broker proves its identity, and how the gateway proves its own. For `mqtts://` and
/// `wss://`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// PEM file of the certificate authority that signed the broker's certificate, or the PEM text
    /// itself. Default: the certificates of the system (OpenWrt: package `ca-bundle`).
    pub ca_file: Option<Pem>,
    /// SHA-256 fingerprint of the broker's certificate, in place of an authority and a name:
    /// `openssl x509 -noout -sha256 -fingerprint -in server.pem` prints it. The dates of the
    /// certificate must still be valid.
    pub fingerprint: Option<Fingerprint>,
    /// PEM file of the client certificate with its intermediate certificates, or the PEM text
    /// itself.
    pub cert_file: Option<Pem>,
    /// PEM file of the key of `cert_file`, or the PEM text itself: PKCS#8, PKCS#1 or SEC1. A PKCS#8
    /// key may be encrypted. All files of `tls` are read again before each attempt to connect, at a
    /// reload and at `tty2mqtt reconnect`; while certificate and key do not match, the last pair
    /// that did is used.
    pub key_file: Option<Pem>,
    /// File with the password of an encrypted key in its first line.
    pub key_password_file: Option<PathBuf>,
    /// Whether the broker's certificate is checked.
    pub verify: Verify,
    /// The oldest version of TLS to accept, 1.2 or 1.3. Default: 1.2.
    pub min_version: TlsVersion,
    /// Protocol names to offer (ALPN), in order of preference. Cloud brokers on port 443 want one,
    /// such as `x-amzn-mqtt-ca` or `mqtt`.
    pub alpn: Vec<String>,
}

/// Whether the broker's certificate is checked. A broker whose certificate was not found valid
/// never gets a user name, a password or a client certificate: if any of these is set, the
/// connection is refused. Revocation (CRL, OCSP) is not checked.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// The certificate must be valid.
    #[default]
    Required,
    /// The certificate is checked; a broker whose certificate is not valid is not trusted.
    Optional,
    /// The certificate is not checked; no broker is trusted.
    None,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V12,
    /// TLS 1.3.
    V13,
}

impl FromStr for TlsVersion {
    type Err = BuildError;
    fn from_str(word: &str) -> Result<TlsVersion, BuildError> {
        match word {
            "1.2" => Ok(TlsVersion::V12),
            "1.3" => Ok(TlsVersion::V13),
            "1.0" | "1.1" | "1" => {
                wrong(format!("TLS {word} is broken and not supported"), "write 1.2 or 1.3")
            }
            _ => wrong(format!("{word:?} is not a version of TLS"), "write 1.2 or 1.3"),
        }
    }
}

/// PEM data: in a file, or where the file's name would stand. The text itself is never printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// In a file.
    File(PathBuf),
    /// The text itself.
    Text(Secret),
}

impl Pem {
    /// The text. Read anew at each call.
    #[cfg(feature = "tls")]
    pub(super) fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Pem::File(path) => files::pem(path),
            Pem::Text(text) => Ok(text.reveal().to_vec()),
        }
    }
}

impl FromStr for Pem {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Pem, BuildError> {
        if text.contains("-----BEGIN ") {
            Ok(Pem::Text(text.to_owned().into()))
        } else if text.is_empty() {
            wrong("the name of the file is missing", "write the path of a PEM file")
        } else {
            Ok(Pem::File(text.into()))
        }
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => path.display().fmt(f),
            Pem::Text(_) => f.write_str("(given as text)"),
        }
    }
}

/// SHA-256 of a certificate in its binary form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a certificate in its binary form (DER).
    #[cfg(feature = "tls")]
    pub fn of(certificate: &[u8]) -> Fingerprint {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Fingerprint(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Fingerprint, BuildError> {
        // What openssl prints may be pasted whole.
        let digits = text.rsplit('=').next().unwrap_or(text).replace(':', " ");
        match parse_hex(&digits).ok().and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => Ok(Fingerprint(bytes)),
            None => wrong(
                "this is not a valid SHA-256 fingerprint",
                "write 64 hexadecimal digits, with or without colons",
            ),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if n == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}
