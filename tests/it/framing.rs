//! Framing: laws that hold for any bytes made of what each rule finds special, and the cases in
//! which a frame is easily lost, invented or counted twice.

use bytes::Bytes;
use proptest::prelude::*;
use serde::Deserialize;
use std::time::{Duration, Instant};
use tty2mqtt::testing::codec::frame::{Checksum, FrameCounts, Framer, Framing};

const LIMIT: usize = 64;

/// A rule, its checksum and the pieces of which its streams are made besides runs of text.
type Rule = (&'static str, Option<&'static str>, &'static [&'static [u8]]);

const RULES: [Rule; 21] = [
    ("{lines: {limit: 64}}", None, &[b"\n", b"\r\n", b"\r", b"\0"]),
    (r#"{lines: {terminator: "\r\n", limit: 64}}"#, None, &[b"\r\n", b"\r", b"\n"]),
    (r#"{delimited: {start: "<<", end: ">>", limit: 64}}"#, None, &[b"<<", b">>", b"<", b">"]),
    (r#"{delimited: {start: "~", end: "~", limit: 64}}"#, None, &[b"~", b"~~"]),
    (
        r#"{delimited: {start: "/", end: "!", trailer: 6, limit: 64}}"#,
        None,
        &[b"/", b"!", b"1234\r\n"],
    ),
    (r#"{delimited: {end: "\r\n", trailer: 2, limit: 64}}"#, None, &[b"\r\n", b"\r", b"ab"]),
    ("{delimited: {escape: slip, limit: 64}}", None, &[b"\xC0", b"\xDB", b"\xDC", b"\xDD"]),
    (
        "{delimited: {escape: dle, limit: 64}}",
        None,
        &[b"\x10\x02", b"\x10\x03", b"\x10\x10", b"\x10"],
    ),
    ("{fixed: {size: 5}}", Some("sum8"), &[b"\x01\x02\x03\x04\x0A", b"\x01", b"\x0A"]),
    (
        "{length: {prefix: 'hex:42 4D', offset: 2, limit: 64}}",
        None,
        &[b"\x42\x4D\x02ab", b"\x42", b"\x4D"],
    ),
    ("{length: {size: 2, limit: 64}}", Some("sum8"), &[b"\x00\x03\x01\x02\x06", b"\x00", b"\x03"]),
    ("{raw: {size: 16}}", None, &[b"\x00"]),
    (
        "{lines: {limit: 64}}",
        Some("{xor8: {format: hex, separator: '*'}}"),
        &[b"\r\n", b"ab*03\n", b"*"],
    ),
    (
        "{delimited: {escape: hdlc, limit: 64}}",
        Some("crc16-x25"),
        &[b"\x7E", b"\x7D", b"\x5E", b"\x5D"],
    ),
    ("{gap: {limit: 64}}", None, &[b"\x00"]),
    (
        "{delimited: {end: 'hex:AA', limit: 64, escape: {by: 'hex:A9', table: {'hex:00': 'hex:A9', 'hex:01': 'hex:AA'}}}}",
        Some("{crc8-ebus: {over: escaped}}"),
        &[b"\xAA", b"\xA9", b"\xA9\x01", b"\x10\xFE\xB5\x16\x03\x01\xA9\x01\x09\x5F\xAA"],
    ),
    (
        "{length: {prefix: U, offset: 1, size: 2, mask: 0x7FF0, plus: [{offset: 3, mask: 3}], unit: 2, limit: 64}}",
        Some("{fletcher16: {from: 1}}"),
        &[b"U", b"U\x00\x10\x02abcd\x42\x9D", b"\x00\x10"],
    ),
    (
        "{p1: {limit: 64}}",
        None,
        &[b"/ABC", b"/", b"!", b"\n!", b"\r\n", b"/ISK5\\2M\r\n1.7.0(1)\r\n!144C\r\n"],
    ),
    (
        "{ve-direct: {limit: 64}}",
        None,
        &[
            b"\r\nPID\t0x203",
            b"\r\nChecksum\t",
            b"\r\nH1\t-5\r\nChecksum\t\xB2",
            b"\x7E",
            b":A01020048\n",
            b":",
            b"\r\n",
        ],
    ),
    (
        "{hdlc: {limit: 64}}",
        None,
        &[
            b"\x7E",
            b"\x7E\xA0\x10\x41\x08\x83\x13\x7D\x8B\xE6\xE7\x00\x0F\x7E\x7D\xD1\x8A\x7E",
            b"\x7E\xA8\x0F\x41\x08\x83\x13\x99\x74\xE6\xE7\x00\x0F\x01\xE4\xED",
            b"\x7E\xA0\x0B\x41\x08\x83\x13\xD1\x78\x04\xE8\x80\x7E",
            b"\xA0",
        ],
    ),
    ("{sml: {limit: 64}}", None, &[b"\x1B", b"\x1B\x1B\x1B\x1B", b"\x01\x01\x01\x01", b"\x1A\x00"]),
];

fn read<T: for<'de> Deserialize<'de>>(yaml: &str) -> T {
    tty2mqtt::testing::config::tree::parse(yaml).unwrap()
}

fn framer(framing: &str, checksum: Option<&str>) -> Framer {
    let checksum: Option<Checksum> = checksum.map(read);
    let line = "9600 8N1".parse().unwrap();
    read::<Framing>(framing).build(checksum.as_ref(), Some(&line)).unwrap()
}

/// How a stream begins.
#[derive(Clone, Copy, Debug)]
enum Open {
    Silent,
    Middle,
}

/// All frames of reads that come at one moment, with a silence behind them.
fn run<'a>(
    framer: &mut Framer,
    open: Open,
    reads: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Bytes> {
    let opened = Instant::now();
    framer.open(opened);
    let mut at = match open {
        Open::Silent => opened + Duration::from_secs(1),
        Open::Middle => opened,
    };
    let mut frames = Vec::new();
    for read in reads {
        framer.push(read, at);
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    for _ in 0..1000 {
        let Some(due) = framer.deadline() else { return frames };
        at = at.max(due);
        framer.timeout(at);
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    panic!("the silence never ends");
}

/// Frames and counts of a stream that comes in one read.
fn cut(
    framing: &str,
    checksum: Option<&str>,
    open: Open,
    wire: &[u8],
) -> (Vec<Bytes>, FrameCounts) {
    let mut framer = framer(framing, checksum);
    let frames = run(&mut framer, open, [wire]);
    (frames, framer.counts().clone())
}

fn stream() -> impl Strategy<Value = (usize, Vec<u8>)> {
    (0..RULES.len()).prop_flat_map(|n| {
        let piece = prop_oneof![
            4 => prop::sample::select(RULES[n].2.to_vec()).prop_map(<[u8]>::to_vec),
            2 => prop::collection::vec(b'a'..=b'z', 0..6),
            // Runs about as long as the limit, where it takes effect.
            1 => (55..75_usize).prop_map(|n| vec![b'x'; n]),
            1 => prop::collection::vec(any::<u8>(), 0..9),
        ];
        (Just(n), prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_into_reads_gives_the_same_frames(
        (n, bytes) in stream(),
        silent in any::<bool>(),
        size in 1_usize..9,
    ) {
        let (framing, checksum, _) = RULES[n];
        let open = if silent { Open::Silent } else { Open::Middle };
        let whole = run(&mut framer(framing, checksum), open, [bytes.as_slice()]);
        let split = run(&mut framer(framing, checksum), open, bytes.chunks(size));
        prop_assert_eq!(whole, split, "{}", framing);
    }

    #[test]
    fn a_line_with_a_damaged_byte_is_bad_and_so_is_none_but_that_behind_a_damaged_end(
        lines in prop::collection::vec(1_usize..12, 1..12),
        damaged in prop::collection::btree_set(0_usize..100, 0..4),
        size in 1_usize..9,
    ) {
        // Where the end of a line came damaged, nothing says that the next one begins there.
        let (mut wire, mut expected, mut bad, mut in_step) = (Vec::new(), Vec::new(), 0, true);
        for (n, length) in lines.iter().enumerate() {
            let line = format!("{n}{}", "x".repeat(*length));
            let end = wire.len() + line.len();
            let is_bad = damaged.range(wire.len()..=end).next().is_some();
            match is_bad {
                true => bad += u64::from(in_step),
                false if in_step => expected.push(line.clone()),
                false => {}
            }
            in_step = !damaged.contains(&end);
            wire.extend(line.bytes().chain([b'\n']));
        }
        let mut framer = framer("{lines: {limit: 64}}", None);
        let at = Instant::now();
        framer.open(at);
        let at = at + Duration::from_secs(1);
        let mut frames = Vec::new();
        let mut start = 0;
        while start < wire.len() {
            let is_damaged = damaged.contains(&start);
            let until = |end: &usize| *end > start && damaged.contains(end);
            let end = match is_damaged {
                true => start + 1,
                false => (start..wire.len()).find(until).unwrap_or(wire.len()).min(start + size),
            };
            match is_damaged {
                true => framer.push_damaged(&wire[start..end], at),
                false => framer.push(&wire[start..end], at),
            }
            frames.extend(std::iter::from_fn(|| framer.frame()));
            start = end;
        }
        prop_assert_eq!(frames, expected);
        let counts = framer.counts();
        prop_assert_eq!((counts.bad.line_error, counts.bad.total()), (bad, bad));
        prop_assert_eq!(counts.bytes, wire.len() as u64);
    }

    #[test]
    fn damage_makes_no_frame_that_would_not_come_without_it_and_spoils_where_it_stands(
        (n, bytes) in stream(),
        from in 0_usize..100,
        length in 1_usize..4,
    ) {
        let (framing, checksum, _) = RULES[n];
        let from = from.min(bytes.len());
        let to = (from + length).min(bytes.len());
        let play = |damaged: bool| {
            let mut framer = framer(framing, checksum);
            let opened = Instant::now();
            framer.open(opened);
            let mut at = opened + Duration::from_secs(1);
            let mut frames = Vec::new();
            for (piece, is_damaged) in
                [(&bytes[..from], false), (&bytes[from..to], damaged), (&bytes[to..], false)]
            {
                if is_damaged { framer.push_damaged(piece, at) } else { framer.push(piece, at) }
                frames.extend(std::iter::from_fn(|| framer.frame()));
            }
            while let Some(due) = framer.deadline() {
                at = at.max(due);
                framer.timeout(at);
                frames.extend(std::iter::from_fn(|| framer.frame()));
            }
            (frames, framer.counts().clone(), framer.waiting())
        };
        let (whole, clean, _) = play(false);
        let (spoilt, counts, waiting) = play(true);
        prop_assert_eq!(counts.bytes, bytes.len() as u64);
        prop_assert!(counts.skipped + waiting as u64 <= counts.bytes);
        prop_assert_eq!(clean.bad.line_error, 0);
        // Behind a damaged frame of a computed length a search begins, which may find others; and a
        // checksum may be right by chance where a damaged byte was dropped.
        if checksum.is_none() && !framing.contains("length") {
            let mut rest = whole.iter();
            prop_assert!(spoilt.iter().all(|frame| rest.any(|other| other == frame)), "{}", framing);
            prop_assert!(spoilt.len() == whole.len() || counts.bad.total() > 0 || counts.skipped > clean.skipped, "{}", framing);
        }
    }

    #[test]
    fn what_was_escaped_comes_out_again(content in prop::collection::vec(any::<u8>(), 1..60)) {
        for (n, flag, escape, mask) in [(6, 0xC0, 0xDB, None), (13, 0x7E, 0x7D, Some(0x20))] {
            let mut plain = content.clone();
            if n == 13 {
                plain.extend(crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(&content).to_le_bytes());
            }
            let mut wire = vec![flag];
            for byte in plain {
                match (byte == flag, byte == escape, mask) {
                    (false, false, _) => wire.push(byte),
                    (_, _, Some(mask)) => wire.extend([escape, byte ^ mask]),
                    (true, _, None) => wire.extend([escape, 0xDC]),
                    (_, true, None) => wire.extend([escape, 0xDD]),
                }
            }
            wire.push(flag);
            prop_assert_eq!(cut(RULES[n].0, RULES[n].1, Open::Silent, &wire).0, [Bytes::from(content.clone())]);
        }
    }

    #[test]
    fn no_frame_passes_the_limit_and_no_byte_is_counted_twice((n, bytes) in stream()) {
        let (framing, checksum, _) = RULES[n];
        let (frames, counts) = cut(framing, checksum, Open::Silent, &bytes);
        let handed_out: usize = frames.iter().map(Bytes::len).sum();
        prop_assert_eq!(counts.bytes, bytes.len() as u64);
        prop_assert!(handed_out as u64 + counts.skipped <= counts.bytes);
        prop_assert!(frames.iter().all(|frame| frame.len() <= LIMIT), "{}", framing);
        let bad = counts.bad.checksum + counts.bad.too_long + counts.bad.cut + counts.bad.malformed;
        prop_assert!(bad <= counts.skipped, "{} bad frames in {} bytes", bad, counts.skipped);
    }
}

/// Frames of a stream that is told in reads.
fn frames_of(framing: &str, checksum: Option<&str>, open: Open, reads: &[&[u8]]) -> Vec<Bytes> {
    run(&mut framer(framing, checksum), open, reads.iter().copied())
}

#[test]
fn a_terminator_in_two_reads_ends_a_line_that_is_too_long() {
    let long = [b"x".repeat(67).as_slice(), b"\r"].concat();
    let frames = frames_of(RULES[1].0, None, Open::Silent, &[&long, b"\nok\r\n"]);
    assert_eq!(frames, ["ok"]);
}

#[test]
fn a_start_in_two_reads_begins_a_frame_behind_one_that_is_too_long() {
    let long = [b"<<".as_slice(), &b"x".repeat(66), b"<"].concat();
    let frames = frames_of(RULES[2].0, None, Open::Silent, &[&long, b"<ok>>"]);
    assert_eq!(frames, ["ok"]);
}

#[test]
fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
    for (framing, end) in [(RULES[0].0, "\n"), (RULES[0].0, "\r\n"), (RULES[1].0, "\r\n")] {
        for (length, passes) in [(64, true), (65, false)] {
            let wire = format!("{}{end}", "x".repeat(length));
            let (frames, counts) = cut(framing, None, Open::Silent, wire.as_bytes());
            assert_eq!(frames.len(), usize::from(passes), "{framing} {length} {end:?}");
            assert_eq!(counts.bad.too_long, u64::from(!passes), "{framing} {length} {end:?}");
        }
    }
}

#[test]
fn the_same_byte_for_start_and_end_may_be_repeated_between_frames() {
    let frames = frames_of(RULES[3].0, None, Open::Silent, &[b"~one~~~two~~~~three~"]);
    assert_eq!(frames, ["one", "two", "three"]);
    let frames = frames_of(RULES[3].0, None, Open::Middle, &[b"ne~~two~~three~"]);
    assert_eq!(frames, ["two", "three"]);
}

#[test]
fn a_stuffed_dle_before_02_begins_no_frame() {
    let frames =
        frames_of(RULES[7].0, None, Open::Middle, &[b"a\x10\x10\x02b\x10\x03\x10\x02ok\x10\x03"]);
    assert_eq!(frames, ["ok"]);
}

#[test]
fn a_length_field_that_nothing_confirms_is_waited_for_behind_a_silence() {
    // The middle of a frame looks like a frame: 2, a, b.
    let mut framer = framer("{length: {limit: 64}}", None);
    assert_eq!(run(&mut framer, Open::Middle, [b"\x02ab".as_slice()]), [] as [Bytes; 0]);
    assert_eq!(framer.counts().skipped, 3);
    let next = run(&mut framer, Open::Silent, [b"\x02ok".as_slice()]);
    assert_eq!(next, [b"\x02ok".as_slice()]);
}

#[test]
fn a_good_frame_behind_a_corrupted_length_field_is_found_when_the_line_falls_silent() {
    let (frames, counts) = cut(RULES[9].0, None, Open::Silent, b"\x42\x4D\x30ab\x42\x4D\x02cd");
    assert_eq!(frames, [b"\x42\x4D\x02cd".as_slice()]);
    assert_eq!((counts.bad.cut, counts.skipped), (1, 5));
}

#[test]
fn a_bad_frame_counts_once_however_often_the_framer_tries_again_inside_it() {
    // A frame with a corrupted byte between two good ones; no start to hold on to.
    let good = b"\x01\x02\x03\x04\x0A";
    let wire = [good.as_slice(), b"\x01\x02\x07\x04\x0A", good].concat();
    let (frames, counts) = cut(RULES[8].0, RULES[8].1, Open::Silent, &wire);
    assert_eq!(frames, [&good[..4], &good[..4]]);
    assert_eq!((counts.bad.checksum, counts.skipped), (1, 5));
    // The rest of a frame whose beginning was not seen is no bad frame.
    let wire = [&good[2..], good].concat();
    let (frames, counts) = cut(RULES[8].0, RULES[8].1, Open::Middle, &wire);
    assert_eq!(frames, [&good[..4]]);
    assert_eq!((counts.bad.checksum, counts.skipped), (0, 3));
}

#[test]
fn a_wrong_kind_of_checksum_shows_in_the_count_of_bad_frames() {
    let wire = b"\x01\x02\x03\x04\x0A".repeat(20);
    let (frames, counts) = cut(RULES[8].0, Some("crc8"), Open::Silent, &wire);
    assert_eq!(frames, [] as [Bytes; 0]);
    assert!((15..=20).contains(&counts.bad.checksum), "{counts:?}");
}

#[test]
fn the_nuls_of_a_break_before_a_line_are_no_text() {
    let (frames, counts) = cut("lines", None, Open::Silent, b"\0\0temp=1\n\0\r\n\0\nhum=2\n");
    assert_eq!(frames, ["temp=1", "hum=2"]);
    assert_eq!(counts.frames, 2);
}

/// Plays pieces into a rule, of which some came damaged, with a silence before and behind them.
fn damaged(
    framing: &str,
    checksum: Option<&str>,
    pieces: &[(&[u8], bool)],
) -> (Vec<Bytes>, FrameCounts) {
    let mut framer = framer(framing, checksum);
    let opened = Instant::now();
    framer.open(opened);
    let mut at = opened + Duration::from_secs(1);
    let mut frames = Vec::new();
    for (bytes, is_damaged) in pieces {
        if *is_damaged {
            framer.push_damaged(bytes, at)
        } else {
            framer.push(bytes, at)
        }
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    while let Some(due) = framer.deadline() {
        at = at.max(due);
        framer.timeout(at);
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    (frames, framer.counts().clone())
}

#[test]
fn a_damaged_byte_in_any_place_of_a_line() {
    let of = |pieces: &[(&[u8], bool)]| {
        let (frames, counts) = damaged("lines", None, pieces);
        let frames: Vec<_> =
            frames.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
        (frames.join("|"), counts.bad.line_error)
    };
    // Within, at the start, at the end, as the end, as an empty line, in the carriage return.
    assert_eq!(of(&[(b"a\nb", false), (b"c", true), (b"d\ne\n", false)]), ("a|e".into(), 1));
    assert_eq!(of(&[(b"a\n", false), (b"-", true), (b"5\ne\n", false)]), ("a|e".into(), 1));
    assert_eq!(of(&[(b"a\n12", false), (b"\n", true), (b"34\ne\n", false)]), ("a|e".into(), 1));
    assert_eq!(of(&[(b"a\n", false), (b"\n", true), (b"34\ne\n", false)]), ("a|e".into(), 0));
    assert_eq!(of(&[(b"a\n5", false), (b"\r", true), (b"\nd\ne\n", false)]), ("a|e".into(), 1));
    // A break before a line, as when the device is switched on.
    assert_eq!(of(&[(b"a\n", false), (b"\0", true), (b"b\n", false)]), ("a|b".into(), 0));
}

#[test]
fn what_an_rs485_driver_makes_around_a_frame_does_not_cost_it() {
    let frame = b"\x01\x03\x02\x00\x01\x79\x84";
    let glitch: (&[u8], bool) = (b"\0", true);
    for framing in ["gap", "{length: {prefix: 'hex:01 03', offset: 2, size: 1, add: 5}}"] {
        let (frames, counts) =
            damaged(framing, Some("crc16-modbus"), &[glitch, (frame, false), glitch]);
        assert_eq!(frames, [&frame[..5]], "{framing}: {counts:?}");
        assert_eq!((counts.bytes, counts.skipped), (9, 2));
        let (frames, counts) = damaged(
            framing,
            Some("crc16-modbus"),
            &[(&frame[..3], false), (&frame[3..4], true), (&frame[4..], false)],
        );
        assert_eq!(frames, [""; 0], "{framing}");
        assert_eq!((counts.bad.line_error, counts.bad.total()), (1, 1), "{framing}");
    }
}

#[test]
fn where_bytes_were_lost_the_next_frame_is_looked_for() {
    let mut framer = framer("lines", None);
    let opened = Instant::now();
    framer.open(opened);
    let at = opened + Duration::from_secs(1);
    framer.push(b"a\n-1", at);
    assert_eq!(framer.frame().unwrap(), "a");
    assert_eq!(framer.frame(), None);
    framer.lost();
    framer.push(b"23\nb\n", at);
    assert_eq!(framer.frame().unwrap(), "b");
    assert_eq!(framer.counts().bad.line_error, 1);
}

#[test]
fn the_limit_holds_before_an_end_is_seen() {
    // Bytes that begin a frame in each rule and never end it.
    for (n, start) in [
        (0, ""),
        (1, ""),
        (2, "<<"),
        (3, "~"),
        (4, "/"),
        (5, ""),
        (6, ""),
        (7, "\x10\x02"),
        (12, ""),
        (13, ""),
        (14, ""),
    ] {
        let mut framer = framer(RULES[n].0, RULES[n].1);
        let opened = Instant::now();
        framer.open(opened);
        let at = opened + Duration::from_secs(1);
        framer.push(start.as_bytes(), at);
        for _ in 0..100 {
            framer.push(&[b'x'; 50], at);
            assert_eq!(framer.frame(), None);
        }
        let counts = framer.counts();
        let held = counts.bytes - counts.skipped;
        assert!(held <= 64 + 130, "{:?} holds {held} bytes", RULES[n]);
        assert_eq!(counts.bad.too_long, 1, "{:?}", RULES[n]);
    }
}

#[test]
fn a_line_that_comes_byte_by_byte_costs_linear_time() {
    // A rule that looked at everything again at each byte would take minutes for this.
    let mut framer = {
        let line = "115200 8N1".parse().unwrap();
        read::<Framing>("{lines: {limit: 64KiB}}").build(None, Some(&line)).unwrap()
    };
    let line = vec![b'x'; 60_000];
    let mut frames = 0;
    for _ in 0..20 {
        let chunks = line.chunks(1).chain([b"\n".as_slice()]);
        let opened = Instant::now();
        framer.open(opened);
        for chunk in chunks {
            framer.push(chunk, opened + Duration::from_secs(1));
            frames += u32::from(framer.frame().is_some());
        }
    }
    assert_eq!(frames, 20);
}
