//! `tty2mqtt golden FILE…`: runs golden cases with this binary, on whatever processor it is for.
//! The help leaves it out: it is for people who build the program. `devices test` is the same.

use crate::base::command_line::{CliError, print};
use crate::config::cases::Golden;
use crate::config::device_file::Head;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt golden runs files of golden cases (what is read and commanded, what
must be published and written) and reports differences.

Usage: tty2mqtt golden FILE...

Example: tty2mqtt golden tests/golden/*.yaml
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Value(path) => files.push(path.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    run(&files)
}

/// Runs the cases of files. One that cannot be read does not keep the others from being run.
pub(super) fn run(files: &[PathBuf]) -> Result<ExitCode, CliError> {
    let (mut cases, mut failed, mut broken) = (0, 0, 0);
    for path in files {
        let what = path.display().to_string();
        match read(path, &what) {
            Ok(golden) => {
                if let Some(key) = golden.head.as_ref().and_then(Head::missing) {
                    eprintln!("{what}: note: a file of the library has `{key}`");
                }
                let failures = golden.failures();
                failures.iter().for_each(|failure| eprintln!("{what}: {failure}"));
                cases += golden.cases.len();
                failed += failures.len();
            }
            Err(wrong) => {
                eprintln!("{wrong}");
                broken += 1;
            }
        }
    }
    match (cases, failed, broken) {
        (0, _, 0) => {
            Err(CliError::Usage("no cases; name files such as config/devices/*.yaml".into()))
        }
        (_, 0, 0) => print(&format!("{cases} cases passed\n")),
        (_, _, 0) => Err(CliError::Failed(format!("{failed} of {cases} cases failed"))),
        _ => {
            let of = files.len();
            Err(CliError::Failed(format!(
                "{failed} of {cases} cases failed; {broken} of {of} files cannot be read"
            )))
        }
    }
}

fn read(path: &Path, what: &str) -> Result<Golden, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CliError::Io { what: what.to_owned(), source })?;
    Ok(Golden::read(what, text)?)
}
