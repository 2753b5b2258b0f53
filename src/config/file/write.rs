//! Writes a file that appears whole or not at all.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::geteuid;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// The folder of a file.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What becomes of a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The new one takes its place.
    Replace,
    /// It stays, and that is an error.
    #[cfg_attr(not(feature = "tools"), allow(dead_code, reason = "only `init` makes new files"))]
    Keep,
}

/// Writes a file. It has the owner of the one in whose place it comes, or else of its folder, and this mode;
/// without one that of the old file, or 0640. A crash leaves the old file or the new one.
pub fn write(target: &Path, bytes: &[u8], mode: Option<u32>, existing: Existing) -> io::Result<()> {
    let folder = folder_of(target);
    let (like, old_mode) = match fs::metadata(target) {
        Ok(old) => (old.clone(), old.mode() & 0o777),
        Err(_) => (fs::metadata(folder)?, 0o640),
    };
    let mut new = target.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // A crash may have left a file of this name.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let flags = match existing {
        Existing::Replace => RenameFlags::empty(),
        Existing::Keep => RenameFlags::NOREPLACE,
    };
    // Whoever is not root owns what it makes.
    let owner = geteuid().is_root().then(|| (like.uid(), like.gid())).unzip();
    let written = file
        .write_all(bytes)
        .and_then(|()| fchown(&file, owner.0, owner.1))
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode.unwrap_or(old_mode))))
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(renameat_with(CWD, &new, CWD, target, flags)?));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_with_its_mode_and_in_no_ones_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let mode = || fs::metadata(&file).unwrap().mode() & 0o777;
        write(&file, b"1", Some(0o600), Existing::Keep).unwrap();
        assert_eq!((fs::read(&file).unwrap(), mode()), (b"1".to_vec(), 0o600));
        let error = write(&file, b"2", Some(0o600), Existing::Keep).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"1");
        fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
        write(&file, b"2", None, Existing::Replace).unwrap();
        assert_eq!((fs::read(&file).unwrap(), mode()), (b"2".to_vec(), 0o604));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_alone_is_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("a.yaml")), Path::new("."));
        assert_eq!(folder_of(Path::new("b/a.yaml")), Path::new("b"));
    }
}
