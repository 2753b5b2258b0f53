//! Every file of golden cases under `tests/golden`.

use tty2mqtt::testing::config::cases::Golden;

#[test]
fn golden_cases() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut cases = 0;
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let golden = Golden::parse(&std::fs::read_to_string(&path).unwrap());
        let golden = golden.unwrap_or_else(|e| panic!("{name}: {e}"));
        cases += golden.cases.len();
        failures.extend(golden.failures().into_iter().map(|f| format!("{name}: {f}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases >= 30, "only {cases} cases were found");
}

#[test]
fn a_step_that_fails_says_what_was_expected_and_what_came() {
    let failures = |steps: &str| {
        let text = format!(
            "source: made up\n\
             port:\n  commands: [{{topic: relay, send: \"relay {{payload}}\", terminator: \";\"}}]\n\
             cases: [{{name: a, steps: [{steps}]}}]\n"
        );
        Golden::parse(&text).unwrap().failures().join("\n")
    };
    let on = "{command: {topic: relay, payload: \"on\"}}";
    for (steps, expected) in [
        (
            format!("{on}, {{written: \"relay off;\"}}"),
            "a: step 2: expected\n  written: \"relay off;\"\ngot after 0ns\n  written: \"relay on;\"",
        ),
        (
            format!("{on}, {{written: \"relay on;\", after: 1s}}"),
            "a: step 2: expected after 1s, came after 0ns\n  written: \"relay on;\"",
        ),
        (
            format!(
                "{on}, {on}, {{written: \"relay on;\"}}, {{written: \"relay on;\", within: 49ms}}"
            ),
            "a: step 4: expected within 49ms\n  written: \"relay on;\"\nbut nothing came",
        ),
        (on.to_owned(), "a: behind the last step:\n  written: \"relay on;\""),
        (
            format!("{on}, {{read: \"hello\\n\", after: 1ms}}"),
            "a: step 2: before it came\n  written: \"relay on;\"",
        ),
        (
            "{command: {topic: other, payload: x}}".to_owned(),
            "a: behind the last step:\n  refused: the port has no command for this topic",
        ),
        (
            "{read: x, written: y}".to_owned(),
            "a: step 1: exactly one of `read`, `command`, `room`, `written`, `message`, `refused`",
        ),
        (
            "{read: x, within: 1s}".to_owned(),
            "a: step 1: `within` is for what the device does; what is done to it happens `after`",
        ),
    ] {
        assert_eq!(failures(&steps), expected, "{steps}");
    }
    let unknown = Golden::parse("source: x\nport: {}\ncases: [{name: a, steps: [{speed: 300}]}]\n");
    let unknown = unknown.unwrap_err();
    assert!(unknown.contains("speed"), "{unknown}");
}
