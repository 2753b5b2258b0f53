//! The laws that the fuzzers check, on the inputs that are stored in `fuzz/corpus`, and on mutants;
//! see `fuzz/README.md`.

#[path = "../../fuzz/one/calc.rs"]
mod calc;
#[path = "../../fuzz/one/frame.rs"]
mod frame;
#[path = "../../fuzz/one/modbus.rs"]
mod modbus;
mod mutants;
#[path = "../../fuzz/one/packet.rs"]
mod packet;
mod polled;
#[path = "../../fuzz/one/reading.rs"]
mod reading;
#[path = "../../fuzz/one/session.rs"]
mod session;

use std::path::Path;

/// Each framing rule and each decoder that the configuration knows is among those whose laws are checked here.
#[test]
fn nothing_is_left_out() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema.json");
    let schema: serde_json::Value =
        serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let words = |name: &str| {
        let choices = schema["definitions"][name]["oneOf"].as_array().unwrap();
        let words = choices.iter().filter_map(|choice| choice["properties"].as_object());
        words.flat_map(|keys| keys.keys().cloned()).collect::<Vec<_>>()
    };
    let begins = |yaml: &str, word: &str| yaml.trim_start_matches('{').starts_with(word);
    for word in words("Decode") {
        assert!(reading::DECODERS.iter().any(|(yaml, _)| begins(yaml, &word)), "decoder {word}");
    }
    for word in words("Framing") {
        assert!(frame::RULES.iter().any(|(yaml, ..)| begins(yaml, &word)), "framing {word}");
    }
}

fn every_input(target: &str, fuzz_one: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for file in std::fs::read_dir(&corpus).unwrap() {
        let path = file.unwrap().path();
        // The name tells which one, should it panic.
        println!("{}", path.display());
        fuzz_one(&std::fs::read(&path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 20, "{} has {inputs} inputs only", corpus.display());
}

#[test]
fn expressions_of_the_corpus() {
    every_input("calc", calc::fuzz_one);
}

#[test]
fn packets_of_the_corpus() {
    every_input("packet", packet::fuzz_one);
}

#[test]
fn sessions_of_the_corpus() {
    every_input("session", session::fuzz_one);
}

#[test]
fn frames_of_the_corpus() {
    every_input("frame", frame::fuzz_one);
}

#[test]
fn modbus_replies_of_the_corpus() {
    every_input("modbus", modbus::fuzz_one);
}

#[test]
fn readings_of_the_corpus() {
    every_input("reading", reading::fuzz_one);
}
