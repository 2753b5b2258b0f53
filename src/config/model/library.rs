//! Where device files are: a folder beside the configuration, the system's, and the built-in ones.

use crate::base::path::BuildError;
use crate::config::file::{self, FileError};
use std::io;
use std::path::{Path, PathBuf};

/// Device files of this machine.
const OF_SYSTEM: &str = "/etc/tty2mqtt/devices";

macro_rules! built_in {
    ($($name:literal)*) => {
        /// The device files of `config/devices`, by name, without their cases.
        const BUILT_IN: &[(&str, &str)] = &[$(($name, {
            const FILE: &str = include_str!(concat!("../../../config/devices/", $name, ".yaml"));
            // A slice of the file would keep all of it in the program.
            const KEPT: Option<&[u8; before_cases(FILE)]> = FILE.as_bytes().first_chunk();
            const COPY: [u8; before_cases(FILE)] = *KEPT.unwrap();
            match str::from_utf8(&COPY) {
                Ok(text) => text,
                Err(_) => unreachable!(),
            }
        })),*];
    };
}

/// How much of a device file stands before its cases, which come last. They are three quarters of it.
const fn before_cases(file: &str) -> usize {
    let (file, mut at) = (file.as_bytes(), 0);
    while at < file.len() {
        if let Some((b"\ncases:\n", _)) = file.split_at(at).1.split_first_chunk() {
            return at + 1;
        }
        at += 1;
    }
    at
}

// A test compares it with the folder.
built_in! {
    "dsmr-2"
    "dsmr-5"
    "eastron-sdm120"
    "eastron-sdm630"
    "han-dlms"
    "iec-62056-21-mode-c"
    "iec-62056-21-mode-d"
    "linky-historic"
    "linky-standard"
    "m-bus-heat-meter"
    "p1-belgium"
    "p1-luxembourg"
    "p1-sweden"
    "pzem-004t-v3"
    "relay-board-modbus"
    "sml-meter"
    "victron-ve-direct"
    "voltronic-axpert"
    "xy-md02"
}

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
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices");
        let mut files = names(&[folder]);
        files.dedup();
        let built_in: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        assert_eq!(built_in, files, "src/config/model/library.rs lists them, in order");
    }

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
