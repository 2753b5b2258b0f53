//! A disk that does not answer while the gateway starts: see `hang.c`.

use crate::support::preload;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub struct Hang {
    folder: TempDir,
    journal: PathBuf,
}

impl Hang {
    /// The disk of a journal.
    pub fn of(journal: &Path) -> Hang {
        let folder = tempfile::tempdir().unwrap();
        preload::compile("it/daemon/hang.c", &folder.path().join("hang.so"));
        let pipe = folder.path().join("until");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        Hang { folder, journal: journal.to_owned() }
    }

    /// The gateway that this starts is subject to it.
    pub fn preload(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", self.folder.path().join("hang.so"))
            .env("HANG_IN", &self.journal)
            .env("HANG_UNTIL", self.folder.path().join("until"));
    }

    /// The disk answers. Returns once the gateway has asked it.
    pub fn end(&self) {
        drop(File::options().write(true).open(self.folder.path().join("until")).unwrap());
    }
}
