//! From a YAML tree to the config types, with the place of every mistake.
//!
//! This is a serde deserializer over [`Tree`] for three reasons: it knows which node it reads, it
//! reads an enum as users write it, `lines` or `{lines: {limit: 1KiB}}`, where the word alone stands
//! for a variant without settings, and it goes on behind a mistake.

mod mistake;

pub use mistake::{Mistake, What};

use super::old_names;
use super::yaml::{Scalar, Tree, Value};
pub use crate::base::path::{Path, Step};
use mistake::{Error, NOWHERE, wrong};

use crate::base::one_by_one;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::LazyLock;

impl Path {
    /// The path of a node, and the node, by its number.
    pub fn of(tree: &Tree, id: u32) -> Option<Path> {
        fn find(tree: &Tree, id: u32, steps: &mut Vec<Step>) -> bool {
            if tree.id == id {
                return true;
            }
            match &tree.value {
                Value::List(items) => items.iter().enumerate().any(|(n, item)| {
                    steps.push(Step::Item(n));
                    find(item, id, steps) || steps.pop().is_none()
                }),
                Value::Map(keys) => keys.iter().any(|(key, value)| {
                    steps.push(Step::Key(key.key_text().into_owned()));
                    key.id == id || find(value, id, steps) || steps.pop().is_none()
                }),
                _ => false,
            }
        }
        let mut steps = Vec::new();
        find(tree, id, &mut steps).then_some(Path(steps))
    }

    /// The key and the value that it leads to. An item of a list has no key.
    pub fn find<'a>(&self, tree: &'a Tree) -> Option<(Option<&'a Tree>, &'a Tree)> {
        self.0.iter().try_fold((None, tree), |(_, tree), step| match (step, &tree.value) {
            (Step::Key(key), Value::Map(_)) => {
                tree.entry(key).map(|(key, value)| (Some(key), value))
            }
            (Step::Item(at), Value::List(items)) => items.get(*at).map(|item| (None, item)),
            _ => None,
        })
    }
}

/// One reading of a tree: what was found to be wrong so far.
#[derive(Debug, Default)]
pub struct Reading {
    /// The first of the mistakes, at most as many as are shown.
    mistakes: RefCell<Vec<Mistake>>,
    /// How many there are beyond.
    more: Cell<usize>,
    /// Nodes that are passed over because they are wrong.
    cut: RefCell<HashSet<u32>>,
    /// Keys that have an old name, and their names.
    renamed: RefCell<Vec<(u32, &'static str)>>,
    /// How many nodes were looked at.
    steps: Cell<usize>,
}

/// How often a list's item, or a map's entry, is read again behind a mistake in it.
const PASSES: usize = 100;

impl Reading {
    /// Reads all of a tree, or notes what is wrong. `None` with nothing noted does not happen.
    pub fn read<T: for<'de> Deserialize<'de>>(&self, tree: &Tree) -> Option<T> {
        for _ in 0..PASSES {
            match T::deserialize(Node { tree, reading: Some(self) }) {
                Ok(read) => return Some(read),
                Err(mistake) => {
                    if !self.note(*mistake.inside(tree), tree) {
                        break;
                    }
                }
            }
        }
        None
    }

    /// The mistakes, and how many there are beyond these.
    pub fn mistakes(self) -> (Vec<Mistake>, usize) {
        (self.mistakes.into_inner(), self.more.get())
    }

    /// Keys with old names, by their numbers, and their names.
    pub fn renamed(&self) -> Vec<(u32, &'static str)> {
        self.renamed.take()
    }

    /// How many nodes were looked at.
    #[cfg(test)]
    pub fn steps(&self) -> usize {
        self.steps.get()
    }

    /// Notes a mistake in a part of `tree` and cuts it out. `false` if nothing is left.
    fn note(&self, mistake: Mistake, tree: &Tree) -> bool {
        let Mistake { node, follows, .. } = mistake;
        let mut cut = self.cut.borrow_mut();
        let is_new = cut.insert(node);
        if is_new && !follows {
            self.add(mistake);
        }
        if is_new || node == tree.id {
            return node != tree.id;
        }
        // What cannot be cut out goes with the nearest thing around it.
        let Some(mut path) = Path::of(tree, node) else { return false };
        while path.0.pop().is_some() {
            let around = path.find(tree).map_or(tree.id, |(_, node)| node.id);
            if cut.insert(around) {
                return around != tree.id;
            }
        }
        false
    }

    fn add(&self, mistake: Mistake) {
        let mut mistakes = self.mistakes.borrow_mut();
        if mistakes.len() < super::error::SHOWN {
            mistakes.push(mistake);
        } else {
            self.more.set(self.more.get() + 1);
        }
    }
}

/// A node of the tree on its way into a type.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: &'a Tree,
    /// Where mistakes are noted so that what stands behind them is read too; without it the first
    /// one ends everything.
    reading: Option<&'a Reading>,
}

/// Reads a text as a type, for what is no whole configuration. The first mistake ends it.
#[cfg(any(test, feature = "testing"))]
pub fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    let tree = Tree::read(text).map_err(|fault| fault.what)?;
    T::deserialize(Node::new(&tree)).map_err(|mistake| mistake.with_path(&tree))
}

impl<'a> Node<'a> {
    /// A tree of which the first mistake ends the reading.
    pub fn new(tree: &'a Tree) -> Node<'a> {
        Node { tree, reading: None }
    }

    fn at(self, tree: &'a Tree) -> Node<'a> {
        if let Some(reading) = self.reading {
            reading.steps.set(reading.steps.get() + 1);
        }
        Node { tree, ..self }
    }

    fn items(self, items: &'a [Tree], one_by_one: bool) -> Items<'a> {
        let one_by_one = self.reading.filter(|_| one_by_one);
        Items { node: self, items: items.iter(), again: None, one_by_one }
    }

    fn keys(self, keys: &'a [(Tree, Tree)], known: Option<Known>, one_by_one: bool) -> Keys<'a> {
        let one_by_one = self.reading.filter(|_| one_by_one);
        Keys { node: self, entries: keys.iter(), entry: None, again: None, known, one_by_one }
    }

    /// Whether one of these nodes is passed over because it is wrong.
    fn is_cut(self, nodes: (&Tree, &Tree)) -> bool {
        let Some(reading) = self.reading else { return false };
        let cut = reading.cut.borrow();
        cut.contains(&nodes.0.id) || cut.contains(&nodes.1.id)
    }

    /// A map with the keys of a struct.
    fn known<V: Visitor<'a>>(
        self,
        of: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Map(keys) = &self.tree.value else {
            return Err(unexpected(self.tree, &visitor));
        };
        visitor.visit_map(self.keys(keys, Some(Known { of, fields }), false)).map_err(
            |mut error| {
                // A key that is missing because it was wrong, or spelled wrong, was reported already.
                if let (What::MissingKey(key), NOWHERE) = (&error.what, error.node) {
                    let is_cut = self.tree.entry(key).is_some_and(|entry| self.is_cut(entry));
                    let meant = |(other, _): &(Tree, Tree)| {
                        let other = other.key_text();
                        !fields.contains(&&*other) && super::hint::is_meant(&other, key)
                    };
                    error.follows = is_cut || keys.iter().any(meant);
                }
                error
            },
        )
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match (&self.tree.value, self.tree.scalar()) {
            (Value::List(items), _) => visitor.visit_seq(self.items(items, false)),
            (Value::Map(keys), _) => visitor.visit_map(self.keys(keys, None, false)),
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
            Value::Map(keys) => visitor.visit_map(self.keys(keys, None, false)),
            _ => Err(unexpected(self.tree, &visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.tree.value {
            Value::List(items) => visitor.visit_seq(self.items(items, false)),
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
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != one_by_one::NAME {
            return visitor.visit_newtype_struct(self);
        }
        match &self.tree.value {
            _ if self.reading.is_none() => visitor.visit_newtype_struct(self),
            Value::List(items) => visitor.visit_seq(self.items(items, true)),
            Value::Map(keys) => visitor.visit_map(self.keys(keys, None, true)),
            _ => Err(unexpected(self.tree, &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(Choice::of(self, words)?)
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
fn unexpected(node: &Tree, wanted: &dyn Expected) -> Error {
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

/// The items of a list. One by one: whatever is wrong in an item is noted and cut out, and the next
/// call reads the same item once more, or the next one if nothing of it is left.
struct Items<'a> {
    node: Node<'a>,
    items: std::slice::Iter<'a, Tree>,
    /// An item that is read once more, and how often it was.
    again: Option<(&'a Tree, usize)>,
    one_by_one: Option<&'a Reading>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let (item, passes) = match self.again.take() {
            Some(again) => again,
            None => match self.items.find(|item| !self.node.is_cut((item, item))) {
                Some(item) => (item, 0),
                None => return Ok(None),
            },
        };
        let error = match seed.deserialize(self.node.at(item)) {
            Ok(read) => return Ok(Some(read)),
            Err(error) => error.inside(item),
        };
        if self.one_by_one.is_some_and(|reading| reading.note((*error).clone(), item))
            && passes < PASSES
        {
            self.again = Some((item, passes + 1));
        }
        Err(error)
    }
}

type Entry = (Tree, Tree);

/// The type of settings, and its keys.
#[derive(Clone, Copy)]
struct Known {
    of: &'static str,
    fields: &'static [&'static str],
}

/// The entries of a map; one by one as [`Items`] are.
struct Keys<'a> {
    node: Node<'a>,
    entries: std::slice::Iter<'a, Entry>,
    /// The entry whose key was read, and whose value was not.
    entry: Option<(&'a Entry, usize)>,
    again: Option<(&'a Entry, usize)>,
    /// All keys that may stand here, if that is known.
    known: Option<Known>,
    one_by_one: Option<&'a Reading>,
}

impl<'de> MapAccess<'de> for Keys<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let (entry, passes, name) = loop {
            let again = self.again.take();
            let mut next = || self.entries.find(|(key, value)| !self.node.is_cut((key, value)));
            let Some((entry, passes)) = again.or_else(|| next().map(|entry| (entry, 0))) else {
                return Ok(None);
            };
            let name = entry.0.key_text();
            let Some(Known { of, fields }) =
                self.known.filter(|known| !known.fields.contains(&&*name))
            else {
                break (entry, passes, name);
            };
            let what = match old_names::new_name(of, &name) {
                Some(name) if self.node.tree.get(name).is_none() => {
                    if let Some(reading) = self.node.reading {
                        reading.renamed.borrow_mut().push((entry.0.id, name));
                    }
                    break (entry, passes, name.into());
                }
                Some(name) => What::TwoNames(name),
                None => What::UnknownKey(fields),
            };
            let mistake = Mistake { node: entry.0.id, what, follows: false };
            match self.node.reading {
                Some(reading) => reading.note(mistake, self.node.tree),
                None => return Err(Box::new(mistake)),
            };
        };
        self.entry = Some((entry, passes));
        let key = self.node.at(&entry.0).tree;
        let word: StrDeserializer<'_, Error> = (*name).into_deserializer();
        seed.deserialize(word).map(Some).map_err(|error| {
            let error = error.inside(key);
            if let Some(reading) = self.one_by_one {
                reading.note((*error).clone(), self.node.tree);
            }
            error
        })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((entry, passes)) = self.entry.take() else {
            return Err(de::Error::custom("a value without its key"));
        };
        let value = &entry.1;
        let error = match seed.deserialize(self.node.at(value)) {
            Ok(read) => return Ok(read),
            Err(error) => error.inside(value),
        };
        if self.one_by_one.is_some_and(|reading| reading.note((*error).clone(), value))
            && passes < PASSES
        {
            self.again = Some((entry, passes + 1));
        }
        Err(error)
    }
}

/// One of several variants: its word, and its settings where there are some.
struct Choice<'a> {
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
    fn of(node: Node<'a>, words: &[&str]) -> Result<Choice<'a>, Error> {
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
