//! Lines on stderr, or on stdout and stderr by their level; readable in `logread`.

pub mod lasting;

use crate::base::plain::plain_lines;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Whether lines carry the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTime {
    /// Only on a terminal: procd and syslog add their own.
    #[default]
    Auto,
    On,
    Off,
}

/// Where lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTo {
    #[default]
    Stderr,
    /// Errors and warnings to stderr, all below to stdout. procd logs one as `daemon.err` and the
    /// other as `daemon.info`.
    Split,
}

/// What is logged; it can be changed while the program runs.
#[derive(Clone, Debug)]
pub struct Filter {
    handle: reload::Handle<Targets, Registry>,
}

#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error(
        "{0:?} is not a valid filter ({1}): write error, warn, info, debug, trace or off, and levels for \
         single modules behind commas, as in info,port=debug"
    )]
    Parse(String, ParseError),
    /// It names a module that this program does not have.
    #[error("no module {0:?} logs anything; there are: {list}", list = MODULES.join(", "))]
    Module(String),
    /// This is not the filter of the log.
    #[error("the log has another filter: {0}")]
    Other(#[from] reload::Error),
}

impl Filter {
    pub fn get(&self) -> String {
        let text = self.handle.with_current(|targets| {
            let mut words: Vec<_> =
                targets.iter().map(|(target, level)| (target.to_owned(), level)).collect();
            words.sort();
            let default = targets.default_level().unwrap_or(LevelFilter::OFF);
            let words = words.iter().map(|(target, level)| {
                format!(",{}={}", target.trim_start_matches("tty2mqtt::"), small(level))
            });
            format!("{}{}", small(&default), words.collect::<String>())
        });
        text.unwrap_or_default()
    }

    /// Logs by another filter from now on.
    pub fn set(&self, filter: &str) -> Result<(), FilterError> {
        Ok(self.handle.reload(targets(filter)?)?)
    }
}

fn small(level: &impl Display) -> String {
    level.to_string().to_ascii_lowercase()
}

/// Starts logging by a filter such as `info` or `info,port=debug,mqtt=trace`: a level, and
/// levels for single modules of this program.
pub fn start(filter: &str, time: LogTime, to: LogTo) -> Result<Filter, FilterError> {
    let with_time = match time {
        LogTime::Auto => std::io::stderr().is_terminal(),
        LogTime::On => true,
        LogTime::Off => false,
    };
    let (stderr, stdout) = (|| Plain(std::io::stderr()), || Plain(std::io::stdout()));
    let writer = match to {
        LogTo::Stderr => BoxMakeWriter::new(stderr),
        LogTo::Split => {
            let urgent = stderr.with_max_level(Level::WARN);
            BoxMakeWriter::new(urgent.or_else(stdout))
        }
    };
    let lines = fmt::layer().with_writer(writer).with_target(false).with_ansi(false);
    let lines =
        if with_time { lines.with_timer(SystemTime).boxed() } else { lines.without_time().boxed() };
    let (targets, handle) = reload::Layer::new(targets(filter)?);
    let started = tracing_subscriber::registry().with(lines.with_filter(targets));
    // A second start in one process (the demo, tests) keeps the first one's settings.
    let _ = started.try_init();
    Ok(Filter { handle })
}

/// Escapes what would steer a terminal: topics and names of fields come from devices, reasons from
/// brokers.
struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(plain_lines(line).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

pub fn check(filter: &str) -> Result<(), FilterError> {
    targets(filter).map(drop)
}

/// Rooms of this program that log, and that a filter may name, alone or with a module of theirs:
/// `port`, `port::task`.
pub const MODULES: [&str; 8] =
    ["cli", "control", "demo", "device", "gateway", "mqtt", "outbox", "port"];

/// Names that version 0.1.0 had.
const FORMER: [(&str, &str); 6] = [
    ("app", "gateway"),
    ("journal", "outbox::journal"),
    ("pipeline", "device::pipeline"),
    ("serial::port", "port::task"),
    ("serial", "port"),
    ("uplink", "gateway::uplink"),
];

/// The path of a module below the crate, by its name or a former one.
fn module_path(named: &str) -> String {
    let is_it = |former: &str| {
        named.strip_prefix(former).filter(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let found = FORMER.iter().find_map(|(former, now)| Some((is_it(former)?, now)));
    found.map_or_else(|| named.to_owned(), |(rest, now)| format!("{now}{rest}"))
}

fn targets(filter: &str) -> Result<Targets, FilterError> {
    let level = |word: &str| {
        word.parse::<LevelFilter>().map_err(|e| FilterError::Parse(filter.to_owned(), e.into()))
    };
    let mut targets = Targets::new().with_default(LevelFilter::INFO);
    for word in filter.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            None => {
                targets = targets.with_default(level(word)?);
            }
            Some((module, word)) => {
                let module = module.trim().trim_start_matches("tty2mqtt::").replace('/', "::");
                let module = module_path(&module);
                let first = module.split("::").next().unwrap_or_default();
                if !MODULES.contains(&first) {
                    return Err(FilterError::Module(first.to_owned()));
                }
                targets = targets.with_target(format!("tty2mqtt::{module}"), level(word.trim())?);
            }
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_are_those_that_log() {
        fn logs(path: &std::path::Path) -> bool {
            match std::fs::read_dir(path) {
                Ok(entries) => entries.into_iter().any(|entry| logs(&entry.unwrap().path())),
                Err(_) => {
                    let text = std::fs::read_to_string(path).unwrap();
                    ["error", "warn", "info", "debug", "trace"]
                        .iter()
                        .any(|level| text.contains(&format!("tracing::{level}!")))
                }
            }
        }
        let source = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
        let mut found = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(source).unwrap() {
            let path = entry.unwrap().path();
            if logs(&path) {
                found.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
            }
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), MODULES);
    }

    #[test]
    fn former_names_of_modules_are_understood() {
        for (named, module) in [
            ("serial", "port::open"),
            ("serial::port", "port::task::retry"),
            ("serial/port", "port::task"),
            ("journal", "outbox::journal::thread"),
            ("uplink", "gateway::uplink"),
            ("app", "gateway::reload"),
            ("pipeline", "device::pipeline"),
        ] {
            let targets = targets(&format!("warn,{named}=debug")).unwrap();
            assert!(targets.would_enable(&format!("tty2mqtt::{module}"), &Level::DEBUG), "{named}");
            assert!(!targets.would_enable("tty2mqtt::mqtt", &Level::DEBUG), "{named}");
        }
    }

    #[test]
    fn no_line_steers_a_terminal() {
        let mut out = Vec::new();
        let line = " WARN port p: \u{202e}gpj\u{200b}\u{2028}\u{2066} \x1b[2J é\n\tbelow\n";
        Plain(&mut out).write_all(line.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            " WARN port p: \\u{202e}gpj\\u{200b}\\u{2028}\\u{2066} \\u{1b}[2J é\n\tbelow\n"
        );
    }

    #[test]
    fn a_level_for_all_and_levels_for_single_modules() {
        let targets = targets("warn, port=debug").unwrap();
        assert!(targets.would_enable("tty2mqtt::port::task", &Level::DEBUG));
        assert!(targets.would_enable("tty2mqtt::mqtt", &Level::WARN));
        assert!(!targets.would_enable("tty2mqtt::mqtt", &Level::INFO));
        assert!(super::targets("loud").is_err());
        assert!(super::targets("info,port=loud").is_err());
        assert!(super::targets("info,prot=debug").unwrap_err().to_string().contains("port"));
        assert!(super::targets("info,port::task=debug,mqtt/link=trace").is_ok());
        assert!(!super::targets("off").unwrap().would_enable("tty2mqtt::mqtt", &Level::ERROR));
    }
}
