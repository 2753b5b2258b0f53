//! CONNACK (3.2).

use super::wire::Reader;
use super::{Header, PacketError};
use bytes::{BufMut, BytesMut};

pub(super) const KIND: u8 = 2;

/// The broker's answer to CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the broker has a session of this client from before (3.2.2.2).
    pub session_present: bool,
    /// Why the client is not let in; `None`: it is.
    pub refusal: Option<Refusal>,
}

/// Why a broker does not let a client in (3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 1
    #[error("the broker does not speak MQTT 3.1.1")]
    Version,
    /// 2
    #[error("the broker does not accept the client identifier; set `broker.client_id`")]
    ClientId,
    /// 3
    #[error("the broker is not available right now")]
    Unavailable,
    /// 4
    #[error("wrong user or password; see `broker.user` and `broker.password_file`")]
    BadUserOrPassword,
    /// 5
    #[error("the broker does not allow us in; does it want `broker.user` and a password?")]
    NotAuthorised,
    /// Codes that are reserved.
    #[error("the broker refused us for the unknown reason {0}")]
    Unknown(u8),
}

impl Refusal {
    /// The code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Refusal::Version => 1,
            Refusal::ClientId => 2,
            Refusal::Unavailable => 3,
            Refusal::BadUserOrPassword => 4,
            Refusal::NotAuthorised => 5,
            Refusal::Unknown(code) => code,
        }
    }

    fn from_code(code: u8) -> Option<Refusal> {
        Some(match code {
            0 => return None,
            1 => Refusal::Version,
            2 => Refusal::ClientId,
            3 => Refusal::Unavailable,
            4 => Refusal::BadUserOrPassword,
            5 => Refusal::NotAuthorised,
            code => Refusal::Unknown(code),
        })
    }
}

impl ConnAck {
    pub(super) fn read(body: &mut Reader) -> Result<ConnAck, PacketError> {
        let flags = body.u8()?;
        let refusal = Refusal::from_code(body.u8()?);
        if flags > 1 || flags == 1 && refusal.is_some() {
            return Err(PacketError::Value("the CONNACK flags cannot be"));
        }
        Ok(ConnAck { session_present: flags == 1, refusal })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        Header::write(KIND, 0, 2, out);
        out.put_u8(u8::from(self.session_present));
        out.put_u8(self.refusal.map_or(0, Refusal::code));
    }
}
