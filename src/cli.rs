//! The command line: one file per command.

mod check;
mod decode;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "tools")]
mod detect;
#[cfg(feature = "tools")]
mod devices;
mod golden;
#[cfg(feature = "tools")]
mod init;
#[cfg(feature = "tools")]
mod modbus;
mod port_words;
mod ports;
mod run;
#[cfg(feature = "demo")]
mod simulate;
#[cfg(feature = "tools")]
mod sniff;

use crate::base::command_line::{CliError, VERSION, print};
use crate::base::nearest::distance;
use crate::base::plain::plain_lines;
use crate::control::commands as control;
#[cfg(feature = "shell")]
use crate::shell;
use std::ffi::OsString;
use std::process::ExitCode;

type Main = fn(lexopt::Parser) -> Result<ExitCode, CliError>;

/// The commands that people type, besides those for a running gateway.
const COMMANDS: &[(&str, Main)] = &[
    ("run", run::main),
    ("check", check::main),
    ("decode", decode::main),
    ("modbus", MODBUS),
    ("ports", ports::main),
    ("sniff", SNIFF),
    ("detect", DETECT),
    ("pub", SHELL[0]),
    ("sub", SHELL[1]),
    ("test", SHELL[2]),
    ("simulate", SIMULATE),
    ("demo", DEMO),
    ("devices", DEVICES),
    ("init", INIT),
];

/// Commands of scripts and of developers.
const HIDDEN: &[(&str, Main)] = &[("rpcd", control::rpcd), ("golden", golden::main)];

#[cfg(feature = "shell")]
const SHELL: [Main; 3] = [shell::publish, shell::subscribe, shell::test];
#[cfg(not(feature = "shell"))]
const SHELL: [Main; 3] = [|_| {
    let why =
        "this build has no pub, sub and test; install the package tty2mqtt, not tty2mqtt-mini";
    Err(CliError::Usage(why.into()))
}; 3];

#[cfg(feature = "demo")]
const SIMULATE: Main = simulate::main;
#[cfg(not(feature = "demo"))]
const SIMULATE: Main = DEMO;

#[cfg(feature = "demo")]
const DEMO: Main = demo::main;
#[cfg(not(feature = "demo"))]
const DEMO: Main = |_| {
    Err(CliError::Usage("this build has no demo and simulates nothing (feature `demo`)".into()))
};

#[cfg(feature = "tools")]
const DEVICES: Main = devices::main;
#[cfg(not(feature = "tools"))]
const DEVICES: Main = without_tools;

#[cfg(feature = "tools")]
const INIT: Main = init::main;
#[cfg(not(feature = "tools"))]
const INIT: Main = without_tools;

/// In the place of each command of the feature `tools`.
#[cfg(not(feature = "tools"))]
fn without_tools(_: lexopt::Parser) -> Result<ExitCode, CliError> {
    let why = "this build has no such tools; install the package tty2mqtt, not tty2mqtt-mini";
    Err(CliError::Usage(why.into()))
}

#[cfg(feature = "tools")]
const MODBUS: Main = modbus::main;
#[cfg(not(feature = "tools"))]
const MODBUS: Main = without_tools;

#[cfg(feature = "tools")]
const SNIFF: Main = sniff::main;
#[cfg(not(feature = "tools"))]
const SNIFF: Main = without_tools;

#[cfg(feature = "tools")]
const DETECT: Main = detect::main;
#[cfg(not(feature = "tools"))]
const DETECT: Main = without_tools;

const HELP: &str = "\
tty2mqtt reads serial devices and publishes their readings to an MQTT broker.

Usage: tty2mqtt COMMAND [OPTIONS]

Commands:
  init     write a first configuration               tty2mqtt init
  run      run the gateway                           tty2mqtt run --config my.yaml
  check    check a configuration file                tty2mqtt check my.yaml
  decode   show what captured bytes become           tty2mqtt decode --port meter < capture
  status   show how the running gateway is           tty2mqtt status --watch
  monitor  show what happens on a port right now     tty2mqtt monitor meter
  send     write a command to a port                 tty2mqtt send door relay on
  reload, reconnect, rescan, log: control it         tty2mqtt reload
  ports    list the serial ports of this machine     tty2mqtt ports
  devices  list and search the library of devices    tty2mqtt devices eastron
  modbus   read, write and find Modbus devices       tty2mqtt modbus read /dev/ttyUSB0 input:0
  sniff    show what comes on a port, without config tty2mqtt sniff /dev/ttyUSB0 9600 8N1
  simulate a port that behaves like a device         tty2mqtt simulate eastron-sdm120
  detect   find out what a port's device is          tty2mqtt detect /dev/ttyUSB0
  demo     see it work without any hardware          tty2mqtt demo
  pub      publish messages                          tty2mqtt pub -h broker -t door/bell -m ring
  sub      print messages                            tty2mqtt sub -h broker -v -t 'door/#'
  test     check that a broker is there and healthy  tty2mqtt test --self-check broker

`tty2mqtt COMMAND --help` says more. `tty2mqtt --version` prints the version.
Exit codes: 0 success, 1 something failed, 2 wrong usage or configuration; pub, sub and test
have more.
";

/// Runs the command that the arguments (the program's name among them) ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_iter(arguments);
    let command = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return print(HELP),
        Some(Short('V') | Long("version")) => return print(VERSION),
        Some(Value(word)) => word.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    if let Some(command) = control::COMMANDS.iter().find(|it| it.name == command) {
        return command.main(parser);
    }
    if let Some((_, main)) = COMMANDS.iter().chain(HIDDEN).find(|(name, _)| *name == command) {
        return main(parser);
    }
    if command == "help" {
        return match parser.next()? {
            Some(Value(word)) if word != "help" => main(["tty2mqtt".into(), word, "--help".into()]),
            _ => print(HELP),
        };
    }
    let nearest = names().map(|known| (distance(&command, known), known)).min();
    let nearest = nearest.filter(|(distance, _)| *distance <= 2);
    let hint = nearest.map(|(_, known)| format!(" did you mean {known}?")).unwrap_or_default();
    Err(CliError::Usage(format!("unknown command {command:?};{hint} see tty2mqtt --help")))
}

/// The names of all commands that people type.
fn names() -> impl Iterator<Item = &'static str> {
    let running = control::COMMANDS.iter().map(|command| command.name);
    COMMANDS.iter().map(|(name, _)| *name).chain(running)
}

/// As [`main`], with the arguments of this process; an error is printed.
pub(crate) fn run_process() -> ExitCode {
    match main(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tty2mqtt: {}", plain_lines(error.to_string().as_bytes()));
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(words: &[&str]) -> String {
        let words = ["tty2mqtt"].iter().chain(words).map(OsString::from);
        main(words).unwrap_err().to_string()
    }

    #[test]
    fn a_command_that_is_none_is_answered_by_the_nearest() {
        assert_eq!(
            error(&["chekc"]),
            "unknown command \"chekc\"; did you mean check? see tty2mqtt --help"
        );
        assert_eq!(error(&["frobnicate"]), "unknown command \"frobnicate\"; see tty2mqtt --help");
        assert!(error(&["help", "chekc"]).contains("did you mean check?"));
        for command in names() {
            assert!(HELP.contains(command), "{command}");
        }
    }
}
