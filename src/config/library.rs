//! The device files of this machine: those beside the configuration, the system's, the library's archive, and
//! the built-in ones.

mod archive;
#[cfg(feature = "tools")]
pub mod draft;
#[cfg(feature = "tools")]
mod search;
#[cfg(feature = "tools")]
mod sheet;

#[cfg(feature = "tools")]
pub use search::{Entry, Search};

#[cfg(any(feature = "demo", feature = "tools"))]
use super::cases::Golden;
#[cfg(any(feature = "demo", feature = "tools"))]
use super::error::ConfigError;
use super::file::{self, FileError};
#[cfg(feature = "tools")]
use super::{
    device_file::{self, Head},
    load,
    yaml::Tree,
};
use crate::base::path::BuildError;
#[cfg(feature = "tools")]
use crate::device::cases::Case;
use archive::Archive;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Device files that the owner of this machine wrote.
pub const OF_SYSTEM: &str = "/etc/tty2mqtt/devices";

/// Those of the package tty2mqtt-devices.
pub const ARCHIVE: &str = "/usr/share/tty2mqtt/devices.tar.gz";

/// The device files of `config/devices`, by name; `build.rs` lists them.
#[cfg(feature = "library")]
const BUILT_IN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/device_files.rs"));
#[cfg(not(feature = "library"))]
const BUILT_IN: &[(&str, &str)] = &[];

/// Where device files are looked for. What is found first counts.
#[derive(Clone, Debug)]
pub struct Library {
    folders: Vec<PathBuf>,
    archive: PathBuf,
}

/// What was found for a name.
type Found = Result<Option<Source>, BuildError>;

/// A device file that is not read yet.
#[derive(Clone, Debug)]
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
        Library {
            folders: vec![config.join("devices"), PathBuf::from(OF_SYSTEM)],
            archive: PathBuf::from(ARCHIVE),
        }
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

    /// A device file by its name; or by its path, where that has a folder or ends in `.yaml`. It need not have
    /// cases.
    #[cfg(any(feature = "demo", feature = "tools"))]
    pub fn device(&self, model: &str) -> Result<Golden, ConfigError> {
        let wrong = |wrong| ConfigError::of(model, None, "", wrong);
        if model.contains('/') || model.ends_with(".yaml") {
            let text = file::read(Path::new(model)).map_err(|error| wrong((&error).into()))?;
            return Golden::device(model, text);
        }
        let source = self.read(model).map_err(wrong)?.ok_or_else(|| wrong(self.unknown(model)))?;
        Golden::device(&source.file, source.text)
    }

    /// What is said of a name that no device file has.
    pub(super) fn unknown(&self, name: &str) -> BuildError {
        let what = format!("there is no device file {name:?}");
        let names = self.names();
        if names.is_empty() {
            let remedy = "the library of devices is not installed: install the package tty2mqtt-devices, \
                          or write the file into the folder `devices` beside the configuration";
            return BuildError::new(what).remedy(remedy);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        BuildError::new(what).remedy(super::hint::nearest(name, &names))
    }

    /// The text of the device file of this name, if there is one.
    pub(super) fn read(&self, name: &str) -> Found {
        self.read_all([name].into()).remove(name).unwrap_or(Ok(None))
    }

    /// The texts of the device files of these names. Those that no folder has are looked for in the archive, which
    /// is gone through once, to its end: nothing is taken from one that is damaged.
    pub(super) fn read_all(&self, names: BTreeSet<&str>) -> BTreeMap<String, Found> {
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        let mut left = BTreeSet::new();
        for name in names {
            match self.read_own(name) {
                Ok(None) => _ = left.insert(name),
                own => _ = found.insert(name.to_owned(), own),
            }
        }
        let archived = if left.is_empty() { Ok(BTreeMap::new()) } else { self.archived(&left) };
        for name in left {
            let source = match &archived {
                Err(wrong) => Err(wrong.clone()),
                Ok(archived) => Ok(archived.get(name).cloned().or_else(|| built_in(name))),
            };
            found.insert(name.to_owned(), source);
        }
        found
    }

    /// The file of this name in one of the folders.
    fn read_own(&self, name: &str) -> Found {
        if !is_name(name) {
            let error = BuildError::new(format!("{name:?} is not the name of a device file"));
            return Err(error.remedy("write it without folder and without `.yaml`"));
        }
        let read = |folder: &PathBuf| read_file(folder, name).transpose();
        self.folders.iter().find_map(read).transpose()
    }

    /// The files of these names in the archive.
    fn archived(&self, names: &BTreeSet<&str>) -> Result<BTreeMap<String, Source>, BuildError> {
        let mut found = BTreeMap::new();
        for source in Archive::open(&self.archive)?.into_iter().flatten() {
            let source = source?;
            if names.contains(&*source.name) {
                found.entry(source.name.clone()).or_insert(source);
            }
        }
        Ok(found)
    }

    /// The names of all device files, in order.
    pub fn names(&self) -> Vec<String> {
        let own = self.folders.iter().flat_map(|folder| names_in(folder));
        let archived = Archive::open(&self.archive).into_iter().flatten().flatten();
        let archived = archived.filter_map(|source| Some(source.ok()?.name));
        let built_in = BUILT_IN.iter().map(|(name, _)| (*name).to_owned());
        let names: BTreeSet<String> = own.chain(archived).chain(built_in).collect();
        names.into_iter().collect()
    }

    /// The texts of all device files. One that another one hides comes behind that.
    #[cfg(feature = "tools")]
    fn sources(&self) -> impl Iterator<Item = Result<Source, ConfigError>> + '_ {
        let own = self.folders.iter().flat_map(|folder| {
            names_in(folder).filter_map(move |name| read_file(folder, &name).transpose())
        });
        let (archive, wrong) = match Archive::open(&self.archive) {
            Ok(archive) => (archive, None),
            Err(wrong) => (None, Some(Err(wrong))),
        };
        let archived = archive.into_iter().flatten().chain(wrong);
        let built_in = BUILT_IN.iter().filter_map(|(name, _)| built_in(name));
        // They come last, and are three quarters of a file; a test looks.
        let built_in = built_in.map(|mut source| {
            let end = source.text.find("\ncases:\n").map_or(source.text.len(), |end| end + 1);
            source.text.truncate(end);
            Ok(source)
        });
        own.chain(archived).chain(built_in).map(|source| {
            source.map_err(|wrong| ConfigError::of("the library of devices", None, "", wrong))
        })
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

/// The built-in device file of this name.
fn built_in(name: &str) -> Option<Source> {
    let (_, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name)?;
    let file = format!("built-in {name}.yaml");
    Some(Source { name: name.to_owned(), file, text: (*text).to_owned() })
}

#[cfg(all(test, feature = "tools"))]
mod tests {
    use super::*;

    #[test]
    fn cases_stand_last_in_a_device_file() {
        for (name, text) in BUILT_IN {
            let tree = Tree::read(text).unwrap();
            let (last, _) = tree.keys().unwrap().split_last().unwrap();
            assert_eq!(last.0.key_text(), "cases", "{name}: `cases:` comes last");
            assert!(text.contains("\ncases:\n"), "{name}: on a line of its own");
        }
    }

    #[test]
    fn each_name_comes_once_and_a_broken_file_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let devices = folder.path().join("devices");
        std::fs::create_dir(&devices).unwrap();
        let write = |name: &str, text: &str| std::fs::write(devices.join(name), text).unwrap();
        let library =
            Library { folders: vec![devices.clone()], archive: folder.path().join("none") };
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
    fn a_broken_archive_is_an_error_for_those_alone_who_use_it() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library {
            folders: vec![folder.path().to_owned()],
            archive: folder.path().join("devices.tar.gz"),
        };
        std::fs::write(folder.path().join("mine.yaml"), "line: 9600 8N1\n").unwrap();
        std::fs::write(&library.archive, "no archive").unwrap();
        let mut found = library.read_all(["mine", "other"].into());
        assert_eq!(found.remove("mine").unwrap().unwrap().unwrap().text, "line: 9600 8N1\n");
        let why = found.remove("other").unwrap().unwrap_err().to_string();
        assert!(why.contains("devices.tar.gz: it is no gzip file; install the package"), "{why}");
        assert!(library.names().contains(&"mine".to_owned()));
        let broken = library.all().filter_map(Result::err).map(|wrong| wrong.to_string());
        let broken: Vec<_> = broken.collect();
        assert_eq!(broken.len(), 1);
        assert!(broken[0].contains("it is no gzip file"), "{broken:?}");
        assert!(library.all().any(|model| model.is_ok_and(|model| model.name == "mine")));
    }

    #[test]
    #[cfg(feature = "library")]
    fn the_archive_of_the_package_has_every_device_file_without_cases_source_and_comments() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("devices.tar.gz");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/device-archive");
        let made = std::process::Command::new(script).arg(&archive).status().unwrap();
        assert!(made.success());
        let size = std::fs::metadata(&archive).unwrap().len();
        assert!(size < 60_000, "the archive has {size} bytes");
        let bare = |text: &str| {
            let lines = text.lines().take_while(|line| *line != "cases:");
            let kept =
                lines.filter(|line| !line.starts_with("source: ") && !line.trim().starts_with('#'));
            let kept = kept.map(|line| match line.split_once("  # ") {
                Some((kept, comment)) if !comment.contains(['"', '\'']) => kept,
                _ => line,
            });
            kept.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
        };
        let archived: BTreeMap<_, _> = Archive::open(&archive)
            .unwrap()
            .unwrap()
            .map(|source| source.map(|source| (source.name, bare(&source.text))).unwrap())
            .collect();
        let built_in = BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), bare(text)));
        assert_eq!(archived, built_in.collect());
    }

    #[test]
    #[cfg(feature = "library")]
    fn built_in_files_have_their_cases() {
        let (model, cases) = Library::beside(Path::new("/nowhere")).open("xy-md02").unwrap();
        assert_eq!(model.head.missing(), None);
        assert!(cases.len() >= 2);
    }
}
