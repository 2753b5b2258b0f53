//! The metrics of one device, and what the host applications know of them.

use super::payload::{DataType, Metric, Value};
use crate::codec::field::{Kind, Values};
use crate::device::outline::{Outline, Takes};
use crate::gateway::format::reading::{Reading, Scalar};

/// Most metrics of a device; further fields of frames that name their own are not published.
const MOST_METRICS: usize = 1000;

/// A device (section 1.4.1.4), which is born once it can be read, and dies when it cannot.
#[derive(Debug, Default)]
pub(super) struct Device {
    pub name: String,
    metrics: Vec<MetricState>,
    /// The number of the port on which it was read last.
    pub port: u16,
    /// Whether it can be read now.
    pub is_online: bool,
    /// When its birth of this session was sent, in milliseconds since 1970.
    pub born: Option<u64>,
}

/// What is known of a metric.
#[derive(Debug)]
struct MetricState {
    name: String,
    unit: Option<String>,
    /// `None` until the first value.
    data_type: Option<DataType>,
    value: Option<Value>,
    /// When the value was measured.
    at: u64,
    /// Whether the last birth had the value.
    is_told: bool,
}

impl Device {
    pub fn named(name: &str) -> Device {
        Device { name: name.to_owned(), ..Device::default() }
    }

    /// A device of which nothing was read yet.
    pub fn outlined(outline: &Outline) -> Device {
        let mut device = Device::named(&outline.device);
        // Those of the nodes that a frame names are announced with the nodes.
        for field in outline.fields.iter().filter(|field| !field.has_nodes) {
            device.announce(&field.name, field.unit.as_deref(), type_of(&field.values));
        }
        for command in &outline.commands {
            device.announce(&command.name, None, Some(type_taken(&command.takes)));
        }
        device
    }

    /// A metric that is known before it has a value.
    fn announce(&mut self, name: &str, unit: Option<&str>, data_type: Option<DataType>) {
        if let Some(metric) = self.metrics.iter_mut().find(|metric| metric.name == name) {
            metric.unit = metric.unit.take().or(unit.map(str::to_owned));
            return;
        }
        let (name, unit) = (name.to_owned(), unit.map(str::to_owned));
        self.metrics.push(MetricState {
            name,
            unit,
            data_type,
            value: None,
            at: 0,
            is_told: false,
        });
    }

    /// Takes over the values that were known before a reload.
    pub fn adopt(&mut self, old: Device) {
        self.is_online = old.is_online;
        for old in old.metrics {
            if let (Some(value), Some(place)) = (old.value, self.place(&old.name)) {
                self.metrics[place].take(value, old.at, true);
            }
        }
    }

    /// Notes what was read. What changes a metric's type, or is a new metric, needs another birth. `is_fresh`: it
    /// comes from the port and not from the outbox, so that of two values of one millisecond it is the later one.
    pub fn learn(&mut self, readings: &[Reading], at: u64, is_fresh: bool) {
        for Reading { field, value } in readings {
            let place = match self.place(field) {
                Some(place) => place,
                None if self.metrics.len() < MOST_METRICS => {
                    self.announce(field, None, None);
                    self.metrics.len() - 1
                }
                None => continue,
            };
            if self.metrics[place].take(value_of(value), at, is_fresh) {
                self.born = None;
            }
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.metrics.iter().position(|metric| metric.name == name)
    }

    /// Whether there is anything to be born with. A metric without a type is none yet.
    pub fn is_known(&self) -> bool {
        self.metrics.iter().any(|metric| metric.data_type.is_some())
    }

    /// All metrics with their present values (section 6.4.20). One without a value has the time `now`.
    pub fn birth<'a>(&'a self, now: u64) -> Vec<Metric<'a>> {
        let known = self.metrics.iter().filter(|metric| metric.data_type.is_some());
        let metric = |it: &'a MetricState| Metric {
            name: &it.name,
            timestamp: if it.value.is_some() { it.at } else { now },
            data_type: it.data_type,
            is_historical: false,
            value: it.value.as_ref(),
            unit: it.unit.as_deref(),
        };
        known.map(metric).collect()
    }

    /// Whether these readings are the values that the last birth had.
    pub fn has_told(&self, readings: &[Reading], at: u64) -> bool {
        readings.iter().all(|Reading { field, value }| {
            let metric = self.place(field).and_then(|place| self.metrics.get(place));
            metric.is_some_and(|metric| {
                let value = metric.data_type.map(|kind| fit(value_of(value), kind));
                metric.is_told && metric.at == at && metric.value == value
            })
        })
    }

    /// Its birth was sent.
    pub fn is_born(&mut self, now: u64) {
        self.born = Some(now);
        self.metrics.iter_mut().for_each(|metric| metric.is_told = true);
    }

    /// The values of a message in the types of their metrics, which [`Device::learn`] has made fit.
    pub fn values(&self, readings: Vec<Reading>) -> Vec<(String, Value)> {
        let value = |Reading { field, value }: Reading| {
            let data_type = self.metrics.get(self.place(&field)?)?.data_type?;
            Some((field, fit(value_of(&value), data_type)))
        };
        readings.into_iter().filter_map(value).collect()
    }
}

impl MetricState {
    /// Takes a value, unless a newer one is known. Returns whether the metric has another type now.
    fn take(&mut self, value: Value, at: u64, is_fresh: bool) -> bool {
        let common = match self.data_type {
            None => value.data_type(),
            Some(own) => common(own, &value),
        };
        let is_changed = self.data_type != Some(common);
        self.data_type = Some(common);
        if at > self.at || is_fresh && at == self.at || self.value.is_none() {
            (self.value, self.at, self.is_told) = (Some(fit(value, common)), at, false);
        } else if is_changed {
            self.value = self.value.take().map(|value| fit(value, common));
        }
        is_changed
    }
}

/// The type of a field's metric, as far as its settings say it.
fn type_of(values: &Values) -> Option<DataType> {
    if values.is_closed && is_on_off(&values.words) {
        return Some(DataType::Boolean);
    }
    match values.kind {
        _ if !values.words.is_empty() => Some(DataType::String),
        Kind::Any => None,
        Kind::Number if values.decimals == Some(0) => Some(DataType::Int64),
        Kind::Number => Some(DataType::Double),
        Kind::Text | Kind::Timestamp | Kind::Date => Some(DataType::String),
    }
}

/// The type of the metric of a command whose state nobody reports.
fn type_taken(takes: &Takes) -> DataType {
    match takes {
        Takes::Words(words) if is_on_off(words) => DataType::Boolean,
        Takes::Words(_) | Takes::Text { .. } => DataType::String,
        Takes::Number { is_whole: true, .. } => DataType::Int64,
        Takes::Number { .. } => DataType::Double,
        Takes::Anything => DataType::Boolean,
    }
}

/// Whether a command takes the words of a switch.
pub(super) fn is_switch(takes: &Takes) -> bool {
    matches!(takes, Takes::Words(words) if is_on_off(words))
}

fn is_on_off(words: &[String]) -> bool {
    words.len() == 2 && ["ON", "OFF"].iter().all(|word| words.iter().any(|it| it == word))
}

fn value_of(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Boolean(yes) => Value::Boolean(*yes),
        Scalar::Text(text) => Value::String(text.clone()),
        Scalar::Number(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => Value::Int64(number),
            (_, Ok(number)) if number.is_finite() => Value::Double(number),
            _ => Value::String(text.clone()),
        },
    }
}

/// The type that holds a value besides those of a type.
fn common(own: DataType, value: &Value) -> DataType {
    use DataType::{Boolean, Double, Int64};
    match (own, value.data_type()) {
        (own, other) if own == other => own,
        (Boolean, _) if switched(value).is_some() => Boolean,
        (Int64 | Double, Int64 | Double) => Double,
        _ => DataType::String,
    }
}

/// What the words of a switch mean.
fn switched(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(yes) => Some(*yes),
        Value::String(text) => match text.as_str() {
            "ON" => Some(true),
            "OFF" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The value in another type, which holds it.
fn fit(value: Value, data_type: DataType) -> Value {
    match (data_type, value) {
        (DataType::Boolean, value) => Value::Boolean(switched(&value).unwrap_or_default()),
        (DataType::Double, Value::Int64(number)) => Value::Double(number as f64),
        (DataType::String, Value::Boolean(yes)) => Value::String(yes.to_string()),
        (DataType::String, Value::Int64(number)) => Value::String(number.to_string()),
        (DataType::String, Value::Double(number)) => Value::String(number.to_string()),
        (_, value) => value,
    }
}
