//! `tty2mqtt ports`: lists the serial ports and the lines that name each in the configuration.

use crate::base::command_line::{CliError, print};
use crate::base::json::line;
use crate::base::plain::plain_lines;
use crate::port::list;
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt ports lists the serial ports of this machine, what is plugged into each, and the lines for
the configuration that find it again when it comes back under another number.

Usage: tty2mqtt ports [OPTIONS]

  -j, --json   as JSON: a list of objects with path, config, usb (or null) and note (or null)

Example: tty2mqtt ports
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut json = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('j') | Long("json") => json = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let found = list::found();
    print(&if json { line(&found) } else { plain_lines(list::table(&found).as_bytes()) })
}
