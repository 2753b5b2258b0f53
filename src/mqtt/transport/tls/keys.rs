//! Our own certificate and its key, which may be encrypted.

use super::certificates_of;
use crate::mqtt::transport::error::TlsFileError;
use crate::mqtt::transport::files;
use crate::mqtt::transport::settings::{Pem, TlsSettings};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const KEY: &str = "tls.key_file";
const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// What `openssl pkcs8 -scrypt` takes is 16 MiB; a router may have no more than twice that.
const MOST_MEMORY: u64 = 32 << 20;

/// Half a minute on a slow router; openssl's own is 2048, others have up to 600,000.
const MOST_ROUNDS: u32 = 2_000_000;

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
        let password = files::first_line(path).map_err(|source| TlsFileError::Read {
            key: "tls.key_password_file",
            file: path.display().to_string(),
            source,
        })?;
        return decrypt(&rest[..to], &password).map_err(wrong);
    }
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|error| wrong(format!("{error}; it must hold a private key in PEM")))
}

fn decrypt(pem: &str, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let unread = |error: String| format!("cannot be read as an encrypted key: {error}");
    let (_, document) = SecretDocument::from_pem(pem).map_err(|e| unread(e.to_string()))?;
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| unread(error.to_string()))?;
    // What opening it takes is written in the file itself, which may be anybody's.
    if let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm {
        let absurd = match &parameters.kdf {
            Kdf::Pbkdf2(kdf) => kdf.iteration_count > MOST_ROUNDS,
            Kdf::Scrypt(kdf) => {
                let memory = u64::from(kdf.block_size).saturating_mul(128);
                memory.saturating_mul(kdf.cost_parameter) > MOST_MEMORY || kdf.parallelization > 16
            }
            _ => false,
        };
        if absurd {
            return Err("takes more memory or time to open than a router has; encrypt it anew: \
                        openssl pkcs8 -topk8 -v2 aes-256-cbc"
                .into());
        }
    }
    let key = info.decrypt(password).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(error) => match error {
            pkcs8::pkcs5::Error::DecryptFailed => {
                "cannot be opened with the password in key_password_file".into()
            }
            other => format!(
                "is encrypted in an unknown way ({other}); convert it: \
                 openssl pkcs8 -topk8 -v2 aes-256-cbc"
            ),
        },
        other => unread(other.to_string()),
    })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}
