//! Settings that can be turned off as a whole.

use crate::base::path::BuildError;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Something with settings of its own, or the word `off`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch<T> {
    Off,
    On(T),
}

impl<T> Switch<T> {
    /// The settings, where it is not off.
    pub fn on(&self) -> Option<&T> {
        match self {
            Switch::Off => None,
            Switch::On(settings) => Some(settings),
        }
    }
}

impl<T: Default> Default for Switch<T> {
    fn default() -> Switch<T> {
        Switch::On(T::default())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Switch<T>, D::Error> {
        struct OffOrKeys<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OffOrKeys<T> {
            type Value = Switch<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys with settings, or `off`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Switch<T>, E> {
                match text {
                    "off" => Ok(Switch::Off),
                    _ => Err(E::custom(
                        BuildError::new(format!("{text:?} is not possible here"))
                            .remedy("write `off`, or keys with settings"),
                    )),
                }
            }
            // What `off` is for readers of YAML 1.1.
            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Switch<T>, E> {
                self.visit_str(if yes { "true" } else { "off" })
            }
            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<Switch<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(keys)).map(Switch::On)
            }
        }
        deserializer.deserialize_any(OffOrKeys(PhantomData))
    }
}

#[cfg(test)]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Switch<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let settings = generator.subschema_for::<T>();
        schemars::json_schema!({"anyOf": [settings, {"enum": ["off", false]}]})
    }
}
