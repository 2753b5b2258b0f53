//! Which port it is: one of this machine's, or one behind a serial server.

use super::Stop;
use super::questions::{Question, Questions};
use crate::base::command_line::CliError;
use crate::config::first::word;
use crate::port::list::{self, Found};
use crate::port::settings::TcpAddress;
use std::fmt::Write;
use std::path::Path;

impl Questions {
    /// The line that names the port, and what is said of it.
    pub(super) fn port(&mut self) -> Result<Option<(String, Option<String>)>, Stop> {
        let found = list::found();
        let proposal =
            (found.len() == 1 || (self.terminal.is_some() && !found.is_empty())).then_some("1");
        if self.given.port.is_none() {
            let mut table = String::from("\nSerial ports of this machine:\n");
            for (n, port) in found.iter().enumerate() {
                let lines = list::table(std::slice::from_ref(port));
                for (at, line) in lines.lines().enumerate() {
                    let number =
                        if at == 0 { format!("{:>3}", n + 1) } else { String::from("   ") };
                    let _ = writeln!(table, "{number}  {line}");
                }
            }
            if found.is_empty() {
                table = format!("\n{}", list::table(&found));
            }
            self.say(&table)?;
        }
        let words = match found.is_empty() {
            true => "Port: a path, or HOST:PORT of a serial server",
            false => "Port: its number, a path, or HOST:PORT of a serial server",
        };
        let question = Question { option: "--port", words, proposal };
        let answer =
            self.answer(&question, self.given.port.clone(), &|text| place(text, &found).map(drop))?;
        let Some(answer) = answer else { return Ok(None) };
        let (place, about) = place(&answer, &found).map_err(CliError::Usage)?;
        if answer.starts_with('/') && !Path::new(&answer).exists() {
            self.say(&format!("  {answer} is not there now; it is used when it comes\n"))?;
        }
        let listed = answer.parse::<usize>().ok().and_then(|n| found.get(n.checked_sub(1)?));
        self.port = Some(match listed {
            Some(port) => port.path.clone(),
            None if answer.starts_with('/') || answer.contains("://") => answer,
            None => format!("tcp:{}", answer.trim_start_matches("tcp:")),
        });
        Ok(Some((place, about)))
    }
}

/// The line that names a port in the configuration, and what is said of it there.
fn place(answer: &str, found: &[Found]) -> Result<(String, Option<String>), String> {
    let number = answer.parse::<usize>().ok().and_then(|n| found.get(n.checked_sub(1)?));
    if let Some(port) = number.or_else(|| found.iter().find(|port| port.path == answer)) {
        let Some(adapter) = &port.adapter else { return Ok((port.config.clone(), None)) };
        let named = format!("{}: {}", port.path, adapter.name);
        // Two adapters that cannot be told apart by their USB data.
        if port.note.is_some() {
            return Ok((format!("path: {}", word(&port.path)), Some(named)));
        }
        return Ok((port.config.clone(), Some(format!("{named}, under whatever number"))));
    }
    if answer.starts_with('/') {
        return Ok((format!("path: {}", word(answer)), None));
    }
    // Other commands call it tcp:HOST:PORT.
    let address = answer.strip_prefix("tcp:").unwrap_or(answer);
    match address.parse::<TcpAddress>() {
        Ok(_) if !address.is_empty() => Ok((format!("tcp: {}", word(address)), None)),
        _ => Err("a path such as /dev/ttyUSB0, or HOST:PORT of a serial server".into()),
    }
}
