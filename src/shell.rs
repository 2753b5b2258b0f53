//! MQTT from the shell: `pub`, `sub` and `test`.

mod debug;
mod dialogue;
pub mod exit;
mod failure;
pub mod format;
mod help;
mod lines;
mod link;
pub mod options;
mod publish;
mod selftest;
mod start;
mod subscribe;

use crate::base::command_line::{CliError, print};
use crate::base::plain::plain_lines;
use crate::base::secret::Secret;
use crate::mqtt::link::{Link, Options as LinkOptions};
use crate::mqtt::transport::Settings;
use crate::mqtt::url::BrokerUrl;
use exit::Exit;
use failure::{Failure, TIMED_OUT};
use link::ShellLink;
use options::{CommandOptions, Invocation, Options, Publish, Subscribe, Test};
use std::pin::Pin;
use std::process::ExitCode;

pub(crate) fn publish(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    command(parser, "pub", |options: &Publish| {
        // Before the first signal handler: a read from a terminal may never end.
        let payload = publish::payload(&options.own.source)?;
        let lines = payload.is_none();
        on_a_link(options, lines, async |link| publish::publish(options, payload, link).await)
    })
}

pub(crate) fn subscribe(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    command(parser, "sub", |options: &Subscribe| {
        on_a_link(options, true, async |link| subscribe::subscribe(options, link).await)
    })
}

pub(crate) fn test(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    command(parser, "test", |options: &Test| {
        if options.own.self_check {
            return self_check(options);
        }
        on_a_link(options, true, async |link| dialogue::dialogue(options, link).await)
    })
}

/// Parses, runs and reports.
fn command<O: CommandOptions>(
    parser: lexopt::Parser,
    name: &str,
    body: impl FnOnce(&Options<O>) -> Result<Exit, Failure>,
) -> Result<ExitCode, CliError> {
    let (result, quiet) = match options::parse::<O>(parser, &options::default_files::<O>()) {
        Ok(Invocation::Help) => return print(&help::of::<O>()),
        Ok(Invocation::Version) => return print(crate::base::command_line::VERSION),
        Ok(Invocation::Run(options)) => {
            let quiet = options.connection.quiet;
            for warning in options.connection.warnings.iter().filter(|_| !quiet) {
                eprintln!("tty2mqtt {name}: {warning}");
            }
            (body(&options), quiet)
        }
        Err(error) => (Err(error.into()), false),
    };
    match result {
        Ok(exit) => Ok(exit.0.into()),
        Err(Failure { exit, text }) => {
            if !quiet && exit == Exit::TIMEOUT && text == TIMED_OUT {
                eprintln!("{text}");
            } else if !quiet && !text.is_empty() {
                eprintln!("tty2mqtt {name}: {}", plain_lines(text.as_bytes()));
            }
            Ok(exit.0.into())
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::local("cannot start", e))?;
    // In a box: the runtime's code is there once, not once for each command.
    let work: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(work);
    let result = runtime.block_on(work);
    // A name server that does not answer holds nobody up.
    runtime.shutdown_background();
    Ok(result)
}

/// Runs a command's body on a new link, and ends the link in good order.
fn on_a_link<O>(
    options: &Options<O>,
    reconnect: bool,
    body: impl AsyncFnOnce(&mut ShellLink) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let connection = &options.connection;
    let session = start::session(connection)?;
    let connector = start::connector(connection, session.has_credentials())?;
    block_on(async {
        let link = LinkOptions { reconnect, ..LinkOptions::default() };
        let link = Link::new(session, connector, link);
        let mut link = ShellLink::new(link, connection.timeout, connection.quiet)
            .map_err(|e| Failure::local("cannot start", e))?;
        let result = body(&mut link).await;
        if result.is_err() {
            link.end().await;
        }
        result.map(|()| Exit::DONE)
    })?
}

/// Takes every step to a broker and back, as `test --self-check`: how it ended, and what is to be said of it.
#[cfg(feature = "tools")]
pub(crate) fn check_broker(
    url: BrokerUrl,
    user: Option<String>,
    password: Option<Secret>,
    topic: &str,
) -> (Exit, String) {
    let mut options = Test::default();
    options.connection.session.version = None;
    options.connection.session.user = user;
    options.connection.password = password.map(options::connection::Password::Given);
    options.connection.transport = Settings::new(url);
    if let Ok(topic) = topic.parse() {
        options.own.publish = topic;
    }
    match block_on(selftest::check(&options)).and_then(|report| report) {
        Ok(report) => (report.exit(), report.text()),
        Err(Failure { exit, text }) => (exit, format!("{text}\n")),
    }
}

fn self_check(options: &Test) -> Result<Exit, Failure> {
    let report = block_on(selftest::check(options))??;
    let text = if options.own.json { report.json() } else { report.text() };
    print(&text).map_err(|e| Failure::new(Exit::LOCAL, e.to_string()))?;
    Ok(report.exit())
}
