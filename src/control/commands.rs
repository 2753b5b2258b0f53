//! The commands for a running gateway: a table of what each is called, takes and does. All of them
//! ask on the gateway's control socket.
//!
//! They show an answer as the JSON that it is. Its types, which the tests read it as, would cost a
//! router 80 KB of code that reads them.

mod connection;
mod monitor;
mod options;
mod rpcd;
mod status;

use super::request::Request;
use crate::base::command_line::{CliError, print, write};
use crate::base::json::line;
use crate::base::plain::plain;
use connection::{Connection, good};
use options::{Flag, Options, read};
pub(crate) use rpcd::main as rpcd;
use serde_json::Value;
use std::fmt::Write as _;
use std::process::ExitCode;

/// A command for a running gateway.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// What it does, for the first lines of its help.
    about: &'static str,
    /// What stands behind the options; words in brackets may be left out.
    words: &'static [&'static str],
    /// Options besides those that all commands have.
    flags: &'static [Flag],
    /// What the words and the flags mean, a line each.
    meaning: &'static str,
    exits: &'static str,
    example: &'static str,
    run: fn(&Options) -> Result<ExitCode, CliError>,
}

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "status",
        about: "shows how a running gateway, its link to the broker and its ports are, and the last\n\
                value of each topic.",
        words: &[],
        flags: &[Flag::Watch],
        meaning: "  -w, --watch         again each second, until Ctrl-C\n",
        exits: "0 it is shown, 1 no gateway answers, 2 wrong usage",
        example: "status --watch",
        run: status::run,
    },
    Command {
        name: "reload",
        about: "makes a running gateway read its configuration again. What the file does not change\n\
                is not disturbed; a wrong file changes nothing, and its mistakes are shown.",
        words: &[],
        flags: &[],
        meaning: "",
        exits: "0 the new file is in effect, 1 no gateway answers or something failed, 2 the file is\n\
                wrong",
        example: "reload",
        run: reload,
    },
    Command {
        name: "reconnect",
        about: "makes a running gateway connect to its broker now. If it waits for its next try,\n\
                it waits no longer; if it is connected, it disconnects in good order and connects again.",
        words: &[],
        flags: &[],
        meaning: "",
        exits: "0 it connects, 1 no gateway answers, 2 wrong usage",
        example: "reconnect",
        run: reconnect,
    },
    Command {
        name: "rescan",
        about: "makes a running gateway look at once for the devices of ports that are away. It\n\
                does so by itself every two seconds; this is for a script that knows of a new device.",
        words: &[],
        flags: &[],
        meaning: "",
        exits: "0 it looks, 1 no gateway answers, 2 wrong usage",
        example: "rescan",
        run: |options| once(options, &Request::Rescan {}, |_| "looking for devices now\n".into()),
    },
    Command {
        name: "send",
        about: "makes a running gateway write a command to a port, as if it had come from the broker,\n\
                and says when the device has it, or what it answers.",
        words: &["PORT", "COMMAND", "[PAYLOAD]"],
        flags: &[],
        meaning: "  PORT                name of the port in the configuration\n  \
                  COMMAND             topic of one of its commands, or the end of it: relay for \
                  barn/door/relay/set\n  \
                  PAYLOAD             replaces {payload} [empty]\n",
        exits: "0 it was written, and the device has not refused it; 1 it was not, 2 wrong usage",
        example: "send door relay on",
        run: send,
    },
    Command {
        name: "monitor",
        about: "shows what happens on a port of a running gateway, as it happens: frames with what\n\
                became of them, commands, states. Ctrl-C ends it; the port does not notice.",
        words: &["PORT"],
        flags: &[Flag::Raw, Flag::Hex],
        meaning: "  PORT                name of the port in the configuration\n  \
                  -r, --raw           also bytes as they are read and written\n  \
                  -x, --hex           bytes in hexadecimal\n",
        exits: "0 stopped by you, 1 no gateway answers, no such port, or the port ended, 2 wrong\n\
                usage",
        example: "monitor --raw meter",
        run: monitor::run,
    },
    Command {
        name: "log",
        about: "shows what a running gateway logs, or sets it until the gateway ends.",
        words: &["[FILTER]"],
        flags: &[],
        meaning: "  FILTER              error, warn, info, debug (frames), trace (bytes), off;\n                      \
                  single modules too: info,port=debug,mqtt=trace [unchanged]; of cli, config,\n                      \
                  control, demo, device, gateway, mqtt, outbox, port\n",
        exits: "0 it is shown or set, 1 it is not, 2 wrong usage",
        example: "log info,port=debug",
        run: log,
    },
];

impl Command {
    pub(crate) fn main(&self, parser: lexopt::Parser) -> Result<ExitCode, CliError> {
        match read(parser, self.flags, self.words)? {
            Some(options) => (self.run)(&options),
            None => print(&self.help()),
        }
    }

    fn help(&self) -> String {
        let Command { name, about, words, meaning, exits, example, .. } = self;
        let words = words.iter().fold(String::new(), |words, word| words + " " + word);
        format!(
            "tty2mqtt {name} {about}

Usage: tty2mqtt {name} [OPTIONS]{words}

{meaning}  -j, --json          the answer as JSON; docs/CONTROL.md has every field
  -s, --socket PATH   the gateway's control socket
  -c, --config FILE   the configuration that says where the socket is [/etc/tty2mqtt/config.yaml]

Exit codes: {exits}.
Example: tty2mqtt {example}
"
        )
    }
}

fn reload(options: &Options) -> Result<ExitCode, CliError> {
    let mut connection = Connection::open(options)?;
    connection.ask(&Request::Reload {})?;
    let Some(answer) = connection.any_answer()? else { return Err(gone()) };
    let is_config = answer.get("problems").is_some();
    if options.json {
        write(&line(&answer))?;
        return Ok(match answer.get("error") {
            None => ExitCode::SUCCESS,
            Some(_) => ExitCode::from(if is_config { 2 } else { 1 }),
        });
    }
    if is_config {
        let text = answer["text"].as_str().unwrap_or_default();
        let lines: Vec<_> = text.lines().map(plain).collect();
        eprintln!("tty2mqtt: {}\ntty2mqtt: nothing was changed", lines.join("\n"));
        return Ok(ExitCode::from(2));
    }
    print(&in_words(&good(answer)?))
}

/// A [`Reloaded`](super::protocol::Reloaded) as lines.
fn in_words(changes: &Value) -> String {
    let mut out = String::from("configuration reloaded\n");
    let all = |key| changes[key].as_array().into_iter().flatten().map(shown);
    for (key, words) in
        [("added", "new ports"), ("removed", "removed ports"), ("restarted", "restarted ports")]
    {
        let names: Vec<_> = all(key).collect();
        if !names.is_empty() {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(out, "{words}: {}", names.join(", "));
        }
    }
    if changes["broker"] == true {
        out.push_str("reconnecting to the broker\n");
    }
    if changes["restart_needed"] == true {
        out.push_str("the control socket stays where it is until the next start\n");
    }
    for warning in all("warnings") {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

fn reconnect(options: &Options) -> Result<ExitCode, CliError> {
    once(options, &Request::Reconnect {}, |answer| {
        let was = shown(&answer["was"]);
        match was.as_str() {
            "ready" => "leaving the broker and connecting again\n".into(),
            "stopped" => "the gateway is ending\n".into(),
            _ if was.starts_with("backoff") => format!("connecting now; it was: {was}\n"),
            _ => format!("connecting already: {was}\n"),
        }
    })
}

fn send(options: &Options) -> Result<ExitCode, CliError> {
    let word = |n| options.word(n).unwrap_or_default();
    let request = Request::Send { port: word(0), command: word(1), payload: word(2) };
    once(options, &request, |sent| {
        let done = if sent["result"] == "done" { ", done" } else { "" };
        format!("{}: {} bytes written{done}\n", shown(&sent["topic"]), shown(&sent["bytes"]))
    })
}

fn log(options: &Options) -> Result<ExitCode, CliError> {
    let request = Request::Log { filter: options.word(0) };
    once(options, &request, |answer| format!("{}\n", shown(&answer["filter"])))
}

/// Makes one request and prints its answer.
fn once(
    options: &Options,
    request: &Request,
    show: fn(&Value) -> String,
) -> Result<ExitCode, CliError> {
    let mut connection = Connection::open(options)?;
    connection.ask(request)?;
    let Some(answer) = connection.answer()? else { return Err(gone()) };
    print(&if options.json { line(&answer) } else { show(&answer) })
}

/// A field of an answer as text that is safe on a terminal.
fn shown(field: &Value) -> String {
    match field {
        Value::String(text) => plain(text),
        // A gateway of another version answers.
        Value::Null => "?".into(),
        other => other.to_string(),
    }
}

fn gone() -> CliError {
    CliError::Failed("the gateway has ended".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_help_says_what_each_word_and_option_means() {
        for command in COMMANDS {
            let help = command.help();
            for word in command.words.iter().map(|word| word.trim_matches(['[', ']'])) {
                assert!(help.contains(&format!("\n  {word} ")), "{word}: {help}");
            }
            assert_eq!(command.flags.len(), command.meaning.matches(", --").count(), "{help}");
            assert!(help.lines().all(|line| line.len() <= 100), "{help}");
            assert!(command.example.starts_with(command.name), "{help}");
        }
    }
}
