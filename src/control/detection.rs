//! `tty2mqtt detect` in the background, for a caller that cannot wait for its end: the router's web page.

use crate::base::command_line::CliError;
use crate::base::plain::plain_lines;
use crate::port::list;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Most that is read of what it said.
const LONGEST: u64 = 64 << 10;

/// What rpcd's methods `detect` and `detected` answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// It still listens.
    pub running: bool,
    /// What it has said so far.
    pub text: String,
}

/// Starts it on one of this machine's ports, if it does not run on any yet. It writes nothing to the port.
pub(crate) fn start(port: &str) -> Result<Detection, CliError> {
    if !list::found().iter().any(|found| found.path == port) {
        let why = format!("{port:?} is none of this machine's ports; `tty2mqtt ports` lists them");
        return Err(CliError::Failed(why));
    }
    let (path, output) = output()?;
    let failed = |source| CliError::Io { what: path.display().to_string(), source };
    // Whoever has the lock runs: it is the child's, by its output, until that ends.
    match flock(&output, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Err(CliError::Failed("it runs already".into())),
        locked => locked.map_err(|error| failed(error.into()))?,
    }
    output.set_len(0).map_err(failed)?;
    let copy = output.try_clone().map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(["detect", port]).stdin(Stdio::null()).stdout(output).stderr(copy);
    command.process_group(0).spawn().map_err(failed)?;
    Ok(Detection { running: true, text: String::new() })
}

/// How far it is.
pub(crate) fn look() -> Result<Detection, CliError> {
    let (path, mut output) = output()?;
    let failed = |source| CliError::Io { what: path.display().to_string(), source };
    let running = match flock(&output, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => true,
        locked => locked.map(|()| false).map_err(|error| failed(error.into()))?,
    };
    let mut bytes = Vec::new();
    output.seek(SeekFrom::Start(0)).map_err(failed)?;
    output.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Detection { running, text: plain_lines(&bytes) })
}

/// The file that it writes to. A link in its place is not followed.
fn output() -> Result<(PathBuf, File), CliError> {
    let user = geteuid();
    let path = match user.is_root() {
        true => PathBuf::from("/var/run/tty2mqtt-detect"),
        false => std::env::temp_dir().join(format!("tty2mqtt-detect-{}", user.as_raw())),
    };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::APPEND;
    let file = open(&path, flags, Mode::RUSR | Mode::WUSR);
    let failed = |error: Errno| {
        let source = io::Error::from(error);
        CliError::Io { what: path.display().to_string(), source }
    };
    let file = File::from(file.map_err(failed)?);
    Ok((path, file))
}
