//! Small files of an operator, read before each attempt to connect. A wrong path must neither fill a
//! router's memory nor block the thread that the link runs on.

use crate::base::secret::Secret;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More than MQTT can carry as a password.
const LARGEST_PASSWORD: u64 = 64 << 10;

/// The system's bundle of authorities has 220 KB.
#[cfg(any(feature = "tls", feature = "shell"))]
pub(crate) const LARGEST_PEM: u64 = 1 << 20;

/// The first line of a file.
pub(crate) fn password(path: &Path) -> io::Result<Secret> {
    let bytes = read(path, LARGEST_PASSWORD)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec().into())
}

/// Certificates or a key.
#[cfg(feature = "tls")]
pub(crate) fn pem(path: &Path) -> io::Result<Vec<u8>> {
    read(path, LARGEST_PEM)
}

/// Reads a regular file. Pipes and devices are not opened, because that may block or have effects.
fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let regular = |meta: std::fs::Metadata| match meta.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("this is no regular file")),
    };
    regular(std::fs::metadata(path)?)?;
    // Another file may have this name by now.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    regular(file.metadata()?)?;
    let text = || format!("the file has more than {} KiB", largest >> 10);
    at_most(file, largest)?.ok_or_else(|| io::Error::other(text()))
}

/// Everything in a file or a pipe; `None` if that is more than `largest` bytes.
pub(crate) fn at_most(from: impl Read, largest: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(largest + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= largest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, mknodat};

    #[test]
    fn the_first_line_is_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pw");
        for (text, expected) in
            [("", ""), ("a", "a"), ("a b\r\nc\n", "a b"), (" a\n", " a"), ("\nb", ""), ("a\r", "a")]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(password(&path).unwrap().reveal(), expected.as_bytes(), "{text:?}");
        }
        std::fs::write(&path, vec![b'x'; 65_537]).unwrap();
        assert!(password(&path).unwrap_err().to_string().contains("more than 64 KiB"));
    }

    #[test]
    fn neither_a_pipe_nor_a_device_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&pipe, &link, folder.path()] {
            let error = password(path).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{}: {error}", path.display());
        }
    }
}
