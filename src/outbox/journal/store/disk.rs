//! The disk, which may be pulled out and come back.

use super::{Failure, Store, at};
use crate::base::deque;
use crate::outbox::journal::{JournalSeq, files};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What tells one journal from another.
type Id = [u8; 16];

/// The file that keeps other gateways away, held as long as this journal is in use. It also tells
/// whether the disk is there: when a stick is pulled out, its folder is in the router's own flash.
#[derive(Debug)]
pub(super) struct Lock {
    folder: PathBuf,
    /// `None` if another gateway has it since the disk came back.
    file: Option<File>,
    /// What stands in it; `None` if the disk was too full for that.
    id: Option<Id>,
}

impl Lock {
    pub(super) fn take(folder: &Path) -> Result<Lock, Failure> {
        let path = path(folder);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = files::open(&mut options, &path).map_err(at(&path))?;
        lock(&file, folder)?;
        // Without an id only this very file is accepted.
        let id = id_of(&mut file).or_else(|| give_id(&file).ok());
        Ok(Lock { folder: folder.to_owned(), file: Some(file), id })
    }

    /// Whether what lies in the folder's place is still the same file system.
    pub(super) fn is_there(&self) -> bool {
        let of = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let held = self.file.as_ref().and_then(|file| file.metadata().ok());
        held.is_some_and(|held| {
            fs::symlink_metadata(path(&self.folder)).is_ok_and(|meta| of(meta) == of(held))
        })
    }

    /// While the disk is away, nothing may be written and nothing is taken as deleted.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.is_there() { Ok(()) } else { Err(self.gone()) }
    }

    fn gone(&self) -> Failure {
        let why = io::Error::other("it is not there any more; plug the disk in again");
        at(&self.folder)(why)
    }

    /// A stick that comes back usually is another device, as long as something holds the old one.
    fn take_again(&mut self) -> Result<(), Failure> {
        if self.is_there() {
            return Ok(());
        }
        let mut file = files::open(File::options().read(true).write(true), &path(&self.folder))
            .map_err(|_| self.gone())?;
        if self.id.is_none() || id_of(&mut file) != self.id {
            return Err(self.gone());
        }
        self.file = None;
        lock(&file, &self.folder)?;
        self.file = Some(file);
        Ok(())
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("lock")
}

fn lock(file: &File, folder: &Path) -> Result<(), Failure> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| io::Error::other("another gateway uses this journal"))
        .map_err(at(folder))
}

fn id_of(file: &mut File) -> Option<Id> {
    let mut id = Id::default();
    file.read_exact(&mut id).ok()?;
    // After a power failure bytes may be missing.
    (id != Id::default()).then_some(id)
}

fn give_id(file: &File) -> io::Result<Id> {
    let mut id = Id::default();
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    file.write_all_at(&id, 0)?;
    file.sync_data()?;
    Ok(id)
}

/// Replaces a file as a whole or not at all, whatever happens meanwhile.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<File, Failure> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = files::make(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&temporary, path)?;
        Ok(file)
    };
    // A part of it would take the room that is missing.
    write().inspect_err(|_| drop(fs::remove_file(&temporary))).map_err(at(&temporary))
}

impl Store {
    /// After a failure: whether the disk can be written again. What is gone from it is lost.
    pub(in crate::outbox::journal) fn try_again(&mut self) -> Result<(), Failure> {
        self.close();
        self.lock.take_again()?;
        let probe = self.settings.journal.path.join("probe.new");
        let write = || -> io::Result<()> {
            let mut file = files::make(&probe)?;
            file.write_all(&[0; 4096])?;
            file.sync_data()
        };
        write().and(fs::remove_file(&probe)).map_err(at(&probe))?;
        self.segments.retain_mut(|segment| {
            let is_gone = matches!(segment.path.try_exists(), Ok(false)) && self.lock.is_there();
            if is_gone {
                segment.drop_unreadable(&mut self.lost);
            }
            !is_gone
        });
        self.remove_done();
        if self.segments.is_empty() {
            return Ok(());
        }
        // What was done meanwhile could not be noted.
        self.begin(JournalSeq(self.last.0 + 1))
    }

    /// Removes a segment of which nothing is needed, or nothing can be had.
    pub(super) fn drop_segment(&mut self, index: usize) -> Result<(), Failure> {
        let Some(segment) = self.segments.get(index) else { return Ok(()) };
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.lock.is_there() => {}
            result => result.map_err(at(&segment.path))?,
        }
        deque::take(&mut self.segments, index);
        Ok(())
    }

    pub(super) fn sync_folder(&self) -> Result<(), Failure> {
        let folder = &self.settings.journal.path;
        // Some file systems cannot sync a folder; they keep names as they keep bytes.
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result.map_err(at(folder)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_id_only_the_very_file_will_do() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut lock = Lock { id: None, ..Lock::take(folder.path()).unwrap() };
        let (here, away) = (path(folder.path()), folder.path().join("away"));
        fs::rename(&here, &away).unwrap();
        fs::copy(&away, &here).unwrap();
        lock.take_again().unwrap_err();
        fs::rename(&away, &here).unwrap();
        lock.take_again().unwrap();
    }
}
