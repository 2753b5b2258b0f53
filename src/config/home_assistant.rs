//! How the gateway announces its devices to Home Assistant, in the configuration, and which unit, class and
//! state class go together there.

mod classes;
mod units;

use super::Switch;
use crate::base::nearest;
use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::codec::field::{Kind, StateClass};
use crate::device::outline::OutlinedField;
use classes::{BINARY, CLASSES, States};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// How the devices are announced to Home Assistant, by the discovery of its MQTT integration. docs/HOME-ASSISTANT.md
/// says what becomes of fields and commands there.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HomeAssistant {
    /// What the topics of the discovery begin with. Default: `homeassistant`, as in Home Assistant.
    pub prefix: Token,
    /// The message with which Home Assistant says that it has started: all is announced again then, and states
    /// that the broker does not retain are published again. `off`: it is not awaited.
    pub birth: Switch<Birth>,
    /// Settings of single devices by their names: `{house: {name: Main meter, area: Cellar}, pump: off}`. `off`
    /// announces none of a device, or of a port of this name.
    pub devices: BTreeMap<String, Switch<AnnouncedDevice>>,
}

/// The message with which Home Assistant says that it has started.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Birth {
    /// Its topic. Default: `homeassistant/status`.
    pub topic: Token,
    /// Its payload. Default: `online`.
    pub payload: Token,
}

/// How a device is announced.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AnnouncedDevice {
    /// Its name there. Default: the device's name.
    pub name: Option<Token>,
    /// The area that is suggested for it.
    pub area: Option<Token>,
    /// Settings of single fields and commands: `{voltage_l1: off, power: {name: Power of the house}}`.
    pub fields: BTreeMap<String, Switch<AnnouncedField>>,
}

/// How a field or a command is announced.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AnnouncedField {
    /// Its name there, behind that of the device. Default: made of the field's name.
    pub name: Option<Token>,
    /// Its icon: `mdi:flash`.
    pub icon: Option<Token>,
    /// `true`: it stands among the diagnostics of its device, `false`: among the values. Default: serial
    /// numbers, versions, signal strengths and the like are diagnostics.
    pub diagnostic: Option<bool>,
}

impl Default for HomeAssistant {
    fn default() -> HomeAssistant {
        HomeAssistant {
            prefix: Token("homeassistant".into()),
            birth: Switch::default(),
            devices: BTreeMap::new(),
        }
    }
}

impl Default for Birth {
    fn default() -> Birth {
        Birth { topic: Token("homeassistant/status".into()), payload: Token("online".into()) }
    }
}

/// Reads `true`, `false` or a map of settings.
pub(super) fn switch<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Switch<HomeAssistant>>, D::Error> {
    struct BoolOrKeys;
    impl<'de> de::Visitor<'de> for BoolOrKeys {
        type Value = Switch<HomeAssistant>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, false, or keys with settings")
        }
        fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Self::Value, E> {
            Ok(if yes { Switch::default() } else { Switch::Off })
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            match text {
                "on" => self.visit_bool(true),
                "off" => self.visit_bool(false),
                _ => Err(E::custom(
                    BuildError::new(format!("{text:?} is not possible here"))
                        .remedy("write true, false, or keys with settings"),
                )),
            }
        }
        fn visit_map<A: de::MapAccess<'de>>(self, keys: A) -> Result<Self::Value, A::Error> {
            HomeAssistant::deserialize(MapAccessDeserializer::new(keys)).map(Switch::On)
        }
    }
    from.deserialize_any(BoolOrKeys).map(Some)
}

#[cfg(test)]
pub(super) fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let settings = generator.subschema_for::<HomeAssistant>();
    schemars::json_schema!({"anyOf": [settings, {"type": "boolean"}]})
}

impl HomeAssistant {
    /// What is said of a device on a port; nothing, if it is not to be announced.
    pub fn device(&self, port: &str, device: &str) -> Option<Cow<'_, AnnouncedDevice>> {
        if matches!(self.devices.get(port), Some(Switch::Off)) {
            return None;
        }
        match self.devices.get(device) {
            Some(Switch::Off) => None,
            Some(Switch::On(settings)) => Some(Cow::Borrowed(settings)),
            None => Some(Cow::Owned(AnnouncedDevice::default())),
        }
    }
}

impl AnnouncedDevice {
    /// What is said of a field or command; nothing, if it is not to be announced.
    pub fn field(&self, name: &str) -> Option<Cow<'_, AnnouncedField>> {
        match self.fields.get(name) {
            Some(Switch::Off) => None,
            Some(Switch::On(settings)) => Some(Cow::Borrowed(settings)),
            None => Some(Cow::Owned(AnnouncedField::default())),
        }
    }
}

/// What Home Assistant is told of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning<'a> {
    pub unit: Option<Cow<'a, str>>,
    pub class: Option<&'static str>,
    pub state_class: Option<StateClass>,
}

/// Whether this is a class of what is on or off.
pub fn binary_class(class: &str) -> Option<&'static str> {
    BINARY.iter().find(|known| **known == class).copied()
}

/// Whether this is a class of sensors.
pub fn is_sensor_class(class: &str) -> bool {
    CLASSES.iter().any(|(known, ..)| *known == class)
}

/// Whether this is a class of sensors whose values are no numbers.
pub fn is_class_of_texts(class: &str) -> bool {
    CLASSES.iter().any(|(known, _, states)| *known == class && *states == States::No)
}

/// What goes together of what the settings of a number say, and what of it does not: that is left out.
pub fn meaning<'a>(
    class: Option<&str>,
    unit: Option<&'a str>,
    state_class: Option<StateClass>,
) -> (Meaning<'a>, Option<BuildError>) {
    let mut wrong = None;
    let (mut unit, of_unit) = unit.map_or((None, None), units::translate);
    let wanted = class.or(of_unit);
    if matches!(wanted, Some("speed" | "wind_speed")) && unit.as_deref() == Some("N") {
        // What NMEA 0183 writes for knots.
        unit = Some(Cow::Borrowed("kn"));
    }
    let known = wanted.and_then(|class| CLASSES.iter().find(|(known, ..)| *known == class));
    let spelled = unit.as_deref().unwrap_or_default();
    let fits = |units: &str| units == "*" || units.split('|').any(|unit| unit == spelled);
    let row = known.filter(|(_, units, _)| fits(units));
    if let (Some(class), None) = (class, row) {
        let (what, remedy) = match known {
            None => {
                let mut names = CLASSES.iter().map(|(name, ..)| *name);
                let what = format!("Home Assistant has no class {class:?} of numbers");
                let remedy = match names.find(|name| nearest::is_near(class, name)) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "docs/HOME-ASSISTANT.md lists them".to_owned(),
                };
                (what, remedy)
            }
            Some((_, units, _)) => {
                let units: Vec<&str> = units.split('|').filter(|unit| !unit.is_empty()).collect();
                let what = match spelled {
                    "" => format!("{class} needs a unit in Home Assistant"),
                    unit => format!("Home Assistant has no {class} in {unit}"),
                };
                let remedy = match units.is_empty() {
                    true => "leave the unit out".to_owned(),
                    false => format!("it takes {}", units.join(", ")),
                };
                (what, remedy)
            }
        };
        let remedy = format!("{remedy}; until then it is announced without the class");
        wrong = Some(BuildError::new(what).remedy(remedy).at("class"));
    }
    let (class, states) =
        row.map_or((None, States::Any), |(class, _, states)| (Some(*class), *states));
    let is_angle = |state| state != StateClass::MeasurementAngle || spelled == "°";
    let said = state_class.filter(|state| states.has(*state) && is_angle(*state));
    if let (Some(state), None, None) = (state_class, said, &wrong) {
        let of =
            class.map_or_else(|| format!("the unit {spelled:?}"), |class| format!("class {class}"));
        let what = format!("{} is not possible with {of} in Home Assistant", word(state));
        let remedy = "leave it out: a class has a state class of its own";
        wrong = Some(BuildError::new(what).remedy(remedy).at("state_class"));
    }
    let state_class = said.or_else(|| match class {
        Some("precipitation") => Some(StateClass::TotalIncreasing),
        Some(_) => states.usual(),
        // What has no unit may be a code.
        None if unit.is_none() => None,
        None if units::is_counter(spelled) => Some(StateClass::TotalIncreasing),
        None => Some(StateClass::Measurement),
    });
    (Meaning { unit, class, state_class }, wrong)
}

/// Words for on and off.
const PAIRS: &[(&str, &str)] = &[
    ("on", "off"),
    ("true", "false"),
    ("1", "0"),
    ("yes", "no"),
    ("enabled", "disabled"),
    ("enable", "disable"),
    ("open", "closed"),
    ("alarm", "ok"),
];

/// Which of two words means on, and which off.
pub fn on_and_off(words: &[String]) -> Option<(&str, &str)> {
    let [a, b] = words else { return None };
    let is = |word: &str, known: &str| word.eq_ignore_ascii_case(known);
    PAIRS.iter().find_map(|(on, off)| {
        if is(a, on) && is(b, off) {
            Some((a.as_str(), b.as_str()))
        } else if is(b, on) && is(a, off) {
            Some((b.as_str(), a.as_str()))
        } else {
            None
        }
    })
}

/// What of a field's class, unit and state class does not go together in Home Assistant.
pub fn misfit(field: &OutlinedField) -> Option<BuildError> {
    let class = field.class.as_deref();
    let has_unit = field.unit.as_deref().is_some_and(|unit| !unit.trim().is_empty());
    let left_out = |what: String, remedy: &str| {
        let remedy = format!("{remedy}; until then it is announced without the class");
        Some(BuildError::new(what).remedy(remedy).at("class"))
    };
    match class {
        Some(class) if !has_unit && on_and_off(&field.values.words).is_some() => {
            let what = format!("{class} is no class of what is on or off in Home Assistant");
            let remedy = "leave it out, or take one such as problem, motion or running";
            if binary_class(class).is_none() { left_out(what, remedy) } else { None }
        }
        Some(class) if is_class_of_texts(class) => {
            let fits = match class {
                // Decoders such as `nmea` make times of their own.
                "timestamp" => matches!(field.values.kind, Kind::Timestamp | Kind::Any),
                "date" => matches!(field.values.kind, Kind::Date | Kind::Any),
                _ => !field.values.words.is_empty(),
            };
            let what = format!("Home Assistant would not take these values as a {class}");
            let remedy = match class {
                "enum" => "add a `lookup` with all its words",
                "date" => "add `type: time` with the `format` of a date",
                _ => "add `type: time` with `format` and `zone`",
            };
            if fits { None } else { left_out(what, remedy) }
        }
        Some(class) if binary_class(class).is_some() && !is_sensor_class(class) => None,
        _ => meaning(class, field.unit.as_deref(), field.state_class).1,
    }
}

/// A state class as Home Assistant spells it.
pub fn word(state: StateClass) -> &'static str {
    match state {
        StateClass::Measurement => "measurement",
        StateClass::MeasurementAngle => "measurement_angle",
        StateClass::Total => "total",
        StateClass::TotalIncreasing => "total_increasing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(class: &str, unit: &str, state: Option<StateClass>) -> String {
        let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let (meaning, wrong) = meaning(some(class), some(unit), state);
        let Meaning { unit, class, state_class } = meaning;
        let unit = unit.as_deref().unwrap_or("-").to_owned();
        let state = state_class.map_or("-", word);
        let wrong = wrong.map_or(String::new(), |wrong| format!(" ! {}", wrong.what));
        format!("{unit} {} {state}{wrong}", class.unwrap_or("-"))
    }

    #[test]
    fn units_say_what_is_measured() {
        for (unit, expected) in [
            ("kwh", "kWh energy total_increasing"),
            ("KWH", "kWh energy total_increasing"),
            ("w", "W power measurement"),
            ("MW", "MW power measurement"),
            ("mW", "mW power measurement"),
            ("degC", "°C temperature measurement"),
            ("HPA", "hPa pressure measurement"),
            ("mBar", "mbar pressure measurement"),
            ("% RH", "% humidity measurement"),
            ("uS/cm", "μS/cm conductivity measurement"),
            ("%", "% - measurement"),
            ("m3", "m³ - measurement"),
            ("Ah", "Ah - measurement"),
            ("kVAh", "kVAh - total_increasing"),
            ("MPa", "MPa - measurement"),
            ("pH", "- ph measurement"),
            ("", "- - -"),
        ] {
            assert_eq!(told("", unit, None), expected, "{unit}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_left_out_and_said() {
        use StateClass::*;
        for (class, unit, state, expected) in [
            ("gas", "m3", None, "m³ gas total_increasing"),
            ("water", "l", None, "L water total_increasing"),
            ("speed", "N", None, "kn speed measurement"),
            ("power_factor", "", None, "- power_factor measurement"),
            ("energy", "kWh", Some(Total), "kWh energy total"),
            ("wind_direction", "deg", None, "° wind_direction measurement_angle"),
            ("", "°", Some(MeasurementAngle), "° - measurement_angle"),
            (
                "energy",
                "kWh",
                Some(Measurement),
                "kWh energy total_increasing ! measurement is not possible with class energy in Home Assistant",
            ),
            ("energy", "W", None, "W - measurement ! Home Assistant has no energy in W"),
            ("power", "", None, "- - - ! power needs a unit in Home Assistant"),
            (
                "watts",
                "W",
                None,
                "W - measurement ! Home Assistant has no class \"watts\" of numbers",
            ),
            ("pressure", "MPa", None, "MPa - measurement ! Home Assistant has no pressure in MPa"),
        ] {
            assert_eq!(told(class, unit, state), expected, "{class} {unit}");
        }
    }

    #[test]
    fn each_unit_of_the_table_goes_with_its_class() {
        for (unit, class, others) in units::UNITS {
            for spelled in others.split('|').chain([*unit]).filter(|it| !it.is_empty()) {
                let (told, wrong) = meaning(None, Some(spelled), None);
                assert!(wrong.is_none(), "{spelled}");
                let is_first = units::translate(spelled).0.as_deref().unwrap_or_default() == *unit;
                assert!(is_first, "{spelled}");
                if !class.is_empty() && spelled != "%" {
                    assert_eq!(told.class, Some(*class), "{spelled}");
                }
            }
        }
        assert!(is_class_of_texts("timestamp") && !is_class_of_texts("power"));
        assert_eq!(binary_class("problem"), Some("problem"));
    }
}
