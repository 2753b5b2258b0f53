//! `fields` of a device: settings by a field's name, put where the field is described.

use super::error::Part;
use super::hint;
use super::model::{Misfit, lay_below};
use super::tree::Path;
use super::yaml::{Scalar, Tree, Value};
use crate::base::path::BuildError;
use crate::device::settings::FieldOverride;

/// Puts the settings of `fields` where these fields are described: in `registers`, and in each decoder
/// of the device. They stay in `fields`, too, which comes first: mistakes in them have its path.
pub(super) fn apply(path: &Path, device: &mut Tree, misfits: &mut Vec<Misfit>) {
    let Some(keys) = device.keys_mut() else { return };
    let Some(at) = keys.iter().position(|(key, _)| key.key_text() == "fields") else { return };
    keys[..=at].rotate_right(1);
    let Some(fields) = keys.first().and_then(|(_, fields)| fields.keys()) else { return };
    let fields = fields.to_vec();
    for (key, settings) in fields {
        let name = key.key_text();
        let mut fields = Fields::new(&name, &settings);
        fields.of_device(device);
        if fields.found || is_new(&settings) || fields.is_open && is_behind(&settings) {
            continue;
        }
        let names: Vec<&str> = fields.names.iter().map(String::as_str).collect();
        let error = match (fields.whole.iter().any(|whole| *whole == name), fields.is_open) {
            (true, _) => BuildError::new("a whole frame as one field has no settings")
                .remedy("leave it out, or name its values in another `decode`"),
            (false, true) => BuildError::new(format!("no field {name:?} is described"))
                .remedy("without a list of fields the frames say which there are: add the list"),
            (false, false) if names.is_empty() => {
                BuildError::new("the device has no fields with settings")
                    .remedy("a `decode` or `registers` gives it some")
            }
            (false, false) => BuildError::new(format!("the device has no field {name:?}"))
                .remedy(hint::suggest(&name, &names)),
        };
        misfits.push(Misfit { path: path.key("fields").key(&name), part: Part::Key, wrong: error });
    }
}

/// Whether these settings make a field of their own.
fn is_new(settings: &Tree) -> bool {
    settings.get("calc").is_some()
}

/// Whether these settings concern only what a decoder has made, so that they need no description there.
fn is_behind(settings: &Tree) -> bool {
    let keys = settings.keys().unwrap_or_default().iter().map(|(key, _)| key.key_text());
    // With one of them a number may be rounded, too.
    let mut others = keys.filter(|key| !FieldOverride::BEHIND.contains(&&**key)).peekable();
    let has_any =
        settings.keys().is_some_and(|keys| keys.len() > usize::from(others.peek().is_some()));
    has_any && others.all(|key| key == "decimals")
}

/// A search for the fields of one name.
struct Fields<'a> {
    wanted: &'a str,
    settings: &'a Tree,
    found: bool,
    /// The names of the other fields.
    names: Vec<String>,
    /// Those of decoders that make one field of a frame.
    whole: Vec<String>,
    /// Whether a decoder takes what comes.
    is_open: bool,
}

impl<'a> Fields<'a> {
    fn new(wanted: &'a str, settings: &'a Tree) -> Fields<'a> {
        let (names, whole) = (Vec::new(), Vec::new());
        Fields { wanted, settings, found: false, names, whole, is_open: false }
    }

    fn of_device(&mut self, device: &mut Tree) {
        let registers = device.get_mut("registers").and_then(Tree::keys_mut);
        for (name, register) in registers.into_iter().flatten() {
            self.field(&name.key_text(), register);
        }
        if let Some(decode) = device.get_mut("decode") {
            self.decoder(decode);
        }
        for frame in device.get_mut("frames").and_then(Tree::items_mut).into_iter().flatten() {
            self.of_device(frame);
        }
        let polls = device.get_mut("poll").and_then(Tree::keys_mut).into_iter().flatten();
        polls.for_each(|(_, poll)| self.of_device(poll));
    }

    fn decoder(&mut self, decode: &mut Tree) {
        let word = match decode.scalar() {
            Some(Scalar::Text(word)) => Some(word.to_owned()),
            _ => None,
        };
        if let Some(word) = word {
            return self.without_list(&word, None);
        }
        let Some([(word, settings)]) = decode.keys_mut().map(Vec::as_mut_slice) else { return };
        let word = word.key_text().into_owned();
        let list = if word == "fields" { "names" } else { "fields" };
        let items = settings.get_mut(list).and_then(Tree::items_mut);
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            return self.without_list(&word, settings.get("field"));
        };
        for item in items {
            let name = match (item.scalar(), item.get("name").map(Tree::scalar)) {
                (Some(Scalar::Text(name)), _) | (_, Some(Some(Scalar::Text(name)))) => {
                    name.to_owned()
                }
                _ => continue,
            };
            // A name alone stands for settings with a name.
            if item.keys().is_none() && name == self.wanted {
                let name = item.clone();
                item.value = Value::Map(vec![(Tree::text("name"), name)]);
            }
            self.field(&name, item);
        }
    }

    /// A decoder whose fields are not listed.
    fn without_list(&mut self, word: &str, field: Option<&Tree>) {
        match (word, field.map(Tree::scalar)) {
            ("text" | "bytes", Some(Some(Scalar::Text(field)))) => self.whole.push(field.into()),
            ("text" | "bytes", _) => self.whole.push(word.into()),
            _ => self.is_open = true,
        }
    }

    /// The settings of a field, or its name alone if it is not the wanted one.
    fn field(&mut self, name: &str, field: &mut Tree) {
        if name != self.wanted {
            self.names.push(name.to_owned());
        } else {
            self.found = true;
            let mut over = self.settings.clone();
            lay_below(&mut over, field);
            if over.keys().is_some() && field.keys().is_some() {
                field.value = over.value;
            }
        }
    }
}
