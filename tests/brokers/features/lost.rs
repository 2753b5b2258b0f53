//! Clients that are lost, or should be.

use super::messages::pongs;
use super::{Found, Scene, yes};
use crate::broker::{PASSWORD, USER};
use crate::probe::{DEADLINE, Probe, QOS, message};
use bytes::BytesMut;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tty2mqtt::mqtt::client::Event;
use tty2mqtt::mqtt::link::LinkError;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Connect, Packet, Properties, Reason, Version};
use tty2mqtt::mqtt::session::SessionError;

pub async fn will(scene: Scene) -> Found {
    let name = scene.name("will");
    let mut witness = scene.probe("will-1").await?;
    witness.subscribe(&name, QOS[2]).await?;
    let mut found = Vec::new();
    for qos in QOS {
        let mut options = scene.options("will-2");
        options.will = Some(Message { qos, ..message(&name, "lost") });
        let victim = scene.probe_with(options).await?;
        victim.client.abort().await.map_err(|ended| ended.to_string())?;
        let came = witness.message().await?;
        if came.payload != "lost" {
            return Err(format!("{came:?} came"));
        }
        if came.qos != qos {
            found.push(format!("QoS {} with QoS {}", qos.bits(), came.qos.bits()));
        }
    }
    if found.is_empty() { yes() } else { Ok(format!("yes, but {}", found.join(", "))) }
}

pub async fn retained(scene: Scene) -> Found {
    let name = scene.name("will-kept");
    let mut witness = scene.probe("will-kept-1").await?;
    witness.subscribe(&name, QOS[1]).await?;
    let mut options = scene.options("will-kept-2");
    options.will = Some(Message { retain: true, ..message(&name, "lost") });
    let victim = scene.probe_with(options).await?;
    victim.client.abort().await.map_err(|ended| ended.to_string())?;
    witness.message().await?;
    let mut late = scene.probe("will-kept-3").await?;
    late.subscribe(&name, QOS[1]).await?;
    witness.publish(message(&name, "end")).await?;
    let came = late.until("end").await?;
    witness.publish(Message { retain: true, ..message(&name, "") }).await?;
    match came.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lost"] => yes(),
        ["lost", "lost"] => Ok("yes, but it comes twice".into()),
        _ => Err(format!("{came:?} comes later")),
    }
}

pub async fn no_will(scene: Scene) -> Found {
    let name = scene.name("no-will");
    let mut witness = scene.probe("no-will-1").await?;
    witness.subscribe(&name, QOS[1]).await?;
    let mut options = scene.options("no-will-2");
    options.will = Some(message(&name, "lost"));
    scene.probe_with(options.clone()).await?.leave().await?;
    // The same client once more: what its end brings has come by then.
    scene.probe_with(options).await?.leave().await?;
    witness.publish(message(&name, "end")).await?;
    match witness.until("end").await?.is_empty() {
        true => yes(),
        false => Err("the will comes".into()),
    }
}

/// One that says nothing for one and a half times its keep alive is lost (3.1.2.10).
pub async fn silent(scene: Scene) -> Found {
    let name = scene.name("silent");
    let mut witness = scene.probe("silent-1").await?;
    witness.subscribe(&name, QOS[1]).await?;
    let connect = Packet::Connect(Connect {
        version: scene.version,
        client_id: scene.name("silent-2"),
        clean: true,
        keep_alive: 1,
        will: Some(message(&name, "lost")),
        user: Some(USER.into()),
        password: Some(PASSWORD.to_owned().into()),
        properties: Properties::NONE,
    });
    let mut bytes = BytesMut::new();
    connect.encode(&mut bytes, scene.version);
    let stream = TcpStream::connect(("127.0.0.1", scene.place.tcp)).await;
    let mut stream = stream.map_err(|error| error.to_string())?;
    stream.write_all(&bytes).await.map_err(|error| error.to_string())?;
    let mut answer = [0; 4];
    let read = timeout(DEADLINE, stream.read_exact(&mut answer)).await.map_err(|_| "no CONNACK")?;
    read.map_err(|error| error.to_string())?;
    let start = Instant::now();
    let came = witness.message().await.map_err(|_| "nobody notices")?;
    if came.payload != "lost" {
        return Err(format!("{came:?} came"));
    }
    if start.elapsed() < Duration::from_secs(1) {
        return Err("before the keep alive has passed".into());
    }
    yes()
}

pub async fn ping(scene: Scene) -> Found {
    let mut options = scene.options("ping");
    options.keepalive = Duration::from_secs(1);
    let mut probe = scene.probe_with(options).await?;
    pongs(&mut probe, 4).await?;
    yes()
}

pub async fn takeover(scene: Scene) -> Found {
    let mut first = scene.probe("takeover").await?;
    let mut second = scene.probe("takeover").await?;
    let error = down(&mut first).await?;
    let name = scene.name("takeover");
    second.publish(message(&name, "still there")).await?;
    match &*error {
        LinkError::Session(SessionError::Disconnected(disconnect))
            if disconnect.reason == Reason::SESSION_TAKEN_OVER =>
        {
            yes()
        }
        LinkError::Session(SessionError::Disconnected(disconnect)) => {
            Ok(format!("yes, told as {}", disconnect.reason))
        }
        // Before 5.0 there is nothing to tell it with.
        LinkError::Closed | LinkError::Io(_) if scene.version != Version::V5 => yes(),
        LinkError::Closed | LinkError::Io(_) => Ok("yes, but it is not told".into()),
        other => Err(other.to_string()),
    }
}

async fn down(probe: &mut Probe) -> Result<Arc<LinkError>, String> {
    loop {
        if let Event::Down(error) = probe.event("end of the old link").await? {
            return Ok(error);
        }
    }
}
