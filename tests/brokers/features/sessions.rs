//! What a broker keeps while a client is away.

use super::{Found, Scene, yes};
use crate::probe::{Probe, QOS, message, plain};
use tty2mqtt::message::Message;
use tty2mqtt::mqtt::packet::Version;
use tty2mqtt::mqtt::session::Clean;

pub async fn clean(scene: Scene) -> Found {
    let name = scene.name("clean");
    let probe = scene.probe("clean").await?;
    probe.subscribe(&name, QOS[1]).await?;
    probe.leave().await?;
    let publisher = scene.probe("clean-2").await?;
    publisher.publish(message(&name, "missed")).await?;
    let (mut probe, answer) =
        Probe::connect(scene.options("clean"), plain(&scene.place), false).await?;
    if answer.session_present {
        return Err("it tells of a session".into());
    }
    publisher.publish(message(&name, "missed")).await?;
    probe.subscribe(&format!("{name}/end"), QOS[1]).await?;
    publisher.publish(message(&format!("{name}/end"), "end")).await?;
    match probe.until("end").await?.is_empty() {
        true => yes(),
        false => Err("messages of the subscription of before come".into()),
    }
}

pub async fn kept(scene: Scene) -> Found {
    let name = scene.name("kept");
    let mut options = scene.options("kept");
    options.clean = Clean::Never;
    let probe = scene.probe_with(options.clone()).await?;
    probe.subscribe(&format!("{name}/#"), QOS[2]).await?;
    probe.leave().await?;
    let publisher = scene.probe("kept-2").await?;
    for n in 0..10 {
        let qos = QOS[1 + n % 2];
        let topic = format!("{name}/{}", qos.bits());
        publisher.publish(Message { qos, ..message(&topic, n.to_string()) }).await?;
    }
    publisher.publish(message(&format!("{name}/1"), "end")).await?;
    let (mut probe, answer) = Probe::connect(options.clone(), plain(&scene.place), false).await?;
    let came = probe.until("end").await?;
    let wanted: Vec<String> = (0..10).map(|n: u32| n.to_string()).collect();
    if came != wanted {
        return Err(format!("of 0 to 9 come {came:?}"));
    }
    let mut found = Vec::new();
    // 3.1 cannot tell.
    if !answer.session_present && scene.version != Version::V31 {
        found.push("it is not told that there is a session");
    }
    // Clean up, and see that it helps.
    probe.leave().await?;
    options.clean = Clean::Always;
    scene.probe_with(options.clone()).await?.leave().await?;
    options.clean = Clean::Never;
    let (_probe, answer) = Probe::connect(options, plain(&scene.place), false).await?;
    if answer.session_present {
        found.push("a clean session does not end it");
    }
    if found.is_empty() { yes() } else { Ok(format!("yes, but {}", found.join(", "))) }
}
