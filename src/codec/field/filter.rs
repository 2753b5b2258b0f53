//! The words with which a field says what becomes of its values behind the decoder.

use crate::base::path::BuildError;
use crate::base::scalar::{Span, Token, deserialize_from_str, wrong};
use crate::codec::decimal::Decimal;
use serde::Deserialize;
use std::str::FromStr;
use std::time::Duration;

deserialize_from_str!(Deadband: "number or percentage");

/// How far a value has to be from the last one that was published: `0.5`, or `2%` of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadband {
    Absolute(Decimal),
    Percent(Decimal),
}

impl FromStr for Deadband {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Deadband, BuildError> {
        let percent = text.strip_suffix('%');
        let number = Decimal::read(percent.unwrap_or(text).trim());
        match (number.filter(|number| !number.is_negative()), percent) {
            (Some(number), None) => Ok(Deadband::Absolute(number)),
            (Some(number), Some(_)) => Ok(Deadband::Percent(number)),
            (None, _) => {
                wrong(format!("{text:?} is not a deadband"), "write 0.5, or \"2%\" of the value")
            }
        }
    }
}

impl Deadband {
    /// Whether a value is so far from another one; it never is from the same one.
    pub fn is_left(self, value: Decimal, from: Decimal) -> bool {
        let Some(distance) = value.minus(from).and_then(Decimal::absolute) else { return true };
        let least = match self {
            Deadband::Absolute(least) => Some(least),
            Deadband::Percent(percent) => {
                from.absolute().and_then(|from| from.times(percent)?.shifted(-2))
            }
        };
        !distance.is_zero() && least.is_none_or(|least| distance.compared(least).is_ge())
    }
}

/// What is made of all values that came within a time: `{average: 1min}`. It is published when the first
/// value comes after that time, which is one of them, too; never because time passes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// Their mean, with as many decimals as they have, or `decimals`.
    Average(Span),
    /// The lowest of them.
    Min(Span),
    /// The highest of them.
    Max(Span),
    /// The last of them.
    Last(Span),
    /// The one in the middle, or the mean of the two there; of more than 64 values, of the last 64.
    Median(Span),
}

impl Window {
    pub fn length(self) -> Span {
        match self {
            Window::Average(length)
            | Window::Min(length)
            | Window::Max(length)
            | Window::Last(length)
            | Window::Median(length) => length,
        }
    }
}

/// Which values are plausible: `{min: 0, max: 100, step: 5}`. Others are refused, and counted as
/// `implausible`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Valid {
    /// The lowest plausible value.
    pub min: Option<Token>,
    /// The highest plausible value.
    pub max: Option<Token>,
    /// The biggest plausible change from one value to the next. A value beyond it is refused once: if the
    /// next one is as near to it, both are true.
    pub step: Option<Token>,
}

/// The time to which a rate refers.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RateUnit {
    /// Per second.
    S,
    /// Per minute.
    Min,
    /// Per hour: of kWh this makes kW.
    H,
    /// Per day.
    D,
}

impl RateUnit {
    pub fn duration(self) -> Duration {
        Duration::from_secs(match self {
            RateUnit::S => 1,
            RateUnit::Min => 60,
            RateUnit::H => 3600,
            RateUnit::D => 86_400,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadband_is_left_at_its_edge() {
        let number = |text: &str| Decimal::read(text).unwrap();
        for (deadband, from, to, expected) in [
            ("0.5", "10", "10.4", false),
            ("0.5", "10", "10.50", true),
            ("0.5", "10", "9.5", true),
            ("0.5", "10", "9.6", false),
            ("2%", "200", "203.9", false),
            ("2%", "200", "204", true),
            ("2%", "-200", "-196", true),
            ("2%", "0", "0.001", true),
            ("2%", "0", "0.00", false),
            ("0", "1", "1.0", false),
            ("0", "1", "1.1", true),
        ] {
            let is_left = deadband.parse::<Deadband>().unwrap().is_left(number(to), number(from));
            assert_eq!(is_left, expected, "{deadband}: {from} to {to}");
        }
        for text in ["", "%", "-1", "-2%", "5 W", "0,5"] {
            assert!(text.parse::<Deadband>().is_err(), "{text}");
        }
    }
}
