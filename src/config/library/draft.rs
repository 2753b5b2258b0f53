//! Drafts a device file from captured bytes: what reads them without a mistake, and a case that proves it.

use crate::base::command_line::VERSION;
use crate::codec::recognise::{Guess, Recogniser};
use crate::config::cases::Golden;
use crate::device::cases::Recorded;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Bytes of a case: some frames of any device.
pub const MOST: usize = 4096;

/// Captured bytes that came together.
#[derive(Clone, Debug)]
pub struct Burst {
    /// Behind the first one.
    pub at: Duration,
    pub bytes: Vec<u8>,
}

/// A device file that was guessed.
#[derive(Debug)]
pub struct Draft {
    pub text: String,
    /// What it takes the bytes for.
    pub guess: &'static str,
    /// What must be done by hand, beside make and title.
    pub left: &'static str,
}

/// One way to read the bytes.
struct Way {
    guess: &'static str,
    settings: String,
    left: &'static str,
}

/// `line` is speed and format of the line, where they are known.
pub fn draft(bursts: &[Burst], from: &str, line: Option<&str>) -> Draft {
    let bursts = cut(bursts);
    let ways = ways(&bursts);
    let bytes: usize = bursts.iter().map(|burst| burst.bytes.len()).sum();
    let tries = ways.iter().flat_map(|way| ["synchronised", "middle"].map(|open| (way, open)));
    let mut read = tries.filter_map(|(way, open)| {
        let case = Golden::read("draft", whole(way, &bursts, open, from, line, &[])).ok()?;
        let recorded = case.record().ok()?;
        is_read(&recorded, bytes).then_some((way, open, recorded.messages))
    });
    let raw = Way {
        guess: "bytes between silences",
        settings: "framing: {gap: {after: 50ms}}\ndecode: {bytes: {field: frame}}\n".to_owned(),
        left: "how a frame is told from the next one (`framing`), and what its bytes mean (`decode`)",
    };
    let (way, open, messages) = read.next().unwrap_or((&raw, "synchronised", Vec::new()));
    let messages = if messages.is_empty() {
        let case = Golden::read("draft", whole(way, &bursts, open, from, line, &[]));
        let recorded = case.ok().and_then(|case| case.record().ok());
        recorded.map(|recorded| recorded.messages).unwrap_or_default()
    } else {
        messages
    };
    let text = whole(way, &bursts, open, from, line, &messages);
    Draft { text, guess: way.guess, left: way.left }
}

/// Whether nearly all of the bytes became values; the first and the last frame may be cut off.
fn is_read(recorded: &Recorded, bytes: usize) -> bool {
    let Recorded { messages, frames, wrong, skipped } = recorded;
    let few = |n: u64| n <= 1 || n * 10 <= *frames;
    *frames > 0 && !messages.is_empty() && few(*wrong) && *skipped * 2 <= bytes as u64
}

/// The first bursts, with at most [`MOST`] bytes.
fn cut(bursts: &[Burst]) -> Vec<Burst> {
    let mut room = MOST;
    let mut kept = Vec::new();
    for burst in bursts.iter().filter(|burst| !burst.bytes.is_empty()) {
        let taken = burst.bytes.get(..room.min(burst.bytes.len())).unwrap_or_default();
        room -= taken.len();
        if !taken.is_empty() {
            kept.push(Burst { at: burst.at, bytes: taken.to_vec() });
        }
    }
    kept
}

/// The ways that bytes like these may be read, the most particular first.
fn ways(bursts: &[Burst]) -> Vec<Way> {
    const NAMES: &str = "names and units of the fields: `fields: [{name: …, from: …, unit: …}]`";
    let mut ways = Vec::new();
    let mut way = |guess, settings: &str, left| {
        ways.push(Way { guess, settings: settings.to_owned(), left });
    };
    way("telegrams of a P1 port or a readout", "framing: p1\ndecode: obis\n", NAMES);
    way("SML files", "framing: sml\ndecode: sml\n", NAMES);
    way("HDLC frames with DLMS", "framing: hdlc\ndecode: dlms\n", NAMES);
    let mbus = "framing: {length: {prefix: \"hex:68\", offset: 1, size: 1, add: 6}}\n\
                checksum: {sum8: {from: 4, trailing: 1}}\ndecode: mbus\n";
    way("telegrams of the M-Bus", mbus, NAMES);
    way(
        "blocks of VE.Direct",
        "framing: ve-direct\nframes:\n  - {prefix: \":\", messages: []}\n  - decode: {pairs: {between: \"\\r\\n\", equals: \"\\t\"}}\n",
        NAMES,
    );
    let sentences = "framing: lines\nchecksum: {xor8: {format: hex, from: 1, separator: \"*\"}}\ndecode: nmea\n";
    way("sentences of NMEA 0183", sentences, NAMES);
    way(
        "lines of JSON",
        "framing: lines\ndecode: json\n",
        "units and classes of the fields, below `fields`",
    );
    way("nodes of the Aiko platform", "framing: lines\ndecode: sexpr\n", NAMES);
    let bytes: Vec<u8> = bursts.iter().flat_map(|burst| burst.bytes.clone()).collect();
    if let Some(settings) = pairs(&bytes) {
        way(
            "lines of names and values",
            settings,
            "units and classes of the fields, below `fields`",
        );
    }
    if let Some(settings) = columns(&bytes) {
        way(
            "lines of columns",
            &settings,
            "what the columns are: a name and a unit for each; `_` leaves one out",
        );
    }
    if let Some((length, begins)) = fixed(bursts) {
        let begins: String = begins.iter().map(|byte| format!(" {byte:02X}")).collect();
        for checksum in [
            "crc16-modbus",
            "crc16-xmodem",
            "sum16",
            "lrc16",
            "sum8",
            "{sum8: {from: 1}}",
            "sum8-inverted",
            "lrc",
            "{lrc: {from: 1}}",
            "xor8",
            "{xor8: {from: 1}}",
            "",
        ] {
            let mut settings =
                format!("framing: {{fixed: {{size: {length}, prefix: \"hex:{begins}\"}}}}\n");
            if !checksum.is_empty() {
                settings += &format!("checksum: {checksum}\n");
            }
            settings += "# Each value by its place: fields: [{name: temperature, at: 4, type: i16, scale: 0.1}]\n\
                         decode: {bytes: {field: frame}}\n";
            let guess = match checksum {
                "" => "frames of one length; none of the usual checksums is in them",
                _ => "frames of one length with a checksum",
            };
            way(guess, &settings, "what the bytes mean: `decode: {binary: {fields: […]}}`");
        }
    }
    if is_text(&bytes) {
        way(
            "lines of text",
            "framing: lines\ndecode: {text: {field: line}}\n",
            "what stands in a line: `decode: {pattern: …}`",
        );
    }
    ways
}

fn is_text(bytes: &[u8]) -> bool {
    let is_of_text = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
    let of_text = bytes.iter().filter(|byte| **byte >= 0x80 || is_of_text(byte)).count();
    bytes.contains(&b'\n') && of_text * 100 >= bytes.len() * 98
}

/// Whole lines: not the first and the last one, which may be cut off, unless there are no others.
fn lines(bytes: &[u8]) -> Vec<&str> {
    if !is_text(bytes) {
        return Vec::new();
    }
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| std::str::from_utf8(line).ok().map(str::trim));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    match &lines[..] {
        [_, middle @ .., _] if !middle.is_empty() => middle.to_vec(),
        _ => lines,
    }
}

/// Settings for `temp=21.5 hum=40`, if all lines are such.
fn pairs(bytes: &[u8]) -> Option<&'static str> {
    let lines = lines(bytes);
    let all = |sign: char| {
        let is_pair = |word: &str| {
            let name = word.split_once(sign).map(|(name, _)| name.trim());
            name.is_some_and(|name| {
                name.starts_with(|c: char| c.is_alphabetic())
                    && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
            })
        };
        !lines.is_empty()
            && lines.iter().all(|line| line.split_whitespace().next().is_some_and(is_pair))
    };
    if all('=') {
        Some("framing: lines\ndecode: pairs\n")
    } else if all(':') {
        Some("framing: lines\ndecode: {pairs: {equals: \":\"}}\n")
    } else {
        None
    }
}

/// Settings for `21.5,40,300`, if all lines have as many columns and most of these are numbers.
fn columns(bytes: &[u8]) -> Option<String> {
    let lines = lines(bytes);
    let first = lines.first()?;
    let separator =
        [';', ',', '\t', ' '].into_iter().find(|separator| first.contains(*separator))?;
    let count = first.split(separator).count();
    let is_number = |text: &&str| text.trim().parse::<f64>().is_ok();
    let numbers = first.split(separator).filter(is_number).count();
    if numbers * 2 < count || lines.iter().any(|line| line.split(separator).count() != count) {
        return None;
    }
    let names: Vec<_> = (1..=count.min(64)).map(|n| format!("value{n}")).collect();
    let separator = separator.escape_default();
    let names = names.join(", ");
    Some(format!(
        "framing: lines\ndecode: {{fields: {{separator: \"{separator}\", names: [{names}]}}}}\n"
    ))
}

/// A length that repeats, and how the frames begin.
fn fixed(bursts: &[Burst]) -> Option<(usize, Vec<u8>)> {
    let (mut recogniser, start) = (Recogniser::default(), Instant::now());
    for Burst { at, bytes } in bursts {
        let at = start + *at;
        recogniser.push(bytes, false, at);
        recogniser.pause(at + Duration::from_millis(50));
    }
    match recogniser.guess() {
        Some(Guess::Fixed { length, begins }) if !begins.is_empty() => {
            Some((length, begins.into_iter().take(4).collect()))
        }
        _ => None,
    }
}

/// A text as YAML has it in double quotes, as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The file, with the messages that its case expects.
fn whole(
    way: &Way,
    bursts: &[Burst],
    open: &str,
    from: &str,
    line: Option<&str>,
    messages: &[(String, String)],
) -> String {
    let mut text = format!(
        "# Drafted by {} from {from}: {}.\n# Left to say: make, title, about, wiring and source; and\n# {}.\n",
        VERSION.trim(),
        way.guess,
        way.left
    );
    text += "make: \"\"      # who makes it\ntitle: \"\"     # what it is, in a few words\n\
             about: \"\"     # what it measures, and what must be known of it\n\
             wiring: \"\"    # how it is connected\n\
             source: {document: \"\", section: \"\"}   # what publishes its protocol\n";
    let guessed = if line.is_some() { "" } else { "   # as the device is set" };
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "line: {}{guessed}", line.unwrap_or("9600 8N1"));
    text += &way.settings;
    text += "# The name of a case begins with `published` or `documented` where its bytes stand elsewhere, else with\n\
             # `made`. The library wants a second one, with a damaged byte.\ncases:\n";
    let _ = writeln!(text, "  - name: made, captured bytes\n    open: {open}\n    input:");
    for Burst { at, bytes } in bursts {
        let is_plain = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
        let bytes = match std::str::from_utf8(bytes) {
            Ok(plain) if bytes.iter().all(is_plain) => format!("text: {}", quoted(plain)),
            _ => {
                let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                format!("hex: {}", quoted(&digits.join(" ")))
            }
        };
        let _ = writeln!(text, "      - {{at: {}ms, {bytes}}}", at.as_millis());
    }
    if messages.is_empty() {
        text += "    messages: []\n";
        return text;
    }
    text += "    messages:\n";
    for (topic, payload) in messages {
        let (topic, payload) = (quoted(topic), quoted(payload));
        let _ = writeln!(text, "      - {{topic: {topic}, payload: {payload}}}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafted(bursts: &[&[u8]]) -> Draft {
        let bursts = bursts
            .iter()
            .enumerate()
            .map(|(n, bytes)| Burst { at: Duration::from_secs(n as u64), bytes: bytes.to_vec() });
        let draft = draft(&bursts.collect::<Vec<_>>(), "a capture", Some("9600 8N1"));
        let golden = Golden::read("draft.yaml", draft.text.clone());
        let golden = golden.unwrap_or_else(|wrong| panic!("{wrong}\n{}", draft.text));
        assert_eq!(golden.failures(), [""; 0], "{}", draft.text);
        draft
    }

    #[test]
    fn a_draft_is_a_device_file_whose_case_passes_as_it_is() {
        for (bursts, guess, contains) in [
            (
                &[b"1.5,40,300\r\n21.50,40,301\r\n21.51,41,3".as_slice()][..],
                "lines of columns",
                "value3",
            ),
            (&[b"{\"t\": 21.5}\n", b"{\"t\": 21.6}\n"], "lines of JSON", "\"21.6\""),
            (
                &[b"temp=21.5 hum=40\ntemp=21.6 hum=41\n"],
                "lines of names and values",
                "gw/port/hum",
            ),
            (&[b"ready\nhello, world\nbye\n"], "lines of text", "hello, world"),
            (
                &[b"$GPGLL,4916.45,N,12311.12,W,225444,A,*1D\r\n"],
                "sentences of NMEA 0183",
                "4916.45",
            ),
            (
                &[
                    b"\xff\x86\x01\x90\0\0\0\0\xe9",
                    b"\xff\x86\x01\x91\0\0\0\0\xe8",
                    b"\xff\x86\x01\x92\0\0\0\0\xe7",
                    b"\xff\x86\x01\x93\0\0\0\0\xe6",
                ],
                "frames of one length",
                "prefix: \"hex: FF 86 01\"",
            ),
            (&[b"\x01\x02\xff", b"\x80\x01"], "bytes between silences", "0102ff"),
        ] {
            let draft = drafted(bursts);
            assert!(draft.guess.starts_with(guess), "{} for {guess}\n{}", draft.guess, draft.text);
            assert!(draft.text.contains(contains), "{}", draft.text);
        }
    }

    /// What the library reads is not read worse, as far as it is not asked for.
    #[test]
    #[cfg(feature = "library")]
    fn captures_of_the_library_s_meters_are_recognised() {
        let library = super::super::Library::beside(std::path::Path::new("/nowhere"));
        for (name, guess) in [
            ("dsmr-5", "telegrams of a P1 port"),
            ("sml-meter", "SML files"),
            ("victron-ve-direct", "blocks of VE.Direct"),
            ("nmea-gps", "sentences of NMEA 0183"),
            ("kamstrup-han", "HDLC frames"),
        ] {
            let (_, cases) = library.open(name).unwrap();
            let input = &cases[0].input;
            let bursts: Vec<Vec<u8>> = input.iter().map(|burst| burst.bytes().unwrap()).collect();
            let bursts: Vec<&[u8]> = bursts.iter().map(Vec::as_slice).collect();
            let draft = drafted(&bursts);
            assert!(draft.guess.starts_with(guess), "{name}: {}", draft.guess);
        }
    }
}
