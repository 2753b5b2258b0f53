//! How a request ended, and what that says of the wiring.

use super::options::Options;
use crate::base::scalar::Span;
use crate::codec::modbus::{Exception, Mode};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The registers or packed bits that were read; nothing for a write.
    Answer(Vec<u8>),
    Exception(Exception),
    BadChecksum,
    /// Bytes came that are no answer.
    Unfit(Unfit),
    Silence,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unfit {
    /// As they came.
    pub(super) bytes: Vec<u8>,
    /// How many of them had a wrong parity or no stop bit.
    pub(super) damaged: usize,
    /// Whole frames of another address or function.
    pub(super) foreign: u32,
}

impl Outcome {
    /// In a few words, where it is no answer.
    pub(super) fn what(&self, timeout: Span) -> String {
        match self {
            Outcome::Answer(_) => "an answer".into(),
            Outcome::Exception(exception) => {
                format!("exception {}: {exception}", exception.0)
            }
            Outcome::BadChecksum => "an answer with a wrong checksum".into(),
            Outcome::Unfit(Unfit { foreign: 1.., .. }) => {
                "no answer, but a frame of another address or function".into()
            }
            Outcome::Unfit(Unfit { bytes, .. }) => {
                let first: Vec<_> =
                    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
                let more = if bytes.len() > first.len() { " …" } else { "" };
                format!("no answer, but {} bytes: {}{more}", bytes.len(), first.join(" "))
            }
            Outcome::Silence => format!("no answer within {timeout}"),
        }
    }

    /// What to look at next.
    pub(super) fn hint(&self, options: &Options, unit: u8) -> String {
        let port = &options.shown;
        let is_tty = options.port.tcp.is_none();
        let line = options.line();
        match self {
            Outcome::Answer(_) => String::new(),
            Outcome::Exception(Exception(1)) => {
                "it does not know this function: try another table (input, holding, coil, discrete)"
                    .into()
            }
            Outcome::Exception(Exception(2)) => {
                "there is no such register, or not so many: manuals often count from 1, or from 30001 and \
                 40001, and here is counted from 0 (--one-based counts from 1)"
                    .into()
            }
            Outcome::Exception(Exception(3)) => {
                "it refuses this number of registers, or the value that is written".into()
            }
            Outcome::Exception(Exception(10 | 11)) => {
                format!("the gateway answers, the device with address {unit} behind it does not")
            }
            Outcome::Exception(_) => "the device is there and refuses".into(),
            Outcome::BadChecksum => {
                "noise, a missing termination, or two devices with one address".into()
            }
            Outcome::Unfit(Unfit { foreign: 1.., .. }) => format!(
                "is another master on the line? `tty2mqtt modbus scan {port}` asks all addresses"
            ),
            Outcome::Unfit(Unfit { damaged, .. }) if is_tty => {
                let damaged = match damaged {
                    0 => String::new(),
                    damaged => format!("; {damaged} of them had a wrong parity or no stop bit"),
                };
                format!(
                    "speed and parity of the device are others than {line} (-b, -P), or A and B are \
                     swapped{damaged}"
                )
            }
            Outcome::Unfit(_) => {
                "another protocol is spoken there: -m rtu for a serial server, -m tcp for Modbus TCP".into()
            }
            Outcome::Silence if is_tty => format!(
                "is it powered; are A and B swapped (swap them); is its speed {line} (-b, -P); is its address \
                 {unit}? `tty2mqtt modbus scan {port}` asks all addresses"
            ),
            Outcome::Silence if options.mode == Mode::Tcp => format!(
                "the connection stands: is the unit {unit} right (-a; 255 and 0 are usual where there is one \
                 device), and is it Modbus TCP (-m rtu for a serial server)?"
            ),
            Outcome::Silence => format!(
                "the connection stands: is the address {unit} right, the line that the serial server sets, and \
                 the mode (-m tcp for Modbus TCP)?"
            ),
        }
    }
}
