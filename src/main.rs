//! `tty2mqtt`: arguments → command → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    tty2mqtt::main()
}
