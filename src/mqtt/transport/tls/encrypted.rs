//! Encrypted PKCS#8 keys: PBES2 of RFC 8018, by AES or 3DES.

use rustls_pki_types::PrivateKeyDer;

/// Builds without the feature, 160 KB smaller, cannot.
#[cfg(not(feature = "encrypted-keys"))]
pub(super) fn open(_: &str, _: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    Err("is encrypted, and this build cannot open it (feature `encrypted-keys`); store it open, \
         readable by this user only: openssl pkcs8 -topk8 -nocrypt"
        .into())
}

#[cfg(feature = "encrypted-keys")]
pub(super) use with_pkcs8::open;

#[cfg(feature = "encrypted-keys")]
mod with_pkcs8 {
    use super::PrivateKeyDer;
    use pkcs8::pkcs5::pbes2::Kdf;
    use pkcs8::pkcs5::{EncryptionScheme, Error as SchemeError};
    use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
    use rustls_pki_types::PrivatePkcs8KeyDer;

    /// What `openssl pkcs8 -scrypt` takes is 16 MiB; a router may have no more than twice that.
    const MOST_MEMORY: u64 = 32 << 20;

    /// Half a minute on a slow router; openssl's own is 2048, others have up to 600,000.
    const MOST_ROUNDS: u32 = 2_000_000;

    /// The key in a PEM text, from its first line to its last.
    pub(in crate::mqtt::transport::tls) fn open(
        pem: &str,
        password: &[u8],
    ) -> Result<PrivateKeyDer<'static>, String> {
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
                    memory.saturating_mul(kdf.cost_parameter) > MOST_MEMORY
                        || kdf.parallelization > 16
                }
                _ => false,
            };
            if absurd {
                return Err(
                    "takes more memory or time to open than a router has; encrypt it anew: \
                        openssl pkcs8 -topk8 -v2 aes-256-cbc"
                        .into(),
                );
            }
        }
        let key = info.decrypt(password).map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(error) => match error {
                SchemeError::DecryptFailed => {
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
}
