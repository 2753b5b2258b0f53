//! `tty2mqtt run`: runs the gateway.

use crate::base::clock::Now;
use crate::base::command_line::{CliError, print};
use crate::base::log::{self, LogTime, LogTo};
use crate::config::control_path;
use crate::config::file::DEFAULT_CONFIG;
use crate::config::{Files, load};
use crate::control::socket_lock::SocketLock;
use crate::control::{self, Control, path};
use crate::gateway::status::{Crashes, Program};
use crate::gateway::{self, GatewayRequest};
use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

const HELP: &str = "\
tty2mqtt run: the gateway. Runs in the foreground until SIGTERM or Ctrl-C; then sends what is
left within `grace`, says `offline` and ends. A second signal ends it at once. SIGHUP reads the
configuration again: what it does not change is not disturbed, and a wrong file changes nothing.

Usage: tty2mqtt run [OPTIONS] [FILE]

  FILE                    configuration [/etc/tty2mqtt/config.yaml]; also behind -c or --config
  -b, --broker-file FILE  keys that override those of `broker`, written as there; for a login
                          that the system keeps elsewhere
  -l, --log FILTER        error, warn, info, debug (frames), trace (bytes) [info];
                          single modules too: info,port=debug,mqtt=trace; `log --help` has all
      --log-time WHEN     auto, on, off: time stamps in the log [auto: only on a terminal]
      --log-split         error and warn to stderr, all below to stdout: two severities for a
                          supervisor such as procd

Example: tty2mqtt run --config my.yaml --log info,device=debug
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
    let (lock, crashes) = bind_socket(&config.control);
    let program = Program { started: Now::read(), crashes };
    let place = lock.as_ref().map(|(lock, _)| lock.clone());
    let socket = place.clone();
    let leave = move || socket.iter().for_each(|lock| lock.unlink());
    let signals = Signals::listen(leave).map_err(failed)?;
    let left = runtime.block_on(async {
        let ports = match config.ports.len() {
            1 => "1 port".to_owned(),
            many => format!("{many} ports"),
        };
        tracing::info!(
            "tty2mqtt {} as {} with {ports}, broker {}",
            env!("CARGO_PKG_VERSION"),
            config.gateway,
            config.broker.url
        );
        let (requests, receiver) = mpsc::channel(1);
        if let Some((lock, listener)) = lock {
            let requests = requests.downgrade();
            let (files, program) = (files.clone(), program.clone());
            let control = Control { files, program, log, requests };
            if let Err(error) = control::start(control, lock, listener) {
                tracing::warn!("no control socket: {error}");
            }
        }
        tokio::spawn(signals.obey(files, requests, place.clone()));
        Ok::<_, CliError>(gateway::run(config, program, receiver).await?)
    });
    if let Some(lock) = &place {
        lock.unlink();
    }
    // A file that is being read, a name looked up, or a tty that does not close must not hold up the
    // end.
    runtime.shutdown_background();
    let left = left?;
    match left {
        0 => tracing::info!("stopped"),
        left => tracing::warn!("stopped; the broker did not take {left} messages"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes the control socket's place. If that fails, the gateway runs without the socket.
fn bind_socket(
    setting: &control_path::Control,
) -> (Option<(Arc<SocketLock>, UnixListener)>, Crashes) {
    let Some(path) = path::of(setting) else { return (None, Crashes::default()) };
    let (lock, listener, crashes) = match SocketLock::bind(&path) {
        Ok(taken) => taken,
        Err(error) => {
            tracing::warn!("no control socket: {error}");
            return (None, Crashes::default());
        }
    };
    lock.keep_panics();
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
    (Some((Arc::new(lock), listener)), crashes)
}

fn when(word: &str) -> Result<LogTime, String> {
    match word {
        "auto" => Ok(LogTime::Auto),
        "on" => Ok(LogTime::On),
        "off" => Ok(LogTime::Off),
        _ => Err("auto, on or off".into()),
    }
}

/// What signals ask for. They are received on a thread of their own, so that a second one ends the
/// process even if all other threads are blocked.
pub(super) struct Signals {
    /// Becomes true at the first signal that ends the program.
    ending: watch::Receiver<bool>,
    /// SIGHUP; several that arrive before it is handled are one.
    hang_ups: mpsc::Receiver<()>,
}

impl Signals {
    /// Starts to listen for signals. The second one that ends the program calls `last` and ends the
    /// process at once.
    pub(super) fn listen(last: impl FnOnce() + Send + 'static) -> io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (end, ending) = watch::channel(false);
        let (hang_up, hang_ups) = mpsc::channel(1);
        let inside = runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        drop(inside);
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                        _ = hung_up.recv() => {
                            let _ = hang_up.try_send(());
                            continue;
                        }
                    }
                    if end.send_replace(true) {
                        break;
                    }
                }
            });
            last();
            std::process::exit(130);
        })?;
        Ok(Signals { ending, hang_ups })
    }

    /// Reads the configuration again at each SIGHUP, and ends the gateway at the first other signal,
    /// also while it reads.
    async fn obey(
        mut self,
        files: Files,
        requests: mpsc::Sender<GatewayRequest>,
        lock: Option<Arc<SocketLock>>,
    ) {
        let reloads = async {
            while let Some(()) = self.hang_ups.recv().await {
                // The log says how the reload went.
                let _ = gateway::reload(files.clone(), &requests.downgrade()).await;
            }
        };
        tokio::select! {
            () = reloads => {}
            () = ended(&mut self.ending) => {}
        }
        tracing::info!("stopping");
        if let Some(lock) = &lock {
            lock.ending();
        }
    }

    /// Resolves at the first signal that ends the program.
    #[cfg(feature = "demo")]
    pub(super) async fn first(mut self) {
        ended(&mut self.ending).await;
        tracing::info!("stopping");
    }
}

/// The thread that receives signals runs until the process ends.
async fn ended(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|ending| *ending).await;
}
