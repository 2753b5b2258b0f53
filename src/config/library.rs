//! The device files of this machine: those beside the configuration, the system's, and the built-in ones.

use super::file::{self, FileError};
#[cfg(feature = "tools")]
use super::{
    device_file::{self, Head},
    error::ConfigError,
    load,
    yaml::Tree,
};
use crate::base::path::BuildError;
#[cfg(feature = "tools")]
use crate::device::cases::Case;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Device files of this machine.
const OF_SYSTEM: &str = "/etc/tty2mqtt/devices";

/// The device files of `config/devices`, by name; `build.rs` lists them.
#[cfg(feature = "library")]
const BUILT_IN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/device_files.rs"));
#[cfg(not(feature = "library"))]
const BUILT_IN: &[(&str, &str)] = &[];

/// Where device files are looked for. What is found first counts.
#[derive(Clone, Debug)]
pub struct Library {
    folders: Vec<PathBuf>,
}

/// A device file that is not read yet.
pub(super) struct Source {
    pub(super) name: String,
    /// What it is called in messages.
    pub(super) file: String,
    pub(super) text: String,
}

/// A device file as those see it who choose a device.
#[cfg(feature = "tools")]
#[derive(Debug)]
pub struct Model {
    /// What `model` in a configuration calls it.
    pub name: String,
    /// What it is called in messages.
    pub file: String,
    pub head: Head,
    /// The settings of a port or of a device on a bus, before they get types.
    pub settings: Tree,
}

impl Library {
    /// The library of this machine, and the device files beside a configuration in this folder.
    pub fn beside(config: &Path) -> Library {
        Library { folders: vec![config.join("devices"), PathBuf::from(OF_SYSTEM)] }
    }

    /// All device files, one at a time, in no order: a name comes once. One that is broken is an error, and the
    /// others still come.
    #[cfg(feature = "tools")]
    pub fn all(&self) -> impl Iterator<Item = Result<Model, ConfigError>> + '_ {
        let mut seen = BTreeSet::new();
        let first = move |found: &Result<Source, ConfigError>| match found {
            Ok(source) => seen.insert(source.name.clone()),
            Err(_) => true,
        };
        self.sources().filter(first).map(|found| Model::read(found?).map(|(model, _)| model))
    }

    /// The device file of this name, and its cases where it has them: files of a router's library have none.
    #[cfg(feature = "tools")]
    pub fn open(&self, name: &str) -> Result<(Model, Vec<Case>), ConfigError> {
        let wrong = |wrong| ConfigError::of(name, None, "", wrong);
        let source = self.read(name).map_err(wrong)?.ok_or_else(|| wrong(self.unknown(name)))?;
        let file = source.file.clone();
        let text = source.text.clone();
        let (model, cases) = Model::read(source)?;
        #[derive(serde::Deserialize)]
        struct Cases {
            #[serde(default)]
            cases: Vec<Case>,
        }
        let Cases { cases } = load::typed(&file, &text, &cases)?;
        Ok((model, cases))
    }

    /// What is said of a name that no device file has.
    pub(super) fn unknown(&self, name: &str) -> BuildError {
        let names = self.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let what = format!("there is no device file {name:?}");
        BuildError::new(what).remedy(super::hint::nearest(name, &names))
    }

    /// The text of the device file of this name, if there is one.
    pub(super) fn read(&self, name: &str) -> Result<Option<Source>, BuildError> {
        if !is_name(name) {
            let error = BuildError::new(format!("{name:?} is not the name of a device file"));
            return Err(error.remedy("write it without folder and without `.yaml`"));
        }
        for folder in &self.folders {
            if let Some(source) = read_file(folder, name)? {
                return Ok(Some(source));
            }
        }
        Ok(built_in().find(|source| source.name == name))
    }

    /// The names of all device files, in order.
    pub fn names(&self) -> Vec<String> {
        let own = self.folders.iter().flat_map(|folder| names_in(folder));
        let names: BTreeSet<String> =
            own.chain(BUILT_IN.iter().map(|(name, _)| (*name).to_owned())).collect();
        names.into_iter().collect()
    }

    /// The texts of all device files. One that another one hides comes behind that.
    #[cfg(feature = "tools")]
    fn sources(&self) -> impl Iterator<Item = Result<Source, ConfigError>> + '_ {
        let own = self.folders.iter().flat_map(|folder| {
            let read = move |name: String| match read_file(folder, &name) {
                Ok(source) => source.map(Ok),
                Err(wrong) => Some(Err(ConfigError::of(&name, None, "", wrong))),
            };
            names_in(folder).filter_map(read)
        });
        own.chain(built_in().map(Ok))
    }
}

#[cfg(feature = "tools")]
impl Model {
    /// The file and its cases, which have no types yet.
    fn read(source: Source) -> Result<(Model, Tree), ConfigError> {
        let Source { name, file, text } = source;
        let tree = load::tree(&file, &text)?;
        if tree.keys().is_none() {
            let wrong = BuildError::new("it is not a map of keys");
            return Err(ConfigError::of(&file, None, "", wrong));
        }
        let (head, settings) = device_file::split(tree, Head::KEYS);
        let (cases, head) = device_file::split(head, &["cases"]);
        let head = load::typed(&file, &text, &head)?;
        Ok((Model { name, file, head, settings }, cases))
    }
}

/// Whether a device file can have this name.
fn is_name(name: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_of_name)
}

/// The device file of this name in a folder, if there is one.
fn read_file(folder: &Path, name: &str) -> Result<Option<Source>, BuildError> {
    let path = folder.join(format!("{name}.yaml"));
    let file = path.display().to_string();
    match file::read(&path) {
        Ok(text) => Ok(Some(Source { name: name.to_owned(), file, text })),
        Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let mut wrong = BuildError::from(&error);
            wrong.what = format!("cannot read {file}: {}", wrong.what);
            Err(wrong)
        }
    }
}

/// The names of the device files in a folder.
fn names_in(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_suffix(".yaml").filter(|name| is_name(name)).map(str::to_owned)
    })
}

fn built_in() -> impl Iterator<Item = Source> {
    BUILT_IN.iter().map(|(name, text)| Source {
        name: (*name).to_owned(),
        file: format!("built-in {name}.yaml"),
        text: (*text).to_owned(),
    })
}

#[cfg(all(test, feature = "tools"))]
mod tests {
    use super::*;

    #[test]
    fn cases_stand_last_in_a_device_file() {
        for source in built_in() {
            let tree = Tree::read(&source.text).unwrap();
            let (last, _) = tree.keys().unwrap().split_last().unwrap();
            assert_eq!(last.0.key_text(), "cases", "{}: `cases:` comes last", source.name);
            assert!(source.text.contains("\ncases:\n"), "{}: on a line of its own", source.name);
        }
    }

    #[test]
    fn each_name_comes_once_and_a_broken_file_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let devices = folder.path().join("devices");
        std::fs::create_dir(&devices).unwrap();
        let write = |name: &str, text: &str| std::fs::write(devices.join(name), text).unwrap();
        let library = Library { folders: vec![devices.clone()] };
        write("dsmr-5.yaml", "title: mine\nregisters: {a: {input: 1}}\n");
        write("broken.yaml", "make: A\naliases: B\n");
        write("list.yaml", "- a\n");
        write("no-yaml.txt", "");
        let (read, broken): (Vec<_>, Vec<_>) = library.all().partition(Result::is_ok);
        let broken: Vec<String> =
            broken.into_iter().map(|it| it.unwrap_err().to_string()).collect();
        assert_eq!(broken.len(), 2);
        let is_told = |text: &str| broken.iter().any(|wrong| wrong.contains(text));
        assert!(is_told("broken.yaml:2:10: aliases: "), "{broken:?}");
        assert!(is_told("= put it in brackets"), "{broken:?}");
        assert!(is_told("list.yaml: it is not a map of keys"), "{broken:?}");
        let mut names: Vec<_> = read.iter().map(|model| &*model.as_ref().unwrap().name).collect();
        names.sort_unstable();
        let mut all = library.names();
        all.retain(|name| name != "broken" && name != "list");
        assert_eq!(names, all);
        let mine = library.open("dsmr-5").unwrap();
        assert_eq!((&*mine.0.head.title, mine.1.len()), ("mine", 0));
        assert!(
            mine.0.settings.get("registers").is_some() && mine.0.settings.get("title").is_none()
        );
        let unknown = library.open("dsmr-55").unwrap_err().to_string();
        assert!(unknown.contains("there is no device file \"dsmr-55\""), "{unknown}");
    }

    #[test]
    #[cfg(feature = "library")]
    fn built_in_files_have_their_cases() {
        let (model, cases) = Library::beside(Path::new("/nowhere")).open("xy-md02").unwrap();
        assert_eq!(model.head.missing(), None);
        assert!(cases.len() >= 2);
    }
}
