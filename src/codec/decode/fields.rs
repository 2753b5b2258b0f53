//! Values in columns.

use super::{Decoded, Decoder, Format};
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use crate::codec::field::{Field, Named, Wire, build_named};
use crate::codec::frame::find;
use serde::Deserialize;

/// Values in columns: `21.50,40,300`. Columns beyond the names are ignored; an empty column has no value.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// Bytes between two values. `" "` is any white space, also between a sign and its number: in
    /// `-  1.5 kg` the sign is a column of its own.
    #[serde(default = "Fields::default_separator")]
    pub separator: ByteString,
    /// The columns in their order, each a name or a map with settings; `_` skips a column.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub names: Vec<Named>,
    /// Name of the field that says which device sent the frame, for `{node}`.
    pub node: Option<String>,
}

impl Fields {
    fn default_separator() -> ByteString {
        ByteString::from(b",".as_slice())
    }

    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        let separator = self.separator.as_bytes().to_vec();
        if separator.is_empty() {
            let error = BuildError::new("nothing cannot separate");
            return Err(error.remedy("write \",\" or \" \"").at("separator"));
        }
        if self.names.is_empty() {
            return Err(BuildError::new("name at least one column").at("names"));
        }
        let columns = build_named("names", &self.names)?;
        let wanted = columns.iter().map(|field| field.name != "_").collect();
        let fields = columns.into_iter().filter(|field| field.name != "_").collect();
        Decoder::new(fields, Row { separator, wanted }).with_node(self.node.as_deref())
    }
}

/// A row of columns.
struct Row {
    separator: Vec<u8>,
    /// For each column whether it is a field, or skipped.
    wanted: Vec<bool>,
}

impl Format for Row {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let mut columns = split(frame, &self.separator);
        let mut fields = fields.iter();
        for is_wanted in &self.wanted {
            let column = columns.next();
            let Some(field) = is_wanted.then(|| fields.next()).flatten() else { continue };
            match column {
                Some(column) => {
                    out.add_text(field, None, column, Wire::Bare);
                }
                None => out.missing(&field.name),
            }
        }
    }
}

/// The pieces of some bytes between separators; `" "` is any white space.
pub(super) fn split<'a>(bytes: &'a [u8], separator: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let left = rest?;
        if separator == b" " {
            let left = left.trim_ascii_start();
            let end = left.iter().position(u8::is_ascii_whitespace).unwrap_or(left.len());
            let (column, after) = left.split_at(end);
            rest = Some(after);
            return (!column.is_empty()).then_some(column);
        }
        let end = find(left, separator, 0);
        rest = end.map(|end| &left[end + separator.len()..]);
        Some(end.map_or(left, |end| &left[..end]))
    })
}
