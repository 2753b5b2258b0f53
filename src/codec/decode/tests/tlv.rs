//! Records of tag, length and value.

use super::{build_error, decoded, refused};

#[test]
fn records_with_a_length_and_those_that_nobody_wants() {
    let yaml = "{tlv: {from: 1, trailing: 1, fields: [{name: t, from: 0x10, type: i16, scale: 0.1, unit: °C}, \
        {name: id, from: 17, type: text}, {name: raw, from: 18, type: bytes}, {name: low, from: 19, type: u8, bits: 0-3}, \
        {name: high, from: 19, type: u8, bits: 4-7}]}}";
    let frame = b"\x55\x11\x02AB\x77\x03abc\x10\x02\xFF\xF6\x12\x00\x13\x01\xA5\xFF";
    assert_eq!(decoded(yaml, frame), ["id=\"AB\"", "t=-1.0 °C", "raw=\"\"", "low=5", "high=10"]);
    assert!(decoded(yaml, b"\x55\xFF").is_empty());
    let little = "{tlv: {tag: 2, length: 2, endian: little, fields: [{name: a, from: 0x0102, type: u16}, \
        {name: b, from: 0x0103, type: u16, endian: big}, {name: n, from: 4, type: u8, publish: false}]}}";
    let frame = b"\x02\x01\x02\x00\x01\x02\x04\x00\x01\x00\x07\x03\x01\x02\x00\x01\x02";
    assert_eq!(decoded(little, frame), ["a=513", "b=258"]);
}

#[test]
fn records_whose_lengths_are_known() {
    let yaml = "{tlv: {length: 0, lengths: {0x8E: 2}, fields: [{name: v, from: 0x83, type: u16}, {name: s, from: 0xB7, type: text}, \
        {name: cells, from: 0x79, decode: {binary: {repeat: [{at: 0, step: 3, fields: [{name: 'c{n}', at: 1, type: u16}]}]}}}]}}";
    let frame = b"\x79\x06\x01\x0E\xED\x02\x0E\xFA\x8E\xFF\xFF\x83\x14\xEF\xB7\x02AB";
    assert_eq!(decoded(yaml, frame), ["c1=3821", "c2=3834", "v=5359", "s=\"AB\""]);
    let unknown = "record: a tag whose length is known; \\x84\\x00";
    assert_eq!(refused(yaml, b"\x83\x14\xEF\x84\x00"), [unknown]);
    // Nested values know which of them are not published.
    let nested = "{tlv: {fields: [{name: a, from: 1, decode: {tlv: {fields: [{name: b, from: 2, type: u8}, \
        {name: c, from: 3, type: u8, publish: false}]}}}]}}";
    assert_eq!(decoded(nested, b"\x01\x06\x02\x01\x05\x03\x01\x06"), ["b=5"]);
    assert_eq!(decoded(nested, b"\x01\x03\x02\x02\x05"), ["!record malformed"]);
}

#[test]
fn records_of_one_tag_are_numbered_if_the_name_says_so() {
    let yaml =
        "{tlv: {fields: [{name: 'cell{n}', from: 1, type: u8}, {name: last, from: 1, type: u8}]}}";
    let two = ["cell1=7", "last=7", "cell2=8", "last=8"];
    assert_eq!(decoded(yaml, b"\x01\x01\x07\x01\x01\x08"), two);
    let many = decoded(yaml, &b"\x01\x01\x00".repeat(101));
    assert_eq!(many.len(), 202);
    assert_eq!(many.iter().filter(|it| *it == "!cell{n} malformed").count(), 2);
    assert_eq!(decoded(yaml, &b"\x01\x01\x00".repeat(600)).len(), 513);
}

#[test]
fn what_is_damaged_in_records_is_refused() {
    let yaml = "{tlv: {from: 2, trailing: 1, length: 2, fields: [{name: a, from: 1, type: u16}, {name: t, from: 2, type: text}]}}";
    for (frame, expected) in [
        (&b"\x55"[..], "records: the bytes in front of the records and behind them; U"),
        (b"..\x01\x00.", "record: a length behind the tag; \\x01\\x00"),
        (
            b"..\x01\x00\x02\x07.",
            "record: as many bytes behind the tag as its value has; \\x01\\x00\\x02\\x07",
        ),
        (
            b"..\x01\xFF\xFF\x07\x07.",
            "record: as many bytes behind the tag as its value has; \\x01\\xff\\xff\\x07\\x07",
        ),
        (b"..\x01\x00\x01\x07.", "a: as many bytes as the field has; \\x07"),
        (b"..\x02\x00\x01\xFF.", "t: text in UTF-8; \\xff"),
    ] {
        assert_eq!(refused(yaml, frame), [expected]);
    }
    assert_eq!(
        refused("{tlv: {tag: 2, fields: [{name: a, from: 1, type: u16}]}}", b"\x01"),
        ["record: a whole tag; \\x01"]
    );
}

#[test]
fn mistakes_in_records_are_found_at_load() {
    let field = "fields: [{name: a, from: 1, type: u16}]";
    for (settings, expected) in [
        ("fields: []", "name at least one field"),
        (&format!("tag: 3, {field}"), "a tag has 1 or 2 bytes"),
        (&format!("length: 3, {field}"), "a length has 0, 1 or 2 bytes"),
        (&format!("lengths: {{2: 1}}, {field}"), "the records say their lengths themselves"),
        (&format!("length: 0, lengths: {{2: many}}, {field}"), "a number of bytes"),
        (&format!("length: 0, lengths: {{0x01: 2}}, {field}"), "a field says the length"),
        (&format!("node: b, {field}"), "there is no field \"b\""),
        ("fields: [a]", "needs its tag as `from`"),
        ("fields: [{name: a, from: 0x100, type: u8}]", "not a tag from 0 to 0xFF"),
        ("fields: [{name: a, from: x, type: u8}]", "not a tag from 0 to 0xFF"),
        ("tag: 2, fields: [{name: a, from: 65536, type: u8}]", "not a tag from 0 to 0xFFFF"),
        ("fields: [{name: a, from: 1}]", "bytes do not show their type"),
        ("fields: [{name: a, from: 1, type: bcd}]", "this type needs one"),
        ("fields: [{name: a, from: 1, type: u8, length: 1}]", "the type says it"),
        ("fields: [{name: a, from: 1, type: u8, at: 0}]", "no such key"),
        ("fields: [{name: a, from: 1, as: hex, decode: text}]", "no such key"),
        (
            "length: 0, fields: [{name: a, from: 1, type: u8}, {name: b, from: 1, type: u16}]",
            "another length",
        ),
    ] {
        let error = build_error(&format!("{{tlv: {{{settings}}}}}"));
        assert!(error.contains(expected), "{settings}: {error}");
    }
}
