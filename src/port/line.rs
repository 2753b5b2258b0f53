//! Speed and format of an open tty: set, and what the driver made of them.

use crate::base::line::{Line, Parity};
use rustix::termios::{self, ControlModes, OptionalActions, Termios};
use std::io;
use std::os::fd::AsFd;

/// Sets speed and format, and nothing else. `Err`: the line has what it had before, or is gone.
/// `is_virtual`: a PTY, which has a speed, but no format.
pub(super) fn set(tty: impl AsFd, line: Line, is_virtual: bool) -> Result<(), String> {
    let before = termios::tcgetattr(&tty).map_err(|e| io::Error::from(e).to_string())?;
    let why = match try_set(&tty, before.clone(), line) {
        Ok(_) if is_virtual => return Ok(()),
        Ok(after) => match other(line, &after) {
            None => return Ok(()),
            Some(why) => why,
        },
        Err(error) => error.to_string(),
    };
    let _ = termios::tcsetattr(&tty, OptionalActions::Now, &before);
    Err(why)
}

fn try_set(tty: impl AsFd, mut settings: Termios, line: Line) -> io::Result<Termios> {
    settings.set_speed(line.baud)?;
    let modes = &mut settings.control_modes;
    modes.remove(ControlModes::CSIZE);
    modes.insert(match line.data_bits {
        5 => ControlModes::CS5,
        6 => ControlModes::CS6,
        7 => ControlModes::CS7,
        _ => ControlModes::CS8,
    });
    modes.set(ControlModes::PARENB, line.parity != Parity::None);
    modes.set(ControlModes::PARODD, line.parity == Parity::Odd);
    modes.set(ControlModes::CSTOPB, line.stop_bits == 2);
    termios::tcsetattr(&tty, OptionalActions::Now, &settings)?;
    Ok(termios::tcgetattr(&tty)?)
}

/// What the driver set the line to, if it is not what it was asked for.
pub(super) fn other(wanted: Line, settings: &Termios) -> Option<String> {
    let modes = settings.control_modes;
    let data_bits = match modes & ControlModes::CSIZE {
        ControlModes::CS5 => 5,
        ControlModes::CS6 => 6,
        ControlModes::CS7 => 7,
        _ => 8,
    };
    let parity = match (modes.contains(ControlModes::PARENB), modes.contains(ControlModes::PARODD))
    {
        (false, _) => Parity::None,
        (true, false) => Parity::Even,
        (true, true) => Parity::Odd,
    };
    let stop_bits = if modes.contains(ControlModes::CSTOPB) { 2 } else { 1 };
    let set = Line { baud: settings.output_speed(), data_bits, parity, stop_bits };
    // Chips divide a clock. A speed that is off by up to 2 % still works, and Linux reports such a
    // speed as the one that was asked for.
    let is_near = set.baud.abs_diff(wanted.baud) <= wanted.baud / 50;
    let is_same = is_near && Line { baud: wanted.baud, ..set } == wanted;
    (!is_same).then(|| format!("the driver does not take {wanted}; it has set {set}"))
}
