//! Every file of golden cases under `tests/golden`, and every device file.

use tty2mqtt::testing::config::{self, cases::Golden};
use tty2mqtt::testing::device::cases::Case;

/// The files of a folder, each with its name.
fn files(folder: &str) -> Vec<(String, Golden)> {
    let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let golden = Golden::read(&name, std::fs::read_to_string(&path).unwrap());
        let golden = golden.unwrap_or_else(|e| panic!("{e}"));
        (name, golden)
    };
    std::fs::read_dir(folder).unwrap().map(read).collect()
}

/// Runs their cases, and says how many there are.
fn run(files: &[(String, Golden)]) -> usize {
    let all = |(name, golden): &(String, Golden)| -> Vec<String> {
        golden.failures().into_iter().map(|why| format!("{name}: {why}")).collect()
    };
    let failures: Vec<_> = files.iter().flat_map(all).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    files.iter().map(|(_, golden)| golden.cases.len()).sum()
}

#[test]
fn golden_cases() {
    let cases = run(&files("tests/golden"));
    assert!(cases >= 30, "only {cases} cases were found");
}

/// Counts of a case that say that something was wrong on the line.
const DAMAGE: [&str; 7] =
    ["bad_answers", "checksum", "malformed", "cut", "exceptions", "refusals", "refused"];

/// How the name of a case in the library begins: who published its bytes on the line, or that nobody did.
/// A damaged case is called after the one that it is made from.
const ORIGINS: [&str; 3] = ["published", "documented", "made"];

/// Device files, at least, and those with bytes that others published.
const FILES: usize = 80;
const PUBLISHED: usize = 50;

fn origin(name: &str) -> Option<&'static str> {
    ORIGINS.into_iter().find(|origin| name.starts_with(origin))
}

fn is_published(case: &Case) -> bool {
    origin(&case.name).is_some_and(|origin| origin != "made")
}

#[test]
fn device_files_say_what_they_are_and_run_their_cases() {
    let files = files("config/devices");
    for (name, Golden { head, cases, .. }) in &files {
        let head = head.as_ref().unwrap_or_else(|| panic!("{name}: this is no device file"));
        assert_eq!(head.missing(), None, "{name}");
        assert!(cases.len() >= 2, "{name}: two cases at least");
        let is_damaged = |count: &str| {
            cases.iter().any(|case| case.counts.get(count).is_some_and(|count| *count > 0))
        };
        assert!(DAMAGE.into_iter().any(is_damaged), "{name}: no case in which bytes are damaged");
        for case in cases {
            let of = origin(&case.name);
            assert!(of.is_some(), "{name}: {:?} does not begin with one of {ORIGINS:?}", case.name);
        }
    }
    // What the library promises; more files come, none goes.
    let published = files.iter().filter(|(_, file)| file.cases.iter().any(is_published)).count();
    assert!(files.len() >= FILES, "only {} device files", files.len());
    assert!(
        published >= PUBLISHED,
        "only {published} device files have bytes that others published"
    );
    run(&files);
}

#[test]
fn each_device_file_is_a_model_of_a_port_and_of_a_device_on_a_bus() {
    let load = |ports: &str| {
        let text = format!("gateway: gw\nbroker: {{url: \"mqtt://x\"}}\nports:\n{ports}");
        let loaded = config::load::parse("golden", &text, std::path::Path::new("/"));
        loaded.unwrap_or_else(|error| panic!("{ports}{error}"))
    };
    for (file, Golden { port, .. }) in files("config/devices") {
        let model = file.trim_end_matches(".yaml");
        let (config, warnings) = load(&format!("  a: {{path: /dev/a, model: {model}}}\n"));
        assert_eq!(warnings, [""; 0], "{model}");
        let own = config.ports.values().next().unwrap();
        assert!(own.line.is_some(), "{model}: it says no line");
        let is_read = !own.registers.is_empty()
            || !own.poll.is_empty()
            || own.decode.is_some()
            || !own.frames.is_empty();
        assert!(is_read, "{model}");
        if port.get("registers").is_some() {
            let two = format!(
                "{{one: {{model: {model}, address: 7}}, two: {{model: {model}, address: 8}}}}"
            );
            let (config, warnings) = load(&format!("  a: {{path: /dev/a, devices: {two}}}\n"));
            assert_eq!(warnings, [""; 0], "{model}");
            let bus = config.ports.values().next().unwrap();
            let addresses: Vec<_> = bus.devices.values().map(|device| device.address).collect();
            assert_eq!(addresses, [Some(7), Some(8)], "{model}");
        }
    }
}

/// Nothing else keeps the list of devices true to the files.
#[test]
fn the_list_of_devices_names_nothing_that_is_not_there() {
    let root = env!("CARGO_MANIFEST_DIR");
    let list = std::fs::read_to_string(format!("{root}/docs/DEVICES.md")).unwrap();
    let rows: Vec<_> = list.lines().filter(|line| line.contains(" | ")).skip(1).collect();
    let is_full = |row: &&&str| row.rsplit(" | ").next().is_some_and(|end| end.starts_with("full"));
    for row in &rows {
        let links: Vec<_> =
            row.split("](../").skip(1).filter_map(|it| it.split(')').next()).collect();
        for link in &links {
            assert!(std::path::Path::new(root).join(link).is_file(), "{link} is not there");
        }
        assert!(!links.is_empty() || !is_full(&row), "no case shows: {row}");
    }
    let full = rows.iter().filter(is_full).count();
    assert!(list.contains(&format!("\n{full} of {} are full.\n", rows.len())), "{full} are full");
}

#[test]
fn a_device_file_without_its_head_is_refused() {
    let read = |text: String| Golden::read("a.yaml", text);
    let head = "make: A\ntitle: B\nabout: C\nwiring: D\nsource: {document: E, section: F}\n";
    let missing = |text: String| read(text + "cases: []\n").unwrap().head.unwrap().missing();
    assert_eq!(missing(head.to_owned()), None);
    assert_eq!(missing(head.replace("title: B\n", "")), Some("title"));
    assert_eq!(missing(head.replace(", section: F", "")), Some("source.section"));
    for (text, expected) in [
        (head.to_owned(), "a.yaml: the key `cases` is missing"),
        (head.replace("title: B", "title: [B]") + "cases: []\n", "a.yaml:2:8: title: "),
        (head.to_owned() + "cases: [{nam: a}]\n", "a.yaml:6:10: cases[0].nam: unknown key"),
    ] {
        let why = read(text).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
    // What is no key of a device is found when the cases run.
    let golden = read(format!("{head}colour: red\ncases: [{{name: a}}]\n")).unwrap();
    let failures = golden.failures().join("\n");
    assert!(failures.contains("a.yaml:6:1: colour: unknown key"), "{failures}");
}

#[test]
fn a_case_may_have_only_some_registers_and_another_address() {
    let failures = |beside: &str| {
        let text = format!(
            "source: made up\n\
             port: {{address: 1, registers: {{a: {{input: 0}}, b: {{input: 7}}}}}}\n\
             cases: [{{name: n, {beside}, steps: [{{written: \"hex: 02 04 00 07 00 01 80 38\"}}, \
             {{read: \"hex: 02 04 02 00 05 3D 33\", after: 1ms}}, \
             {{message: {{topic: gw/port/b, payload: \"5\"}}}}]}}]\n"
        );
        Golden::read("a.yaml", text).unwrap().failures().join("\n")
    };
    assert_eq!(failures("only: [b], address: 2"), "");
    assert!(failures("only: [b]").contains("01 04 00 07 00 01"), "the address of the file");
    assert!(failures("address: 2").contains("02 04 00 00 00 08"), "both registers");
    assert_eq!(failures("only: [b, c]"), "n: `only`: there is no register or poll `c`");
}

#[test]
fn a_step_that_fails_says_what_was_expected_and_what_came() {
    let failures = |steps: &str| {
        let text = format!(
            "source: made up\n\
             port:\n  commands: [{{topic: relay, send: \"relay {{payload}}\", terminator: \";\"}}]\n\
             cases: [{{name: a, steps: [{steps}]}}]\n"
        );
        Golden::read("a.yaml", text).unwrap().failures().join("\n")
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
    let unknown = "source: x\nport: {}\ncases: [{name: a, steps: [{speed: 300}]}]\n";
    let unknown = Golden::read("a.yaml", unknown.to_owned()).unwrap_err().to_string();
    assert!(unknown.contains("speed"), "{unknown}");
}
