//! Laws that hold for any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use proptest::prelude::*;
use serde::Deserialize;
use tty2mqtt::config::tree::Node;
use tty2mqtt::decode::Decode;

fn read<T: for<'de> Deserialize<'de>>(yaml: &str) -> T {
    let tree = serde_yaml::from_str(yaml).unwrap();
    T::deserialize(Node(&tree)).unwrap()
}

/// Bytes among which the special ones of all rules are common.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(
        b"\r\n$*/!\xC0\xDB\xDC\xDD\x7E\x7D\x5E\x10\x02\x03\xFF\x42\x09\x00".to_vec(),
    );
    prop::collection::vec(prop_oneof![special, any::<u8>()], 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_stop_a_decoder(n in 0_usize..9, bytes in stream()) {
        let decode: Decode = read([
            "text",
            "bytes",
            "{bytes: {as: base64}}",
            "{fields: {names: [a, {name: b, scale: 0.1}, {name: c, type: number}]}}",
            "pairs",
            r#"{pairs: {between: "\n", equals: "(", close: ")", unit: "*"}}"#,
            "json",
            "sexpr",
            "{binary: {fields: [{name: a, at: 1, type: i24}, {name: b, at: 0, type: f64, decimals: 3},
                {name: c, at: 2, type: bcd, length: 16}, {name: d, at: 0, type: text, length: 9},
                {name: e, at: 0, type: u64, bits: '60-63', scale: -1e9}]}}",
        ][n]);
        let decoder = decode.build().unwrap();
        let decoded = decoder.decode(&bytes);
        // Whatever is a number goes into JSON as it is.
        for reading in &decoded.readings {
            if let tty2mqtt::value::Value::Number(number) = &reading.value {
                prop_assert!(serde_json::from_str::<serde_json::Value>(number).is_ok(), "{}", number);
            }
        }
    }
}
