//! One field or command as a component of Home Assistant: a sensor, a switch, a number and so on.

use super::names;
use crate::codec::bounds::Bounds;
use crate::codec::decimal::Decimal;
use crate::codec::field::Kind;
use crate::config::home_assistant::{
    AnnouncedField, Meaning, binary_class, is_class_of_texts, is_sensor_class, meaning, on_and_off,
    word,
};
use crate::device::mapping::Place;
use crate::device::outline::{OutlinedCommand, OutlinedField, Takes};
use crate::mqtt::topic::Topic;
use serde_json::{Map, Value};
use std::time::Duration;

/// A component of a device's announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub(super) key: String,
    /// Its platform: with another one it is another entity.
    pub(super) platform: String,
    /// It as JSON.
    pub(super) text: String,
    /// Where its state is published, if the broker does not retain it and it may be published again.
    pub(super) state: Option<State>,
}

/// Where a state is published that the broker does not retain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) topic: Topic,
    /// An older one is not published again.
    pub(super) expires: Option<Duration>,
}

/// What a component says, in the order in which it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Map<String, Value>);

impl Keys {
    /// With a text.
    pub(super) fn text(mut self, key: &str, text: impl Into<String>) -> Keys {
        self.0.insert(key.to_owned(), Value::String(text.into()));
        self
    }

    pub(super) fn some(self, key: &str, text: Option<&str>) -> Keys {
        match text {
            Some(text) => self.text(key, text),
            None => self,
        }
    }

    pub(super) fn whole(mut self, key: &str, number: u64) -> Keys {
        self.0.insert(key.to_owned(), number.into());
        self
    }

    fn decimal(mut self, key: &str, number: Decimal) -> Keys {
        // A decimal is spelled as JSON spells it.
        if let Ok(number) = number.trimmed().spelled().parse() {
            self.0.insert(key.to_owned(), Value::Number(number));
        }
        self
    }

    fn list(mut self, key: &str, texts: impl IntoIterator<Item = String>) -> Keys {
        let texts = texts.into_iter().map(Value::String).collect();
        self.0.insert(key.to_owned(), Value::Array(texts));
        self
    }

    pub(super) fn value(mut self, key: &str, value: Value) -> Keys {
        self.0.insert(key.to_owned(), value);
        self
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

impl Component {
    pub(super) fn new(key: &str, platform: &str, device_id: &str, keys: Keys) -> Component {
        let begin = Keys::default()
            .text("p", platform)
            .text("uniq_id", format!("{device_id}--{}", names::slug(key)));
        let all = Keys(begin.0.into_iter().chain(keys.0).collect());
        let text = all.into_value().to_string();
        Component { key: key.to_owned(), platform: platform.to_owned(), text, state: None }
    }
}

/// The device that fields and commands are of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    /// Its identifier in Home Assistant.
    pub(super) id: &'a str,
    /// Its name in the configuration.
    pub(super) name: &'a str,
}

impl Owner<'_> {
    fn component(
        &self,
        field: &str,
        platform: &str,
        settings: &AnnouncedField,
        is_diagnostic: bool,
        keys: Keys,
    ) -> Component {
        let name = settings.name.as_ref().map(|name| name.0.clone());
        let name = name.or_else(|| names::entity(field, self.name));
        // Without a name of its own it has that of the device.
        let named = Keys::default().value("name", name.map_or(Value::Null, Value::String));
        let icon = settings.icon.as_ref().map(|icon| icon.0.as_str());
        let category = settings.diagnostic.unwrap_or(is_diagnostic).then_some("diagnostic");
        let mut all = named;
        all.0.extend(keys.0);
        let all = all.some("ent_cat", category).some("ic", icon);
        Component::new(&names::key(field), platform, self.id, all)
    }

    /// A field that nobody can command.
    pub(super) fn sensor(
        &self,
        field: &OutlinedField,
        settings: &AnnouncedField,
    ) -> Option<Component> {
        let place = field.place.as_ref()?;
        let expires = expires(field);
        let keys = Keys::default().text("stat_t", place.topic.as_str());
        let (platform, keys) = match Shown::of(field) {
            Shown::Binary(on, off) => {
                let class = field.class.as_deref().and_then(binary_class);
                let keys = keys.some("val_tpl", template(place, "''", None).as_deref());
                ("binary_sensor", keys.text("pl_on", on).text("pl_off", off).some("dev_cla", class))
            }
            Shown::Truth => {
                let on = "'ON' if V | string | lower in ['on','true','1','yes','open'] else 'OFF'";
                let class = field.class.as_deref().and_then(binary_class);
                let keys = keys.some("val_tpl", template(place, "''", Some(on)).as_deref());
                ("binary_sensor", keys.some("dev_cla", class))
            }
            Shown::Words => {
                let words = &field.values.words;
                // Any other value is one that nobody knows.
                let known = format!("V if V in [{}] else 'None'", quoted(words));
                let known = (!field.values.is_closed).then_some(known.as_str());
                let keys = keys.some("val_tpl", template(place, "this.state", known).as_deref());
                ("sensor", keys.text("dev_cla", "enum").list("ops", words.iter().cloned()))
            }
            Shown::Moment(class) => {
                let keys = keys.some("val_tpl", template(place, "''", None).as_deref());
                ("sensor", keys.text("dev_cla", class))
            }
            Shown::Number(meaning) => {
                let words = &field.values.words;
                let word_is_none = format!("'None' if V in [{}] else V", quoted(words));
                let numbers = (!words.is_empty()).then_some(word_is_none.as_str());
                let keys = keys.some("val_tpl", template(place, "''", numbers).as_deref());
                let decimals = field.values.decimals.or_else(|| usual_decimals(&meaning));
                let keys = keys
                    .some("dev_cla", meaning.class)
                    .some("unit_of_meas", meaning.unit.as_deref())
                    .some("stat_cla", meaning.state_class.map(word));
                let keys = match decimals {
                    Some(decimals) => keys.whole("sug_dsp_prc", decimals.into()),
                    None => keys,
                };
                ("sensor", keys)
            }
            Shown::Text => {
                ("sensor", keys.some("val_tpl", template(place, "this.state", None).as_deref()))
            }
        };
        let keys = match expires {
            Some(expires) => keys.whole("exp_aft", expires.as_secs()),
            None => keys,
        };
        let is_signal = field.class.as_deref() == Some("signal_strength");
        let is_diagnostic = is_signal || names::is_diagnostic(&field.name);
        let component = self.component(&field.name, platform, settings, is_diagnostic, keys);
        let state = state(field, expires);
        Some(Component { state, ..component })
    }

    /// A command, with the field of its name as its state.
    pub(super) fn control(
        &self,
        command: &OutlinedCommand,
        field: Option<&OutlinedField>,
        settings: &AnnouncedField,
    ) -> Option<Component> {
        let place = field.and_then(|field| field.place.as_ref());
        let assumed = command.state.as_ref();
        let keys = Keys::default().text("cmd_t", command.topic.as_str()).whole("qos", 1);
        let with_state = |keys: Keys, missing| match (place, assumed) {
            (Some(place), _) => keys
                .text("stat_t", place.topic.as_str())
                .some("val_tpl", template(place, missing, None).as_deref()),
            (None, Some(topic)) => keys.text("stat_t", topic.as_str()),
            (None, None) => keys,
        };
        let (platform, keys) = match &command.takes {
            Takes::Anything => ("button", keys),
            Takes::Text { longest } => {
                let longest = longest.unwrap_or(LONGEST_TEXT).min(LONGEST_TEXT);
                ("text", with_state(keys, "this.state").whole("max", longest as u64))
            }
            Takes::Number { bounds, is_whole } => {
                let decimals = field.and_then(|field| field.values.decimals);
                let (unit, class) = field
                    .map_or((None, None), |field| (field.unit.as_deref(), field.class.as_deref()));
                let (meaning, _) = meaning(class, unit, None);
                let keys = with_state(keys, "''");
                let keys = bounded(keys, *bounds, *is_whole, decimals)
                    .some("dev_cla", meaning.class)
                    .some("unit_of_meas", meaning.unit.as_deref());
                ("number", keys)
            }
            Takes::Words(words) => match (on_and_off(words), &words[..]) {
                (Some((on, off)), _) => {
                    ("switch", with_state(keys, "''").text("pl_on", on).text("pl_off", off))
                }
                (None, []) => return None,
                (None, [only]) => ("button", keys.text("pl_prs", only.as_str())),
                (None, words) => {
                    // Home Assistant takes this word for no state, however it is spelled.
                    let possible = words.iter().filter(|word| !word.eq_ignore_ascii_case("none"));
                    ("select", with_state(keys, "''").list("ops", possible.cloned()))
                }
            },
        };
        let component = self.component(&command.name, platform, settings, false, keys);
        let state = field.and_then(|field| state(field, None));
        Some(Component { state, ..component })
    }
}

/// Most characters of a text in Home Assistant.
const LONGEST_TEXT: usize = 255;

/// As what a field is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// By the words that mean on and off.
    Binary(&'a str, &'a str),
    /// It is on or off, but nobody says by which words.
    Truth,
    Words,
    /// A time or a date, by its class.
    Moment(&'static str),
    Number(Meaning<'a>),
    Text,
}

impl Shown<'_> {
    pub(super) fn of(field: &OutlinedField) -> Shown<'_> {
        let OutlinedField { values, unit, state_class, .. } = field;
        let class = field.class.as_deref();
        let unit = unit.as_deref().filter(|unit| !unit.trim().is_empty());
        let is_number =
            class.is_some_and(|class| is_sensor_class(class) && !is_class_of_texts(class));
        let is_measure = unit.is_some() || state_class.is_some() || is_number;
        if let Some((on, off)) = on_and_off(&values.words).filter(|_| unit.is_none()) {
            return Shown::Binary(on, off);
        }
        let is_truth = class.is_some_and(|class| binary_class(class).is_some() && !is_number);
        match values.kind {
            _ if is_truth && values.words.is_empty() => Shown::Truth,
            _ if !values.words.is_empty() && !is_measure => Shown::Words,
            Kind::Timestamp => Shown::Moment("timestamp"),
            Kind::Date => Shown::Moment("date"),
            Kind::Any if class == Some("timestamp") => Shown::Moment("timestamp"),
            Kind::Any if class == Some("date") => Shown::Moment("date"),
            Kind::Text => Shown::Text,
            Kind::Any if !is_measure => Shown::Text,
            Kind::Any | Kind::Number => Shown::Number(meaning(class, unit, *state_class).0),
        }
    }
}

/// How Home Assistant finds the value in a payload; `V` in `made` stands for it, and `missing` is taken where a
/// frame does not have it. `None`: the payload is the value.
fn template(place: &Place, missing: &str, made: Option<&str>) -> Option<String> {
    let made = made.unwrap_or("V");
    match &place.member {
        None if made == "V" => None,
        None => Some(format!("{{{{ {} }}}}", with_value(made, "value"))),
        Some(member) => {
            let member = quoted(std::slice::from_ref(member));
            let made = with_value(made, &format!("value_json[{member}]"));
            Some(format!("{{{{ ({made}) if {member} in value_json else {missing} }}}}"))
        }
    }
}

/// An expression with a value in place of each `V`, which is a word of its own.
fn with_value(expression: &str, value: &str) -> String {
    let words = expression.split(' ').map(|word| if word == "V" { value } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Texts as Jinja has them, in single quotes.
fn quoted(texts: &[String]) -> String {
    let quote = |text: &String| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    texts.iter().map(quote).collect::<Vec<_>>().join(",")
}

/// Bounds that Home Assistant takes: it has 0 to 100 where there are none, and no steps below a thousandth.
fn bounded(keys: Keys, bounds: Bounds, is_whole: bool, decimals: Option<u8>) -> Keys {
    const MOST: i128 = 1_000_000_000;
    let least = bounds.min().unwrap_or(Decimal::from(-MOST));
    let most = bounds.max().unwrap_or(Decimal::from(MOST));
    let thousandth =
        |decimals: u8| Decimal::from(1).shifted(-i8::try_from(decimals.min(3)).unwrap_or(3));
    let usual = if is_whole { 0 } else { decimals.unwrap_or(3) };
    let step = bounds.step().or(thousandth(usual)).unwrap_or(Decimal::from(1));
    let smallest = thousandth(3).unwrap_or(step);
    let step = if step.compared(smallest).is_lt() { smallest } else { step };
    let steps = most.minus(least).and_then(|range| range.divided(step));
    // A slider with more steps cannot be set with a finger.
    let mode = if steps.is_some_and(|steps| steps <= 200) { "slider" } else { "box" };
    keys.decimal("min", least).decimal("max", most).decimal("step", step).text("mode", mode)
}

/// Decimals of what comes without a known number of them: without them Home Assistant would show 230.4 V as 230.
fn usual_decimals(meaning: &Meaning<'_>) -> Option<u8> {
    Some(match (meaning.class?, meaning.unit.as_deref().unwrap_or_default()) {
        ("voltage", "V") | ("temperature", _) => 1,
        ("current", "A") | ("frequency", "Hz") | ("power_factor", "") => 2,
        ("power" | "apparent_power" | "reactive_power", "kW" | "kVA" | "kvar") => 3,
        ("energy" | "reactive_energy", "kWh" | "MWh" | "kvarh" | "GJ") => 3,
        ("gas" | "water" | "volume" | "volume_flow_rate", "m³" | "m³/h") => 3,
        ("pressure", "bar") => 2,
        _ => return None,
    })
}

/// After how long without a value a field is unavailable: two may be missed.
fn expires(field: &OutlinedField) -> Option<Duration> {
    field.lasts.map(|lasts| (lasts * 3).max(Duration::from_secs(60)))
}

/// Where a field's state is, if it may be published again for Home Assistant: a text that comes unasked may be
/// an event, such as the code on a card, which must not happen twice.
fn state(field: &OutlinedField, expires: Option<Duration>) -> Option<State> {
    let place = field.place.as_ref().filter(|place| !place.retain)?;
    let is_state = field.is_asked || !matches!(Shown::of(field), Shown::Text);
    is_state.then(|| State { topic: place.topic.clone(), expires })
}
