//! MQTT from the shell: `pub`, `sub` and `test`.

mod debug;
mod dialogue;
pub mod exit;
pub mod format;
mod help;
mod lines;
pub mod options;
mod publish;
mod run;
mod selftest;
mod start;
mod subscribe;

use crate::base::command_line::{CliError, print};
use crate::base::plain::plain_lines;
use crate::base::scalar::Size;
use crate::mqtt::link::{self, Link};
use crate::mqtt::session::Session;
use crate::outbox::Outbox;
use crate::outbox::settings::OutboxBounds;
use exit::{Exit, Failure};
use options::{Asked, Options, Own, Publish, Subscribe, Test};
use run::Run;
use std::pin::Pin;
use std::process::ExitCode;

/// How many messages of QoS 1 and 2 the broker may send ahead, as mosquitto's programs have it.
const AHEAD: u16 = 20;

/// `tty2mqtt pub`
pub(crate) fn publish(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let help = help::of(help::PUBLISH, "tty2mqtt pub -h broker.lan -q 1 -t door/bell -m ring");
    command(parser, "pub", &help, |options: &Publish| {
        // Before signals mean a farewell: a terminal may never say anything.
        let payload = publish::payload(&options.own.source)?;
        let lines = payload.is_none();
        on_a_link(options, AHEAD, lines, async |run| publish::publish(options, payload, run).await)
    })
}

/// `tty2mqtt sub`
pub(crate) fn subscribe(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let help = help::of(help::SUBSCRIBE, "tty2mqtt sub -h broker.lan -v -t 'door/#'");
    command(parser, "sub", &help, |options: &Subscribe| {
        // What nobody will print is better left at the broker.
        let ahead = options.own.count.and_then(|n| u16::try_from(n).ok()).unwrap_or(AHEAD);
        on_a_link(options, ahead.min(AHEAD), true, async |run| {
            subscribe::subscribe(options, run).await
        })
    })
}

/// `tty2mqtt test`
pub(crate) fn test(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let help = help::of(help::TEST, "tty2mqtt test --self-check mqtts://broker.lan");
    command(parser, "test", &help, |options: &Test| {
        if options.own.self_check {
            return self_check(options);
        }
        on_a_link(options, AHEAD, true, async |run| dialogue::dialogue(options, run).await)
    })
}

/// Parses, runs and reports.
fn command<O: Own>(
    parser: lexopt::Parser,
    name: &str,
    help: &str,
    body: impl FnOnce(&Options<O>) -> Result<Exit, Failure>,
) -> Result<ExitCode, CliError> {
    let (result, quiet) = match options::parse::<O>(parser, &options::default_files::<O>()) {
        Ok(Asked::Help) => return print(help),
        Ok(Asked::Version) => return print(crate::base::command_line::VERSION),
        Ok(Asked::Run(options)) => {
            let quiet = options.connection.quiet;
            for warning in options.warnings.iter().filter(|_| !quiet) {
                eprintln!("tty2mqtt {name}: {warning}");
            }
            (body(&options), quiet)
        }
        Err(error) => (Err(error.into()), false),
    };
    match result {
        Ok(exit) => Ok(exit.into()),
        Err(Failure { exit, text }) => {
            if !quiet && exit == Exit::Timeout && text == run::TIMED_OUT {
                eprintln!("{text}");
            } else if !quiet && !text.is_empty() {
                eprintln!("tty2mqtt {name}: {}", plain_lines(text.as_bytes()));
            }
            Ok(exit.into())
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(Exit::Local, format!("cannot start: {e}")))?;
    // In a box: the runtime's code is there once, not once for each command.
    let work: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(work);
    let result = runtime.block_on(work);
    // A name server that does not answer holds nobody up.
    runtime.shutdown_background();
    Ok(result)
}

/// Room for everything: the commands themselves see to it that little is under way.
fn outbox() -> Outbox {
    let bytes = Size::from_bytes(usize::MAX / 2);
    let bounds = OutboxBounds { messages: u32::MAX, bytes, ..OutboxBounds::default() };
    let mut outbox = Outbox::new(&bounds);
    outbox.try_once();
    outbox
}

/// Runs a command's body on a link that is at its begin, and ends it in good order.
fn on_a_link<O>(
    options: &Options<O>,
    receive_maximum: u16,
    reconnect: bool,
    body: impl AsyncFnOnce(&mut Run) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let connection = &options.connection;
    let (session, auth) = start::session(connection, &options.properties, receive_maximum)?;
    if connection.debug {
        debug::start(&session.client_id);
    }
    let mut session = Session::new(session);
    if let Some(auth) = auth {
        session.set_auth(auth);
    }
    let connector = start::connector(connection, session.has_credentials())?;
    block_on(async {
        let link_options = link::Options { reconnect, ..link::Options::default() };
        let link = Link::new(session, outbox(), connector, link_options);
        let mut run = Run::new(link, connection.timeout, connection.quiet)
            .map_err(|e| Failure::new(Exit::Local, format!("cannot start: {e}")))?;
        let result = body(&mut run).await;
        if result.is_err() {
            run.end().await;
        }
        result.map(|()| Exit::Done)
    })?
}

fn self_check(options: &Test) -> Result<Exit, Failure> {
    if options.connection.debug {
        debug::start("(null)");
    }
    let report = block_on(selftest::check(options))??;
    let text = match options.own.json {
        true => format!("{}\n", report.json()),
        false => report.text(),
    };
    print(&text).map_err(|e| Failure::new(Exit::Local, e.to_string()))?;
    Ok(report.exit())
}
