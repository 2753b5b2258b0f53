//! Our own certificate and its key, which may be encrypted.

use super::client::certificates_of;
use super::encrypted;
use crate::mqtt::files;
use crate::mqtt::transport::error::TlsFileError;
use crate::mqtt::transport::settings::{Pem, TlsSettings};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

const KEY: &str = "tls.key_file";
const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Certificate chain and key, if the settings name them.
pub(super) fn identity(settings: &TlsSettings) -> Result<Option<Identity>, TlsFileError> {
    let (certificate, key) = match (&settings.cert_file, &settings.key_file) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        _ => return Err(TlsFileError::HalfAnIdentity),
    };
    let chain = certificates_of("tls.cert_file", certificate)?;
    Ok(Some((chain, private_key(settings, key)?)))
}

fn private_key(settings: &TlsSettings, file: &Pem) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    let wrong = |why: String| TlsFileError::content(KEY, file, why);
    let bytes = file.read().map_err(|source| TlsFileError::read(KEY, file, source))?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(wrong(format!(
            "is encrypted in the old way of OpenSSL; convert it: \
             openssl pkcs8 -topk8 -v2 aes-256-cbc -in {file} -out new.key"
        )));
    }
    if let Some(from) = text.find(BEGIN) {
        let rest = &text[from..];
        let to = rest.find(END).map_or(rest.len(), |at| at + END.len());
        let Some(path) = &settings.key_password_file else {
            return Err(wrong(
                "is encrypted; name its password's file in key_password_file".into(),
            ));
        };
        let password = files::password(path).map_err(|source| TlsFileError::Read {
            key: "tls.key_password_file",
            file: path.display().to_string(),
            source,
        })?;
        return encrypted::open(&rest[..to], password.reveal()).map_err(wrong);
    }
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|error| wrong(format!("{error}; it must hold a private key in PEM")))
}
