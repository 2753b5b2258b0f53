//! The fields of one device behind its decoders: calculated ones come to them, filters change them or hold
//! them back. Sans-io.

mod build;

pub(super) use build::{Described, Description};

use super::filter::{Filter, Memory, Shaped};
use crate::codec::calc::{Expression, Operand};
use crate::codec::decimal::Decimal;
use crate::codec::decode::Decoded;
use crate::codec::field::{Convert, FieldSettings};
use crate::codec::spelled::Spelled;
use crate::codec::value::{NoValue, Reading, RejectReason, RejectedReading, Value};
use std::time::{Duration, Instant};

/// What becomes of the fields of one device.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Its name, by which it finds after a reload what was known before.
    device: String,
    /// What is done to which field; what is calculated stands behind what it is calculated from.
    rules: Vec<Rule>,
    /// Those of fields that are read, in the order of their names.
    read: Vec<usize>,
    /// Whether anything is calculated.
    calculates: bool,
    nodes: Vec<Node>,
    /// For each reading of the last frame whether a filter holds it back.
    held: Vec<bool>,
    fates: Vec<Fate>,
    /// How many frames came.
    frames: u64,
}

#[derive(Debug)]
struct Rule {
    name: String,
    unit: Option<String>,
    filter: Filter,
    /// Whether its numbers are rounded here, and not where they are read.
    is_reshaped: bool,
    publish: bool,
    /// Whether something is calculated from it.
    is_needed: bool,
    calc: Option<Calc>,
    /// As they stand in the configuration, where they say something that is done here.
    settings: Option<Box<FieldSettings>>,
}

/// How a field is calculated.
#[derive(Debug)]
struct Calc {
    expression: Expression,
    /// The text of it.
    text: String,
    /// The rules of the fields that it names.
    needs: Vec<Need>,
    convert: Convert,
}

#[derive(Clone, Copy, Debug)]
struct Need {
    rule: usize,
    /// Whether it has to come anew each time.
    is_awaited: bool,
    max_age: Duration,
}

/// A device of which frames speak, or the one on the line.
#[derive(Debug)]
struct Node {
    name: Option<Box<str>>,
    heard: Instant,
    /// In the order of the rules.
    states: Vec<State>,
}

/// What is known of one field of one node.
#[derive(Debug)]
struct State {
    memory: Memory,
    known: Known,
    at: Instant,
    /// The frame it came with last.
    came: u64,
    /// The last frame that should have had it, and said no value or a wrong one.
    failed: u64,
    /// The frame with which it was calculated last.
    calculated: u64,
}

/// A value that something is calculated from.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    Nothing,
    Number(Decimal),
    Bool(bool),
    Text(String),
}

/// What becomes of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Published,
    /// It is the present value, but not published by itself.
    Held,
    /// A filter has nothing to say yet.
    Filtered,
    /// It is not to be published.
    Dropped,
    Implausible(&'static str),
}

/// What became of the readings of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken<'a> {
    /// For each reading that is left whether a filter holds it back; none where no filter is.
    pub(super) held: &'a [bool],
    /// How many values filters held back.
    pub(super) filtered: u64,
}

/// Most nodes that are told apart; of more, the one that was silent for longest is forgotten.
const MOST_NODES: usize = 64;

impl Fields {
    /// Takes over what was known of fields whose settings are the same.
    pub(super) fn adopt(&mut self, mut old: Fields) {
        let same: Vec<(usize, usize)> = (0..)
            .zip(&self.rules)
            .filter_map(|(n, rule)| {
                let settings = rule.settings.as_deref()?;
                let is_same = |it: &Rule| {
                    it.settings.as_deref().is_some_and(|it| it.remembers_as(settings))
                        && it.calc.is_some() == rule.calc.is_some()
                };
                let old = old.rules.iter().position(is_same)?;
                Some((n, old))
            })
            .collect();
        for node in &mut old.nodes {
            let place = self.node(node.name.as_deref(), node.heard);
            let Some(new) = self.nodes.get_mut(place) else { continue };
            for (new_rule, old_rule) in &same {
                if let (Some(new), Some(old)) =
                    (new.states.get_mut(*new_rule), node.states.get_mut(*old_rule))
                {
                    new.memory = std::mem::take(&mut old.memory);
                }
            }
        }
    }

    pub(super) fn device(&self) -> &str {
        &self.device
    }

    /// Where the states of a node are.
    fn node(&mut self, name: Option<&str>, now: Instant) -> usize {
        node(&mut self.nodes, self.rules.len(), name, now)
    }

    /// Calculates fields, changes values and finds which of them are held back. `is_wanted`: they are what
    /// a command has asked for, and no filter holds them back.
    pub(super) fn take<'a>(
        &'a mut self,
        decoded: &mut Decoded<'a>,
        is_wanted: bool,
        now: Instant,
    ) -> Taken<'a> {
        if self.rules.is_empty() {
            return Taken::default();
        }
        self.frames += 1;
        let Fields { rules, read, nodes, held, fates, frames, calculates, .. } = self;
        let (rules, frame): (&'a [Rule], u64) = (rules, *frames);
        fates.clear();
        let read = |name: &str| {
            let rule = |n: &usize| rules.get(*n).map_or("", |rule| &rule.name);
            let n = read.binary_search_by(|n| rule(n).cmp(name)).ok()?;
            Some(*read.get(n)?)
        };
        for reading in &mut decoded.readings {
            let fate = match read(&reading.field) {
                None => Fate::Published,
                Some(n) => {
                    let place = node(nodes, rules.len(), reading.node.as_deref(), now);
                    match (rules.get(n), nodes[place].states.get_mut(n)) {
                        (Some(rule), Some(state)) => {
                            rule.apply(state, reading, is_wanted, frame, now)
                        }
                        _ => Fate::Published,
                    }
                }
            };
            fates.push(fate);
        }
        if *calculates {
            let first = decoded.readings.first().and_then(|reading| reading.node.clone());
            let place = node(nodes, rules.len(), first.as_deref(), now);
            let rejected = decoded.rejected.iter().map(|it| &it.field);
            for field in rejected.chain(decoded.no_values.iter().map(|it| &it.field)) {
                if let Some(state) = read(field).and_then(|n| nodes[place].states.get_mut(n)) {
                    state.fail(frame);
                }
            }
            for node in nodes.iter_mut() {
                node.calculate(rules, decoded, fates, is_wanted, frame, now);
            }
        }
        sort(decoded, fates, held)
    }
}

/// Takes what is not published out of the readings.
fn sort<'a>(decoded: &mut Decoded<'a>, fates: &[Fate], held: &'a mut Vec<bool>) -> Taken<'a> {
    held.clear();
    let mut filtered = 0;
    let mut all = fates.iter();
    let (rejected, unpublished) = (&mut decoded.rejected, &mut decoded.unpublished);
    decoded.readings.retain(|reading| {
        let fate = all.next().copied().unwrap_or(Fate::Published);
        filtered += u64::from(matches!(fate, Fate::Held | Fate::Filtered));
        match fate {
            Fate::Published | Fate::Held => {
                held.push(fate == Fate::Held);
                return true;
            }
            Fate::Implausible(expected) => rejected.push(RejectedReading {
                field: reading.field.clone(),
                reason: RejectReason::Implausible,
                expected,
                found: reading.value.as_str().as_bytes().to_vec().into(),
            }),
            // Topics may name it.
            Fate::Dropped => unpublished.push(reading.clone()),
            Fate::Filtered => {}
        }
        false
    });
    Taken { held, filtered }
}

/// Where the states of a node are, the node heard last first.
fn node(nodes: &mut Vec<Node>, rules: usize, name: Option<&str>, now: Instant) -> usize {
    let found = nodes.iter().position(|node| node.name.as_deref() == name);
    let place = found.unwrap_or_else(|| {
        let states = (0..rules).map(|_| State::new(now)).collect();
        let new = Node { name: name.map(Into::into), heard: now, states };
        let oldest = (0..).zip(&*nodes).min_by_key(|(_, node)| node.heard);
        match oldest.filter(|_| nodes.len() >= MOST_NODES) {
            Some((place, _)) => {
                nodes[place] = new;
                place
            }
            None => {
                nodes.push(new);
                nodes.len() - 1
            }
        }
    });
    nodes[place].heard = now;
    place
}

impl Rule {
    /// What becomes of a value that was read or calculated.
    fn apply(
        &self,
        state: &mut State,
        reading: &mut Reading<'_>,
        is_wanted: bool,
        frame: u64,
        now: Instant,
    ) -> Fate {
        if let Value::Number(text) = &reading.value
            && let Some(number) = Decimal::read(text)
        {
            let shaped = match self.filter.shape(&mut state.memory, number, now) {
                Shaped::Same if !self.is_reshaped => None,
                Shaped::Same => Some(number),
                Shaped::Other(other) => Some(other),
                Shaped::Nothing => return Fate::Filtered,
                Shaped::Implausible(expected) => {
                    state.fail(frame);
                    return Fate::Implausible(expected);
                }
            };
            let rounded = |number: Decimal| match self.filter.decimals() {
                Some(decimals) => number.rounded(decimals).unwrap_or(number),
                None => number,
            };
            if let Some(number) = shaped.map(rounded) {
                reading.value = Value::Number(number.spelled());
            }
        }
        if self.is_needed {
            state.known.set(&reading.value);
            (state.came, state.at) = (frame, now);
        }
        if !self.publish {
            return Fate::Dropped;
        }
        if self.filter.thins()
            && !self.filter.passes(&mut state.memory, &reading.value, is_wanted, now)
        {
            return Fate::Held;
        }
        Fate::Published
    }
}

impl Node {
    /// Adds what can be calculated now.
    fn calculate<'a>(
        &mut self,
        rules: &'a [Rule],
        decoded: &mut Decoded<'a>,
        fates: &mut Vec<Fate>,
        is_wanted: bool,
        frame: u64,
        now: Instant,
    ) {
        for (n, rule) in rules.iter().enumerate() {
            let Some(calc) = &rule.calc else { continue };
            let calculated = self.states.get(n).map_or(0, |state| state.calculated);
            let state = |need: &Need| self.states.get(need.rule);
            let of = |need: &Need, what: fn(&State) -> u64| state(need).map_or(0, what);
            let is_touched =
                |need: &Need| of(need, |it| it.came) == frame || of(need, |it| it.failed) == frame;
            if !calc.needs.iter().any(is_touched) {
                continue;
            }
            let has_failed = calc.needs.iter().any(|need| of(need, |it| it.failed) == frame);
            let is_there = |need: &Need| {
                state(need).is_some_and(|state| {
                    let age = now.saturating_duration_since(state.at);
                    let is_fresh = !need.is_awaited || state.came > calculated;
                    is_fresh && state.known != Known::Nothing && age <= need.max_age
                })
            };
            if !has_failed && !calc.needs.iter().all(is_there) {
                continue;
            }
            let field = |n: usize| state(calc.needs.get(n)?)?.known.operand();
            let value = if has_failed { None } else { calc.expression.value(&field) };
            let converted = match value {
                None => Ok(None),
                Some(value) => calc.convert(value),
            };
            let Some(state) = self.states.get_mut(n) else { continue };
            state.calculated = frame;
            let value = match converted {
                Ok(Some(value)) => value,
                Ok(None) => {
                    state.fail(frame);
                    // What was read under its own name was told of already.
                    if !decoded.tells_of(&rule.name) {
                        let found = calc.text.as_bytes().into();
                        decoded.no_values.push(NoValue { field: (&*rule.name).into(), found });
                    }
                    continue;
                }
                Err(reason) => {
                    state.fail(frame);
                    let (field, found) = ((&*rule.name).into(), calc.text.as_bytes().into());
                    let expected = reason.expected();
                    decoded.rejected.push(RejectedReading { field, reason, expected, found });
                    continue;
                }
            };
            let node = self.name.as_deref().map(|name| Spelled::of(format_args!("{name}")));
            let (field, unit) = ((&*rule.name).into(), rule.unit.as_deref());
            let mut reading = Reading { node, field, value, unit };
            let fate = rule.apply(state, &mut reading, is_wanted, frame, now);
            // The fields of a node stand together.
            let last = decoded.readings.iter().rposition(|other| other.node == reading.node);
            let place = last.map_or(decoded.readings.len(), |last| last + 1);
            decoded.readings.insert(place, reading);
            fates.insert(place.min(fates.len()), fate);
        }
    }
}

impl Calc {
    fn convert(&self, value: Operand<'_>) -> Result<Option<Value<'static>>, RejectReason> {
        use crate::codec::field::Wire;
        let converted = match value {
            Operand::Number(number) => self.convert.decimal(number)?,
            Operand::Text(text) => {
                return Ok(self.convert.token(text, Wire::Text)?.map(Value::into_owned));
            }
            Operand::Bool(yes) => {
                let word = Value::Bool(yes);
                match self.convert.token(word.as_str(), Wire::Text)? {
                    Some(Value::Text(text)) if text == word.as_str() => return Ok(Some(word)),
                    other => return Ok(other.map(Value::into_owned)),
                }
            }
        };
        Ok(converted.map(Value::into_owned))
    }
}

impl State {
    fn new(now: Instant) -> State {
        State {
            memory: Memory::default(),
            known: Known::Nothing,
            at: now,
            came: 0,
            failed: 0,
            calculated: 0,
        }
    }

    /// There should have been a value in this frame.
    fn fail(&mut self, frame: u64) {
        (self.known, self.failed) = (Known::Nothing, frame);
    }
}

impl Known {
    /// Takes a value, without memory for a text of the same length.
    fn set(&mut self, value: &Value<'_>) {
        let number = match value {
            Value::Number(text) => Decimal::read(text),
            Value::Bool(yes) => return *self = Known::Bool(*yes),
            Value::Text(_) => None,
        };
        match (number, &mut *self) {
            (Some(number), known) => *known = Known::Number(number),
            (None, Known::Text(text)) => {
                text.clear();
                text.push_str(value.as_str());
            }
            (None, known) => *known = Known::Text(value.as_str().to_owned()),
        }
    }

    fn operand(&self) -> Option<Operand<'_>> {
        match self {
            Known::Nothing => None,
            Known::Number(number) => Some(Operand::Number(*number)),
            Known::Bool(yes) => Some(Operand::Bool(*yes)),
            Known::Text(text) => Some(Operand::Text(text)),
        }
    }
}

#[cfg(test)]
mod tests;
