//! The framing rules that are about one protocol, on what its devices sent: however the bytes are split, all
//! frames come, and a damaged byte makes none that was not sent.

use super::captures;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tty2mqtt::testing::codec::decode::Decode;
use tty2mqtt::testing::codec::frame::{FrameCounts, Framing};
use tty2mqtt::testing::config::tree;

/// All frames of bytes that come in reads of some size, with a silence before and behind them.
fn frames(framing: &str, bytes: &[u8], size: usize) -> (Vec<Bytes>, FrameCounts) {
    let framing: Framing = tree::parse(framing).unwrap();
    let mut framer = framing.build(None, None).unwrap();
    let opened = Instant::now();
    framer.open(opened);
    let mut at = opened + Duration::from_secs(2);
    let mut frames = Vec::new();
    for read in bytes.chunks(size) {
        framer.push(read, at);
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    while let Some(due) = framer.deadline() {
        at = at.max(due);
        framer.timeout(at);
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    // Line breaks between frames are skipped in one read, and passed over in several.
    (frames, FrameCounts { skipped: 0, ..framer.counts().clone() })
}

/// The frames of a capture, which are the same in reads of any size.
fn all_frames(framing: &str, file: &str, bytes: &[u8]) -> (Vec<Bytes>, FrameCounts) {
    let whole = frames(framing, bytes, bytes.len());
    for size in [1, 7, 64] {
        assert_eq!(frames(framing, bytes, size), whole, "{file} in reads of {size} bytes");
    }
    whole
}

/// With any one bit of any byte wrong, no frame comes that was not sent.
fn damage_invents_nothing(framing: &str, file: &str, bytes: &[u8], sent: &[Bytes]) {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() {
        for bit in [0, 3, 6] {
            bytes[at] ^= 1 << bit;
            let (frames, _) = frames(framing, &bytes, bytes.len());
            let invented = frames.iter().find(|frame| !sent.contains(frame));
            assert_eq!(invented, None, "{file}: bit {bit} of byte {at}");
            bytes[at] ^= 1 << bit;
        }
    }
}

/// The number behind a word of INDEX.tsv: `blocks=7`.
fn number(expected: &str, word: &str) -> usize {
    let (_, behind) = expected.split_once(word).unwrap();
    let digits = behind.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
}

#[test]
fn blocks_and_hex_lines_of_ve_direct() {
    for capture in captures("vedirect").into_iter().flatten() {
        let (file, bytes) = (&capture.file, capture.bytes());
        let (found, _) = all_frames("ve-direct", file, &bytes);
        let (hex, blocks): (Vec<_>, Vec<_>) = found.iter().partition(|it| it.starts_with(b":"));
        assert_eq!(hex.len(), number(&capture.expected, "(ok "), "{file}");
        // INDEX.tsv counts the first block from the first byte, which belongs to one before.
        let begins_amid = usize::from(!bytes.starts_with(b"\r\n"));
        let good = number(&capture.expected, "checksum_ok=") + begins_amid;
        assert_eq!(blocks.len(), good, "{file}");
        let texts: Vec<_> = blocks.iter().map(|block| String::from_utf8_lossy(block)).collect();
        for part in capture.parts("|").filter(|part| part.starts_with("block")) {
            let Some((_, pairs)) = part.split_once(": ") else { continue };
            let block = pairs.split("; ").map(|pair| pair.replacen('=', "\t", 1));
            let block = block.collect::<Vec<_>>().join("\r\n");
            assert!(texts.contains(&block.as_str().into()), "{file}: no {block:?} in {texts:?}");
        }
        if let Some((_, lines)) = capture.expected.split_once("| hex: ") {
            for (line, frame) in lines.split_whitespace().zip(hex) {
                // The decoder gets it without its checksum.
                assert_eq!(
                    line.as_bytes().strip_suffix(&line.as_bytes()[line.len() - 2..]),
                    Some(&frame[..]),
                    "{file}"
                );
            }
        }
        damage_invents_nothing("ve-direct", file, &bytes, &found);
    }
}

#[test]
fn the_model_of_ve_direct_has_a_value_of_each_line_it_names() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = root.join("config/devices/victron-ve-direct.yaml");
    let model = std::fs::read_to_string(model).unwrap();
    let (_, decode) = model.split_once("\n  - decode:\n").unwrap();
    let (decode, _) = decode.split_once("\ncases:\n").unwrap();
    let decoder = tree::parse::<Decode>(decode).unwrap().build().unwrap();
    let of = decode.split("from: ").skip(1).filter_map(|rest| rest.split([',', '}', '\n']).next());
    let labels: Vec<&str> = of.map(|label| label.trim_matches('"')).collect();
    let mut compared = 0;
    for capture in captures("vedirect").into_iter().flatten() {
        let (found, _) = frames("ve-direct", &capture.bytes(), usize::MAX);
        for block in found.iter().filter(|frame| !frame.starts_with(b":")) {
            let decoded = decoder.decode(block);
            assert!(decoded.rejected.is_empty(), "{}: {:?}", capture.file, decoded.rejected);
            let text = String::from_utf8_lossy(block);
            let named = |line: &&str| {
                let (label, _) = line.split_once('\t').unwrap();
                labels.contains(&label)
            };
            let lines = text.lines().filter(|line| !line.is_empty()).filter(named);
            let values = decoded.readings.len() + decoded.no_values.len();
            assert_eq!(values, lines.count(), "{}: {text}", capture.file);
            compared += values;
        }
    }
    assert!(compared == 0 || compared > 300, "{compared} values");
}

#[test]
fn hdlc_frames_of_han_ports() {
    for capture in captures("han").into_iter().flatten() {
        let (file, bytes) = (&capture.file, capture.bytes());
        let (found, counts) = all_frames("hdlc", file, &bytes);
        let [frame] = &found[..] else { panic!("{file}: {found:?}, {counts:?}") };
        assert!(frame.starts_with(b"\xE6\xE7\x00\x0F"), "{file}: {frame:?}");
        assert_eq!(counts.bad.total(), 0, "{file}");
        damage_invents_nothing("hdlc", file, &bytes, &found);
    }
}

#[test]
fn telegrams_of_p1_and_of_mode_d() {
    for capture in captures("p1").into_iter().flatten() {
        let (file, bytes) = (&capture.file, capture.bytes());
        let (found, counts) = all_frames("p1", file, &bytes);
        let [frame] = &found[..] else { panic!("{file}: {found:?}, {counts:?}") };
        let slash = bytes.iter().position(|byte| *byte == b'/').unwrap();
        assert!(bytes[slash + 1..].starts_with(frame), "{file}");
        let is_unchecked = capture.expected.contains("checksum absent");
        assert_eq!((counts.unchecked, counts.bad.total()), (is_unchecked.into(), 0), "{file}");
        if !is_unchecked {
            damage_invents_nothing("p1", file, &bytes, &found);
        }
    }
    let of_mode_d = |file: &str| file.ends_with("emh_ehz_mode_d.hex");
    for capture in captures("d0").into_iter().flatten().filter(|it| of_mode_d(&it.file)) {
        assert_eq!(all_frames("p1", &capture.file, &capture.bytes()).0.len(), 1);
    }
}
