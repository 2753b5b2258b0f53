//! What is wrong with a text that is not YAML, or not YAML within bounds.

use super::{DEEPEST, Mark, Span};
use saphyr_parser::ScanError;

/// Why a text is not a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: Option<Span>,
    pub what: String,
    pub remedy: String,
}

impl Fault {
    pub(super) fn new(at: impl Into<Option<Span>>, what: &str, remedy: &str) -> Fault {
        Fault { at: at.into(), what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn too_deep(at: Span) -> Fault {
        let what = format!("maps and lists are nested more than {DEEPEST} deep");
        Fault::new(at, &what, "look for brackets without their end")
    }

    /// What the parser found, in words for somebody who does not know YAML by heart. The parser tells
    /// kinds of errors apart by their texts only; a text that is not known here is shown as it is.
    pub(super) fn of_parser(text: &str, error: &ScanError) -> Fault {
        const QUOTES: &str = "put quotes around a text that holds `: ` or ` #`, or that begins with one of \
                              `% @ & * ! | > { [ \" '`";
        let at = Mark::from(*error.marker());
        let span = Span { start: at, end: at };
        let fault = |what: &str, remedy: &str| Fault::new(span, what, remedy);
        let info = error.info();
        let says = |words: &[&str]| words.iter().any(|word| info.contains(word));
        let line = text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
        let column = at.column as usize;
        let next = line.chars().nth(column);
        let before = line.chars().take(column).filter(|c| !c.is_whitespace()).last();
        if says(&["tab"]) || line.trim_start_matches(' ').starts_with('\t') {
            fault("a tab is not allowed here", "use blanks for indentation")
        } else if says(&["unprintable"]) || next.is_some_and(char::is_control) {
            fault("a control character is not allowed here", "remove it; is this a text file?")
        } else if info.starts_with("unexpected character") || says(&["scanning an anchor"]) {
            match next {
                None => fault("a text cannot begin like this", QUOTES),
                Some(c) => {
                    let remedy = match c {
                        '%' | '@' | '`' => &format!("put quotes around it, as in \"{c}\""),
                        _ => QUOTES,
                    };
                    fault(&format!("a text cannot begin with `{c}`"), remedy)
                }
            }
        } else if says(&["unknown anchor"]) {
            fault(
                "this alias refers to a `&name` that is not there",
                "a text that begins with `*` needs quotes",
            )
        } else if says(&["unknown escape", "hexadecimal number"]) {
            fault(
                "invalid escape sequence in double quotes",
                "write `\\\\` for a backslash, or use single quotes",
            )
        } else if says(&["end of stream", "unexpected eof"]) {
            fault("a quote or a bracket is not closed", "close it")
        } else if says(&["quoted scalar"]) && says(&["indentation"]) {
            fault(
                "a text in quotes continues in a line that is not indented",
                "look for a missing quote in a line above",
            )
        } else if says(&["flow", "bracket", "',' or"]) {
            fault(
                "expected `,` or the end of a list or map in brackets",
                "look for a missing `,`, `]`, `}` or quote, here or in a line above",
            )
        } else if matches!(before, Some('}' | ']')) && next.is_some_and(|c| !",:#]}".contains(c)) {
            fault(
                "unexpected text after the end of a map or list in brackets",
                "put quotes around a text that begins with `{` or `[`",
            )
        } else if says(&["recursion"]) {
            Fault::too_deep(span)
        } else if says(&["mapping values", "simple key"]) {
            fault(
                "a key with its value cannot stand here",
                "look here and in the line above: a blank must follow the `:` of a key, and keys of one \
                 map have one indentation; a text with `: ` in it needs quotes",
            )
        } else if says(&["indent", "block", "expected key"]) {
            fault(
                "the indentation of this line matches no line above it",
                "keys of one map, and the dashes of one list, have one indentation; look here and in the \
                 line above",
            )
        } else {
            fault(&format!("this is not valid YAML: {info}"), QUOTES)
        }
    }
}
