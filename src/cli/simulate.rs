//! `tty2mqtt simulate`: a virtual serial port that behaves like a device.

use super::run::Signals;
use crate::base::command_line::{CliError, print};
use crate::base::line::Line;
use crate::base::scalar::Span;
use crate::config::library::Library;
use crate::demo::player::{self, VirtualPort};
use crate::demo::simulation::{Manner, Simulation, Subject};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "\
tty2mqtt simulate makes a virtual serial port that behaves like a device of the library: it answers
what it is asked, or sends by itself, at the speed of its line. What it says comes from its device
file: a Modbus device has its registers, with values that move, and takes what is written; any other
one says the bytes of its cases. It prints the port, a configuration for it, and what goes over it.

Usage: tty2mqtt simulate MODEL... [OPTIONS]

  MODEL              as `model` in a configuration, see `tty2mqtt devices`; or a file of your own,
                     ./mydevice.yaml. Several Modbus devices are one bus: eastron-sdm630@1
                     eastron-sdm120@2, with the address behind @
      --link PATH    gives the port this name while it runs
      --line LINE    speed and format, as in \"9600 8N1\" [of the first device]
      --errors       damages or omits something now and then
      --fast         bytes take no time, and the other end may have any speed
      --for TIME     end after this time, as in 20s [until Ctrl-C]
  -q, --quiet        do not print what goes over the port

Exit codes: 0 it ran, 1 no port, 2 wrong usage, or nothing to simulate from.
Example: tty2mqtt simulate eastron-sdm630@1 eastron-sdm120@2 --link /tmp/bus
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let (mut models, mut link, mut line, mut time) = (Vec::new(), None, None, None);
    let (mut manner, mut is_quiet) = (Manner { errs: false, is_fast: false }, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Long("link") => link = Some(PathBuf::from(parser.value()?)),
            Long("line") => line = Some(parser.value()?.parse::<Line>()?),
            Long("errors") => manner.errs = true,
            Long("fast") => manner.is_fast = true,
            Long("for") => time = Some(parser.value()?.parse::<Span>()?.duration()),
            Short('q') | Long("quiet") => is_quiet = true,
            Value(word) => models.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if models.is_empty() {
        return Err(CliError::Usage("name a device; `tty2mqtt devices` lists all".into()));
    }
    let library = Library::beside(Path::new(""));
    let subjects = models.iter().map(|model| subject(&library, model));
    let mut subjects = subjects.collect::<Result<Vec<_>, _>>()?;
    let simulation = Simulation::new(&mut subjects, line, manner, Instant::now());
    let simulation = simulation.map_err(|error| CliError::Usage(error.to_string()))?;
    let failed = |source| CliError::Io { what: "no virtual port".into(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(async {
        let port = VirtualPort::open(link.clone()).map_err(|source| {
            let what =
                link.as_ref().map_or("no virtual port".into(), |link| link.display().to_string());
            CliError::Io { what, source }
        })?;
        let signals = Signals::listen(move || {
            let _ = link.map(std::fs::remove_file);
        });
        let signals = signals.map_err(failed)?;
        print(&format!(
            "{} on {}, {}\n\n{}\n",
            models.join(" and "),
            port.pty.path().display(),
            simulation.line,
            configuration(port.path(), simulation.line, &subjects)
        ))?;
        tokio::select! {
            played = player::play(simulation, &port.pty, is_quiet) => played.map_err(failed)?,
            () = signals.first() => {}
            () = ends(time) => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn ends(time: Option<std::time::Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// `eastron-sdm120@2`.
fn subject(library: &Library, word: &str) -> Result<Subject, CliError> {
    let (model, address) = match word.rsplit_once('@') {
        Some((model, digits)) => match digits.parse::<u8>() {
            Ok(address @ 1..=247) => (model, Some(address)),
            _ => {
                let what = format!("{word:?}: behind @ stands an address, 1 to 247");
                return Err(CliError::Usage(what));
            }
        },
        None => (word, None),
    };
    Ok(Subject::new(model, library.device(model)?, address)?)
}

/// What to put into a configuration.
fn configuration(port: &Path, line: Line, subjects: &[Subject]) -> String {
    let mut text = format!("ports:\n  simulated:\n    path: {}\n", port.display());
    // Writing to a String does not fail.
    let _ = writeln!(text, "    line: {line}");
    let model = |subject: &Subject| match subject.model.ends_with(".yaml") {
        true => format!("{}   # {} goes into the folder `devices`", subject.name, subject.model),
        false => subject.model.clone(),
    };
    let address = |subject: &Subject| subject.address().filter(|_| subject.is_modbus());
    match subjects {
        [one] => {
            let _ = writeln!(text, "    model: {}", model(one));
            if let Some(address) = address(one) {
                let _ = writeln!(text, "    address: {address}");
            }
        }
        several => {
            text += "    devices:\n";
            for subject in several {
                let address = address(subject).unwrap_or(1);
                let is_same = |other: &&Subject| other.name == subject.name;
                let name = match several.iter().filter(is_same).count() {
                    1 => subject.name.clone(),
                    _ => format!("{}-{address}", subject.name),
                };
                let _ = writeln!(
                    text,
                    "      {name}:\n        model: {}\n        address: {address}",
                    model(subject)
                );
            }
        }
    }
    text
}
