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
    Field(String),
    Levels(String),
}

/// What a template is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Slot(Slot),
    /// `{id}`: the value of this field of the frame.
    Field(&'a str),
    /// `{id/}`: the same, whose `/` separate levels of a topic.
    Levels(&'a str),
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

fn list(slots: impl IntoIterator<Item = Slot>) -> String {
    slots.into_iter().map(|slot| slot.to_string()).collect::<Vec<_>>().join(" ")
}

impl FromStr for Template {
    type Err = BuildError;

    fn from_str(text: &str) -> Result<Template, BuildError> {
        let unbalanced = || {
            BuildError::new(format!("{text:?} has a brace without its partner"))
                .remedy("write a literal brace twice: `{{` or `}}`")
        };
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
            if name.contains('{') {
                return Err(unbalanced());
            }
            let slot = Slot::ALL.iter().find(|(known, _)| *known == name);
            template.parts.push(match (slot, name.strip_suffix('/')) {
                (Some((_, slot)), _) => Part::Slot(*slot),
                (None, Some(name)) => Part::Levels(name.into()),
                (None, None) => Part::Field(name.into()),
            });
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
    /// stand at its place. `fields` are the names of fields that may; `None` stands for any.
    pub fn fix(
        &self,
        known: &[(Slot, &str)],
        allowed: &[Slot],
        fields: Option<&[&str]>,
    ) -> Result<Template, BuildError> {
        let mut fixed = Template { parts: Vec::new() };
        for part in &self.parts {
            match part {
                Part::Text(text) => fixed.push_text(text),
                Part::Field(name) | Part::Levels(name) => {
                    if fields.is_some_and(|fields| !fields.contains(&name.as_str())) {
                        let slots = known.iter().map(|(slot, _)| *slot);
                        let slots = list(slots.chain(allowed.iter().copied()));
                        let fields = fields.unwrap_or_default().iter().take(MOST_SHOWN);
                        let fields: String = fields.map(|name| format!(" {{{name}}}")).collect();
                        return Err(BuildError::new(format!("unknown placeholder \"{{{name}}}\""))
                            .remedy(format!("there are {slots}{fields}")));
                    }
                    fixed.parts.push(part.clone());
                }
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

    /// Hands the pieces to `write` in their order.
    pub(crate) fn render(&self, mut write: impl FnMut(Piece<'_>)) {
        for part in &self.parts {
            write(match part {
                Part::Text(text) => Piece::Text(text),
                Part::Slot(slot) => Piece::Slot(*slot),
                Part::Field(name) => Piece::Field(name),
                Part::Levels(name) => Piece::Levels(name),
            });
        }
    }
}

/// How many names of fields a remedy lists.
const MOST_SHOWN: usize = 12;

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

crate::base::scalar::word_schema!(Template: {"type": "string", "x-kind": "template"});

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let template: Template = text.parse().map_err(|e: BuildError| e.to_string())?;
        let mut out = String::new();
        template.render(|piece| match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Slot(slot) => out.push_str(&format!("<{slot}>")),
            Piece::Field(name) => out.push_str(&format!("<{name}>")),
            Piece::Levels(name) => out.push_str(&format!("<{name}/>")),
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
        let feild: Template = "{feild}".parse().unwrap();
        let error = feild.fix(&[(Slot::Port, "p")], &[Slot::Field], Some(&["id"])).unwrap_err();
        let unknown = "unknown placeholder \"{feild}\"; there are {port} {field} {id}";
        assert_eq!(error.to_string(), unknown);
        assert_eq!(feild.fix(&[], &[], None), Ok(feild));
        assert_eq!(shown("{id}/{path/}").unwrap(), "<id>/<path/>");
        for unbalanced in ["a{", "a}", "{gateway", "{gateway{port}"] {
            assert!(shown(unbalanced).unwrap_err().contains("partner"), "{unbalanced}");
        }
        let template: Template = "{payload}".parse().unwrap();
        let error = template.fix(&[(Slot::Port, "p")], &[Slot::Field], None).unwrap_err();
        assert_eq!(error.to_string(), "{payload} has no meaning here; allowed: {port} {field}");
    }

    #[test]
    fn what_is_known_at_load_is_text_from_then_on() {
        let template: Template = "{gateway}/{port}".parse().unwrap();
        let fixed = template.fix(&[(Slot::Gateway, "g"), (Slot::Port, "p")], &[], None).unwrap();
        assert_eq!(fixed.as_text(), Some("g/p"));
    }
}
