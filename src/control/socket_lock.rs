//! Takes the socket's place in the file system: one gateway a path, and nobody else can connect.

use super::start_log::StartLog;
use crate::gateway::status::Crashes;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A panic's message is cut to this many characters.
const LONGEST_PANIC: usize = 512;

/// Why there is no control socket. The gateway runs without one.
#[derive(Debug, thiserror::Error)]
pub enum SocketLockError {
    /// Another gateway has the socket.
    #[error("another gateway has {}; give this one a path of its own with `control`", .0.display())]
    Taken(PathBuf),
    /// The path is something else than a socket.
    #[error("{} is there and is no socket of a gateway that ended; choose another path with `control`", .0.display())]
    Foreign(PathBuf),
    /// The folder, the socket or the file of starts cannot be made.
    #[error("{}: {source}; make its folder writable for this user, or choose another path with `control`", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The place of a gateway's control socket, held by a lock that ends with the process.
#[derive(Debug)]
pub struct SocketLock {
    socket: PathBuf,
    panic: PathBuf,
    runs: File,
    started: u64,
}

impl SocketLock {
    /// Takes the place, or says who has it. Returns the socket and how earlier runs ended.
    ///
    /// Must be called before there are other threads: the mask for new files is narrowed meanwhile.
    pub fn bind(socket: &Path) -> Result<(SocketLock, UnixListener, Crashes), SocketLockError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SocketLockError::Io { path, source }
        };
        if let Some(folder) = socket.parent().filter(|folder| !folder.exists()) {
            fs::DirBuilder::new().mode(0o755).create(folder).map_err(failed(folder))?;
        }
        let file = socket.with_extension("runs");
        let mut runs = options().read(true).open(&file).map_err(failed(&file))?;
        if flock(&runs, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(SocketLockError::Taken(socket.to_owned()));
        }
        clear(socket).map_err(failed(socket))?;
        // Nobody else may connect, not even for the moment between bind and chmod.
        let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(socket);
        rustix::process::umask(mask);
        let listener = listener.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => SocketLockError::Foreign(socket.to_owned()),
            _ => failed(socket)(error),
        })?;
        let mut text = String::new();
        // A file that is not text is treated as empty.
        let _ = (&mut runs).take(1 << 16).read_to_string(&mut text);
        let panic = socket.with_extension("panic");
        let said = fs::read_to_string(&panic).ok();
        let _ = fs::remove_file(&panic);
        let mut starts = StartLog::parse(&text);
        let started = uptime();
        let crashes = starts.start(started, said);
        let lock = SocketLock { socket: socket.to_owned(), panic, runs, started };
        lock.write(&starts);
        Ok((lock, listener, crashes))
    }

    /// Keeps the message of a panic for the next start.
    pub fn keep_panics(&self) {
        let file = self.panic.clone();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text: String = info.to_string().chars().take(LONGEST_PANIC).collect();
            // The panic itself must not be hidden by what goes wrong here.
            let _ = options().open(&file).and_then(|mut file| file.write_all(text.as_bytes()));
            before(info);
        }));
    }

    /// Forgets earlier starts, because the gateway has run for long enough.
    pub fn settled(&self) {
        self.write(&StartLog::only(self.started));
    }

    /// The gateway was told to end, so whatever happens from now on is not a crash.
    pub fn ending(&self) {
        self.write(&StartLog::default());
        let _ = fs::remove_file(&self.panic);
    }

    /// The gateway has ended.
    pub fn unlink(&self) {
        let _ = fs::remove_file(&self.socket);
    }

    /// If the file cannot be written, only the count of crashes is lost.
    fn write(&self, runs: &StartLog) {
        let mut file = &self.runs;
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(runs.to_text().as_bytes()));
        if let Err(error) = written {
            tracing::debug!("the file of starts: {error}");
        }
    }
}

/// Files of the gateway's user alone; a link that somebody laid in its way is not followed.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_links = OFlags::NOFOLLOW.bits().cast_signed();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(no_links);
    options
}

/// Removes the socket of a gateway that has ended. Another kind of file stays, and so does a socket that
/// answers.
fn clear(socket: &Path) -> io::Result<()> {
    match fs::symlink_metadata(socket) {
        Ok(found) if found.file_type().is_socket() => match UnixStream::connect(socket) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(socket)
            }
            _ => Ok(()),
        },
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Seconds since the machine started, sleep included. Starts are compared by it because the wall
/// clock jumps when a router learns the time.
fn uptime() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}
