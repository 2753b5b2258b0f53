//! Payloads of Sparkplug B as bytes: the protocol buffer of section 6.4.1, as much of it as an edge node writes and
//! reads.

use bytes::Bytes;

/// Data types of metrics (section 6.4.16). These four are all that the gateway publishes: of the smaller integers
/// implementations have different ideas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    Int64 = 4,
    Double = 10,
    Boolean = 11,
    String = 12,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int64(i64),
    Double(f64),
    Boolean(bool),
    String(String),
}

impl Value {
    pub fn data_type(&self) -> DataType {
        match self {
            Value::Int64(_) => DataType::Int64,
            Value::Double(_) => DataType::Double,
            Value::Boolean(_) => DataType::Boolean,
            Value::String(_) => DataType::String,
        }
    }
}

/// A metric as it is written (section 6.4.6). Times are milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Metric<'a> {
    pub name: &'a str,
    pub timestamp: u64,
    /// Only in births.
    pub data_type: Option<DataType>,
    pub is_historical: bool,
    /// `None`: there is no value yet.
    pub value: Option<&'a Value>,
    /// Unit of measurement, as the property `engUnit`.
    pub unit: Option<&'a str>,
}

/// The wire types of protocol buffers that occur.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// Numbers of fields of `Payload`.
mod payload_field {
    pub const TIMESTAMP: u8 = 1;
    pub const METRICS: u8 = 2;
    pub const SEQ: u8 = 3;
}

/// Numbers of fields of `Metric`.
mod metric_field {
    pub const NAME: u8 = 1;
    pub const ALIAS: u8 = 2;
    pub const TIMESTAMP: u8 = 3;
    pub const DATATYPE: u8 = 4;
    pub const IS_HISTORICAL: u8 = 5;
    pub const IS_NULL: u8 = 7;
    pub const PROPERTIES: u8 = 9;
    pub const INT: u8 = 10;
    pub const LONG: u8 = 11;
    pub const FLOAT: u8 = 12;
    pub const DOUBLE: u8 = 13;
    pub const BOOLEAN: u8 = 14;
    pub const STRING: u8 = 15;
}

/// Numbers of fields of `PropertySet` and `PropertyValue`.
mod property_field {
    pub const KEYS: u8 = 1;
    pub const VALUES: u8 = 2;
    pub const TYPE: u8 = 1;
    pub const STRING: u8 = 8;
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The numbers of fields here are below 16: a key is one byte.
fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    out.push(field << 3 | VARINT);
    put_varint(out, number);
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A payload; one without `seq` is an NDEATH.
pub fn encode(timestamp: Option<u64>, metrics: &[Metric<'_>], seq: Option<u8>) -> Bytes {
    let (mut out, mut one) = (Vec::with_capacity(16 + 48 * metrics.len()), Vec::new());
    if let Some(timestamp) = timestamp {
        put_number(&mut out, payload_field::TIMESTAMP, timestamp);
    }
    for metric in metrics {
        one.clear();
        metric.put(&mut one);
        put_bytes(&mut out, payload_field::METRICS, &one);
    }
    if let Some(seq) = seq {
        put_number(&mut out, payload_field::SEQ, seq.into());
    }
    out.into()
}

impl Metric<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        use metric_field as field;
        put_bytes(out, field::NAME, self.name.as_bytes());
        put_number(out, field::TIMESTAMP, self.timestamp);
        if let Some(data_type) = self.data_type {
            put_number(out, field::DATATYPE, data_type as u64);
        }
        if self.is_historical {
            put_number(out, field::IS_HISTORICAL, 1);
        }
        if self.value.is_none() {
            put_number(out, field::IS_NULL, 1);
        }
        if let Some(unit) = self.unit {
            let (mut set, mut value) = (Vec::new(), Vec::new());
            put_number(&mut value, property_field::TYPE, DataType::String as u64);
            put_bytes(&mut value, property_field::STRING, unit.as_bytes());
            put_bytes(&mut set, property_field::KEYS, b"engUnit");
            put_bytes(&mut set, property_field::VALUES, &value);
            put_bytes(out, field::PROPERTIES, &set);
        }
        match self.value {
            // Negative numbers go as their two's complement (section 6.4.17).
            Some(Value::Int64(number)) => put_number(out, field::LONG, *number as u64),
            Some(Value::Double(number)) => {
                out.push(field::DOUBLE << 3 | FIXED64);
                out.extend_from_slice(&number.to_bits().to_le_bytes());
            }
            Some(Value::Boolean(yes)) => put_number(out, field::BOOLEAN, (*yes).into()),
            Some(Value::String(text)) => put_bytes(out, field::STRING, text.as_bytes()),
            None => {}
        }
    }
}

/// A payload that was received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    pub timestamp: Option<u64>,
    pub metrics: Vec<ReceivedMetric>,
    pub seq: Option<u64>,
}

/// A metric that was received. Without a name it has an alias.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceivedMetric {
    pub name: String,
    pub alias: Option<u64>,
    pub timestamp: Option<u64>,
    pub data_type: Option<u64>,
    pub is_historical: bool,
    pub value: Option<Raw>,
}

/// A value as it stands in the protocol buffer; its meaning depends on the data type.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    Int(u32),
    Long(u64),
    Float(f32),
    Double(f64),
    Boolean(bool),
    String(String),
}

/// A payload is no such protocol buffer, or has more metrics than anybody commands at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no payload of Sparkplug B")]
pub struct Malformed;

/// Most metrics of a payload that is read: it bounds the memory that a few bytes can take.
pub const MOST_METRICS: usize = 256;

pub fn decode(bytes: &[u8]) -> Result<Received, Malformed> {
    let mut received = Received::default();
    let mut reader = Reader(bytes);
    while let Some((field, item)) = reader.next()? {
        match (field, item) {
            (1, Item::Number(number)) => received.timestamp = Some(number),
            (2, Item::Bytes(bytes)) if received.metrics.len() < MOST_METRICS => {
                received.metrics.push(decode_metric(bytes)?);
            }
            (2, _) => return Err(Malformed),
            (3, Item::Number(number)) => received.seq = Some(number),
            // What other versions may add is passed over, as protocol buffers want it.
            _ => {}
        }
    }
    Ok(received)
}

fn decode_metric(bytes: &[u8]) -> Result<ReceivedMetric, Malformed> {
    use metric_field as field;
    let mut metric = ReceivedMetric::default();
    let (mut reader, mut is_null) = (Reader(bytes), false);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Malformed);
    while let Some((number, item)) = reader.next()? {
        let Ok(number) = u8::try_from(number) else { continue };
        match (number, item) {
            (field::NAME, Item::Bytes(bytes)) => metric.name = text(bytes)?,
            (field::ALIAS, Item::Number(alias)) => metric.alias = Some(alias),
            (field::TIMESTAMP, Item::Number(time)) => metric.timestamp = Some(time),
            (field::DATATYPE, Item::Number(kind)) => metric.data_type = Some(kind),
            (field::IS_HISTORICAL, Item::Number(yes)) => metric.is_historical = yes != 0,
            (field::IS_NULL, Item::Number(yes)) => is_null = yes != 0,
            (field::INT, Item::Number(value)) => metric.value = Some(Raw::Int(value as u32)),
            (field::LONG, Item::Number(value)) => metric.value = Some(Raw::Long(value)),
            (field::BOOLEAN, Item::Number(yes)) => metric.value = Some(Raw::Boolean(yes != 0)),
            (field::FLOAT, Item::Fixed32(bits)) => {
                metric.value = Some(Raw::Float(f32::from_bits(bits)));
            }
            (field::DOUBLE, Item::Fixed64(bits)) => {
                metric.value = Some(Raw::Double(f64::from_bits(bits)));
            }
            (field::STRING, Item::Bytes(bytes)) => metric.value = Some(Raw::String(text(bytes)?)),
            _ => {}
        }
    }
    metric.value = metric.value.filter(|_| !is_null);
    Ok(metric)
}

/// Reads one field of a protocol buffer after the other.
struct Reader<'a>(&'a [u8]);

enum Item<'a> {
    Number(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(u64, Item<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let item = match (key & 7) as u8 {
            VARINT => Item::Number(self.varint()?),
            FIXED64 => Item::Fixed64(u64::from_le_bytes(self.array()?)),
            FIXED32 => Item::Fixed32(u32::from_le_bytes(self.array()?)),
            BYTES => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Item::Bytes(self.take(length)?)
            }
            // Groups are long out of use.
            _ => return Err(Malformed),
        };
        Ok(Some((key >> 3, item)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metric<'a>(name: &'a str, value: Option<&'a Value>) -> Metric<'a> {
        let (timestamp, data_type) = (1_700_000_000_123, value.map(Value::data_type));
        Metric { name, timestamp, data_type, is_historical: false, value, unit: Some("°C") }
    }

    fn raw(value: &Value) -> Raw {
        match value {
            Value::Int64(number) => Raw::Long(*number as u64),
            Value::Double(number) => Raw::Double(*number),
            Value::Boolean(yes) => Raw::Boolean(*yes),
            Value::String(text) => Raw::String(text.clone()),
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int64),
            any::<f64>().prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,40}".prop_map(Value::String),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            values in proptest::collection::vec((".{0,20}", proptest::option::of(value()), any::<bool>()), 0..20),
            timestamp in any::<Option<u64>>(),
            seq in any::<Option<u8>>(),
        ) {
            let metrics: Vec<Metric<'_>> = values
                .iter()
                .map(|(name, value, is_historical)| Metric {
                    is_historical: *is_historical,
                    ..metric(name, value.as_ref())
                })
                .collect();
            let received = decode(&encode(timestamp, &metrics, seq)).unwrap();
            prop_assert_eq!((received.timestamp, received.seq), (timestamp, seq.map(u64::from)));
            prop_assert_eq!(received.metrics.len(), metrics.len());
            for (received, (name, value, is_historical)) in received.metrics.iter().zip(&values) {
                prop_assert_eq!((&received.name, received.is_historical), (name, *is_historical));
                prop_assert_eq!(&received.value, &value.as_ref().map(raw));
                prop_assert_eq!(received.data_type, value.as_ref().map(|it| it.data_type() as u64));
            }
        }

        #[test]
        fn random_bytes_and_cut_payloads_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            value in value(),
        ) {
            if let Ok(received) = decode(&bytes) {
                prop_assert!(received.metrics.len() <= MOST_METRICS);
            }
            let whole = encode(Some(1), &[metric("a", Some(&value))], Some(255));
            for end in 0..whole.len() {
                let _ = decode(&whole[..end]);
            }
        }
    }

    #[test]
    fn bytes_of_a_small_payload() {
        let value = Value::Int64(-1);
        let metric =
            Metric { data_type: None, unit: None, timestamp: 5, ..metric("n", Some(&value)) };
        let expected = [
            8, 150, 1, 18, 16, 10, 1, b'n', 24, 5, 88, 255, 255, 255, 255, 255, 255, 255, 255, 255,
            1, 24, 7,
        ];
        assert_eq!(encode(Some(150), &[metric], Some(7))[..], expected);
    }

    #[test]
    fn a_payload_of_nothing_but_metrics_is_bounded() {
        assert_eq!(decode(&[18, 0].repeat(MOST_METRICS)).unwrap().metrics.len(), MOST_METRICS);
        assert_eq!(decode(&[18, 0].repeat(MOST_METRICS + 1)), Err(Malformed));
    }

    #[test]
    fn fields_that_are_unknown_here_are_passed_over() {
        let mut bytes = vec![34, 1, b'u', 42, 2, 0, 0, 18, 9, 10, 1, b'n', 66, 0, 80, 3, 40, 0];
        bytes.extend([48, 9]);
        let received = decode(&bytes).unwrap();
        assert_eq!(received.metrics[0].name, "n");
        assert_eq!(received.metrics[0].value, Some(Raw::Int(3)));
    }
}
