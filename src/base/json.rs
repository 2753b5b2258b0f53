//! Answers and statuses as JSON texts.

use super::plain::steers;
use serde::Serialize;
use std::fmt::Write;

pub fn text(value: &impl Serialize) -> String {
    // The keys of our maps are texts, and nothing else can fail.
    #[allow(clippy::expect_used)]
    serde_json::to_string(value).expect("our types are JSON")
}

/// One line that is safe on a terminal. Characters that steer it, which JSON lets through, are
/// escaped, too: a device must not control the terminal of whoever watches.
pub fn line(value: &impl Serialize) -> String {
    let text = text(value);
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if steers(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::plain::plain;
    use serde_json::{Value, json};

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let hostile = "a\x1b[2J\u{9b}31m\u{202e}b\u{7f}\n\"\u{e0041}é";
        let line = line(&json!({ "payload": hostile }));
        assert!(line.ends_with("}\n"));
        assert!(!line.trim_end_matches('\n').chars().any(steers), "{line:?}");
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["payload"], hostile);
        assert!(!plain(hostile).chars().any(steers));
        assert!(plain(hostile).ends_with('é'));
    }
}
