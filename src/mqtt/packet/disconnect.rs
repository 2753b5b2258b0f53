//! DISCONNECT (3.14) and AUTH (3.15).

use super::property::Place;
use super::wire::{Reader, put_reason_and_properties, reason_and_properties_len};
use super::{Header, PacketError, Properties, Reason, Version};
use bytes::BytesMut;

pub(super) const DISCONNECT: u8 = 14;
pub(super) const AUTH: u8 = 15;

/// One side leaves; before 5.0 only the client does, and only in good order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// The reason code; success before 5.0.
    pub reason: Reason,
    /// The properties; only in 5.0.
    pub properties: Properties,
}

/// A step of the authentication exchange (4.12). From 5.0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The reason code: whether the exchange succeeded, goes on, or begins again.
    pub reason: Reason,
    /// Its method and data.
    pub properties: Properties,
}

/// Without properties.
impl From<Reason> for Disconnect {
    fn from(reason: Reason) -> Disconnect {
        Disconnect::new(reason)
    }
}

impl Disconnect {
    /// A DISCONNECT without properties.
    pub fn new(reason: Reason) -> Disconnect {
        Disconnect { reason, properties: Properties::NONE }
    }

    pub(super) fn read(body: &mut Reader, version: Version) -> Result<Disconnect, PacketError> {
        let (reason, properties) = body.reason_and_properties(version, Place::Disconnect)?;
        Ok(Disconnect { reason, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut, version: Version) {
        write(DISCONNECT, self.reason, &self.properties, out, version);
    }
}

impl Auth {
    pub(super) fn read(body: &mut Reader) -> Result<Auth, PacketError> {
        let (reason, properties) = body.reason_and_properties(Version::V5, Place::Auth)?;
        // Only a packet without reason and properties may leave out its method (3.15.2.2.2).
        let says_nothing = reason == Reason::SUCCESS && properties.is_empty();
        if !says_nothing && properties.auth_method().is_none() {
            return Err(PacketError::Protocol("AUTH without its method"));
        }
        Ok(Auth { reason, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        write(AUTH, self.reason, &self.properties, out, Version::V5);
    }
}

fn write(kind: u8, reason: Reason, properties: &Properties, out: &mut BytesMut, version: Version) {
    Header::write(kind, 0, reason_and_properties_len(reason, properties, version), out);
    put_reason_and_properties(out, reason, properties, version);
}
