//! DISCONNECT (3.14) and AUTH (3.15).

use super::property::Place;
use super::reason::Carrier;
use super::wire::Reader;
use super::{Header, PacketError, Properties, Reason, Version};
use bytes::{BufMut, BytesMut};

pub(super) const DISCONNECT: u8 = 14;
pub(super) const AUTH: u8 = 15;

/// One side leaves; before 5.0 only the client does, and only in good order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; success before 5.0.
    pub reason: Reason,
    /// Only in 5.0.
    pub properties: Properties,
}

/// A step of the authentication exchange (4.12). From 5.0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Where the exchange stands.
    pub reason: Reason,
    /// Its method and data.
    pub properties: Properties,
}

impl Disconnect {
    /// Without more words.
    pub fn new(reason: Reason) -> Disconnect {
        Disconnect { reason, properties: Properties::NONE }
    }

    pub(super) fn read(body: &mut Reader, version: Version) -> Result<Disconnect, PacketError> {
        if !version.is_5() {
            return Ok(Disconnect::new(Reason::SUCCESS));
        }
        let (reason, properties) = read(DISCONNECT, Carrier::Disconnect, Place::Disconnect, body)?;
        Ok(Disconnect { reason, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut, version: Version) {
        match version.is_5() {
            true => write(DISCONNECT, self.reason, &self.properties, out),
            false => Header::write(DISCONNECT, 0, 0, out),
        }
    }
}

impl Auth {
    pub(super) fn read(body: &mut Reader) -> Result<Auth, PacketError> {
        let (reason, properties) = read(AUTH, Carrier::Auth, Place::Auth, body)?;
        // Only one that says nothing at all may leave out its method (3.15.2.2.2).
        let says_nothing = reason == Reason::SUCCESS && properties.is_empty();
        if !says_nothing && properties.auth_method().is_none() {
            return Err(PacketError::Protocol("AUTH without its method"));
        }
        Ok(Auth { reason, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        write(AUTH, self.reason, &self.properties, out);
    }
}

/// Reason and properties, of which each may be left out where it says nothing (3.14.2.1).
fn read(
    kind: u8,
    carrier: Carrier,
    place: Place,
    body: &mut Reader,
) -> Result<(Reason, Properties), PacketError> {
    if body.is_empty() {
        return Ok((Reason::SUCCESS, Properties::NONE));
    }
    let code = body.u8()?;
    let reason = Reason::in_packet(code, carrier).ok_or(PacketError::Reason { kind, code })?;
    let properties = match body.is_empty() {
        true => Properties::NONE,
        false => Properties::read(body, Version::V5, place)?,
    };
    Ok((reason, properties))
}

fn write(kind: u8, reason: Reason, properties: &Properties, out: &mut BytesMut) {
    if properties.is_empty() {
        let has_reason = reason != Reason::SUCCESS;
        Header::write(kind, 0, usize::from(has_reason), out);
        if has_reason {
            out.put_u8(reason.code());
        }
        return;
    }
    Header::write(kind, 0, 1 + properties.len(Version::V5), out);
    out.put_u8(reason.code());
    properties.write(out, Version::V5);
}
