//! Each format by what real devices send.

mod labels;
mod nested;
mod numbers;
mod tlv;

use super::*;
use crate::config::tree;

/// `field=value unit` of each reading, `!field reason` of each refusal, `-field` of each without a value.
fn decoded(yaml: &str, frame: &[u8]) -> Vec<String> {
    let decode: Decode = tree::parse(yaml).unwrap_or_else(|e| panic!("{yaml}: {e}"));
    let decoder = decode.build().unwrap();
    let out = decoder.decode(frame);
    let readings = out.readings.iter().map(|reading| {
        let node = reading.node.as_ref().map(|node| format!("{node}.")).unwrap_or_default();
        let value = match &reading.value {
            Value::Text(text) => format!("{text:?}"),
            other => other.as_str().to_owned(),
        };
        let unit = reading.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        format!("{node}{}={value}{unit}", reading.field)
    });
    let refusals = out.rejected.iter().map(|r| format!("!{} {}", r.field, r.reason.word()));
    let none = out.no_values.iter().map(|none| format!("-{}", none.field));
    readings.chain(refusals).chain(none).collect()
}

/// `field: expected; found` of each refusal.
fn refused(yaml: &str, frame: &[u8]) -> Vec<String> {
    let decoder = tree::parse::<Decode>(yaml).unwrap().build().unwrap();
    let out = decoder.decode(frame);
    let shown = |found: &[u8]| found.escape_ascii().to_string();
    let refused = out.rejected.iter();
    refused.map(|r| format!("{}: {}; {}", r.field, r.expected, shown(&r.found))).collect()
}

fn build_error(yaml: &str) -> String {
    match tree::parse::<Decode>(yaml) {
        Ok(decode) => decode.build().unwrap_err().to_string(),
        Err(error) => error,
    }
}

#[test]
fn text_and_bytes() {
    assert_eq!(decoded("text", b"ready"), ["text=\"ready\""]);
    assert_eq!(decoded("{text: {field: status}}", b"\xFF"), ["!status not_utf8"]);
    assert_eq!(decoded("bytes", b"\x01\xAB"), ["bytes=\"01ab\""]);
    assert_eq!(decoded("{bytes: {as: base64}}", b"foo"), ["bytes=\"Zm9v\""]);
}

#[test]
fn columns_keep_their_spelling() {
    let yaml = "{fields: {names: [temperature, _, {name: light, unit: lux}]}}";
    assert_eq!(decoded(yaml, b"21.50, x ,300"), ["temperature=21.50", "light=300 lux"]);
    assert_eq!(decoded(yaml, b"cold,x"), ["temperature=\"cold\"", "!light missing"]);
    assert_eq!(decoded(yaml, b"\xFF,x,1,more"), ["light=1 lux", "!temperature not_utf8"]);
    assert_eq!(decoded("{fields: {separator: ' ', names: [a, b]}}", b" 1 \t 2 "), ["a=1", "b=2"]);
}

#[test]
fn an_empty_column_is_no_value_unless_the_settings_know_it() {
    assert_eq!(decoded("{fields: {names: [a, b, c]}}", b",2"), ["b=2", "!c missing", "-a"]);
    let yaml = r#"{fields: {names: [{name: a, unavailable: [""]}, {name: b, scale: 0.1}]}}"#;
    assert_eq!(decoded(yaml, b","), ["-a", "-b"]);
    let yaml = r#"{fields: {names: [{name: a, lookup: {"": none}}, {name: b, type: text}]}}"#;
    assert_eq!(decoded(yaml, b","), ["a=\"none\"", "-b"]);
}

#[test]
fn a_refusal_shows_the_value_and_what_was_expected() {
    for (yaml, frame, expected) in [
        (
            "{fields: {names: [_, {name: p, unit: kW}]}}",
            &b"1,000007;4"[..],
            "p: a number; 000007;4",
        ),
        ("{fields: {names: [a, b]}}", b"1,2\xFF", "b: text in UTF-8; 2\\xff"),
        ("{pairs: {fields: [{name: p, from: P, scale: 1}]}}", b"P=1;2", "p: a number; 1;2"),
        ("pairs", b"ready set", "pairs: a name, `equals` and a value; ready set"),
        ("pairs", b"a=1 =2", "=2: a name before `equals`; =2"),
        ("{pairs: {close: ')'}}", b"a=1) b=2", "b=2: `close` at the end; b=2"),
        ("{pairs: {unit: '*'}}", b"p=1*k\xFF", "p: a unit in UTF-8; 1*k\\xff"),
        (
            "{pairs: {unit: '*', fields: [{name: p, from: P}]}}",
            b"P=1*\xFF",
            "p: a unit in UTF-8; 1*\\xff",
        ),
        ("sexpr", b"(node a ? (t 1 \xFF))", "t: a unit in UTF-8; \\xff"),
        ("json", b"{\"a\":", "json: JSON; {\"a\":"),
        ("{json: {fields: [{name: a, unit: V}]}}", br#"{"a":"2x"}"#, "a: a number; 2x"),
        ("sexpr", b"(node a ? (t 1 C D))", "t: (name value unit); t 1 C D"),
        (
            "{binary: {fields: [{name: b, at: 0, type: bcd, length: 1}]}}",
            b"\x1F",
            "b: two decimal digits a byte; \\x1f",
        ),
    ] {
        assert_eq!(refused(yaml, frame), [expected.replace('"', "\\\"")], "{yaml}");
    }
}

#[test]
fn a_text_cut_out_of_bytes_is_a_number_with_a_unit() {
    let yaml = "{binary: {fields: [{name: w, at: 0, type: text, length: 6, unit: kg},
        {name: s, at: 6, type: text, length: 2, scale: 0.1}, {name: t, at: 6, type: text, length: 2}]}}";
    assert_eq!(decoded(yaml, b"001.2300"), ["w=1.23 kg", "s=0.0", "t=\"00\""]);
    assert_eq!(decoded(yaml, b"----  \0\0"), ["-w", "-s", "-t"]);
}

#[test]
fn settings_of_a_field() {
    let yaml = "{fields: {names: [
        {name: a, scale: 0.1, offset: -40, unit: C},
        {name: b, lookup: {0: off, 1: on}},
        {name: c, type: text},
        {name: d, type: number},
        {name: e, unavailable: [-999]},
        {name: f, scale: 2, decimals: 1}]}}";
    assert_eq!(
        decoded(yaml, b"235,1,007,x,-999,1.25"),
        ["a=-16.5 C", "b=\"on\"", "c=\"007\"", "f=2.5", "-d", "-e"]
    );
}

#[test]
fn nmea_gga_of_a_gps() {
    // NMEA 0183, GGA: time, latitude, N/S, longitude, E/W, quality, satellites, HDOP, altitude.
    let yaml = "{fields: {names: [_, time, latitude, _, longitude, _, quality, satellites, hdop,
        {name: altitude, unit: m}]}}";
    let frame = b"GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,";
    assert_eq!(
        decoded(yaml, frame),
        [
            "time=123519",
            "latitude=4807.038",
            "longitude=\"01131.000\"",
            "quality=1",
            "satellites=\"08\"",
            "hdop=0.9",
            "altitude=545.4 m"
        ]
    );
}

#[test]
fn pairs_of_an_arduino() {
    assert_eq!(decoded("pairs", b"temp=21.50 hum=40"), ["temp=21.50", "hum=40"]);
    assert_eq!(decoded("pairs", b"temp= 5 boot"), ["!5 malformed", "!boot malformed", "-temp"]);
    let yaml = "{pairs: {between: ';', equals: ':', fields: [{name: t, from: T, unit: C}, h]}}";
    assert_eq!(decoded(yaml, b"T: 1;x:2"), ["t=1 C", "!h missing"]);
    let yaml = "{pairs: {fields: [{name: raw, from: t}, {name: t, scale: 0.1}]}}";
    assert_eq!(decoded(yaml, b"t=215 t=9"), ["raw=215", "t=21.5"]);
}

#[test]
fn a_dsmr_telegram() {
    // DSMR 5.0.2 P1 companion standard, 6.12 (shortened).
    let yaml = r#"{pairs: {between: "\r\n", equals: "(", close: ")", unit: "*", fields: [
        {name: energy_low, from: "1-0:1.8.1"}, {name: power, from: "1-0:1.7.0"},
        {name: gas, from: "0-1:24.2.1"}, {name: tariff, from: "0-0:96.14.0"}]}}"#;
    let frame = b"ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n0-0:96.14.0(0002)\r\n\
        1-0:1.8.1(123456.789*kWh)\r\n1-0:1.7.0(01.193*kW)\r\n\
        0-1:24.2.1(101209112500W)(12785.123*m3)\r\n";
    assert_eq!(
        decoded(yaml, frame),
        ["tariff=\"0002\"", "energy_low=123456.789 kWh", "power=1.193 kW", "gas=12785.123 m3"]
    );
}

#[test]
fn json_by_pointer_and_whole() {
    let frame = br#"{"id":"n1","main":{"temp":21.50,"ok":true},"list":[1,null],"s":"007"}"#;
    assert_eq!(
        decoded("json", frame),
        ["id=\"n1\"", "main_temp=21.50", "main_ok=true", "list_0=1", "s=\"007\"", "-list_1"]
    );
    let yaml = "{json: {node: /id, fields: [{name: t, from: /main/temp, unit: C}, s,
        {name: x, from: /none}, {name: n, from: /s, type: number}]}}";
    assert_eq!(decoded(yaml, frame), ["n1.t=21.50 C", "n1.s=\"007\"", "n1.n=7", "!x missing"]);
    assert_eq!(decoded("json", b"{\"a\":"), ["!json malformed"]);
    assert_eq!(decoded("json", b"\"\xFF\""), ["!json not_utf8"]);
}

#[test]
fn binary_numbers_of_every_kind() {
    let yaml = r#"{binary: {fields: [
        {name: u8, at: 0, type: u8}, {name: i8, at: 0, type: i8},
        {name: u16, at: 0, type: u16}, {name: le, at: 0, type: i16, endian: little},
        {name: i24, at: 0, type: i24}, {name: u32, at: 0, type: u32},
        {name: bit, at: 1, type: u8, bits: 4}, {name: bits, at: 0, type: u16, bits: "4-7"},
        {name: scaled, at: 2, type: u16, scale: 0.1, unit: V},
        {name: none, at: 4, type: u16, unavailable: [0xFFFF]},
        {name: beyond, at: 5, type: u16}]}}"#;
    assert_eq!(
        decoded(yaml, &[0xFE, 0x12, 0x09, 0x2E, 0xFF, 0xFF]),
        [
            "u8=254",
            "i8=-2",
            "u16=65042",
            "le=4862",
            "i24=-126455",
            "u32=4262594862",
            "bit=1",
            "bits=1",
            "scaled=235.0 V",
            "!beyond missing",
            "-none"
        ]
    );
}

#[test]
fn binary_floats_digits_and_text() {
    let yaml = r#"{binary: {fields: [
        {name: f32, at: 0, type: f32}, {name: scaled, at: 0, type: f32, decimals: 1},
        {name: bcd, at: 4, type: bcd, length: 3, scale: 0.01},
        {name: back, at: 4, type: bcd, length: 3, endian: little},
        {name: text, at: 7, type: text, length: 4}, {name: raw, at: 4, type: bytes, length: 2},
        {name: bad, at: 7, type: bcd, length: 1}]}}"#;
    let mut frame = 21.55_f32.to_be_bytes().to_vec();
    frame.extend(b"\x12\x34\x56ok\0\0");
    assert_eq!(
        decoded(yaml, &frame),
        [
            "f32=21.55",
            "scaled=21.6",
            "bcd=1234.56",
            "back=563412",
            "text=\"ok\"",
            "raw=\"1234\"",
            "!bad malformed"
        ]
    );
    let nan = f32::NAN.to_be_bytes();
    let yaml = "{binary: {fields: [{name: f, at: 0, type: f32}]}}";
    assert_eq!(decoded(yaml, &nan), ["-f"]);
}

#[test]
fn a_value_is_unavailable_in_any_spelling() {
    let yaml = "{fields: {names: [{name: a, unavailable: [-127]}, {name: b, lookup: {2: on}}]}}";
    assert_eq!(decoded(yaml, b"-127.00,02"), ["b=\"on\"", "-a"]);
    assert_eq!(decoded(yaml, b"-127.01,2.1"), ["a=-127.01", "b=2.1"]);
    let yaml = "{fields: {names: [{name: a, type: text, unavailable: [0]}]}}";
    assert_eq!(decoded(yaml, b"00"), ["a=\"00\""]);
    let yaml = "{binary: {fields: [{name: a, at: 0, type: i16, unavailable: [0x8000]},
        {name: b, at: 0, type: i16, unavailable: [-32768]},
        {name: c, at: 2, type: f32, unavailable: [0x7F800001]}]}}";
    assert_eq!(decoded(yaml, b"\x80\x00\x7F\x80\x00\x01"), ["-a", "-b", "-c"]);
    let yaml = "{binary: {fields: [{name: a, at: 0, type: u8, bits: 4-7, unavailable: [3]}]}}";
    assert_eq!(decoded(yaml, &[0x03]), ["a=0"]);
    assert_eq!(decoded(yaml, &[0x35]), ["-a"]);
}

#[test]
fn floats_of_any_size_can_be_rounded() {
    let yaml = "{binary: {fields: [{name: a, at: 0, type: f64, decimals: 2}]}}";
    assert_eq!(decoded(yaml, &1.234_567_890_123_456_7e-5_f64.to_be_bytes()), ["a=0.00"]);
    assert_eq!(decoded(yaml, &std::f64::consts::PI.to_be_bytes()), ["a=3.14"]);
}

#[test]
fn a_text_of_digits_stays_a_text() {
    let yaml = "{binary: {fields: [{name: a, at: 0, type: text, length: 4}]}}";
    assert_eq!(decoded(yaml, b"0042"), ["a=\"0042\""]);
}

#[test]
fn a_frame_of_json_cannot_grow() {
    let key = "k".repeat(30_000);
    let list = vec!["1"; 400].join(",");
    let frame = format!("{{\"{key}\":[{list}],\"a\":{{\"{key}\":1}},\"b\":2}}");
    assert_eq!(decoded("json", frame.as_bytes()), ["b=2", "!json malformed", "!a malformed"]);
    let frame = format!("{{\"n\":\"{key}\",\"list\":[{list}]}}");
    assert_eq!(decoded("{json: {node: /n}}", frame.as_bytes()), ["!node malformed"]);
    // So many values are not looked into: as values in memory they take fifty times their bytes.
    let list = format!("[{}]", vec!["1"; 15_000].join(","));
    assert_eq!(decoded("json", list.as_bytes()), ["!json malformed"]);
}

#[test]
fn of_a_frame_so_many_values_are_read_at_most() {
    let pairs = |count: usize| (0..count).map(|n| format!("a{n}=1")).collect::<Vec<_>>().join(" ");
    let decoder = tree::parse::<Decode>("pairs").unwrap().build().unwrap();
    for (count, beyond) in
        [(Decoded::MOST, 0), (Decoded::MOST + 1, 1), (5000, 5000 - Decoded::MOST)]
    {
        let frame = pairs(count);
        let out = decoder.decode(frame.as_bytes());
        assert_eq!((out.readings.len(), out.beyond), (Decoded::MOST, beyond as u64));
        assert_eq!(out.rejected.len(), usize::from(beyond > 0), "they are told of once");
    }
}

#[test]
fn aiko_node_lines() {
    let line = b"(node pebble_1 ? (temperature 22.50 C) (light 300 lux)) ; a comment";
    assert_eq!(decoded("sexpr", line), ["pebble_1.temperature=22.50 C", "pebble_1.light=300 lux"]);
    let line = br#"(node a 12:30 (text "on; (off)" x))(node b ? (t 1))(status boot)"#;
    assert_eq!(
        decoded("sexpr", line),
        ["a.time=\"12:30\"", "a.text=\"on; (off)\" x", "b.t=1", "status=\"boot\""]
    );
}

const BELGIAN: &[u8] = b"FLU5\\253769484_A\r\n\r\n0-0:96.1.1(3153414731323334353637383930)\r\n\
    0-0:1.0.0(240112231815W)\r\n1-0:1.6.0(240107190000W)(02.485*kW)\r\n0-0:98.1.0(2)(1-0:1.6.0)(1-0:1.6.0)\
    (231101000000W)(231031120000W)(01.747*kW)(231201000000W)(632525252525W)(00.000*kW)\r\n\
    0-0:96.13.0()\r\n1-0:99.97.0(0)(0-0:96.7.19)\r\n0-1:24.1.0(003)\r\n0-1:96.1.1()\r\n\
    0-1:24.2.3(700101010000W)(00000000)\r\n0-2:24.1.0(3)\r\n0-2:96.1.1(37464C4F)\r\n\
    0-2:24.2.3(240112231646W)(00338.711*m3)\r\n0-3:24.1.0(007)\r\n0-3:24.2.1(240112231646W)(8.5*m3)\r\n";

#[test]
fn readouts_without_fields_give_all_values() {
    assert_eq!(
        decoded("obis", BELGIAN),
        [
            "0-0:96.1.1=\"3153414731323334353637383930\"",
            "0-0:1.0.0=\"240112231815W\"",
            "1-0:1.6.0(1)=\"240107190000W\"",
            "1-0:1.6.0=2.485 kW",
            "0-0:98.1.0(1)=2",
            "0-0:98.1.0(4)=\"231101000000W\"",
            "0-0:98.1.0(5)=\"231031120000W\"",
            "0-0:98.1.0(6)=1.747 kW",
            "0-0:98.1.0(7)=\"231201000000W\"",
            "0-0:98.1.0(8)=\"632525252525W\"",
            "0-0:98.1.0=0.000 kW",
            "1-0:99.97.0(1)=0",
            "0-1:24.1.0=\"003\"",
            "0-1:24.2.3(1)=\"700101010000W\"",
            "0-1:24.2.3=\"00000000\"",
            "0-2:24.1.0=3",
            "0-2:96.1.1=\"37464C4F\"",
            "0-2:24.2.3(1)=\"240112231646W\"",
            "0-2:24.2.3=338.711 m3",
            "0-3:24.1.0=\"007\"",
            "0-3:24.2.1(1)=\"240112231646W\"",
            "0-3:24.2.1=8.5 m3",
            "-0-0:96.13.0",
            "-1-0:99.97.0",
            "-0-1:96.1.1",
        ]
    );
    // No line ends, several values in one bracket, a set that says nothing, STX and a sign.
    let heat =
        b"\x026.8(0029.055*MWh)6.26*01(01563.92*m3)9.4(088*C&082*C)6.8.1()F(0)31.7.0( +000.8*A )!";
    assert_eq!(
        decoded("obis", heat),
        [
            "6.8=29.055 MWh",
            "6.26*01=1563.92 m3",
            "9.4(1)=88 C",
            "9.4=82 C",
            "F=0",
            "31.7.0=0.8 A",
            "-6.8.1",
        ]
    );
}

#[test]
fn readouts_by_code_value_and_equipment() {
    let fields = "{obis: {fields: [
        {name: meter, from: '0-0:96.1.1', type: text}, {name: peak, from: 1.6.0, unit: W},
        {name: peak_time, from: '1-0:1.6.0(1)'}, {name: last_month, from: '98.1.0(-4)', unit: kW},
        {name: gas, from: '0-gas:24.2.*', unit: m³}, {name: water, from: '0-water:24.2.1', unit: m³},
        {name: heat, from: '0-heat:24.2.1'}, {name: any, from: '0-*:24.2.3'},
        {name: message, from: 96.13.0, type: text}, {name: ninth, from: '1.6.0(9)'},
        {name: never, from: '98.1.0(8)', type: time, format: YYMMDDhhmmssX},
        {name: time, from: '0-0:1.0.0', type: time, format: YYMMDDhhmmssX}]}}";
    assert_eq!(
        decoded(fields, BELGIAN),
        [
            "meter=\"1SAG1234567890\"",
            "time=\"2024-01-12T23:18:15+01:00\"",
            "peak=2485 W",
            "peak_time=\"240107190000W\"",
            "last_month=1.747 kW",
            "any=\"00000000\"",
            "gas=338.711 m³",
            "water=8.5 m³",
            "-ninth",
            "-never",
            "-message",
            "-heat",
        ]
    );
    // The unit stands in the head, the value in the next line (DSMR 2.2).
    let old = b"ISk5\\2MT382-1003\r\n\r\n0-1:24.1.0(3)\r\n0-1:96.1.0(000000000000)\r\n\
        0-1:24.3.0(161107190000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00001.001)\r\n1-0:1.8.1(1*kWh)\r\n";
    let gas =
        "{obis: {fields: [{name: gas, from: '0-gas:24.3.0', unit: m³}, {name: e, from: 1.8.1}]}}";
    assert_eq!(decoded(gas, old), ["gas=1.001 m³", "e=1 kWh"]);
    // Such telegrams have no checksum: of a line that is cut off neither minutes nor time are a volume.
    for cut in ["0-1:24.3.0(161107190000)(00)(60)\r\n", "0-1:24.3.0(161107190000)\r\n"] {
        let line = format!("0-1:24.1.0(3)\r\n0-1:96.1.0(00)\r\n{cut}1-0:1.8.1(1*kWh)\r\n");
        assert_eq!(decoded(gas, line.as_bytes()), ["e=1 kWh", "!gas malformed"]);
        let all = decoded("obis", line.as_bytes());
        assert!(all.contains(&"!0-1:24.3.0 malformed".to_owned()), "{all:?}");
    }
    // A prefix is converted, unless the field has a scale; the first of two equal codes counts.
    let wh =
        b"1-0:1.8.0(006545766*Wh)1-0:1.8.0(7*Wh)1-0:1.7.0(286*W)1-0:2.7.0(--*W)1-0:3.7.0(x9*W)";
    let units = "{obis: {fields: [{name: e, from: 1.8.0, unit: kWh}, {name: f, from: 1.8.0, unit: MWh, scale: 2},
        {name: p, from: 1.7.0, unit: kW, decimals: 1}, {name: q, from: 2.7.0, unit: kW}]}}";
    assert_eq!(decoded(units, wh), ["e=6545.766 kWh", "f=13091532 MWh", "p=0.3 kW", "-q"]);
}

#[test]
fn a_readout_of_thousands_of_values_is_read_in_a_moment() {
    use std::time::{Duration, Instant};
    let mut frame = b"ISK5\r\n1-0:1.8.0(".to_vec();
    frame.extend(b"1&".repeat(30_000));
    frame.extend(b")\r\n");
    let begin = Instant::now();
    let decoder = tree::parse::<Decode>("obis").unwrap().build().unwrap();
    assert_eq!(decoder.decode(&frame).beyond, 30_001 - Decoded::MOST as u64);
    // A tenth of a second; ten of them where each value looks at all others.
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[test]
fn what_is_damaged_in_a_readout_is_refused() {
    let damaged = b"X\r\n1-0:1.8.0(1*kWh)\r\n1-0:1.8.1(00\r\n1-0:1.8.2 7\r\nabc(1)\r\n1-0:1.7.0(0x*W)\r\n!\r\n";
    assert_eq!(
        refused("obis", damaged),
        [
            "1-0:1.8.1(00: a closing bracket; 1-0:1.8.1(00",
            "1-0:1.8.2 7: a value in brackets; 1-0:1.8.2 7",
            "abc: an OBIS code; abc",
            "1-0:1.7.0: a number; 0x",
        ]
    );
    assert_eq!(refused("obis", b"temp=21"), ["obis: OBIS codes and values in brackets; temp=21"]);
    assert_eq!(
        refused("obis", b"(1)"),
        ["obis: a code before it; (1)", "obis: OBIS codes and values in brackets; (1)"]
    );
    let unit = "{obis: {fields: [{name: a, from: 1.8.0, unit: W}]}}";
    assert_eq!(refused(unit, b"1.8.0(1\xFF2*kW)"), ["a: text in UTF-8; 1\\xff2"]);
    assert_eq!(refused(unit, b"1.8.0(1*\xFF)"), ["a: a unit in UTF-8; 1*\\xff"]);
}

/// A list of values and the message that closes the file.
const SML: &[u8] =
    b"\x76\x03\x01\x02\x62\x00\x62\x00\x72\x63\x07\x01\x77\x01\x0B\x0A\x01\x44\x5A\x47\x00\x01\x02\
    \x03\x04\x07\x01\x00\x62\x0A\xFF\xFF\x72\x62\x01\x64\x8F\xCC\xB4\x76\x77\x07\x01\x00\x60\x32\
    \x01\x01\x01\x01\x01\x01\x04\x44\x5A\x47\x01\x77\x07\x01\x00\x60\x01\x00\xFF\x01\x01\x01\x01\
    \x0B\x0A\x01\x44\x5A\x47\x00\x01\x02\x03\x04\x01\x77\x07\x01\x00\x01\x08\x00\xFF\x65\x00\x1C\
    \x79\x04\x72\x62\x01\x63\x01\x00\x62\x1E\x52\xFF\x55\x00\x15\xBC\x06\x01\x77\x07\x01\x00\x10\
    \x07\x00\xFF\x01\x01\x62\x1B\x52\xFE\x53\x8B\x28\x01\x77\x07\x01\x00\x60\x32\x02\x06\x01\x72\
    \x62\x01\x62\x05\x01\x01\x01\x01\x77\x07\x01\x00\x60\x07\x00\xFF\x01\x01\x62\xFF\x52\x00\x42\
    \x01\x01\x01\x01\x63\x17\x4A\x00\x76\x03\x01\x02\x62\x00\x62\x00\x72\x63\x02\x01\x71\x01\x63\
    \x79\x20\x00";

#[test]
fn sml_lists_with_scaler_unit_and_sign_of_each_value() {
    let all = [
        "server_id=\"0a01445a470001020304\"",
        "sec_index=9424052 s",
        "1-0:96.50.1*1=\"DZG\"",
        "1-0:96.1.0=\"0a01445a470001020304\"",
        "1-0:1.8.0=142439.0 Wh",
        "1-0:1.8.0(status)=1865988",
        "1-0:16.7.0=-299.12 W",
        "1-0:96.7.0=true",
        "-1-0:96.50.2*6",
    ];
    assert_eq!(decoded("sml", SML), all);
    let some = "fields: [{name: energy, from: 1.8.0, unit: kWh}, {name: power, from: '1-0:16.7.0', scale: 0.001, unit: kW},
        {name: status, from: '1.8.0(status)'}, {name: time, from: '1.8.0(time)'}, {name: id, from: server_id},
        {name: maker, from: 96.50.1*1, lookup: {DZG: dzg}}, {name: at, from: sec_index},
        {name: pin, from: reduced, lookup: {true: missing}}, {name: export, from: 2.8.0}]";
    assert_eq!(
        decoded(&format!("{{sml: {{repair: dzg, {some}}}}}"), SML),
        [
            "id=\"0a01445a470001020304\"",
            "at=9424052 s",
            "maker=\"dzg\"",
            "energy=142.4390 kWh",
            "status=1865988",
            "time=256",
            // The status says that power is delivered.
            "power=-0.29912 kW",
            "pin=false",
            "-export",
        ]
    );
}

#[test]
fn what_is_damaged_in_sml_is_refused() {
    let mut other = SML.to_vec();
    other[60] ^= 1;
    assert!(refused("sml", &other)[0].starts_with("sml: the message's checksum; v"));
    assert!(refused("sml", &SML[..SML.len() - 1])[0].starts_with("sml: an SML message; v"));
    assert!(refused("sml", b"abc")[0].starts_with("sml: an SML message; abc"));
}

#[test]
fn what_is_no_node_line_is_refused_and_the_rest_goes_on() {
    assert_eq!(decoded("sexpr", b"hello"), ["!node line malformed"]);
    assert_eq!(
        decoded("sexpr", b"(node a ? (t 1 C D) (h \xFF) (l 3))"),
        ["a.l=3", "!t malformed", "!h not_utf8"]
    );
    assert_eq!(decoded("sexpr", b"(node a ? (t 1"), ["!t malformed"]);
    assert_eq!(
        decoded("sexpr", b"(node a ? (t (x 1) (y 2)) (l 3))(u 4)"),
        ["a.l=3", "u=4", "!t malformed"]
    );
    assert_eq!(decoded("sexpr", b"((((((("), ["!node line malformed"]);
}

#[test]
fn mistakes_are_found_at_load() {
    for (yaml, expected) in [
        ("{fields: {names: []}}", "at least one column"),
        ("{fields: {names: [a, a]}}", "already"),
        ("{fields: {separator: '', names: [a]}}", "separate"),
        ("{fields: {names: [{name: a, scale: x}]}}", "not a decimal number"),
        ("{fields: {names: [{name: a, scale: 0}]}}", "every value 0"),
        ("{json: {node: id}}", "write /id"),
        ("{json: {node: /a~}}", "~0"),
        ("{json: {fields: [a~2]}}", "fields[0].from: \"/a~2\""),
        ("{binary: {fields: [{name: a, at: 0, type: bcd}]}}", "needs one"),
        ("{binary: {fields: [{name: a, at: 0, type: u8, bits: 8}]}}", "bits"),
        ("{binary: {fields: [{name: a, at: 0, type: u8, length: 2}]}}", "leave it out"),
        ("{pairs: {equals: ''}}", "separate"),
        ("{obis: {fields: [{name: a, from: 1-0}]}}", "obis.fields[0].from: \"1-0\" is not an OBIS"),
        ("{obis: {fields: [power]}}", "obis.fields[0].name: \"power\" is not an OBIS code"),
        ("{obis: {fields: [{name: a, from: '0-oil:24.2.1'}]}}", "is not an OBIS code"),
        ("{obis: {fields: [{name: a, from: '1.6.0(0)'}]}}", "does not say which value"),
        ("{sml: {fields: [power]}}", "sml.fields[0].name: \"power\" is not an OBIS code"),
        ("{sml: {fields: [{name: a, from: '1.8.0(unit)'}]}}", "\"unit\" is nothing"),
        ("{sml: {repair: dz}}", "sml.repair: \"dz\""),
        (
            "{pairs: {fields: [a, {name: b, bits: 1}]}}",
            "pairs.fields[1].bits: only numbers in bytes or hexadecimal",
        ),
        ("{binary: {fields: [{name: a, at: 0, type: auto}]}}", "binary.fields[0].type: "),
    ] {
        let error = build_error(yaml);
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

#[test]
fn the_fields_are_known_beforehand_where_the_settings_name_them() {
    for (yaml, expected) in [
        ("text", &["text"][..]),
        ("{bytes: {field: raw}}", &["raw"]),
        ("{fields: {names: [a, _, {name: b, unit: V}]}}", &["a", "b V"]),
        ("{json: {fields: [{name: c, from: /x/c}]}}", &["c"]),
        ("{binary: {fields: [{name: d, at: 0, type: u8, unit: A}]}}", &["d A"]),
        ("pairs", &[]),
        ("sexpr", &[]),
    ] {
        let decoder = tree::parse::<Decode>(yaml).unwrap().build().unwrap();
        let shown =
            |field: &Field| format!("{} {}", field.name, field.unit.as_deref().unwrap_or(""));
        let fields: Vec<_> = decoder.fields().iter().map(shown).collect();
        let fields: Vec<_> = fields.iter().map(|field| field.trim_end()).collect();
        assert_eq!(fields, expected, "{yaml}");
    }
}

/// A long frame of the M-Bus with these records behind a head.
fn mbus(records: &[u8]) -> Vec<u8> {
    let head = b"\x08\x01\x72\x78\x56\x34\x12\x24\x23\x28\x04\x2A\x00\x00\x00";
    let length = (head.len() + records.len()) as u8;
    let mut frame = vec![0x68, length, length, 0x68];
    frame.extend(head);
    frame.extend(records);
    frame.extend(b"\x00\x16");
    summed(frame)
}

/// A frame of the M-Bus with the checksum that it should have.
fn summed(mut frame: Vec<u8>) -> Vec<u8> {
    let at = frame.len() - 2;
    frame[at] = frame[4..at].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    frame
}

#[test]
fn a_telegram_of_the_m_bus_with_a_wrong_checksum_is_refused() {
    let mut frame = mbus(&[0x01, 0x03, 7]);
    let whole = frame.clone();
    frame[20] ^= 1;
    let expected = ["!mbus malformed"];
    assert_eq!(decoded("mbus", &frame), expected);
    let mut stopless = whole.clone();
    stopless.pop();
    stopless[19] ^= 0x10;
    assert_eq!(decoded("mbus", &stopless), expected);
    // The port that verified it took it away.
    assert_eq!(decoded("mbus", &whole[..whole.len() - 2]), decoded("mbus", &whole));
}

/// What some records of the M-Bus are.
fn records(records: &[u8]) -> Vec<String> {
    let heads = ["address", "id", "manufacturer", "version", "medium", "access_number", "status"];
    let mut all = decoded("mbus", &mbus(records));
    all.retain(|it| !heads.iter().any(|head| it.starts_with(&format!("{head}="))));
    all
}

#[test]
fn records_of_the_m_bus_are_named_by_what_they_are() {
    for (record, expected) in [
        (&[0x0C, 0x06, 0x27, 0x15, 0x00, 0x00][..], "energy=1527000 Wh"),
        (&[0x4C, 0x06, 0x27, 0x15, 0x00, 0x00], "energy_s1=1527000 Wh"),
        (&[0x9C, 0x50, 0x13, 0x01, 0x00, 0x00, 0x00], "volume_max_t1_u1=0.001 m³"),
        (&[0x94, 0x9A, 0x50, 0x28, 1, 0, 0, 0], "power_max_s20_t5_u2=0.001 W"),
        (&[0x22, 0x5A, 0xFF, 0xFF], "flow_temperature_min=-0.1 °C"),
        (&[0x01, 0xFD, 0x17, 0xFF], "error_flags=255"),
        (&[0x02, 0xFD, 0xC9, 0xFC, 0x02, 0xED, 0x00], "voltage_l2=237 V"),
        (&[0x02, 0xFD, 0xC9, 0xFF, 0x02, 0xED, 0x00], "voltage_ff02=237 V"),
        (&[0x04, 0x83, 0x3C, 5, 0, 0, 0], "energy_backward=5 Wh"),
        (&[0x04, 0x90, 0x28, 11, 0, 0, 0], "volume_per_input_pulse_0=0.000011 m³"),
        (&[0x02, 0xFB, 0x00, 8, 0], "energy=800000 Wh"),
        (&[0x01, 0xFF, 0x81, 0x02, 7], "vendor_8102=7"),
        (&[0x01, 0x7F, 7], "vendor=7"),
        (&[0x01, 0x7B, 7], "vif7b=7"),
        (&[0x01, 0xFD, 0x7C, 7], "fd7c=7"),
        (&[0x01, 0x83, 0x05, 7], "-energy"),
        (&[0x01, 0x83, 0x7A, 7], "energy_x7a=7"),
        (&[0x02, 0xFC, 3, b'H', b'R', b'%', 0x74, 0x22, 0x15], "RH=54.10 %"),
        (&[0x0D, 0x7C, 4, b'D', b'I', b'.', b'x', 3, b'c', b'b', b'a'], "x_ID=\"abc\""),
        (&[0x0D, 0xFD, 0x10, 2, b' ', b' '], "-customer_location"),
        (&[0x0D, 0x13, 0xD2, 0x34, 0x12], "volume=-1.234 m³"),
        (&[0x0D, 0x13, 0xE3, 0xFF, 0xFF, 0xFF], "volume=-0.001 m³"),
        (&[0x0B, 0x3B, 0x34, 0x12, 0xF0], "flow=-1.234 m³/h"),
        (&[0x05, 0x5B, 0x00, 0x00, 0xAC, 0x41], "flow_temperature=21.5 °C"),
        (&[0x05, 0x5A, 0x00, 0x00, 0xAC, 0x41], "flow_temperature=2.15 °C"),
        (&[0x05, 0x5B, 0x00, 0x00, 0xC0, 0x7F], "-flow_temperature"),
        (&[0x04, 0x6D, 0x0B, 0x0B, 0xCD, 0x13], "datetime=\"2014-03-13T11:11:00\""),
        (&[0x04, 0x6D, 0x8B, 0x0B, 0xCD, 0x13], "-datetime"),
        (&[0x42, 0xEC, 0x7E, 0xBF, 0x1C], "date_future_s1=\"2013-12-31\""),
        (&[0x04, 0xAB, 0x6B, 0x0B, 0x0B, 0xCD, 0x13], "power_first_end=\"2014-03-13T11:11:00\""),
    ] {
        assert_eq!(records(record), [expected], "{record:02x?}");
    }
}

#[test]
fn records_of_the_m_bus_of_one_name_are_numbered() {
    let record = b"\x01\x03\x07\x0A\x05\x08\x00\x01\x03\x09\x01\x13\x05";
    assert_eq!(
        records(record),
        ["energy=7 Wh", "energy_2=800 Wh", "energy_3=9 Wh", "volume=0.005 m³"]
    );
    let yaml = "{mbus: {fields: [{name: second, from: energy_2, unit: kWh}, power]}}";
    assert_eq!(decoded(yaml, &mbus(record)), ["second=0.8 kWh", "!power missing"]);
    // Behind 1F there is another telegram, which may have it.
    assert_eq!(decoded(yaml, &mbus(b"\x01\x03\x07\x1F")), [""; 0]);
    // A field with a scale says itself what becomes of the number.
    let yaml = "{mbus: {fields: [{name: energy, scale: 0.01, unit: kWh}]}}";
    assert_eq!(decoded(yaml, &mbus(record)), ["energy=0.07 kWh"]);
}

#[test]
fn what_is_no_record_of_the_m_bus_is_refused() {
    for (record, expected) in [
        (
            &[0x0A, 0x5A, 0x2B, 0x02][..],
            "flow_temperature: decimal digits, the first one F for a negative number",
        ),
        (
            &[0x0A, 0x5A, 0x22, 0xFF],
            "flow_temperature: decimal digits, the first one F for a negative number",
        ),
        (&[0x01, 0x6C, 0x02], "date: a date or a time of 2, 3, 4 or 6 bytes"),
        (&[0x04, 0x13, 0x00], "mbus: a whole record"),
        (&[0x84], "mbus: a whole record"),
        (&[0x0D, 0x7C, 9, b'x'], "mbus: a whole record"),
        (&[0x0D, 0x13, 0xFA, 0x00], "mbus: a length of EN 13757-3"),
        (&[0x3F, 0x00], "mbus: a data information field of EN 13757-3"),
    ] {
        let refused = refused("mbus", &mbus(record));
        assert!(refused.len() == 1 && refused[0].starts_with(expected), "{refused:?}");
    }
    let endless = [[0x84; 12], [0x00; 12]].concat();
    assert!(refused("mbus", &mbus(&endless))[0].starts_with("mbus: a whole record"));
    let mut frame = mbus(&[0x01, 0x03, 0x07]);
    for (at, byte, expected) in [
        (0, 0x10, "a long frame"),
        (1, 0x09, "as many bytes"),
        (6, 0x51, "data of a meter"),
        (18, 0x05, ""),
    ] {
        let before = std::mem::replace(&mut frame[at], byte);
        let refused = refused("mbus", &summed(frame.clone()));
        assert_eq!(refused.iter().any(|it| it.contains(expected)), !expected.is_empty(), "{at}");
        frame[at] = before;
    }
    (frame[17], frame[18]) = (0x10, 0x05);
    assert!(refused("mbus", &summed(frame))[0].contains("not encrypted"));
}

/// A Data-Notification without a time, behind the LLC bytes.
fn push(body: &[u8]) -> Vec<u8> {
    [b"\xE6\xE7\x00\x0F\x40\x00\x00\x00\x00", body].concat()
}

#[test]
fn lists_of_dlms_in_all_shapes() {
    // Aidon, list 1 (amshan, tests/test_aidon.py): power of ten and unit in a structure of their own.
    let aidon = b"\x01\x01\x02\x03\x09\x06\x01\x00\x01\x07\x00\xFF\x06\x00\x00\x01\x18\x02\x02\x0F\x00\x16\x1B";
    assert_eq!(decoded("dlms", &push(aidon)), ["1-0:1.7.0=280 W"]);
    // Kaifa in Norway, list 1 (tests/test_kaifa.py): one number, and the time of the notification.
    let kaifa = b"\xE6\xE7\x00\x0F\x40\x00\x00\x00\x09\x0C\x07\xE3\x02\x04\x01\x17\x34\x16\xFF\x80\x00\x00\x02\x01\
        \x06\x00\x00\x16\xDC";
    assert_eq!(decoded("dlms", kaifa), ["time=\"2019-02-04T23:52:22\"", "1-0:1.7.0=5852 W"]);
    // Made: codes and values in one list, each maker's in its own powers of ten.
    let energy = b"\x09\x06\x01\x00\x01\x08\x00\xFF\x06\x00\x00\x00\x07\x09\x06\x01\x00\x20\x07\x00\xFF\x12\x09\x06\x00\x00";
    for (name, expected) in [
        (&b"\x0A\x0EKamstrup_V0001"[..], ["1-0:1.8.0=70 Wh", "1-0:32.7.0=2310 V"]),
        (b"\x09\x07KFM_001", ["1-0:1.8.0=7 Wh", "1-0:32.7.0=231.0 V"]),
        (b"\x0A\x03ABC", ["1-0:1.8.0=7", "1-0:32.7.0=2310"]),
    ] {
        let list = push(&[b"\x02\x07", name, energy].concat());
        let yaml = "{dlms: {fields: [{name: a, from: 1.8.0}, {name: b, from: 1-0:32.7.0}]}}";
        let all = decoded("dlms", &list);
        assert_eq!(all[all.len() - 2..], expected, "{name:?}");
        let expected = expected.map(|it| it.split_once('=').unwrap().1.to_owned());
        assert_eq!(
            decoded(yaml, &list),
            [format!("a={}", expected[0]), format!("b={}", expected[1])]
        );
    }
}

#[test]
fn values_of_dlms_of_each_type() {
    let code = b"\x09\x06\x01\x00\x01\x07\x00\xFF";
    for (value, expected) in [
        (&b"\x00"[..], "-1-0:1.7.0"),
        (b"\x03\x01", "1-0:1.7.0=1"),
        (b"\x04\x0A\xFF\xC0", "1-0:1.7.0=\"ffc0\""),
        (b"\x05\xFF\xFF\xFF\xFE", "1-0:1.7.0=-2"),
        (b"\x0F\xFF", "1-0:1.7.0=-1"),
        (b"\x11\xFF", "1-0:1.7.0=255"),
        (b"\x10\xFF\xFE\x02\x02\x0F\xFF\x16\x23", "1-0:1.7.0=-0.2 V"),
        (b"\x14\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "1-0:1.7.0=-1"),
        (b"\x15\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "1-0:1.7.0=18446744073709551615"),
        (b"\x16\x05", "1-0:1.7.0=5"),
        (b"\x17\x41\xAC\x00\x00\x02\x02\x0F\x03\x16\x1E", "1-0:1.7.0=21500 Wh"),
        (b"\x17\x7F\xC0\x00\x00", "-1-0:1.7.0"),
        (b"\x0A\x03abc", "1-0:1.7.0=\"abc\""),
        (b"\x09\x0212", "1-0:1.7.0=\"12\""),
        (b"\x09\x02\x01\xFF", "1-0:1.7.0=\"01ff\""),
        (b"\x09\x06\x01\x00\x01\x07\x00\xFF", "1-0:1.7.0=\"0100010700ff\""),
        (
            b"\x09\x0C\x07\xE5\x09\x16\x03\x11\x23\x1E\xFF\xFF\xC4\x00",
            "1-0:1.7.0=\"2021-09-22T17:35:30+01:00\"",
        ),
        // The clock is not valid; the date is not known.
        (b"\x09\x0C\x07\xE5\x09\x16\x03\x11\x23\x1E\xFF\xFF\xC4\x01", "-1-0:1.7.0"),
        (b"\x19\xFF\xFF\xFF\xFF\xFF\x11\x23\x1E\xFF\x80\x00\xFF", "-1-0:1.7.0"),
    ] {
        let elements = if value.ends_with(b"\x23") || value.ends_with(b"\x1E") { 3 } else { 2 };
        let body = [&[2, elements], &code[..], value].concat();
        assert_eq!(decoded("dlms", &push(&body)), [expected], "{value:02x?}");
    }
    // Absent phases are nothing in the place of code and value.
    let body = [b"\x02\x06\x00\x00\x00\x00", &code[..], b"\x11\x07"].concat();
    assert_eq!(decoded("dlms", &push(&body)), ["1-0:1.7.0=7"]);
    let yaml = "{dlms: {fields: [{name: p, from: 1-1:1.7.0}, {name: t, from: time}]}}";
    assert_eq!(decoded(yaml, &push(&body)), ["-p", "-t"]);
}

#[test]
fn what_is_no_push_of_dlms_is_refused() {
    let deep = [&b"\x02\x01"[..]; 12].concat();
    for (frame, expected) in [
        (b"\xE6\xE7\x00".to_vec(), "dlms: a Data-Notification, 0F"),
        (b"\xE6\xE7\x00\xDB\x08".to_vec(), "dlms: a Data-Notification, 0F; DB is an encrypted one"),
        (b"\x0F\x40\x00".to_vec(), "dlms: as many bytes as the lengths say"),
        (push(b"\x06\x00\x00\x00\x01"), "dlms: a structure or an array"),
        (push(b"\x02\x82\xFF\xFF\x00"), "dlms: as many bytes as the lengths say"),
        (push(b"\x02\x84\xFF\xFF\xFF\xFF"), "dlms: a length below 65536"),
        (push(b"\x02\x02\x13\x00"), "dlms: a type of DLMS"),
        (push(&deep), "dlms: structures of at most 8 levels"),
    ] {
        let refused = refused("dlms", &frame);
        assert!(refused.len() == 1 && refused[0].starts_with(expected), "{refused:?}");
    }
    let error = build_error("{dlms: {fields: [{name: power, from: P}]}}");
    assert!(error.contains("dlms.fields[0].from: \"P\" is not an OBIS code"), "{error}");
}
