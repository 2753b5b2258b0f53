//! Frames of meters that are encrypted with AES-128: general-glo-ciphering of DLMS, which the P1 port of
//! Luxembourg has too, and mode 5 of the M-Bus.

use crate::base::path::BuildError;
use crate::base::scalar::hex_digit;
use crate::base::secret::Secret;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::path::{Path, PathBuf};

/// The keys of a device that encrypts what it sends: `{key: {file: /etc/tty2mqtt/meter.key}}`. The operator of
/// the grid or the maker of the meter gives them. A file has 32 hexadecimal digits, the 16 bytes of the key. It
/// is read when the gateway starts, and at each reload.
///
/// Of DLMS (Data-Notification in general-glo-ciphering, `DB`) and of the P1 port of Luxembourg the decoder
/// gets what was encrypted, of the M-Bus (mode 5) the telegram with its records in clear. A frame that the key
/// does not open is refused and counted as `encrypted`. Frames of Luxembourg's port have `framing: {length:
/// {prefix: "hex:DB 08", offset: 11, size: 2, add: 13}}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Decrypt {
    /// The encryption key: the global unicast key of DLMS (GUEK), the key of an M-Bus meter.
    pub key: KeyFile,
    /// The authentication key of DLMS (GAK), where the device authenticates its frames. In Luxembourg
    /// it is 00112233445566778899AABBCCDDEEFF. Without it only the form of what was encrypted is checked.
    pub auth_key: Option<KeyFile>,
}

/// A file with a key.
#[derive(Clone, Debug)]
pub struct KeyFile {
    pub file: PathBuf,
    /// What stands in it, or why it cannot be read. Whoever has the settings reads it.
    pub digits: Result<Secret, String>,
}

/// A key, or the name of a file, in place of the map.
fn in_the_open<E: de::Error>() -> Result<KeyFile, E> {
    let error = BuildError::new("a key does not stand in the configuration");
    Err(E::custom(error.remedy("write it into a file, and {file: /etc/tty2mqtt/meter.key} here")))
}

impl<'de> Deserialize<'de> for KeyFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<KeyFile, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Map {
            file: PathBuf,
        }
        struct InFile;
        impl<'de> de::Visitor<'de> for InFile {
            type Value = KeyFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the file that has the key, {file: /etc/tty2mqtt/meter.key}")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<KeyFile, A::Error> {
                let Map { file } = Map::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(KeyFile { file, digits: Err("it was not read".into()) })
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<KeyFile, E> {
                in_the_open()
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<KeyFile, E> {
                in_the_open()
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<KeyFile, E> {
                in_the_open()
            }
        }
        from.deserialize_any(InFile)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for KeyFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeyFile".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"],
            "additionalProperties": false,
        })
    }
}

#[cfg(feature = "aes")]
impl KeyFile {
    /// The key that the digits are.
    fn key(&self) -> Result<[u8; 16], BuildError> {
        let wrong = |what: String| {
            let error = BuildError::new(what).at("file");
            error.remedy("its first line is the key, 32 hexadecimal digits")
        };
        let digits = self.digits.as_ref();
        let digits =
            digits.map_err(|why| wrong(format!("cannot read {}: {why}", self.file.display())))?;
        let mut key = [0; 16];
        let mut count = 0_usize;
        for byte in digits.reveal().trim_ascii() {
            let (Some(digit), Some(place)) = (hex_digit(*byte), key.get_mut(count / 2)) else {
                return Err(wrong("what stands in it is no key".into()));
            };
            *place = *place << 4 | digit;
            count += 1;
        }
        if count == 32 { Ok(key) } else { Err(wrong("what stands in it is no key".into())) }
    }
}

/// Opens frames with the keys of a device.
pub struct Opener {
    #[cfg(feature = "aes")]
    cipher: open::Cipher,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

impl Decrypt {
    /// What opens frames. Errors are in the keys of these settings.
    #[cfg(feature = "aes")]
    pub fn build(&self) -> Result<Opener, BuildError> {
        let key = self.key.key().map_err(|error| error.at("key"))?;
        let auth_key = self.auth_key.as_ref().map(KeyFile::key).transpose();
        let auth_key = auth_key.map_err(|error| error.at("auth_key"))?;
        Ok(Opener { cipher: open::Cipher::new(&key, auth_key) })
    }

    #[cfg(not(feature = "aes"))]
    pub fn build(&self) -> Result<Opener, BuildError> {
        let error = BuildError::new("this program is built without AES");
        Err(error.remedy("install the package tty2mqtt in place of tty2mqtt-mini"))
    }

    /// The files with keys.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.key).chain(&self.auth_key).map(|key| key.file.as_path())
    }

    /// The same, each with its key of the configuration.
    pub fn files(&mut self) -> impl Iterator<Item = (&'static str, &mut KeyFile)> {
        let auth_key = self.auth_key.as_mut().map(|file| ("auth_key", file));
        std::iter::once(("key", &mut self.key)).chain(auth_key)
    }
}

impl Opener {
    /// What the frame says without its encryption, or what was expected in place of the frame.
    #[cfg(feature = "aes")]
    pub fn open(&self, frame: &[u8]) -> Result<Vec<u8>, &'static str> {
        self.cipher.open(frame)
    }

    #[cfg(not(feature = "aes"))]
    pub fn open(&self, _: &[u8]) -> Result<Vec<u8>, &'static str> {
        Err("a program with AES")
    }
}

#[cfg(feature = "aes")]
mod open;
