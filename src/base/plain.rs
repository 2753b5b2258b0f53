//! Texts from devices and brokers, made safe for a terminal and a log.

/// Whether MQTT lets a broker end the link at a character: control characters and noncharacters
/// (5.0, 1.5.4).
pub fn is_unfit(c: char) -> bool {
    let is_noncharacter = matches!(c, '\u{FDD0}'..='\u{FDEF}') || u32::from(c) & 0xFFFE == 0xFFFE;
    c.is_control() || is_noncharacter
}

/// A text for a terminal: what steers it is shown as an escape sequence.
pub fn plain(text: &str) -> String {
    tame(text.as_bytes(), steers)
}

/// The same for bytes; those that are not UTF-8 are shown as `\xff`.
pub fn plain_bytes(bytes: &[u8]) -> String {
    tame(bytes, steers)
}

/// The same for a text of several lines: line breaks and tabs stay.
pub fn plain_lines(bytes: &[u8]) -> String {
    tame(bytes, |c| steers(c) && c != '\n' && c != '\t')
}

/// A text with at most `most` characters; `…` stands for the rest.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn tame(bytes: &[u8], hides: impl Fn(char) -> bool) -> String {
    let mut plain = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if hides(c) { plain.extend(c.escape_default()) } else { plain.push(c) }
        }
        plain.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    plain
}

/// Control characters, and those that turn the direction of a text around or cannot be seen.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_and_all_else_stays() {
        let hostile = b"\x1b[2J\n\t\xC2\x9b\xE2\x80\xAE\xFF\xC3\xA9";
        assert_eq!(
            plain_bytes(hostile),
            r"\u{1b}[2J\n\t\u{9b}\u{202e}\xff\u{e9}".replace(r"\u{e9}", "é")
        );
        assert_eq!(plain_lines(hostile), "\\u{1b}[2J\n\t\\u{9b}\\u{202e}\\xffé");
    }
}
