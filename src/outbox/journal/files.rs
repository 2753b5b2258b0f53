//! Files of the journal's folder. The folder may hold anything: a power failure leaves files of any
//! size, and whoever may write there can leave pipes, devices and links to other people's files. So
//! only regular files are used, and nothing is waited for.

use super::record;
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Readings are nobody else's business. Only the last folder is made: where the one before it is
/// missing, a disk is not mounted yet.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Why somebody else could change what stands in a folder, if so.
pub(super) fn is_open_to_others(folder: &Path) -> io::Result<Option<String>> {
    let meta = fs::metadata(folder)?;
    let own = rustix::process::geteuid().as_raw();
    Ok(if meta.uid() != own {
        Some(format!("it belongs to user {}, and the gateway runs as {own}", meta.uid()))
    } else if meta.mode() & 0o022 != 0 {
        Some(format!("others may write into it (mode {:04o})", meta.mode() & 0o7777))
    } else {
        None
    })
}

/// Opens a file if it is a regular one.
pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // A pipe, or a device, must not be waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path);
    let file = file.map_err(|error| match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::LOOP) => io::Error::other("is a symbolic link"),
        _ => error,
    })?;
    let meta = file.metadata()?;
    match meta.is_file() {
        // By its other name it may be somebody else's.
        true if meta.nlink() > 1 => Err(io::Error::other("has a second name (a hard link)")),
        true => Ok(file),
        false => Err(io::Error::other("is not a regular file")),
    }
}

/// Makes a new file in place of whatever has its name.
pub(super) fn make(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Reads a file, at most as much as a segment can have.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(File::options().read(true), path)?.take(record::FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads `most` bytes of a file from a place on, or less if it ends before, at `size` at the
/// latest.
pub(super) fn read_at(file: &File, start: u64, size: u64, most: usize) -> io::Result<Vec<u8>> {
    let most = (most as u64).min(size.saturating_sub(start)) as usize;
    let mut bytes = vec![0; most];
    let mut read = 0;
    while read < most {
        match file.read_at(&mut bytes[read..], start + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}
