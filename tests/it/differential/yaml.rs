//! Our reader of YAML against serde_yaml: what both take says the same, and what serde_yaml writes
//! is read as it was meant.

use crate::differential::runner;
use proptest::prelude::*;
use serde_yaml::{Mapping, Value as Theirs};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use tty2mqtt::testing::config::yaml::{Scalar, Tree, Value as Ours};

/// Whether they say the same. Ours keeps the keys of a map in their order, theirs as well.
fn same(ours: &Tree, theirs: &Theirs) -> bool {
    match (&ours.value, theirs) {
        (Ours::List(ours), Theirs::Sequence(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (Ours::Map(ours), Theirs::Mapping(theirs)) => {
            let pairs = ours.iter().zip(theirs);
            let is_same = |((a, x), (b, y))| same(a, b) && same(x, y);
            ours.len() == theirs.len() && pairs.map(|((a, x), b)| ((a, x), b)).all(is_same)
        }
        // No key takes a tag, of which serde_yaml passes over some.
        (Ours::Tagged(_), _) => true,
        _ => ours.scalar().is_some_and(|ours| scalar(ours, theirs)),
    }
}

fn scalar(ours: Scalar<'_>, theirs: &Theirs) -> bool {
    match (ours, theirs) {
        (Scalar::Null, Theirs::Null) => true,
        (Scalar::Bool(ours), Theirs::Bool(theirs)) => ours == *theirs,
        (Scalar::Text(ours), Theirs::String(theirs)) => ours == theirs,
        (Scalar::Unsigned(ours), Theirs::Number(theirs)) => theirs.as_u64() == Some(ours),
        (Scalar::Signed(ours), Theirs::Number(theirs)) => theirs.as_i64() == Some(ours),
        (Scalar::Float(ours), Theirs::Number(theirs)) => {
            let theirs = theirs.as_f64().unwrap_or_default();
            ours == theirs || ours.is_nan() && theirs.is_nan()
        }
        _ => false,
    }
}

/// Reads a text in both ways, if both take it.
fn both(text: &str) -> Option<(Tree, Theirs)> {
    // `{&url: x}`: in YAML 1.2 the colon belongs to the anchor's name (6.9.2), and `{?url: x}` has the
    // key `?url` (7.3.3); libyaml goes by 1.1.
    if text.contains(['&', '?']) {
        return None;
    }
    let ours = Tree::read(text).ok()?;
    let theirs: Theirs = serde_yaml::from_str(text).ok()?;
    Some((ours, theirs))
}

/// Every YAML file of the project.
fn files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = ["config", "tests", "openwrt"].map(|name| root.join(name)).into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml")
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn every_file_of_the_project_says_the_same_to_both() {
    let (mut compared, mut wrong) = (0, String::new());
    for (path, text) in files() {
        let Some((ours, theirs)) = both(&text) else { continue };
        compared += 1;
        if !same(&ours, &theirs) {
            wrong += &format!("{}\n  {ours:?}\n  {theirs:?}\n", path.display());
        }
    }
    assert!(compared >= 60, "only {compared} files were taken by both");
    assert!(wrong.is_empty(), "{wrong}");
}

/// libyaml breaks lines at these as YAML 1.1 did; 1.2 does not (5.4).
fn is_12(text: &str) -> bool {
    !text.contains(['\u{85}', '\u{2028}', '\u{2029}'])
}

fn scalars() -> impl Strategy<Value = Theirs> {
    const WORDS: &[&str] = &[
        "", " ", "~", "null", "true", "yes", "on", "0", "00", "007", "-0", "+5", "1_000", "0x1a86",
        "0o17", "12E5", "1e400", ".5", "5.", ".inf", "-.inf", ".nan", "a: b", "- a", "#", "a #b",
        "'", "\"", "\\", "%", "@", "`", "!x", "&x", "*x", "|", ">", "a\nb", "a\n", "\ta", "é", "…",
        "{", "[", "]", "}", ",", "?", ":", "---", "...", "<<", "=", "\u{feff}",
    ];
    prop_oneof![
        Just(Theirs::Null),
        any::<bool>().prop_map(Theirs::Bool),
        any::<u64>().prop_map(Theirs::from),
        any::<i64>().prop_map(Theirs::from),
        any::<f64>().prop_map(Theirs::from),
        "[ -~]{0,12}".prop_map(Theirs::from),
        any::<String>()
            .prop_filter("no line break of YAML 1.1 alone", |text| is_12(text))
            .prop_map(Theirs::from),
        prop::sample::select(WORDS).prop_map(Theirs::from),
    ]
}

fn trees() -> impl Strategy<Value = Theirs> {
    scalars().prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Theirs::Sequence),
            prop::collection::vec(("[a-z0-9./ -]{1,8}", inner), 0..6).prop_map(|pairs| {
                let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value));
                Theirs::Mapping(pairs.collect::<Mapping>())
            }),
        ]
    })
}

#[test]
fn what_serde_yaml_writes_is_read_as_it_was_meant() {
    runner()
        .run(&trees(), |tree| {
            let text = serde_yaml::to_string(&tree).unwrap();
            let ours = Tree::read(&text)
                .map_err(|fault| TestCaseError::fail(format!("{fault:?} in {text:?}")))?;
            prop_assert!(same(&ours, &tree), "{text:?}\n{ours:?}\n{tree:?}");
            Ok(())
        })
        .unwrap();
}

#[test]
fn mutilated_files_that_both_take_say_the_same() {
    let texts: Vec<_> = files().into_iter().map(|(_, text)| text).collect();
    let cuts = (0..texts.len(), any::<prop::sample::Index>(), "[ -~\n]{0,3}", 0_usize..4);
    let compared = Cell::new(0);
    runner()
        .run(&cuts, |(file, at, new, removed)| {
            let chars: Vec<char> = texts[file].chars().collect();
            let at = at.index(chars.len() + 1);
            let rest = (at + removed).min(chars.len());
            let text: String = chars[..at].iter().collect::<String>()
                + &new
                + &chars[rest..].iter().collect::<String>();
            if let Some((ours, theirs)) = both(&text) {
                compared.set(compared.get() + 1);
                prop_assert!(same(&ours, &theirs), "{text}\n{ours:?}\n{theirs:?}");
            }
            Ok(())
        })
        .unwrap();
    assert!(compared.get() > 500, "only {} were taken by both", compared.get());
}
