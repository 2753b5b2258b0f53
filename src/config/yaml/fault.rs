//! What is wrong with a text that is not YAML, or not YAML within bounds.

use super::{DEEPEST, MOST_NODES, Mark, Span, Tree};
use saphyr_parser::ScanError;

/// Why a text is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: Option<Span>,
    pub what: String,
    pub remedy: String,
}

pub(super) fn no_map(key: &Tree) -> Fault {
    Fault {
        at: Some(key.span),
        what: "a merge key `<<` needs a map as its value".into(),
        remedy: "write `<<: *name`, where `&name` marks a map".into(),
    }
}

pub(super) fn too_much(at: Option<Span>) -> Fault {
    Fault {
        at,
        what: format!("more than {MOST_NODES} keys and values"),
        remedy: "a configuration has some hundreds; is this the right file?".into(),
    }
}

/// What the parser found, in words for somebody who does not know YAML by heart. It tells kinds of
/// errors apart by their texts only; a text that is not known here is shown as it is.
pub(super) fn fault(text: &str, error: &ScanError) -> Fault {
    const QUOTES: &str = "put quotes around a text that holds `: ` or ` #`, or that begins with one of \
                          `% @ & * ! | > { [ \" '`";
    let at = Mark::from(*error.marker());
    let info = error.info();
    let line = || text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
    let next = line().chars().nth(at.column as usize);
    let before = line().chars().take(at.column as usize).filter(|c| !c.is_whitespace()).last();
    let in_text = |c: &char| c.is_control();
    let (what, remedy) = if info.contains("tab") || line().trim_start_matches(' ').starts_with('\t')
    {
        ("a tab is not allowed here".into(), "use blanks for indentation".into())
    } else if info.contains("unprintable") || next.as_ref().is_some_and(in_text) {
        ("a control character is not allowed here".into(), "remove it; is this a text file?".into())
    } else if info.starts_with("unexpected character") || info.contains("scanning an anchor") {
        let what = match next {
            Some(c) => format!("a text cannot begin with `{c}`"),
            None => "a text cannot begin like this".into(),
        };
        let remedy = match next {
            Some(c @ ('%' | '@' | '`')) => format!("put quotes around it, as in \"{c}\""),
            _ => QUOTES.into(),
        };
        (what, remedy)
    } else if info.contains("unknown anchor") {
        let what = "this alias refers to a `&name` that is not there".into();
        (what, "a text that begins with `*` needs quotes".into())
    } else if info.contains("unknown escape") || info.contains("hexadecimal number") {
        let what = "invalid escape sequence in double quotes";
        (what.into(), "write `\\\\` for a backslash, or use single quotes".into())
    } else if info.contains("end of stream") || info.contains("unexpected eof") {
        ("a quote or a bracket is not closed".into(), "close it".into())
    } else if info.contains("quoted scalar") && info.contains("indentation") {
        let what = "a text in quotes continues in a line that is not indented";
        (what.into(), "look for a missing quote in a line above".into())
    } else if info.contains("flow") || info.contains("bracket") || info.contains("',' or") {
        let what = "expected `,` or the end of a list or map in brackets";
        let remedy = "look for a missing `,`, `]`, `}` or quote, here or in a line above";
        (what.into(), remedy.into())
    } else if matches!(before, Some('}' | ']')) && next.is_some_and(|c| !",:#]}".contains(c)) {
        let what = "unexpected text after the end of a map or list in brackets";
        (what.into(), "put quotes around a text that begins with `{` or `[`".into())
    } else if info.contains("recursion") {
        let what = format!("maps and lists are nested more than {DEEPEST} deep");
        (what, "look for brackets without their end".into())
    } else if info.contains("mapping values") || info.contains("simple key") {
        let what = "a key with its value cannot stand here";
        let remedy = "look here and in the line above: a blank must follow the `:` of a key, and keys of one \
                      map have one indentation; a text with `: ` in it needs quotes";
        (what.into(), remedy.into())
    } else if info.contains("indent") || info.contains("block") || info.contains("expected key") {
        let what = "the indentation of this line matches no line above it";
        let remedy = "keys of one map, and the dashes of one list, have one indentation; look here and in the \
                      line above";
        (what.into(), remedy.into())
    } else {
        (format!("this is not valid YAML: {info}"), QUOTES.into())
    };
    Fault { at: Some(Span { start: at, end: at }), what, remedy }
}
