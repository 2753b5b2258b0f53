//! What every command of the command line shares: how it fails and how it prints.

use std::io::{self, Write};
use std::process::ExitCode;

/// Version of this program, as `--version` prints it.
pub const VERSION: &str = concat!("tty2mqtt ", env!("CARGO_PKG_VERSION"), "\n");

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Config(String),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// The command ran, and its answer is no.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// 2 for wrong usage and wrong configuration, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Usage(_) | CliError::Config(_) => 2,
            CliError::Io { .. } | CliError::Failed(_) => 1,
        }
    }
}

impl From<lexopt::Error> for CliError {
    fn from(error: lexopt::Error) -> CliError {
        CliError::Usage(format!("{error}; see --help"))
    }
}

/// Prints to stdout. A reader that went away (`| head`) is not an error.
pub fn print(text: &str) -> Result<ExitCode, CliError> {
    write(text).map(|_| ExitCode::SUCCESS)
}

/// Writes to stdout at once; `false` if the reader has gone.
pub fn write(text: &(impl AsRef<[u8]> + ?Sized)) -> Result<bool, CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(source) => Err(CliError::Io { what: "standard output".into(), source }),
    }
}
