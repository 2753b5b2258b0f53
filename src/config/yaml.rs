//! A YAML text as a tree that knows the place of every node, read in one pass and within bounds.

mod fault;
mod scalar;

pub use fault::Fault;
pub use scalar::Scalar;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Keys and values of a text, those that aliases repeat included. A large configuration has some
/// thousands.
pub(super) const MOST_NODES: usize = 100_000;

/// Maps and lists within each other. A configuration has nine.
const DEEPEST: usize = 64;

/// About how many tokens the parser may have to hold back before it knows what they are.
const MOST_TOKENS: usize = 250_000;

/// A node and its place.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub value: Value,
    /// Where it stands; of a map or list where it begins.
    pub span: Span,
    /// A number that a node shares only with what an alias repeats of it.
    pub id: u32,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text, a number or another word.
    Scalar {
        /// As it is written, without quotes.
        text: Box<str>,
        /// Without quotes: it may be a number, true, false or nothing.
        plain: bool,
    },
    List(Vec<Tree>),
    /// Keys with their values, each key once.
    Map(Vec<(Tree, Tree)>),
    /// Something with a tag such as `!secret`.
    Tagged(Box<str>),
}

/// From the place of a first character to the one behind the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: Mark,
    pub end: Mark,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// From 1; 0 for a node that was not read from a text.
    pub line: u32,
    /// In characters, from 0.
    pub column: u32,
}

impl From<Marker> for Mark {
    fn from(marker: Marker) -> Mark {
        // A text has at most a megabyte.
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Mark { line: short(marker.line()), column: short(marker.col()) }
    }
}

impl Default for Value {
    fn default() -> Value {
        Value::Scalar { text: "".into(), plain: true }
    }
}

/// Trees are equal if they say the same, wherever and however it is written.
impl PartialEq for Tree {
    fn eq(&self, other: &Tree) -> bool {
        match (&self.value, &other.value) {
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::Tagged(a), Value::Tagged(b)) => a == b,
            _ => matches!((self.scalar(), other.scalar()), (Some(a), Some(b)) if a == b),
        }
    }
}

impl Tree {
    /// Reads a text. A byte order mark in front of it is passed over.
    pub fn read(text: &str) -> Result<Tree, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Inside brackets a comma may end a key, a value and a map of one key.
        let tokens = text.bytes().map(|byte| match byte {
            b',' | b'[' | b'{' | b'?' => 7,
            b'&' | b'*' | b'!' | b'"' | b'\'' => 1,
            _ => 0,
        });
        if tokens.sum::<usize>() > MOST_TOKENS {
            let what = "more brackets, commas and quotes than a configuration has";
            return Err(Fault::new(None, what, "is this the right file?"));
        }
        let mut builder = Builder::default();
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| Fault::of_parser(text, &error))?;
            let span = Span { start: span.start.into(), end: span.end.into() };
            match event {
                Event::DocumentStart(_) => documents += 1,
                _ if documents > 1 => {
                    let remedy = "one file is one configuration; remove the line `---`";
                    return Err(Fault::new(span, "a second YAML document begins here", remedy));
                }
                event => builder.take(event, span)?,
            }
        }
        Ok(builder.whole.unwrap_or_default())
    }

    /// A tree that no text was read for.
    pub fn text(text: &str) -> Tree {
        let value = Value::Scalar { text: text.into(), plain: false };
        Tree { value, ..Tree::default() }
    }

    /// A map that no text was read for.
    pub fn map(keys: Vec<(&str, Tree)>) -> Tree {
        let keys = keys.into_iter().map(|(key, value)| (Tree::text(key), value)).collect();
        Tree { value: Value::Map(keys), ..Tree::default() }
    }

    /// What it says if it is a scalar.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(Scalar::of(text)),
            Value::Scalar { text, plain: false } => Some(Scalar::Text(text)),
            _ => None,
        }
    }

    /// Where some characters of a scalar stand, the first one counted from 0. `None` where the text is not
    /// written as it is read: in several lines, or with escapes.
    pub fn characters(&self, at: usize, count: usize) -> Option<Span> {
        let Value::Scalar { text, plain } = &self.value else { return None };
        let Span { start, end } = self.span;
        let quotes = if *plain { 0 } else { 2 };
        let length = u32::try_from(text.chars().count()).ok()?;
        if start.line != end.line || end.column.checked_sub(start.column)? != length + quotes {
            return None;
        }
        let column = start.column + quotes / 2 + u32::try_from(at).ok()?;
        let start = Mark { column, ..start };
        Some(Span { start, end: Mark { column: column + u32::try_from(count).ok()?, ..start } })
    }

    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    /// Its keys and values if it is a map.
    pub fn keys(&self) -> Option<&[(Tree, Tree)]> {
        if let Value::Map(keys) = &self.value { Some(keys) } else { None }
    }

    /// The same, to change them.
    pub fn keys_mut(&mut self) -> Option<&mut Vec<(Tree, Tree)>> {
        if let Value::Map(keys) = &mut self.value { Some(keys) } else { None }
    }

    /// Its items if it is a list, to change them.
    pub fn items_mut(&mut self) -> Option<&mut Vec<Tree>> {
        if let Value::List(items) = &mut self.value { Some(items) } else { None }
    }

    /// A key and its value.
    pub fn entry(&self, wanted: &str) -> Option<(&Tree, &Tree)> {
        let found = self.keys()?.iter().find(|(key, _)| key.key_text() == wanted);
        found.map(|(key, value)| (key, value))
    }

    /// The value of a key.
    pub fn get(&self, wanted: &str) -> Option<&Tree> {
        self.entry(wanted).map(|(_, value)| value)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, wanted: &str) -> Option<&mut Tree> {
        let found = self.keys_mut()?.iter_mut().find(|(key, _)| key.key_text() == wanted);
        found.map(|(_, value)| value)
    }

    /// A key as text: `0: off` in a lookup table has a number for its key. A whole number has one
    /// spelling, whichever it is written in.
    pub fn key_text(&self) -> Cow<'_, str> {
        match (self.scalar(), &self.value) {
            (Some(Scalar::Text(text)), _) => text.into(),
            (Some(Scalar::Bool(yes)), _) => yes.to_string().into(),
            (Some(Scalar::Unsigned(number)), _) => number.to_string().into(),
            (Some(Scalar::Signed(number)), _) => number.to_string().into(),
            (Some(Scalar::Float(_)), Value::Scalar { text, .. }) => (&**text).into(),
            _ => "".into(),
        }
    }

    /// Changes all nodes, keys too.
    pub fn for_each(&mut self, change: &mut impl FnMut(&mut Tree)) {
        change(self);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.for_each(change)),
            Value::Map(keys) => keys.iter_mut().for_each(|(key, value)| {
                key.for_each(change);
                value.for_each(change);
            }),
            _ => {}
        }
    }

    /// A number that trees have in common only if they are equal, and by a chance of 2⁻⁶⁴.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.put_into(&mut hasher);
        hasher.finish()
    }

    fn put_into(&self, hasher: &mut DefaultHasher) {
        std::mem::discriminant(&self.value).hash(hasher);
        match (&self.value, self.scalar()) {
            (Value::List(items), _) => {
                items.len().hash(hasher);
                items.iter().for_each(|item| item.put_into(hasher));
            }
            (Value::Map(keys), _) => {
                keys.len().hash(hasher);
                keys.iter().for_each(|(key, value)| {
                    key.put_into(hasher);
                    value.put_into(hasher);
                });
            }
            (Value::Tagged(tag), _) => tag.hash(hasher),
            (Value::Scalar { .. }, scalar) => {
                scalar.as_ref().map(std::mem::discriminant).hash(hasher);
                match scalar {
                    Some(Scalar::Text(text)) => text.hash(hasher),
                    Some(Scalar::Bool(yes)) => yes.hash(hasher),
                    Some(Scalar::Unsigned(number)) => number.hash(hasher),
                    Some(Scalar::Signed(number)) => number.hash(hasher),
                    Some(Scalar::Float(number)) => number.to_bits().hash(hasher),
                    Some(Scalar::Null) | None => {}
                }
            }
        }
    }

    /// How many nodes it has, keys included.
    pub fn nodes(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Tree::nodes).sum(),
            Value::Map(keys) => keys.iter().map(|(key, value)| key.nodes() + value.nodes()).sum(),
            _ => 0,
        }
    }
}

/// A map or list that has not ended yet.
enum Open {
    List(Vec<Tree>),
    Map(Vec<(Tree, Tree)>, Option<Tree>),
}

#[derive(Default)]
struct Builder {
    open: Vec<(Open, Span, usize, Option<Box<str>>)>,
    anchors: HashMap<usize, Tree>,
    whole: Option<Tree>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let (open, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let value = match tag_of(tag.as_deref()) {
                    None => Value::Scalar { text: text.into(), plain },
                    Some(tag) if is_text(&tag) => Value::Scalar { text: text.into(), plain: false },
                    Some(tag) => Value::Tagged(tag),
                };
                return self.put(value, span, anchor);
            }
            Event::Alias(anchor) => {
                let Some(tree) = self.anchors.get(&anchor).cloned() else {
                    let what = "this alias refers to a map or list that contains it";
                    let remedy = "`*name` repeats what `&name` marked and what ended before";
                    return Err(Fault::new(span, what, remedy));
                };
                self.count(tree.nodes(), span)?;
                return self.add(tree);
            }
            Event::SequenceStart(anchor, tag) => (Open::List(Vec::new()), anchor, tag),
            Event::MappingStart(anchor, tag) => (Open::Map(Vec::new(), None), anchor, tag),
            Event::SequenceEnd | Event::MappingEnd => {
                // The parser ends what it began.
                let Some((open, span, anchor, tag)) = self.open.pop() else { return Ok(()) };
                let value = match (open, tag) {
                    (_, Some(tag)) => Value::Tagged(tag),
                    (Open::List(mut items), None) => {
                        items.shrink_to_fit();
                        Value::List(items)
                    }
                    (Open::Map(keys, _), None) => {
                        let mut keys = self.merged(keys)?;
                        keys.shrink_to_fit();
                        Value::Map(keys)
                    }
                };
                return self.put(value, span, anchor);
            }
            _ => return Ok(()),
        };
        if self.open.len() == DEEPEST {
            return Err(Fault::too_deep(span));
        }
        let tag = tag_of(tag.as_deref()).filter(|tag| !is_text(tag));
        self.open.push((open, span, anchor, tag));
        Ok(())
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes <= MOST_NODES {
            return Ok(());
        }
        let what = format!("more than {MOST_NODES} keys and values");
        let remedy = "a configuration has some hundreds; is this the right file?";
        Err(Fault::new(span, &what, remedy))
    }

    /// A node has ended.
    fn put(&mut self, value: Value, span: Span, anchor: usize) -> Result<(), Fault> {
        self.count(1, span)?;
        // At most as many as nodes.
        let tree = Tree { value, span, id: self.nodes as u32 };
        if anchor > 0 {
            self.count(tree.nodes(), span)?;
            self.anchors.insert(anchor, tree.clone());
        }
        self.add(tree)
    }

    fn add(&mut self, tree: Tree) -> Result<(), Fault> {
        match self.open.last_mut() {
            None => self.whole = Some(tree),
            Some((Open::List(items), ..)) => items.push(tree),
            Some((Open::Map(keys, key), ..)) => match key.take() {
                Some(key) => keys.push((key, tree)),
                None if tree.scalar().is_some() => *key = Some(tree),
                None => {
                    let remedy = "put quotes around a text that begins with `{` or `[`";
                    return Err(Fault::new(tree.span, "a key must be a word", remedy));
                }
            },
        }
        Ok(())
    }

    /// A map with what its merge keys `<<` bring, each key once.
    fn merged(&mut self, keys: Vec<(Tree, Tree)>) -> Result<Vec<(Tree, Tree)>, Fault> {
        let is_merge = |key: &Tree| matches!(&key.value, Value::Scalar { text, plain: true } if &**text == "<<");
        let (merges, mut keys): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(key, _)| is_merge(key));
        let mut seen = HashSet::new();
        for (key, _) in &keys {
            if !seen.insert(key.key_text().into_owned()) {
                let remedy = "remove or rename one of the two";
                return Err(Fault::new(key.span, "this key is given twice", remedy));
            }
        }
        for (key, value) in merges {
            let maps = match value.value {
                Value::List(items) => items,
                _ => vec![value],
            };
            for map in maps {
                let Value::Map(new) = map.value else {
                    let what = "a merge key `<<` needs a map as its value";
                    let remedy = "write `<<: *name`, where `&name` marks a map";
                    return Err(Fault::new(key.span, what, remedy));
                };
                let is_new = |(key, _): &(Tree, Tree)| seen.insert(key.key_text().into_owned());
                keys.extend(new.into_iter().filter(is_new));
            }
        }
        Ok(keys)
    }
}

/// A tag as it is written, unless the node is the same without it.
fn tag_of(tag: Option<&Tag>) -> Option<Box<str>> {
    const STANDARD: &[&str] = &["!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq"];
    let tag = tag?;
    let is_core = tag.is_yaml_core_schema();
    let name = if is_core { format!("!!{}", tag.suffix) } else { tag.to_string() };
    (!STANDARD.contains(&&*name)).then(|| name.into())
}

/// Whether a tag makes a text of a word.
fn is_text(tag: &str) -> bool {
    matches!(tag, "!!str" | "!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_its_place() {
        let tree = Tree::read("a: {b: \"c d\", e: [1, f]}\nä: |\n  x\n  y\n").unwrap();
        let place = |tree: &Tree| {
            let Span { start, end } = tree.span;
            (start.line, start.column, end.line, end.column)
        };
        let a = tree.get("a").unwrap();
        assert_eq!(place(a.get("b").unwrap()), (1, 7, 1, 12));
        let Value::List(items) = &a.get("e").unwrap().value else { panic!() };
        assert_eq!(place(&items[1]), (1, 21, 1, 22));
        let block = tree.get("ä").unwrap();
        assert_eq!(block.span.start.line, 3);
        assert_eq!(block.scalar(), Some(Scalar::Text("x\ny\n")));
    }

    #[test]
    fn aliases_and_merges() {
        let tree =
            Tree::read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {<<: [*a, {z: 1}]}\n");
        let tree = tree.unwrap();
        assert_eq!(tree.get("b").unwrap().get("x"), tree.get("a").unwrap().get("x"));
        assert_eq!(tree.get("b").unwrap().get("y").unwrap().scalar(), Some(Scalar::Unsigned(3)));
        assert_eq!(tree.get("c"), tree.get("a"));
        assert_eq!(tree.get("d").unwrap().keys().unwrap().len(), 3);
        let bomb: String = (1..30).fold("a0: &a0 [x]\n".into(), |text, n| {
            let before = format!("*a{}, ", n - 1).repeat(9);
            format!("{text}a{n}: &a{n} [{before}]\n")
        });
        assert!(Tree::read(&bomb).unwrap_err().what.contains("100000"));
        for wrong in
            ["a: &a [*a]", "a: *b", "{<<: 1}", "{<<: [1]}", "a: 1\na: 2", "{1: a, \"1\": b}"]
        {
            assert!(Tree::read(wrong).is_err(), "{wrong}");
        }
    }
}
