//! `tty2mqtt run`: the gateway itself.

use super::{CliError, DEFAULT_CONFIG, print};
use crate::app::{self, Order};
use crate::config::load;
use crate::log::{self, LogTime};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

const HELP: &str = "\
tty2mqtt run: the gateway. Runs in the foreground until SIGTERM or Ctrl-C; then sends what is
left, says `offline` and ends. A second signal ends it at once. SIGHUP reads the configuration
again: what it does not change is not disturbed, and a wrong file changes nothing.

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
    let file = config;
    let (config, warnings) = load::load(&file)?;
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
        let (orders, receiver) = mpsc::channel(1);
        tokio::spawn(signals.obey(file, orders));
        Ok::<_, CliError>(app::run(config, receiver).await?)
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

/// What ends the gateway, and what makes it read its configuration again.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
enum Wish {
    End,
    Reload,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Reads the configuration again at each SIGHUP, and ends the gateway at the first other signal;
    /// from then on a second one ends the process at once.
    async fn obey(mut self, file: PathBuf, orders: mpsc::Sender<Order>) {
        while let Wish::Reload = self.next().await {
            let file = file.clone();
            // Off this thread: on a slow router reading and checking takes longer than a tty waits.
            match tokio::task::spawn_blocking(move || load::load(&file)).await {
                Ok(Ok((config, warnings))) => {
                    for warning in warnings {
                        tracing::warn!("{warning}");
                    }
                    let _ = orders.send(Order::Reload(Box::new(config))).await;
                }
                Ok(Err(error)) => tracing::error!("nothing was changed: {error}"),
                Err(error) => tracing::error!("nothing was changed: {error}"),
            }
        }
        tracing::info!("stopping");
        drop(orders);
        self.end().await;
    }

    /// Resolves at the first signal that ends the program; from then on a second one ends the
    /// process at once.
    #[cfg(feature = "demo")]
    pub(super) async fn first(mut self) {
        while let Wish::Reload = self.next().await {}
        tracing::info!("stopping");
        tokio::spawn(self.end());
    }

    async fn end(mut self) {
        while let Wish::Reload = self.next().await {}
        std::process::exit(130);
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
