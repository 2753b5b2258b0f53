//! The devices of the library that fit what was heard.

use crate::base::line::Line;
use crate::base::scalar::{ByteString, Name};
use crate::config::Config;
use crate::config::library::{Library, Model};
use crate::device::detect::{Confidence, Evidence, Heard};
use crate::device::settings::DeviceSettings;
use std::cmp::Reverse;

/// A device that fits.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) make: String,
    pub(super) title: String,
    pub(super) confidence: Confidence,
    /// The line that its device file says.
    pub(super) usual: Option<Line>,
    evidence: Evidence,
    /// Whether the line is the one that its device file says: its speed, and also its format.
    is_speed: bool,
    is_line: bool,
}

impl Candidate {
    /// Those that rank alike cannot be told from each other.
    fn rank(&self) -> (Confidence, bool, bool, bool) {
        (self.confidence, self.evidence.is_named, self.is_speed, self.is_line)
    }
}

/// A device of the library that speaks by itself, with its description ready to be tried.
pub(super) struct Passive {
    name: String,
    make: String,
    title: String,
    /// The line that it is usually set to.
    pub(super) line: Option<Line>,
    contains: Option<ByteString>,
    config: Config,
}

/// All devices of the library that speak by themselves. Device files that are broken are left out: `devices` and
/// `check` say what is wrong with them.
pub(super) fn passive(library: &Library) -> Vec<Passive> {
    library.all().filter_map(|model| Passive::of(library, model.ok()?)).collect()
}

impl Passive {
    fn of(library: &Library, model: Model) -> Option<Passive> {
        let Model { name, head, settings, .. } = model;
        if ASKED.iter().any(|key| settings.get(key).is_some()) {
            return None;
        }
        let line = settings.get("line").and_then(|line| line.key_text().parse::<Line>().ok());
        let config = library.device(&name).and_then(|device| device.whole()).ok()?;
        let contains = head.detect.and_then(|detect| detect.contains);
        Some(Passive { name, make: head.make, title: head.title, line, contains, config })
    }

    fn candidate(&self, heard: &Heard, line: Line, speed: Speed) -> Option<Candidate> {
        let (name, port): (&Name, _) = self.config.ports.iter().next()?;
        let settings =
            DeviceSettings { line: Some(&line), ..port.device(&self.config.gateway, name) };
        let evidence =
            heard.evidence(line, &settings, self.contains.as_ref().map(ByteString::as_bytes))?;
        // A character of 7 bits never has an eighth.
        let is_narrow = self.line.is_some_and(|usual| usual.data_bits == 7);
        if is_narrow && line.data_bits == 8 && heard.has_high() {
            return None;
        }
        let is_speed = speed == Speed::Unknown || self.is_at(line);
        let confidence = match evidence.confidence()? {
            // Another device than the usual one, unless it says what only this one says.
            _ if !is_speed && !evidence.is_named => Confidence::Possible,
            confidence => confidence,
        };
        Some(Candidate {
            name: self.name.clone(),
            make: self.make.clone(),
            title: self.title.clone(),
            confidence,
            usual: self.line,
            evidence,
            is_speed,
            is_line: self.line.is_none_or(|usual| usual == line),
        })
    }

    /// Whether it is usually set to this speed.
    fn is_at(&self, line: Line) -> bool {
        self.line.is_none_or(|usual| usual.baud == line.baud)
    }
}

/// Keys of devices that are asked.
const ASKED: &[&str] = &["registers", "poll", "startup"];

/// What is known of the speed of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speed {
    /// Only devices that are usually set to it are tried.
    Usual,
    /// All devices are tried, and others than those count for less.
    Any,
    /// It is set at a serial server.
    Unknown,
}

/// Those that fit, the best first.
pub(super) fn of(passive: &[Passive], heard: &Heard, line: Line, speed: Speed) -> Vec<Candidate> {
    let tried = passive.iter().filter(|it| speed != Speed::Usual || it.is_at(line));
    let mut found: Vec<_> = tried.filter_map(|it| it.candidate(heard, line, speed)).collect();
    found.sort_by_key(|it| (Reverse(it.rank()), Reverse(it.evidence.fields), it.name.clone()));
    found
}

/// Those at the front that cannot be told from each other: what they say counts for less than how many values of
/// theirs were there, where a device has many more than another.
pub(super) fn best(found: &[Candidate]) -> &[Candidate] {
    let Some(first) = found.first() else { return found };
    let is_alike = |it: &&Candidate| {
        it.rank() == first.rank() && 4 * it.evidence.fields >= 3 * first.evidence.fields
    };
    let count = found.iter().take_while(is_alike).count();
    found.get(..count).unwrap_or(found)
}

#[cfg(all(test, feature = "library"))]
mod tests {
    use super::*;
    use crate::device::capture::{HexText, Piece};
    use std::path::Path;
    use std::time::{Duration, Instant};

    fn library() -> Library {
        Library::beside(Path::new("/nowhere"))
    }

    /// What a device sends again and again.
    fn heard(line: Line, bursts: &[Vec<u8>]) -> Heard {
        let (mut heard, mut at) = (Heard::new(line), Instant::now());
        for _ in 0..4 {
            for burst in bursts {
                heard.push(Piece { bytes: burst.clone(), is_damaged: false }, at);
                at += Duration::from_millis(3);
            }
            at += Duration::from_secs(1);
        }
        heard
    }

    /// Devices that send the same bytes, or of which one file describes many.
    const ALIKE: &[&[&str]] = &[
        &["han-dlms", "aidon-han", "kaifa-han", "kamstrup-han"],
        &["dfrobot-a02yyuw", "jsn-sr04t"],
        &["victron-ve-direct", "victron-mppt", "victron-bmv", "victron-phoenix"],
        // The readout of a meter that was asked is that of one that is not.
        &["iec-62056-21-mode-c", "iec-62056-21-mode-d"],
    ];

    /// Lines such as any sketch prints: these are possible at most, and the speed is what is found.
    const GENERAL: &[&str] =
        &["arduino-csv", "arduino-json", "arduino-key-value", "barcode-scanner"];

    #[test]
    fn each_passive_device_is_found_by_its_own_bytes_and_no_other_is_named() {
        let library = library();
        let passive = super::passive(&library);
        let (mut wrong, mut missing, mut cases_run) = (Vec::new(), Vec::new(), 0);
        for name in library.names() {
            let (model, cases) = library.open(&name).unwrap();
            let line = model.settings.get("line");
            let line = line.map_or(Line::DEFAULT, |line| line.key_text().parse().unwrap());
            let is_passive = passive.iter().any(|it| it.name == name);
            let (mut is_found, mut is_tried) = (false, false);
            for case in cases {
                let bursts: Vec<Vec<u8>> = case.read().collect();
                if bursts.iter().all(Vec::is_empty) {
                    continue;
                }
                (is_tried, cases_run) = (true, cases_run + 1);
                let heard = heard(line, &bursts);
                let found = of(&passive, &heard, heard.looks().line, Speed::Any);
                let best = best(&found);
                let has_own = best.iter().any(|it| it.name == name);
                let is_named = best.iter().any(|it| it.confidence > Confidence::Possible);
                let is_alike = |it: &Candidate| {
                    ALIKE.iter().any(|alike| alike.contains(&&*it.name) && alike.contains(&&*name))
                };
                if is_named && !has_own && !best.iter().all(is_alike) {
                    wrong.push(format!("{name}, {}: {best:#?}", case.name));
                }
                // The file of many meters stands behind those of single makers.
                let is_own = |it: &Candidate| it.name == name || is_alike(it);
                is_found |= GENERAL.contains(&&*name) || is_named && best.iter().any(is_own);
            }
            if is_passive && is_tried && !is_found {
                missing.push(name);
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(missing.is_empty(), "{missing:?}");
        assert!(passive.len() > 40 && cases_run > 200, "{} {cases_run}", passive.len());
    }

    #[test]
    fn in_noise_nothing_is_found() {
        let passive = super::passive(&library());
        let mut seed = 1_u32;
        let mut random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        for n in 0..40 {
            let noise: Vec<Vec<u8>> = (0..20)
                .map(|_| {
                    (0..100)
                        .map(|_| match (n % 4, random()) {
                            (0, byte) => byte,
                            // What another speed makes of bytes.
                            (1, byte) => {
                                [0x00, 0xFF, 0xF8, 0x80, 0xE0, 0x1C][usize::from(byte) % 6]
                            }
                            (2, byte) => byte & 0x7F,
                            (_, _) => [0x00, 0xFF, b'\n', 0x7E][n / 4 % 4],
                        })
                        .collect()
                })
                .collect();
            let mut heard = Heard::new("9600 8N1".parse().unwrap());
            let mut at = Instant::now();
            for bytes in noise {
                heard.push(Piece { bytes, is_damaged: false }, at);
                at += Duration::from_millis(500);
            }
            let found = of(&passive, &heard, heard.looks().line, Speed::Any);
            let named: Vec<_> =
                found.iter().filter(|it| it.confidence > Confidence::Possible).collect();
            assert!(named.is_empty(), "{n}: {named:#?}");
        }
    }

    #[test]
    fn in_captures_of_real_devices_no_other_device_is_named() {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
        let folder = std::env::var_os("CAPTURES").map_or_else(beside, std::path::PathBuf::from);
        let Ok(folders) = folder.read_dir() else {
            eprintln!("SKIPPED: {} is not there", folder.display());
            return;
        };
        // Which device files describe what is in a folder.
        let fits = |folder: &str, name: &str| match folder {
            "sml" => name == "sml-meter",
            "p1" => {
                name.starts_with("p1-") || name.starts_with("dsmr-") || name.starts_with("iec-")
            }
            "d0" => name.starts_with("iec-") || name == "dsmr-2",
            "han" => ALIKE[0].contains(&name),
            "vedirect" => name.starts_with("victron-"),
            "rflink" => name == "rflink",
            "mysensors" => name == "mysensors-gateway",
            _ => name.starts_with("votronic"),
        };
        let passive = super::passive(&library());
        let (mut wrong, mut files, mut named) = (Vec::new(), 0, 0);
        for entry in folders.flatten().flat_map(|it| it.path().read_dir()).flatten().flatten() {
            let path = entry.path();
            let kind = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = std::fs::read(&path).unwrap();
            let bursts: Vec<Vec<u8>> = match path.extension().is_some_and(|it| it == "hex") {
                true => String::from_utf8(bytes)
                    .unwrap()
                    .split("\n\n")
                    .map(|burst| {
                        let mut text = HexText::default();
                        let lines = burst.lines().filter_map(|line| text.line(line).unwrap());
                        lines.flat_map(|it| it.pieces).flat_map(|it| it.bytes).collect()
                    })
                    .collect(),
                false => vec![bytes],
            };
            let heard = heard("9600 8N1".parse().unwrap(), &bursts);
            let found = of(&passive, &heard, heard.looks().line, Speed::Unknown);
            let best = best(&found);
            files += 1;
            if best.iter().any(|it| it.confidence > Confidence::Possible) {
                named += 1;
                if !best.iter().any(|it| fits(&kind, &it.name)) {
                    wrong.push(format!("{}: {best:#?}", path.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(files > 100 && named > 50, "{named} of {files}");
    }
}
