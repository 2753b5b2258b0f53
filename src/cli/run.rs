//! `tty2mqtt run`: the gateway itself.

use super::{CliError, DEFAULT_CONFIG, print};
use crate::app;
use crate::config::load;
use crate::log::{self, LogTime};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

const HELP: &str = "\
tty2mqtt run: the gateway. Runs in the foreground until SIGTERM or Ctrl-C; then sends what is
left, says `offline` and ends. A second signal ends it at once.

Usage: tty2mqtt run [OPTIONS]

  -c, --config FILE     configuration [/etc/tty2mqtt/config.yaml]
  -l, --log FILTER      error, warn, info, debug (frames), trace (bytes) [info];
                        single modules too: info,serial=debug,mqtt=trace
      --log-time WHEN   auto, on, off: time stamps in the log [auto: only on a terminal]

Example: tty2mqtt run --config my.yaml --log info,pipeline=debug
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut config = PathBuf::from(DEFAULT_CONFIG);
    let mut filter = String::from("info");
    let mut time = LogTime::Auto;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('c') | Long("config") => config = parser.value()?.into(),
            Short('l') | Long("log") => filter = parser.value()?.string()?,
            Long("log-time") => time = parser.value()?.parse_with(when)?,
            other => return Err(other.unexpected().into()),
        }
    }
    log::start(&filter, time).map_err(|e| CliError::Usage(format!("--log {filter}: {e}")))?;
    let (config, warnings) = load::load(&config)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |source| CliError::Io { what: "cannot start".into(), source };
    let runtime = runtime.map_err(failed)?;
    let left = runtime.block_on(async {
        let signals = Signals::listen().map_err(failed)?;
        tracing::info!(
            "tty2mqtt {} as {} with {} ports, broker {}",
            env!("CARGO_PKG_VERSION"),
            config.gateway,
            config.ports.len(),
            config.broker.url
        );
        Ok::<_, CliError>(app::run(config, signals.first()).await?)
    })?;
    match left {
        0 => tracing::info!("stopped"),
        left => tracing::warn!("stopped; the broker did not take {left} messages"),
    }
    Ok(ExitCode::SUCCESS)
}

fn when(word: &str) -> Result<LogTime, String> {
    match word {
        "auto" => Ok(LogTime::Auto),
        "on" => Ok(LogTime::On),
        "off" => Ok(LogTime::Off),
        _ => Err("auto, on or off".into()),
    }
}

/// What ends the gateway. SIGHUP, which would end the process without a farewell, does not.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves at the first signal; from then on a second one ends the process at once.
    pub(super) async fn first(mut self) {
        self.next().await;
        tracing::info!("stopping");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(130);
        });
    }

    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    tracing::warn!("a changed configuration counts from the next start on");
                }
            }
        }
    }
}
