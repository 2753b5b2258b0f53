//! The options of TLS.

use super::{UsageError, Values, wrong};
use crate::mqtt::transport::settings::Fingerprint;
use std::path::PathBuf;

/// Encryption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Asked for by an option, a scheme or the port 8883.
    pub on: bool,
    /// `--no-tls`
    pub off: bool,
    /// A file of authorities we trust.
    pub ca_file: Option<PathBuf>,
    /// A folder of such files.
    pub ca_path: Option<PathBuf>,
    /// Our own certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// What opens the key: the first line of this file.
    pub key_password: Option<PathBuf>,
    /// SHA-256 of the broker's certificate.
    pub fingerprint: Option<Fingerprint>,
    /// No check of the broker's certificate. Then neither user nor password is sent.
    pub insecure: bool,
    /// The protocol that is asked for inside of TLS.
    pub alpn: Option<String>,
    /// No older version than 1.3.
    pub only_13: bool,
}

const FILE: &str = "a file";

impl Tls {
    /// Takes an option and its value; `false` if it is none of these. What says whom to trust asks
    /// for TLS, as with mosquitto; the rest only counts where there is TLS.
    pub(super) fn take(
        &mut self,
        name: &str,
        values: &mut Values<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<bool, UsageError> {
        match name {
            "--cafile" => self.ca_file = Some(values.path(FILE)?),
            "--capath" => self.ca_path = Some(values.path("a folder")?),
            "--tls-use-os-certs" => {}
            "--fingerprint" => self.fingerprint = Some(values.parse("a SHA-256 in hexadecimal")?),
            _ => return self.take_more(name, values, warnings),
        }
        self.on = true;
        Ok(true)
    }

    fn take_more(
        &mut self,
        name: &str,
        values: &mut Values<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<bool, UsageError> {
        match name {
            "--no-tls" => self.off = true,
            "--cert" => self.cert = Some(values.path(FILE)?),
            "--key" => self.key = Some(values.path(FILE)?),
            "--key-password-file" => self.key_password = Some(values.path(FILE)?),
            "--insecure" => self.insecure = true,
            "--tls-alpn" => self.alpn = Some(values.text("a protocol")?),
            "--tls-version" => match values.text("a version of TLS")?.as_str() {
                "tlsv1.3" => self.only_13 = true,
                "tlsv1.2" => self.only_13 = false,
                other => return wrong(format!("{name} {other}: write tlsv1.2 or tlsv1.3")),
            },
            "--keyform" => match values.text("a key's form")?.as_str() {
                "pem" => {}
                other => return wrong(format!("{name} {other}: only pem is possible")),
            },
            "--ciphers" => {
                values.text("a list")?;
                warnings.push(format!("{name} does nothing: only strong ciphers are there"));
            }
            "--psk" | "--psk-identity" => {
                return wrong(format!("{name}: no TLS with shared keys here; use --cafile"));
            }
            "--tls-engine" | "--tls-engine-kpass-sha1" => {
                return wrong(format!("{name}: no TLS engines here; use --cert and --key"));
            }
            "-S" => return wrong("-S: brokers are not looked up by SRV records; use -h"),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
