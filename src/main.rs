//! `tty2mqtt`: arguments → command → exit code.

use std::process::ExitCode;
use tty2mqtt::cli;
use tty2mqtt::plain::plain_lines;

fn main() -> ExitCode {
    match cli::main(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tty2mqtt: {}", plain_lines(error.to_string().as_bytes()));
            ExitCode::from(error.exit_code())
        }
    }
}
