//! Reads hexadecimal text as data sheets and programs write it.

use super::recording::{Piece, seconds, stamped, time_of_day};
use crate::base::scalar::parse_hex;
use std::time::Duration;

/// Bytes of one line of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Burst {
    pub(crate) pieces: Vec<Piece>,
    /// When they were read, where the line says so: since 1970, or since midnight without a date.
    pub(crate) at: Option<Duration>,
    /// Whether they follow the bytes before at once, as the rows of one dump do.
    pub(crate) goes_on: bool,
}

/// A text, line by line. It may be
/// - pairs of digits, with `0x` or `\x` before them, with commas, colons, quotes, brackets and comments
///   of C between them;
/// - a line of `tty2mqtt monitor --raw --hex` or of a recording, of which only what was read is taken;
/// - what `tty2mqtt sniff` prints;
/// - rows of `hexdump -C`, `xxd`, `od -tx1`, or of Wireshark, with offsets and text beside;
/// - a line of candump, of the screen (`can0 123 [2] 42 4D`) or of its log (`(1.5) can0 123#424D`);
/// - a line of ESPHome's `uart: debug`, of which only what was read is taken (`<<< 42:4D`).
#[derive(Clone, Debug, Default)]
pub(crate) struct HexText {
    /// The offset behind the last row of a dump, of rows without and with indentation: Wireshark
    /// indents what one of the two sides has sent.
    next: [Option<usize>; 2],
    /// The bytes of the last row of a dump.
    row: Vec<u8>,
    /// A `*` stood in place of rows that are like the last one.
    repeats: bool,
    /// Whether the last line was of `monitor`, whose messages stand indented below their frame.
    is_monitor: bool,
}

/// At most so many bytes stand behind a `*`.
const MOST_REPEATED: usize = 1 << 20;

impl HexText {
    /// The bytes of a line, if it has any.
    pub(crate) fn line(&mut self, line: &str) -> Result<Option<Burst>, String> {
        let line = line.trim_end();
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() {
            self.next = [None; 2];
            return Ok(None);
        }
        // A comment, or what `sniff` takes a burst for.
        if text.starts_with('#') || text.starts_with("= ") {
            return Ok(None);
        }
        if text == "*" {
            self.repeats = true;
            return Ok(None);
        }
        if let Some((at, rest)) = stamped(line) {
            self.is_monitor = true;
            return of_monitor(rest, at);
        }
        if self.is_monitor && indent == 4 {
            return Ok(None);
        }
        self.is_monitor = false;
        if let Some((at, columns)) = of_sniff(text) {
            return burst(columns, Some(at));
        }
        if indent > 4 && text.ends_with('|') {
            // A further row of a burst of `sniff`.
            let row = burst(before_text(text), None)?;
            return Ok(row.map(|row| Burst { goes_on: true, ..row }));
        }
        if let Some((at, digits)) = of_candump(text) {
            return burst(digits, at);
        }
        if let Some((_, read)) = text.rsplit_once("<<< ") {
            return burst(read, None);
        }
        if text.contains(">>> ") {
            return Ok(None);
        }
        match self.offset(text, indent) {
            Some(row) => self.row(&row),
            None => burst(&without_code(text), None),
        }
    }

    /// The parts of a dump's row. An offset of as many digits as whole bytes have is one if it is the one
    /// that must come, or if the row has a column of text in a frame.
    fn offset<'a>(&self, text: &'a str, indent: usize) -> Option<Row<'a>> {
        let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
        let side = usize::from(indent > 1);
        let row = |offset, is_xxd| Some(Row { offset, rest, is_xxd, side });
        if let Some(digits) = word.strip_suffix(':').filter(|digits| digits.len() >= 4) {
            return row(usize::from_str_radix(digits, 16).ok()?, true);
        }
        let next = self.next.get(side).copied().flatten();
        match word.len() {
            // `od` counts in octal digits.
            7 => row(usize::from_str_radix(word, 8).ok()?, false),
            4 | 6 | 8 => {
                let offset = usize::from_str_radix(word, 16).ok()?;
                let is_first = offset == 0 && !rest.is_empty();
                let is_next = next.is_some_and(|next| offset == next || self.repeats);
                let is_framed = rest.ends_with('|') || rest.ends_with('<');
                let is_apart = word.len() == 6 || rest.is_empty() || rest.starts_with("  ");
                let is_offset = is_framed || is_apart && (is_first || is_next);
                if is_offset { row(offset, false) } else { None }
            }
            _ => None,
        }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<Option<Burst>, String> {
        let Row { offset, rest, is_xxd, side } = *row;
        let digits = if is_xxd { rest.trim_start().split("  ").next() } else { None };
        let digits = digits.unwrap_or_else(|| before_text(rest));
        if !is_xxd && digits.split_whitespace().any(|word| word.len() == 4) {
            let why = "these are words of 16 bits, whose bytes may be swapped; write single bytes, \
                       as `hexdump -C` and `od -tx1` do";
            return Err(why.into());
        }
        let before = self.next.get(side).copied().flatten();
        let goes_on = before.is_some_and(|next| offset > 0 && (offset == next || self.repeats));
        let mut bytes = Vec::new();
        if std::mem::take(&mut self.repeats)
            && let Some(missing) = before.and_then(|next| offset.checked_sub(next))
        {
            bytes.extend(self.row.iter().cycle().take(missing.min(MOST_REPEATED)));
        }
        self.row = pieces(digits)?.into_iter().flat_map(|piece| piece.bytes).collect();
        bytes.extend(&self.row);
        if let Some(next) = self.next.get_mut(side) {
            *next = Some(offset.saturating_add(self.row.len()));
        }
        let pieces = vec![Piece { bytes, is_damaged: false }];
        Ok(Some(Burst { pieces, at: None, goes_on }))
    }
}

/// A row of a dump.
struct Row<'a> {
    offset: usize,
    /// What stands behind the offset.
    rest: &'a str,
    is_xxd: bool,
    /// 1 for an indented row.
    side: usize,
}

fn burst(digits: &str, at: Option<Duration>) -> Result<Option<Burst>, String> {
    let pieces = pieces(digits)?;
    Ok((!pieces.is_empty()).then_some(Burst { pieces, at, goes_on: false }))
}

/// What was read, of a line of `monitor` or of a recording.
fn of_monitor(rest: &str, at: Duration) -> Result<Option<Burst>, String> {
    let (is_damaged, read) = match (rest.strip_prefix("<- "), rest.strip_prefix("<! ")) {
        (Some(read), _) => (false, read),
        (_, Some(read)) => (true, read),
        _ => return Ok(None),
    };
    let Some((size, digits)) = read.split_once(" bytes: ") else { return Ok(None) };
    if !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let mut burst = burst(digits, Some(at))?;
    for piece in burst.iter_mut().flat_map(|burst| &mut burst.pieces) {
        piece.is_damaged = is_damaged;
    }
    Ok(burst)
}

/// `20:20:58.579   +0.250  42 4d  |BM|`: the time, and the bytes.
fn of_sniff(text: &str) -> Option<(Duration, &str)> {
    let (clock, rest) = text.split_once(' ')?;
    let at = time_of_day(clock)?;
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('+') {
        Some(gap) => gap.split_once(' ')?.1,
        None => rest,
    };
    Some((at, before_text(rest)))
}

/// The time of a line of candump, if it has one, and the bytes.
fn of_candump(text: &str) -> Option<(Option<Duration>, &str)> {
    let (at, text) = match text.strip_prefix('(').and_then(|text| text.split_once(')')) {
        Some((time, text)) => (Some(seconds(time)?), text.trim_start()),
        None => (None, text),
    };
    let (interface, frame) = text.split_once(char::is_whitespace)?;
    if !interface.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    if let Some((id, bytes)) = frame.split_once('#') {
        let is_id = matches!(id.len(), 3 | 8) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        // CAN FD writes a second `#` and a digit of flags.
        let bytes = bytes.strip_prefix('#').map_or(bytes, |fd| fd.get(1..).unwrap_or_default());
        return is_id.then_some((at, bytes.split_whitespace().next().unwrap_or_default()));
    }
    let (_, counted) = frame.split_once(" [")?;
    let (count, bytes) = counted.split_once(']')?;
    count.trim().parse::<u8>().ok()?;
    Some((at, before_text(bytes.split('\'').next().unwrap_or_default())))
}

/// The columns of a row before the one with the text: that stands in a frame, or further away than the
/// middle of the row is.
fn before_text(columns: &str) -> &str {
    for frame in ["  |", "  >"] {
        if let Some((digits, _)) = columns.split_once(frame) {
            return digits;
        }
    }
    let (mut count, mut blanks) = (0, 0);
    for (at, c) in columns.char_indices() {
        if c.is_whitespace() {
            blanks += 1;
            continue;
        }
        if count > 0 && (blanks > 2 || blanks == 2 && count != 8) {
            return columns.get(..at).unwrap_or(columns);
        }
        if blanks > 0 || at == 0 {
            count += 1;
        }
        blanks = 0;
    }
    columns
}

/// A line without what C has around its bytes.
fn without_code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or(line);
    let line = line.rsplit_once("= ").map_or(line, |(_, value)| value);
    let mut text = String::new();
    for (n, part) in line.split("/*").enumerate() {
        text.push_str(if n == 0 { part } else { part.split_once("*/").map_or("", |it| it.1) });
    }
    text.replace("\\x", " 0x")
}

/// Bytes with what stands between them. An `!` behind a byte says that it came damaged.
fn pieces(digits: &str) -> Result<Vec<Piece>, String> {
    let between = |c: char| c.is_whitespace() || ",;:-{}[]()<>\"".contains(c);
    let mut pieces: Vec<Piece> = Vec::new();
    for word in digits.trim_start().trim_start_matches("hex:").split(between) {
        let wrong =
            || format!("{word:?} is not hexadecimal; write two digits for each byte, as in 42 4D");
        let (digits, is_damaged) = match word.strip_suffix('!') {
            Some(digits) => (digits, true),
            None => (word, false),
        };
        let marked = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
        let bytes = match marked {
            Some("") => return Err(wrong()),
            Some(digit) if digit.len() == 1 => {
                vec![u8::from_str_radix(digit, 16).map_err(|_| wrong())?]
            }
            Some(digits) => parse_hex(digits).map_err(|_| wrong())?,
            None => parse_hex(digits).map_err(|_| wrong())?,
        };
        match pieces.last_mut() {
            _ if bytes.is_empty() => {}
            Some(last) if last.is_damaged == is_damaged => last.bytes.extend(bytes),
            _ => pieces.push(Piece { bytes, is_damaged }),
        }
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All bursts of a text, those that go on joined.
    fn bursts(text: &str) -> Vec<Vec<u8>> {
        let mut reader = HexText::default();
        let mut bursts: Vec<Vec<u8>> = Vec::new();
        for line in text.lines() {
            let Some(burst) = reader.line(line).unwrap() else { continue };
            let bytes = burst.pieces.into_iter().flat_map(|piece| piece.bytes);
            match bursts.last_mut() {
                Some(last) if burst.goes_on => last.extend(bytes),
                _ => bursts.push(bytes.collect()),
            }
        }
        bursts
    }

    #[test]
    fn three_bytes_as_data_sheets_and_programs_write_them() {
        for line in [
            "424D01",
            "42 4d 01",
            "0x42,0x4D,0x01",
            "{0x42, 0x4d, 0x1},",
            "42:4D:01",
            "42-4d-01",
            "hex:42 4D 01",
            r"\x42\x4d\x01",
            r#""\x42\x4d\x01""#,
            " 42 4D\t01 ",
            "        42 4D 01",
            "0X42 0x4d01",
            "[42][4D][01]",
            "<42><4D><01>",
            "const uint8_t frame[3] = {0x42, 0x4D, 0x01}; // a comment",
            "char peer1_0[] = { /* Packet 7 */ 0x42, 0x4d, 0x01 };",
            "2026-11-27T20:20:58.579Z <- 3 bytes: 42 4d 01",
            "1970-01-01T00:20:58.579Z unsynchronised <- 3 bytes: 42 4d 01",
            "20:20:58.579   +0.250  42 4d 01                                         |BM.|",
            "20:20:58.579           42 4d 01                                         |BM.|",
            "00000000  42 4d 01                                          |BM.|",
            "00000000: 424d 01                                  BM.",
            "00000000: 42 4d 01                                         BM.",
            "0000000 42 4d 01",
            "000000 42 4d 01                                         >BM.<",
            " 42 4d 01",
            "0000   42 4d 01                                          BM.",
            "    00000000  42 4d 01                                           BM.",
            "  can0  123   [3]  42 4D 01",
            "  can0  1F334455   [3]  42 4D 01   'BM.'",
            " (1436509052.249713)  can0  123   [3]  42 4D 01",
            "(1436509052.249713) can0 123#424D01",
            "(1436509052.249713) can0 123##1424D01",
            "[12:34:56][D][uart_debug:114]: <<< 42:4D:01",
        ] {
            assert_eq!(bursts(line), [b"BM\x01"], "{line}");
        }
    }

    #[test]
    fn what_was_not_read_and_what_is_no_byte() {
        for line in [
            "",
            "# 42 4d 01",
            "          = Modbus RTU, 8 bytes",
            "2026-11-27T20:20:58.579Z <- frame of 3 bytes: 42 4d 01",
            "2026-11-27T20:20:58.579Z -- open",
            "2026-11-27T20:20:58.579Z -> gw/x/relay (2 bytes): 6f 6e",
            "2026-11-27T20:20:58.579Z -> 3 bytes: 42 4d 01",
            "2026-11-27T20:20:58.579Z <- frame of 3 bytes\n    gw/x/t 21.50\n    gw/x/h 40",
            "[12:34:56][D][uart_debug:114]: >>> 42:4D:01",
            "};",
        ] {
            assert!(bursts(line).is_empty(), "{line}");
        }
        let two_digits = "write two digits";
        for (line, why) in [
            ("4", two_digits),
            ("0x", two_digits),
            ("42 4", two_digits),
            ("xyz", two_digits),
            ("0x123", two_digits),
            ("42 é", two_digits),
            ("0000000 4d42 0001", "hexdump -C"),
        ] {
            assert!(HexText::default().line(line).unwrap_err().contains(why), "{line}");
        }
    }

    #[test]
    fn rows_of_a_dump_are_one_burst() {
        let bytes: Vec<u8> = (0..40).collect();
        let rows = |offset: fn(usize) -> String, behind: &str| {
            let row = |(n, row): (usize, &[u8])| {
                let digits: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
                let (left, right) = digits.split_at(digits.len().min(8));
                format!("{} {}  {}{behind}\n", offset(16 * n), left.join(" "), right.join(" "))
            };
            bytes.chunks(16).enumerate().map(row).collect::<String>()
        };
        let of_hexdump = rows(|n| format!("{n:08x} "), "  |................|") + "00000028\n";
        let of_wireshark = rows(|n| format!("{n:04x}  "), "   ................");
        let of_od = rows(|n| format!("{n:07o}"), "").replace("  ", " ") + "0000050\n";
        for text in [&of_hexdump, &of_wireshark, &of_od] {
            assert_eq!(bursts(text), [&bytes[..]], "{text}");
            // A second dump begins at 0 again.
            let twice = format!("{text}{text}");
            assert_eq!(bursts(&twice), [&bytes[..], &bytes], "{text}");
        }
        // Text that could be digits; a part of a dump; digits that are no offset.
        let xxd = "00000010: 3030 3030 3131 3131 3030 3030 3131 3131  00 001111 00 1111\n\
                   00000020: 3232                                     22\n";
        assert_eq!(bursts(xxd), [b"000011110000111122"]);
        assert_eq!(bursts("01020304  05060708\n01020304  05060708").len(), 2);
        assert_eq!(bursts("00000000 05060708"), [[0, 0, 0, 0, 5, 6, 7, 8]]);
        let stars = "00000000  61 61 61 61 61 61 61 61  61 61 61 61 61 61 61 61  |aaaaaaaaaaaaaaaa|\n\
                     *\n00000030  62                                                |b|\n00000031\n";
        assert_eq!(bursts(stars), [[&[b'a'; 48][..], b"b"].concat()]);
        let to_the_end = stars.replace("00000030  62", "00000030").replace("00000031\n", "");
        assert_eq!(bursts(&to_the_end.replace("|b|", "")), [[b'a'; 48]]);
    }

    #[test]
    fn what_sniff_prints_and_records_keeps_times_and_damage() {
        let text = "20:20:58.500           61 62! 63                                         |a.c|\n\
                    \x20                      64                                               |d|\n\
                    \x20                      = 1 frame\n\
                    20:20:59.000   +0.450  65                                               |e|\n";
        let mut reader = HexText::default();
        let bursts: Vec<_> = text.lines().filter_map(|line| reader.line(line).unwrap()).collect();
        let piece = |bytes: &[u8], is_damaged| Piece { bytes: bytes.into(), is_damaged };
        let at = |ms: u64| Some(Duration::from_millis((20 * 3600 + 20 * 60 + 58) * 1000 + ms));
        let first = vec![piece(b"a", false), piece(b"b", true), piece(b"c", false)];
        assert_eq!(bursts[0], Burst { pieces: first, at: at(500), goes_on: false });
        assert_eq!(bursts[1], Burst { pieces: vec![piece(b"d", false)], at: None, goes_on: true });
        assert_eq!(bursts[2].at, at(1000));
        let line = "2026-11-27T20:20:58.579Z <! 1 bytes: ff";
        let burst = HexText::default().line(line).unwrap().unwrap();
        assert_eq!(burst.pieces, [piece(b"\xFF", true)]);
        assert_eq!(burst.at, Some(Duration::from_millis(1_795_810_858_579)));
    }

    #[test]
    fn no_text_stops_it() {
        for line in [
            "0: 0",
            "(1",
            "(1) a",
            "a 1#",
            "a [",
            "a [1]",
            "00000000",
            "*",
            "*\n0000 0\n*",
            "ffffffffffffffff: 1",
        ] {
            let mut reader = HexText::default();
            line.lines().for_each(|line| drop(reader.line(line)));
        }
    }
}
