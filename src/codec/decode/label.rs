//! Rows in which one column names the value in another.

use super::{Decoded, Decoder, Format};
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use crate::codec::decode::fields::split;
use crate::codec::field::{Field, Named, PLAIN, Wire, build_named};
use crate::codec::frame::find;
use crate::codec::spelled::Spelled;
use crate::codec::time::TimeFormat;
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;

/// Rows in which a column names the value in another one: `EASF03 001548023`. For Linky meters (TIC) in
/// standard mode `{separator: "\t", columns: [label, time, value]}`, in historic mode the defaults; where no
/// `checksum` verifies and takes the check of each row, with `check: true`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Label {
    /// Bytes between two columns. `" "` is any white space.
    pub separator: ByteString,
    /// Bytes between two rows of a frame.
    pub between: ByteString,
    /// What the columns are: `label` names the value, and several of them are joined by `_`; `value` is the
    /// value, and as the last column all that follows; `time` is the value's time, which a row may leave
    /// out, published as the field `LABEL_time`; `_` is skipped. Any other name is not published, and
    /// stands for its column in `topic`, `payload` and `node`: `[id, child, label, _, label, value]`. Rows
    /// in which it differs need frames of their own: `framing: lines`.
    pub columns: Vec<String>,
    /// `true`: the last character of a row is its check, and neither this nor the separator in front of it
    /// is part of the value. To have it verified, use `checksum`.
    pub check: bool,
    /// How the column `time` is written.
    #[cfg_attr(test, schemars(extend("default" = "XYYMMDDhhmmss")))]
    pub time: TimeFormat,
    /// The fields that are wanted, each with its label as `from`. Default: all.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
    /// Name of the field or the column that says which device sent the frame, for `{node}`.
    pub node: Option<String>,
}

impl Default for Label {
    fn default() -> Label {
        use crate::codec::time::Piece::{Day, Hour, Minute, Month, Season, Second, Year2};
        Label {
            separator: b" ".as_slice().into(),
            between: b"\n".as_slice().into(),
            columns: vec!["label".into(), "value".into()],
            check: false,
            time: TimeFormat::Pieces(vec![Season, Year2, Month, Day, Hour, Minute, Second]),
            fields: Vec::new(),
            node: None,
        }
    }
}

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Label,
    Value,
    Time,
    Skipped,
    Own(String),
}

impl Label {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        for (key, bytes) in [("separator", &self.separator), ("between", &self.between)] {
            if bytes.as_bytes().is_empty() {
                return Err(BuildError::new("nothing cannot separate").at(key));
            }
        }
        let column = |name: &String| match name.as_str() {
            "label" => Column::Label,
            "value" => Column::Value,
            "time" => Column::Time,
            "_" => Column::Skipped,
            _ => Column::Own(name.clone()),
        };
        let columns: Vec<Column> = self.columns.iter().map(column).collect();
        let count = |wanted: Column| columns.iter().filter(|it| **it == wanted).count();
        if count(Column::Label) == 0 || count(Column::Value) != 1 || count(Column::Time) > 1 {
            let error =
                BuildError::new("a row needs a `label` and one `value`, and has one `time`");
            return Err(error.remedy("write [label, value]").at("columns"));
        }
        let fields = build_named("fields", &self.fields)?;
        let rows = Rows {
            separator: self.separator.as_bytes().to_vec(),
            between: self.between.as_bytes().to_vec(),
            has_time: columns.contains(&Column::Time),
            columns,
            check: self.check,
            time: self.time.clone(),
        };
        let named = |node: &&str| self.columns.iter().any(|column| column == node);
        let decoder = Decoder::new(fields, rows).with_topics(self.own_names());
        match self.node.as_deref().filter(named) {
            Some(node) => Ok(decoder.of_node(node)),
            None => decoder.with_node(self.node.as_deref()),
        }
    }

    /// The names of columns that are only for topics.
    fn own_names(&self) -> Vec<String> {
        let is_own = |name: &&String| !matches!(name.as_str(), "label" | "value" | "time" | "_");
        self.columns.iter().filter(is_own).cloned().collect()
    }
}

struct Rows {
    separator: Vec<u8>,
    between: Vec<u8>,
    columns: Vec<Column>,
    has_time: bool,
    check: bool,
    time: TimeFormat,
}

impl Format for Rows {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        for row in split(frame, &self.between) {
            // STX and ETX stand around the rows of a whole frame.
            let is_around = |byte: &u8| matches!(byte, b'\r' | b'\n' | 2 | 3);
            let start = row.iter().position(|byte| !is_around(byte)).unwrap_or(row.len());
            let end = row.iter().rposition(|byte| !is_around(byte)).map_or(start, |at| at + 1);
            let row = row.get(start..end).unwrap_or_default();
            let before = out.unpublished.len();
            if !row.is_empty() && self.row(fields, row, out).is_none() {
                out.unpublished.truncate(before);
                let expected =
                    "the columns that `columns` says, those for topics the same in each row";
                let label = split(row, &self.separator).next().unwrap_or_default();
                let label = String::from_utf8_lossy(label);
                out.reject(label, RejectReason::Malformed, expected, row);
            }
        }
    }
}

impl Rows {
    /// Adds the value of a row; `None` if it has too few columns, a label that is no text, or another column
    /// for topics than the rows before it: all readings of a frame have the same.
    fn row<'a>(&'a self, fields: &'a [Field], row: &'a [u8], out: &mut Decoded<'a>) -> Option<()> {
        let row = match self.check {
            true => self.without_check(row)?,
            // The checksum of Linky's standard mode covers the last separator, which stays.
            false if self.has_time => self.without_separator(row),
            false => row,
        };
        let has_no_time = self.has_time && self.count(row) < self.columns.len();
        let mut rest = Some(row);
        let mut label = Spelled::default();
        let (mut value, mut time) = (&b""[..], None);
        for (n, column) in self.columns.iter().enumerate() {
            if has_no_time && *column == Column::Time {
                continue;
            }
            let is_last = n + 1 == self.columns.len();
            let text = match is_last && *column == Column::Value {
                true => rest.take()?,
                false => self.next(&mut rest)?,
            };
            match column {
                Column::Label => {
                    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
                    match label.is_empty() {
                        true => label = text.into(),
                        false => label = Spelled::of(format_args!("{label}_{text}")),
                    }
                }
                Column::Value => value = text,
                Column::Time => time = Some(text),
                Column::Skipped => {}
                Column::Own(name) => {
                    let value = std::str::from_utf8(text.trim_ascii()).ok()?;
                    let first = out.unpublished.iter().find(|it| *it.field == **name);
                    match first.map(|it| it.value.as_str()) {
                        None => out.unpublish(name, Value::Text(value.into())),
                        Some(first) if first == value => {}
                        Some(_) => return None,
                    }
                }
            }
        }
        if label.is_empty() {
            return None;
        }
        if let Some(time) = time.filter(|time| !time.is_empty()) {
            self.add_time(fields, &label, time, out);
        }
        if fields.is_empty() {
            out.add(label, None, PLAIN.text(value, Wire::Bare), || value.into());
        } else {
            for field in fields.iter().filter(|field| *field.from == *label) {
                out.add_text(field, None, value, Wire::Bare);
            }
        }
        Some(())
    }

    fn add_time<'a>(
        &self,
        fields: &'a [Field],
        label: &str,
        time: &'a [u8],
        out: &mut Decoded<'a>,
    ) {
        let text = std::str::from_utf8(time).ok();
        let read = text.and_then(|text| self.time.read(text, None));
        let read = read.map(|time| Some(Value::Text(time))).ok_or(RejectReason::Malformed);
        let is_of = |from: &str| from.strip_suffix("_time") == Some(label);
        if fields.is_empty() {
            out.add(format!("{label}_time"), None, read, || time.into());
        } else if let Some(field) = fields.iter().find(|field| is_of(&field.from)) {
            out.add(&field.name, None, read, || time.into());
        }
    }

    /// A row without the character at its end and the separator before that.
    fn without_check<'a>(&self, row: &'a [u8]) -> Option<&'a [u8]> {
        row.split_last().map(|(_, row)| self.without_separator(row))
    }

    fn without_separator<'a>(&self, row: &'a [u8]) -> &'a [u8] {
        row.strip_suffix(self.separator.as_slice()).unwrap_or(row)
    }

    fn count(&self, row: &[u8]) -> usize {
        split(row, &self.separator).count()
    }

    /// The next column; `None` behind the last one.
    fn next<'a>(&self, rest: &mut Option<&'a [u8]>) -> Option<&'a [u8]> {
        let mut left = (*rest)?;
        let (end, length) = if self.separator == b" " {
            left = left.trim_ascii_start();
            (left.iter().position(u8::is_ascii_whitespace), 1)
        } else {
            (find(left, &self.separator, 0), self.separator.len())
        };
        *rest = end.and_then(|end| left.get(end + length..));
        left.get(..end.unwrap_or(left.len())).filter(|column| end.is_some() || !column.is_empty())
    }
}
