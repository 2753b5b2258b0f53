//! The authentication exchange of MQTT 5.0 (4.12).

#[cfg(feature = "tls")]
mod scram;

#[cfg(feature = "tls")]
pub use scram::Scram;

use crate::base::secret::Secret;
use bytes::Bytes;

/// User name and password at one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret>,
}

/// A method to prove who we are, step by step. The same value serves one exchange after the other.
pub trait Authenticate: std::fmt::Debug + Send {
    /// The name of the method, such as `SCRAM-SHA-256`.
    fn method(&self) -> &str;

    /// Whether user name and password are used in the exchange only: then CONNECT carries neither.
    fn hides_login(&self) -> bool {
        false
    }

    /// Begins an exchange and returns the data for CONNECT, or for AUTH on a link that is up. `login`
    /// is the one for the broker of this link.
    fn start(&mut self, login: &Login) -> Result<Bytes, AuthError>;

    /// Returns the answer to the broker's data.
    fn answer(&mut self, challenge: &[u8]) -> Result<Bytes, AuthError>;

    /// The broker accepted the exchange; if the method authenticates the broker too, its last data must
    /// prove who it is.
    fn finish(&mut self, last: Option<&[u8]>) -> Result<(), AuthError>;
}

/// Why an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the texts of `error` say what each one is")]
pub enum AuthError {
    #[error("the broker's step in the authentication is malformed: {0}")]
    Malformed(&'static str),
    #[error("authentication: {0}")]
    Unacceptable(&'static str),
    #[error("the broker could not prove that it knows our password; it may be somebody else")]
    Impostor,
}
