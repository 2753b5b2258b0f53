//! Values that regular expressions find in a text.

use super::{Decoded, Decoder, Format};
use crate::base::path::BuildError;
use crate::codec::field::{Field, Named, Wire, build_named};
use crate::codec::value::RejectReason;
use regex_lite::Regex;
use serde::Deserialize;

/// Regular expressions with named groups: `{patterns: ['^T:(?<temperature>[-+.0-9]+)C$']}`. The first
/// that matches is taken, and each of its groups is a field. A frame that none of them matches is refused;
/// a last one without groups, `''`, lets such frames pass.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// The regular expressions in the order in which they are tried. `^` and `$` are the ends of the
    /// frame, `(?<name>…)` names a group, and `.` is any character but a line feed.
    pub patterns: Vec<String>,
    /// Settings of fields, each with its group as `from`; default: the group with the field's name. Groups
    /// without settings are fields, too.
    #[serde(default, deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
    /// Name of the field that says which device sent the frame, for `{node}`.
    pub node: Option<String>,
}

/// A regular expression of the configuration.
pub(crate) fn regex(text: &str) -> Result<Regex, BuildError> {
    Regex::new(text).map_err(|error| {
        BuildError::new(format!("{text:?} is not a valid regular expression: {error}"))
    })
}

impl Pattern {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        if self.patterns.is_empty() {
            return Err(BuildError::new("at least one is needed").at("patterns"));
        }
        let mut patterns = Vec::with_capacity(self.patterns.len());
        for (n, pattern) in self.patterns.iter().enumerate() {
            patterns.push(regex(pattern).map_err(|error| error.item(n).at("patterns"))?);
        }
        let mut groups: Vec<&str> = Vec::new();
        for group in patterns.iter().flat_map(|regex| regex.capture_names().flatten()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let mut fields = build_named("fields", &self.fields)?;
        for (n, field) in fields.iter().enumerate() {
            if !groups.contains(&field.from.as_str()) {
                let error = BuildError::new(format!("no pattern has a group {:?}", field.from));
                let error = error.remedy(format!("there are {}", groups.join(", ")));
                return Err(error.item(n).at("fields"));
            }
        }
        for group in groups {
            if !fields.iter().any(|field| field.from == group) {
                fields.push(Field::named(group));
            }
        }
        Decoder::new(fields, Patterns(patterns)).with_node(self.node.as_deref())
    }
}

struct Patterns(Vec<Regex>);

impl Format for Patterns {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let Ok(text) = std::str::from_utf8(frame) else {
            let reason = RejectReason::NotUtf8;
            return out.reject("pattern", reason, reason.expected(), frame);
        };
        let Some(found) = self.0.iter().find_map(|regex| regex.captures(text)) else {
            let expected = "a text that one of `patterns` matches";
            return out.reject("pattern", RejectReason::Malformed, expected, frame);
        };
        for field in fields {
            if let Some(group) = found.name(&field.from) {
                out.add_text(field, None, group.as_str().as_bytes(), Wire::Bare);
            }
        }
    }
}
