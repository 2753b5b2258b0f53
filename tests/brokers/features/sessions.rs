//! What a broker keeps while a client is away.

use super::{Found, Scene, yes};
use crate::probe::{Probe, QOS, Trouble, message, plain};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::Version;
use tty2mqtt::mqtt::session::Clean;

/// Five messages of QoS 1 and five of QoS 2, by turns.
pub fn ten(name: &str) -> impl Iterator<Item = Message> {
    (0..10).map(move |n| {
        let qos = QOS[1 + n % 2];
        Message { qos, ..message(&format!("{name}/{}", qos.bits()), n.to_string()) }
    })
}

/// What is missing of them, came twice, or out of the order within its topic.
pub fn wrong(came: &[String]) -> Option<Trouble> {
    let of =
        |rest: u32| came.iter().filter(move |text| text.parse().is_ok_and(|n: u32| n % 2 == rest));
    let right = |rest| {
        of(rest).map(String::as_str).eq(["0 2 4 6 8", "1 3 5 7 9"][rest as usize].split(' '))
    };
    if came.is_empty() {
        return Some("forgotten".into());
    }
    match (right(0), right(1)) {
        (true, true) => None,
        (true, false) => Some(format!("of QoS 2 come {:?}", of(1).collect::<Vec<_>>())),
        _ => Some(format!("come {came:?}")),
    }
}

pub async fn clean(scene: Scene) -> Found {
    let name = scene.name("clean");
    let mut probe = scene.probe("clean").await?;
    probe.subscribe(&name, QOS[1]).await?;
    probe.leave().await?;
    let mut publisher = scene.probe("clean-2").await?;
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
    let mut probe = scene.probe_with(options.clone()).await?;
    probe.subscribe(&format!("{name}/#"), QOS[2]).await?;
    probe.leave().await?;
    let mut publisher = scene.probe("kept-2").await?;
    for message in ten(&name) {
        publisher.publish(message).await?;
    }
    publisher.publish(message(&format!("{name}/1"), "end")).await?;
    let (mut probe, answer) = Probe::connect(options.clone(), plain(&scene.place), false).await?;
    let came = probe.until("end").await?;
    if let Some(wrong) = wrong(&came) {
        return Err(wrong);
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
