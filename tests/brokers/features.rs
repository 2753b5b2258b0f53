//! What is tried at every broker. Each feature is a function that tells what it found.

mod lost;
mod messages;
mod restart;
mod sessions;
mod stream;
mod ways;

use crate::broker::{Broker, Place};
use crate::probe::{Probe, Trouble, options, plain};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio::task::JoinSet;
use tty2mqtt::mqtt::packet::Version;
use tty2mqtt::mqtt::session::Options;

/// What was found: `yes` or in what it differs.
pub type Found = Result<String, Trouble>;

pub fn yes() -> Found {
    Ok("yes".into())
}

/// Where a feature is tried: a broker, spoken to in one version.
#[derive(Clone)]
pub struct Scene {
    pub place: Arc<Place>,
    pub version: Version,
}

impl Scene {
    /// A topic, or a client identifier, of this version's own.
    pub fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.version.to_string().replace('.', ""))
    }

    pub fn options(&self, name: &str) -> Options {
        options(&self.name(name), Some(self.version))
    }

    /// A client with a clean session.
    pub async fn probe(&self, name: &str) -> Result<Probe, Trouble> {
        self.probe_with(self.options(name)).await
    }

    pub async fn probe_with(&self, options: Options) -> Result<Probe, Trouble> {
        Ok(Probe::connect(options, plain(&self.place), false).await?.0)
    }
}

type Trial<A> = fn(A) -> Pin<Box<dyn Future<Output = Found> + Send>>;

/// A row of the table.
pub struct Feature<A: 'static> {
    pub name: &'static str,
    pub trial: Trial<A>,
}

/// Shortens the lists of features.
macro_rules! features {
    ($($name:literal $function:path;)*) => {
        &[$(Feature { name: $name, trial: |scene| Box::pin($function(scene)) },)*]
    };
}

/// One title for each group of rows.
pub static TITLES: [&str; 3] =
    ["Ways in", "Messages and sessions", "When the broker is started again"];

static ONCE: &[Feature<Arc<Place>>] = features! {
    "TCP" ways::tcp;
    "WebSocket" ways::websocket;
    "TLS" ways::tls;
    "TLS with a client certificate" ways::client_certificate;
    "user and password" ways::login;
    "`version: auto` ends up with" ways::auto;
};

static EACH: &[Feature<Scene>] = features! {
    "QoS 0 both ways" messages::qos_0;
    "QoS 1 both ways" messages::qos_1;
    "QoS 2 both ways" messages::qos_2;
    "message of 1 MB" messages::large;
    "wildcards" messages::wildcards;
    "topic with a dot" messages::dot;
    "topic with a star" messages::star;
    "shared subscription" messages::shared;
    "unsubscribe" messages::unsubscribe;
    "user properties, content type" messages::properties;
    "subscription identifier" messages::subscription_id;
    "message expiry" messages::expiry;
    "clean session" sessions::clean;
    "kept session, messages missed" sessions::kept;
    "will after an abrupt end" lost::will;
    "no will after DISCONNECT" lost::no_will;
    "will of a silent client" lost::silent;
    "ping at a keep alive of 1 s" lost::ping;
    "taken over by the same client id" lost::takeover;
};

/// One after the other, after all others: some brokers send retained messages to clients that did
/// not ask for them.
static RETAINED: &[Feature<Scene>] = features! {
    "retained message" messages::retained;
    "retained message by wildcard" messages::retained_by_wildcard;
    "retained will" lost::retained;
};

/// In the order of the table: features, and what was found in each version, by groups.
pub type Results = [Vec<(&'static str, BTreeMap<Version, String>)>; 3];

/// Tries everything at a broker. What does not depend on the version stands under 3.1.1.
pub async fn try_all(broker: &mut Broker) -> (Vec<(Version, String)>, Results) {
    let place = Arc::new(Place { folder: broker.place.folder.clone(), ..broker.place });
    let mut versions = Vec::new();
    for version in [Version::V31, Version::V311, Version::V5] {
        let found = ways::version(place.clone(), version).await;
        versions.push((version, text(found)));
    }
    let spoken = versions.iter().filter(|(_, found)| found == "yes").map(|(version, _)| *version);
    let scenes: Vec<Scene> =
        spoken.map(|version| Scene { place: place.clone(), version }).collect();
    let mut running = JoinSet::new();
    for (n, feature) in ONCE.iter().enumerate() {
        let trial = (feature.trial)(place.clone());
        running.spawn(async move { ((0, n), Version::V311, trial.await) });
    }
    for (n, feature) in EACH.iter().enumerate() {
        for scene in &scenes {
            let (trial, version) = ((feature.trial)(scene.clone()), scene.version);
            running.spawn(async move { ((1, n), version, trial.await) });
        }
    }
    let [mut once, mut each] = [Vec::new(), Vec::new()];
    once.extend(ONCE.iter().map(|feature| (feature.name, BTreeMap::new())));
    each.extend(EACH.iter().map(|feature| (feature.name, BTreeMap::new())));
    while let Some(done) = running.join_next().await {
        let ((group, n), version, found) = done.unwrap();
        let rows: &mut Vec<(&str, BTreeMap<Version, String>)> =
            if group == 0 { &mut once } else { &mut each };
        rows[n].1.insert(version, text(found));
    }
    for feature in RETAINED {
        let mut cells = BTreeMap::new();
        for scene in &scenes {
            cells.insert(scene.version, text((feature.trial)(scene.clone()).await));
        }
        each.push((feature.name, cells));
    }
    let restart = restart::all(broker, &scenes).await;
    (versions, [once, each, restart])
}

pub fn text(found: Found) -> String {
    found.unwrap_or_else(|trouble| format!("no: {trouble}"))
}
