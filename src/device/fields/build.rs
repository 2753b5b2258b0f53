//! From settings to what becomes of fields: names are resolved, and what is calculated comes behind what it
//! is calculated from.

use super::{Calc, Fields, Need, Rule};
use crate::base::nearest;
use crate::base::path::{BuildError, Path};
use crate::base::scalar::{Span, Token};
use crate::codec::calc::{Expression, Mention};
use crate::codec::field::{Field, FieldOverride, FieldSettings};
use crate::device::filter::Filter;
use crate::device::mapping::Mapper;
use std::collections::BTreeMap;
use std::time::Duration;

/// A field that a decoder or a register of the device has.
#[derive(Debug)]
pub(in crate::device) struct Described<'a> {
    pub name: &'a str,
    pub field: &'a Field,
    /// Where something becomes of its values behind the decoder.
    pub settings: Option<&'a FieldSettings>,
    pub publish: bool,
    /// How often it is asked for; nothing where the device speaks by itself.
    pub interval: Option<Duration>,
    /// Where it stands in the settings of the device.
    pub path: Path,
    /// What makes messages of it.
    pub mappers: &'a [Mapper],
    /// Whether frames name the device that they are of.
    pub has_nodes: bool,
    /// Whether it is a coil or a discrete input.
    pub is_bit: bool,
}

/// The fields of a device as they are described.
#[derive(Debug)]
pub(in crate::device) struct Description<'a> {
    pub device: &'a str,
    pub fields: Vec<Described<'a>>,
    /// Whether frames say which further fields there are.
    pub is_open: bool,
    /// What the device's `fields` says.
    pub overrides: &'a BTreeMap<String, FieldOverride>,
}

/// How old a value of a device that speaks by itself may be, if nothing else is said.
const MAX_AGE: Duration = Duration::from_secs(60);

/// A field that is calculated, as far as it is known.
struct Wanted<'a> {
    name: &'a str,
    settings: &'a FieldSettings,
    path: Path,
    expression: Expression,
    /// Whether a value of its own name is read, which it changes.
    is_read: bool,
}

/// What an expression names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// What is read under the name at this place of the list of them.
    Read(usize),
    /// What is calculated.
    Calc(usize),
}

impl<'a> Description<'a> {
    pub(in crate::device) fn described(&self, name: &str) -> impl Iterator<Item = &Described<'a>> {
        self.fields.iter().filter(move |field| field.name == name)
    }

    /// The running fields, and the names of those that are needed though they are not published; or all that
    /// is wrong.
    pub(in crate::device) fn build(&self) -> Result<(Fields, Vec<String>), Vec<BuildError>> {
        let mut errors = Vec::new();
        let wanted = self.wanted(&mut errors);
        let mut read: Vec<String> = Vec::new();
        let mut sources: Vec<Vec<Source>> = Vec::new();
        for calc in &wanted {
            let mut of_calc = Vec::new();
            for mention in calc.expression.names() {
                match self.source(calc, mention, &wanted, &mut read) {
                    Ok(source) => of_calc.push(source),
                    Err(error) => errors.push(error.at("calc").below(&calc.path)),
                }
            }
            sources.push(of_calc);
        }
        let order = order(&sources);
        if let Err(circle) = &order {
            errors.extend(circular(circle, &wanted, &sources));
        }
        let (Ok(order), true) = (order, errors.is_empty()) else { return Err(errors) };
        let mut fields = Fields {
            device: self.device.to_owned(),
            calculates: !wanted.is_empty(),
            ..Fields::default()
        };
        let mut keep = Vec::new();
        let is_calculated = |name: &str| wanted.iter().any(|calc| calc.name == name);
        // First those that expressions name, so that their rules have the same places.
        let others = self.fields.iter().map(|field| field.name);
        let others = others.chain(self.overrides.keys().map(String::as_str));
        for name in read.iter().map(String::as_str).chain(others) {
            if fields.rules.iter().any(|rule| rule.name == name) {
                continue;
            }
            let is_needed = read.iter().any(|needed| needed == name);
            match self.rule(name, is_needed, is_calculated(name)) {
                Ok(Some(rule)) => {
                    if is_needed && self.described(name).all(|field| !field.publish) {
                        keep.push(name.to_owned());
                    }
                    fields.rules.push(rule);
                }
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        let count = fields.rules.len();
        fields.read = (0..count).collect();
        let Fields { rules, read: by_name, .. } = &mut fields;
        by_name.sort_by(|a, b| rules[*a].name.cmp(&rules[*b].name));
        // How often a field comes, in the order of the rules.
        let mut intervals: Vec<Option<Duration>> =
            rules.iter().map(|rule| self.interval(&rule.name)).collect();
        let places: Vec<usize> = (0..wanted.len())
            .map(|calc| count + order.iter().position(|n| *n == calc).unwrap_or_default())
            .collect();
        let mut calcs: Vec<Option<Wanted<'_>>> = wanted.into_iter().map(Some).collect();
        for n in order {
            let Some(calc) = calcs.get_mut(n).and_then(Option::take) else { continue };
            let needs = sources[n].iter().map(|source| match source {
                Source::Read(n) => *n,
                Source::Calc(n) => places[*n],
            });
            let needs: Vec<usize> = needs.collect();
            let path = calc.path.clone();
            let is_needed = sources.iter().flatten().any(|source| *source == Source::Calc(n));
            let (needs, interval) = needed(&needs, &intervals, calc.settings.max_age);
            intervals.push(interval);
            match calc.rule(needs, is_needed) {
                Ok(rule) => fields.rules.push(rule),
                Err(error) => errors.push(error.below(&path)),
            }
        }
        if errors.is_empty() { Ok((fields, keep)) } else { Err(errors) }
    }

    /// All that is calculated, in the order of the settings.
    fn wanted(&self, errors: &mut Vec<BuildError>) -> Vec<Wanted<'a>> {
        let own = self.overrides.iter().filter(|(name, _)| self.described(name).next().is_none());
        let own = own.map(|(name, FieldOverride(settings))| {
            (name.as_str(), settings, Path::from(["fields", name]), false)
        });
        let described = self
            .fields
            .iter()
            .filter_map(|field| Some((field.name, field.settings?, field.path.clone(), true)));
        let mut wanted: Vec<Wanted<'a>> = Vec::new();
        for (name, settings, path, is_described) in described.chain(own) {
            // A field of several decoders is calculated in one way.
            if wanted.iter().any(|calc| calc.name == name) {
                continue;
            }
            match settings.expression() {
                Ok(None) => {}
                Ok(Some(expression)) if expression.names().is_empty() => {
                    let error = BuildError::new("no field stands in it");
                    errors.push(error.remedy("name one, or leave it out").at("calc").below(&path));
                }
                Ok(Some(expression)) => {
                    let is_own = expression.names().iter().any(|mention| mention.name == name);
                    let is_read = is_described || self.is_open && is_own;
                    wanted.push(Wanted { name, settings, path, expression, is_read });
                }
                Err(error) => errors.push(error.below(&path)),
            }
        }
        wanted
    }

    /// What a name in an expression means. `read` are the names of what is needed as it is read.
    fn source(
        &self,
        calc: &Wanted<'a>,
        mention: &Mention,
        wanted: &[Wanted<'a>],
        read: &mut Vec<String>,
    ) -> Result<Source, BuildError> {
        let name = mention.name.as_str();
        let is_own = name == calc.name && calc.is_read;
        if let Some(n) = wanted.iter().position(|calc| calc.name == name).filter(|_| !is_own) {
            return Ok(Source::Calc(n));
        }
        if !is_own && !self.is_open && self.described(name).next().is_none() {
            let names = self.fields.iter().map(|field| field.name);
            let mut names: Vec<&str> = names.chain(wanted.iter().map(|calc| calc.name)).collect();
            names.retain(|other| *other != calc.name);
            names.sort_unstable();
            names.dedup();
            let names: Vec<String> = names.into_iter().map(written).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let error = BuildError::new(format!("the device has no field {name:?}"));
            let error = error.below(&Path(vec![mention.place.clone()]));
            return Err(match names.is_empty() {
                true => error.remedy("a `decode` or `registers` gives it some"),
                false => error.remedy(nearest::suggest(name, &names)),
            });
        }
        let known = read.iter().position(|known| known == name);
        Ok(Source::Read(known.unwrap_or_else(|| {
            read.push(name.to_owned());
            read.len() - 1
        })))
    }

    /// The rule of a field that is read, if anything is to be done with it.
    fn rule(
        &self,
        name: &str,
        is_needed: bool,
        is_calculated: bool,
    ) -> Result<Option<Rule>, BuildError> {
        let mut described = self.described(name).peekable();
        let is_described = described.peek().is_some();
        if is_calculated {
            // What is published under the name is what is calculated.
            let is_read = is_described || is_needed;
            return Ok(is_read.then(|| Rule::of(name, is_needed, false)));
        }
        let publish = !is_described || self.described(name).any(|field| field.publish);
        let own = described.find_map(|field| Some((field.settings?, field.path.clone())));
        let (settings, path) = match (own, self.overrides.get(name)) {
            (Some(own), _) => own,
            (None, Some(FieldOverride(settings))) if !is_described => {
                (settings, Path::from(["fields", name]))
            }
            (None, _) => return Ok(is_needed.then(|| Rule::of(name, is_needed, publish))),
        };
        let filter = Filter::build(settings).map_err(|error| error.below(&path))?;
        Ok(Some(Rule {
            filter,
            // What nothing describes is rounded by nobody else.
            is_reshaped: settings.is_reshaped() || !is_described && settings.decimals.is_some(),
            settings: Some(Box::new(settings.clone())),
            ..Rule::of(name, is_needed, publish)
        }))
    }

    /// How often a field that is read is asked for.
    fn interval(&self, name: &str) -> Option<Duration> {
        let mut all = self.described(name).map(|field| field.interval);
        let first = all.next()?;
        all.fold(first, |a, b| Some(a?.min(b?)))
    }
}

impl Rule {
    fn of(name: &str, is_needed: bool, publish: bool) -> Rule {
        Rule {
            name: name.to_owned(),
            unit: None,
            filter: Filter::default(),
            is_reshaped: false,
            publish,
            is_needed,
            calc: None,
            settings: None,
        }
    }
}

impl Wanted<'_> {
    fn rule(self, needs: Vec<Need>, is_needed: bool) -> Result<Rule, BuildError> {
        let settings = self.settings;
        let text = settings.calc.as_ref().map_or_else(String::new, |Token(text)| text.clone());
        let convert = match self.is_read {
            // It was converted when it was read.
            true => FieldSettings::default().build_calculated()?,
            false => settings.build_calculated()?,
        };
        if settings.wraps.is_some() && !self.is_read && settings.scale.is_some() {
            let error = BuildError::new("the counter is calculated, and `scale` would count twice");
            return Err(error.remedy("multiply in `calc`").at("scale"));
        }
        Ok(Rule {
            unit: settings.unit.clone(),
            filter: Filter::build(settings)?,
            is_reshaped: true,
            calc: Some(Calc { expression: self.expression, text, needs, convert }),
            settings: Some(Box::new(settings.clone())),
            ..Rule::of(self.name, is_needed, settings.publish.unwrap_or(true))
        })
    }
}

/// What a calculated field needs of others, and how often it is calculated, where these come so often.
fn needed(
    rules: &[usize],
    intervals: &[Option<Duration>],
    max_age: Option<Span>,
) -> (Vec<Need>, Option<Duration>) {
    let interval = |rule: usize| intervals.get(rule).copied().flatten();
    let shortest = rules.iter().map(|rule| interval(*rule).unwrap_or_default()).min();
    let need = |rule: &usize| {
        let own = interval(*rule);
        Need {
            rule: *rule,
            is_awaited: Some(own.unwrap_or_default()) == shortest,
            max_age: match (max_age, own) {
                (Some(max_age), _) => max_age.duration(),
                (None, Some(interval)) => interval * 2,
                (None, None) => MAX_AGE,
            },
        }
    };
    (rules.iter().map(need).collect(), shortest.filter(|shortest| !shortest.is_zero()))
}

/// The calculated fields in an order in which each comes behind those that it needs, or some that need each
/// other in a circle.
fn order(sources: &[Vec<Source>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order: Vec<usize> = Vec::new();
    let mut rest: Vec<usize> = (0..sources.len()).collect();
    let calcs = |n: usize| {
        let all = sources.get(n).into_iter().flatten();
        all.filter_map(|source| match source {
            Source::Calc(n) => Some(*n),
            Source::Read(_) => None,
        })
    };
    while !rest.is_empty() {
        let ready = rest.iter().position(|n| calcs(*n).all(|need| order.contains(&need)));
        if let Some(ready) = ready {
            order.push(rest.remove(ready));
            continue;
        }
        // Each of the rest needs another one of them, so this way comes back to itself.
        let mut way: Vec<usize> = rest.iter().copied().take(1).collect();
        loop {
            let last = way.last().copied().unwrap_or_default();
            let next = calcs(last).find(|need| rest.contains(need)).unwrap_or(last);
            if let Some(start) = way.iter().position(|n| *n == next) {
                return Err(way.split_off(start));
            }
            way.push(next);
        }
    }
    Ok(order)
}

fn circular(
    circle: &[usize],
    wanted: &[Wanted<'_>],
    sources: &[Vec<Source>],
) -> Option<BuildError> {
    let first = *circle.first()?;
    let next = *circle.get(1).unwrap_or(&first);
    let calc = wanted.get(first)?;
    let mention = sources.get(first)?.iter().position(|source| *source == Source::Calc(next))?;
    let place = calc.expression.names().get(mention)?.place.clone();
    let names = circle.iter().chain([&first]).filter_map(|n| Some(wanted.get(*n)?.name));
    let names: Vec<&str> = names.collect();
    let error = BuildError::new(format!("a circle: {}", names.join(" → ")));
    let error = error.below(&Path(vec![place]));
    let error = error.remedy("no field can be calculated from itself");
    Some(error.at("calc").below(&calc.path))
}

/// A name as an expression has it.
fn written(name: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if begins && name.chars().all(is_word) && name != "none" {
        return name.to_owned();
    }
    format!("`{name}`")
}
