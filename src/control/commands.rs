//! `tty2mqtt status`, `reload`, `reconnect`, `rescan`, `send`, `monitor`, `log`: what a running gateway is
//! asked on its control socket.

mod connection;
mod live;
mod options;
mod rpcd;
mod screen;

use crate::base::command_line::{CliError, print};
use crate::base::plain::plain;
use crate::control::json::line;
use crate::control::request::Request;
use connection::Connection;
use options::{Options, read};
pub(crate) use rpcd::main as rpcd;
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

const STATUS: &str = "\
tty2mqtt status: how a running gateway, its link to the broker and its ports are, and the last value
of each topic.

Usage: tty2mqtt status [OPTIONS]

  -j, --json          as JSON, one line; docs/CONTROL.md has every field
  -w, --watch         again each second, until Ctrl-C
  -s, --socket PATH   the gateway's control socket
  -c, --config FILE   the configuration that says where the socket is [/etc/tty2mqtt/config.yaml]

Exit codes: 0 it is shown, 1 no gateway answers, 2 wrong usage.
Example: tty2mqtt status --watch
";

const RELOAD: &str = "\
tty2mqtt reload: a running gateway reads its configuration again. What the file does not change is
not disturbed; a wrong file changes nothing, and its mistakes are shown.

Usage: tty2mqtt reload [OPTIONS]

  -j, --json          the answer as JSON
  -s, --socket PATH   the gateway's control socket
  -c, --config FILE   the configuration that says where the socket is [/etc/tty2mqtt/config.yaml]

Exit codes: 0 the new file counts, 1 no gateway answers or something failed, 2 the file is wrong.
Example: tty2mqtt reload
";

const RECONNECT: &str = "\
tty2mqtt reconnect: a running gateway connects to its broker now. If it waits for its next try, it
waits no longer; if it is connected, it leaves in good order and connects again.

Usage: tty2mqtt reconnect [OPTIONS]

  -j, --json          the answer as JSON
  -s, --socket PATH   the gateway's control socket
  -c, --config FILE   the configuration that says where the socket is [/etc/tty2mqtt/config.yaml]

Exit codes: 0 it tries, 1 no gateway answers, 2 wrong usage.
Example: tty2mqtt reconnect
";

const RESCAN: &str = "\
tty2mqtt rescan: a running gateway looks at once for the devices of ports that are away. It does so
by itself every two seconds; this is for the script that knows of a new device.

Usage: tty2mqtt rescan [OPTIONS]

  -j, --json          the answer as JSON
  -s, --socket PATH   the gateway's control socket
  -c, --config FILE   the configuration that says where the socket is [/etc/tty2mqtt/config.yaml]

Exit codes: 0 it looks, 1 no gateway answers, 2 wrong usage.
Example: tty2mqtt rescan
";

const SEND: &str = "\
tty2mqtt send: a running gateway writes a command to a port, as if it had come from the broker, and
says when the device has it.

Usage: tty2mqtt send [OPTIONS] PORT COMMAND [PAYLOAD]

  PORT                name of the port in the configuration
  COMMAND             topic of one of its commands, or the end of it: relay for barn/door/relay/set
  PAYLOAD             takes the place of {payload} [empty]
  -j, --json          the answer as JSON
  -s, --socket PATH   the gateway's control socket
  -c, --config FILE   the configuration that says where the socket is [/etc/tty2mqtt/config.yaml]

Exit codes: 0 it was written, 1 it was not, 2 wrong usage.
Example: tty2mqtt send door relay on
";

const MONITOR: &str = "\
tty2mqtt monitor: what happens on a port of a running gateway, as it happens: frames with what
became of them, commands, states. Ctrl-C ends it; the port does not notice.

Usage: tty2mqtt monitor [OPTIONS] PORT

  PORT                name of the port in the configuration
  -r, --raw           also bytes as they are read, when frames do not come
  -x, --hex           bytes in hexadecimal
  -j, --json          as JSON, a line for each event; docs/CONTROL.md has every field
  -s, --socket PATH   the gateway's control socket
  -c, --config FILE   the configuration that says where the socket is [/etc/tty2mqtt/config.yaml]

Exit codes: 0 stopped by you, 1 no gateway answers, no such port, or the port ended, 2 wrong usage.
Example: tty2mqtt monitor --raw meter
";

const LOG: &str = "\
tty2mqtt log: what a running gateway logs, and from now on this, until it ends.

Usage: tty2mqtt log [OPTIONS] [FILTER]

  FILTER              error, warn, info, debug (frames), trace (bytes), off;
                      single modules too: info,port=debug,mqtt=trace [as it is]; of app, cli,
                      control, demo, journal, mqtt, pipeline, serial, uplink
  -j, --json          the answer as JSON
  -s, --socket PATH   the gateway's control socket
  -c, --config FILE   the configuration that says where the socket is [/etc/tty2mqtt/config.yaml]

Exit codes: 0 it is shown or set, 1 it is not, 2 wrong usage.
Example: tty2mqtt log info,port=debug
";

pub(crate) fn status(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(options) = read(parser, &["json", "watch"], &[], 0)? else { return print(STATUS) };
    let mut connection = Connection::open(&options)?;
    connection.ask(&Request::Status { watch: options.watch })?;
    let clear = options.watch && !options.json && std::io::stdout().is_terminal();
    loop {
        let Some(answer) = connection.answer()? else { return gone() };
        let text = match options.json {
            true => line(&answer),
            false => screen::screen(&answer),
        };
        // Home and clear, so that the screen stands still.
        let before = if clear { "\x1b[H\x1b[2J" } else { "" };
        if !write(&format!("{before}{text}"))? || !options.watch {
            return Ok(ExitCode::SUCCESS);
        }
        if !clear && !options.json && !write("\n")? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

pub(crate) fn reload(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(options) = read(parser, &["json"], &[], 0)? else { return print(RELOAD) };
    let mut connection = Connection::open(&options)?;
    connection.ask(&Request::Reload {})?;
    let Some(answer) = connection.any_answer()? else { return gone() };
    let is_config = answer.get("problems").is_some();
    if options.json {
        write(&line(&answer))?;
    } else if is_config {
        let text = answer["text"].as_str().unwrap_or_default();
        let lines: Vec<_> = text.lines().map(plain).collect();
        eprintln!("tty2mqtt: {}\ntty2mqtt: nothing was changed", lines.join("\n"));
    } else {
        let answer = connection::good(answer)?;
        write(&screen::changes(&answer))?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(match answer.get("error") {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(if is_config { 2 } else { 1 }),
    })
}

pub(crate) fn reconnect(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(options) = read(parser, &["json"], &[], 0)? else { return print(RECONNECT) };
    once(&options, &Request::Reconnect {}, |answer| {
        let was = plain(answer["was"].as_str().unwrap_or_default());
        match was.as_str() {
            "ready" => "leaving the broker and connecting again\n".into(),
            "stopped" => "the gateway is ending\n".into(),
            _ if was.starts_with("backoff") => format!("connecting now; it was: {was}\n"),
            _ => format!("connecting already: {was}\n"),
        }
    })
}

pub(crate) fn rescan(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(options) = read(parser, &["json"], &[], 0)? else { return print(RESCAN) };
    once(&options, &Request::Rescan {}, |_| "looking for devices now\n".into())
}

pub(crate) fn send(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(options) = read(parser, &["json"], &["PORT", "COMMAND"], 3)? else {
        return print(SEND);
    };
    let mut words = options.words.iter().cloned();
    let mut next = || words.next().unwrap_or_default();
    let request = Request::Send { port: next(), command: next(), payload: next() };
    once(&options, &request, |answer| {
        let topic = plain(answer["topic"].as_str().unwrap_or_default());
        format!("{topic}: {} bytes written\n", answer["bytes"])
    })
}

pub(crate) fn monitor(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(options) = read(parser, &["json", "raw", "hex"], &["PORT"], 1)? else {
        return print(MONITOR);
    };
    let port = options.words.first().cloned().unwrap_or_default();
    let mut connection = Connection::open(&options)?;
    connection.ask(&Request::Monitor { port, raw: options.raw })?;
    while let Some(event) = connection.answer()? {
        let text = match options.json {
            true => line(&event),
            false => live::event(&event, options.hex),
        };
        if !write(&text)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    gone()
}

pub(crate) fn log(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(options) = read(parser, &["json"], &[], 1)? else { return print(LOG) };
    let request = Request::Log { filter: options.words.first().cloned() };
    once(&options, &request, |answer| {
        format!("{}\n", plain(answer["filter"].as_str().unwrap_or_default()))
    })
}

/// One request, one answer.
fn once(
    options: &Options,
    request: &Request,
    show: impl FnOnce(&Value) -> String,
) -> Result<ExitCode, CliError> {
    let mut connection = Connection::open(options)?;
    connection.ask(request)?;
    let Some(answer) = connection.answer()? else { return gone() };
    print(&if options.json { line(&answer) } else { show(&answer) })
}

fn gone() -> Result<ExitCode, CliError> {
    Err(CliError::Failed("the gateway has ended".into()))
}

/// Prints; `false` if nobody reads any more.
fn write(text: &str) -> Result<bool, CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(source) => Err(CliError::Io { what: "standard output".into(), source }),
    }
}
