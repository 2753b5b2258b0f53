//! A file's text, read within bounds.

mod write;

pub use write::{Existing, folder_of, write};

use crate::base::path::BuildError;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Where the configuration is unless told otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/tty2mqtt/config.yaml";

/// A whole configuration takes a few kilobytes; more than this is a wrong file.
pub const LARGEST: u64 = 1 << 20;

/// Why the text of a file cannot be read.
#[derive(Debug)]
pub enum FileError {
    Io(io::Error),
    /// It is not a text that a configuration could be.
    Unfit(BuildError),
}

impl FileError {
    fn unfit(what: &str, remedy: &str) -> FileError {
        FileError::Unfit(BuildError::new(what).remedy(remedy))
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> FileError {
        FileError::Io(error)
    }
}

impl From<&FileError> for BuildError {
    fn from(error: &FileError) -> BuildError {
        match error {
            FileError::Unfit(wrong) => wrong.clone(),
            FileError::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => BuildError::new("there is no such file"),
                io::ErrorKind::PermissionDenied => {
                    BuildError::new("permission denied").remedy("it must be readable by this user")
                }
                _ => BuildError::new(error.to_string()),
            },
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BuildError::from(self).fmt(f)
    }
}

/// The text of a file, without its byte order mark. At most [`LARGEST`] bytes are read, whatever the
/// file is; pipes and standard input are read, other devices are not.
pub fn read(path: &Path) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(FileError::unfit("it has more than 1 MiB", "is this the right file?"));
    }
    text(bytes)
}

/// Opens what can be read as a file.
pub(super) fn open(path: &Path) -> Result<File, FileError> {
    // Its kind is asked for first: opening a tty may block, or reset the device on it.
    kind(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    kind(&file.metadata()?)?;
    Ok(file)
}

fn kind(file: &fs::Metadata) -> Result<(), FileError> {
    let kind = file.file_type();
    let is_device = kind.is_char_device() || kind.is_block_device();
    let what = if kind.is_dir() {
        "it is a folder"
    } else if kind.is_socket() {
        "it is a socket"
    } else if is_device && !is_standard_input(file) {
        "it is a device"
    } else {
        return Ok(());
    };
    Err(FileError::unfit(what, "name a file"))
}

/// A terminal at standard input is a device, too; whoever names it types the text.
fn is_standard_input(file: &fs::Metadata) -> bool {
    use std::io::IsTerminal;
    let input = io::stdin().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    io::stdin().is_terminal() && input.is_ok_and(|input| input.rdev() == file.rdev())
}

/// Bytes as a text, without its byte order mark.
pub fn text(bytes: Vec<u8>) -> Result<String, FileError> {
    let encoding = |what: &str| Err(FileError::unfit(what, "save it as UTF-8"));
    let zeros = bytes.iter().take(64).filter(|byte| **byte == 0).count();
    match bytes.as_slice() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return encoding("it is UTF-16"),
        _ if zeros >= 4 && zeros * 3 > bytes.len().min(64) => {
            return encoding("it is UTF-16, or no text at all");
        }
        _ => {}
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(match text.strip_prefix('\u{feff}') {
            Some(text) => text.to_owned(),
            None => text,
        }),
        Err(error) => {
            let bytes = error.as_bytes();
            let at = error.utf8_error().valid_up_to();
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            let byte = bytes[at];
            encoding(&format!("line {line} has the byte {byte:02X}, which is not UTF-8 (Latin-1?)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_are_named() {
        assert_eq!(text(b"\xef\xbb\xbfa: 1".to_vec()).unwrap(), "a: 1");
        let wrong = |bytes: &[u8]| text(bytes.to_vec()).unwrap_err().to_string();
        assert!(wrong(b"\xff\xfea\0:\0").contains("UTF-16"));
        assert!(wrong(b"\xfe\xff\0a\0:").contains("UTF-16"));
        assert!(wrong(b"a\0:\0 \x001\0\n\0").contains("UTF-16"));
        let latin = wrong(b"a: 1\nb: 2\nunit: \xb0C\n");
        assert_eq!(
            latin,
            "line 3 has the byte B0, which is not UTF-8 (Latin-1?); save it as UTF-8"
        );
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        for (path, is) in [("/dev/zero", "a device"), ("/dev/null", "a device"), ("/", "a folder")]
        {
            assert!(read(Path::new(path)).unwrap_err().to_string().contains(is), "{path}");
        }
    }

    #[test]
    fn no_more_than_the_bound_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(status.success());
        let end = pipe.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = File::options().write(true).open(end).unwrap();
            let mut written = 0_u64;
            while let Ok(n) = io::Write::write(&mut pipe, &[b'#'; 4096]) {
                written += n as u64;
            }
            written
        });
        assert!(read(&pipe).unwrap_err().to_string().contains("more than 1 MiB"));
        // A pipe holds 64 KiB besides.
        assert!(writer.join().unwrap() <= LARGEST + (128 << 10));
    }
}
