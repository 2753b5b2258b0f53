//! What is left when the broker was killed and is started again.

use super::messages::pongs;
use super::sessions::{ten, wrong};
use super::stream::Stream;
use super::{Found, Scene, text, yes};
use crate::broker::Broker;
use crate::probe::{Probe, QOS, Trouble, message, plain};
use std::collections::BTreeMap;
use std::time::Duration;
use tty2mqtt::mqtt::client::Receipt;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::Version;
use tty2mqtt::mqtt::session::{Clean, Options};
use tty2mqtt::testing::outbox::Outcome;

const NAMES: [&str; 5] = [
    "after kill -9: our link, our messages of the time between arrive",
    "after kill -9: session and messages missed",
    "after kill -9: messages in flight to us",
    "after kill -9: retained message",
    "after kill -TERM in mid-stream: every message of ours",
];

/// What was prepared before the broker is killed.
struct Before {
    scene: Scene,
    /// Subscribes and publishes.
    there: Probe,
    receipts: Vec<Receipt>,
}

pub async fn all(
    broker: &mut Broker,
    scenes: &[Scene],
) -> Vec<(&'static str, BTreeMap<Version, String>)> {
    let mut rows: Vec<_> = NAMES.map(|name| (name, BTreeMap::new())).into();
    let mut all = Vec::new();
    for scene in scenes {
        match before(scene).await {
            Ok(before) => all.push(before),
            Err(trouble) => {
                for (_, cells) in &mut rows {
                    cells.insert(scene.version, text(Err(format!("before it: {trouble}"))));
                }
            }
        }
    }
    // RabbitMQ takes 2 s to write a retained message to a disk.
    if let Some(scene) = scenes.first() {
        let options = Options { keepalive: Duration::from_secs(1), ..scene.options("clock") };
        let clock = scene.probe_with(options).await;
        pongs(&mut clock.unwrap(), 4).await.unwrap();
    }
    broker.kill();
    for before in &mut all {
        before.between().await;
    }
    broker.start_again().await;
    for mut before in all {
        let version = before.scene.version;
        let found = [
            before.back().await,
            before.missed().await,
            before.in_flight().await,
            before.retained().await,
        ];
        for ((_, cells), found) in rows.iter_mut().zip(found) {
            cells.insert(version, text(found));
        }
    }
    let (_, cells) = &mut rows[4];
    if !broker.kind.keeps {
        cells.insert(Version::V311, "–".into());
        return rows;
    }
    let mut all = Vec::new();
    for scene in scenes {
        all.push((scene.version, Stream::start(scene).await));
    }
    broker.stop().await;
    broker.start_again().await;
    for (version, stream) in all {
        let found = match stream {
            Ok(stream) => stream.end().await,
            Err(trouble) => Err(trouble),
        };
        cells.insert(version, text(found));
    }
    rows
}

pub fn kept(scene: &Scene, name: &str) -> Options {
    Options { clean: Clean::Never, ..scene.options(name) }
}

pub async fn coming_back(options: Options, scene: &Scene) -> Result<Probe, Trouble> {
    Ok(Probe::connect(options, plain(&scene.place), true).await?.0)
}

async fn before(scene: &Scene) -> Result<Before, Trouble> {
    let mut there = coming_back(kept(scene, "there"), scene).await?;
    there.subscribe(&format!("{}/#", scene.name("there")), QOS[2]).await?;
    let mut away = scene.probe_with(kept(scene, "away")).await?;
    away.subscribe(&format!("{}/#", scene.name("away")), QOS[2]).await?;
    away.leave().await?;
    // Acknowledges nothing.
    let options = Options { manual_ack: true, ..kept(scene, "lazy") };
    let mut lazy = scene.probe_with(options).await?;
    lazy.subscribe(&format!("{}/#", scene.name("lazy")), QOS[2]).await?;
    for name in ["away", "lazy"] {
        for message in ten(&scene.name(name)) {
            there.publish(message).await?;
        }
    }
    for _ in 0..10 {
        lazy.message().await?;
    }
    let name = scene.name("kept-retained");
    there.publish(Message { retain: true, ..message(&name, "kept") }).await?;
    Ok(Before { scene: scene.clone(), there, receipts: Vec::new() })
}

impl Before {
    async fn between(&mut self) {
        for message in ten(&self.scene.name("there")) {
            let receipt = self.there.client.publish(message).await;
            self.receipts.extend(receipt.ok());
        }
    }

    async fn back(&mut self) -> Found {
        let answer = self.there.back().await?;
        for receipt in self.receipts.drain(..) {
            match tokio::time::timeout(crate::probe::DEADLINE, receipt).await {
                Ok(Ok(Outcome::Delivered(_))) => {}
                other => return Err(format!("a message of ours: {other:?}")),
            }
        }
        let end = format!("{}/1", self.scene.name("there"));
        self.there.publish(message(&end, "end")).await?;
        let came = self.there.until("end").await?;
        if let Some(wrong) = wrong(&came) {
            return Err(wrong);
        }
        let silent = !answer.session_present && self.scene.version != Version::V31;
        if silent { Ok("yes, in a new session".into()) } else { yes() }
    }

    async fn missed(&mut self) -> Found {
        let options = kept(&self.scene, "away");
        let (mut away, answer) = Probe::connect(options, plain(&self.scene.place), false).await?;
        if !answer.session_present && self.scene.version != Version::V31 {
            return Ok("no: forgotten".into());
        }
        // Without the session this comes for the new subscription.
        away.subscribe(&format!("{}/end", self.scene.name("away")), QOS[1]).await?;
        let end = format!("{}/end", self.scene.name("away"));
        self.there.publish(message(&end, "end")).await?;
        let came = away.until("end").await?;
        wrong(&came).map_or(yes(), Err)
    }

    async fn in_flight(&mut self) -> Found {
        // It was killed as well, and comes back knowing nothing.
        let options = kept(&self.scene, "lazy");
        let (mut lazy, answer) = Probe::connect(options, plain(&self.scene.place), false).await?;
        if !answer.session_present && self.scene.version != Version::V31 {
            return Ok("no: forgotten".into());
        }
        lazy.subscribe(&format!("{}/1", self.scene.name("lazy")), QOS[1]).await?;
        let end = format!("{}/1", self.scene.name("lazy"));
        self.there.publish(message(&end, "end")).await?;
        let mut came = Vec::new();
        let mut marked = true;
        loop {
            let message = lazy.message().await?;
            if message.payload == "end" {
                break;
            }
            marked &= message.dup;
            came.push(String::from_utf8_lossy(&message.payload).into_owned());
        }
        match wrong(&came) {
            None if marked => yes(),
            None => Ok("yes, not marked as duplicates".into()),
            Some(wrong) => Err(wrong),
        }
    }

    async fn retained(&mut self) -> Found {
        let name = self.scene.name("kept-retained");
        let mut late = self.scene.probe("kept-retained").await?;
        late.subscribe(&name, QOS[1]).await?;
        self.there.publish(message(&name, "end")).await?;
        match &late.until("end").await?[..] {
            [kept] if kept == "kept" => yes(),
            [] => Ok("no: forgotten".into()),
            other => Err(format!("{other:?}")),
        }
    }
}
