//! An enum as users write it: `lines`, or `{lines: {limit: 1KiB}}`. The word alone stands for a variant
//! without settings.

use super::mistake::{Error, NOWHERE, wrong};
use super::node::{Node, unexpected};
use crate::config::yaml::{Scalar, Tree, Value};
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};
use std::sync::LazyLock;

/// One of several variants: its word, and its settings where there are some.
pub(super) struct Choice<'a> {
    node: Node<'a>,
    word: &'a str,
    /// The words that are possible.
    words: &'static [&'static str],
    settings: Option<&'a Tree>,
}

impl<'de> EnumAccess<'de> for &Choice<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        Ok((seed.deserialize(self)?, self))
    }
}

/// The word alone. serde's own enums ask for its place: comparing texts is code for each word.
impl<'de> Deserializer<'de> for &Choice<'_> {
    type Error = Error;

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(self.place()?)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.word)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum ignored_any
    }
}

/// For a variant whose word stands alone. `fixed` alone lacks its size then, and there is nothing
/// below the word to point at.
static NO_SETTINGS: LazyLock<Tree> =
    LazyLock::new(|| Tree { id: NOWHERE, ..Tree::map(Vec::new()) });

impl<'a> Choice<'a> {
    pub(super) fn of(node: Node<'a>, words: &'static [&'static str]) -> Result<Choice<'a>, Error> {
        let one_of = || wrong(format!("expected one of the words {}", words.join(", ")), None);
        let (word, settings) = match (&node.tree.value, node.tree.scalar()) {
            (Value::Map(keys), _) => match keys.as_slice() {
                [(key, settings)] => match key.scalar() {
                    Some(Scalar::Text(word)) => {
                        (word, Some(settings).filter(|settings| !settings.is_null()))
                    }
                    _ => return Err(one_of()),
                },
                _ => {
                    let remedy = format!("keep exactly one of {}", words.join(", "));
                    return Err(wrong("this must be exactly one choice", Some(&remedy)));
                }
            },
            (_, Some(Scalar::Text(word))) => (word, None),
            (_, Some(Scalar::Bool(yes))) => (if yes { "true" } else { "false" }, None),
            (Value::Tagged(_), _) => return Err(unexpected(node.tree, &"a word")),
            _ => return Err(one_of()),
        };
        Ok(Choice { node, word, words, settings })
    }

    /// The place of the word among those that are possible.
    fn place(&self) -> Result<u64, Error> {
        let place = (0..).zip(self.words).find(|(_, possible)| **possible == self.word);
        place
            .map(|(place, _)| place)
            .ok_or_else(|| de::Error::unknown_variant(self.word, self.words))
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

impl<'de> VariantAccess<'de> for &Choice<'de> {
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
