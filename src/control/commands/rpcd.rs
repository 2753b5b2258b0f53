//! `tty2mqtt rpcd`: what LuCI asks, in the way in which OpenWrt's rpcd calls its plugins.
//!
//! rpcd runs the plugin once for each call, gives it the arguments as one JSON object and takes one
//! JSON object as the answer. A call that fails is answered by `{"error": "why"}`, as on the control
//! socket.

use super::connection::Connection;
use super::gone;
use super::options::{Flag, Options, read};
use crate::base::command_line::{CliError, print};
use crate::base::json::line;
use crate::config::Files;
use crate::control::draft;
use crate::control::protocol::{Failure, Ports, SeenEvents};
use crate::control::request::{Keys, Request};
#[cfg(feature = "tools")]
use crate::control::{detection, library};
use crate::port::list;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
tty2mqtt rpcd is the plugin of OpenWrt's rpcd through which LuCI asks the gateway. docs/CONTROL.md
documents its methods.

Usage: tty2mqtt rpcd [OPTIONS] list
       tty2mqtt rpcd [OPTIONS] call METHOD < ARGUMENTS

  -s, --socket PATH       the gateway's control socket
  -c, --config FILE       the configuration that is read and saved, and says where the socket is
                          [/etc/tty2mqtt/config.yaml]
  -b, --broker-file FILE  keys that override those of `broker`, as for `run`

Exit codes: 0 the answer was printed, 1 it was not, 2 wrong usage.
Example: echo '{\"port\": \"meter\"}' | tty2mqtt rpcd call monitor
";

/// The longest arguments in bytes. uhttpd takes 64 KiB.
const LONGEST: u64 = 256 << 10;

/// A call has one answer, so the events of a port are answered in pieces of this length. Whoever begins
/// the next call before the end of this one misses nothing.
const PIECE: Duration = Duration::from_secs(2);

/// A piece has at most this many events.
const EVENTS: usize = 200;

/// A piece ends once it has this many bytes: a message of ubus holds at most a megabyte.
const BYTES: usize = 256 << 10;

/// The arguments of all methods. rpcd adds its session, which is ignored.
struct Arguments {
    port: String,
    command: String,
    payload: String,
    text: String,
    bytes: String,
    revision: String,
    raw: bool,
    hex: bool,
}

impl Arguments {
    /// By hand, as a [`Request`] is read.
    fn read(json: &[u8]) -> Result<Arguments, String> {
        let mut keys = Keys::read(json)?;
        let mut text = |key| keys.text_if_any(key).map(Option::unwrap_or_default);
        Ok(Arguments {
            port: text("port")?,
            command: text("command")?,
            payload: text("payload")?,
            text: text("text")?,
            bytes: text("bytes")?,
            revision: text("revision")?,
            raw: keys.flag("raw")?,
            hex: keys.flag("hex")?,
        })
    }
}

pub(crate) fn main(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(options) = read(parser, &[Flag::BrokerFile], &["`list` or `call`", "[METHOD]"])?
    else {
        return print(HELP);
    };
    print(&match (options.word(0).as_deref(), options.word(1)) {
        (Some("list"), None) => line(&methods()),
        (Some("call"), Some(method)) => {
            call(&options, &method)?.unwrap_or_else(|why| line(&Failure::new(why)))
        }
        _ => return Err(CliError::Usage("`list` or `call METHOD` is needed; see --help".into())),
    })
}

/// Every method with its arguments; their values say of which type they are.
fn methods() -> Value {
    json!({
        "status": {},
        "monitor": { "port": "", "raw": false },
        "reconnect": {},
        "send": { "port": "", "command": "", "payload": "" },
        "ports": {},
        "models": {},
        "detect": { "port": "" },
        "detected": {},
        "config": {},
        "check": { "text": "" },
        "preview": { "text": "", "port": "", "bytes": "", "hex": false },
        "save": { "text": "", "revision": "" },
    })
}

/// The answer as a line. Outer `Err`: a bad call. Inner `Err`: reported to LuCI.
fn call(options: &Options, method: &str) -> Result<Result<String, CliError>, CliError> {
    if methods().get(method).is_none() {
        return Err(CliError::Usage(format!("there is no method {method:?}; see `rpcd list`")));
    }
    let Arguments { port, command, payload, raw, text, bytes, hex, revision } = arguments()?;
    let files = options.files();
    Ok(match method {
        "monitor" => monitor(options, port, raw).map(|events| line(&events)),
        "reconnect" => ask(options, &Request::Reconnect {}),
        "send" => ask(options, &Request::Send { port, command, payload }),
        "ports" => Ok(line(&Ports { ports: list::found() })),
        "models" | "detect" | "detected" => tools(method, &files, &port),
        "config" => draft::read(&files).map(|draft| line(&draft)),
        "check" => Ok(either(&draft::check(&files, &text))),
        "preview" => draft::preview(&files, &text, &port, &bytes, hex).map(|it| either(&it)),
        "save" => save(options, &text, &revision),
        _ => ask(options, &Request::Status { watch: false }),
    })
}

fn either(answer: &Result<impl Serialize, impl Serialize>) -> String {
    match answer {
        Ok(answer) => line(answer),
        Err(problems) => line(problems),
    }
}

fn arguments() -> Result<Arguments, CliError> {
    let mut json = Vec::new();
    let read = io::stdin().lock().take(LONGEST).read_to_end(&mut json);
    read.map_err(|source| CliError::Io { what: "standard input".into(), source })?;
    let json = if json.trim_ascii().is_empty() { b"{}" } else { &json[..] };
    Arguments::read(json).map_err(|error| CliError::Usage(format!("the arguments: {error}")))
}

fn ask(options: &Options, request: &Request) -> Result<String, CliError> {
    let mut connection = Connection::open(options)?;
    connection.ask(request)?;
    connection.answer()?.map(|answer| line(&answer)).ok_or_else(gone)
}

fn monitor(options: &Options, port: String, raw: bool) -> Result<SeenEvents, CliError> {
    let mut connection = Connection::open(options)?;
    connection.ask(&Request::Monitor { port, raw })?;
    let end = Instant::now() + PIECE;
    let mut events = Vec::new();
    let mut size = 0;
    while events.len() < EVENTS
        && size < BYTES
        && let Some(event) = connection.answer_by(end)?
    {
        size += line(&event).len();
        events.push(event);
    }
    Ok(SeenEvents { events })
}

#[cfg(feature = "tools")]
fn tools(method: &str, files: &Files, port: &str) -> Result<String, CliError> {
    match method {
        "detect" => detection::start(port).map(|it| line(&it)),
        "detected" => detection::look().map(|it| line(&it)),
        _ => Ok(line(&library::models(&files.config))),
    }
}

#[cfg(not(feature = "tools"))]
fn tools(_: &str, _: &Files, _: &str) -> Result<String, CliError> {
    Err(CliError::Failed("this build has no tools; install the package tty2mqtt".into()))
}

/// Saves what is right, and has the gateway read it if one runs.
fn save(options: &Options, text: &str, revision: &str) -> Result<String, CliError> {
    let mut saved = draft::save(&options.files(), text, revision)?;
    if let Ok(saved) = &mut saved {
        let reload = || {
            let mut connection = Connection::open(options)?;
            connection.ask(&Request::Reload {})?;
            connection.any_answer()?.ok_or_else(gone)
        };
        saved.reload = Some(reload().unwrap_or_else(|why| json!({ "error": why.to_string() })));
    }
    Ok(either(&saved))
}
