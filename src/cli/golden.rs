//! `tty2mqtt golden FILE…`: runs golden cases with this binary, on whatever processor it is for.
//! The help leaves it out: it is for people who build the program or write device files.

use crate::base::command_line::{CliError, print};
use crate::config::cases::Golden;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt golden runs files of golden cases (what is read and commanded, what
must be published and written) and reports differences.

Usage: tty2mqtt golden FILE...

Example: tty2mqtt golden tests/golden/*.yaml
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let (mut cases, mut failed) = (0, 0);
    while let Some(argument) = parser.next()? {
        let path: PathBuf = match argument {
            Short('h') | Long("help") => return print(HELP),
            Value(path) => path.into(),
            other => return Err(other.unexpected().into()),
        };
        let what = path.display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|source| CliError::Io { what: what.clone(), source })?;
        let golden = Golden::parse(&text).map_err(|e| CliError::Failed(format!("{what}: {e}")))?;
        let failures = golden.failures();
        for failure in &failures {
            eprintln!("{what}: {failure}");
        }
        cases += golden.cases.len();
        failed += failures.len();
    }
    match (cases, failed) {
        (0, _) => Err(CliError::Usage("no cases; name files such as tests/golden/*.yaml".into())),
        (_, 0) => print(&format!("{cases} cases passed\n")),
        _ => Err(CliError::Failed(format!("{failed} of {cases} cases failed"))),
    }
}
