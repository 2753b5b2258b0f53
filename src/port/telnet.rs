//! Telnet as a serial server speaks it: data with commands between them, options agreed on (RFC 854, 855
//! and 856), a line that is set from afar (RFC 2217). Sans-io.

mod com_port;
mod stream;

pub(super) use com_port::{ComPort, Modem};
pub(super) use stream::{TelnetStream, Told};

use crate::base::line::Line;

// Commands. (RFC 854)
const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;

const CR: u8 = b'\r';

// Options. (RFC 856, 858, 2217)
const BINARY: u8 = 0;
const SUPPRESS_GO_AHEAD: u8 = 3;
const COM_PORT: u8 = 44;

/// Longer subnegotiations are none that this end knows.
const LONGEST: usize = 256;

/// One end of a telnet connection.
#[derive(Debug)]
pub(super) struct Telnet {
    state: State,
    binary: Negotiated,
    go_ahead: Negotiated,
    com_port_option: Negotiated,
    /// With RFC 2217 only.
    com_port: Option<ComPort>,
    /// What was received of a subnegotiation: the option, and what belongs to it.
    sub: Vec<u8>,
    /// Commands that are to be sent.
    commands: Vec<u8>,
}

/// Where in the stream the next byte stands.
#[derive(Clone, Copy, Debug)]
enum State {
    Data,
    /// Behind a CR; a NUL behind it says that it is nothing but a CR.
    Cr,
    Iac,
    /// Behind WILL, WON'T, DO or DON'T.
    Verb(u8),
    Sub,
    SubIac,
}

/// An option of both ends, each of which may use it or not.
#[derive(Debug)]
struct Negotiated {
    ours: Side,
    theirs: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Off,
    /// This end has asked for it, and no answer came.
    Asked,
    On,
}

impl Telnet {
    /// A connection that begins. With a `com_port` it speaks RFC 2217.
    pub(super) fn new(com_port: Option<ComPort>) -> Telnet {
        let asked = || Negotiated { ours: Side::Asked, theirs: Side::Asked };
        let (com_port_option, is_asked) = match &com_port {
            Some(_) => (Negotiated { ours: Side::Asked, theirs: Side::Off }, true),
            None => (Negotiated { ours: Side::Off, theirs: Side::Off }, false),
        };
        let mut commands = Vec::new();
        for option in [BINARY, SUPPRESS_GO_AHEAD] {
            commands.extend([IAC, WILL, option, IAC, DO, option]);
        }
        if is_asked {
            commands.extend([IAC, WILL, COM_PORT]);
        }
        Telnet {
            state: State::Data,
            binary: asked(),
            go_ahead: asked(),
            com_port_option,
            com_port,
            sub: Vec::new(),
            commands,
        }
    }

    /// Whether both ends have agreed on how data are sent, and the line was set as far as the other end
    /// does so. `Err`: the other end refuses what is needed.
    pub(super) fn is_settled(&self) -> Result<bool, &'static str> {
        let [ours, theirs] = [self.binary.ours, self.binary.theirs];
        let is_agreed = ours != Side::Asked && theirs != Side::Asked;
        let Some(com_port) = &self.com_port else { return Ok(is_agreed) };
        match self.com_port_option.ours {
            Side::Asked => Ok(false),
            Side::Off => {
                Err("the other end speaks telnet without RFC 2217; set its line there, and \
                              write `telnet://` in place of `rfc2217://`")
            }
            Side::On => Ok(is_agreed && com_port.outcome().is_some()),
        }
    }

    /// The serial port of the other end.
    pub(super) fn com_port(&mut self) -> Option<&mut ComPort> {
        self.com_port.as_mut()
    }

    /// Asks for another speed and format.
    pub(super) fn set_line(&mut self, line: Line) {
        if let Some(com_port) = &mut self.com_port {
            com_port.set(line, &mut self.commands);
        }
    }

    /// Commands that are to be sent before anything else.
    pub(super) fn commands(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.commands)
    }

    /// Appends data as they are sent.
    pub(super) fn encode(&self, data: &[u8], out: &mut Vec<u8>) {
        let is_binary = self.binary.ours == Side::On;
        for (n, byte) in data.iter().enumerate() {
            out.push(*byte);
            match *byte {
                IAC => out.push(IAC),
                // A bare CR is a CR and a NUL on a terminal. (RFC 854)
                CR if !is_binary && data.get(n + 1) != Some(&b'\n') => out.push(0),
                _ => {}
            }
        }
    }

    /// Takes what was received, and appends the data in it.
    pub(super) fn receive(&mut self, bytes: &[u8], data: &mut Vec<u8>) {
        for byte in bytes {
            self.state = self.take(*byte, data);
        }
    }

    fn take(&mut self, byte: u8, data: &mut Vec<u8>) -> State {
        match self.state {
            State::Cr if byte == 0 => State::Data,
            State::Data | State::Cr => match byte {
                IAC => State::Iac,
                CR if self.binary.theirs != Side::On => {
                    data.push(CR);
                    State::Cr
                }
                _ => {
                    data.push(byte);
                    State::Data
                }
            },
            State::Iac => match byte {
                IAC => {
                    data.push(IAC);
                    State::Data
                }
                WILL..=DONT => State::Verb(byte),
                SB => {
                    self.sub.clear();
                    State::Sub
                }
                // What else there is concerns terminals.
                _ => State::Data,
            },
            State::Verb(verb) => {
                self.negotiate(verb, byte);
                State::Data
            }
            State::Sub if byte == IAC => State::SubIac,
            State::Sub => {
                self.keep(byte);
                State::Sub
            }
            State::SubIac => match byte {
                IAC => {
                    self.keep(byte);
                    State::Sub
                }
                SE => {
                    self.subnegotiate();
                    State::Data
                }
                // It has lost its end.
                _ => {
                    self.state = State::Iac;
                    self.take(byte, data)
                }
            },
        }
    }

    fn keep(&mut self, byte: u8) {
        // One byte more shows that it is too long.
        if self.sub.len() <= LONGEST {
            self.sub.push(byte);
        }
    }

    /// The other end offers or refuses to use an option, or wants this end to use it or not.
    fn negotiate(&mut self, verb: u8, option: u8) {
        let (wants, is_ours) = (matches!(verb, WILL | DO), matches!(verb, DO | DONT));
        let [yes, no] = if is_ours { [WILL, WONT] } else { [DO, DONT] };
        let known = match option {
            BINARY => &mut self.binary,
            SUPPRESS_GO_AHEAD => &mut self.go_ahead,
            COM_PORT if self.com_port.is_some() => &mut self.com_port_option,
            _ => {
                if wants {
                    self.commands.extend([IAC, no, option]);
                }
                return;
            }
        };
        let side = if is_ours { &mut known.ours } else { &mut known.theirs };
        // Who knows already does not answer, or two ends would go on for ever. (RFC 854)
        let answer = match (wants, *side) {
            (true, Side::Off) => Some(yes),
            (false, Side::On) => Some(no),
            (true, Side::Asked | Side::On) | (false, Side::Asked | Side::Off) => None,
        };
        let was = std::mem::replace(side, if wants { Side::On } else { Side::Off });
        if let Some(answer) = answer {
            self.commands.extend([IAC, answer, option]);
        }
        if option == COM_PORT
            && is_ours
            && wants
            && was != Side::On
            && let Some(com_port) = &mut self.com_port
        {
            com_port.start(&mut self.commands);
        }
    }

    fn subnegotiate(&mut self) {
        if self.sub.len() <= LONGEST
            && let [COM_PORT, sub @ ..] = self.sub.as_slice()
            && let Some(com_port) = &mut self.com_port
        {
            com_port.receive(sub, &mut self.commands);
        }
    }
}

#[cfg(test)]
mod tests;
