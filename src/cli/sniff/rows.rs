//! Bursts as rows of a table: time, gap, bytes in hexadecimal digits and as text.

use crate::base::clock::Stamp;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Bytes in a row.
const ROW: usize = 16;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31;1m";
const CYAN: &str = "\x1b[36m";
const GREEN: &str = "\x1b[32m";

/// The table, as far as it has not been taken out of `text`.
pub(super) struct Rows {
    pub(super) text: String,
    is_coloured: bool,
    row: Vec<(u8, bool)>,
    /// What stands before the row.
    head: String,
}

impl Rows {
    pub(super) fn new(is_coloured: bool) -> Rows {
        Rows { text: String::new(), is_coloured, row: Vec::new(), head: head("", None) }
    }

    /// A burst begins, so long after the last one.
    pub(super) fn begin(&mut self, at: SystemTime, gap: Option<Duration>) {
        let stamp = Stamp(at).to_string();
        let clock = stamp.split_once('T').and_then(|(_, clock)| clock.split_once('Z'));
        self.head = head(clock.map_or("", |(clock, _)| clock), gap);
    }

    /// Bytes of the burst. Each row is written when it is full.
    pub(super) fn push(&mut self, bytes: &[u8], is_damaged: bool) {
        for byte in bytes {
            self.row.push((*byte, is_damaged));
            if self.row.len() == ROW {
                self.end();
            }
        }
    }

    /// No more bytes belong to the row.
    pub(super) fn end(&mut self) {
        if self.row.is_empty() {
            return;
        }
        let head = std::mem::replace(&mut self.head, head("", None));
        self.coloured(DIM, &head);
        let row = std::mem::take(&mut self.row);
        for (byte, is_damaged) in &row {
            let digits = format!("{byte:02x}{}", if *is_damaged { "!" } else { " " });
            self.coloured(colour(*byte, *is_damaged), &digits);
        }
        let blanks = 3 * (ROW - row.len());
        // Writing to a string cannot fail, here and below.
        let _ = write!(self.text, "{:blanks$} |", "");
        for (byte, is_damaged) in &row {
            let shown = if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
            self.coloured(colour(*byte, *is_damaged), shown.encode_utf8(&mut [0; 4]));
        }
        self.text.push_str("|\n");
    }

    /// What the burst was taken for.
    pub(super) fn note(&mut self, note: &str) {
        let _ = write!(self.text, "{}", head("", None));
        self.coloured(GREEN, &format!("= {note}"));
        self.text.push('\n');
    }

    fn coloured(&mut self, colour: &str, text: &str) {
        let _ = match self.is_coloured && !colour.is_empty() {
            true => write!(self.text, "{colour}{text}\x1b[0m"),
            false => write!(self.text, "{text}"),
        };
    }
}

fn head(clock: &str, gap: Option<Duration>) -> String {
    let gap = gap.map_or_else(String::new, |gap| format!("+{:.3}", gap.as_secs_f32()));
    format!("{clock:12} {gap:>9}  ")
}

fn colour(byte: u8, is_damaged: bool) -> &'static str {
    match byte {
        _ if is_damaged => RED,
        b' '..=b'~' => "",
        _ => CYAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn rows(is_coloured: bool) -> String {
        let mut rows = Rows::new(is_coloured);
        let at = UNIX_EPOCH + Duration::from_millis(1_795_810_858_579);
        rows.begin(at, None);
        rows.push(b"22.5,41\r\n22.6,42\r", false);
        rows.push(b"\n", true);
        rows.end();
        rows.note("2 lines");
        rows.begin(at + Duration::from_secs(1), Some(Duration::from_millis(250)));
        rows.push(b"\xFF", true);
        rows.end();
        rows.end();
        rows.text
    }

    #[test]
    fn time_gap_digits_text_and_damage_in_columns() {
        assert_eq!(
            rows(false),
            "\
20:20:58.579            32 32 2e 35 2c 34 31 0d 0a 32 32 2e 36 2c 34 32  |22.5,41..22.6,42|
                        0d 0a!                                           |..|
                        = 2 lines
20:20:59.579    +0.250  ff!                                              |.|
"
        );
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = rows(true);
        let mut plain = String::new();
        for (n, part) in coloured.split("\x1b[").enumerate() {
            plain.push_str(if n == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, rows(false));
        assert!(coloured.contains("\x1b[31;1mff!\x1b[0m"), "{coloured}");
    }
}
