//! The pages of docs/devices, which are made of the device files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use tty2mqtt::testing::config::library::{Library, Model};
use tty2mqtt::testing::device::cases::Case;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/devices");

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Whether somebody else published bytes of it.
fn is_published(cases: &[Case]) -> bool {
    cases.iter().any(|case| !case.name.starts_with("made"))
}

fn page(model: &Model, cases: &[Case]) -> String {
    let Model { name, head, settings, .. } = model;
    let mut page = format!("# {} {}\n\n", head.make, head.title);
    if !head.aliases.is_empty() {
        let _ = writeln!(page, "Also: {}.\n", head.aliases.join(", "));
    }
    let _ = writeln!(page, "{}\n\n## Wiring\n\n{}\n", head.about.trim(), head.wiring.trim());
    let line = settings.get("line").map(|line| line.key_text().into_owned());
    let line = line.map_or_else(|| "as the device is set".to_owned(), |line| format!("`{line}`"));
    let _ = writeln!(page, "Line: {line}. It speaks: {}.\n", model.speaks());
    let _ = writeln!(page, "## Configuration\n\n```yaml\n{}```\n", model.lines());
    let fields = model.fields();
    if fields.is_empty() {
        page += "Its fields are those that come.\n";
    } else {
        page += "| field | unit | class | may be written |\n|---|---|---|---|\n";
    }
    for field in &fields {
        let write = field.write.as_deref().unwrap_or_default();
        let columns = [&field.name, &field.unit, &field.class, write].map(cell);
        let _ = writeln!(page, "| {} |", columns.join(" | "));
    }
    let commands = model.commands();
    if !commands.is_empty() {
        page += "\n| command | payloads |\n|---|---|\n";
    }
    for (name, takes) in commands {
        let _ = writeln!(page, "| {} | {} |", cell(&name), cell(&takes));
    }
    let year = head.source.year.map(|year| format!(", {year}")).unwrap_or_default();
    let _ = writeln!(
        page,
        "\n## Source\n\n{}{year}: {}.\n\nCases in [{name}.yaml](../../config/devices/{name}.yaml):\n",
        head.source.document.trim(),
        head.source.section.trim().trim_end_matches('.'),
    );
    for case in cases {
        let _ = writeln!(page, "- {}", case.name);
    }
    page
}

fn index(all: &[(Model, Vec<Case>)]) -> String {
    let published = all.iter().filter(|(_, cases)| is_published(cases)).count();
    let mut index = format!(
        "# The library of devices\n\n{} devices that need no more than `model: NAME` in the configuration; `tty2mqtt \
         devices` searches them. *Published* means that the bytes of a case stand elsewhere, in a document or in a \
         recording that somebody published: {published} devices; the bytes of the others were made after the document. \
         [DEVICES.md](../DEVICES.md) says what to do with a device that is not here.\n\nThis page and those of the \
         devices are made of `config/devices`; `UPDATE=1 cargo test --test it devices::` renews them.\n",
        all.len()
    );
    let mut kinds: BTreeMap<&str, Vec<&(Model, Vec<Case>)>> = BTreeMap::new();
    for one in all {
        kinds.entry(one.0.speaks()).or_default().push(one);
    }
    for (speaks, mut devices) in kinds {
        let mut first = speaks.chars();
        let title: String =
            first.next().into_iter().flat_map(char::to_uppercase).chain(first).collect();
        let _ =
            write!(index, "\n## {title}\n\n| make | device | model | bytes |\n|---|---|---|---|\n");
        devices.sort_by_key(|(model, _)| (model.head.make.to_lowercase(), model.name.clone()));
        for (Model { name, head, .. }, cases) in devices {
            let bytes = if is_published(cases) { "published" } else { "made" };
            let (make, title) = (cell(&head.make), cell(&head.title));
            let _ = writeln!(index, "| {make} | {title} | [{name}]({name}.md) | {bytes} |");
        }
    }
    index
}

#[test]
fn each_device_file_has_its_page() {
    let library = Library::beside(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config")));
    let names = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config/devices")).unwrap();
    let names = names.filter_map(|entry| {
        entry.unwrap().file_name().into_string().unwrap().strip_suffix(".yaml").map(str::to_owned)
    });
    let names: BTreeSet<String> = names.collect();
    let all: Vec<_> = names.iter().map(|name| library.open(name).unwrap()).collect();
    let mut pages: BTreeMap<String, String> = all
        .iter()
        .map(|(model, cases)| (format!("{}.md", model.name), page(model, cases)))
        .collect();
    pages.insert("README.md".into(), index(&all));
    let folder = Path::new(FOLDER);
    if std::env::var_os("UPDATE").is_some() {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).unwrap();
        for (name, page) in &pages {
            std::fs::write(folder.join(name), page).unwrap();
        }
    }
    let there = std::fs::read_dir(folder).unwrap();
    let there: BTreeMap<String, String> = there
        .map(|entry| {
            let entry = entry.unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    let wrong: BTreeSet<&String> = there
        .iter()
        .filter(|(name, text)| pages.get(*name) != Some(text))
        .map(|(name, _)| name)
        .chain(pages.keys().filter(|name| !there.contains_key(*name)))
        .collect();
    assert!(
        wrong.is_empty(),
        "docs/devices is out of date: {wrong:?}; renew it: UPDATE=1 cargo test --test it devices::"
    );
}
