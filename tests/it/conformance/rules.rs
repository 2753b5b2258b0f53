//! `rules.tsv` names a test for each point of the 24 rules, and these tests exist.

use crate::conformance::matrix;
use std::collections::BTreeSet;

#[test]
fn every_rule_names_tests_that_exist() {
    let tests = matrix::all();
    let mut rules = BTreeSet::new();
    let mut wrong = Vec::new();
    for line in include_str!("rules.tsv").lines().filter(|line| !line.starts_with('#')) {
        let [rule, point, named] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("three fields: {line:?}");
        };
        rules.insert(rule.to_owned());
        if point.is_empty() || named.is_empty() {
            wrong.push(format!("{rule}: it says nothing, or names no test"));
        }
        let missing = named.split(' ').filter(|test| !tests.contains(*test));
        wrong.extend(missing.map(|test| format!("{rule}: there is no {test}")));
    }
    let expected = (1..=24).map(|n| format!("B{n}")).collect::<BTreeSet<_>>();
    wrong.extend(expected.symmetric_difference(&rules).map(|rule| format!("{rule} has no row")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
