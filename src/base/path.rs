//! A place in the configuration as a typed path, and a mistake with its place.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// A place in the configuration: `ports.meter.frames[1].decode`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Key(String),
    /// Into an item of a list, counted from 0.
    Item(usize),
    /// Into a text: so many characters of it, the first one counted from 0.
    Characters {
        at: usize,
        count: usize,
    },
}

impl Path {
    pub fn key(&self, key: &str) -> Path {
        self.join(&Path::from([key]))
    }

    /// With an item of the list there, counted from 0.
    pub fn item(&self, at: usize) -> Path {
        self.join(&Path(vec![Step::Item(at)]))
    }

    /// With a path that goes on from there.
    pub fn join(&self, rest: &Path) -> Path {
        Path([self.0.as_slice(), &rest.0].concat())
    }
}

/// Keys from the top.
impl<const N: usize> From<[&str; N]> for Path {
    fn from(keys: [&str; N]) -> Path {
        Path(keys.map(|key| Step::Key(key.into())).into())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if n == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Characters { at, .. } => write!(f, ":{}", at + 1)?,
            }
        }
        Ok(())
    }
}

/// A mistake in settings, from the innermost place that knows of it: each caller prepends the key or
/// the item that it took the settings from, so that the path is whole at the top. In a box: what passes
/// it on is much of the code that reads settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(Box<Mistaken>);

/// What a [`BuildError`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistaken {
    /// Where, below the settings that are built.
    pub path: Path,
    pub what: String,
    pub remedy: Option<String>,
}

impl BuildError {
    pub fn new(what: impl Into<String>) -> BuildError {
        BuildError(Box::new(Mistaken { path: Path::default(), what: what.into(), remedy: None }))
    }

    /// Adds what would be right.
    pub fn remedy(mut self, remedy: impl Into<String>) -> BuildError {
        self.remedy = Some(remedy.into());
        self
    }

    /// At a place below which its own path goes on.
    pub fn below(mut self, place: &Path) -> BuildError {
        self.path = place.join(&self.path);
        self
    }

    /// In the value of a key.
    pub fn at(mut self, key: &str) -> BuildError {
        self.path.0.insert(0, Step::Key(key.into()));
        self
    }

    /// In an item of a list, counted from 0.
    pub fn item(mut self, at: usize) -> BuildError {
        self.path.0.insert(0, Step::Item(at));
        self
    }
}

impl Deref for BuildError {
    type Target = Mistaken;
    fn deref(&self) -> &Mistaken {
        &self.0
    }
}

impl DerefMut for BuildError {
    fn deref_mut(&mut self) -> &mut Mistaken {
        &mut self.0
    }
}

/// As a sentence: the path, what is wrong and the remedy. `{:#}` leaves the remedy out.
impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.0.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        let remedy = self.remedy.as_ref().filter(|_| !f.alternate());
        remedy.map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl std::error::Error for BuildError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_put_their_place_in_front() {
        let error = BuildError::new("no field").remedy("leave it out").at("field");
        let error = error.item(2).at("fields");
        assert_eq!(error.to_string(), "fields[2].field: no field; leave it out");
        assert_eq!(BuildError::new("wrong").to_string(), "wrong");
        assert_eq!(format!("{error:#}"), "fields[2].field: no field");
        let port = Path::from(["ports", "a.b"]);
        assert_eq!(
            port.join(&error.path).key("x").item(0).to_string(),
            "ports.a.b.fields[2].field.x[0]"
        );
    }
}
