//! Places in the configuration, and what is wrong there.

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
    /// From the printed form of keys without dots and brackets in them, below another path.
    pub fn below(&self, text: &str) -> Path {
        let mut steps = self.0.clone();
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

/// A mistake in settings, from the innermost place that knows of it: each caller puts the key or the
/// item in front that it took the settings from, so that the path is whole at the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// Where, below the settings that are built.
    pub path: Path,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: Option<String>,
}

impl BuildError {
    /// About the settings as a whole.
    pub fn new(what: impl Into<String>) -> BuildError {
        BuildError { path: Path::default(), what: what.into(), remedy: None }
    }

    /// With what would be right.
    pub fn remedy(self, remedy: impl Into<String>) -> BuildError {
        BuildError { remedy: Some(remedy.into()), ..self }
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

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.0.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))
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
    }
}
