//! One field of a text format.

use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::codec::value::{Convert, Kind};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// A field: its name alone, or a map of settings.
#[derive(Clone, Debug, Default)]
pub struct Field(pub FieldSettings);

/// A field with settings: `{name: temperature, unit: °C, scale: 0.1}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FieldSettings {
    /// Its name, for `{field}`. `_` passes over a column.
    pub name: String,
    /// Where it comes from: in `pairs` the name that the device uses, in `json` a JSON pointer such
    /// as `/main/temp`. Default: `name`. Columns of `fields` are taken in order.
    #[serde(default)]
    pub from: Option<Token>,
    /// Unit of measurement, for `{unit}`. A field with a unit is a number.
    #[serde(default)]
    pub unit: Option<String>,
    /// What a value is taken for.
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// What each number is multiplied with: `0.1`. The result has its decimals too.
    #[serde(default)]
    pub scale: Option<Token>,
    /// What is added to each number, after `scale`.
    #[serde(default)]
    pub offset: Option<Token>,
    /// Round to so many decimals, half away from zero.
    #[serde(default)]
    pub decimals: Option<u8>,
    /// What single values stand for: `{0: off, 1: on}`. Others are published as they are.
    #[serde(default)]
    pub lookup: BTreeMap<Token, Token>,
    /// Values with which the device says that it has none: `[-127, none]`; `-127.00` is the
    /// same number. Nothing is published then. An empty one is no value anyway.
    #[serde(default)]
    pub unavailable: Vec<Token>,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
        struct NameOrMap;
        impl<'de> de::Visitor<'de> for NameOrMap {
            type Value = Field;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name, or a map with its `name`")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Field, E> {
                Ok(Field(FieldSettings { name: name.into(), ..FieldSettings::default() }))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
                FieldSettings::deserialize(MapAccessDeserializer::new(map)).map(Field)
            }
        }
        deserializer.deserialize_any(NameOrMap)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Field {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Field".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let settings = generator.subschema_for::<FieldSettings>();
        schemars::json_schema!({"anyOf": [{"type": "string"}, settings]})
    }
}

/// A field that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) unit: Option<String>,
    pub(super) convert: Convert,
}

impl Running {
    /// The running fields of a list under `key`.
    pub(super) fn build_all(key: &str, fields: &[Field]) -> Result<Vec<Running>, BuildError> {
        let mut names = HashSet::new();
        let mut running = Vec::new();
        for (n, Field(field)) in fields.iter().enumerate() {
            let wrong = |error: BuildError| error.item(n).at(key);
            if field.name.is_empty() {
                return Err(wrong(BuildError::new("a field needs a name")));
            }
            if field.name != "_" && !names.insert(&field.name) {
                return Err(wrong(
                    BuildError::new(format!("there is a field {:?} already", field.name))
                        .remedy("each has a name of its own"),
                ));
            }
            let convert = Convert::build(
                field.kind,
                field.unit.as_deref().is_some_and(|unit| !unit.is_empty()),
                field.scale.as_ref(),
                field.offset.as_ref(),
                field.decimals,
                &field.lookup,
                &field.unavailable,
            );
            running.push(Running {
                name: field.name.clone(),
                from: field.from.as_ref().map_or(&field.name, |Token(from)| from).clone(),
                unit: field.unit.clone(),
                convert: convert.map_err(wrong)?,
            });
        }
        Ok(running)
    }
}
