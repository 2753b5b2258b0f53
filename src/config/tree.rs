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
use std::fmt;

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

impl Mistake {
    fn new(what: What) -> Mistake {
        Mistake { path: Path::default(), what }
    }

    fn inside(mut self, step: Step) -> Mistake {
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

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(why: T) -> Mistake {
        Mistake::new(What::Wrong(why.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Mistake {
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
        Mistake::new(What::Wrong(format!("expected {wanted}, found {found}{remedy}")))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Mistake {
        let wanted = in_plain_words(&expected.to_string());
        let found = match found {
            Unexpected::Unsigned(n) => n.to_string(),
            Unexpected::Signed(n) => n.to_string(),
            other => other.to_string(),
        };
        Mistake::new(What::Wrong(format!("{found} does not fit; write {wanted}")))
    }

    fn unknown_field(_: &str, allowed: &'static [&'static str]) -> Mistake {
        Mistake::new(What::UnknownKey(allowed))
    }

    fn unknown_variant(word: &str, allowed: &'static [&'static str]) -> Mistake {
        Mistake::new(What::UnknownWord(word.into(), allowed))
    }

    fn missing_field(key: &'static str) -> Mistake {
        Mistake::new(What::MissingKey(key))
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
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
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
            Value::Mapping(keys) => visitor.visit_map(Keys { entries: keys.iter(), value: None }),
            Value::Tagged(tagged) => Err(de::Error::custom(format!(
                "YAML tags such as {} mean nothing here",
                tagged.tag
            ))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            // serde would take a list for a struct's fields in their order; nobody means that.
            Value::Sequence(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let (word, settings) = match self.0 {
            Value::String(word) => (word.as_str(), None),
            Value::Bool(yes) => (if *yes { "true" } else { "false" }, None),
            Value::Mapping(keys) => match keys.iter().next() {
                Some((Value::String(word), settings)) if keys.len() == 1 => {
                    (word.as_str(), Some(settings))
                }
                _ => {
                    let words = words.join(", ");
                    let why = format!("more or less than one choice; keep exactly one of {words}");
                    return Err(de::Error::custom(why));
                }
            },
            _ => {
                let why = format!("expected one of the words {}", words.join(", "));
                return Err(de::Error::custom(why));
            }
        };
        visitor.visit_enum(Choice { word, settings })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'a> {
    items: &'a [Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mistake> {
        let at = self.next;
        let Some(item) = self.items.get(at) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|e| e.inside(Step::Item(at)))
    }
}

struct Keys<'a> {
    entries: serde_yaml::mapping::Iter<'a>,
    value: Option<(String, &'a Value)>,
}

impl<'de> MapAccess<'de> for Keys<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let name = key_text(key);
        let key: StrDeserializer<'_, Mistake> = name.as_str().into_deserializer();
        let read = seed.deserialize(key).map_err(|e| e.inside(Step::Key(name.clone())))?;
        self.value = Some((name, value));
        Ok(Some(read))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Mistake> {
        let Some((name, value)) = self.value.take() else {
            return Err(de::Error::custom("a value without its key"));
        };
        seed.deserialize(Node(value)).map_err(|e| e.inside(Step::Key(name)))
    }
}

/// A key as text: `0: off` in a lookup table has a number for its key.
pub fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        _ => String::new(),
    }
}

/// One of several variants: its word, and its settings where there are some.
struct Choice<'a> {
    word: &'a str,
    settings: Option<&'a Value>,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Mistake;
    type Variant = Choice<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Choice<'a>), Mistake> {
        let word: StrDeserializer<'_, Mistake> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl Choice<'_> {
    fn step(&self) -> Step {
        Step::Key(self.word.to_owned())
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        match self.settings {
            None | Some(Value::Null) => Ok(()),
            Some(_) => {
                let why = format!("`{}` has no settings", self.word);
                Err(Mistake::new(What::Wrong(why)).inside(self.step()))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistake> {
        let none = Value::Mapping(Mapping::new());
        match self.settings {
            // `fixed` alone lacks its size, and there is nothing below the word to point at.
            None | Some(Value::Null) => seed.deserialize(Node(&none)),
            Some(settings) => seed.deserialize(Node(settings)).map_err(|e| e.inside(self.step())),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Mistake> {
        Err(de::Error::custom("lists have no meaning here"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let none = Value::Mapping(Mapping::new());
        let node = Node(self.settings.unwrap_or(&none));
        node.deserialize_any(visitor).map_err(|e| e.inside(self.step()))
    }
}
