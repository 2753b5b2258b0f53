//! `conformance.tsv` has a row for every statement, and the tests that it names exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The statements that the standard addresses to clients, or to clients and servers: section and
/// numbers.
const STATEMENTS: &[(&str, &[u32])] = &[
    ("1.5.4", &[1, 2]),
    ("1.5.5", &[1]),
    ("1.5.7", &[1]),
    ("2.1.3", &[1]),
    ("2.2.1", &[2, 3, 5, 6]),
    ("2.2.2", &[1]),
    ("3.1.2", &[1, 3, 6, 10, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 27, 29, 30]),
    ("3.1.3", &[1, 2, 6, 7, 8, 11, 12]),
    ("3.2.2", &[1, 4, 5, 11, 14, 15, 17, 18, 21]),
    ("3.3.1", &[1, 2, 3, 4]),
    ("3.3.2", &[1, 2, 7, 8, 9, 10, 12, 13, 14, 19]),
    ("3.3.4", &[6, 9]),
    ("3.4.2", &[1, 2, 3]),
    ("3.5.2", &[1, 2, 3]),
    ("3.6.1", &[1]),
    ("3.6.2", &[1, 2, 3]),
    ("3.7.2", &[1, 2, 3]),
    ("3.8.1", &[1]),
    ("3.8.3", &[1, 2, 3]),
    ("3.8.4", &[2, 4, 6]),
    ("3.9.2", &[2]),
    ("3.10.1", &[1]),
    ("3.10.3", &[1, 2]),
    ("3.10.4", &[2, 3]),
    ("3.11.2", &[2]),
    ("3.14.1", &[1]),
    ("3.14.2", &[1, 3, 4]),
    ("3.14.4", &[1, 2]),
    ("3.15.1", &[1]),
    ("3.15.2", &[1, 2, 3]),
    ("4.1.0", &[1]),
    ("4.2", &[1]),
    ("4.3.1", &[1]),
    ("4.3.2", &[1, 2, 3, 4]),
    ("4.3.3", &[1, 2, 4, 6, 7, 8, 10, 11, 13]),
    ("4.4.0", &[1, 2]),
    ("4.5.0", &[1, 2]),
    ("4.6.0", &[1, 2, 3, 4, 5]),
    ("4.7.0", &[1]),
    ("4.7.1", &[1, 2]),
    ("4.7.3", &[1, 2, 3]),
    ("4.8.2", &[1, 2, 3, 4, 5, 6]),
    ("4.9.0", &[1, 2, 3]),
    ("4.12.0", &[1, 2, 3, 4, 5, 6, 7]),
    ("4.12.1", &[1, 2]),
    ("4.13.2", &[1]),
    ("6.0.0", &[1, 3]),
];

struct Row<'a> {
    id: &'a str,
    /// `file::test`, separated by spaces; none where there is only a reason.
    tests: Vec<&'a str>,
    reason: &'a str,
}

fn rows() -> Vec<Row<'static>> {
    let lines = include_str!("conformance.tsv").lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let mut fields = line.split('\t');
        let (id, tests) = (fields.next().unwrap(), fields.next().unwrap_or_default());
        let tests = tests.split(' ').filter(|test| *test != "-").collect();
        let reason = fields.next().unwrap_or_default();
        assert!(fields.next().is_none(), "{id}: more than three fields");
        Row { id, tests, reason }
    };
    lines.map(row).collect()
}

#[test]
fn every_statement_has_one_row() {
    let mut rows_of: BTreeMap<&str, u32> = BTreeMap::new();
    for row in rows() {
        *rows_of.entry(row.id).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for (section, numbers) in STATEMENTS {
        for number in *numbers {
            let id = format!("MQTT-{section}-{number}");
            match rows_of.remove(id.as_str()) {
                Some(1) => {}
                Some(n) => wrong.push(format!("{id} has {n} rows")),
                None => wrong.push(format!("{id} has no row")),
            }
        }
    }
    wrong.extend(rows_of.keys().map(|id| format!("{id} is no statement for clients")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_row_names_tests_that_exist_or_a_reason() {
    let tests = all();
    let mut wrong = Vec::new();
    for row in rows() {
        if row.tests.is_empty() && row.reason.is_empty() {
            wrong.push(format!("{}: neither a test nor a reason", row.id));
        }
        for test in row.tests {
            if !tests.contains(test) {
                wrong.push(format!("{}: there is no {test}", row.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// All tests that there are, as `tests/it/session::name`.
pub fn all() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for folder in ["tests", "src"] {
        collect(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(folder), &mut tests);
    }
    tests
}

/// The tests in a folder's sources, as `tests/it/session::name`.
fn collect(root: &Path, folder: &Path, tests: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let name = entry.as_ref().unwrap().file_name();
        let path = folder.join(name);
        if entry.unwrap().file_type().unwrap().is_dir() {
            collect(root, &path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.with_extension("").to_str().unwrap().to_owned();
            let source = std::fs::read_to_string(root.join(&path)).unwrap();
            tests.extend(names(&source).map(|name| format!("{file}::{name}")));
        }
    }
}

/// The functions behind a `#[test]` or the like.
fn names(source: &str) -> impl Iterator<Item = &str> {
    let mut marked = false;
    source.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[") {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            return None;
        }
        let function = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
        let name = function.filter(|_| marked).and_then(|rest| rest.split('(').next());
        marked &= line.is_empty() || line.starts_with("//");
        name
    })
}

#[test]
fn tests_are_found_by_their_attribute() {
    let source = "#[test]\n#[ignore]\nfn a() {}\nfn b() {}\n  #[tokio::test(x)]\n  async fn c() {}";
    assert_eq!(names(source).collect::<Vec<_>>(), ["a", "c"]);
}
