//! The configuration as a text that somebody edits elsewhere: read, checked, tried and saved.

use crate::base::command_line::CliError;
use crate::base::scalar::Name;
use crate::config::file::{self, Existing, FileError};
use crate::config::{Files, load};
use crate::control::protocol::{Payload, Problems, RefusedField};
use crate::device::Device;
use crate::device::capture::{Capture, HexText};
use serde::{Deserialize, Serialize};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Messages of a preview.
const MESSAGES: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub file: String,
    /// The text's revision, by which [`save`] notices that the file has been changed meanwhile.
    pub revision: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    pub ok: bool,
    pub gateway: String,
    pub ports: Vec<String>,
    pub warnings: Vec<String>,
    /// The new revision, if the text was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The gateway's answer to the reload, if the text was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<serde_json::Value>,
}

/// What would become of bytes on a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The first 100.
    pub messages: Vec<PreviewMessage>,
    /// The first of each cause.
    pub refused: Vec<RefusedField>,
    pub frames: u64,
    pub bad: u64,
    pub skipped: u64,
    pub unmatched: u64,
    pub no_value: u64,
    /// Bytes at the end that do not make a whole frame.
    pub left: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewMessage {
    pub topic: String,
    #[serde(flatten)]
    pub payload: Payload,
}

/// A file that does not exist yet is empty.
pub(crate) fn read(files: &Files) -> Result<Draft, CliError> {
    let file = &files.config;
    let text = text(&target(file)?)?;
    Ok(Draft { file: file.display().to_string(), revision: revision(&text), text })
}

pub(crate) fn check(files: &Files, text: &str) -> Result<Checked, Problems> {
    let (config, warnings) = load::load_text(files, text).map_err(|e| Problems::from(&e))?;
    Ok(Checked {
        ok: true,
        gateway: config.gateway.to_string(),
        ports: config.ports.keys().map(Name::to_string).collect(),
        warnings,
        revision: None,
        reload: None,
    })
}

/// What becomes of these bytes on a port of this configuration. A last line needs no terminator. Each
/// line of hexadecimal digits is a burst with silence behind it.
pub(crate) fn preview(
    files: &Files,
    text: &str,
    port: &str,
    bytes: &str,
    hex: bool,
) -> Result<Result<Preview, Problems>, CliError> {
    let (config, _) = match load::load_text(files, text) {
        Err(error) => return Ok(Err(Problems::from(&error))),
        Ok(parsed) => parsed,
    };
    let no_port = || CliError::Failed(format!("there is no port {port:?}"));
    let name: Name = port.parse().map_err(|_| no_port())?;
    let settings = config.ports.get(&name).ok_or_else(no_port)?;
    let device = Device::build(&settings.device(&config.gateway, &name)).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        CliError::Failed(errors.join("; "))
    })?;
    let mut capture = Capture::new(device);
    if hex {
        let mut text = HexText::default();
        for (n, line) in bytes.lines().enumerate() {
            let burst = text.line(line);
            let burst = burst.map_err(|e| CliError::Failed(format!("line {}: {e}", n + 1)))?;
            burst.iter().for_each(|burst| capture.burst(burst));
        }
    } else {
        capture.push(bytes.as_bytes());
    }
    Ok(Ok(report(capture)))
}

fn report(mut capture: Capture) -> Preview {
    let rest = capture.end();
    let complaints = capture.device.pipeline_mut().complaints().into_iter();
    let refused = complaints.map(|it| RefusedField::from(&it.refused)).collect();
    let messages = capture.messages.iter().take(MESSAGES).map(|it| PreviewMessage {
        topic: it.message.topic.to_string(),
        payload: it.message.payload.as_ref().into(),
    });
    let frames = capture.device.pipeline().frame_counts();
    Preview {
        messages: messages.collect(),
        refused,
        frames: frames.frames,
        bad: frames.bad.total(),
        skipped: frames.skipped,
        unmatched: capture.device.pipeline().counts().unmatched,
        no_value: capture.device.pipeline().counts().no_value,
        left: if rest.is_line { 0 } else { rest.bytes },
    }
}

/// Puts a text that is right into the place of the file, which must be as it was read. A crash leaves
/// the old file or the new one.
pub(crate) fn save(
    files: &Files,
    text: &str,
    read: &str,
) -> Result<Result<Checked, Problems>, CliError> {
    let target = target(&files.config)?;
    if revision(&self::text(&target)?) != read {
        let why = "the file was changed meanwhile by somebody else; load it again";
        return Err(CliError::Failed(why.into()));
    }
    let mut checked = match check(files, text) {
        Ok(checked) => checked,
        Err(problems) => return Ok(Err(problems)),
    };
    file::write(&target, text.as_bytes(), None, Existing::Replace)
        .map_err(|source| CliError::Io { what: target.display().to_string(), source })?;
    checked.revision = Some(revision(text));
    Ok(Ok(checked))
}

/// The file itself where the path leads over links. Only YAML: whoever may set the path in UCI must not
/// read or replace every file of the system by it.
fn target(file: &Path) -> Result<PathBuf, CliError> {
    let target = match fs::canonicalize(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => file.to_owned(),
        Err(source) => return Err(CliError::Io { what: file.display().to_string(), source }),
        Ok(target) => target,
    };
    let is_yaml = target.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if !is_yaml || target.is_dir() {
        let why = format!("{} is no file that ends in .yaml or .yml", target.display());
        return Err(CliError::Failed(why));
    }
    Ok(target)
}

fn text(target: &Path) -> Result<String, CliError> {
    match file::read(target) {
        Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| CliError::Failed(format!("{}: {error}", target.display()))),
    }
}

/// A checksum of the text. It is compared with those of the same program only.
fn revision(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    const RIGHT: &str = "gateway: gw\nbroker: {url: mqtt://127.0.0.1}\n\
                         ports:\n  a: {path: /dev/ttyS0, line: 9600 8N1, decode: pairs}\n";

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn files(path: &Path) -> Files {
        path.to_owned().into()
    }

    #[test]
    fn a_right_text_takes_the_place_of_the_file_and_keeps_its_mode() {
        let folder = folder();
        let file = folder.path().join("c.yaml");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let before = read(&files(&file)).unwrap();
        assert_eq!(before.text, "old");
        let answer = save(&files(&file), RIGHT, &before.revision).unwrap().unwrap();
        assert!(answer.ok);
        let after = read(&files(&file)).unwrap();
        assert_eq!((after.text.as_str(), Some(after.revision)), (RIGHT, answer.revision));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_wrong_text_and_one_of_somebody_else_change_nothing() {
        let folder = folder();
        let file = folder.path().join("c.yaml");
        fs::write(&file, RIGHT).unwrap();
        let revision = read(&files(&file)).unwrap().revision;
        let answer = save(&files(&file), &RIGHT.replace("decode", "decod"), &revision).unwrap();
        assert_eq!(answer.unwrap_err().problems[0].line, Some(4));
        assert_eq!(fs::read_to_string(&file).unwrap(), RIGHT);
        let theirs = format!("# theirs\n{RIGHT}");
        fs::write(&file, &theirs).unwrap();
        let error = save(&files(&file), RIGHT, &revision).unwrap_err().to_string();
        assert!(error.contains("changed meanwhile"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), theirs);
    }

    #[test]
    fn the_first_file_is_made_and_a_link_stays_one() {
        let folder = folder();
        let file = folder.path().join("c.yaml");
        let link = folder.path().join("link.yaml");
        let nothing = read(&files(&file)).unwrap().revision;
        assert!(save(&files(&file), RIGHT, &nothing).unwrap().unwrap().ok);
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let revision = read(&files(&link)).unwrap().revision;
        let more = format!("{RIGHT}# more\n");
        save(&files(&link), &more, &revision).unwrap().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), more);
    }

    #[test]
    fn only_yaml_is_read_and_replaced() {
        let folder = folder();
        let secret = folder.path().join("shadow");
        fs::write(&secret, "root:x").unwrap();
        let link = folder.path().join("c.yaml");
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        for path in [&secret, &link] {
            assert!(
                read(&files(path)).unwrap_err().to_string().contains("no file that ends in .yaml")
            );
            assert!(save(&files(path), RIGHT, &revision("root:x")).is_err());
        }
        assert_eq!(fs::read_to_string(&secret).unwrap(), "root:x");
    }

    #[test]
    fn a_preview_has_messages_and_what_was_refused() {
        let file = &files(Path::new("c.yaml"));
        let seen = preview(file, RIGHT, "a", "t=21.50\nh=40\nx\n", false).unwrap().unwrap();
        let message = |topic: &str, payload: &str| PreviewMessage {
            topic: topic.into(),
            payload: Payload::Text(payload.into()),
        };
        assert_eq!(seen.messages, [message("gw/a/t", "21.50"), message("gw/a/h", "40")]);
        assert_eq!(seen.frames, 3);
        let hex = preview(file, RIGHT, "a", "74 3D 31 0A", true).unwrap().unwrap();
        assert_eq!(hex.messages[0].topic, "gw/a/t");
        let error =
            |port, bytes, hex| preview(file, RIGHT, port, bytes, hex).unwrap_err().to_string();
        assert!(error("a", "7", true).contains("line 1"));
        assert!(error("b", "", false).contains("no port \"b\""));
        assert!(preview(file, "gateway: gw\n", "a", "", false).unwrap().is_err());
    }
}
