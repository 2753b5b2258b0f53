//! `tty2mqtt`: arguments → command → exit code.

use std::process::ExitCode;
use tty2mqtt::cli;

fn main() -> ExitCode {
    match cli::main(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tty2mqtt: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
