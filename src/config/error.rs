//! Mistakes in a configuration, shown as a compiler shows them.

use super::tree::{Path, Step};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Everything that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file's name.
    pub file: String,
    /// All that was found.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, with its place and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file that it is in, if that is not the configuration itself.
    pub file: Option<String>,
    /// Line and column from 1, and the source line; where it could be found.
    pub place: Option<Place>,
    /// `ports.meter.framing`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: Option<String>,
}

/// A place in the file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The source line.
    pub source: String,
    /// How many characters to point at.
    pub width: usize,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            problem.show(problem.file.as_ref().unwrap_or(&self.file), f)?;
        }
        match (self.problems.len(), self.problems.iter().all(|p| p.file.is_none())) {
            (1, _) => Ok(()),
            (n, true) => write!(f, "\n{n} problems in {}", self.file),
            (n, false) => write!(f, "\n{n} problems"),
        }
    }
}

impl Problem {
    fn show(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(file)?;
        if let Some(Place { line, column, .. }) = &self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        writeln!(f, ": {}", self.what)?;
        if let Some(Place { line, column, source, width }) = &self.place {
            let (shown, pad, width) = window(source, column - 1, *width);
            writeln!(f, "{line:5} | {shown}")?;
            // Not as a width of the format: those end at 65,535.
            writeln!(f, "      | {}{}", " ".repeat(pad), "^".repeat(width))?;
        }
        match &self.remedy {
            Some(remedy) => writeln!(f, "      = {remedy}"),
            None => Ok(()),
        }
    }
}

/// Most characters of a source line that are shown.
const SHOWN: usize = 120;

/// What is shown of a source line: all, or a window around the `width` characters behind the first
/// `before`; and how many characters stand in front of these, and how many of them there are.
fn window(source: &str, before: usize, width: usize) -> (String, usize, usize) {
    let length = source.chars().count();
    if length <= SHOWN {
        return (source.to_owned(), before.min(SHOWN), width.min(SHOWN));
    }
    let from = before.saturating_sub(SHOWN / 3).min(length);
    let to = (from + SHOWN).min(length);
    let head = if from > 0 { "…" } else { "" };
    let tail = if to < length { "…" } else { "" };
    let cut: String = source.chars().skip(from).take(to - from).collect();
    let pad = before.min(length) - from + head.chars().count();
    (format!("{head}{cut}{tail}"), pad, width.min(to - from).max(1))
}

/// What of a node to point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key that leads to it.
    Key,
    /// The node itself.
    Value,
}

impl Place {
    /// The place of a line and column, both from 1.
    pub fn new(text: &str, line: usize, column: usize) -> Option<Place> {
        let source = text.lines().nth(line.checked_sub(1)?)?.replace('\t', " ");
        let source = masked(&source);
        let rest: String = source.chars().skip(column.checked_sub(1)?).collect();
        let width = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
            Some('{' | '[') => 1,
            _ => rest.find([',', '}', ']', ':']).unwrap_or(rest.len()),
        };
        let shown = rest.get(..width).unwrap_or(&rest);
        let shown = shown.split(" #").next().unwrap_or(shown).trim_end();
        let width = shown.chars().count().max(1);
        Some(Place { line, column, source, width })
    }

    /// The place of a node, found by reading the text once more and failing at the node: the YAML
    /// reader then says where it was.
    pub fn of(text: &str, path: &Path, part: Part) -> Option<Place> {
        let seed = Locate { steps: &path.0, part };
        let error = seed.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        let location = error.location()?;
        Place::new(text, location.line(), location.column())
    }
}

impl Place {
    /// The place of the first key that its map has had before.
    pub fn of_duplicate(text: &str) -> Option<Place> {
        let error = Unique.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        let location = error.location()?;
        Place::new(text, location.line(), location.column())
    }
}

/// A source line without its secrets, which must not get into a log: what stands behind `password:`
/// and before the `@` of an address.
fn masked(line: &str) -> String {
    let from = line.find("password:").map(|at| at + "password:".len());
    let from = from.or_else(|| line.find("://").filter(|_| line.contains('@')).map(|at| at + 3));
    let Some(from) = from else { return line.to_owned() };
    let to = line.rfind('@').filter(|at| *at > from).unwrap_or(line.len());
    let hide = |c: char| if c.is_whitespace() { c } else { '*' };
    let hidden: String = line[from..to].chars().map(hide).collect();
    format!("{}{hidden}{}", &line[..from], &line[to..])
}

/// Walks through everything and fails at a key that its map has had before.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Unique)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while keys.next_key_seed(NewKey(&mut seen))?.is_some() {
            keys.next_value_seed(Unique)?;
        }
        Ok(())
    }
}

/// A key that must not be among those seen.
struct NewKey<'a>(&'a mut HashSet<String>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NewKey<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        if self.0.insert(key.to_owned()) { Ok(()) } else { here() }
    }
    fn visit_u64<E: de::Error>(self, key: u64) -> Result<(), E> {
        self.visit_str(&key.to_string())
    }
    fn visit_i64<E: de::Error>(self, key: i64) -> Result<(), E> {
        self.visit_str(&key.to_string())
    }
    fn visit_f64<E: de::Error>(self, key: f64) -> Result<(), E> {
        self.visit_str(&key.to_string())
    }
    fn visit_bool<E: de::Error>(self, key: bool) -> Result<(), E> {
        self.visit_str(&key.to_string())
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.visit_str("")
    }
}

/// Walks down a path and fails where it ends.
#[derive(Clone, Copy)]
struct Locate<'a> {
    steps: &'a [Step],
    part: Part,
}

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

fn here<E: de::Error>() -> Result<(), E> {
    Err(E::custom("here"))
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        here()
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        here()
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        here()
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        here()
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        here()
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        here()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), steps)) = self.steps.split_first() else { return here() };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Locate { steps, ..self }).map(|_| ())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), steps)) = self.steps.split_first() else { return here() };
        let at_key = steps.is_empty() && self.part == Part::Key;
        while let Some(found) = keys.next_key_seed(KeyIs { wanted, fail: at_key })? {
            if found {
                return keys.next_value_seed(Locate { steps, ..self });
            }
            keys.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a key is the one looked for; fails at it if that is wanted.
struct KeyIs<'a> {
    wanted: &'a str,
    fail: bool,
}

impl KeyIs<'_> {
    fn compare<E: de::Error>(&self, key: &str) -> Result<bool, E> {
        if key == self.wanted && self.fail {
            Err(E::custom("here"))
        } else {
            Ok(key == self.wanted)
        }
    }
}

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyIs<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        self.compare(key)
    }
    fn visit_u64<E: de::Error>(self, key: u64) -> Result<bool, E> {
        self.compare(&key.to_string())
    }
    fn visit_i64<E: de::Error>(self, key: i64) -> Result<bool, E> {
        self.compare(&key.to_string())
    }
    fn visit_f64<E: de::Error>(self, key: f64) -> Result<bool, E> {
        self.compare(&key.to_string())
    }
    fn visit_bool<E: de::Error>(self, key: bool) -> Result<bool, E> {
        self.compare(&key.to_string())
    }
    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        self.compare("")
    }
}
