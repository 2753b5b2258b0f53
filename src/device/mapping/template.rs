//! Texts with `{placeholders}`, compiled when the configuration is loaded.

use crate::base::path::BuildError;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::str::FromStr;

/// A text with placeholders such as `{gateway}/{field}`. A brace that is meant as such is doubled:
/// `{{`, `}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(Slot),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `{gateway}`: the gateway's name.
    Gateway,
    /// `{port}`: the port's name.
    Port,
    /// `{device}`: the name of the device on the port.
    Device,
    /// `{node}`: the device that the frame names as its origin, else the same as `{device}`.
    Node,
    /// `{field}`: the field's name.
    Field,
    /// `{value}`: the value as the device spelled it.
    Value,
    /// `{unit}`: the unit of measurement, empty where there is none.
    Unit,
    /// `{time}`: when the frame was complete, RFC 3339 in UTC.
    Time,
    /// `{json}`: of one field its value, unit and time; of a whole frame all its fields.
    Json,
    /// `{payload}`: the payload of a command message.
    Payload,
}

impl Slot {
    const ALL: [(&'static str, Slot); 10] = [
        ("gateway", Slot::Gateway),
        ("port", Slot::Port),
        ("device", Slot::Device),
        ("node", Slot::Node),
        ("field", Slot::Field),
        ("value", Slot::Value),
        ("unit", Slot::Unit),
        ("time", Slot::Time),
        ("json", Slot::Json),
        ("payload", Slot::Payload),
    ];
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Slot::ALL.iter().find(|(_, slot)| slot == self).map_or("", |(name, _)| name);
        write!(f, "{{{name}}}")
    }
}

/// Why a text is not a valid template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{` without its `}`, or the other way round.
    Unbalanced(String),
    /// No such placeholder, and those there are.
    Unknown(String, String),
}

impl From<TemplateError> for BuildError {
    fn from(error: TemplateError) -> BuildError {
        match error {
            TemplateError::Unbalanced(text) => {
                BuildError::new(format!("{text:?} has a brace without its partner"))
                    .remedy("write a literal brace twice: `{{` or `}}`")
            }
            TemplateError::Unknown(name, known) => {
                BuildError::new(format!("unknown placeholder {name:?}"))
                    .remedy(format!("there are {known}"))
            }
        }
    }
}

fn list(slots: impl IntoIterator<Item = Slot>) -> String {
    slots.into_iter().map(|slot| slot.to_string()).collect::<Vec<_>>().join(" ")
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Template, TemplateError> {
        let unbalanced = || TemplateError::Unbalanced(text.into());
        let mut template = Template { parts: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            template.push_text(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                template.push_text(brace);
                rest = after;
                continue;
            }
            let (name, after) = match rest.split_once('}') {
                Some(found) if brace == "{" => found,
                _ => return Err(unbalanced()),
            };
            match Slot::ALL.iter().find(|(known, _)| *known == name) {
                Some((_, slot)) => template.parts.push(Part::Slot(*slot)),
                None if name.contains('{') => return Err(unbalanced()),
                None => {
                    let known = list(Slot::ALL.map(|(_, slot)| slot));
                    return Err(TemplateError::Unknown(format!("{{{name}}}"), known));
                }
            }
            rest = after;
        }
        template.push_text(rest);
        Ok(template)
    }
}

impl Template {
    /// Just this placeholder.
    pub fn of_slot(slot: Slot) -> Template {
        Template { parts: vec![Part::Slot(slot)] }
    }

    /// The same with a text behind it.
    pub fn then(mut self, text: &str) -> Template {
        self.push_text(text);
        self
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.into())),
        }
    }

    /// The template with some placeholders filled in for good, checked against what else may
    /// stand at its place.
    pub fn fix(&self, known: &[(Slot, &str)], allowed: &[Slot]) -> Result<Template, BuildError> {
        let mut fixed = Template { parts: Vec::new() };
        for part in &self.parts {
            match part {
                Part::Text(text) => fixed.push_text(text),
                Part::Slot(slot) => match known.iter().find(|(known, _)| known == slot) {
                    Some((_, text)) => fixed.push_text(text),
                    None if allowed.contains(slot) => fixed.parts.push(Part::Slot(*slot)),
                    None => {
                        let known = known.iter().map(|(slot, _)| *slot);
                        let possible = list(known.chain(allowed.iter().copied()));
                        return Err(BuildError::new(format!("{slot} has no meaning here"))
                            .remedy(format!("allowed: {possible}")));
                    }
                },
            }
        }
        Ok(fixed)
    }

    /// Whether a placeholder occurs.
    pub fn uses(&self, slot: Slot) -> bool {
        self.parts.contains(&Part::Slot(slot))
    }

    /// The text, where no placeholder is left.
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Hands the pieces to `write` in their order: fixed text as `Ok`, a placeholder as `Err`.
    pub(crate) fn render(&self, mut write: impl FnMut(Result<&str, Slot>)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => write(Ok(text)),
                Part::Slot(slot) => write(Err(*slot)),
            }
        }
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
        let template = String::deserialize(deserializer)?.parse();
        template.map_err(|error: TemplateError| de::Error::custom(BuildError::from(error)))
    }
}

crate::base::scalar::word_schema!(Template: {"type": "string", "x-kind": "template"});

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let template: Template =
            text.parse().map_err(|e: TemplateError| BuildError::from(e).to_string())?;
        let mut out = String::new();
        template.render(|piece| match piece {
            Ok(text) => out.push_str(text),
            Err(slot) => out.push_str(&format!("<{slot}>")),
        });
        Ok(out)
    }

    #[test]
    fn placeholders_and_doubled_braces() {
        assert_eq!(shown("{gateway}/x/{field}").unwrap(), "<{gateway}>/x/<{field}>");
        assert_eq!(shown(r#"{{"v":{value}}}"#).unwrap(), r#"{"v":<{value}>}"#);
        assert_eq!(shown("").unwrap(), "");
    }

    #[test]
    fn mistakes_name_what_is_possible() {
        let unknown = "unknown placeholder \"{feild}\"; there are";
        assert!(shown("{feild}").unwrap_err().starts_with(unknown));
        for unbalanced in ["a{", "a}", "{gateway", "{gateway{port}"] {
            assert!(shown(unbalanced).unwrap_err().contains("partner"), "{unbalanced}");
        }
        let template: Template = "{payload}".parse().unwrap();
        let error = template.fix(&[(Slot::Port, "p")], &[Slot::Field]).unwrap_err();
        assert_eq!(error.to_string(), "{payload} has no meaning here; allowed: {port} {field}");
    }

    #[test]
    fn what_is_known_at_load_is_text_from_then_on() {
        let template: Template = "{gateway}/{port}".parse().unwrap();
        let fixed = template.fix(&[(Slot::Gateway, "g"), (Slot::Port, "p")], &[]).unwrap();
        assert_eq!(fixed.as_text(), Some("g/p"));
    }
}
