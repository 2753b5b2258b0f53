//! Bytes that real devices sent, read as independent decoders read them.
//!
//! The recordings are no part of the project: they are looked for in `../shared/captures`, or where
//! `CAPTURES` says. Without them each test is skipped loudly, even with `NO_SKIPS=1`, because nothing
//! installs them; the cases in `tests/golden` and `config/devices` carry enough bytes without.

mod answers;
mod dlms;
mod framing;
mod mbus;
mod readouts;
mod rflink;
mod sml;

use crate::support::needs;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tty2mqtt::testing::codec::frame::{Checksum, FrameCounts, Framing};
use tty2mqtt::testing::config::tree;

/// One row of INDEX.tsv with the bytes that it is about.
#[derive(Debug)]
#[allow(dead_code, reason = "each kind of device needs some of it")]
pub struct Capture {
    /// Its path below the folder of captures: `p1/ell5_sweden.txt`.
    pub file: String,
    /// The device that sent it, and what its name does not tell.
    pub device: String,
    /// What must come of it, in the words of INDEX.tsv.
    pub expected: String,
    pub oddity: String,
    /// The bytes as they came; those of a `.hex` file in bursts, which blank lines part there.
    pub bursts: Vec<Vec<u8>>,
}

#[allow(dead_code, reason = "each kind of device needs some of it")]
impl Capture {
    /// All bytes, whatever the bursts.
    pub fn bytes(&self) -> Vec<u8> {
        self.bursts.concat()
    }

    /// The parts of `expected` between these texts, trimmed.
    pub fn parts<'a>(&'a self, separator: &'a str) -> impl Iterator<Item = &'a str> {
        self.expected.split(separator).map(str::trim).filter(|part| !part.is_empty())
    }
}

/// The captures of a folder such as `p1`, or of all folders for an empty name. `None` if there are
/// none on this machine: the test is then skipped, and that is said on stderr.
pub fn captures(kind: &str) -> Option<Vec<Capture>> {
    let root = std::env::var_os("CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"),
        PathBuf::from,
    );
    let Ok(index) = std::fs::read_to_string(root.join("INDEX.tsv")) else {
        needs::skip(&root.join("INDEX.tsv").display().to_string(), "CAPTURES says where it is");
        return None;
    };
    let row = |line: &str| -> Capture {
        let columns: Vec<_> = line.split('\t').collect();
        let [file, device, _source, _licence, expected, _decoder, oddity] = columns[..] else {
            panic!("INDEX.tsv: {} columns: {line}", columns.len());
        };
        let read = std::fs::read(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let bursts = if file.ends_with(".hex") { bursts(file, &read) } else { vec![read] };
        let [file, device, expected, oddity] = [file, device, expected, oddity].map(str::to_owned);
        Capture { file, device, expected, oddity, bursts }
    };
    let is_of_kind = |line: &&str| {
        kind.is_empty() || line.strip_prefix(kind).is_some_and(|rest| rest.starts_with('/'))
    };
    let found: Vec<_> = index.lines().skip(1).filter(is_of_kind).map(row).collect();
    assert!(!found.is_empty(), "INDEX.tsv has nothing of {kind:?}");
    Some(found)
}

/// The bytes of a file of hexadecimal digits. A blank line ends a burst.
fn bursts(file: &str, text: &[u8]) -> Vec<Vec<u8>> {
    let mut bursts = vec![Vec::new()];
    let text = std::str::from_utf8(text).unwrap_or_else(|e| panic!("{file}: {e}"));
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            bursts.push(Vec::new());
        }
        let digits: Vec<u8> = line.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        for pair in digits.chunks(2) {
            let pair = std::str::from_utf8(pair).unwrap();
            let byte =
                u8::from_str_radix(pair, 16).unwrap_or_else(|e| panic!("{file}: {pair}: {e}"));
            bursts.last_mut().unwrap().push(byte);
        }
    }
    bursts.retain(|burst| !burst.is_empty());
    bursts
}

/// The frames in some bytes that come at once, and what was counted.
pub fn frames(framing: &str, checksum: Option<&str>, bytes: &[u8]) -> (Vec<Bytes>, FrameCounts) {
    let framing: Framing = tree::parse(framing).unwrap();
    let checksum: Option<Checksum> = checksum.map(|checksum| tree::parse(checksum).unwrap());
    let line = "9600 8N1".parse().unwrap();
    let mut framer = framing.build(checksum.as_ref(), Some(&line)).unwrap();
    let mut now = Instant::now();
    framer.open(now);
    now += Duration::from_secs(1);
    let mut frames = Vec::new();
    for piece in bytes.chunks(1000) {
        framer.push(piece, now);
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    framer.timeout(now + Duration::from_secs(1));
    frames.extend(std::iter::from_fn(|| framer.frame()));
    (frames, framer.counts().clone())
}

#[test]
fn each_row_of_the_index_has_bytes_and_says_what_must_come_of_them() {
    for capture in captures("").into_iter().flatten() {
        assert!(!capture.bytes().is_empty(), "{}", capture.file);
        assert!(capture.parts(";").count() > 0, "{}", capture.file);
    }
}
