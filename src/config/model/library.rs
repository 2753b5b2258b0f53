//! Where device files are: a folder beside the configuration, the system's, and the built-in ones.

use crate::base::path::BuildError;
use crate::config::file::{self, FileError};
use std::io;
use std::path::{Path, PathBuf};

/// Device files of this machine.
const OF_SYSTEM: &str = "/etc/tty2mqtt/devices";

/// The device files of `config/devices`, by name, without their cases; `build.rs` lists them.
const BUILT_IN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/device_files.rs"));

/// A device file, and what it is called in messages.
pub(in crate::config) struct Source {
    pub(in crate::config) file: String,
    pub(in crate::config) text: String,
}

/// The folders of device files, the first one first.
pub(super) fn folders(config: &Path) -> Vec<PathBuf> {
    let mut folders = vec![config.join("devices"), PathBuf::from(OF_SYSTEM)];
    folders.dedup();
    folders
}

/// The device file of this name, if there is one.
pub(super) fn read(folders: &[PathBuf], name: &str) -> Result<Option<Source>, BuildError> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_of_name) {
        let error = BuildError::new(format!("{name:?} is not the name of a device file"));
        return Err(error.remedy("write it without folder and without `.yaml`"));
    }
    for folder in folders {
        let path = folder.join(format!("{name}.yaml"));
        let file = path.display().to_string();
        match file::read(&path) {
            Ok(text) => return Ok(Some(Source { file, text })),
            Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let mut wrong = BuildError::from(&error);
                wrong.what = format!("cannot read {file}: {}", wrong.what);
                return Err(wrong);
            }
        }
    }
    let found = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
    Ok(found.map(|(name, text)| Source {
        file: format!("built-in {name}.yaml"),
        text: (*text).to_owned(),
    }))
}

/// The names of all device files, in order.
pub(super) fn names(folders: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
    for entry in folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml::Tree;

    #[test]
    fn cases_stand_last_in_a_device_file_and_are_not_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices");
        for (name, kept) in BUILT_IN {
            let file = folder.join(format!("{name}.yaml"));
            let whole = Tree::read(&std::fs::read_to_string(file).unwrap()).unwrap();
            let kept = Tree::read(kept).unwrap();
            let (last, others) = whole.keys().unwrap().split_last().unwrap();
            assert_eq!(
                last.0.key_text(),
                "cases",
                "{name}: `cases:` comes last, on a line of its own"
            );
            assert_eq!(kept.keys().unwrap(), others, "{name}");
        }
    }
}
