//! The rooms of `src`: which of them may know which, and the map of their modules in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a room may use.
enum Knows {
    /// This room and all that stand behind it in the list.
    From(&'static str),
    Only(&'static [&'static str]),
}

/// The rooms, from the top to the bottom. `testing` stands beside them: it is for tests and the demo.
const ROOMS: &[(&str, Knows)] = &[
    ("cli", Knows::From("demo")),
    ("demo", Knows::From("gateway")),
    ("shell", Knows::Only(&["mqtt", "base"])),
    ("control", Knows::From("gateway")),
    ("gateway", Knows::From("config")),
    ("config", Knows::From("port")),
    ("port", Knows::Only(&["outbox", "device", "base"])),
    ("outbox", Knows::Only(&["mqtt", "base"])),
    ("device", Knows::Only(&["mqtt", "codec", "base"])),
    ("mqtt", Knows::Only(&["base"])),
    ("codec", Knows::Only(&["base"])),
    ("base", Knows::Only(&[])),
    ("testing", Knows::From("gateway")),
];

/// Arrows that the table does not have and that still have to go. Nothing is ever added here.
const REMAINING: &[(&str, &str)] = &[];

fn may_use(room: &str, other: &str) -> bool {
    let at = |name: &str| ROOMS.iter().position(|(room, _)| *room == name);
    match &ROOMS[at(room).unwrap()].1 {
        _ if room == other => true,
        Knows::From(first) => match other {
            "testing" => room == "demo",
            _ => at(other) >= at(first),
        },
        Knows::Only(rooms) => rooms.contains(&other),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: where it is below `src`, without `.rs`, and its text without tests and comments.
struct Module {
    place: PathBuf,
    code: String,
}

impl Module {
    fn room(&self) -> &str {
        self.place.iter().next().unwrap().to_str().unwrap()
    }

    /// The rooms that it names, by `crate::` or by more `super::` than it is deep.
    fn uses(&self) -> BTreeSet<String> {
        let mut rooms = BTreeSet::new();
        let up = "super::".repeat(self.place.iter().count());
        for from_root in ["crate::", up.as_str()] {
            for (at, _) in self.code.match_indices(from_root) {
                let before = self.code[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                rooms.extend(first_names(&self.code[at + from_root.len()..]));
            }
        }
        rooms
    }
}

/// `a::b` → a; `{a::{b, c}, d}` → a, d.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut depth) = (vec![name(group)], 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// A source without comments and without what stands behind `#[cfg(test)]`, and the modules declared
/// there. rustfmt has laid it out: an item that is a block ends at a brace with its own indentation.
fn without_tests(source: &str) -> (String, Vec<String>) {
    let (mut code, mut test_modules) = (String::new(), Vec::new());
    let mut lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        let is_test =
            ["#[cfg(test)]", "#[cfg(all(test,"].iter().any(|it| line.trim_start().starts_with(it));
        if !is_test {
            code += line;
            code.push('\n');
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let mut item = lines.next().unwrap();
        while item.trim_start().starts_with("#[") {
            item = lines.next().unwrap();
        }
        if let Some((_, name)) = item.split_once("mod ").filter(|_| item.ends_with(';')) {
            test_modules.push(name.trim_end_matches(';').to_owned());
        }
        if !item.ends_with([';', '}']) {
            lines.by_ref().find(|line| line.starts_with(&end));
        }
    }
    (code, test_modules)
}

/// All modules of `src` but `lib.rs`, `main.rs` and tests, each with its whole text.
fn modules() -> Vec<(Module, String)> {
    let mut modules = Vec::new();
    let mut folders = vec![PathBuf::new()];
    let mut tests = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join("src").join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let place = folder.join(entry.file_name()).with_extension("");
            if entry.file_type().unwrap().is_dir() {
                folders.push(place);
                continue;
            }
            let source = std::fs::read_to_string(entry.path()).unwrap();
            let (code, test_modules) = without_tests(&source);
            if place != Path::new("lib") && place != Path::new("main") {
                tests.extend(test_modules.iter().map(|name| place.join(name)));
                modules.push((Module { place, code }, source));
            }
        }
    }
    modules.retain(|(module, _)| !module.place.ancestors().any(|place| tests.contains(place)));
    modules.sort_by(|a, b| a.0.place.cmp(&b.0.place));
    modules
}

#[test]
fn arrows_between_rooms_go_down_only() {
    let mut wrong: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut rooms = BTreeSet::new();
    for (module, _) in modules() {
        let room = module.room();
        assert!(ROOMS.iter().any(|(name, _)| *name == room), "src/{room} is in no list of rooms");
        rooms.insert(room.to_owned());
        for other in module.uses() {
            let is_room = ROOMS.iter().any(|(name, _)| *name == other);
            if is_room && !may_use(room, &other) {
                let arrow = (room.to_owned(), other);
                wrong.entry(arrow).or_default().push(module.place.clone());
            }
        }
    }
    assert_eq!(rooms.len(), ROOMS.len(), "{rooms:?}");
    for (room, other) in REMAINING {
        let gone = wrong.remove(&((*room).to_owned(), (*other).to_owned())).is_none();
        assert!(!gone, "{room} no longer knows {other}: take the arrow out of REMAINING");
    }
    assert!(wrong.is_empty(), "arrows that ARCHITECTURE.md does not have: {wrong:#?}");
}

#[test]
fn paths_are_found_in_every_spelling() {
    assert_eq!(first_names("a::b;"), ["a"]);
    assert_eq!(first_names("{a::{b, c}, d, e::f};"), ["a", "d", "e"]);
    let (code, tests) = without_tests(
        "use crate::a;\n// crate::b\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nfn x() {\n    crate::c;\n}\nfn y() {\n    \
         #[cfg(test)]\n    if z {\n        crate::d;\n    }\n    super::super::e::f();\n}\n",
    );
    assert_eq!(tests, ["tests"]);
    let module = Module { place: "room/file".into(), code };
    assert_eq!(module.uses().into_iter().collect::<Vec<_>>(), ["a", "e"]);
}

/// The first sentence of a module's `//!` lines.
fn sentence(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let text = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let end = text.find(". ").map_or(text.len(), |at| at + 1);
    text[..end].to_owned()
}

/// The lines between `<!-- modules of ROOM -->` and `<!-- end -->`, made of the `//!` lines.
#[test]
fn the_map_has_every_module() {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    for (module, source) in modules() {
        let (place, sentence) = (module.place.display(), sentence(&source));
        assert!(!sentence.is_empty(), "src/{place}.rs does not say in a //! line what it is");
        let list = map.entry(module.room().to_owned()).or_default();
        if module.place.iter().count() > 1 {
            *list += &format!("- `{place}.rs`: {sentence}\n");
        }
    }
    let tests = std::fs::read_dir(root().join("tests/it")).unwrap();
    let mut tests: Vec<_> = tests.map(|entry| entry.unwrap().path()).collect();
    tests
        .retain(|path| path.extension().is_some_and(|it| it == "rs") && !path.ends_with("main.rs"));
    tests.sort();
    let lines = tests.iter().map(|path| {
        let sentence = sentence(&std::fs::read_to_string(path).unwrap());
        format!("- `{}`: {sentence}\n", path.file_name().unwrap().display())
    });
    map.insert("tests/it".to_owned(), lines.collect());
    let file = root().join("ARCHITECTURE.md");
    let before = std::fs::read_to_string(&file).unwrap();
    let mut after = String::new();
    let mut rest = before.as_str();
    while let Some((text, behind)) = rest.split_once("<!-- modules of ") {
        let (room, behind) = behind.split_once(" -->\n").unwrap();
        let (_, behind) = behind.split_once("<!-- end -->").unwrap();
        let list = map.remove(room).unwrap_or_else(|| panic!("there is no room {room}"));
        after += &format!("{text}<!-- modules of {room} -->\n{list}<!-- end -->");
        rest = behind;
    }
    after += rest;
    assert!(map.is_empty(), "rooms that ARCHITECTURE.md lacks: {:?}", map.keys());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &after).unwrap();
    } else {
        let renew =
            "UPDATE=1 cargo test --test it architecture:: renews the map in ARCHITECTURE.md";
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let differences: Vec<_> =
            lines(&before).symmetric_difference(&lines(&after)).cloned().collect();
        assert!(before == after, "{differences:#?}\n{renew}");
    }
}
