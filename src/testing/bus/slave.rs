//! A simulated slave: its tables, how it answers, and what is wrong with it.

use super::Chance;
use crate::codec::modbus::adu::Adu;
use crate::codec::modbus::{Exception, MOST_REGISTERS, Mode, Table, frame};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// What is wrong with a slave, or with the line to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never answers.
    Dead,
    /// The next so many requests are not answered.
    Silent(u32),
    /// It answers with the next unit address.
    WrongUnit,
    BadChecksum,
    /// So many bytes at the end of the answer are lost.
    Short(usize),
    /// The answer comes so much later.
    Late(Duration),
    /// It says so many random bytes after any request, also one to another slave.
    Babble(usize),
    /// It repeats the request before it answers.
    Echo,
    /// So many random bytes stand directly before the answer and behind it.
    Noise(usize),
    /// It refuses the request.
    Exception(Exception),
}

/// A slave with its tables. Places that have no value do not exist: exception 2 answers them.
pub struct Slave {
    pub unit: u8,
    /// How long it takes until it answers; never less than the silence after the request.
    pub delay: Duration,
    /// Most registers, or sixteen times as many bits, that it reads at once.
    pub most: u16,
    /// How it refuses more.
    pub refuses_more: Exception,
    /// It hears no request that comes less than 3.5 characters after anything else on the line.
    pub is_strict: bool,
    /// How many requests it has heard.
    pub requests: u64,
    pub(super) is_deaf: bool,
    /// When the last of what it says is said.
    pub(super) busy_until: Option<Instant>,
    faults: Vec<(Fault, u32)>,
    values: BTreeMap<(Table, u16), u16>,
    function: Option<Box<Function>>,
    observer: Option<Box<Observer>>,
}

/// The value of each place that has one.
type Function = dyn Fn(Table, u16) -> Option<u16> + Send + Sync;

/// Is told the table, the first address and the values of each read that is answered.
type Observer = dyn Fn(Table, u16, &[u16]) + Send + Sync;

impl fmt::Debug for Slave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.values.len();
        let slave = (self.unit, self.requests, places, &self.faults);
        f.debug_tuple("Slave").field(&slave).finish()
    }
}

const ILLEGAL_FUNCTION: Exception = Exception(1);

/// What a slave says, and how long after the request.
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) bytes: Vec<u8>,
}

impl Slave {
    /// A slave without values, that answers at once.
    pub fn new(unit: u8) -> Slave {
        Slave {
            unit,
            delay: Duration::ZERO,
            most: MOST_REGISTERS,
            refuses_more: Exception::ILLEGAL_DATA_VALUE,
            is_strict: false,
            requests: 0,
            is_deaf: false,
            busy_until: None,
            faults: Vec::new(),
            values: BTreeMap::new(),
            function: None,
            observer: None,
        }
    }

    /// The same with values from a place on; bits are 0 or 1.
    pub fn with(mut self, table: Table, start: u16, values: &[u16]) -> Slave {
        for (n, value) in (0..).zip(values) {
            self.set(table, start.wrapping_add(n), *value);
        }
        self
    }

    /// The same with the value of each place that was not set or written.
    pub fn by(self, function: impl Fn(Table, u16) -> Option<u16> + Send + Sync + 'static) -> Slave {
        Slave { function: Some(Box::new(function)), ..self }
    }

    /// The same with somebody who is told the values of each read that it answers.
    pub fn observed(self, observer: impl Fn(Table, u16, &[u16]) + Send + Sync + 'static) -> Slave {
        Slave { observer: Some(Box::new(observer)), ..self }
    }

    /// The same with a time that it takes to answer.
    pub fn after(self, delay: Duration) -> Slave {
        Slave { delay, ..self }
    }

    /// The same with a bound on how many registers it reads at once, and the exception beyond that.
    pub fn limited(self, most: u16, refuses_more: Exception) -> Slave {
        Slave { most, refuses_more, ..self }
    }

    /// The same, but hearing no request that comes too early.
    pub fn strict(self) -> Slave {
        Slave { is_strict: true, ..self }
    }

    /// The same with a fault that each answer has.
    pub fn always(self, fault: Fault) -> Slave {
        self.one_in(1, fault)
    }

    /// The same with a fault that one answer in `n` has, by chance.
    pub fn one_in(mut self, n: u32, fault: Fault) -> Slave {
        self.faults.push((fault, n));
        self
    }

    /// From now on it has these faults only, always.
    pub fn fail(&mut self, faults: &[Fault]) {
        self.faults = faults.iter().map(|fault| (*fault, 1)).collect();
    }

    pub fn set(&mut self, table: Table, at: u16, value: u16) {
        self.values.insert((table, at), value);
    }

    /// The value of a place, `None` if there is no such place.
    pub fn get(&self, table: Table, at: u16) -> Option<u16> {
        let set = self.values.get(&(table, at)).copied();
        set.or_else(|| self.function.as_ref().and_then(|function| function(table, at)))
    }

    /// Hears a frame on the line, and says what it says.
    pub(super) fn hear(
        &mut self,
        heard: &Adu,
        request: &[u8],
        mode: Mode,
        chance: &mut Chance,
        out: &mut Vec<Answer>,
    ) {
        if self.is_deaf {
            return;
        }
        let mut faults: Vec<Fault> = Vec::new();
        for (fault, one_in) in &mut self.faults {
            match fault {
                Fault::Babble(count) if chance.below(*one_in) == 0 => {
                    let after = Duration::from_micros(chance.below(20_000).into());
                    out.push(Answer { after, bytes: chance.bytes(*count) });
                }
                Fault::Silent(0) | Fault::Babble(_) => {}
                Fault::Silent(left) if heard.unit == self.unit => {
                    *left -= 1;
                    faults.push(Fault::Dead);
                }
                fault if chance.below(*one_in) == 0 => faults.push(*fault),
                _ => {}
            }
        }
        // To all slaves: done, and not answered (SL 2.1).
        if heard.unit != self.unit && heard.unit != 0 {
            return;
        }
        self.requests += 1;
        if faults.contains(&Fault::Dead) {
            return;
        }
        let pdu = self.reply(&heard.pdu, &faults);
        if heard.unit != 0 {
            let answer = self.spoiled(heard, request, mode, pdu, &faults, chance);
            out.push(answer);
        }
    }

    /// An answer as it goes out, with all that is wrong with it.
    fn spoiled(
        &self,
        heard: &Adu,
        request: &[u8],
        mode: Mode,
        pdu: Vec<u8>,
        faults: &[Fault],
        chance: &mut Chance,
    ) -> Answer {
        let is_wrong = faults.contains(&Fault::WrongUnit);
        let unit = if is_wrong { self.unit.wrapping_add(1) } else { self.unit };
        let mut bytes = frame(mode, unit, heard.transaction, &pdu);
        let mut after = self.delay;
        for fault in faults {
            match fault {
                Fault::BadChecksum => {
                    let at = chance.below(bytes.len() as u32) as usize;
                    let change = 1 << chance.below(8);
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= change);
                }
                Fault::Short(count) => bytes.truncate(bytes.len().saturating_sub(*count)),
                Fault::Late(more) => after += *more,
                Fault::Echo => bytes = [request, &bytes].concat(),
                Fault::Noise(count) => {
                    bytes = [chance.bytes(*count), bytes, chance.bytes(*count)].concat();
                }
                _ => {}
            }
        }
        Answer { after, bytes }
    }

    /// The answer's function code and data.
    fn reply(&mut self, pdu: &[u8], faults: &[Fault]) -> Vec<u8> {
        let function = pdu.first().copied().unwrap_or_default();
        let refused = faults.iter().find_map(|fault| match fault {
            Fault::Exception(exception) => Some(*exception),
            _ => None,
        });
        match refused.map_or_else(|| self.execute(pdu), Err) {
            Ok(data) => [&[function], data.as_slice()].concat(),
            Err(Exception(code)) => vec![function | 0x80, code],
        }
    }

    /// What stands behind the function code (AP 6).
    fn execute(&mut self, pdu: &[u8]) -> Result<Vec<u8>, Exception> {
        let [function, a, b, c, d, data @ ..] = pdu else {
            return Err(ILLEGAL_FUNCTION);
        };
        let (at, count) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        match (function, data) {
            (1, []) => self.bits(Table::Coil, at, count),
            (2, []) => self.bits(Table::Discrete, at, count),
            (3, []) => self.registers(Table::Holding, at, count),
            (4, []) => self.registers(Table::Input, at, count),
            (5, []) if count == 0 || count == 0xFF00 => {
                self.write(Table::Coil, at, &[u16::from(count != 0)], pdu)
            }
            (6, []) => self.write(Table::Holding, at, &[count], pdu),
            (15, [len, bits @ ..])
                if usize::from(*len) == bits.len() && count.div_ceil(8) == u16::from(*len) =>
            {
                let bit =
                    |n: u16| bits.get(usize::from(n / 8)).map_or(0, |byte| byte >> (n % 8) & 1);
                let values: Vec<_> = (0..count).map(|n| bit(n).into()).collect();
                self.write(Table::Coil, at, &values, pdu)
            }
            (16, [len, words @ ..])
                if usize::from(*len) == words.len()
                    && count.checked_mul(2) == Some((*len).into()) =>
            {
                let word =
                    |pair: &[u8]| pair.iter().fold(0, |word, byte| word << 8 | u16::from(*byte));
                let values: Vec<_> = words.chunks(2).map(word).collect();
                self.write(Table::Holding, at, &values, pdu)
            }
            (5 | 15 | 16, _) => Err(Exception::ILLEGAL_DATA_VALUE),
            _ => Err(ILLEGAL_FUNCTION),
        }
    }

    fn read(&self, table: Table, at: u16, count: u16) -> Result<Vec<u16>, Exception> {
        let place = |n| self.get(table, at.checked_add(n)?);
        let values: Option<Vec<_>> = (0..count).map(place).collect();
        values.ok_or(Exception::ILLEGAL_DATA_ADDRESS)
    }

    fn tell(&self, table: Table, at: u16, values: &[u16]) {
        if let Some(observer) = &self.observer {
            observer(table, at, values);
        }
    }

    fn bits(&self, table: Table, at: u16, count: u16) -> Result<Vec<u8>, Exception> {
        if count == 0 || count > 16 * MOST_REGISTERS {
            return Err(Exception::ILLEGAL_DATA_VALUE);
        }
        if count > self.most.saturating_mul(16) {
            return Err(self.refuses_more);
        }
        let bits = self.read(table, at, count)?;
        self.tell(table, at, &bits);
        let byte =
            |bits: &[u16]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit != 0));
        Ok(counted(bits.chunks(8).map(byte).collect()))
    }

    fn registers(&self, table: Table, at: u16, count: u16) -> Result<Vec<u8>, Exception> {
        if count == 0 || count > MOST_REGISTERS {
            return Err(Exception::ILLEGAL_DATA_VALUE);
        }
        if count > self.most {
            return Err(self.refuses_more);
        }
        let words = self.read(table, at, count)?;
        self.tell(table, at, &words);
        Ok(counted(words.into_iter().flat_map(u16::to_be_bytes).collect()))
    }

    /// Writes places that exist, all or none; the answer has the request's address and value, or its
    /// address and count.
    fn write(
        &mut self,
        table: Table,
        at: u16,
        values: &[u16],
        pdu: &[u8],
    ) -> Result<Vec<u8>, Exception> {
        self.read(table, at, u16::try_from(values.len()).unwrap_or(u16::MAX))?;
        for (n, value) in (0..).zip(values) {
            self.set(table, at.wrapping_add(n), *value);
        }
        Ok(pdu.get(1..5).unwrap_or_default().to_vec())
    }
}

/// The number of bytes, and these.
fn counted(bytes: Vec<u8>) -> Vec<u8> {
    [&[bytes.len() as u8], bytes.as_slice()].concat()
}
