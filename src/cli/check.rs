//! `tty2mqtt check`: checks a configuration file.

use crate::base::command_line::{CliError, print};
use crate::base::log;
use crate::base::plain::plain;
use crate::config::file::DEFAULT_CONFIG;
use crate::config::{Config, Files, library, load};
use crate::control::path;
use crate::mqtt::transport::settings::Pem;
use crate::mqtt::url::Scheme;
use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt check reads a configuration file and reports its mistakes, at most 50, with line and
remedy, and warns of what is valid but most likely not meant. It opens no port and no connection.

Usage: tty2mqtt check [OPTIONS] [FILE]

  FILE                    configuration [/etc/tty2mqtt/config.yaml]
  -b, --broker-file FILE  checked too, as the keys that override those of `broker` in `run`
  -l, --log FILTER        checked too, as the log filter of `run`
  -u, --user UID:GID      read the files as this user; only root may
  -p, --paths             print the folders that the gateway needs, one a line: `read FOLDER`,
                          `write FOLDER`, or `journal FOLDER`, which only the gateway uses

Exit codes: 0 the file is valid, 2 it is not.
Example: tty2mqtt check my.yaml
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut file = None;
    let mut broker = None;
    let mut paths = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('c') | Long("config") if file.is_none() => {
                file = Some(PathBuf::from(parser.value()?));
            }
            Short('b') | Long("broker-file") => broker = Some(parser.value()?.into()),
            Short('l') | Long("log") => {
                let filter = parser.value()?.string()?;
                log::check(&filter).map_err(|e| CliError::Usage(format!("--log {e}")))?;
            }
            Short('u') | Long("user") => become_user(parser.value()?.parse_with(user)?)?,
            Short('p') | Long("paths") => paths = true,
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    let files = Files { config: file.unwrap_or_else(|| DEFAULT_CONFIG.into()), broker };
    let (config, warnings) = load::load_files(&files)?;
    if paths {
        return print(&folders(&files, &config));
    }
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    for (name, port) in &config.ports {
        if port.decode.is_none() && port.frames.is_empty() && !port.is_asked() {
            let name = plain(name.as_str());
            eprintln!("note: port {name} has no `decode`: each frame is published as one text");
        }
    }
    let ports: Vec<_> = config.ports.keys().map(|name| name.as_str()).collect();
    print(&format!(
        "{}: OK (gateway {}, broker {}, ports {})\n",
        files.config.display(),
        config.gateway,
        config.broker.url,
        ports.join(", ")
    ))
}

fn user(text: &str) -> Result<(Uid, Gid), String> {
    let ids =
        text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    // In system calls the highest number means "no user".
    let ids = ids.filter(|(uid, gid)| *uid != u32::MAX && *gid != u32::MAX);
    let (uid, gid) = ids.ok_or("two numbers, as in 453:453")?;
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// Files are read with the rights of this user from here on. The program has one thread so far.
fn become_user((uid, gid): (Uid, Gid)) -> Result<(), CliError> {
    if (geteuid(), getegid()) == (uid, gid) {
        return Ok(());
    }
    let done = set_thread_groups(&[])
        .and_then(|()| set_thread_gid(gid))
        .and_then(|()| set_thread_uid(uid));
    done.map_err(|error| CliError::Io { what: "--user".into(), source: error.into() })
}

/// What must be in reach of the gateway, for a jail. Folders, because a file that is mounted alone
/// stays the old one when another takes its name.
fn folders(files: &Files, config: &Config) -> String {
    let broker = &config.broker;
    let tls = &broker.tls;
    let mut read = vec![files.config.as_path()];
    read.extend(files.broker.as_deref());
    read.extend(broker.password_file.as_deref());
    read.extend(tls.key_password_file.as_deref());
    for pem in [&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().flatten() {
        if let Pem::File(path) = pem {
            read.push(path);
        }
    }
    let sockets = broker.urls().filter(|url| url.scheme == Scheme::Unix);
    read.extend(sockets.map(|url| Path::new(&url.path)));
    // A reload may name models that this configuration does not.
    read.extend([Path::new(library::OF_SYSTEM), Path::new(library::ARCHIVE)]);
    let read = read.into_iter().map(|path| ("read", path));
    let control = path::of(&config.control);
    let write = control.as_deref().map(|path| ("write", path));
    let mut folders: BTreeSet<_> =
        read.chain(write).filter_map(|(word, path)| Some((word, path.parent()?))).collect();
    if let Some(journal) = &config.outbox.journal {
        folders.insert(("journal", journal.path.as_path()));
    }
    folders.iter().map(|(word, folder)| format!("{word} {}\n", folder.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_the_gateway_needs() {
        let text = "control: /var/run/gw/control.sock\nbroker:\n  url: mqtts://b\n  fallback: \
                    [\"unix:///run/mosquitto/m.sock\"]\n  user: u\n  password_file: /secret/pw\n  tls: {ca_file: ca.pem}\n\
                    outbox: {durability: spill, journal: {path: /mnt/stick/gw}}\n\
                    ports: {a: {path: /dev/ttyS0, line: 9600 8N1}}\n";
        let files = Files {
            config: "/etc/tty2mqtt/config.yaml".into(),
            broker: Some("/var/etc/tty2mqtt/broker.yaml".into()),
        };
        let (config, _) = load::parse("c", text, Path::new("/etc/tty2mqtt")).unwrap();
        assert_eq!(
            folders(&files, &config),
            "journal /mnt/stick/gw\nread /etc/tty2mqtt\nread /run/mosquitto\nread /secret\n\
             read /usr/share/tty2mqtt\nread /var/etc/tty2mqtt\nwrite /var/run/gw\n"
        );
    }

    #[test]
    fn users_are_two_numbers() {
        assert_eq!(user("0:7"), Ok((Uid::ROOT, Gid::from_raw(7))));
        for wrong in ["tty2mqtt", "1", "1:", ":1", "-1:0", "4294967295:1", "1:4294967295"] {
            assert!(user(wrong).is_err(), "{wrong}");
        }
    }
}
