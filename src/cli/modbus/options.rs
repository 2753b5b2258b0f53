//! The command line of `tty2mqtt modbus`: the habits of mbpoll, and places as a configuration has them.

use crate::base::command_line::CliError;
use crate::base::line::{Line, Parity};
use crate::base::scalar::Span;
use crate::codec::field::Type;
use crate::codec::modbus::{ByteOrder, Mode, RegisterSettings, Table};
use crate::config::tree;
use crate::config::yaml::Tree;
use crate::port::settings::Port;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    Write,
    Scan,
}

pub(super) struct Options {
    pub(super) action: Action,
    /// The port as it was named.
    pub(super) shown: String,
    pub(super) port: Port,
    pub(super) mode: Mode,
    own_line: OwnLine,
    /// Addresses, in the order in which they are asked.
    pub(super) units: Vec<u8>,
    pub(super) place: Place,
    pub(super) count: u16,
    pub(super) format: Format,
    pub(super) values: Vec<String>,
    pub(super) timeout: Span,
    /// The time from one read to the next; once without.
    pub(super) rate: Option<Span>,
    pub(super) model: Option<String>,
    pub(super) is_quiet: bool,
    pub(super) is_verbose: bool,
    /// What was written is not read back.
    pub(super) is_blind: bool,
    pub(super) is_multiple: bool,
}

/// What the command line says of the line.
#[derive(Clone, Copy, Debug, Default)]
struct OwnLine {
    whole: Option<Line>,
    baud: Option<u32>,
    data_bits: Option<u8>,
    parity: Option<Parity>,
    stop_bits: Option<u8>,
}

/// A place in a table, and how it is called in what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) table: Table,
    /// As on the wire.
    pub(super) start: u16,
    /// mbpoll's number of the first place.
    pub(super) reference: Option<u32>,
}

/// What the registers hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Format {
    /// Default: one word without a sign, and with one where it could have it.
    pub(super) kind: Option<Type>,
    pub(super) length: Option<u16>,
    pub(super) is_hex: bool,
    pub(super) order: ByteOrder,
}

impl Format {
    /// As registers of a configuration have it.
    pub(super) fn settings(&self, table: Table, at: u16) -> RegisterSettings {
        let at = Some(at);
        let mut register = RegisterSettings::default();
        match table {
            Table::Coil => register.coil = at,
            Table::Discrete => register.discrete = at,
            Table::Input => register.input = at,
            Table::Holding => register.holding = at,
        }
        if !table.is_bits() {
            register.kind = self.kind;
            register.length = self.length;
            register.byte_order = Some(self.order);
        }
        register
    }

    /// How many registers or bits a value takes.
    pub(super) fn width(&self, table: Table) -> u16 {
        let bytes = match (self.kind, self.length) {
            _ if table.is_bits() => 1,
            (_, Some(length)) => length,
            (Some(kind), None) => kind.size().and_then(|size| size.try_into().ok()).unwrap_or(2),
            (None, None) => 2,
        };
        bytes.div_ceil(2)
    }
}

/// Port of Modbus TCP (TCP 4.2).
const MODBUS_TCP: u16 = 502;

impl Options {
    /// `None` if the help was asked for.
    pub(super) fn parse(
        action: Action,
        parser: &mut lexopt::Parser,
    ) -> Result<Option<Options>, CliError> {
        use lexopt::prelude::*;
        let (mut words, mut units, mut mode, mut own_line) =
            (Vec::new(), None, None, OwnLine::default());
        let (mut reference, mut is_zero_based, mut is_one_based) = (None, false, false);
        let (mut count, mut kind, mut order, mut is_big) = (1, None, None, false);
        let (mut timeout, mut rate, mut tcp_port, mut model) = (None, None, None, None);
        let (mut is_quiet, mut is_verbose, mut is_blind, mut is_multiple) =
            (false, false, false, false);
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Short('a') | Long("address") => {
                    units = Some(addresses(&parser.value()?.string()?)?)
                }
                Short('r') | Long("reference") => {
                    reference = Some(number(&parser.value()?.string()?)?);
                }
                Short('0') => is_zero_based = true,
                Long("one-based") => is_one_based = true,
                Short('c') | Long("count") => count = parser.value()?.parse()?,
                Short('t') | Long("type") => kind = Some(parser.value()?.string()?),
                Long("order") => order = Some(parser.value()?.parse::<ByteOrder>()?),
                Short('B') => is_big = true,
                Short('m') | Long("mode") => mode = Some(modbus(&parser.value()?.string()?)?),
                Short('p') | Long("tcp-port") => tcp_port = Some(parser.value()?.parse::<u16>()?),
                Long("line") => own_line.whole = Some(parser.value()?.parse::<Line>()?),
                Short('b') | Long("baud") => own_line.baud = Some(parser.value()?.parse()?),
                Short('d') | Long("data-bits") => {
                    own_line.data_bits = Some(parser.value()?.parse()?)
                }
                Short('s') | Long("stop-bits") => {
                    own_line.stop_bits = Some(parser.value()?.parse()?)
                }
                Short('P') | Long("parity") => {
                    own_line.parity = Some(parity(&parser.value()?.string()?)?);
                }
                Short('o') | Long("timeout") => {
                    timeout = Some(span(&parser.value()?.string()?, 1_000.0)?);
                }
                Short('l') | Long("poll-rate") => {
                    rate = Some(span(&parser.value()?.string()?, 1.0)?);
                }
                Short('1') | Long("once") => rate = None,
                Long("model") => model = Some(parser.value()?.string()?),
                Long("blind") => is_blind = true,
                Long("multiple") => is_multiple = true,
                Short('q') | Long("quiet") => is_quiet = true,
                Short('v') | Long("verbose") => is_verbose = true,
                Value(word) => words.push(word.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let mut words = words.into_iter().peekable();
        let Some(shown) = words.next() else {
            return Err(usage("name a port, as in /dev/ttyUSB0 or 192.168.1.7; see --help"));
        };
        let by_mbpoll = reference.is_some() || kind.as_deref().is_some_and(is_of_mbpoll);
        let (of_type, mut format) = format(kind.as_deref())?;
        if is_big || order.is_some() {
            format.order = order.unwrap_or_default();
        }
        let named = match words.peek().map(|word| place(word)) {
            Some(Some(named)) => {
                words.next();
                Some(named?)
            }
            _ => None,
        };
        let place = match (named, reference) {
            (Some(_), Some(_)) => {
                return Err(usage("write the place once: `input:0`, or -r and -t as for mbpoll"));
            }
            (Some((table, at)), None) => {
                let start = at.checked_sub(u32::from(is_one_based));
                let start = start.and_then(|at| u16::try_from(at).ok());
                let start = start.ok_or_else(|| usage("addresses begin at 1 with --one-based"))?;
                if of_type.is_some_and(|of_type| of_type != table) {
                    let what = format!("-t names another table than {}", table.word());
                    return Err(CliError::Usage(what));
                }
                Place { table, start, reference: is_one_based.then_some(at) }
            }
            (None, reference) => {
                let reference = reference.unwrap_or(u32::from(!is_zero_based));
                let start = reference.checked_sub(u32::from(!is_zero_based));
                let start = start.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| {
                    usage("-r is from 1 to 65536, with -0 from 0 to 65535, as for mbpoll")
                })?;
                let table = of_type.unwrap_or(Table::Holding);
                Place { table, start, reference: by_mbpoll.then_some(reference) }
            }
        };
        if named.is_none() && !by_mbpoll && action != Action::Scan && model.is_none() {
            return Err(usage(
                "say which register: `input:0`, `holding:0x10`, `coil:3`, `discrete:3`, or -r and -t as for \
                 mbpoll",
            ));
        }
        let (mut port, mode) = port(&shown, mode, tcp_port)?;
        port.line = Some(own_line.over(Line::DEFAULT)?);
        let most = if action == Action::Scan { 200 } else { 1000 };
        let options = Options {
            action,
            port,
            mode,
            own_line,
            units: units.unwrap_or_else(|| match action {
                Action::Scan => (1..=247).collect(),
                Action::Read | Action::Write => vec![1],
            }),
            place,
            count,
            format,
            values: words.collect(),
            timeout: timeout.unwrap_or(Span::from_millis(most)),
            rate,
            model,
            is_quiet,
            is_verbose,
            is_blind,
            is_multiple,
            shown,
        };
        options.check()?;
        Ok(Some(options))
    }

    fn check(&self) -> Result<(), CliError> {
        let is_write = self.action == Action::Write;
        if !is_write && let Some(value) = self.values.first() {
            return Err(CliError::Usage(format!(
                "{value:?} is too much: only `modbus write` takes values; a place is written input:0"
            )));
        }
        if is_write && self.values.is_empty() {
            return Err(usage("which values? As in `modbus write /dev/ttyUSB0 holding:32 21`"));
        }
        if is_write && self.model.is_some() {
            return Err(usage("--model is for `modbus read`"));
        }
        if is_write && self.units.len() > 1 {
            return Err(usage("one address is written to at a time; 0 is for all devices at once"));
        }
        if !is_write && self.mode != Mode::Tcp && self.units.contains(&0) {
            return Err(usage("address 0 is for all devices at once, and none of them answers"));
        }
        if is_write && matches!(self.place.table, Table::Input | Table::Discrete) {
            return Err(CliError::Usage(format!(
                "{} can only be read; holding registers and coils can be written",
                self.place.table.word()
            )));
        }
        let width = u32::from(self.format.width(self.place.table));
        let count = if is_write { self.values.len() } else { usize::from(self.count) };
        let end =
            u32::from(self.place.start) + width * u32::try_from(count).unwrap_or(u32::MAX / 256);
        if count == 0 || end > 0x1_0000 {
            return Err(usage("-c is at least 1, and the last address is 65535"));
        }
        Ok(())
    }

    /// Speed and format of the line.
    pub(super) fn line(&self) -> Line {
        self.port.line.unwrap_or(Line::DEFAULT)
    }

    /// A device file says what holds where the command line says nothing.
    pub(super) fn lay_over(&mut self, line: Option<Line>) -> Result<(), CliError> {
        self.port.line = Some(self.own_line.over(line.unwrap_or(Line::DEFAULT))?);
        Ok(())
    }
}

impl OwnLine {
    /// In place of what another line has.
    fn over(self, below: Line) -> Result<Line, CliError> {
        let below = self.whole.unwrap_or(below);
        let line = Line {
            baud: self.baud.unwrap_or(below.baud),
            data_bits: self.data_bits.unwrap_or(below.data_bits),
            parity: self.parity.unwrap_or(below.parity),
            stop_bits: self.stop_bits.unwrap_or(below.stop_bits),
        };
        // The rules of the configuration hold.
        line.to_string().parse().map_err(|error| CliError::Usage(format!("{error}")))
    }
}

fn usage(what: &str) -> CliError {
    CliError::Usage(what.into())
}

/// A number in decimal, or in hexadecimal behind `0x`.
pub(super) fn number(text: &str) -> Result<u32, CliError> {
    let number = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.ok_or_else(|| CliError::Usage(format!("{text:?} is not a number; write 12 or 0x000C")))
}

/// `input:0x10`; `None` if it names no table.
fn place(word: &str) -> Option<Result<(Table, u32), CliError>> {
    let (table, at) = word.split_once(':')?;
    let tables = [Table::Input, Table::Holding, Table::Coil, Table::Discrete];
    let table = tables.into_iter().find(|it| it.word() == table)?;
    Some(number(at).map(|at| (table, at)))
}

/// `1`, `1,5`, `1-20`, and as for mbpoll `32:40`.
fn addresses(text: &str) -> Result<Vec<u8>, CliError> {
    let wrong =
        || CliError::Usage(format!("{text:?} is no list of addresses; write 1, 1,5 or 1-20"));
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once(['-', ':']).unwrap_or((part, part));
        let byte = |text: &str| number(text).ok().and_then(|number| u8::try_from(number).ok());
        let (first, last) = (byte(first).ok_or_else(wrong)?, byte(last).ok_or_else(wrong)?);
        if first > last {
            return Err(wrong());
        }
        all.extend(first..=last);
    }
    Ok(all)
}

fn modbus(word: &str) -> Result<Mode, CliError> {
    match word {
        "rtu" => Ok(Mode::Rtu),
        "ascii" => Ok(Mode::Ascii),
        "tcp" => Ok(Mode::Tcp),
        _ => Err(usage("the mode is rtu, ascii or tcp")),
    }
}

fn parity(word: &str) -> Result<Parity, CliError> {
    match word.to_ascii_lowercase().as_str() {
        "none" | "n" => Ok(Parity::None),
        "even" | "e" => Ok(Parity::Even),
        "odd" | "o" => Ok(Parity::Odd),
        _ => Err(usage("the parity is none, even or odd")),
    }
}

/// A time with its unit; without one as mbpoll has it, in so many milliseconds.
fn span(text: &str, unit: f64) -> Result<Span, CliError> {
    match text.parse::<f64>() {
        // At least a millisecond, at most a day.
        Ok(number) => {
            let millis = (number * unit).clamp(1.0, 86_400_000.0);
            Ok(Span::from_millis(millis as u64))
        }
        Err(_) => text.parse::<Span>().map_err(|error| CliError::Usage(error.to_string())),
    }
}

/// Whether it names a table by mbpoll's number.
fn is_of_mbpoll(kind: &str) -> bool {
    matches!(kind.as_bytes(), [b'0' | b'1' | b'3' | b'4'] | [b'3' | b'4', b':', ..])
}

/// `f32`, `text:12`; `4`, `3:float` as for mbpoll, whose numbers of 32 bits have the low word first.
fn format(kind: Option<&str>) -> Result<(Option<Table>, Format), CliError> {
    let mut format = Format::default();
    let Some(word) = kind else { return Ok((None, format)) };
    let (table, word) = match word.split_at_checked(1) {
        Some(("0", "")) => return Ok((Some(Table::Coil), format)),
        Some(("1", "")) => return Ok((Some(Table::Discrete), format)),
        Some(("3", rest)) => (Some(Table::Input), rest.trim_start_matches(':')),
        Some(("4", rest)) => (Some(Table::Holding), rest.trim_start_matches(':')),
        _ => (None, word),
    };
    let (name, length) = word.split_once(':').unzip();
    let wrong = || {
        CliError::Usage(format!(
            "there is no type {word:?}; there are u16, i16, u32, i32, u64, i64, f32, f64, hex, bcd:4, text:12 \
             and bytes:8 (lengths in bytes), and mbpoll's 0, 1, 3, 4, 4:hex, 4:int16, 4:int and 4:float"
        ))
    };
    format.kind = match name.unwrap_or(word) {
        "" if table.is_some() => None,
        "hex" => {
            format.is_hex = true;
            None
        }
        "int16" if table.is_some() => Some(Type::I16),
        "int" if table.is_some() => Some(Type::I32),
        "float" if table.is_some() => Some(Type::F32),
        name => {
            let kind = tree::read::<Type>(&Tree::text(name)).map_err(|_| wrong())?;
            let is_measured = matches!(kind, Type::Bcd | Type::Text | Type::Bytes);
            format.length = match length {
                Some(length) if is_measured => Some(length.parse().map_err(|_| wrong())?),
                None if is_measured => return Err(wrong()),
                Some(_) => return Err(wrong()),
                None => None,
            };
            if !is_measured && kind.size().is_none() {
                return Err(wrong());
            }
            Some(kind)
        }
    };
    if table.is_some() && matches!(format.kind, Some(Type::I32 | Type::F32)) {
        format.order = ByteOrder::Cdab;
    }
    Ok((table, format))
}

/// The port that a word names, and the mode that is spoken there unless another one is given.
fn port(word: &str, mode: Option<Mode>, tcp_port: Option<u16>) -> Result<(Port, Mode), CliError> {
    let in_dev = Path::new("/dev").join(word);
    let path = match word {
        _ if word.starts_with(['/', '.']) => Some(word.to_owned()),
        _ if !word.contains(':') && in_dev.exists() => Some(in_dev.display().to_string()),
        _ => None,
    };
    let (key, value, usual) = match path {
        Some(path) => ("path", path, Mode::Rtu),
        None if word.contains("://") => ("tcp", word.to_owned(), Mode::Rtu),
        None => {
            // As other commands have it.
            let word = word.strip_prefix("tcp:").unwrap_or(word);
            let has_port = word.rsplit_once(':').is_some_and(|(host, port)| {
                port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
            });
            let address = match has_port {
                true => word.to_owned(),
                false => format!("{word}:{}", tcp_port.unwrap_or(MODBUS_TCP)),
            };
            ("tcp", address, Mode::Tcp)
        }
    };
    let port = tree::read::<Port>(&Tree::map(vec![(key, Tree::text(&value))]));
    Ok((port.map_err(CliError::Usage)?, mode.unwrap_or(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(action: Action, words: &str) -> Result<Options, String> {
        let words = words.split(' ').map(std::ffi::OsString::from);
        let mut parser = lexopt::Parser::from_args(words);
        let options = Options::parse(action, &mut parser);
        options.map(|options| options.unwrap()).map_err(|error| error.to_string())
    }

    fn read(words: &str) -> Options {
        parsed(Action::Read, words).unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    #[test]
    fn a_command_line_of_mbpoll_means_what_it_means_there() {
        let options = read("-m rtu -a 5 -b 115200 -P none -r 100 -c 10 -t 3:float -1 /dev/ttyS0");
        assert_eq!(options.units, [5]);
        assert_eq!(options.line().to_string(), "115200 8N1");
        let place = Place { table: Table::Input, start: 99, reference: Some(100) };
        assert_eq!((options.place, options.count), (place, 10));
        assert_eq!(options.format.kind, Some(Type::F32));
        assert_eq!(options.format.order, ByteOrder::Cdab);
        assert_eq!(read("-t4:int -B -r1 h").format.order, ByteOrder::Abcd);
        assert_eq!(read("-t4:int -0 -r 7 h").place.start, 7);
        assert_eq!(read("-a 32,33,34,36:40 -t 0 h").units, [32, 33, 34, 36, 37, 38, 39, 40]);
        assert_eq!(read("-t 1 h").place.table, Table::Discrete);
        assert_eq!(read("-t 4 -o 0.25 h").timeout, Span::from_millis(250));
        assert_eq!(read("-t 4 -l 500 h").rate, Some(Span::from_millis(500)));
        let options = parsed(Action::Write, "-t4:int -r 3 /dev/ttyUSB0 -- 123 -1568").unwrap();
        assert_eq!(options.values, ["123", "-1568"]);
    }

    #[test]
    fn places_are_written_as_in_a_configuration() {
        let options = read("/dev/ttyUSB0 input:0x10 -t f32 --order DCBA");
        assert_eq!(options.place, Place { table: Table::Input, start: 16, reference: None });
        assert_eq!(options.format.order, ByteOrder::Dcba);
        assert_eq!(options.line().to_string(), "9600 8N1");
        assert_eq!(read("h holding:40 --one-based").place.start, 39);
        assert_eq!(read("h holding:4 -t text:13").format.width(Table::Holding), 7);
        assert_eq!(read("h coil:4").format.width(Table::Coil), 1);
    }

    #[test]
    fn ports_are_ttys_or_on_the_network() {
        let mode = |words: &str| read(words).mode;
        assert_eq!(mode("/dev/ttyUSB0 input:0"), Mode::Rtu);
        assert_eq!(mode("192.168.1.7 input:0"), Mode::Tcp);
        assert_eq!(mode("-m rtu 192.168.1.7:2000 input:0"), Mode::Rtu);
        assert_eq!(mode("rfc2217://box:2000 input:0"), Mode::Rtu);
        let tcp = |words: &str| read(words).port.tcp.unwrap().to_string();
        assert_eq!(tcp("box input:0"), "box:502");
        assert_eq!(tcp("-p 1502 box input:0"), "box:1502");
        assert_eq!(tcp("tcp:box:5020 input:0"), "box:5020");
        assert_eq!(tcp("[::1]:5020 input:0"), "[::1]:5020");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        for (action, words, expected) in [
            (Action::Read, "/dev/ttyUSB0", "say which register"),
            (Action::Read, "h input:0 5", "only `modbus write` takes values"),
            (Action::Read, "h input:x", "write 12 or 0x000C"),
            (Action::Read, "h input:0 -t float", "there is no type \"float\""),
            (Action::Read, "h input:0 -t text", "text:12"),
            (Action::Read, "h input:0 -r 1", "write the place once"),
            (Action::Read, "h input:0 -t 4", "names another table"),
            (Action::Read, "h input:65535 -c 2", "the last address is 65535"),
            (Action::Read, "-r 0 h", "from 1 to 65536"),
            (Action::Read, "h input:0 -a 20-1", "no list of addresses"),
            (Action::Read, "/dev/ttyS0 input:0 -a 0", "none of them answers"),
            (Action::Read, "/dev/ttyS0 input:0 -d 9", "not a valid character format"),
            (Action::Write, "h holding:0", "which values"),
            (Action::Write, "h input:0 5", "input can only be read"),
            (Action::Write, "h holding:0 5 -a 1,2", "one address"),
        ] {
            let error = parsed(action, words).err().unwrap_or_else(|| panic!("{words} is taken"));
            assert!(error.contains(expected), "{words}: {error}");
        }
    }
}
