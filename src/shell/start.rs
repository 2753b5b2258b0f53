//! Makes session and connector from the options: reads passwords, pipes and folders of certificates.

use super::debug;
use super::exit::Exit;
use super::failure::{self, Failure};
use super::options::connection::{Connection, Password};
use crate::base::secret::Secret;
use crate::mqtt::auth::{AuthError, Authenticate, Login};
use crate::mqtt::files::{LARGEST_PEM, at_most};
use crate::mqtt::packet::Version;
use crate::mqtt::session::Session;
use crate::mqtt::transport::settings::Pem;
use crate::mqtt::transport::{Connector, Settings};
use bytes::Bytes;
use std::io::{BufRead, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// MQTT carries no longer password.
const LONGEST_PASSWORD: u64 = 65_536;

/// The session, with the authentication exchange of MQTT 5 if there is one. With SCRAM the password itself
/// is not sent.
pub(super) fn session(connection: &Connection) -> Result<Session, Failure> {
    let mut options = connection.session.clone();
    options.password = password(connection)?;
    // Only in 3.1 the broker need not assign one. This one is unique, and as short as 3.1 demands.
    if options.client_id.is_empty() && options.version == Some(Version::V31) {
        options.client_id = unique();
    }
    if connection.debug {
        debug::start(&options.client_id);
    }
    let mut session = Session::new(options);
    let connect = &connection.properties.connect;
    match connect.auth_method().cloned() {
        #[cfg(feature = "tls")]
        Some(_) if connection.properties.proves_by_scram() => {
            session.set_auth(Box::<crate::mqtt::auth::Scram>::default());
        }
        Some(method) => {
            let data = connect.auth_data().cloned().unwrap_or_default();
            session.set_auth(Box::new(OneStep { method, data }));
        }
        None => {}
    }
    Ok(session)
}

/// A unique client identifier of 17 characters.
pub(super) fn unique() -> String {
    let mut random = [0; 4];
    if getrandom::fill(&mut random).is_err() {
        random = std::process::id().to_be_bytes();
    }
    format!("tty2mqtt-{:08x}", u32::from_be_bytes(random))
}

fn password(connection: &Connection) -> Result<Option<Secret>, Failure> {
    let first_line = |from: &mut dyn BufRead, what: &str| {
        let mut line = Vec::new();
        let read = from.take(LONGEST_PASSWORD).read_until(b'\n', &mut line);
        read.map_err(|e| Failure::local(what, e))?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok::<_, Failure>(Secret::from(line.to_vec()))
    };
    Ok(Some(match &connection.password {
        None => return Ok(None),
        Some(Password::Given(secret)) => secret.clone(),
        Some(Password::Stdin) => first_line(&mut std::io::stdin().lock(), "standard input")?,
        Some(Password::File(path)) => {
            let what = format!("--password-file {}", path.display());
            let file = std::fs::File::open(path).map_err(|e| Failure::local(&what, e))?;
            first_line(&mut std::io::BufReader::new(file), &what)?
        }
        Some(Password::Variable(name)) => Secret::from(std::env::var(name).map_err(|_| {
            Failure::new(Exit::USAGE, format!("--password-env {name}: there is no such variable"))
        })?),
    }))
}

/// An authentication exchange of a single step, as given by `-D CONNECT authentication-data`.
#[derive(Debug)]
struct OneStep {
    method: String,
    data: Bytes,
}

impl Authenticate for OneStep {
    fn method(&self) -> &str {
        &self.method
    }
    fn start(&mut self, _: &Login) -> Result<Bytes, AuthError> {
        Ok(self.data.clone())
    }
    fn answer(&mut self, _: &[u8]) -> Result<Bytes, AuthError> {
        Err(AuthError::Unacceptable("the broker asks for another step; -D gives one only"))
    }
    fn finish(&mut self, _: Option<&[u8]>) -> Result<(), AuthError> {
        Ok(())
    }
}

/// Connects to the broker.
pub(super) fn connector(connection: &Connection, credentials: bool) -> Result<Connector, Failure> {
    let mut settings = Settings { credentials, ..connection.transport.clone() };
    let tls = &mut settings.tls;
    for pem in [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file].into_iter().flatten() {
        if let Pem::File(path) = pem
            && std::fs::metadata(&path).is_ok_and(|meta| meta.file_type().is_fifo())
        {
            *pem = piped(path)?;
        }
    }
    if let (None, Some(folder)) = (&tls.ca_file, &connection.ca_path) {
        tls.ca_file = Some(Pem::Text(authorities(folder)?));
    }
    Connector::new(settings).map_err(|error| failure::of_connect(&error))
}

/// PEM data that comes through a pipe, as in `--key <(age -d key.age)`: that can be read once only.
fn piped(path: &Path) -> Result<Pem, Failure> {
    let failed = |why: String| Failure::new(Exit::TLS, format!("{}: {why}", path.display()));
    let bytes = std::fs::File::open(path).and_then(|pipe| at_most(pipe, LARGEST_PEM));
    match bytes.map_err(|error| failed(error.to_string()))? {
        Some(bytes) => Ok(Pem::Text(bytes.into())),
        None => Err(failed("more than 1 MiB came".into())),
    }
}

/// All certificates of a folder as one text: like mosquitto, of files that end in `.crt` or `.pem`.
fn authorities(folder: &Path) -> Result<Secret, Failure> {
    let failed =
        |e: std::io::Error| Failure::new(Exit::TLS, format!("--capath {}: {e}", folder.display()));
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == "crt" || e == "pem") {
            let mut file = std::fs::File::open(&path).map_err(failed)?;
            // PEM is text: other files are skipped.
            let mut one = String::new();
            if file.read_to_string(&mut one).is_ok() {
                text.push_str(&one);
                text.push('\n');
            }
        }
    }
    if text.contains("-----BEGIN CERTIFICATE") {
        return Ok(text.into());
    }
    let text = format!("--capath {}: no certificates in *.crt or *.pem there", folder.display());
    Err(Failure::new(Exit::TLS, text))
}
