//! From a YAML tree to the config types, with the path of every mistake.
//!
//! This is a serde deserializer over [`Value`] for two reasons: it knows the path of what it reads,
//! and it reads an enum as users write it, `lines` or `{lines: {limit: 1KiB}}`, where the word
//! alone stands for a variant without settings.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_yaml::{Mapping, Value};
use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

/// A place in the configuration: `ports.meter.frames[1].decode`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into the value of a key.
    Key(String),
    /// Into an item of a list, counted from 0.
    Item(usize),
}

impl Path {
    /// From its printed form; keys with dots or brackets in them are not found again.
    pub fn parse(text: &str) -> Path {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, items) = part.split_once('[').unwrap_or((part, ""));
            if !key.is_empty() {
                steps.push(Step::Key(key.into()));
            }
            let items = items.split('[').filter_map(|item| item.trim_end_matches(']').parse().ok());
            steps.extend(items.map(Step::Item));
        }
        Path(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if n == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where. For a missing key: what lacks it.
    pub path: Path,
    /// What.
    pub what: What,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A key that means nothing here; the path ends with it.
    UnknownKey(&'static [&'static str]),
    /// A word that is none of those possible.
    UnknownWord(String, &'static [&'static str]),
    /// A key that must be there.
    MissingKey(&'static str),
    /// Anything else, in a sentence.
    Wrong(String),
}

/// A [`Mistake`] on its way out. In a box: serde's code for every field of every type passes it on.
type Error = Box<Mistake>;

impl Mistake {
    fn boxed(what: What) -> Error {
        Box::new(Mistake { path: Path::default(), what })
    }

    fn inside(mut self: Box<Mistake>, step: Step) -> Error {
        self.path.0.insert(0, step);
        self
    }
}

impl std::error::Error for Mistake {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::UnknownKey(_) => f.write_str("unknown key"),
            What::UnknownWord(word, _) => write!(f, "{word:?} is not possible here"),
            What::MissingKey(key) => write!(f, "the key `{key}` is missing"),
            What::Wrong(why) => f.write_str(why),
        }
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(why: T) -> Error {
        Mistake::boxed(What::Wrong(why.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        let wanted = in_plain_words(&expected.to_string());
        let (found, remedy) = match found {
            Unexpected::Map if wanted == "a text" || wanted == "a word" => {
                ("a map", "; put quotes around a text that begins with `{`")
            }
            Unexpected::Map | Unexpected::StructVariant => ("a map of keys", ""),
            Unexpected::Seq if wanted == "a map of keys" => {
                ("a list", "; write its keys below it, each `key: value`")
            }
            Unexpected::Seq => ("a list", ""),
            Unexpected::Unit if wanted == "a map of keys" => {
                ("nothing", "; write its keys below it, each `key: value`")
            }
            Unexpected::Unit => ("nothing", ""),
            Unexpected::Bool(_) if wanted == "a text" => {
                ("true or false", "; put quotes around it")
            }
            Unexpected::Bool(_) => ("true or false", ""),
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)
                if wanted == "a text" =>
            {
                ("a number", "; put quotes around it")
            }
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => ("a whole number", ""),
            Unexpected::Float(_) => ("a number with decimals", ""),
            Unexpected::Str(_) => ("a text", ""),
            _ => ("something else", ""),
        };
        Mistake::boxed(What::Wrong(format!("expected {wanted}, found {found}{remedy}")))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        let wanted = in_plain_words(&expected.to_string());
        let found = match found {
            Unexpected::Unsigned(n) => n.to_string(),
            Unexpected::Signed(n) => n.to_string(),
            other => other.to_string(),
        };
        Mistake::boxed(What::Wrong(format!("{found} does not fit; write {wanted}")))
    }

    fn unknown_field(_: &str, allowed: &'static [&'static str]) -> Error {
        Mistake::boxed(What::UnknownKey(allowed))
    }

    fn unknown_variant(word: &str, allowed: &'static [&'static str]) -> Error {
        Mistake::boxed(What::UnknownWord(word.into(), allowed))
    }

    fn missing_field(key: &'static str) -> Error {
        Mistake::boxed(What::MissingKey(key))
    }
}

/// serde names what it expects by Rust's types; the user knows YAML.
fn in_plain_words(expected: &str) -> String {
    match expected {
        "a string" => "a text".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number that is not negative".into(),
        "i64" | "i32" => "a whole number".into(),
        "a map" => "a map of keys".into(),
        other if other.starts_with("struct ") => "a map of keys".into(),
        other => other.into(),
    }
}

/// A node of the tree on its way into a type.
pub struct Node<'a>(pub &'a Value);

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(yes) => visitor.visit_bool(*yes),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(n), _, _) => visitor.visit_u64(n),
                (_, Some(n), _) => visitor.visit_i64(n),
                (_, _, n) => visitor.visit_f64(n.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Sequence(items) => visitor.visit_seq(Items { items, next: 0 }),
            Value::Mapping(keys) => visitor.visit_map(Keys { entries: keys.iter(), entry: None }),
            Value::Tagged(_) => Err(unexpected(self.0, &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    // What can only be one kind of node asks for that one: for each type that is read, serde's
    // code for all the others is left out. It also takes a list for a struct's fields in their
    // order otherwise; nobody means that.

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Mapping(keys) => visitor.visit_map(Keys { entries: keys.iter(), entry: None }),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Sequence(items) => visitor.visit_seq(Items { items, next: 0 }),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => visitor.visit_str(text),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Bool(yes) => visitor.visit_bool(*yes),
            other => Err(unexpected(other, &visitor)),
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
        visitor.visit_enum(Choice::of(self.0, words)?)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str bytes byte_buf unit
        unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// A node of another kind than the one that is wanted.
fn unexpected(node: &Value, wanted: &dyn Expected) -> Error {
    let found = match node {
        Value::Null => Unexpected::Unit,
        Value::Bool(yes) => Unexpected::Bool(*yes),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(n), _, _) => Unexpected::Unsigned(n),
            (_, Some(n), _) => Unexpected::Signed(n),
            (_, _, n) => Unexpected::Float(n.unwrap_or(f64::NAN)),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Sequence(_) => Unexpected::Seq,
        Value::Mapping(_) => Unexpected::Map,
        Value::Tagged(tagged) => {
            let why = format!("YAML tags such as {} mean nothing here", tagged.tag);
            return Mistake::boxed(What::Wrong(why));
        }
    };
    de::Error::invalid_type(found, wanted)
}

struct Items<'a> {
    items: &'a [Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let at = self.next;
        let Some(item) = self.items.get(at) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|e| e.inside(Step::Item(at)))
    }
}

struct Keys<'a> {
    entries: serde_yaml::mapping::Iter<'a>,
    /// The key that was read, and its value, which was not.
    entry: Option<(&'a Value, &'a Value)>,
}

impl<'de> MapAccess<'de> for Keys<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.entry = self.entries.next();
        let Some((key, _)) = self.entry else { return Ok(None) };
        let name = key_text(key);
        let word: StrDeserializer<'_, Error> = (*name).into_deserializer();
        seed.deserialize(word).map(Some).map_err(|error| below(error, key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((key, value)) = self.entry.take() else {
            return Err(de::Error::custom("a value without its key"));
        };
        seed.deserialize(Node(value)).map_err(|error| below(error, key))
    }
}

fn below(error: Error, key: &Value) -> Error {
    error.inside(Step::Key(key_text(key).into_owned()))
}

/// A key as text: `0: off` in a lookup table has a number for its key.
pub fn key_text(key: &Value) -> Cow<'_, str> {
    match key {
        Value::String(text) => text.into(),
        Value::Number(number) => number.to_string().into(),
        Value::Bool(yes) => yes.to_string().into(),
        _ => "".into(),
    }
}

/// One of several variants: its word, and its settings where there are some.
struct Choice<'a> {
    word: &'a str,
    settings: Option<&'a Value>,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Error;
    type Variant = Choice<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Choice<'a>), Error> {
        let word: StrDeserializer<'_, Error> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

/// For a variant whose word stands alone. `fixed` alone lacks its size then, and there is nothing
/// below the word to point at.
static NO_SETTINGS: LazyLock<Value> = LazyLock::new(|| Value::Mapping(Mapping::new()));

impl<'a> Choice<'a> {
    fn of(node: &'a Value, words: &[&str]) -> Result<Choice<'a>, Error> {
        match node {
            Value::String(word) => Ok(Choice { word, settings: None }),
            Value::Bool(yes) => {
                Ok(Choice { word: if *yes { "true" } else { "false" }, settings: None })
            }
            Value::Mapping(keys) => match keys.iter().next() {
                Some((Value::String(word), settings)) if keys.len() == 1 => {
                    Ok(Choice { word, settings: Some(settings) })
                }
                _ => {
                    let words = words.join(", ");
                    let why = format!("more or less than one choice; keep exactly one of {words}");
                    Err(Mistake::boxed(What::Wrong(why)))
                }
            },
            _ => {
                let why = format!("expected one of the words {}", words.join(", "));
                Err(Mistake::boxed(What::Wrong(why)))
            }
        }
    }

    fn settings(&self) -> Node<'a> {
        match self.settings {
            None | Some(Value::Null) => Node(&NO_SETTINGS),
            Some(settings) => Node(settings),
        }
    }

    /// A mistake in the settings, where there are some.
    fn inside(&self, error: Error) -> Error {
        match self.settings {
            None | Some(Value::Null) => error,
            Some(_) => error.inside(Step::Key(self.word.to_owned())),
        }
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.settings {
            None | Some(Value::Null) => Ok(()),
            Some(_) => {
                let why = format!("`{}` has no settings", self.word);
                Err(self.inside(Mistake::boxed(What::Wrong(why))))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.settings()).map_err(|error| self.inside(error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("lists have no meaning here"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.settings().deserialize_map(visitor).map_err(|error| self.inside(error))
    }
}
