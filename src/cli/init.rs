//! `tty2mqtt init`: asks what a first configuration needs, and writes it.

mod answers;
mod broker;
mod devices;
mod port;
mod questions;
mod terminal;

use crate::base::command_line::{CliError, print, write};
use crate::base::plain::plain_lines;
use crate::base::secret::Secret;
use crate::config::file::{self, DEFAULT_CONFIG, Existing};
use crate::config::first::First;
use crate::config::load;
use answers::Answers;
use rustix::process::{getegid, geteuid};
use std::fmt::Write;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use terminal::Terminal;

/// The first configuration of the OpenWrt package.
const OF_PACKAGE: &str = "/usr/share/tty2mqtt/first.yaml";

const HELP: &str = "\
tty2mqtt init writes a first configuration: it asks for the port, the device on it, the broker and a
name, tries the broker, and checks the configuration before it writes it, with comments. Each
option is the answer to one question, which is then not asked. Without a terminal all of them are
needed, or --yes.

Usage: tty2mqtt init [OPTIONS]

  -p, --port PORT            /dev/ttyUSB0, or HOST:PORT, telnet://HOST:PORT or rfc2217://HOST:PORT of
                             a serial server
  -m, --model MODEL          the device's model, as `tty2mqtt devices` lists them, or `none` for a
                             skeleton to write it by hand; several on a bus: --model once for each,
                             with its own --address and --name behind it
  -a, --address N            its address on the bus [that of the model]
  -n, --name NAME            its name in the topics [the model]
      --key-file FILE        the file with the key by which a meter encrypts
      --auth-key-file FILE   the file with its authentication key
      --line LINE            speed and format, as in `9600 8N1` [that of the model]
      --gateway NAME         first level of all topics [the host's name]
  -b, --broker URL           mqtt://HOST, mqtts://HOST, ws:// or wss:// [mqtt://127.0.0.1]
  -u, --user NAME            user name at the broker [none]
      --password-file FILE   the file with the password in its first line; - reads the password from
                             standard input and writes it into a file beside the configuration
      --no-test              do not try the broker
      --home-assistant YES   yes: Home Assistant finds the devices by itself [no]
  -o, --output FILE          the file to write [/etc/tty2mqtt/config.yaml]
  -f, --force                write over a file that is there
  -y, --yes                  ask nothing: what is not answered is as proposed

Exit codes: 0 the configuration was written, 1 it was not, 2 wrong usage; 130 Ctrl-C. Unless it is 0,
nothing was written.
Example: tty2mqtt init --port /dev/ttyUSB0 --model eastron-sdm630 --broker mqtt://192.168.1.10 --yes
";

/// Why the questions end without a configuration.
#[derive(Debug)]
enum Stop {
    /// The end of the input.
    End,
    /// SIGINT or another one.
    Signal(u8),
    Failed(CliError),
}

impl From<CliError> for Stop {
    fn from(error: CliError) -> Stop {
        Stop::Failed(error)
    }
}

pub(super) fn main(parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    let Some(answers) = Answers::read(parser)? else { return print(HELP) };
    match init(answers) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::End) => Err(CliError::Failed("nothing was written".into())),
        Err(Stop::Signal(number)) => {
            eprintln!("\ntty2mqtt: nothing was written");
            Ok(ExitCode::from(128 + number))
        }
    }
}

/// What is written where.
struct Written {
    first: First,
    /// The broker's password, if it is to be written into `first.password_file`.
    password: Option<Secret>,
    output: PathBuf,
    existing: Existing,
}

fn init(answers: Answers) -> Result<(), Stop> {
    // It lives until all is written: from its making on a signal ends nothing by itself.
    let terminal = if answers.asks_nothing() { None } else { Terminal::open()? };
    let mut questions = questions::Questions::new(answers, terminal);
    let written = questions.ask()?;
    let text = written.first.text();
    let warnings = check(&written, &text)?;
    for warning in warnings {
        eprintln!("warning: {}", plain_lines(warning.as_bytes()));
    }
    if !questions.confirmed(&text, &written.output)? {
        return Err(Stop::End);
    }
    save(&written, &text)?;
    write(&next(&written))?;
    Ok(())
}

/// `check`, before the file is there. What it refuses here is a mistake of an answer, or ours.
fn check(written: &Written, text: &str) -> Result<Vec<String>, CliError> {
    let checked = load::load_text(&written.output.clone().into(), text);
    let (_, warnings) = checked.map_err(|error| {
        CliError::Failed(format!("nothing was written: check refuses the configuration: {error}"))
    })?;
    Ok(warnings)
}

/// The password first: a configuration without it would be read by somebody in between.
fn save(written: &Written, text: &str) -> Result<(), CliError> {
    let failed = |path: &Path, source: io::Error| {
        let path = path.display();
        match source.kind() {
            io::ErrorKind::AlreadyExists => {
                CliError::Failed(format!("{path} is there already; --force writes over it"))
            }
            _ => CliError::Io { what: format!("cannot write {path}"), source },
        }
    };
    let folder = file::folder_of(&written.output);
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let mut made = None;
    if let (Some(secret), Some(path)) = (&written.password, &written.first.password_file) {
        let line = [secret.reveal(), b"\n"].concat();
        let mode = Some(password_mode(path));
        file::write(path, &line, mode, written.existing).map_err(|e| failed(path, e))?;
        made = Some(path).filter(|_| written.existing == Existing::Keep);
    }
    let result = file::write(&written.output, text.as_bytes(), None, written.existing);
    result.map_err(|e| {
        if let Some(path) = made {
            let _ = std::fs::remove_file(path);
        }
        failed(&written.output, e)
    })
}

/// Only its owner reads a password. Where the folder is that of another group, as on OpenWrt, the gateway
/// runs as a user of that.
fn password_mode(path: &Path) -> u32 {
    match std::fs::metadata(file::folder_of(path)) {
        Ok(folder) if geteuid().is_root() && folder.gid() != getegid().as_raw() => 0o640,
        _ => 0o600,
    }
}

/// What to do with the new configuration.
fn next(written: &Written) -> String {
    let output = &written.output;
    let named = if output == Path::new(DEFAULT_CONFIG) {
        String::new()
    } else {
        format!(" {}", output.display())
    };
    let is_openwrt = Path::new("/etc/openwrt_release").exists() && named.is_empty();
    let run = if is_openwrt {
        "uci set tty2mqtt.main.enabled=1; uci commit tty2mqtt; service tty2mqtt restart\n"
            .to_owned()
    } else {
        format!("tty2mqtt run{named}\n")
    };
    let First { gateway, url, user, password_file, home_assistant, .. } = &written.first;
    let mut text = format!("Wrote {}. Next:\n\n  {run}", output.display());
    // `sub` takes addresses of these two kinds with a topic behind them.
    if url.starts_with("mqtt://") || url.starts_with("mqtts://") {
        let _ = write!(text, "\nand in another window, what is published:\n\n  tty2mqtt sub -v");
        let _ = write!(text, " -L '{}/{gateway}/#'", url.trim_end_matches('/'));
        if let Some(user) = user {
            let _ = write!(text, " -u '{user}'");
        }
        if let Some(file) = password_file {
            let _ = write!(text, " --password-file '{}'", file.display());
        }
        text.push('\n');
    }
    if *home_assistant {
        text.push_str(
            "\nHome Assistant shows the devices under Settings, Devices & services, MQTT, as soon as they \
             answer.\n",
        );
    }
    text
}

/// Whether the file is the one that the OpenWrt package brings, with an adapter put in or without, as
/// `openwrt/files/first-config` writes it: nobody's configuration yet.
fn is_of_package(path: &Path) -> bool {
    let read = |path| file::read(path).ok();
    let (Some(text), Some(first)) = (read(path), read(Path::new(OF_PACKAGE))) else { return false };
    let Some((head, _)) = first.split_once("ports: {}\n") else { return false };
    let rest: Option<Vec<_>> = text.strip_prefix(head).map(|rest| rest.lines().collect());
    text == first
        || matches!(rest.as_deref(), Some(["ports:", "  sensor:", adapter, "    line: 9600 8N1"])
            if adapter.starts_with("    usb: "))
}
