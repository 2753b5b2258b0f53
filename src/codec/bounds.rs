//! The numbers that may be written: lowest, highest, and steps between them.

use super::decimal::Decimal;
use crate::base::path::BuildError;
use crate::base::scalar::Token;

/// Bounds of a number that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    min: Option<Decimal>,
    max: Option<Decimal>,
    step: Option<Decimal>,
}

/// Why a number may not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    #[error("outside {min} to {max}")]
    Range { min: String, max: String },
    #[error("below {0}")]
    Below(String),
    #[error("above {0}")]
    Above(String),
    #[error("off step {step} from {from}")]
    Step { step: String, from: String },
}

impl Bounds {
    pub fn build(
        min: &Option<Token>,
        max: &Option<Token>,
        step: &Option<Token>,
    ) -> Result<Bounds, BuildError> {
        let decimal = |key: &str, token: &Option<Token>| {
            let parse = |Token(text): &Token| {
                let error = || BuildError::new(format!("{text:?} is not a decimal number"));
                Decimal::read(text).ok_or_else(|| error().remedy("write 0.5 or -40").at(key))
            };
            token.as_ref().map(parse).transpose()
        };
        let bounds = Bounds {
            min: decimal("min", min)?,
            max: decimal("max", max)?,
            step: decimal("step", step)?,
        };
        if bounds.step.is_some_and(|step| step.is_negative() || step.is_zero()) {
            return Err(BuildError::new("a step is more than 0").at("step"));
        }
        Ok(bounds)
    }

    /// Narrows the bounds to what `holder` can hold, if that is bounded: from one to the other, in
    /// either order.
    pub fn narrow(
        mut self,
        holder: &str,
        held: Option<(Decimal, Decimal)>,
    ) -> Result<Bounds, BuildError> {
        if let Some((one, other)) = held {
            let (low, high) = if is_less(other, one) { (other, one) } else { (one, other) };
            for (key, bound) in [("min", self.min), ("max", self.max)] {
                if bound.is_some_and(|it| is_less(it, low) || is_less(high, it)) {
                    let (low, high) = (low.spelled(), high.spelled());
                    return Err(
                        BuildError::new(format!("the {holder} holds {low} to {high}")).at(key)
                    );
                }
            }
            self.min.get_or_insert(low);
            self.max.get_or_insert(high);
        }
        match (self.min, self.max) {
            (Some(min), Some(max)) if is_less(max, min) => {
                Err(BuildError::new(format!("less than min, {}", min.spelled())).at("max"))
            }
            _ => Ok(self),
        }
    }

    pub fn min(&self) -> Option<Decimal> {
        self.min
    }

    pub fn max(&self) -> Option<Decimal> {
        self.max
    }

    pub fn step(&self) -> Option<Decimal> {
        self.step
    }

    pub fn with_step(self, step: Decimal) -> Bounds {
        Bounds { step: Some(step), ..self }
    }

    pub fn check(&self, number: Decimal) -> Result<(), OutOfBounds> {
        let is_low = self.min.is_some_and(|min| is_less(number, min));
        let is_high = self.max.is_some_and(|max| is_less(max, number));
        match (self.min, self.max) {
            (Some(min), Some(max)) if is_low || is_high => {
                return Err(OutOfBounds::Range {
                    min: min.spelled().into(),
                    max: max.spelled().into(),
                });
            }
            (Some(min), None) if is_low => return Err(OutOfBounds::Below(min.spelled().into())),
            (None, Some(max)) if is_high => return Err(OutOfBounds::Above(max.spelled().into())),
            _ => {}
        }
        let Some(step) = self.step else { return Ok(()) };
        let from = self.min.unwrap_or(Decimal::from(0));
        match number.minus(from).and_then(|steps| steps.is_multiple_of(step)) {
            Some(true) => Ok(()),
            _ => {
                Err(OutOfBounds::Step { step: step.spelled().into(), from: from.spelled().into() })
            }
        }
    }
}

/// Numbers whose difference 128 bits cannot hold are of no device.
fn is_less(number: Decimal, other: Decimal) -> bool {
    number.minus(other).is_none_or(Decimal::is_negative)
}
