//! The serial port at the other end of a telnet connection: its line, its modem lines, what it counts
//! (RFC 2217, "Telnet Com Port Control Option"). Sans-io.

use super::{COM_PORT, IAC, SB, SE};
use crate::base::line::{Line, Parity};
use crate::port::line_counts::LineCounts;
use crate::port::settings::{Flow, ModemLine};

// What a client sends; a server answers with 100 more, and notifies of some by itself. (RFC 2217,
// section 3)
const SIGNATURE: u8 = 0;
const SET_BAUDRATE: u8 = 1;
const SET_DATASIZE: u8 = 2;
const SET_PARITY: u8 = 3;
const SET_STOPSIZE: u8 = 4;
const SET_CONTROL: u8 = 5;
const NOTIFY_LINESTATE: u8 = 6;
const FLOWCONTROL_SUSPEND: u8 = 8;
const FLOWCONTROL_RESUME: u8 = 9;
const SET_LINESTATE_MASK: u8 = 10;
const SET_MODEMSTATE_MASK: u8 = 11;
const OF_SERVER: u8 = 100;

// Values of SET-CONTROL.
const NO_FLOW_CONTROL: u8 = 1;
const XON_XOFF: u8 = 2;
const HARDWARE: u8 = 3;
const BREAK_OFF: u8 = 6;
const DTR_ON: u8 = 8;
const DTR_OFF: u8 = 9;
const RTS_ON: u8 = 11;
const RTS_OFF: u8 = 12;

// Bits of a line state.
const OVERRUN: u8 = 1 << 1;
const PARITY_ERROR: u8 = 1 << 2;
const FRAMING_ERROR: u8 = 1 << 3;
const BREAK: u8 = 1 << 4;

/// The name that this end gives itself.
const NAME: &[u8] = b"tty2mqtt";

/// At most so much is kept of the name of the other end.
const LONGEST_NAME: usize = 100;

/// How the lines beside the data are to be.
#[derive(Clone, Copy, Debug)]
pub(in crate::port) struct Modem {
    pub(in crate::port) flow: Flow,
    pub(in crate::port) dtr: ModemLine,
    pub(in crate::port) rts: ModemLine,
}

#[derive(Debug)]
pub(in crate::port) struct ComPort {
    line: Line,
    modem: Modem,
    /// What the other end has said of speed, data bits, parity and stop bits since the line was last set.
    told: [Option<u32>; 4],
    /// How many answers to each of them are to come.
    awaited: [u8; 4],
    signature: Option<String>,
    /// The other end takes no data.
    pub(super) is_suspended: bool,
    pub(super) counts: LineCounts,
}

impl ComPort {
    pub(in crate::port) fn new(line: Line, modem: Modem) -> ComPort {
        ComPort {
            line,
            modem,
            told: [None; 4],
            awaited: [0; 4],
            signature: None,
            is_suspended: false,
            counts: LineCounts::default(),
        }
    }

    /// The name of the other end, once it has said it; once.
    pub(super) fn signature(&mut self) -> Option<String> {
        self.signature.take()
    }

    /// The line that was asked for last.
    pub(super) fn line(&self) -> Line {
        self.line
    }

    /// The other end has agreed to the option.
    pub(super) fn start(&mut self, out: &mut Vec<u8>) {
        write(SIGNATURE, &[], out);
        // It is told what happens on the line, and not of modem lines.
        let mask = OVERRUN | PARITY_ERROR | FRAMING_ERROR | BREAK;
        write(SET_LINESTATE_MASK, &[mask], out);
        write(SET_MODEMSTATE_MASK, &[0], out);
        self.set(self.line, out);
        let flow = match self.modem.flow {
            Flow::None => NO_FLOW_CONTROL,
            Flow::Software => XON_XOFF,
            Flow::Hardware => HARDWARE,
        };
        write(SET_CONTROL, &[flow], out);
        // Somebody may have left it on.
        write(SET_CONTROL, &[BREAK_OFF], out);
        for (line, on, off) in
            [(self.modem.dtr, DTR_ON, DTR_OFF), (self.modem.rts, RTS_ON, RTS_OFF)]
        {
            match line {
                ModemLine::Keep => {}
                ModemLine::On => write(SET_CONTROL, &[on], out),
                ModemLine::Off => write(SET_CONTROL, &[off], out),
            }
        }
    }

    /// Asks for a speed and a format.
    pub(super) fn set(&mut self, line: Line, out: &mut Vec<u8>) {
        self.line = line;
        self.told = [None; 4];
        self.awaited = self.awaited.map(|n| n.saturating_add(1));
        let parity = match line.parity {
            Parity::None => 1,
            Parity::Odd => 2,
            Parity::Even => 3,
        };
        write(SET_BAUDRATE, &line.baud.to_be_bytes(), out);
        write(SET_DATASIZE, &[line.data_bits], out);
        write(SET_PARITY, &[parity], out);
        write(SET_STOPSIZE, &[line.stop_bits], out);
    }

    /// What became of that, once the other end has said so.
    pub(super) fn outcome(&self) -> Option<Result<(), String>> {
        let [Some(baud), Some(data_bits), Some(parity), Some(stop_bits)] = self.told else {
            return None;
        };
        let line = self.line;
        let parity = match parity {
            1 => Ok(Parity::None),
            2 => Ok(Parity::Odd),
            3 => Ok(Parity::Even),
            4 => Err("mark"),
            5 => Err("space"),
            _ => Err("unknown"),
        };
        // Chips divide a clock.
        let is_same = baud.abs_diff(line.baud) <= line.baud / 50
            && data_bits == u32::from(line.data_bits)
            && parity == Ok(line.parity)
            && stop_bits == u32::from(line.stop_bits);
        if is_same {
            return Some(Ok(()));
        }
        let parity = match parity {
            Ok(Parity::None) => "no",
            Ok(Parity::Odd) => "odd",
            Ok(Parity::Even) => "even",
            Err(other) => other,
        };
        let stop_bits = if stop_bits == 3 { "1.5".to_owned() } else { stop_bits.to_string() };
        Some(Err(format!(
            "the serial server does not take {line}; it has set {baud} Bd, {data_bits} data bits, \
             {parity} parity, {stop_bits} stop bits"
        )))
    }

    /// One of the four has this value now, unless that is the answer to an earlier question.
    fn is_told(&mut self, which: usize, value: u32) {
        if let (Some(awaited), Some(told)) = (self.awaited.get_mut(which), self.told.get_mut(which))
        {
            *awaited = awaited.saturating_sub(1);
            *told = (*awaited == 0).then_some(value);
        }
    }

    /// Takes a subnegotiation of the other end.
    pub(super) fn receive(&mut self, sub: &[u8], out: &mut Vec<u8>) {
        let Some((command, value)) = sub.split_first() else { return };
        let Some(command) = command.checked_sub(OF_SERVER) else { return };
        match (command, value) {
            (SIGNATURE, []) => write(SIGNATURE, NAME, out),
            (SIGNATURE, name) => {
                let name = String::from_utf8_lossy(name.get(..LONGEST_NAME).unwrap_or(name));
                self.signature = Some(name.into_owned());
            }
            (SET_BAUDRATE, [a, b, c, d]) => self.is_told(0, u32::from_be_bytes([*a, *b, *c, *d])),
            (SET_DATASIZE, [n]) => self.is_told(1, (*n).into()),
            (SET_PARITY, [n]) => self.is_told(2, (*n).into()),
            (SET_STOPSIZE, [n]) => self.is_told(3, (*n).into()),
            (NOTIFY_LINESTATE, [state]) => {
                let count = |bit: u8| u64::from(state & bit != 0);
                self.counts = self.counts.plus(LineCounts {
                    parity: count(PARITY_ERROR),
                    framing: count(FRAMING_ERROR),
                    breaks: count(BREAK),
                    overrun: count(OVERRUN),
                    buffer_overrun: 0,
                });
            }
            (FLOWCONTROL_SUSPEND, []) => self.is_suspended = true,
            (FLOWCONTROL_RESUME, []) => self.is_suspended = false,
            _ => {}
        }
    }
}

fn write(command: u8, value: &[u8], out: &mut Vec<u8>) {
    out.extend([IAC, SB, COM_PORT, command]);
    for byte in value {
        out.push(*byte);
        if *byte == IAC {
            out.push(IAC);
        }
    }
    out.extend([IAC, SE]);
}
