//! `tty2mqtt demo`: shows the gateway at work without any hardware.

use super::run::Signals;
use crate::base::command_line::{CliError, print};
use crate::base::log::{self, LogTime, LogTo};
use crate::base::scalar::Span;
use crate::demo::play;
use crate::mqtt::url::BrokerUrl;
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt demo runs simulated sensors and a simulated RS-485 bus on virtual serial ports at the
speed of real lines, the real gateway, and a subscriber that prints every message it receives.
Meanwhile commands switch a relay and write a register, a device on the bus stops answering for a
while, another one is unplugged and plugged in again, and the broker restarts. Nothing may get lost.

Usage: tty2mqtt demo [OPTIONS]

      --for TIME     end after this time, as in 20s [until Ctrl-C]
      --broker URL   use this broker, as in mqtt://192.168.1.5 [the demo's own, on the loopback
                     address only; it is a toy and not for production]
  -l, --log FILTER   the gateway's log: warn, info, debug [info]
  -c, --config       print the gateway's configuration instead

Exit codes: 0 every message arrived, 1 some did not.
Example: tty2mqtt demo --for 20s
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let (mut time, mut broker) = (None, None);
    let mut filter = String::from("info");
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Long("for") => time = Some(parser.value()?.parse::<Span>()?.duration()),
            Long("broker") => broker = Some(parser.value()?.parse::<BrokerUrl>()?),
            Short('c') | Long("config") => return print(play::CONFIG),
            Short('l') | Long("log") => filter = parser.value()?.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    log::start(&filter, LogTime::Off, LogTo::Stderr)
        .map(drop)
        .map_err(|e| CliError::Usage(format!("--log {e}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |source| CliError::Io { what: "cannot start".into(), source };
    let tally = runtime.map_err(failed)?.block_on(async {
        let signals = Signals::listen(|| ()).map_err(failed)?;
        play::play(time, broker, signals.first()).await
    })?;
    print(&format!(
        "\n{} messages expected, {} arrived, {} missing, {} out of order, {} repeated (QoS 1 may)\n",
        tally.expected,
        tally.arrived,
        tally.missing(),
        tally.disordered,
        tally.repeated
    ))?;
    match (tally.expected, tally.missing() + tally.disordered) {
        (0, _) => Err(CliError::Failed("no device sent anything".into())),
        (_, 0) => Ok(ExitCode::SUCCESS),
        _ => Err(CliError::Failed("not every message arrived in order".into())),
    }
}
