//! What the values of a field are, as far as its settings say it: for those to whom it is announced.

use super::{Field, FieldSettings};
use crate::base::path::BuildError;

/// What the values of a field are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    pub kind: Kind,
    /// The words of `lookup`.
    pub words: Vec<String>,
    /// Whether there are no other values than these words.
    pub is_closed: bool,
    /// How many decimals its numbers have, where that is known.
    pub decimals: Option<u8>,
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers where they are spelled as such, and texts.
    Any,
    Number,
    Text,
    /// A date and a time of day with their zone (ISO 8601).
    Timestamp,
    Date,
}

impl Field {
    /// What its values are before filters.
    pub fn values(&self) -> Values {
        self.convert.values(self.stored)
    }
}

impl FieldSettings {
    /// What the values are that `calc` makes.
    pub fn calculated_values(&self) -> Result<Values, BuildError> {
        let values = self.build_calculated()?.values(None);
        let has_unit = self.unit.as_deref().is_some_and(|unit| !unit.is_empty());
        // A comparison is true or false, and `if` may have texts.
        let kind = if has_unit || self.calculates() { Kind::Number } else { Kind::Any };
        Ok(Values { kind, decimals: self.decimals, ..values })
    }
}
