//! CONNECT (3.1).

use super::wire::{Reader, put_binary};
use super::{Header, PacketError};
use crate::config::scalar::Secret;
use crate::mqtt::topic::{Qos, Topic};
use bytes::{BufMut, Bytes, BytesMut};

pub(super) const KIND: u8 = 1;

const CLEAN: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER: u8 = 0b1000_0000;

/// A client asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Unique at the broker; may be empty with `clean` only (3.1.3.1).
    pub client_id: String,
    /// Whether the broker starts a new session (3.1.2.4).
    pub clean: bool,
    /// Seconds without a packet from the client after which the broker gives it up; 0: never.
    pub keep_alive: u16,
    /// What the broker publishes when the client is lost.
    pub will: Option<Will>,
    /// User name.
    pub user: Option<String>,
    /// Password; only with a user name (3.1.2.9).
    pub password: Option<Secret>,
}

/// What the broker publishes when the client is lost (3.1.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where to.
    pub topic: Topic,
    /// What.
    pub payload: Bytes,
    /// How surely.
    pub qos: Qos,
    /// Whether it is kept.
    pub retain: bool,
}

impl Connect {
    pub(super) fn read(body: &mut Reader) -> Result<Connect, PacketError> {
        if body.text()? != "MQTT" {
            return Err(PacketError::Value("the protocol name is not MQTT"));
        }
        if body.u8()? != 4 {
            return Err(PacketError::Value("the protocol level is not 4 (MQTT 3.1.1)"));
        }
        let flags = body.u8()?;
        let has = |flag| flags & flag != 0;
        let will_qos = flags >> 3 & 0b11;
        if has(1)
            || !has(WILL) && flags & (WILL_RETAIN | 0b1_1000) != 0
            || has(PASSWORD) && !has(USER)
        {
            return Err(PacketError::Value("the connect flags contradict each other"));
        }
        let keep_alive = body.u16()?;
        let client_id = body.text()?;
        let will = if has(WILL) {
            let qos = Qos::try_from(u64::from(will_qos)).map_err(|_| PacketError::Qos(will_qos))?;
            let topic = body.text()?.parse()?;
            Some(Will { topic, payload: body.binary()?, qos, retain: has(WILL_RETAIN) })
        } else {
            None
        };
        let user = if has(USER) { Some(body.text()?) } else { None };
        let password = match has(PASSWORD) {
            true => {
                let text = String::from_utf8(body.binary()?.to_vec());
                Some(Secret::from(text.map_err(|_| PacketError::Utf8)?))
            }
            false => None,
        };
        Ok(Connect { client_id, clean: has(CLEAN), keep_alive, will, user, password })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        let mut flags = if self.clean { CLEAN } else { 0 };
        let mut body = BytesMut::new();
        put_binary(&mut body, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.bits() << 3;
            flags |= if will.retain { WILL_RETAIN } else { 0 };
            put_binary(&mut body, will.topic.as_str().as_bytes());
            put_binary(&mut body, &will.payload);
        }
        if let Some(user) = &self.user {
            flags |= USER;
            put_binary(&mut body, user.as_bytes());
            // Without a user name there must be none (3.1.2.9).
            if let Some(password) = &self.password {
                flags |= PASSWORD;
                put_binary(&mut body, password.reveal().as_bytes());
            }
        }
        Header::write(KIND, 0, 10 + body.len(), out);
        put_binary(out, b"MQTT");
        out.put_u8(4);
        out.put_u8(flags);
        out.put_u16(self.keep_alive);
        out.put_slice(&body);
    }
}
