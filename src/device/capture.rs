//! Captured bytes on their way through a port's device, on a clock of their own.

use crate::base::clock::Now;
use crate::base::scalar::parse_hex;
use crate::device::pipeline::Rest;
use crate::device::{Device, Publication};
use std::time::Duration;

pub(crate) struct Capture {
    pub(crate) device: Device,
    /// Messages since they were last taken.
    pub(crate) messages: Vec<Publication>,
    now: Now,
}

impl Capture {
    /// The port is open and has been silent: the first byte begins a frame.
    pub(crate) fn new(device: Device) -> Capture {
        let mut capture = Capture { device, now: Now::read(), messages: Vec::new() };
        capture.device.opened(capture.now.mono);
        capture.silence();
        capture
    }

    /// Bytes that come together.
    pub(crate) fn burst(&mut self, bytes: &[u8]) {
        self.device.push(bytes, self.now, &mut self.messages);
    }

    /// The end of the input, after a silence: what was left over.
    pub(crate) fn end(&mut self) -> Rest {
        self.silence();
        self.device.finish(self.now, &mut self.messages)
    }

    /// Lets a second pass, in which every rule that waits for silence has had it.
    pub(crate) fn silence(&mut self) {
        let end = self.now.after(Duration::from_secs(1));
        self.device.pass(&mut self.now, end, &mut self.messages);
    }
}

/// The bytes of a line of hexadecimal digits, as data sheets and programs write them: in pairs, with
/// `0x` or `\x` before them, with commas, colons and brackets between them; or as a line of
/// `tty2mqtt monitor --raw --hex`, of which only the bytes that were read are taken.
pub(crate) fn burst(line: &str) -> Result<Vec<u8>, String> {
    let digits = match line.split_once(" <- ") {
        Some((_, read)) => match read.split_once(" bytes: ") {
            Some((size, digits)) if size.bytes().all(|b| b.is_ascii_digit()) => digits,
            _ => return Ok(Vec::new()),
        },
        None if is_of_monitor(line) => return Ok(Vec::new()),
        None => line.trim().trim_start_matches("hex:"),
    };
    let between = |c: char| c.is_whitespace() || ",;:-{}[]()".contains(c);
    let mut bytes = Vec::new();
    for word in digits.replace("\\x", " 0x").split(between) {
        let wrong =
            || format!("{word:?} is not hexadecimal; write two digits for each byte, as in 42 4D");
        let (digits, is_marked) = match word.strip_prefix("0x").or(word.strip_prefix("0X")) {
            Some(digits) => (digits, true),
            None => (word, false),
        };
        if digits.len() == 1 && is_marked {
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        } else if is_marked && digits.is_empty() {
            return Err(wrong());
        } else {
            bytes.extend(parse_hex(digits).map_err(|_| wrong())?);
        }
    }
    Ok(bytes)
}

/// Whether it is a line of `tty2mqtt monitor` that is not a read: a message below its frame, a command, a
/// state.
fn is_of_monitor(line: &str) -> bool {
    let is_stamp = |word: &str| word.len() >= 20 && word.ends_with('Z') && word.contains('T');
    line.starts_with("    ") || line.split(' ').next().is_some_and(is_stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_of_data_sheets_and_of_monitor() {
        for line in [
            "424D01",
            "42 4d 01",
            "0x42,0x4D,0x01",
            "{0x42, 0x4d, 0x1},",
            "42:4D:01",
            "42-4d-01",
            "hex:42 4D 01",
            r"\x42\x4d\x01",
            " 42 4D\t01 ",
            "0X42 0x4d01",
            "2026-11-27T20:20:58.579Z <- 3 bytes: 42 4d 01",
        ] {
            assert_eq!(burst(line).as_deref(), Ok(&b"BM\x01"[..]), "{line}");
        }
        for line in [
            "",
            "2026-11-27T20:20:58.579Z <- frame of 3 bytes: 42 4d 01",
            "    gw/x/t 21.50",
            "2026-11-27T20:20:58.579Z -- open",
            "2026-11-27T20:20:58.579Z -> gw/x/relay (2 bytes): 6f 6e",
            "2026-11-27T20:20:58.579Z -> 3 bytes: 42 4d 01",
        ] {
            assert_eq!(burst(line).as_deref(), Ok(&b""[..]), "{line}");
        }
        for line in ["4", "0x", "42 4", "xyz", "0x123", "42 é"] {
            assert!(burst(line).unwrap_err().contains("write two digits"), "{line}");
        }
    }
}
