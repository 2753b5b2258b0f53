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
