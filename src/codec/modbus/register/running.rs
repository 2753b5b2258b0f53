//! A running register: its bytes become a value, a payload becomes the request that writes it.

use super::encode::{EncodeError, Writable};
use crate::base::scalar::Span;
use crate::codec::bounds::Bounds;
use crate::codec::decimal::Decimal;
use crate::codec::decode::{Cell, Decoded};
use crate::codec::field::{Field, Type};
use crate::codec::modbus::{ByteOrder, Place, Request, Table};
use crate::codec::value::{RejectReason, Value};
use std::ops::Range;

/// A register that runs.
#[derive(Debug)]
pub struct Register {
    pub name: String,
    /// What has to be read for it; with `scale_from` the power of ten as well.
    pub place: Place,
    /// How often it is read, if not as often as its device.
    pub interval: Option<Span>,
    pub publish: bool,
    /// Its own bytes among those of its place.
    pub(super) bytes: Range<usize>,
    pub field: Field,
    /// Where the value is among its own bytes.
    pub(super) cell: Cell,
    pub(super) order: ByteOrder,
    pub(super) power: Option<Power>,
    /// Most registers cannot be written.
    pub(super) writable: Option<Box<Writable>>,
}

/// What may be written into a register.
#[derive(Clone, Debug)]
pub struct Writes<'a> {
    /// Nothing but these words.
    pub words: Option<Vec<&'a str>>,
    /// Numbers, with the step that it can hold.
    pub bounds: Option<(Bounds, Option<Decimal>)>,
    /// Most characters of a text.
    pub longest: usize,
}

/// The register that holds a power of ten.
#[derive(Debug)]
pub(super) struct Power {
    /// Its bytes among those of the place.
    pub(super) bytes: Range<usize>,
    pub(super) order: ByteOrder,
}

/// The highest power of ten that a device means. SunSpec has 10; its -32768 says that there is no value.
const MOST_POWER: i16 = 18;

impl Register {
    pub fn table(&self) -> Table {
        self.place.table
    }

    pub fn is_writable(&self) -> bool {
        self.writable.is_some()
    }

    /// Adds the value that `payload` has, the bytes of its [place](Register::place); of a coil or a
    /// discrete input one byte, 0 or 1.
    pub fn decode<'a>(&'a self, payload: &'a [u8], out: &mut Decoded<'a>) {
        let bytes =
            if self.table().is_bits() { payload.get(..1) } else { payload.get(self.bytes.clone()) };
        match bytes {
            Some(bytes) => Cell::add(out, &self.field, self.value(bytes, payload), bytes),
            None => out.missing(&self.name),
        }
    }

    fn value<'a>(
        &'a self,
        bytes: &'a [u8],
        payload: &[u8],
    ) -> Result<Option<Value<'a>>, RejectReason> {
        let cell = &self.cell;
        if matches!(cell.stored.kind, Type::Text | Type::Bytes) {
            if !self.order.swaps() {
                return cell
                    .value(&self.field.convert, bytes.get(cell.at.clone()).unwrap_or(bytes));
            }
            let mut swapped = bytes.to_vec();
            self.order.arrange_text(&mut swapped);
            let bytes = swapped.get(cell.at.clone()).unwrap_or(&swapped);
            return Ok(cell.value(&self.field.convert, bytes)?.map(Value::into_owned));
        }
        // The longest number is a bcd of 16 bytes.
        let mut number = [0; 16];
        let Some(number) = number.get_mut(..bytes.len()) else {
            return Err(RejectReason::Malformed);
        };
        number.copy_from_slice(bytes);
        self.order.arrange(number);
        let number = number.get(cell.at.clone()).ok_or(RejectReason::Malformed)?;
        let Some(power) = &self.power else {
            return cell.stored.number(&self.field.convert, number);
        };
        match power.of(payload) {
            Some(power) => cell.stored.powered(&self.field.convert, number, power),
            None => Ok(None),
        }
    }

    /// The words and the numbers that may be written.
    pub fn writes(&self) -> Option<Writes<'_>> {
        let writable = self.writable.as_deref()?;
        let is_number = !matches!(writable.kind, Type::Text | Type::Bytes) && !writable.is_select;
        // Any step that the register can hold.
        let is_float = matches!(writable.kind, Type::F32 | Type::F64);
        let scale = writable.scale.unwrap_or(Decimal::from(1)).absolute();
        let step = writable.bounds.step().or(scale.filter(|_| !is_float));
        Some(Writes {
            words: writable.is_select.then(|| writable.words.keys().map(String::as_str).collect()),
            bounds: is_number.then_some((writable.bounds, step)),
            longest: writable.length * if writable.kind == Type::Bytes { 2 } else { 1 },
        })
    }

    /// The request that writes a payload.
    pub fn encode(&self, payload: &str) -> Result<Request, EncodeError> {
        let writable = self.writable.as_ref().ok_or(EncodeError::ReadOnly)?;
        writable.encode(payload, self.place.start, self.order)
    }

    /// The value as it is published, of the registers as they were read back or [as they were
    /// written](Request::written); empty if there is none.
    pub fn write_text(&self, payload: &[u8]) -> String {
        let mut out = Decoded::default();
        self.decode(payload, &mut out);
        out.readings.pop().map_or_else(String::new, |reading| reading.value.as_str().to_owned())
    }
}

impl Power {
    /// `None` when the device says that it has no value.
    fn of(&self, payload: &[u8]) -> Option<i8> {
        let [high, low] = payload.get(self.bytes.clone())? else { return None };
        let mut word = [*high, *low];
        self.order.arrange(&mut word);
        let power = i16::from_be_bytes(word);
        i8::try_from(power).ok().filter(|_| (-MOST_POWER..=MOST_POWER).contains(&power))
    }
}
