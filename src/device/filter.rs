//! Filters of one field: what its values become in time, and which of them are published. Sans-io.

use crate::base::path::BuildError;
use crate::base::scalar::{Span, Token};
use crate::codec::decimal::Decimal;
use crate::codec::field::{Deadband, FieldSettings, Window};
use crate::codec::value::Value;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A running filter. What it remembers is apart, in [`Memory`]: a device may have several nodes.
#[derive(Debug, Default)]
pub(super) struct Filter {
    least: Option<Decimal>,
    most: Option<Decimal>,
    step: Option<Decimal>,
    wraps: Option<Decimal>,
    rate: Option<Duration>,
    window: Option<Window>,
    /// Decimals of what is not as it was read.
    decimals: Option<u8>,
    on_change: bool,
    deadband: Option<Deadband>,
    min_interval: Option<Duration>,
    max_interval: Option<Duration>,
}

/// What a filter remembers of the values of one field.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The last plausible value.
    accepted: Option<Decimal>,
    /// One behind it that was too far away.
    doubted: Option<Decimal>,
    /// What a counter said last, and how much its overflows were.
    counted: Option<Decimal>,
    overflows: Option<Decimal>,
    /// The counter when its rate was last known.
    rated: Option<(Decimal, Instant)>,
    window: Option<Box<Gathered>>,
    sent: Option<Sent>,
}

/// The values of a window.
#[derive(Debug)]
struct Gathered {
    since: Instant,
    last: Instant,
    /// So many, their sum or the one that counts; for the median all of them.
    count: u32,
    value: Option<Decimal>,
    decimals: u8,
    all: VecDeque<Decimal>,
}

/// What was published last, and when.
#[derive(Debug)]
struct Sent {
    at: Instant,
    number: Option<Decimal>,
    /// What is no number.
    text: String,
}

/// What a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shaped {
    /// What it is.
    Same,
    Other(Decimal),
    /// There is nothing to say yet.
    Nothing,
    /// It cannot be, because something else was expected.
    Implausible(&'static str),
}

/// Most values of which a median is found.
const MOST_OF_MEDIAN: usize = 64;

/// Decimals of a rate for which no number of them is given.
const DECIMALS_OF_RATE: u8 = 3;

const SECOND: Span = Span::from_secs(1);
const MONTH: Span = Span::from_secs(31 * 86_400);

impl Filter {
    pub(super) fn build(settings: &FieldSettings) -> Result<Filter, BuildError> {
        let number = |key: &str, token: &Option<Token>| {
            let parse = |Token(text): &Token| {
                let error = || BuildError::new(format!("{text:?} is not a decimal number"));
                Decimal::read(text).ok_or_else(|| error().remedy("write 0.5 or -40").at(key))
            };
            token.as_ref().map(parse).transpose()
        };
        let positive = |key: &str, token: &Option<Token>| {
            let number = number(key, token)?;
            match number.filter(|number| number.is_negative() || number.is_zero()) {
                Some(_) => Err(BuildError::new("only more than 0 makes sense here").at(key)),
                None => Ok(number),
            }
        };
        let time = |key: &str, span: Option<Span>, least: Span| match span {
            Some(span) if span < least || span > MONTH => {
                let error = BuildError::new(format!("{span} is out of range"));
                Err(error.remedy(format!("write a time from {least} to {MONTH}")).at(key))
            }
            span => Ok(span.map(Span::duration)),
        };
        let valid = settings.valid.clone().unwrap_or_default();
        let in_valid = |error: BuildError| error.at("valid");
        let least = number("min", &valid.min).map_err(in_valid)?;
        let most = number("max", &valid.max).map_err(in_valid)?;
        if let (Some(least), Some(most)) = (least, most)
            && least.compared(most).is_gt()
        {
            let error = BuildError::new("nothing is between them: `min` is above `max`");
            return Err(error.remedy("exchange them").at("min").at("valid"));
        }
        let step = positive("step", &valid.step).map_err(in_valid)?;
        let wraps = positive("wraps", &settings.wraps)?;
        let scale = number("scale", &settings.scale)?.and_then(Decimal::absolute);
        let scaled = match (wraps, scale) {
            // What is calculated has no counts but its own.
            (Some(wraps), Some(scale)) => wraps.times(scale),
            (wraps, _) => wraps,
        };
        let (shortest, longest) = (settings.min_interval, settings.max_interval);
        let filter = Filter {
            least,
            most,
            step,
            wraps: scaled,
            rate: settings.rate.map(|rate| rate.duration()),
            window: settings.window,
            decimals: settings.decimals,
            on_change: settings.on_change == Some(true),
            deadband: settings.deadband,
            min_interval: time("min_interval", shortest, Span::from_millis(10))?,
            max_interval: time("max_interval", longest, SECOND)?,
        };
        time("window", settings.window.map(Window::length), SECOND)?;
        if let (Some(shortest), Some(longest)) = (shortest, longest)
            && shortest > longest
        {
            let error = BuildError::new("this is shorter than `min_interval`");
            return Err(error.remedy("exchange them").at("max_interval"));
        }
        if longest.is_some() && !filter.on_change && filter.deadband.is_none() {
            let error = BuildError::new("every value is published anyway");
            let remedy = "add `on_change: true` or `deadband`, or leave it out";
            return Err(error.remedy(remedy).at("max_interval"));
        }
        Ok(filter)
    }

    /// What a number that came `now` becomes: first an implausible one is found, then counters go on, then
    /// comes their rate, and then the window.
    pub(super) fn shape(&self, memory: &mut Memory, came: Decimal, now: Instant) -> Shaped {
        if let Some(expected) = self.implausible(memory, came) {
            return Shaped::Implausible(expected);
        }
        let counted = self.wraps.map_or(Some(came), |wraps| memory.count(came, wraps));
        let rated = match (counted, self.rate) {
            (Some(counted), Some(per)) => {
                let decimals = self.decimals.unwrap_or(DECIMALS_OF_RATE);
                memory.rate(counted, per, decimals, now)
            }
            (counted, _) => counted,
        };
        let gathered = match (rated, self.window) {
            (Some(value), Some(window)) => memory.gather(value, window, self.decimals, now),
            (value, _) => value,
        };
        match gathered {
            None => Shaped::Nothing,
            Some(value) if value == came => Shaped::Same,
            Some(value) => Shaped::Other(value),
        }
    }

    fn implausible(&self, memory: &mut Memory, value: Decimal) -> Option<&'static str> {
        if self.least.is_some_and(|least| value.compared(least).is_lt()) {
            return Some("at least `min` of `valid`");
        }
        if self.most.is_some_and(|most| value.compared(most).is_gt()) {
            return Some("at most `max` of `valid`");
        }
        let step = self.step?;
        let is_near = |other: Decimal| {
            let distance = value.minus(other).and_then(Decimal::absolute);
            distance.is_some_and(|distance| distance.compared(step).is_le())
        };
        // Two that agree are no slip.
        if memory.accepted.is_none_or(is_near) || memory.doubted.is_some_and(is_near) {
            (memory.accepted, memory.doubted) = (Some(value), None);
            return None;
        }
        memory.doubted = Some(value);
        Some("at most a `step` of `valid` from the value before")
    }

    /// Whether a value is published. `is_wanted`: it is in any case, because somebody asked for it.
    pub(super) fn passes(
        &self,
        memory: &mut Memory,
        value: &Value<'_>,
        is_wanted: bool,
        now: Instant,
    ) -> bool {
        let number = match value {
            Value::Number(text) => Decimal::read(text),
            Value::Text(_) | Value::Bool(_) => None,
        };
        if let Some(sent) = &memory.sent
            && !is_wanted
        {
            let passed = now.saturating_duration_since(sent.at);
            let is_over = |time: Option<Duration>| time.is_some_and(|time| is_over(passed, time));
            let is_soon = self.min_interval.is_some() && !is_over(self.min_interval);
            if is_soon || !is_over(self.max_interval) && !self.is_change(sent, value, number) {
                return false;
            }
        }
        let sent =
            memory.sent.get_or_insert_with(|| Sent { at: now, number: None, text: String::new() });
        (sent.at, sent.number) = (now, number);
        sent.text.clear();
        if number.is_none() {
            sent.text.push_str(value.as_str());
        }
        true
    }

    fn is_change(&self, sent: &Sent, value: &Value<'_>, number: Option<Decimal>) -> bool {
        match (number, sent.number) {
            (Some(number), Some(from)) => {
                self.deadband.is_none_or(|deadband| deadband.is_left(number, from))
                    && (!self.on_change || number.compared(from).is_ne())
            }
            (None, None) if self.on_change || self.deadband.is_some() => {
                sent.text != value.as_str()
            }
            _ => true,
        }
    }

    /// Whether it decides about values one by one, so that it has to remember what was published.
    pub(super) fn thins(&self) -> bool {
        self.on_change || self.deadband.is_some() || self.min_interval.is_some()
    }

    /// The number of decimals of what is not as it was read.
    pub(super) fn decimals(&self) -> Option<u8> {
        self.decimals
    }
}

/// Whether a time is over. Devices and polls are not exact: a twentieth too early is in time.
fn is_over(passed: Duration, time: Duration) -> bool {
    passed + (time / 20).min(Duration::from_secs(1)) >= time
}

impl Memory {
    /// The counter as one that goes on. `None` only for numbers beyond 128 bits.
    fn count(&mut self, counted: Decimal, wraps: Decimal) -> Option<Decimal> {
        let before = self.counted.replace(counted).unwrap_or(counted);
        let overflows = self.overflows.get_or_insert(Decimal::from(0));
        if counted.compared(before).is_lt() {
            let forward = counted.plus(wraps)?.minus(before)?;
            *overflows = match forward.plus(forward)?.compared(wraps).is_lt() {
                true => overflows.plus(wraps)?,
                // The device began anew.
                false => Decimal::from(0),
            };
        }
        counted.plus(*overflows)
    }

    /// How fast the counter grows. `None` for the first value, after a restart, and for numbers beyond 128
    /// bits.
    fn rate(
        &mut self,
        counted: Decimal,
        per: Duration,
        decimals: u8,
        now: Instant,
    ) -> Option<Decimal> {
        let Some((before, since)) = self.rated else {
            self.rated = Some((counted, now));
            return None;
        };
        let passed = i128::try_from(now.saturating_duration_since(since).as_millis()).ok()?;
        // Without time between them two values have no rate.
        if passed == 0 {
            return None;
        }
        self.rated = Some((counted, now));
        let grown = counted.minus(before).filter(|grown| !grown.is_negative())?;
        let per = i128::try_from(per.as_millis()).ok()?;
        grown.times(per.into())?.quotient(passed.into(), decimals)
    }

    /// One more value of a window. `None` while it lasts.
    fn gather(
        &mut self,
        value: Decimal,
        window: Window,
        decimals: Option<u8>,
        now: Instant,
    ) -> Option<Decimal> {
        let length = window.length().duration();
        let gathered = self.window.get_or_insert_with(|| Box::new(Gathered::new(now)));
        // What is older than the window says nothing about it.
        let is_old = now.saturating_duration_since(gathered.last) > length && gathered.count > 0;
        if is_old {
            gathered.clear();
        }
        gathered.add(value, window);
        gathered.last = now;
        if !is_old && !is_over(now.saturating_duration_since(gathered.since), length) {
            return None;
        }
        let result = gathered.result(window, decimals);
        gathered.clear();
        gathered.since = now;
        result
    }
}

impl Gathered {
    fn new(now: Instant) -> Gathered {
        let all = VecDeque::new();
        Gathered { since: now, last: now, count: 0, value: None, decimals: 0, all }
    }

    fn clear(&mut self) {
        (self.count, self.value, self.decimals) = (0, None, 0);
        self.all.clear();
    }

    fn add(&mut self, value: Decimal, window: Window) {
        self.decimals = self.decimals.max(value.decimals());
        let is_first = self.count == 0;
        self.count = self.count.saturating_add(1);
        self.value = match (window, self.value) {
            (Window::Average(_), Some(sum)) => sum.plus(value),
            (Window::Min(_), Some(best)) if best.compared(value).is_le() => Some(best),
            (Window::Max(_), Some(best)) if best.compared(value).is_ge() => Some(best),
            // A sum beyond 128 bits stays none.
            (Window::Average(_), None) if !is_first => None,
            _ => Some(value),
        };
        if let Window::Median(_) = window {
            if self.all.len() == MOST_OF_MEDIAN {
                self.all.pop_front();
            }
            self.all.push_back(value);
        }
    }

    fn result(&mut self, window: Window, decimals: Option<u8>) -> Option<Decimal> {
        let decimals = decimals.unwrap_or(self.decimals);
        match window {
            Window::Average(_) => self.value?.quotient(i128::from(self.count).into(), decimals),
            Window::Median(_) => {
                let all = self.all.make_contiguous();
                all.sort_by(|a, b| a.compared(*b));
                let below = all.len().checked_sub(1)? / 2;
                let (low, high) = (all.get(below)?, all.get(all.len() / 2)?);
                match all.len() % 2 {
                    0 => low.plus(*high)?.quotient(Decimal::from(2), decimals),
                    _ => Some(*low),
                }
            }
            Window::Min(_) | Window::Max(_) | Window::Last(_) => self.value,
        }
    }
}

#[cfg(test)]
mod tests;
