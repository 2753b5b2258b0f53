//! Lines on stderr, readable in `logread`.

use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Whether lines carry the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTime {
    /// Only when a person looks on: procd and syslog add their own.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Starts logging by a filter such as `info` or `info,serial=debug,mqtt=trace`: a level, and
/// levels for single modules of this program.
pub fn start(filter: &str, time: LogTime) -> Result<(), ParseError> {
    let stderr = std::io::stderr();
    let with_time = match time {
        LogTime::Auto => stderr.is_terminal(),
        LogTime::On => true,
        LogTime::Off => false,
    };
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    let lines =
        if with_time { lines.with_timer(SystemTime).boxed() } else { lines.without_time().boxed() };
    let started = tracing_subscriber::registry().with(lines.with_filter(targets(filter)?));
    // A second start in one process (the demo, tests) keeps the first one's settings.
    let _ = started.try_init();
    Ok(())
}

fn targets(filter: &str) -> Result<Targets, ParseError> {
    let mut targets = Targets::new().with_default(LevelFilter::INFO);
    for word in filter.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            None => {
                let level: LevelFilter = level(word)?;
                targets = targets.with_default(level);
            }
            Some((module, word)) => {
                let module = module.trim().trim_start_matches("tty2mqtt::").replace('/', "::");
                targets = targets.with_target(format!("tty2mqtt::{module}"), level(word.trim())?);
            }
        }
    }
    Ok(targets)
}

fn level(word: &str) -> Result<LevelFilter, ParseError> {
    // `Targets` parses levels and reports what is none.
    let parsed: Targets = word.parse()?;
    Ok(parsed.default_level().unwrap_or(LevelFilter::TRACE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_level_for_all_and_levels_for_single_modules() {
        let targets = targets("warn, serial=debug").unwrap();
        assert!(targets.would_enable("tty2mqtt::serial::port", &Level::DEBUG));
        assert!(targets.would_enable("tty2mqtt::mqtt", &Level::WARN));
        assert!(!targets.would_enable("tty2mqtt::mqtt", &Level::INFO));
    }
}
