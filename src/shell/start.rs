//! From options to what session and transport are built from.

use super::exit::{Exit, Failure};
use super::options::connection::{ClientId, Connection, Password};
use super::options::property::Given;
use crate::base::secret::Secret;
use crate::mqtt::auth::{AuthError, Authenticate, Login, Scram};
use crate::mqtt::files::LARGEST_PEM;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Properties, Property, Version};
use crate::mqtt::session::{Clean, Options};
use crate::mqtt::transport::settings::{Network, Pem, TlsSettings, TlsVersion, Verify};
use crate::mqtt::transport::{ConnectError, Connector, Settings};
use crate::mqtt::url::{BrokerUrl, Scheme};
use bytes::Bytes;
use std::io::{BufRead, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The largest packet that MQTT can carry.
const LARGEST: usize = 268_435_455 + 5;

/// A password is no longer than MQTT can carry.
const LONGEST_PASSWORD: u64 = 65_536;

/// What a session is opened with, and the exchange of MQTT 5 that proves who we are. With SCRAM
/// user and password are for that alone: the password itself is not sent.
pub(super) fn session(
    connection: &Connection,
    given: &Given,
    receive_maximum: u16,
) -> Result<(Options, Option<Box<dyn Authenticate>>), Failure> {
    let will = connection.will.as_ref().and_then(|will| {
        let payload = will.payload.clone().unwrap_or_default();
        Some(Message {
            qos: will.qos,
            retain: will.retain,
            properties: shared(&given.will),
            ..Message::new(will.topic.clone()?, payload)
        })
    });
    let clean = match (connection.clean, connection.session_expiry) {
        (false, _) => Clean::Never,
        (true, Some(1..)) => Clean::First,
        (true, _) => Clean::Always,
    };
    let mut options = Options {
        client_id: client_id(connection),
        version: connection.version,
        clean,
        session_expiry: Duration::from_secs(connection.session_expiry.unwrap_or(0).into()),
        keepalive: match connection.keep_alive {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => connection.scheme().keepalive(),
        },
        user: connection.user.clone(),
        password: password(connection)?,
        will,
        // Who asks for a will by hand wants this one.
        adapt_will: false,
        inflight: connection.max_inflight,
        receive_maximum,
        largest: LARGEST,
        // Nothing is that large.
        overflow: 0,
        own_aliases: given.publish.topic_alias().is_some(),
        manual_ack: true,
        ..Options::default()
    };
    let (mut method, mut data) = (None, Bytes::new());
    for property in &given.connect.0 {
        match property {
            Property::ReceiveMaximum(n) => options.receive_maximum = *n,
            Property::TopicAliasMaximum(n) => options.topic_aliases = *n,
            Property::MaximumPacketSize(n) => options.largest = *n as usize,
            Property::AuthMethod(name) => method = Some(name.clone()),
            Property::AuthData(bytes) => data = bytes.clone(),
            other => options.properties.0.push(other.clone()),
        }
    }
    let auth: Option<Box<dyn Authenticate>> = match method {
        None => None,
        Some(method) if method == "SCRAM-SHA-256" && data.is_empty() => {
            if options.user.is_none() || options.password.is_none() {
                let text = "SCRAM-SHA-256 needs a user name (-u) and a password (--password-file)";
                return Err(Failure::new(Exit::Usage, text));
            }
            Some(Box::new(Scram::new()))
        }
        Some(method) => Some(Box::new(Fixed { method, data })),
    };
    Ok((options, auth))
}

/// The properties that each message carries; its number for the topic comes by itself.
pub(super) fn shared(properties: &Properties) -> Option<Arc<Properties>> {
    let kept = properties.0.iter().filter(|p| !matches!(p, Property::TopicAlias(_))).cloned();
    let kept: Properties = kept.collect();
    (!kept.is_empty()).then(|| Arc::new(kept))
}

fn client_id(connection: &Connection) -> String {
    match &connection.id {
        ClientId::Exactly(id) => id.clone(),
        ClientId::Prefix(prefix) => format!("{prefix}{}", std::process::id()),
        // Only there brokers need not make one up. It is unique, and not longer than 3.1 allows.
        ClientId::Generated if connection.version == Some(Version::V31) => unique(),
        ClientId::Generated => String::new(),
    }
}

/// A name that no other client has, 17 characters.
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
        read.map_err(|e| Failure::new(Exit::Local, format!("{what}: {e}")))?;
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
            let file = std::fs::File::open(path);
            let file = file.map_err(|e| Failure::new(Exit::Local, format!("{what}: {e}")))?;
            first_line(&mut std::io::BufReader::new(file), &what)?
        }
        Some(Password::Variable(name)) => Secret::from(std::env::var(name).map_err(|_| {
            Failure::new(Exit::Usage, format!("--password-env {name}: there is no such variable"))
        })?),
    }))
}

/// A proof of who we are that is one step, as `-D CONNECT authentication-data` gives it.
#[derive(Debug)]
struct Fixed {
    method: String,
    data: Bytes,
}

impl Authenticate for Fixed {
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

/// What leads to the broker.
pub(super) fn connector(connection: &Connection, credentials: bool) -> Result<Connector, Failure> {
    let tls = &connection.tls;
    let url = match &connection.unix {
        Some(path) => {
            let mut url = BrokerUrl::new(Scheme::Unix, "", 0);
            url.path = path
                .to_str()
                .map(str::to_owned)
                .ok_or_else(|| Failure::new(Exit::Usage, "--unix: the path is UTF-8"))?;
            url
        }
        None => {
            let (scheme, port) = (connection.scheme(), connection.port());
            let mut url = BrokerUrl::new(scheme, connection.host.clone(), port);
            if let Some(path) = &connection.ws_path {
                url.path = format!("/{}", path.trim_start_matches('/'));
            }
            url
        }
    };
    let file = |path: &Option<PathBuf>| path.as_deref().map(pem).transpose();
    let ca_file = match (&tls.ca_file, &tls.ca_path) {
        (Some(path), _) => Some(pem(path)?),
        (None, Some(folder)) => Some(Pem::Text(authorities(folder)?)),
        (None, None) => None,
    };
    let settings = Settings {
        proxy: connection.proxy.clone(),
        tls: TlsSettings {
            ca_file,
            fingerprint: tls.fingerprint,
            cert_file: file(&tls.cert)?,
            key_file: file(&tls.key)?,
            key_password_file: tls.key_password.clone(),
            verify: if tls.insecure { Verify::None } else { Verify::Required },
            min_version: if tls.only_13 { TlsVersion::V13 } else { TlsVersion::V12 },
            alpn: tls.alpn.clone().into_iter().collect(),
        },
        network: Network {
            bind_device: connection.bind_device.clone(),
            local_address: connection.bind_address,
            family: connection.family,
        },
        credentials,
        ..Settings::new(url)
    };
    Connector::new(settings).map_err(|error: ConnectError| super::run::connect_failure(&error))
}

/// A file of PEM data, or what came through a pipe, as in `--key <(age -d key.age)`: that can be read
/// once only.
fn pem(path: &Path) -> Result<Pem, Failure> {
    let is_pipe = std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
    if !is_pipe {
        return Ok(Pem::File(path.to_owned()));
    }
    let failed = |why| Failure::new(Exit::Tls, format!("{}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(LARGEST_PEM + 1).read_to_string(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    match text.len() as u64 > LARGEST_PEM {
        true => Err(failed("more than 1 MiB came".into())),
        false => Ok(Pem::Text(text.into())),
    }
}

/// All certificates of a folder as one text, as mosquitto wants them: files that end in `.crt` or
/// `.pem`.
fn authorities(folder: &Path) -> Result<Secret, Failure> {
    let failed =
        |e: std::io::Error| Failure::new(Exit::Tls, format!("--capath {}: {e}", folder.display()));
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == "crt" || e == "pem") {
            let mut file = std::fs::File::open(&path).map_err(failed)?;
            // What is no text is no certificate in PEM either.
            let mut one = String::new();
            if file.read_to_string(&mut one).is_ok() {
                text.push_str(&one);
                text.push('\n');
            }
        }
    }
    match text.contains("-----BEGIN CERTIFICATE") {
        true => Ok(text.into()),
        false => Err(Failure::new(
            Exit::Tls,
            format!("--capath {}: no certificates in *.crt or *.pem there", folder.display()),
        )),
    }
}
