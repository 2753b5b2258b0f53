//! TLS: whom we trust, and who we are. Builds without the feature `tls` have its errors only.

#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod encrypted;
mod fault;
#[cfg(feature = "tls")]
mod keys;
#[cfg(feature = "tls")]
mod verify;

#[cfg(feature = "tls")]
pub(super) use client::Tls;
pub use fault::{CertificateFault, TlsFault};
