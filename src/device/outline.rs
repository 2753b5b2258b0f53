//! What each device publishes and which commands it takes, as far as its settings say it: for announcing it.

use super::Device;
use super::command::How;
use super::described::description;
use super::fields::{Described, Description};
use super::mapping::{Mapper, Place};
use super::member::Member;
use super::settings::DeviceSettings;
use crate::base::path::Path;
use crate::base::scalar::Span;
use crate::codec::bounds::Bounds;
use crate::codec::decimal::Decimal;
use crate::codec::field::{FieldOverride, FieldSettings, Kind, StateClass, Values};
use crate::mqtt::topic::Topic;
use std::time::Duration;

/// What is known of a device before it says anything.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Its name, which stands for `{device}`.
    pub device: String,
    /// Whether it is asked, so that it is known whether it is there.
    pub is_asked: bool,
    /// Whether its frames say which further fields there are.
    pub is_open: bool,
    pub fields: Vec<OutlinedField>,
    pub commands: Vec<OutlinedCommand>,
}

impl Outline {
    /// Whether only frames say all of it: further fields, or the devices that values are of.
    pub fn is_told_by_frames(&self) -> bool {
        let is_told = |field: &OutlinedField| {
            field.has_nodes || field.place.is_none() && field.is_placed_by_values
        };
        self.is_open || self.fields.iter().any(is_told)
    }
}

/// A field that is published.
#[derive(Clone, Debug)]
pub struct OutlinedField {
    pub name: String,
    pub unit: Option<String>,
    /// What is measured, in Home Assistant's words.
    pub class: Option<String>,
    pub state_class: Option<StateClass>,
    pub values: Values,
    /// Where its values are published; `None` where that depends on values, or their form is one of its own.
    pub place: Option<Place>,
    /// Whether other values stand in its topic, so that it has no `place` before these come.
    pub is_placed_by_values: bool,
    /// Whether frames name the device that its values are of, so that `place` is that of none of them.
    pub has_nodes: bool,
    /// The longest time from one value to the next, where that is known.
    pub lasts: Option<Duration>,
    /// Whether its values come as often as they are asked for.
    pub is_asked: bool,
    /// Where it stands in the settings of the device.
    pub path: Path,
}

/// A command with a name.
#[derive(Clone, Debug)]
pub struct OutlinedCommand {
    pub name: String,
    /// Where its payloads are published to.
    pub topic: Topic,
    /// Where its payload is published as the state of the device, once it was written.
    pub state: Option<Topic>,
    pub takes: Takes,
}

/// Which payloads a command takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing but these.
    Words(Vec<String>),
    /// Numbers; `is_whole`: without decimals.
    Number { bounds: Bounds, is_whole: bool },
    /// Any text, of so many bytes at most.
    Text { longest: Option<usize> },
    /// Whatever it is, the same is written.
    Anything,
}

impl Device {
    /// Its devices: those that are asked, or the one on the line. `settings` are those it was built from.
    pub fn outlines(&self, settings: &DeviceSettings<'_>) -> Vec<Outline> {
        let outline = |n: usize| {
            let description = description(settings, n, self.listens, &self.pipeline, &self.bus);
            Outline {
                device: description.device.to_owned(),
                is_asked: self.bus.members.get(n).is_some_and(Member::is_asked),
                is_open: description.is_open,
                fields: description.outlined(),
                commands: self.outlined_commands(n),
            }
        };
        (0..self.bus.members.len().max(1)).map(outline).collect()
    }

    fn outlined_commands(&self, member: usize) -> Vec<OutlinedCommand> {
        let own = self.commands.rules.iter().filter(|command| command.member == Some(member));
        let outlined = own.filter_map(|command| {
            let topics = command.topics.as_ref()?;
            let takes = match &command.how {
                How::Rule(_) => return None,
                How::Named(named) => named.takes(),
                How::Register(n) => self.bus.members.get(member)?.takes(*n)?,
            };
            Some(OutlinedCommand {
                name: topics.state.as_str().rsplit('/').next()?.to_owned(),
                topic: command.filter.as_str().parse().ok()?,
                state: command.assumed_state(),
                takes,
            })
        });
        outlined.collect()
    }
}

impl Member {
    /// Which payloads a register takes, by its number.
    fn takes(&self, register: usize) -> Option<Takes> {
        let writes = self.registers.get(register)?.writes()?;
        Some(match (writes.words, writes.bounds) {
            (Some(words), _) => Takes::Words(words.into_iter().map(str::to_owned).collect()),
            (None, Some((bounds, step))) => {
                let bounds = step.map_or(bounds, |step| bounds.with_step(step));
                Takes::Number { bounds, is_whole: step == Some(Decimal::from(1)) }
            }
            (None, None) => Takes::Text { longest: Some(writes.longest) },
        })
    }
}

impl Description<'_> {
    /// All fields that are published, each once.
    fn outlined(&self) -> Vec<OutlinedField> {
        let mut outlined: Vec<OutlinedField> = Vec::new();
        let is_published = |field: &&Described<'_>| {
            let is_mapped = field.mappers.iter().any(|mapper| mapper.publishes(field.name));
            field.publish && field.name != "_" && is_mapped
        };
        for field in self.fields.iter().filter(is_published) {
            if outlined.iter().any(|known| known.name == field.name) {
                continue;
            }
            outlined.push(self.field(field));
        }
        // What is calculated comes where the others of its device come.
        let like = self.fields.first();
        for (name, FieldOverride(settings)) in self.overrides {
            let is_new = settings.calc.is_some() && self.described(name).next().is_none();
            let (true, Some(like)) = (is_new && settings.publish != Some(false), like) else {
                continue;
            };
            let Ok(values) = settings.calculated_values() else { continue };
            let intervals = self.fields.iter().map(|field| field.interval);
            let longest: Option<Duration> = intervals.max().flatten();
            let longest = longest.filter(|_| self.fields.iter().all(|it| it.interval.is_some()));
            outlined.push(OutlinedField {
                name: name.clone(),
                unit: settings.unit.clone(),
                class: settings.class.clone(),
                state_class: settings.state_class,
                values,
                place: place(like, name, settings.unit.as_deref()),
                is_placed_by_values: is_placed_by_values(like, name),
                has_nodes: self.fields.iter().any(|field| field.has_nodes),
                lasts: lasts(longest, Some(settings)),
                is_asked: longest.is_some(),
                path: Path::from(["fields", name]),
            });
        }
        outlined
    }

    fn field(&self, described: &Described<'_>) -> OutlinedField {
        let Described { name, field, settings, .. } = described;
        let mut values = field.values();
        if let Some(settings) = settings {
            values.decimals = settings.decimals.or(values.decimals);
            let is_counted = settings.rate.is_some() || settings.window.is_some();
            if is_counted || settings.calc.is_some() {
                values.decimals = settings.decimals;
                // A calculation may make a text.
                values.kind = if is_counted { Kind::Number } else { values.kind };
            }
        }
        // A bit of a register has two values.
        values.is_closed |= values.words.len() == 2 && self.is_bit(name);
        OutlinedField {
            name: (*name).to_owned(),
            unit: field.unit.clone(),
            class: field.class.as_deref().map(str::to_owned),
            state_class: field.state_class,
            values,
            place: place(described, name, field.unit.as_deref()),
            is_placed_by_values: is_placed_by_values(described, name),
            has_nodes: described.has_nodes,
            lasts: lasts(described.interval, *settings),
            is_asked: described.interval.is_some(),
            path: described.path.clone(),
        }
    }

    fn is_bit(&self, name: &str) -> bool {
        self.described(name).any(|field| field.is_bit)
    }
}

/// Where the values of a field are published that comes where another one does.
fn place(like: &Described<'_>, name: &str, unit: Option<&str>) -> Option<Place> {
    like.mappers.iter().find_map(|mapper| mapper.place(None, name, unit))
}

/// Whether that is known once values have come that stand in the topic.
fn is_placed_by_values(like: &Described<'_>, name: &str) -> bool {
    let place = |mapper: &Mapper| mapper.place_in(None, name, None, &|_| Some("x"));
    like.mappers.iter().find_map(place).is_some()
}

/// The longest time from one value that is published to the next, of a field that is asked for so often.
fn lasts(interval: Option<Duration>, settings: Option<&FieldSettings>) -> Option<Duration> {
    let Some(settings) = settings else { return interval };
    let span = |span: Option<Span>| span.map_or(Duration::ZERO, Span::duration);
    if let Some(longest) = settings.max_interval {
        return Some(longest.duration() + interval.unwrap_or_default());
    }
    if settings.on_change == Some(true) || settings.deadband.is_some() {
        return None;
    }
    let window = span(settings.window.map(|window| window.length()));
    interval.map(|interval| interval + span(settings.min_interval).max(window))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
