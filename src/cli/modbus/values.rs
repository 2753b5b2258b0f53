//! Values of registers as they are printed, and values as they are written.

use super::options::{Format, Options, Place};
use crate::base::command_line::CliError;
use crate::base::path::BuildError;
use crate::base::plain::plain;
use crate::codec::decode::Decoded;
use crate::codec::field::Type;
use crate::codec::modbus::{
    ByteOrder, Group, MOST_REGISTERS, Register, RegisterSettings, Request, Table, Write,
    WriteSettings, register,
};
use std::fmt::Write as _;

/// How many lines for a configuration are printed at most.
const MOST_LINES: usize = 8;

/// What one request reads of so many values.
pub(super) fn groups(place: Place, format: &Format, count: u16) -> Vec<Group> {
    let width = format.width(place.table);
    let most =
        if place.table.is_bits() { 16 * MOST_REGISTERS } else { MOST_REGISTERS / width.max(1) };
    let most = most.max(1);
    let group = |first: u16| Group {
        table: place.table,
        start: place.start + first * width,
        count: width * most.min(count - first),
        members: Vec::new(),
    };
    (0..count).step_by(usize::from(most)).map(group).collect()
}

/// The values in the answer to a group, each with its address.
pub(super) fn texts(group: &Group, format: &Format, payload: &[u8]) -> Vec<(u16, String)> {
    let width = format.width(group.table).max(1);
    let text = |n: u16| {
        let at = group.start + n * width;
        let text = match running(&format.settings(group.table, at)) {
            Ok(register) => {
                let bytes = group.slice(register.place, payload).unwrap_or_default();
                match (bytes, format.kind) {
                    ([high, low], None) => word(u16::from_be_bytes([*high, *low]), format.is_hex),
                    (bytes, _) if group.table.is_bits() => bit(bytes),
                    (bytes, _) => value(&register, bytes),
                }
            }
            Err(error) => error.to_string(),
        };
        (at, text)
    };
    (0..group.count / width).map(text).collect()
}

/// As mbpoll shows a word that may have a sign.
fn word(word: u16, is_hex: bool) -> String {
    match word.cast_signed() {
        _ if is_hex => format!("0x{word:04X}"),
        negative @ ..0 => format!("{word} ({negative})"),
        _ => word.to_string(),
    }
}

fn bit(bytes: &[u8]) -> String {
    String::from(if bytes == [1] { "1" } else { "0" })
}

/// What a register says; in brackets why it says nothing.
pub(super) fn value(register: &Register, bytes: &[u8]) -> String {
    let mut out = Decoded::default();
    register.decode(bytes, &mut out);
    if let Some(reading) = out.readings.first() {
        return plain(reading.value.as_str());
    }
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let why = if out.rejected.is_empty() { "no value" } else { "not of this type" };
    format!("({why}: {})", bytes.join(" "))
}

fn running(settings: &RegisterSettings) -> Result<Register, BuildError> {
    let built = register::build_all([("value", settings)], ByteOrder::Abcd);
    let first = built.map(|mut all| all.pop());
    match first {
        Ok(Some(register)) => Ok(register),
        Ok(None) => Err(BuildError::new("there is no register")),
        Err(errors) => Err(errors.into_iter().next().unwrap_or_else(|| BuildError::new("wrong"))),
    }
}

/// What stands before a value: its place, or mbpoll's number.
pub(super) fn label(place: Place, at: u16) -> String {
    match place.reference {
        Some(reference) => format!("[{}]:", reference + u32::from(at - place.start)),
        None => format!("{}:0x{at:04X}", place.table.word()),
    }
}

/// Lines for the `registers` of a configuration.
pub(super) fn configured(options: &Options) -> String {
    let Options { place, format, .. } = options;
    let mut lines = String::from("for a configuration, below `registers:`\n");
    let mut settings = String::new();
    // Writing to a String does not fail.
    if let (Some(kind), false) = (format.kind, place.table.is_bits()) {
        let _ = write!(settings, ", type: {}", format!("{kind:?}").to_lowercase());
    }
    if let Some(length) = format.length {
        let _ = write!(settings, ", length: {length}");
    }
    if format.order != ByteOrder::Abcd {
        let order = format!("{:?}", format.order).to_uppercase();
        let _ = write!(settings, ", byte_order: {order}");
    }
    let width = format.width(place.table);
    for n in (0..options.count).take(MOST_LINES) {
        let (table, at) = (place.table.word(), place.start + n * width);
        let _ = writeln!(lines, "  {table}_{at}: {{{table}: 0x{at:04X}{settings}}}");
    }
    lines
}

/// The request that writes these values.
pub(super) fn written(options: &Options) -> Result<Request, CliError> {
    let place = options.place;
    if place.table == Table::Coil {
        let bits = options.values.iter().map(|text| match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "true" => Ok(true),
            "0" | "off" | "false" => Ok(false),
            _ => Err(CliError::Usage(format!("{text:?} is no state of a coil; write 0 or 1"))),
        });
        let values = bits.collect::<Result<Vec<_>, _>>()?;
        return match values[..] {
            [on] if !options.is_multiple => Ok(Request::WriteCoil { at: place.start, on }),
            _ if values.len() > 1968 => {
                Err(CliError::Usage("one request writes at most 1968 coils".into()))
            }
            _ => Ok(Request::WriteCoils { at: place.start, values }),
        };
    }
    let mut values = Vec::new();
    for text in &options.values {
        values.extend(words(&options.format, text)?);
    }
    match values[..] {
        [value] if !options.is_multiple => Ok(Request::WriteRegister { at: place.start, value }),
        _ if values.len() > 123 => {
            Err(CliError::Usage("one request writes at most 123 registers".into()))
        }
        _ => Ok(Request::WriteRegisters { at: place.start, values }),
    }
}

/// The registers of one value.
fn words(format: &Format, text: &str) -> Result<Vec<u16>, CliError> {
    let mut settings = format.settings(Table::Holding, 0);
    let is_negative = text.starts_with('-');
    if format.kind.is_none() && is_negative {
        settings.kind = Some(Type::I16);
    }
    settings.write = Write::Yes(WriteSettings::default());
    let wrong = |what: &dyn std::fmt::Display| CliError::Usage(format!("{text:?}: {what}"));
    let register = running(&settings).map_err(|error| wrong(&error))?;
    // Hexadecimal digits are a number of whatever type has numbers.
    let is_text = matches!(format.kind, Some(Type::Text | Type::Bytes));
    let decimal = match text.strip_prefix("0x").filter(|_| !is_text) {
        Some(digits) => u64::from_str_radix(digits, 16).map(|number| number.to_string()).ok(),
        None => None,
    };
    let request = register.encode(decimal.as_deref().unwrap_or(text));
    let bytes = request.map_err(|error| wrong(&error))?.written();
    let word = |pair: &[u8]| pair.iter().fold(0, |word, byte| word << 8 | u16::from(*byte));
    Ok(bytes.chunks(2).map(word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(kind: Option<Type>) -> Format {
        Format { kind, ..Format::default() }
    }

    #[test]
    fn values_are_shown_as_their_type_has_them() {
        let group = Group { table: Table::Holding, start: 10, count: 2, members: Vec::new() };
        let shown = |format: &Format, bytes: &[u8]| texts(&group, format, bytes);
        assert_eq!(
            shown(&format(None), &[0xFF, 0xE2, 0, 1]),
            [(10, "65506 (-30)".to_owned()), (11, "1".to_owned())]
        );
        let f32 = format(Some(Type::F32));
        assert_eq!(shown(&f32, &230.5_f32.to_be_bytes()), [(10, "230.5".to_owned())]);
        assert_eq!(shown(&f32, &[0xFF; 4]), [(10, "(no value: ff ff ff ff)".to_owned())]);
        let hex = Format { is_hex: true, ..Format::default() };
        assert_eq!(shown(&hex, b"mp 1")[0].1, "0x6D70");
        let coils = Group { table: Table::Coil, start: 0, count: 3, members: Vec::new() };
        let bits = texts(&coils, &format(None), &[0b101]);
        assert_eq!(bits.iter().map(|(_, bit)| bit.as_str()).collect::<Vec<_>>(), ["1", "0", "1"]);
    }

    #[test]
    fn long_reads_are_several_requests_and_no_value_is_cut() {
        let place = Place { table: Table::Input, start: 0, reference: None };
        let groups = groups(place, &format(Some(Type::F64)), 40);
        let shape: Vec<_> = groups.iter().map(|group| (group.start, group.count)).collect();
        assert_eq!(shape, [(0, 124), (124, 36)]);
    }

    #[test]
    fn values_become_words() {
        let words_of = |kind, text: &str| words(&format(kind), text);
        assert_eq!(words_of(None, "-30").unwrap(), [65506]);
        assert_eq!(words_of(None, "0x1F").unwrap(), [31]);
        assert_eq!(words_of(Some(Type::U32), "70000").unwrap(), [1, 4464]);
        assert_eq!(words_of(Some(Type::F32), "-1234.5").unwrap(), [0xC49A, 0x5000]);
        assert!(words_of(None, "70000").unwrap_err().to_string().contains("65535"));
        assert!(
            words_of(Some(Type::F32), "much").unwrap_err().to_string().contains("not a number")
        );
    }
}
