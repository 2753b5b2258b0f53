//! Our own certificate and its key, which may be encrypted.

use super::client::{Digest, certificates_of, digest_of};
use super::encrypted;
use crate::base::secret::Secret;
use crate::mqtt::files;
use crate::mqtt::transport::error::TlsFileError;
use crate::mqtt::transport::settings::{Pem, TlsSettings};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

const CERTIFICATE: &str = "tls.cert_file";
const KEY: &str = "tls.key_file";
const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The contents of the files of our certificate.
pub(super) struct Files {
    chain: Vec<u8>,
    key: Vec<u8>,
    /// Of an encrypted key.
    password: Option<Secret>,
}

/// Reads certificate chain and key, if the settings name them.
pub(super) fn read(settings: &TlsSettings) -> Result<Option<Files>, TlsFileError> {
    let (certificate, key) = match (&settings.cert_file, &settings.key_file) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        _ => return Err(TlsFileError::HalfAnIdentity),
    };
    let chain = certificate.read().map_err(|e| TlsFileError::read(CERTIFICATE, certificate, e))?;
    let bytes = key.read().map_err(|e| TlsFileError::read(KEY, key, e))?;
    let password = match &settings.key_password_file {
        Some(path) if String::from_utf8_lossy(&bytes).contains(BEGIN) => {
            Some(files::password(path).map_err(|source| TlsFileError::Read {
                key: "tls.key_password_file",
                file: path.display().to_string(),
                source,
            })?)
        }
        _ => None,
    };
    Ok(Some(Files { chain, key: bytes, password }))
}

/// A digest that differs between two identities, and between one and none.
pub(super) fn digest(files: Option<&Files>) -> Digest {
    let Some(Files { chain, key, password }) = files else { return digest_of(&[]) };
    digest_of(&[chain, key, password.as_ref().map(Secret::reveal).unwrap_or_default()])
}

impl Files {
    /// Certificate chain and key.
    pub(super) fn open(&self, settings: &TlsSettings) -> Result<Identity, TlsFileError> {
        let (Some(certificate), Some(key)) = (&settings.cert_file, &settings.key_file) else {
            return Err(TlsFileError::HalfAnIdentity);
        };
        let chain = certificates_of(CERTIFICATE, certificate, &self.chain)?;
        Ok((chain, self.private_key(key)?))
    }

    fn private_key(&self, file: &Pem) -> Result<PrivateKeyDer<'static>, TlsFileError> {
        let wrong = |why: String| TlsFileError::content(KEY, file, why);
        let text = String::from_utf8_lossy(&self.key);
        if text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(wrong(format!(
                "is encrypted in the old way of OpenSSL; convert it: \
                 openssl pkcs8 -topk8 -v2 aes-256-cbc -in {file} -out new.key"
            )));
        }
        if let Some(from) = text.find(BEGIN) {
            let rest = &text[from..];
            let to = rest.find(END).map_or(rest.len(), |at| at + END.len());
            let Some(password) = &self.password else {
                return Err(wrong(
                    "is encrypted; name its password's file in key_password_file".into(),
                ));
            };
            return encrypted::open(&rest[..to], password.reveal()).map_err(wrong);
        }
        PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| wrong(format!("{error}; it must hold a private key in PEM")))
    }
}
