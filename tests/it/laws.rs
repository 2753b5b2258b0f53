//! Laws that hold for any bytes.

use proptest::prelude::*;
use serde::Deserialize;
use tty2mqtt::mqtt::topic;
use tty2mqtt::testing::base::clock::Now;
use tty2mqtt::testing::codec::decode::Decode;
use tty2mqtt::testing::codec::value::{Reading, Value};
use tty2mqtt::testing::device::mapping::{Mapping, Names};

fn read<T: for<'de> Deserialize<'de>>(yaml: &str) -> T {
    tty2mqtt::testing::config::tree::parse(yaml).unwrap()
}

/// Bytes among which the special ones of all rules are common.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(
        b"\r\n$*/!\xC0\xDB\xDC\xDD\x7E\x7D\x5E\x10\x02\x03\xFF\x42\x09\x00".to_vec(),
    );
    prop::collection::vec(prop_oneof![special, any::<u8>()], 0..400)
}

/// Text in which everything that a topic must not hold is common.
fn text() -> impl Strategy<Value = String> {
    let special =
        "/+#$\0\n\u{7F}\u{80}\u{85}\u{9F}\u{FDD0}\u{FDEF}\u{FFFE}\u{FFFF}\u{5FFFE}\u{10FFFF}";
    let special = prop::sample::select(special.chars().collect::<Vec<_>>());
    let chars = prop::collection::vec(prop_oneof![special, any::<char>()], 0..8);
    chars.prop_map(|chars| chars.into_iter().collect())
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
            if let tty2mqtt::testing::codec::value::Value::Number(number) = &reading.value {
                prop_assert!(serde_json::from_str::<serde_json::Value>(number).is_ok(), "{}", number);
            }
        }
    }

    #[test]
    fn no_device_makes_a_topic_that_a_broker_may_refuse(
        (node, field, value, unit) in (text(), text(), text(), text()),
        n in 0_usize..5,
    ) {
        let (template, levels) = [
            ("{node}", 1),
            ("{field}/{node}", 2),
            ("{value}", 1),
            ("{unit}{field}/a/{value}", 3),
            ("{gateway}/{node}/{field}", 3),
        ][n];
        let mapping: Mapping = read(&format!("{{topic: '{template}', payload: x}}"));
        let names = Names { gateway: "gw", port: "p", device: "d" };
        let reading = Reading {
            node: Some((&*node).into()),
            field: (&*field).into(),
            value: Value::Text((&*value).into()),
            unit: Some(&unit),
        };
        let mut topics = Vec::new();
        let mapper = mapping.build(&names, None).unwrap();
        let mut out = |it: tty2mqtt::testing::device::Publication, _: Option<&str>| topics.push(it.message.topic);
        prop_assert_eq!(mapper.map(&[reading], &[], &[], Now::read(), &mut out), 0);
        let topic = topics[0].as_str();
        prop_assert_eq!(topic::check_fit(topic), Ok(()));
        prop_assert!(!topic.starts_with('$') && !topic.contains(['+', '#']), "{}", topic);
        prop_assert_eq!(topic.split('/').count(), levels, "{}", topic);
    }

    #[test]
    fn a_bare_column_is_published_as_it_came(text in "[-+0-9.eE ]{0,20}|[ -~]{0,12}") {
        let decode: Decode = read("{fields: {separator: ';', names: [a]}}");
        let decoder = decode.build().unwrap();
        let decoded = decoder.decode(text.as_bytes());
        let column = text.split(';').next().unwrap().trim();
        match &decoded.readings[..] {
            [reading] => prop_assert_eq!(reading.value.as_str(), column),
            _ => prop_assert!(column.is_empty() && decoded.no_values.len() == 1),
        }
    }

    #[test]
    fn a_number_is_never_published_as_another(text in "[-+]?0{0,3}[0-9]{0,6}(\\.[0-9]{0,4})?|[ -~]{0,12}") {
        let decode: Decode = read("{fields: {separator: ';', names: [{name: a, unit: V}]}}");
        let decoder = decode.build().unwrap();
        let decoded = decoder.decode(text.as_bytes());
        let column = text.split(';').next().unwrap().trim();
        // One of value, refusal and neither, and a value is the number that stands there.
        let (readings, refusals) = (&decoded.readings, &decoded.rejected);
        prop_assert_eq!(readings.len() + refusals.len() + decoded.no_values.len(), 1);
        if let [reading] = &readings[..] {
            let (came, went) = (column.parse::<f64>().unwrap(), reading.value.as_str().parse::<f64>().unwrap());
            prop_assert_eq!(came, went);
        } else {
            prop_assert!(!column.starts_with(|c: char| c.is_ascii_digit()) || refusals.len() == 1, "{}", column);
        }
    }
}
