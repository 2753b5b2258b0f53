//! Numbers, times and positions in texts and at fixed places.

use super::{build_error, decoded};

#[test]
fn numbers_in_text_as_devices_spell_them() {
    let number = |settings: &str, value: &str| {
        let yaml = format!("{{fields: {{separator: '|', names: [{{name: a, {settings}}}]}}}}");
        decoded(&yaml, value.as_bytes()).remove(0)
    };
    for (settings, value, expected) in [
        // Sign apart, decimal comma, unit behind the number.
        ("type: number", "-  450.38", "a=-450.38"),
        ("type: number", "+  1.234", "a=1.234"),
        ("type: number", "- kg", "-a"),
        ("type: number", "000007,4", "a=7.4"),
        ("type: number", "0,125", "a=0.125"),
        ("type: number", "1,234", "!a not_a_number"),
        ("type: number, decimal_sign: ','", "1,234", "a=1.234"),
        ("type: number, decimal_sign: ','", "1.234", "!a not_a_number"),
        ("type: number, decimal_sign: '.'", "7,4", "!a not_a_number"),
        ("type: number", "1.234,5", "!a not_a_number"),
        ("unit: C", "21.5C", "a=21.5 C"),
        ("unit: kg, scale: 1000", "-  0,020 kg", "a=-20.000 kg"),
        ("unit: C", "21.5F", "!a not_a_number"),
        ("type: quantity", "1.234kg", "a=1.234 kg"),
        ("type: quantity", "+  1,5 m3", "a=1.5 m3"),
        ("type: quantity, unit: g, scale: 1000", "1.234kg", "a=1234.000 g"),
        ("type: quantity", "98%", "a=98 %"),
        ("type: quantity", "21.5°C", "a=21.5 °C"),
        ("type: quantity", "12", "a=12"),
        ("type: quantity", "12;kg", "!a not_a_number"),
        ("type: quantity", "low", "-a"),
        // Hexadecimal digits.
        ("type: sm16, scale: 0.1", "800d", "a=-1.3"),
        ("type: sm16, scale: 0.1", "0080", "a=12.8"),
        ("type: sm16, scale: 0.1", "b0", "a=17.6"),
        ("type: i16", "FFF6", "a=-10"),
        ("type: u16", "0x203", "a=515"),
        ("type: u16", "10000", "!a malformed"),
        ("type: u16", "00g0", "!a malformed"),
        ("type: u16", "----", "-a"),
        ("type: u16, unavailable: [0x7FFF]", "7fff", "-a"),
        ("type: u16, unavailable: [80]", "80", "a=128"),
        ("type: u16, lookup: {16: low}", "10", "a=\"low\""),
        ("type: u16, endian: little", "0102", "a=513"),
        ("type: u16, endian: little", "01", "!a malformed"),
        ("type: u8, bits: '4-7'", "a5", "a=10"),
        ("type: f32", "3DCCCCCD", "a=0.1"),
        ("type: f32", "3DCC", "!a malformed"),
        ("type: bcd, scale: 0.01", "1234", "a=12.34"),
        ("type: bcd", "F123", "a=-123"),
        ("type: bcd", "12A4", "!a malformed"),
        ("type: hex", "7ef36", "a=519990"),
        ("type: hex", "10000000000000000", "!a malformed"),
        // Positions and times.
        ("type: degrees", "5051.8430,S", "a=-50.864050"),
        ("type: degrees, decimals: 5", "N5051.8430", "a=50.86405"),
        ("type: degrees", "5061.0,N", "!a malformed"),
        ("type: degrees", "", "-a"),
        ("type: time, format: YYMMDDhhmmssX", "240112231815W", "a=\"2024-01-12T23:18:15+01:00\""),
        ("type: time, format: hhmmss, zone: Z", "123519.00", "a=\"12:35:19.00Z\""),
        ("type: time, format: YYMMDD", "632525", "!a malformed"),
        ("type: time, format: YYMMDD, unavailable: [000000]", "000000", "-a"),
    ] {
        assert_eq!(number(settings, value), expected, "{settings} of {value}");
    }
}

#[test]
fn times_and_texts_at_fixed_places() {
    let yaml = "{binary: {endian: little, fields: [
        {name: a, at: 0, type: time, length: 4, format: epoch},
        {name: b, at: 0, type: time, length: 3, format: DDMMYY},
        {name: c, at: 4, type: time, length: 6, format: hhmmss},
        {name: d, at: 10, type: quantity, length: 6},
        {name: e, at: 4, type: hex, length: 4},
        {name: f, at: 0, type: bcd, length: 2}]}}";
    let frame = b"\x24\x01\x12\x65235901 2.5kg";
    assert_eq!(
        decoded(yaml, frame),
        [
            "a=\"2023-09-25T21:52:36Z\"",
            "b=\"2024-01-12\"",
            "c=\"23:59:01\"",
            "d=2.5 kg",
            "e=9049",
            "f=124",
        ]
    );
    let yaml = "{binary: {fields: [{name: t, at: 0, type: time, length: 3, format: YYMMDD}]}}";
    assert_eq!(decoded(yaml, b"\x24\x01\x12"), ["t=\"2024-01-12\""]);
    assert_eq!(decoded(yaml, b"\0\0\0"), ["-t"]);
    let negative = "{binary: {fields: [{name: b, at: 0, type: bcd, length: 2, scale: 0.1}]}}";
    assert_eq!(decoded(negative, b"\xF1\x25"), ["b=-12.5"]);
}

#[test]
fn settings_of_numbers_that_do_not_fit_together() {
    for (settings, expected) in [
        ("type: time", "a `format`"),
        ("type: time, format: seconds", "not a format of times"),
        ("type: time, format: hhmm, scale: 2", "no scale"),
        ("format: hhmm", "only fields of type time"),
        ("type: number, zone: Z", "only fields of type time"),
        ("type: number, endian: little", "hexadecimal digits"),
        ("type: i16, bits: 3", "only unsigned types"),
        ("type: u8, bits: 8", "bits 0 to 7"),
        ("type: u16, decimal_sign: ','", "numbers in text"),
        ("type: bytes", "only fields of `binary`"),
    ] {
        let error = build_error(&format!("{{fields: {{names: [{{name: a, {settings}}}]}}}}"));
        assert!(error.contains(expected), "{settings}: {error}");
    }
    let yaml = "{binary: {fields: [{name: t, at: 0, type: time, length: 5, format: YYMMDD}]}}";
    let expected = "such a time has 6 bytes, or 3 with packed digits";
    assert!(build_error(yaml).contains(expected), "{}", build_error(yaml));
}
