//! Ways in: transports, logins, versions.

use super::{Found, yes};
use crate::broker::{PASSWORD, Place, USER};
use crate::certificates;
use crate::probe::{DEADLINE, Probe, QOS, Trouble, message, options, plain};
use crate::support::linked::Link;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tty2mqtt::mqtt::link::{self, LinkError};
use tty2mqtt::mqtt::packet::{Reason, Version};
use tty2mqtt::mqtt::session::{self, Session, SessionError};
use tty2mqtt::mqtt::transport::settings::Pem;
use tty2mqtt::mqtt::transport::{Connector, Settings};
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

/// To ourselves and back.
async fn round_trip(options: session::Options, settings: Settings) -> Result<(), Trouble> {
    let name = format!("round/{}", options.client_id);
    let auto = options.version.is_none();
    let (mut probe, _) = Probe::connect(options, settings, auto).await?;
    probe.subscribe(&name, QOS[1]).await?;
    // More than one frame of a WebSocket.
    let payload = vec![b'x'; 10_000];
    probe.publish(message(&name, payload.clone())).await?;
    if probe.message().await?.payload != payload {
        return Err("another message came back".into());
    }
    probe.leave().await
}

async fn by(place: &Place, id: &str, url: &str, change: impl FnOnce(&mut Settings)) -> Found {
    let mut settings = Settings::new(url.parse().unwrap());
    settings.tls.ca_file = Some(Pem::File(place.folder.join("ca.pem")));
    change(&mut settings);
    round_trip(options(id, Some(Version::V311)), settings).await?;
    yes()
}

pub async fn tcp(place: Arc<Place>) -> Found {
    by(&place, "tcp", &format!("mqtt://localhost:{}", place.tcp), |_| ()).await
}

pub async fn websocket(place: Arc<Place>) -> Found {
    by(&place, "ws", &format!("ws://localhost:{}/mqtt", place.ws), |_| ()).await
}

pub async fn tls(place: Arc<Place>) -> Found {
    by(&place, "tls", &format!("mqtts://localhost:{}", place.tls), |_| ()).await
}

pub async fn client_certificate(place: Arc<Place>) -> Found {
    let url = format!("mqtts://localhost:{}", place.mutual);
    let show = |folder: &Path| {
        let (certificate, key) = (folder.join("client.pem"), folder.join("client.key"));
        move |settings: &mut Settings| {
            settings.tls.cert_file = Some(Pem::File(certificate));
            settings.tls.key_file = Some(Pem::File(key));
        }
    };
    by(&place, "mutual", &url, show(&place.folder)).await?;
    let foreign = tempfile::tempdir().unwrap();
    certificates::write(foreign.path());
    match by(&place, "foreign", &url, show(foreign.path())).await {
        Ok(_) => Err("lets in a certificate of another authority".into()),
        Err(_) => yes(),
    }
}

pub async fn login(place: Arc<Place>) -> Found {
    for (user, password) in [(None, None), (Some(USER), Some("wrong")), (Some("who"), None)] {
        let mut options = options("login", Some(Version::V311));
        options.user = user.map(str::to_owned);
        options.password = password.map(|password: &str| password.to_owned().into());
        let told = refusal(options, plain(&place)).await?;
        let right = [Reason::BAD_USER_NAME_OR_PASSWORD, Reason::NOT_AUTHORIZED];
        if !told.is_some_and(|reason| right.contains(&reason)) {
            let what = told.map_or("nothing".into(), |reason| reason.to_string());
            return Ok(format!("yes; to {user:?} it says {what}"));
        }
    }
    let mut right = options("login-2", Some(Version::V311));
    (right.user, right.password) = (Some(USER.into()), Some(PASSWORD.to_owned().into()));
    round_trip(right, plain(&place)).await?;
    yes()
}

/// What the broker says to one whom it does not let in.
async fn refusal(options: session::Options, settings: Settings) -> Result<Option<Reason>, Trouble> {
    match end(options, settings).await?.1 {
        None => Err("lets in a wrong login".into()),
        Some(LinkError::Session(SessionError::Refused(answer))) => Ok(Some(answer.reason)),
        Some(_) => Ok(None),
    }
}

/// In which version the first connect was answered, or how the link ended before.
async fn end(
    options: session::Options,
    settings: Settings,
) -> Result<(Version, Option<LinkError>), Trouble> {
    let outbox = Outbox::new(&OutboxBounds::default());
    let behaviour = link::Options {
        reconnect: options.version.is_none(),
        wait: (Duration::from_millis(10), Duration::from_millis(10)),
        ..link::Options::default()
    };
    let connector = Connector::new(settings).unwrap();
    let mut link = Link::new(Session::new(options), outbox, connector, behaviour);
    let end = async {
        loop {
            match link.event().await {
                link::Event::Session(session::Event::Connected(_)) => return None,
                link::Event::Down(error) if link.is_stopped() => return Some(error),
                _ => {}
            }
        }
    };
    let end = timeout(3 * DEADLINE, end).await.map_err(|_| "no CONNACK")?;
    Ok((link.session.version(), end))
}

pub async fn auto(place: Arc<Place>) -> Found {
    let (version, _) = end(options("auto", None), plain(&place)).await?;
    round_trip(options("auto-2", None), plain(&place)).await?;
    Ok(version.to_string())
}

pub async fn version(place: Arc<Place>, version: Version) -> Found {
    let options = options(&format!("version-{version}"), Some(version));
    match end(options.clone(), plain(&place)).await?.1 {
        None => round_trip(options, plain(&place)).await?,
        Some(LinkError::Session(SessionError::Refused(answer))) => {
            return Ok(format!("no: {}", answer.reason));
        }
        Some(LinkError::Closed) => return Ok("no: closes the link".into()),
        Some(LinkError::Session(SessionError::NoConnAck)) => return Ok("no: no answer".into()),
        Some(error) => return Err(error.to_string()),
    }
    yes()
}
