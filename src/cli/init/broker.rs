//! How to reach the broker, and as whom; it is tried at once.

use super::Stop;
use super::questions::{Question, Questions, absolute, parsed};
use crate::base::command_line::{CliError, write};
use crate::base::plain::plain_lines;
use crate::base::secret::Secret;
use crate::mqtt::files;
use crate::mqtt::url::BrokerUrl;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

/// How to reach the broker, and as whom.
pub(super) struct Broker {
    pub(super) url: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) password_file: Option<PathBuf>,
}

impl Questions {
    /// Until the broker was reached, or the user keeps what was entered.
    pub(super) fn broker(
        &mut self,
        gateway: Option<&str>,
        output: Option<&Path>,
    ) -> Result<Option<Broker>, Stop> {
        loop {
            let Some((broker, login)) = self.address_and_login(output)? else { return Ok(None) };
            // What is missing is said before anything is tried.
            let (false, Some(gateway)) = (self.given.no_test || !self.missing.is_empty(), gateway)
            else {
                return Ok(Some(broker));
            };
            let Some(failure) = try_broker(&broker, login, gateway)? else {
                return Ok(Some(broker));
            };
            match &mut self.terminal {
                None => {
                    let text =
                        format!("{failure}nothing was written; --no-test does not try the broker");
                    return Err(CliError::Failed(text).into());
                }
                Some(terminal) => {
                    write(&plain_lines(failure.as_bytes()))?;
                    if !terminal.yes("Enter the broker again?", true)? {
                        return Ok(Some(broker));
                    }
                    (self.given.broker, self.given.user) = (None, None);
                }
            }
        }
    }

    /// The broker and the password, wherever that is.
    fn address_and_login(
        &mut self,
        output: Option<&Path>,
    ) -> Result<Option<(Broker, Option<Secret>)>, Stop> {
        let question = Question {
            option: "--broker",
            words: "\nMQTT broker: mqtt://HOST, or mqtts://HOST for TLS",
            proposal: Some("mqtt://127.0.0.1"),
        };
        let url = self.answer(&question, self.given.broker.clone(), &|text| {
            whole(text).parse::<BrokerUrl>().map(drop).map_err(|e| e.to_string())
        })?;
        let mut user = self.given.user.clone();
        let mut in_url = None;
        let url = match url {
            None => None,
            Some(text) => {
                let url: BrokerUrl = parsed(&whole(&text))?;
                user = user.or(url.user);
                in_url = url.password;
                Some(without_login(&whole(&text)))
            }
        };
        let question = Question {
            option: "--user",
            words: "User name at the broker (empty: none)",
            proposal: Some(""),
        };
        let user = self.answer(&question, user, &|_| Ok(()))?;
        let user = user.filter(|user| !user.is_empty());
        let mut broker = Broker { url: String::new(), user, password: None, password_file: None };
        let mut login = None;
        let made = output.map(|output| output.with_extension("password"));
        match self.given.password_file.clone() {
            Some(file) if file == "-" => broker.password = Some(from_input()?),
            Some(file) => {
                let failed = |error| CliError::Usage(format!("--password-file {file}: {error}"));
                login = Some(files::password(Path::new(&file)).map_err(failed)?);
                broker.password_file = Some(absolute(&file)?);
            }
            None => broker.password = in_url,
        }
        if let (Some(terminal), Some(_), None, None) =
            (&mut self.terminal, &broker.user, &login, &broker.password)
        {
            let secret = terminal.secret("Password (it is not shown; empty: none): ")?;
            broker.password = Some(secret).filter(|secret| !secret.reveal().is_empty());
        }
        if broker.password.is_some() {
            login = broker.password.clone();
            broker.password_file =
                made.map(|made| absolute(&made.to_string_lossy())).transpose()?;
        }
        Ok(url.map(|url| (Broker { url, ..broker }, login)))
    }
}

/// The words of what failed; `None` if all went well.
#[cfg(feature = "shell")]
fn try_broker(
    broker: &Broker,
    password: Option<Secret>,
    gateway: &str,
) -> Result<Option<String>, Stop> {
    use crate::shell;
    let url: BrokerUrl = parsed(&broker.url)?;
    write("Trying the broker:\n")?;
    let topic = format!("{gateway}/init");
    let (exit, report) = shell::check_broker(url, broker.user.clone(), password, &topic);
    if exit.is_signal() {
        return Err(Stop::Signal(exit.0 - 128));
    }
    if exit == shell::exit::Exit::DONE {
        write(&report)?;
        return Ok(None);
    }
    Ok(Some(report))
}

#[cfg(not(feature = "shell"))]
fn try_broker(_: &Broker, _: Option<Secret>, _: &str) -> Result<Option<String>, Stop> {
    Ok(None)
}

/// A broker's address; a host alone is one, too.
fn whole(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("mqtt://{text}") }
}

/// The address as it was written, without user and password.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// A first line of the standard input.
fn from_input() -> Result<Secret, CliError> {
    let mut line = Vec::new();
    let read = io::stdin().lock().take(64 << 10).read_until(b'\n', &mut line);
    read.map_err(|source| CliError::Io { what: "standard input".into(), source })?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec().into())
}
