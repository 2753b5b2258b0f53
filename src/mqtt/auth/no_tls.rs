//! SCRAM where there is no library for its hashes.

use super::{AuthError, Authenticate, Login};
use bytes::Bytes;

const WHY: AuthError = AuthError::Unacceptable(
    "this build has no SCRAM; install the package tty2mqtt, not tty2mqtt-mini",
);

/// SCRAM-SHA-256, which this build does not have: each exchange fails.
#[derive(Debug, Default)]
pub struct Scram;

impl Authenticate for Scram {
    fn method(&self) -> &str {
        "SCRAM-SHA-256"
    }

    fn hides_login(&self) -> bool {
        true
    }

    fn start(&mut self, _login: &Login) -> Result<Bytes, AuthError> {
        Err(WHY)
    }

    fn answer(&mut self, _challenge: &[u8]) -> Result<Bytes, AuthError> {
        Err(WHY)
    }

    fn finish(&mut self, _last: Option<&[u8]>) -> Result<(), AuthError> {
        Err(WHY)
    }
}
