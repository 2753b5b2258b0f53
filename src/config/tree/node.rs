//! A serde deserializer over [`Tree`]: it knows which node it reads, notes the mistakes in it and goes
//! on after them.

use super::Reading;
use super::choice::Choice;
use super::mistake::{Error, Mistake, NOWHERE, What, wrong};
use crate::config::yaml::{Scalar, Tree, Value};
use crate::config::{hint, old_names};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use std::borrow::Cow;

/// A node of the tree on its way into a type.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) tree: &'a Tree,
    /// Where mistakes are noted, so that what follows them is read, too.
    pub(super) reading: &'a Reading,
}

impl<'a> Node<'a> {
    pub(super) fn at(self, tree: &'a Tree) -> Node<'a> {
        self.reading.steps.set(self.reading.steps.get() + 1);
        Node { tree, ..self }
    }

    fn items(self, items: &'a [Tree]) -> Items<'a> {
        Items { node: self, items: items.iter(), item: None, again: None }
    }

    fn keys(self, keys: &'a [(Tree, Tree)], known: Option<Known>) -> Keys<'a> {
        Keys { node: self, entries: keys.iter(), entry: None, again: None, known }
    }

    /// A map with the keys of a struct.
    pub(super) fn known<V: Visitor<'a>>(
        self,
        of: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Map(keys) = &self.tree.value else {
            return Err(unexpected(self.tree, &visitor));
        };
        let mut entries = self.keys(keys, Some(Known { of, fields }));
        visitor.visit_map(&mut entries).map_err(|error| self.follows(keys, fields, error))
    }

    /// A key that is missing because it was wrong, or spelled wrong, was reported already.
    fn follows(self, keys: &[Entry], fields: &[&str], mut error: Error) -> Error {
        if let (What::MissingKey(key), NOWHERE) = (&error.what, error.node) {
            let is_cut = |(key, value)| self.reading.is_cut([key, value]);
            let meant = |(other, _): &Entry| {
                let other = other.key_text();
                !fields.contains(&&*other) && hint::is_meant(&other, key)
            };
            error.follows = self.tree.entry(key).is_some_and(is_cut) || keys.iter().any(meant);
        }
        error
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match (&self.tree.value, self.tree.scalar()) {
            (Value::List(items), _) => visitor.visit_seq(&mut self.items(items)),
            (Value::Map(keys), _) => visitor.visit_map(&mut self.keys(keys, None)),
            (_, Some(Scalar::Null)) => visitor.visit_unit(),
            (_, Some(Scalar::Bool(yes))) => visitor.visit_bool(yes),
            (_, Some(Scalar::Unsigned(number))) => visitor.visit_u64(number),
            (_, Some(Scalar::Signed(number))) => visitor.visit_i64(number),
            (_, Some(Scalar::Float(number))) => visitor.visit_f64(number),
            (_, Some(Scalar::Text(text))) => visitor.visit_str(text),
            (_, None) => Err(unexpected(self.tree, &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.tree.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    // What can only be one kind of node asks for that one: for each type that is read, serde's
    // code for all the others is left out. It also takes a list for a struct's fields in their
    // order otherwise; nobody means that.

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.known(name, fields, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.tree.value {
            Value::Map(keys) => visitor.visit_map(&mut self.keys(keys, None)),
            _ => Err(unexpected(self.tree, &visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.tree.value {
            Value::List(items) => visitor.visit_seq(&mut self.items(items)),
            _ => Err(unexpected(self.tree, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.tree.scalar() {
            Some(Scalar::Text(text)) => visitor.visit_str(text),
            _ => Err(unexpected(self.tree, &visitor)),
        }
    }

    /// A word of any kind, as it is written: `0x1a86` stays that.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match (self.tree.scalar(), &self.tree.value) {
            (Some(Scalar::Bool(yes)), _) => visitor.visit_str(if yes { "true" } else { "false" }),
            (None | Some(Scalar::Null), _) => Err(unexpected(self.tree, &visitor)),
            (_, Value::Scalar { text, .. }) => visitor.visit_str(text),
            _ => Err(unexpected(self.tree, &visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.tree.scalar() {
            Some(Scalar::Bool(yes)) => visitor.visit_bool(yes),
            _ => Err(unexpected(self.tree, &visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(&Choice::of(self, words)?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit
        unit_struct tuple tuple_struct identifier
    }
}

/// A node of another kind than the one that is wanted.
pub(super) fn unexpected(node: &Tree, wanted: &dyn Expected) -> Error {
    let found = match (&node.value, node.scalar()) {
        (Value::List(_), _) => Unexpected::Seq,
        (Value::Map(_), _) => Unexpected::Map,
        (Value::Tagged(tag), _) => {
            return match &**tag {
                "!secret" | "!include" | "!env" | "!env_var" => wrong(
                    format!("there is no {tag} here"),
                    Some("write a password into a file of its own, named by `password_file`"),
                ),
                _ => wrong(format!("YAML tags such as {tag} mean nothing here"), Some("remove it")),
            };
        }
        (_, Some(Scalar::Bool(yes))) => Unexpected::Bool(yes),
        (_, Some(Scalar::Unsigned(number))) => Unexpected::Unsigned(number),
        (_, Some(Scalar::Signed(number))) => Unexpected::Signed(number),
        (_, Some(Scalar::Float(number))) => Unexpected::Float(number),
        (_, Some(Scalar::Text(text))) => Unexpected::Str(text),
        (_, Some(Scalar::Null) | None) => Unexpected::Unit,
    };
    de::Error::invalid_type(found, wanted)
}

/// The items of a list. Whatever is wrong in an item is noted and cut out, and the next
/// call reads the same item once more, or the next one if nothing of it is left.
struct Items<'a> {
    node: Node<'a>,
    items: std::slice::Iter<'a, Tree>,
    /// The item that is read, and how often it was read before.
    item: Option<(&'a Tree, usize)>,
    /// An item that is read once more.
    again: Option<(&'a Tree, usize)>,
}

// What serde asks for stands in the program once for each type that is read: it only passes on. What
// does the work is no generic.

impl<'a> Items<'a> {
    fn next(&mut self) -> Option<Node<'a>> {
        let mut next = || self.items.find(|item| !self.node.reading.is_cut([item; 2]));
        self.item = self.again.take().or_else(|| next().map(|item| (item, 0)));
        self.item.map(|(item, _)| self.node.at(item))
    }

    fn failed(&mut self, error: Error) -> Error {
        let Some((item, passes)) = self.item else { return error };
        let mut error = error.inside(item);
        if self.node.reading.goes_on(&mut error, item, passes) {
            self.again = Some((item, passes + 1));
        }
        error
    }
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|error| self.failed(error))
    }
}

type Entry = (Tree, Tree);

/// The type of settings, and its keys.
#[derive(Clone, Copy)]
struct Known {
    of: &'static str,
    fields: &'static [&'static str],
}

/// The entries of a map, read as [`Items`] are.
struct Keys<'a> {
    node: Node<'a>,
    entries: std::slice::Iter<'a, Entry>,
    /// The entry whose key was read, and how often its value was read before.
    entry: Option<(&'a Entry, usize)>,
    again: Option<(&'a Entry, usize)>,
    /// All keys that may stand here, if that is known.
    known: Option<Known>,
}

impl<'a> Keys<'a> {
    /// The next key that may stand here, by its name of today.
    fn next(&mut self) -> Option<Cow<'a, str>> {
        loop {
            let again = self.again.take();
            let mut next =
                || self.entries.find(|(key, value)| !self.node.reading.is_cut([key, value]));
            let (entry, passes) = again.or_else(|| next().map(|entry| (entry, 0)))?;
            self.entry = Some((entry, passes));
            let name = entry.0.key_text();
            let Some(Known { of, fields }) =
                self.known.filter(|known| !known.fields.contains(&&*name))
            else {
                return Some(name);
            };
            let what = match old_names::new_name(of, &name) {
                Some(name) if self.node.tree.get(name).is_none() => {
                    self.node.reading.renamed.borrow_mut().push((entry.0.id, name));
                    return Some(name.into());
                }
                Some(name) => What::TwoNames(name),
                None => What::UnknownKey(fields),
            };
            let mistake = Mistake { node: entry.0.id, what, follows: false, noted: true };
            self.node.reading.note(&mistake, self.node.tree);
        }
    }

    fn key_failed(&self, error: Error) -> Error {
        let Some(((key, _), _)) = self.entry else { return error };
        let mut error = error.inside(key);
        self.node.reading.goes_on(&mut error, self.node.tree, 0);
        error
    }

    fn value(&self) -> Result<Node<'a>, Error> {
        match self.entry {
            Some(((_, value), _)) => Ok(self.node.at(value)),
            None => Err(wrong("a value without its key", None)),
        }
    }

    fn value_failed(&mut self, error: Error) -> Error {
        let Some((entry, passes)) = self.entry else { return error };
        let value = &entry.1;
        let mut error = error.inside(value);
        if self.node.reading.goes_on(&mut error, value, passes) {
            self.again = Some((entry, passes + 1));
        }
        error
    }
}

impl<'de> MapAccess<'de> for Keys<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.next() else { return Ok(None) };
        let word: StrDeserializer<'_, Error> = (*name).into_deserializer();
        seed.deserialize(word).map(Some).map_err(|error| self.key_failed(error))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.value()?).map_err(|error| self.value_failed(error))
    }
}
