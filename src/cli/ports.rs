//! `tty2mqtt ports`: which serial ports are there, and how is each named in the configuration?

use super::{CliError, print};
use crate::serial::list;
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt ports: lists the serial ports of this machine, what is plugged into each, and the lines
that name it in the configuration so that it is found again under another number.

Usage: tty2mqtt ports

Example: tty2mqtt ports
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    if let Some(argument) = parser.next()? {
        return match argument {
            Short('h') | Long("help") => print(HELP),
            other => Err(other.unexpected().into()),
        };
    }
    print(&list::table(&list::list(Path::new("/sys"), Path::new("/proc/consoles"))))
}
