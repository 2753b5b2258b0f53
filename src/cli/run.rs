//! `tty2mqtt run`: the gateway itself.

use super::{CliError, DEFAULT_CONFIG, print};
use crate::app::{self, Order};
use crate::clock::Now;
use crate::config::{Files, load, scalar};
use crate::control::seat::Seat;
use crate::control::{self, Control, path};
use crate::log::{self, LogTime, LogTo};
use crate::status::{Crashes, Program};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

const HELP: &str = "\
tty2mqtt run: the gateway. Runs in the foreground until SIGTERM or Ctrl-C; then sends what is
left within `grace`, says `offline` and ends. A second signal ends it at once. SIGHUP reads the
configuration again: what it does not change is not disturbed, and a wrong file changes nothing.

Usage: tty2mqtt run [OPTIONS] [FILE]

  FILE                    configuration [/etc/tty2mqtt/config.yaml]; also behind -c or --config
  -b, --broker-file FILE  keys of `broker` that count instead of the configuration's, written as
                          there; for a login that the system keeps elsewhere
  -l, --log FILTER        error, warn, info, debug (frames), trace (bytes) [info];
                          single modules too: info,serial=debug,mqtt=trace; `log --help` has all
      --log-time WHEN     auto, on, off: time stamps in the log [auto: only on a terminal]
      --log-split         error and warn to stderr, all below to stdout: two severities for a
                          supervisor such as procd

Example: tty2mqtt run --config my.yaml --log info,pipeline=debug
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut file = None;
    let mut broker = None;
    let mut filter = String::from("info");
    let mut time = LogTime::Auto;
    let mut to = LogTo::Stderr;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('c') | Long("config") => file = Some(parser.value()?),
            Short('b') | Long("broker-file") => broker = Some(parser.value()?.into()),
            Value(path) if file.is_none() => file = Some(path),
            Short('l') | Long("log") => filter = parser.value()?.string()?,
            Long("log-time") => time = parser.value()?.parse_with(when)?,
            Long("log-split") => to = LogTo::Split,
            other => return Err(other.unexpected().into()),
        }
    }
    let config = file.map_or_else(|| DEFAULT_CONFIG.into(), PathBuf::from);
    let files = Files { config, broker };
    let log = log::start(&filter, time, to);
    let log = log.map_err(|e| CliError::Usage(format!("--log {e}")))?;
    let (config, warnings) = load::load_files(&files)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |source| CliError::Io { what: "cannot start".into(), source };
    let runtime = runtime.map_err(failed)?;
    let (seat, crashes) = take_seat(&config.control);
    let program = Program { started: Now::read(), crashes };
    let place = seat.as_ref().map(|(seat, _)| seat.clone());
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
        if let Some((seat, listener)) = seat {
            let orders = orders.downgrade();
            let (files, program) = (files.clone(), program.clone());
            let control = Control { files, program, log, orders };
            if let Err(error) = control::start(control, seat, listener) {
                tracing::warn!("no control socket: {error}");
            }
        }
        tokio::spawn(signals.obey(files, orders, place.clone()));
        Ok::<_, CliError>(app::run(config, program, receiver).await?)
    });
    if let Some(seat) = &place {
        seat.leave();
    }
    let left = left?;
    match left {
        0 => tracing::info!("stopped"),
        left => tracing::warn!("stopped; the broker did not take {left} messages"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The control socket's place. Without it the gateway runs as well.
fn take_seat(setting: &scalar::Control) -> (Option<(Arc<Seat>, UnixListener)>, Crashes) {
    let Some(path) = path::of(setting) else { return (None, Crashes::default()) };
    let (seat, listener, crashes) = match Seat::take(&path) {
        Ok(taken) => taken,
        Err(error) => {
            tracing::warn!("no control socket: {error}");
            return (None, Crashes::default());
        }
    };
    seat.keep_panics();
    if crashes.count > 0 {
        let Crashes { count, within, panic } = &crashes;
        let times = if *count == 1 { "once" } else { &format!("{count} times") };
        let last =
            panic.as_ref().map(|text| format!("; the last one said: {}", text.escape_debug()));
        tracing::warn!(
            "the gateway ended unexpectedly {times} in the last {} min{}",
            within.div_ceil(60).max(1),
            last.unwrap_or_default()
        );
    }
    (Some((Arc::new(seat), listener)), crashes)
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
    async fn obey(mut self, files: Files, orders: mpsc::Sender<Order>, seat: Option<Arc<Seat>>) {
        while let Wish::Reload = self.next().await {
            // What came of it is in the log.
            let _ = app::reload(files.clone(), &orders).await;
        }
        tracing::info!("stopping");
        if let Some(seat) = &seat {
            seat.ending();
        }
        drop(orders);
        self.second().await;
        if let Some(seat) = &seat {
            seat.leave();
        }
        std::process::exit(130);
    }

    /// Resolves at the first signal that ends the program; from then on a second one ends the
    /// process at once.
    #[cfg(feature = "demo")]
    pub(super) async fn first(mut self) {
        while let Wish::Reload = self.next().await {}
        tracing::info!("stopping");
        tokio::spawn(async {
            self.second().await;
            std::process::exit(130);
        });
    }

    async fn second(mut self) {
        while let Wish::Reload = self.next().await {}
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
