//! What a device file says of a device's values and commands, for people who choose one.

use super::Model;
use crate::config::yaml::{Tree, Value};

/// A value that a device has.
#[derive(Debug, Default)]
pub struct Row {
    pub name: String,
    pub unit: String,
    pub class: String,
    /// What may be written, where it may: a number within bounds, or words.
    pub write: Option<String>,
}

impl Model {
    /// The fields, in the order of the file. A decoder that takes what comes has none.
    pub fn fields(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        of_device(&self.settings, &mut rows);
        // What the file says of single fields, and fields that are calculated.
        for (key, settings) in keys(self.settings.get("fields")) {
            let name = key.key_text().into_owned();
            let at = rows.iter().position(|row| row.name == name);
            if settings.get("publish").is_some_and(|publish| publish.key_text() == "false") {
                rows.retain(|row| row.name != name);
            } else if let Some(row) = at.and_then(|at| rows.get_mut(at)) {
                row.set(settings);
            } else if settings.get("calc").is_some() {
                rows.push(Row::new(name, settings));
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        rows.retain(|row| seen.insert(row.name.clone()));
        rows
    }

    /// The commands of its own protocol, each with the payloads that it takes.
    pub fn commands(&self) -> Vec<(String, String)> {
        let command = |(key, settings): &(Tree, Tree)| {
            let send = keys(settings.get("send"));
            let values = if send.is_empty() { keys(settings.get("values")) } else { send };
            let takes = match settings.get("number") {
                Some(number) => bounds(number),
                None if values.is_empty() => "any text".to_owned(),
                None => words(values),
            };
            (key.key_text().into_owned(), takes)
        };
        keys(self.settings.get("commands")).iter().map(command).collect()
    }

    /// What it speaks, as far as that has a name.
    pub fn speaks(&self) -> &'static str {
        let settings = &self.settings;
        if settings.get("registers").is_some() {
            return "Modbus";
        }
        let polls = keys(settings.get("poll")).iter().map(|(_, poll)| poll);
        let frames = items(settings.get("frames")).iter();
        let decoders = std::iter::once(settings).chain(polls).chain(frames);
        let words = decoders.filter_map(|settings| word_of(settings.get("decode")?));
        let names = words.filter_map(|word| {
            Some(match &*word {
                "obis" => "IEC 62056-21 and P1",
                "sml" => "SML",
                "dlms" => "DLMS",
                "mbus" => "M-Bus",
                "nmea" => "NMEA 0183",
                "binary" | "tlv" | "bytes" => "frames of bytes",
                "text" | "fields" | "pairs" | "pattern" | "label" | "json" | "sexpr" => "text",
                _ => return None,
            })
        });
        // Commands alone are none of these.
        names.into_iter().next().unwrap_or("commands")
    }

    /// Whether it is one of several on a bus.
    pub fn has_address(&self) -> bool {
        ["registers", "address"].into_iter().any(|key| self.settings.get(key).is_some())
    }

    /// Lines for the configuration.
    pub fn lines(&self) -> String {
        let address = self.settings.get("address").map(|address| address.key_text().into_owned());
        let mut lines = format!(
            "ports:\n  my-device:\n    path: /dev/ttyUSB0   # `tty2mqtt ports` says which, and a better name\n    \
             model: {}\n",
            self.name
        );
        if self.has_address() {
            let address = address.unwrap_or_else(|| "1".to_owned());
            lines += &format!("    address: {address}\n");
        }
        if self.settings.get("line").is_none() {
            lines += "    line: 9600 8N1       # as the device is set\n";
        }
        lines
    }
}

impl Row {
    fn new(name: String, settings: &Tree) -> Row {
        let mut row = Row { name, ..Row::default() };
        row.set(settings);
        row
    }

    fn set(&mut self, settings: &Tree) {
        for (key, own) in [("unit", &mut self.unit), ("class", &mut self.class)] {
            if let Some(text) = settings.get(key) {
                *own = text.key_text().into_owned();
            }
        }
        if let Some(write) = settings.get("write").filter(|write| write.key_text() != "false") {
            let is_bit = ["coil", "discrete"].into_iter().any(|key| settings.get(key).is_some());
            let values = [write.get("values"), settings.get("lookup")];
            let values = values.into_iter().map(keys).find(|values| !values.is_empty());
            self.write = Some(match values {
                Some(values) => words(values),
                None if is_bit => "OFF, ON".to_owned(),
                None => bounds(write),
            });
        }
    }
}

fn keys(tree: Option<&Tree>) -> &[(Tree, Tree)] {
    tree.and_then(Tree::keys).unwrap_or_default()
}

fn items(tree: Option<&Tree>) -> &[Tree] {
    match tree.map(|tree| &tree.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn words(values: &[(Tree, Tree)]) -> String {
    let words: Vec<_> = values.iter().map(|(word, _)| word.key_text()).collect();
    words.join(", ")
}

fn bounds(number: &Tree) -> String {
    let bound = |key| number.get(key).map(|bound| bound.key_text());
    match (bound("min"), bound("max")) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("from {min}"),
        (None, Some(max)) => format!("up to {max}"),
        (None, None) => "a number".to_owned(),
    }
}

/// The kind of a decoder: a word alone, or the one key of a map.
fn word_of(decode: &Tree) -> Option<String> {
    match decode.keys() {
        Some(keys) => keys.first().map(|(word, _)| word.key_text().into_owned()),
        None => Some(decode.key_text().into_owned()),
    }
}

/// Fields of the settings of a port, a device, a poll or a frame.
fn of_device(settings: &Tree, rows: &mut Vec<Row>) {
    for (name, register) in keys(settings.get("registers")) {
        rows.push(Row::new(name.key_text().into_owned(), register));
    }
    if let Some(decode) = settings.get("decode") {
        of_decoder(decode, rows);
    }
    items(settings.get("frames")).iter().for_each(|frame| of_device(frame, rows));
    keys(settings.get("poll")).iter().for_each(|(_, poll)| of_device(poll, rows));
}

fn of_decoder(decode: &Tree, rows: &mut Vec<Row>) {
    for (word, settings) in keys(Some(decode)) {
        let word = word.key_text();
        if matches!(&*word, "text" | "bytes") {
            let field = settings.get("field").map(|field| field.key_text().into_owned());
            rows.push(Row::new(field.unwrap_or_else(|| word.into_owned()), settings));
            continue;
        }
        of_list(settings, rows);
        items(settings.get("repeat")).iter().for_each(|part| of_list(part, rows));
    }
}

/// The list of fields of a decoder, those of nested decoders in their place.
fn of_list(settings: &Tree, rows: &mut Vec<Row>) {
    for field in ["fields", "names"].into_iter().flat_map(|list| items(settings.get(list))) {
        let name = match field.get("name") {
            Some(name) => name.key_text(),
            None => field.key_text(),
        };
        if let Some(nested) = field.get("decode") {
            of_decoder(nested, rows);
        } else if !name.is_empty() && name != "_" {
            rows.push(Row::new(name.into_owned(), field));
        }
    }
}

#[cfg(all(test, feature = "library"))]
mod tests {
    use super::super::Library;
    use std::path::Path;

    #[test]
    fn fields_and_commands_of_the_library_are_found_whatever_decodes_them() {
        let library = Library::beside(Path::new("/nowhere"));
        let open = |name: &str| library.open(name).unwrap().0;
        let meter = open("eastron-sdm120");
        let fields = meter.fields();
        let voltage = &fields[0];
        assert_eq!((&*voltage.name, &*voltage.unit, &*voltage.class), ("voltage", "V", "voltage"));
        assert_eq!(meter.speaks(), "Modbus");
        assert!(meter.lines().contains("\n    model: eastron-sdm120\n    address: 1\n"));
        let solar = open("victron-ve-direct");
        assert!(solar.fields().iter().any(|field| field.name == "yield_total"));
        assert_eq!((solar.speaks(), solar.has_address()), ("text", false));
        let battery = open("jk-bms-pb");
        assert!(battery.fields().iter().any(|field| field.name == "cell{n}"));
        let relay = open("relay-board-modbus");
        assert_eq!(relay.fields()[0].write.as_deref(), Some("OFF, ON"));
        let inverter = open("voltronic-axpert");
        let commands = inverter.commands();
        let priority = commands.iter().find(|(name, _)| name == "output_priority").unwrap();
        assert!(priority.1.contains("solar"), "{priority:?}");
        // Few take what comes.
        let is_open =
            |model: &super::Model| model.fields().is_empty() && model.commands().is_empty();
        let open = library.all().map(Result::unwrap).filter(is_open).count();
        assert!(open < 10, "{open}");
    }
}
