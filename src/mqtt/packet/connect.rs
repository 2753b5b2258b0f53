//! CONNECT (3.1).

use super::property::Place;
use super::wire::{Reader, put_binary, qos};
use super::{Header, PacketError, Properties, Version};
use crate::base::secret::Secret;
use crate::mqtt::message::Message;
use crate::mqtt::topic::Topic;
use bytes::{BufMut, BytesMut};

pub(super) const KIND: u8 = 1;

const CLEAN: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER: u8 = 0b1000_0000;

/// A client asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The protocol version of the link.
    pub version: Version,
    /// Unique at the broker. In 5.0 an empty one asks the broker for one; in 3.1.1 it may be empty
    /// with `clean` only; 3.1 wants 1 to 23 characters.
    pub client_id: String,
    /// Whether the broker starts a new session (3.1.2.4).
    pub clean: bool,
    /// The keep-alive interval in seconds; 0 turns it off.
    pub keep_alive: u16,
    /// What the broker publishes when the client is lost (3.1.2.5).
    pub will: Option<Message>,
    /// User name.
    pub user: Option<String>,
    /// Password; before 5.0 only with a user name (3.1.1, 3.1.2.9).
    pub password: Option<Secret>,
    /// Only in 5.0.
    pub properties: Properties,
}

impl Connect {
    /// What is longer than 65,535 bytes, which its length field cannot express (1.5.4, 1.5.6).
    pub(crate) fn too_long(&self) -> Option<&'static str> {
        let is_long = |bytes: &[u8]| u16::try_from(bytes.len()).is_err();
        let will = self.will.as_ref();
        let password = self.password.as_ref().map(Secret::reveal);
        let texts = [
            ("client identifier", self.client_id.as_bytes()),
            ("user name", self.user.as_deref().unwrap_or_default().as_bytes()),
            ("password", password.unwrap_or_default()),
            ("will's payload", will.map(|will| &*will.payload).unwrap_or_default()),
        ];
        let of_will = will.and_then(|will| will.properties.as_deref());
        let long = texts.into_iter().find(|(_, bytes)| is_long(bytes)).map(|(what, _)| what);
        let mut properties = of_will.into_iter().chain([&self.properties]);
        let is_long = properties.any(|it| !it.are_writable());
        long.or(is_long.then_some("value of a property"))
    }

    pub(super) fn read(body: &mut Reader) -> Result<Connect, PacketError> {
        let name = body.text()?;
        let level = body.u8()?;
        let version = match (name.as_str(), level) {
            ("MQIsdp", 3) => Version::V31,
            ("MQTT", 4) => Version::V311,
            ("MQTT", 5) => Version::V5,
            ("MQIsdp" | "MQTT", _) => return Err(PacketError::Version(level)),
            _ => return Err(PacketError::Value("the protocol name is not MQTT")),
        };
        let flags = body.u8()?;
        let has = |flag| flags & flag != 0;
        if has(1)
            || !has(WILL) && flags & (WILL_RETAIN | 0b1_1000) != 0
            || has(PASSWORD) && !has(USER) && !version.is_5()
        {
            return Err(PacketError::Value("the connect flags contradict each other"));
        }
        let keep_alive = body.u16()?;
        let properties = Properties::read(body, version, Place::Connect)?;
        let client_id = body.text()?;
        let will = if has(WILL) {
            let properties = Properties::read(body, version, Place::Will)?;
            Some(Message {
                topic: Topic::from_utf8(body.binary()?)?,
                payload: body.binary()?,
                qos: qos(flags >> 3 & 0b11)?,
                retain: has(WILL_RETAIN),
                properties: (!properties.is_empty()).then(|| properties.into()),
            })
        } else {
            None
        };
        let user = if has(USER) { Some(body.text()?) } else { None };
        let password =
            if has(PASSWORD) { Some(Secret::from(body.binary()?.to_vec())) } else { None };
        let clean = has(CLEAN);
        Ok(Connect { version, client_id, clean, keep_alive, will, user, password, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        let version = self.version;
        let mut flags = if self.clean { CLEAN } else { 0 };
        let mut body = BytesMut::new();
        self.properties.write(&mut body, version);
        put_binary(&mut body, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.bits() << 3;
            flags |= if will.retain { WILL_RETAIN } else { 0 };
            let properties = will.properties.as_deref();
            properties.unwrap_or(&Properties::NONE).write(&mut body, version);
            put_binary(&mut body, will.topic.as_str().as_bytes());
            put_binary(&mut body, &will.payload);
        }
        if let Some(user) = &self.user {
            flags |= USER;
            put_binary(&mut body, user.as_bytes());
        }
        if let Some(password) = &self.password
            && (self.user.is_some() || version.is_5())
        {
            flags |= PASSWORD;
            put_binary(&mut body, password.reveal());
        }
        let (name, level) = version.on_the_wire();
        Header::write(KIND, 0, 2 + name.len() + 4 + body.len(), out);
        put_binary(out, name.as_bytes());
        out.put_u8(level);
        out.put_u8(flags);
        out.put_u16(self.keep_alive);
        out.put_slice(&body);
    }
}
