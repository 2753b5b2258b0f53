//! An enum as users write it: `lines`, or `{lines: {limit: 1KiB}}`. The word alone stands for a variant
//! without settings.

use super::mistake::{Error, NOWHERE, wrong};
use super::node::{Node, unexpected};
use crate::config::yaml::{Scalar, Tree, Value};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor};
use std::sync::LazyLock;

/// One of several variants: its word, and its settings where there are some.
pub(super) struct Choice<'a> {
    node: Node<'a>,
    word: &'a str,
    settings: Option<&'a Tree>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Error;
    type Variant = Choice<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Choice<'de>), Error> {
        let word: StrDeserializer<'_, Error> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

/// For a variant whose word stands alone. `fixed` alone lacks its size then, and there is nothing
/// below the word to point at.
static NO_SETTINGS: LazyLock<Tree> =
    LazyLock::new(|| Tree { id: NOWHERE, ..Tree::map(Vec::new()) });

impl<'a> Choice<'a> {
    pub(super) fn of(node: Node<'a>, words: &[&str]) -> Result<Choice<'a>, Error> {
        let one_of = || wrong(format!("expected one of the words {}", words.join(", ")), None);
        match (&node.tree.value, node.tree.scalar()) {
            (Value::Map(keys), _) => match keys.as_slice() {
                [(key, settings)] => match key.scalar() {
                    Some(Scalar::Text(word)) => {
                        let settings = Some(settings).filter(|settings| !settings.is_null());
                        Ok(Choice { node, word, settings })
                    }
                    _ => Err(one_of()),
                },
                _ => {
                    let remedy = format!("keep exactly one of {}", words.join(", "));
                    Err(wrong("this must be exactly one choice", Some(&remedy)))
                }
            },
            (_, Some(Scalar::Text(word))) => Ok(Choice { node, word, settings: None }),
            (_, Some(Scalar::Bool(yes))) => {
                Ok(Choice { node, word: if yes { "true" } else { "false" }, settings: None })
            }
            (Value::Tagged(_), _) => Err(unexpected(node.tree, &"a word")),
            _ => Err(one_of()),
        }
    }

    fn settings(&self) -> Node<'a> {
        self.node.at(self.settings.unwrap_or(&NO_SETTINGS))
    }

    /// A mistake in the settings, where there are some.
    fn inside(&self, error: Error) -> Error {
        match self.settings {
            None => error,
            Some(settings) => error.inside(settings),
        }
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        let Some(settings) = self.settings else { return Ok(()) };
        let what = format!("`{}` has no settings", self.word);
        Err(wrong(what, Some("write the word alone")).inside(settings))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.settings()).map_err(|error| self.inside(error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("lists mean nothing here"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.settings().known("", fields, visitor).map_err(|error| self.inside(error))
    }
}
