//! Bytes in the text of a field, and values that follow each other.

use super::{build_error, decoded, refused};

#[test]
fn another_decoder_reads_the_bytes_that_a_text_stands_for() {
    let inner = "decode: {binary: {fields: [{name: t, at: 0, type: i16, scale: 0.1, unit: °C}, {name: id, at: 2, type: text, length: 2}]}}";
    let yaml = format!(
        "{{pairs: {{between: ',', fields: [{{name: payload, from: P, {inner}}}, {{name: rssi, from: R}}]}}}}"
    );
    assert_eq!(decoded(&yaml, b"P=FFF64142,R=-51"), ["t=-1.0 °C", "id=\"AB\"", "rssi=-51"]);
    assert_eq!(decoded(&yaml, b"P=FFF6,R=-51"), ["t=-1.0 °C", "rssi=-51", "!id missing"]);
    let expected = "payload: pairs of hexadecimal digits; FFF";
    assert_eq!(refused(&yaml, b"P=FFF,R=1"), [expected]);
    let yaml = format!("{{json: {{fields: [{{name: payload, as: base64, {inner}}}]}}}}");
    assert_eq!(decoded(&yaml, br#"{"payload": "//ZBQg=="}"#), ["t=-1.0 °C", "id=\"AB\""]);
    assert_eq!(decoded(&yaml, br#"{"payload": "//ZBQ"}"#), ["!payload malformed"]);
    let yaml = format!(
        "{{pattern: {{patterns: ['^b(?<frame>[0-9A-F]+)$'], node: id, fields: [{{name: frame, {inner}}}]}}}}"
    );
    assert_eq!(decoded(&yaml, b"b00014142"), ["AB.t=0.1 °C", "AB.id=\"AB\""]);
    for (field, expected) in [
        ("{name: a, as: hex}", "only fields with `decode`"),
        ("{name: a, decode: text, type: u8}", "a decoder or a type"),
        ("{name: a, decode: {binary: {fields: []}}}", "name at least one field"),
    ] {
        let error = build_error(&format!("{{fields: {{names: [{field}]}}}}"));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn groups_that_follow_each_other_have_numbers() {
    let cells = "fields: [{name: 'cell{n}', at: 0, type: u16, scale: 0.001, unit: V}]";
    let rest = format!("{{binary: {{repeat: [{{at: 1, step: 2, trailing: 1, {cells}}}]}}}}");
    let frame = b"\x04\x0C\xE5\x0C\xE6\xFF";
    assert_eq!(decoded(&rest, frame), ["cell1=3.301 V", "cell2=3.302 V"]);
    assert!(decoded(&rest, b"\x04").is_empty());
    let counted = format!(
        "{{binary: {{fields: [{{name: n, at: 0, type: u8, scale: 0.5, publish: false}}], repeat: [{{at: 1, step: 2, count: n, first: 10, {cells}}}]}}}}"
    );
    assert_eq!(decoded(&counted, frame), ["cell10=3.301 V", "cell11=3.302 V"]);
    assert_eq!(decoded(&counted, b"\x06\x0C\xE5"), ["cell10=3.301 V", "!cell11 missing"]);
    assert_eq!(decoded(&counted, b"\x03\x0C\xE5"), ["!repeat malformed"]);
    assert_eq!(decoded(&counted, b"\xFF\x0C\xE5"), ["!repeat malformed"]);
    let many = "{binary: {repeat: [{at: 0, step: 1, fields: [{name: 'b{n}', at: 0, type: u8}]}]}}";
    assert_eq!(decoded(many, &[0; 200]).len(), 100);
    assert_eq!(decoded(many, &[0; 200])[99], "!repeat malformed");
    let three = format!("{{binary: {{repeat: [{{at: 0, step: 3, first: 2, by: 3, {cells}}}]}}}}");
    assert_eq!(decoded(&three, b"\x0C\xE5-\x0C\xE6-"), ["cell2=3.301 V", "cell5=3.302 V"]);
    for (repeat, expected) in [
        ("{at: 0, step: 0, fields: []}", "at least 1"),
        ("{at: 0, step: 1, by: 0, fields: []}", "at least 1"),
        (
            "{at: 0, step: 1, fields: [{name: 'c{n}', at: 0, type: u8, deadband: 1}]}",
            "filters are not possible in `repeat`",
        ),
        ("{at: 0, step: 1, fields: []}", "name at least one field"),
        ("{at: 0, step: 1, count: n, fields: []}", "there is no field \"n\""),
        ("{at: 0, step: 1, count: 100, fields: []}", "at most 99"),
        (
            "{at: 0, step: 1, fields: [{name: cell, at: 0, type: u8}]}",
            "all groups would have this name",
        ),
    ] {
        let error = build_error(&format!("{{binary: {{repeat: [{repeat}]}}}}"));
        assert!(error.contains(expected), "{repeat}: {error}");
    }
}
