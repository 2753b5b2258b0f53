//! Laws of decoding, for any frame: the first byte chooses the decoder, the rest is the frame.

use std::sync::LazyLock;
use tty2mqtt::testing::codec::decode::{Decode, Decoder};
use tty2mqtt::testing::codec::value::Value;
use tty2mqtt::testing::config::tree;

/// A decoder and a good frame for it.
pub const DECODERS: &[(&str, &[u8])] = &[
    ("text", b"21.5 C"),
    ("bytes", b"\x01\x02\xFF"),
    ("{bytes: {as: base64}}", b"\x01\x02\xFF"),
    ("{fields: {names: [a, {name: b, scale: 0.1}, {name: c, type: number}]}}", b"1,205,-3.50"),
    (
        "{fields: {names: [{name: a, scale: -1e9, offset: 0.001}, {name: b, decimals: 3}]}}",
        b"12345678901234567890,0.00049",
    ),
    ("pairs", b"temp=21.5 hum=40"),
    (
        r#"{pairs: {between: "\n", equals: "(", close: ")", unit: "*"}}"#,
        b"1-0:1.7.0(00.318*kW)\n1-0:2.7.0(00.000*kW)",
    ),
    (
        "{fields: {separator: '|', names: [{name: a, type: quantity}, {name: b, type: degrees}, \
         {name: c, type: time, format: YYMMDDhhmmssX}, {name: d, type: sm16, scale: 0.1}, \
         {name: e, type: bcd}, {name: f, type: f32}, {name: g, unit: kg, decimal_sign: ','}]}}",
        b"- 1,5kg|4807.038,N|240112231815W|800d|F123|3DCCCCCD|1,234 kg",
    ),
    (
        "{binary: {endian: little, fields: [{name: a, at: 0, type: time, length: 4, format: epoch}, \
         {name: b, at: 0, type: time, length: 3, format: DDMMYY}, \
         {name: d, at: 4, type: quantity, length: 6}, {name: e, at: 4, type: hex, length: 4}]}}",
        b"\x24\x01\x12\x65 2.5kg",
    ),
    (
        "{pattern: {patterns: ['^T:(?<t>[^ ]+) H:(?<h>[0-9]+%)$', '^A (?<a>[a-z]+)(?: at (?<p>.+))?$'], \
         node: a, fields: [{name: t, type: quantity}, {name: h, type: quantity}]}}",
        b"T:21.5C H:40%",
    ),
    (
        r#"{label: {separator: "\t", columns: [label, time, value], check: true}}"#,
        b"SMAXSN-1\tH241202043910\t03800\tR\nURMS1\t235\tD",
    ),
    (
        "{label: {separator: ';', columns: [id, _, label, _, label, value], node: id, \
         fields: [{name: light, from: '1_23', type: number}, {name: t, from: '1_0', scale: 0.1}]}}",
        b"12;6;1;0;0;36.5\n1;0;1;0;23;43",
    ),
    ("nmea", b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47"),
    (
        "{nmea: {fields: [{name: lat, from: RMC.latitude}, time, {name: c, from: RMC.8, scale: 2}]}}",
        b"GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W",
    ),
    (
        "{pairs: {between: ',', fields: [{name: p, decode: {binary: {fields: [{name: t, at: 0, \
         type: i16, scale: 0.1}], repeat: [{at: 2, step: 2, fields: [{name: 'c{n}', at: 0, type: u16}]}]}}}]}}",
        b"p=FFF64142,R=-51",
    ),
    (
        "{binary: {fields: [{name: n, at: 0, type: u8, scale: 0.5}], \
         repeat: [{at: 1, step: 2, count: n, first: 3, fields: [{name: 'c{n}', at: 0, type: u16}]}]}}",
        b"\x04\x0C\xE5\x0C\xE6",
    ),
    ("json", br#"{"a": 1.50, "b": {"c": [true, null, "x"]}}"#),
    ("obis", b"ISk5\r\n1-0:1.6.0(240107190000W)(02.485*kW)\r\n(1)\r\n9.4(088*C&082*C)0-0:96.13.0()\r\n!"),
    (
        "{obis: {fields: [{name: a, from: '0-gas:24.2.*', unit: L}, {name: b, from: '1.6.0(-2)'}, \
         {name: c, from: 96.1.0, type: text}, {name: d, from: 1.8.0, unit: MWh}]}}",
        b"0-1:24.1.0(003)\r\n0-1:96.1.0(3232)\r\n0-1:24.2.1(170102161005W)(00000.107*m3)\r\n1.8.0(12*kWh)",
    ),
    (
        "sml",
        b"\x76\x03\x01\x02\x62\x00\x62\x00\x72\x63\x07\x01\x77\x01\x0B\x0A\x01\x44\x5A\x47\x00\x01\x02\
        \x03\x04\x01\x62\x07\x72\x77\x07\x01\x00\x01\x08\x00\xFF\x65\x00\x1C\x79\x04\x72\x62\x01\x63\
        \x01\x00\x62\x1E\x52\xFF\x55\x00\x15\xBC\x06\x01\x77\x07\x01\x00\x10\x07\x00\xFF\x01\x01\x62\
        \x1B\x52\xFE\x53\x8B\x28\x01\x01\x01\x63\x1E\xD9\x00",
    ),
    (
        "{sml: {repair: dzg, fields: [{name: a, from: 1.8.0, unit: MWh}, {name: b, from: 16.7.0}, \
         {name: c, from: '1.8.0(status)'}, {name: d, from: reduced}, {name: e, from: '1.8.0(time)'}]}}",
        b"\x76\x03\x01\x02\x62\x00\x62\x00\x72\x63\x07\x01\x77\x01\x0B\x0A\x01\x44\x5A\x47\x00\x01\x02\
        \x03\x04\x01\x62\x07\x72\x77\x07\x01\x00\x01\x08\x00\xFF\x65\x00\x1C\x79\x04\x72\x62\x01\x63\
        \x01\x00\x62\x1E\x52\xFF\x55\x00\x15\xBC\x06\x01\x77\x07\x01\x00\x10\x07\x00\xFF\x01\x01\x62\
        \x1B\x52\xFE\x53\x8B\x28\x01\x01\x01\x63\x1E\xD9\x00",
    ),
    (
        "{tlv: {from: 1, trailing: 1, length: 2, endian: little, fields: [{name: 'a{n}', from: 1, type: i16}, \
         {name: b, from: 2, type: text}, {name: c, from: 3, type: time, format: DDMMYY, length: 3}]}}",
        b"\x55\x01\x02\x00\x01\x80\x02\x03\x00on \x01\x02\x00\x05\x00\x03\x03\x00\x31\x12\x24\xAA",
    ),
    (
        "{tlv: {tag: 2, length: 0, lengths: {0x0102: 1}, fields: [{name: a, from: 0x0367, type: i16, scale: 0.1}, \
         {name: c, from: 0x79, decode: {binary: {repeat: [{at: 0, step: 3, fields: [{name: 'c{n}', at: 1, type: u16}]}]}}}]}}",
        b"\x03\x67\x01\x10\x01\x02\xFF\x00\x79\x06\x01\x0E\xED\x02\x0E\xFA",
    ),
    ("sexpr", b"(node pebble_1 ? (temperature 22.5 C))"),
    (
        "{binary: {fields: [{name: a, at: 1, type: i24}, {name: b, at: 0, type: f64, decimals: 3}, \
         {name: c, at: 2, type: bcd, length: 8}, {name: d, at: 0, type: text, length: 9}]}}",
        b"\x12\x34\x56\x78\x90\x12\x34\x56\x78\x90\x11",
    ),
    (
        "{binary: {fields: [{name: e, at: 0, type: u64, bits: '60-63', scale: -1e9}, \
         {name: f, at: 0, type: f32, scale: 0.1, offset: -40}, {name: g, at: 3, type: i16}]}}",
        b"\x12\x34\x56\x78\x90\x12\x34\x56",
    ),
    // The telegram has a number, a date, a text, a value with codes of its maker, and a float.
    (
        "mbus",
        b"\x68\x3A\x3A\x68\x08\x01\x72\x78\x56\x34\x12\x24\x23\x28\x04\x2A\x00\x00\x00\x2F\
          \x0C\x06\x27\x15\x00\x00\x42\x6C\xBF\x15\x0D\x7C\x03\x48\x52\x25\x02\x61\x62\x02\
          \xFD\xC9\xFF\x01\xED\x00\xB2\x51\xFD\xC9\xFF\x02\xED\x00\x05\x5B\x22\xF3\x26\x42\
          \x1F\x01\xA4\x16",
    ),
    (
        "{mbus: {fields: [id, {name: energy, scale: 0.001}, volume_s1]}}",
        b"\x68\x13\x13\x68\x08\x01\x73\x78\x43\x45\x90\x10\x00\x05\x69\x31\x65\x00\x00\
          \x69\x00\x00\x00\x89\x16",
    ),
    (
        "dlms",
        b"\xE6\xE7\x00\x0F\x40\x00\x00\x00\x09\x0C\x07\xE3\x02\x04\x01\x17\x34\x16\xFF\x80\
          \x00\x00\x02\x01\x06\x00\x00\x16\xDC",
    ),
    (
        "{dlms: {fields: [{name: p, from: 1.7.0}, {name: v, from: 32.7.0, decimals: 0}, {name: t, from: time}]}}",
        b"\xE6\xE7\x00\x0F\x40\x00\x00\x00\x00\x02\x09\x0A\x0E\x4B\x61\x6D\x73\x74\x72\x75\
          \x70\x5F\x56\x30\x30\x30\x31\x09\x06\x01\x00\x01\x07\x00\xFF\x06\x00\x00\x03\x3A\
          \x00\x00\x02\x03\x09\x06\x01\x00\x20\x07\x00\xFF\x12\x08\xFD\x02\x02\x0F\xFF\x16\
          \x23\x09\x06\x01\x01\x01\x08\x00\xFF\x12\x00\xE9\x09\x06\x01\x00\x01\x00\x00\xFF\
          \x09\x0C\x07\xE5\x09\x16\x03\x11\x23\x1E\xFF\xFF\xC4\x00\x00",
    ),
];

static ALL: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
    let build = |(decode, _): &(&str, _)| tree::parse::<Decode>(decode).unwrap().build().unwrap();
    DECODERS.iter().map(build).collect()
});

/// Checks the laws for one input; panics where one does not hold.
pub fn fuzz_one(data: &[u8]) {
    let Some((choice, frame)) = data.split_first() else { return };
    check(usize::from(*choice) % ALL.len(), frame);
}

/// Decodes a frame by a decoder of the list; returns how many readings it has.
pub fn check(decoder: usize, frame: &[u8]) -> usize {
    let decoded = ALL[decoder].decode(frame);
    let name = DECODERS[decoder].0;
    for reading in &decoded.readings {
        // What is a number goes into JSON as it is.
        if let Value::Number(number) = &reading.value {
            let parsed = serde_json::from_str::<serde_json::Value>(number);
            assert!(parsed.is_ok(), "{name}: {number} of {}", frame.escape_ascii());
        }
    }
    // No frame makes more of itself than it has bytes, or fields.
    let most = frame.len() + ALL[decoder].fields().len().max(4);
    assert!(decoded.readings.len() + decoded.rejected.len() <= most, "{name}");
    decoded.readings.len()
}
