//! Messages on their way.

use super::{Found, Scene, yes};
use crate::probe::{Probe, QOS, Trouble, filter, message};
use std::sync::Arc;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Properties, Property, Subscription, Varint, Version};
use tty2mqtt::mqtt::session::Clean;
use tty2mqtt::mqtt::topic::Qos;

async fn qos(scene: Scene, qos: Qos) -> Found {
    let name = scene.name(&format!("qos{}", qos.bits()));
    let mut probe = scene.probe(&name).await?;
    let granted = probe.subscribe(&name, qos).await?;
    let mut found = Vec::new();
    if granted != qos {
        found.push(format!("granted QoS {}", granted.bits()));
    }
    for n in 0..5 {
        let message = Message { qos, ..message(&name, n.to_string()) };
        probe.publish(message).await?;
    }
    for n in 0..5 {
        let came = probe.message().await?;
        if came.payload != n.to_string() {
            return Err(format!("{n} expected, {came:?} came"));
        }
        let as_what = format!("delivered with QoS {}", came.qos.bits());
        if came.qos != granted && !found.contains(&as_what) {
            found.push(as_what);
        }
    }
    if found.is_empty() { yes() } else { Ok(found.join(", ")) }
}

pub async fn qos_0(scene: Scene) -> Found {
    qos(scene, QOS[0]).await
}

pub async fn qos_1(scene: Scene) -> Found {
    qos(scene, QOS[1]).await
}

pub async fn qos_2(scene: Scene) -> Found {
    qos(scene, QOS[2]).await
}

pub async fn large(scene: Scene) -> Found {
    let name = scene.name("large");
    let mut probe = scene.probe("large").await?;
    probe.subscribe(&name, QOS[1]).await?;
    let payload: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    probe.publish(message(&name, payload.clone())).await?;
    match probe.message().await?.payload == payload {
        true => yes(),
        false => Err("it comes back changed".into()),
    }
}

pub async fn retained(scene: Scene) -> Found {
    let name = scene.name("retained");
    let mut there = scene.probe("retained-1").await?;
    there.subscribe(&name, QOS[1]).await?;
    let kept = |payload: &'static str| Message { retain: true, ..message(&name, payload) };
    there.publish(kept("old")).await?;
    there.publish(kept("kept")).await?;
    let mut found = Vec::new();
    for payload in ["old", "kept"] {
        let came = there.message().await?;
        if came.payload != payload {
            return Err(format!("{payload} expected, {came:?} came"));
        }
        if came.retain && !found.contains(&"marked as retained also when it is new") {
            found.push("marked as retained also when it is new");
        }
    }
    let mut late = scene.probe("retained-2").await?;
    late.subscribe(&name, QOS[1]).await?;
    let came = late.message().await?;
    if came.payload != "kept" || !came.retain {
        return Err(format!("the retained message expected, {came:?} came"));
    }
    there.publish(kept("")).await?;
    let mut later = scene.probe("retained-3").await?;
    later.subscribe(&name, QOS[1]).await?;
    there.publish(message(&name, "end")).await?;
    if !later.until("end").await?.is_empty() {
        return Err("it is not deleted by an empty one".into());
    }
    if found.is_empty() { yes() } else { Ok(format!("yes, {}", found.join(", "))) }
}

pub async fn wildcards(scene: Scene) -> Found {
    let name = scene.name("wild");
    let mut publisher = scene.probe("wild").await?;
    let topics = ["", "/a", "/a/b", "/b/a", "/b/c/d", "/end"];
    for (n, (filter, wanted)) in [
        (format!("x/{name}/#"), "|/a|/a/b|/b/a|/b/c/d"),
        (format!("x/{name}/+"), "/a"),
        (format!("x/{name}/+/a"), "/b/a"),
        (format!("+/{name}/+/c/#"), "/b/c/d"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut probe = scene.probe(&format!("wild-{n}")).await?;
        probe.subscribe(&filter, QOS[1]).await?;
        if n != 0 {
            probe.subscribe(&format!("x/{name}/end"), QOS[1]).await?;
        }
        for topic in topics {
            publisher.publish(message(&format!("x/{name}{topic}"), topic)).await?;
        }
        let mut came = probe.until("/end").await?;
        came.sort();
        if came.join("|") != wanted {
            return Err(format!("{filter} gives {came:?}"));
        }
    }
    yes()
}

pub async fn shared(scene: Scene) -> Found {
    let name = scene.name("shared");
    let mut members = [scene.probe("shared-1").await?, scene.probe("shared-2").await?];
    for member in &mut members {
        member.subscribe(&format!("$share/group/{name}"), QOS[1]).await?;
        member.subscribe(&format!("{name}/end"), QOS[1]).await?;
    }
    let mut publisher = scene.probe("shared").await?;
    for n in 10..30 {
        publisher.publish(message(&name, n.to_string())).await?;
    }
    publisher.publish(message(&format!("{name}/end"), "end")).await?;
    let mut all = Vec::new();
    let mut both = true;
    for member in &mut members {
        let came = member.until("end").await?;
        both &= !came.is_empty();
        all.extend(came);
    }
    all.sort();
    let wanted: Vec<String> = (10..30).map(|n: u32| n.to_string()).collect();
    match (all.is_empty(), all == wanted, both) {
        (true, ..) => Err("taken as an ordinary filter".into()),
        (_, true, true) => yes(),
        (_, true, false) => Ok("yes, all to one member".into()),
        _ => Err(format!("{} of 20 messages came", all.len())),
    }
}

pub async fn unsubscribe(scene: Scene) -> Found {
    let name = scene.name("unsubscribe");
    let end = format!("{name}/end");
    let mut probe = scene.probe("unsubscribe").await?;
    probe.subscribe(&name, QOS[1]).await?;
    probe.subscribe(&end, QOS[1]).await?;
    probe.publish(message(&name, "1")).await?;
    if probe.message().await?.payload != "1" {
        return Err("another message came".into());
    }
    let reason = probe.unsubscribe(&name).await?;
    if reason.is_error() {
        return Err(reason.to_string());
    }
    probe.publish(message(&name, "2")).await?;
    probe.publish(message(&end, "end")).await?;
    match probe.until("end").await?.is_empty() {
        true => yes(),
        false => Err("messages come all the same".into()),
    }
}

fn with(message: Message, properties: &[Property]) -> Message {
    let properties = Properties(properties.to_vec());
    Message { properties: Some(Arc::new(properties)), ..message }
}

pub async fn properties(scene: Scene) -> Found {
    if scene.version != Version::V5 {
        return Ok("–".into());
    }
    let name = scene.name("properties");
    let mut probe = scene.probe("properties").await?;
    probe.subscribe(&name, QOS[1]).await?;
    let sent = [
        Property::PayloadFormat(true),
        Property::ContentType("text/plain".into()),
        Property::ResponseTopic("answer".into()),
        Property::CorrelationData("7".into()),
        Property::user("b", "1"),
        Property::user("a", "2"),
        Property::user("b", "3"),
    ];
    probe.publish(with(message(&name, "x"), &sent)).await?;
    let came = probe.message().await?.properties;
    for property in &sent {
        if !came.0.contains(property) {
            return Err(format!("{property:?} is missing"));
        }
    }
    if came.user().collect::<Vec<_>>() != [("b", "1"), ("a", "2"), ("b", "3")] {
        return Err("user properties in another order".into());
    }
    yes()
}

pub async fn subscription_id(scene: Scene) -> Found {
    if scene.version != Version::V5 {
        return Ok("–".into());
    }
    let name = scene.name("id");
    let mut probe = scene.probe("id").await?;
    let subscription = Subscription::new(filter(&name), QOS[1]);
    let properties = Properties(vec![Property::SubscriptionId(Varint(4711))]);
    probe.subscribe_as(subscription, properties).await?;
    probe.publish(message(&name, "x")).await?;
    let came = probe.message().await?.properties;
    match came.subscription_ids().collect::<Vec<_>>()[..] {
        [4711] => yes(),
        ref other => Err(format!("{other:?}")),
    }
}

/// One that waits for a subscriber longer than it lives.
pub async fn expiry(scene: Scene) -> Found {
    if scene.version != Version::V5 {
        return Ok("–".into());
    }
    let name = scene.name("expiry");
    let mut options = scene.options("expiry");
    options.clean = Clean::Never;
    let mut probe = scene.probe_with(options.clone()).await?;
    probe.subscribe(&name, QOS[1]).await?;
    probe.leave().await?;
    let mut publisher = {
        let mut options = scene.options("expiry-2");
        options.keepalive = std::time::Duration::from_secs(1);
        scene.probe_with(options).await?
    };
    publisher.publish(with(message(&name, "short"), &[Property::MessageExpiry(1)])).await?;
    publisher.publish(with(message(&name, "long"), &[Property::MessageExpiry(1000)])).await?;
    pongs(&mut publisher, 3).await?;
    publisher.publish(message(&name, "end")).await?;
    let mut probe = scene.probe_with(options).await?;
    let came = probe.message().await?;
    if came.payload == "short" {
        return Err("delivered after its time".into());
    }
    match came.properties.message_expiry() {
        Some(900..1000) => {}
        other => return Err(format!("of 1000 s are told as left: {other:?}")),
    }
    match probe.until("end").await?.is_empty() {
        true => yes(),
        false => Err("too many messages came".into()),
    }
}

/// Of a client with a keep alive of 1 s: about so many seconds.
pub async fn pongs(probe: &mut Probe, n: u32) -> Result<(), Trouble> {
    use tty2mqtt::mqtt::client::Event;
    let mut left = n;
    while left > 0 {
        match probe.event("PINGRESP").await? {
            Event::Pong => left -= 1,
            Event::Down(error) => return Err(error.to_string()),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a topic comes as it was published.
async fn as_published(scene: Scene, name: &str, level: &str) -> Found {
    let name = scene.name(name);
    let mut probe = scene.probe(&name).await?;
    probe.subscribe(&format!("{name}/#"), QOS[1]).await?;
    let topic = format!("{name}/{level}");
    probe.publish(message(&topic, "x")).await?;
    let came = probe.message().await?.topic.to_string();
    if came == topic {
        return yes();
    }
    Err(format!("comes as `{}`", came.trim_start_matches(&name).trim_start_matches('/')))
}

pub async fn dot(scene: Scene) -> Found {
    as_published(scene, "dot", "a.b").await
}

pub async fn star(scene: Scene) -> Found {
    as_published(scene, "star", "*").await
}

pub async fn retained_by_wildcard(scene: Scene) -> Found {
    let name = scene.name("kept-wild");
    let mut there = scene.probe("kept-wild-1").await?;
    let topic = format!("{name}/a");
    let kept = |payload: &'static str| Message { retain: true, ..message(&topic, payload) };
    there.publish(kept("kept")).await?;
    let mut late = scene.probe("kept-wild-2").await?;
    late.subscribe(&format!("{name}/+"), QOS[1]).await?;
    // Retained messages come before what is published later.
    there.publish(message(&topic, "end")).await?;
    let came = late.until("end").await?;
    there.publish(kept("")).await?;
    if came == ["kept"] { yes() } else { Err("it does not come".into()) }
}
