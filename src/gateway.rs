//! Wires tasks, threads and channels together.
//!
//! Two threads: the caller's runs the ports, because a tty's kernel buffer overflows after a third
//! of a second; `mqtt` runs the link, because a TLS handshake on a slow router takes longer. They
//! meet in bounded channels only. A third has the journal, if there is one, and opens it too.

mod build;
mod machine;
mod numbers;
mod reload;
pub mod status;
pub mod topics;
pub mod uplink;

pub use reload::{ReloadError, reload};

use crate::base::command_line::CliError;
use crate::base::path::BuildError;
use crate::base::scalar::Name;
use crate::config::Config;
use crate::mqtt::packet::{RetainHandling, Subscription};
use crate::outbox::Outbox;
use crate::outbox::inlet::{self, Intake};
use crate::port;
use crate::port::task;
use build::{PortRoutes, ReadyPort};
use numbers::Numbers;
use status::Program;
use std::collections::BTreeMap;
use std::io;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, LocalSet};
use topics::Topics;
use uplink::{Route, Uplink, UplinkConfig, UplinkUpdate};

/// Why the gateway did not start. The configuration's own mistakes were found before.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that contradict each other.
    #[error("{}", list(.0))]
    Settings(Vec<BuildError>),
    /// No thread or no event loop could be had.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// Of the settings of a port.
    pub fn of_port(name: &Name, errors: Vec<BuildError>) -> StartError {
        let in_file = |error: BuildError| error.at(name.as_str()).at("ports");
        StartError::Settings(errors.into_iter().map(in_file).collect())
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> CliError {
        CliError::Failed(error.to_string())
    }
}

fn list(errors: &[BuildError]) -> String {
    errors.iter().map(BuildError::to_string).collect::<Vec<_>>().join("; ")
}

/// What a running gateway is asked to do. It ends when the channel of requests closes.
#[derive(Debug)]
pub enum GatewayRequest {
    /// Go on by this configuration. What it does not change is not disturbed.
    Reload(Box<Config>, oneshot::Sender<Result<Changes, StartError>>),
    /// Who can be asked.
    Directory(oneshot::Sender<Directory>),
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ports that were not there before.
    pub added: Vec<Name>,
    /// Ports that are no longer there.
    pub removed: Vec<Name>,
    /// Ports that were closed and opened again, because something about them changed.
    pub restarted: Vec<Name>,
    /// Whether another link to the broker is made.
    pub broker: bool,
    /// Whether the control socket has another path, which counts from the next start on.
    pub control: bool,
}

/// Who can be asked in a running gateway.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The gateway's name.
    pub gateway: Name,
    /// Its ports.
    pub ports: BTreeMap<Name, PortHandle>,
    /// The MQTT task.
    pub uplink: mpsc::Sender<uplink::UplinkRequest>,
}

/// How a port is reached.
#[derive(Clone, Debug)]
pub struct PortHandle {
    /// For questions.
    pub asks: mpsc::Sender<task::PortRequest>,
    /// For commands, with the filters of their topics; `None`: it has no commands.
    pub commands: Option<Route>,
}

/// Runs the gateway until there are no more requests: then the ports end, what they left is sent, the
/// broker is told, and the number of messages that could not be delivered is returned.
///
/// Must run in a current-thread runtime of its own: it is the ports' thread.
pub async fn run(
    config: Config,
    program: Program,
    mut requests: mpsc::Receiver<GatewayRequest>,
) -> Result<usize, StartError> {
    let (bounds, before) = config.bounds();
    let (intake, outlet) = inlet::channel(before);
    let (updates, updated) = mpsc::channel(1);
    let (uplink, uplink_requests) = mpsc::channel(uplink::REQUESTS);
    let mut gateway = Gateway {
        config,
        intake,
        numbers: Numbers::default(),
        ports: BTreeMap::new(),
        updates,
        uplink,
    };
    let names: Vec<_> = gateway.config.ports.keys().cloned().collect();
    let start = gateway.build(&gateway.config.clone(), &names)?;
    let (routes, wanted) = all_of(start.iter().map(|(_, port)| &port.routes));
    let config = &gateway.config;
    let mut outbox = Outbox::new(&bounds);
    outbox.share(config.ports.len());
    let journal = build::journal(config, gateway.numbers.names(), &mut outbox)?;
    let left = build::start_mqtt(Uplink {
        journal,
        link: build::link(config, &wanted)?,
        outbox,
        outlet,
        updates: updated,
        requests: uplink_requests,
        config: gateway.uplink_config(config, routes, wanted),
        program,
    })?;
    let local = LocalSet::new();
    local
        .run_until(async {
            gateway.start(start);
            while let Some(request) = requests.recv().await {
                // Who asked may have gone.
                match request {
                    GatewayRequest::Reload(config, reply) => {
                        let _ = reply.send(gateway.reload(*config).await);
                    }
                    GatewayRequest::Directory(reply) => drop(reply.send(gateway.directory())),
                }
            }
            gateway.stop().await;
        })
        .await;
    Ok(left.await.unwrap_or_default())
}

/// The ports that run, and the configuration they were built from.
struct Gateway {
    config: Config,
    intake: Intake,
    numbers: Numbers,
    ports: BTreeMap<Name, RunningPort>,
    updates: mpsc::Sender<UplinkUpdate>,
    uplink: mpsc::Sender<uplink::UplinkRequest>,
}

struct RunningPort {
    routes: PortRoutes,
    asks: mpsc::Sender<task::PortRequest>,
    /// Dropped to end the port.
    stop: watch::Sender<()>,
    task: JoinHandle<task::Leftover>,
}

/// What the MQTT task must know of all ports.
fn all_of<'a>(ports: impl Iterator<Item = &'a PortRoutes>) -> (Vec<Route>, Vec<Subscription>) {
    let (mut routes, mut subscriptions) = (Vec::new(), Vec::new());
    for port in ports {
        routes.extend(port.route());
        for wanted in &port.subscriptions {
            want(&mut subscriptions, wanted);
        }
    }
    (routes, subscriptions)
}

/// A broker has one subscription for each filter: of several commands with the same one it has the
/// highest QoS, and what any of them wants of retained messages.
fn want(subscriptions: &mut Vec<Subscription>, wanted: &Subscription) {
    match subscriptions.iter_mut().find(|known| known.filter == wanted.filter) {
        None => subscriptions.push(wanted.clone()),
        Some(known) => {
            known.qos = known.qos.max(wanted.qos);
            if wanted.retain_handling == RetainHandling::Send {
                known.retain_handling = RetainHandling::Send;
            }
        }
    }
}

impl Gateway {
    /// Builds ports of a configuration; none runs yet.
    fn build(
        &mut self,
        config: &Config,
        names: &[Name],
    ) -> Result<Vec<(Name, ReadyPort)>, StartError> {
        let build = |name: &Name| {
            let port = config.ports[name].clone();
            let (running, wanted) = (&self.ports, &config.ports);
            let is_there = |name: &Name| running.contains_key(name) || wanted.contains_key(name);
            let number = self.numbers.of(name, is_there);
            let intake = self.intake.of_port(number);
            let ready = build::port(config, name, &port, intake)
                .map_err(|errors| StartError::of_port(name, errors))?;
            Ok((name.clone(), ready))
        };
        names.iter().map(build).collect()
    }

    /// Must be called within the [`LocalSet`].
    fn start(&mut self, ready: Vec<(Name, ReadyPort)>) {
        for (name, ReadyPort { routes, asks, stop, task, port }) in ready {
            let mut opener = port::Opener::new(port);
            let open = async move || opener.open().await;
            let task = tokio::task::spawn_local(task::run(task, open));
            self.ports.insert(name, RunningPort { routes, asks, stop, task });
        }
    }

    /// Ends ports and waits until they have let go of their devices. Returns the commands that wait
    /// for each.
    async fn end(ports: Vec<(Name, RunningPort)>) -> BTreeMap<Name, task::Leftover> {
        let tasks = ports.into_iter().map(|(name, RunningPort { stop, task, .. })| {
            drop(stop);
            (name, task)
        });
        let mut left = BTreeMap::new();
        for (name, task) in tasks.collect::<Vec<_>>() {
            // A port that panicked has ended too.
            left.extend(task.await.ok().map(|of_port| (name, of_port)));
        }
        left
    }

    async fn stop(self) {
        let broker_keeps = self.config.broker.keeps_commands();
        for left in Gateway::end(self.ports.into_iter().collect()).await.into_values() {
            left.end(broker_keeps);
        }
    }

    fn uplink_config(
        &self,
        config: &Config,
        routes: Vec<Route>,
        subscriptions: Vec<Subscription>,
    ) -> UplinkConfig {
        UplinkConfig {
            routes,
            subscriptions,
            topics: Topics::with(&config.gateway, &config.status),
            ports: self.numbers.names(),
            interval: config.status_interval().duration(),
            bounds: config.bounds().0,
            grace: config.grace.duration(),
            broker_keeps: config.broker.keeps_commands(),
        }
    }

    fn directory(&self) -> Directory {
        let handle = |port: &RunningPort| PortHandle {
            asks: port.asks.clone(),
            commands: port.routes.route(),
        };
        Directory {
            gateway: self.config.gateway.clone(),
            ports: self.ports.iter().map(|(name, port)| (name.clone(), handle(port))).collect(),
            uplink: self.uplink.clone(),
        }
    }

    /// Goes on by another configuration. Ports that it does not change never notice.
    async fn reload(&mut self, config: Config) -> Result<Changes, StartError> {
        let renamed = config.gateway != self.config.gateway;
        let same_status = self.config.is_same(&config, &["status"]);
        let same_topics = self.config.broker.amqp_topics == config.broker.amqp_topics;
        let is_kept = |name: &Name| {
            let keys = ["ports", name.as_str()];
            !renamed
                && same_status
                && same_topics
                && self.ports.contains_key(name)
                && self.config.is_same(&config, &keys)
        };
        let new: Vec<_> = config.ports.keys().filter(|name| !is_kept(name)).cloned().collect();
        let old: Vec<_> = self
            .ports
            .keys()
            .filter(|name| !config.ports.contains_key(name) || new.contains(name))
            .cloned()
            .collect();
        let mut ready = self.build(&config, &new)?;
        for (name, port) in &mut ready {
            // What waits for a port waits on for its next task.
            if let Some(old) = self.ports.get(name).filter(|old| !old.task.is_finished()) {
                port.routes.inbox = old.routes.inbox.clone();
            }
        }
        let kept = self.ports.iter().filter(|(name, _)| !old.contains(name));
        let kept = kept.map(|(_, port)| &port.routes);
        let (routes, subscriptions) =
            all_of(kept.chain(ready.iter().map(|(_, port)| &port.routes)));
        let new_will = topics::will(&config) != topics::will(&self.config);
        let new_link = renamed || new_will || !self.config.is_same(&config, &["broker"]);
        let link = match new_link {
            true => Some(build::link(&config, &subscriptions)?),
            false => None,
        };
        let (routed, is_routed) = oneshot::channel();
        let update = UplinkUpdate {
            link,
            config: self.uplink_config(&config, routes, subscriptions),
            routed,
        };
        let (restarted, removed) =
            old.iter().cloned().partition::<Vec<_>, _>(|name| new.contains(name));
        let changes = Changes {
            added: new.into_iter().filter(|name| !old.contains(name)).collect(),
            removed,
            restarted,
            broker: new_link,
            control: !self.config.is_same(&config, &["control"]),
        };
        let ended = old.iter().filter_map(|name| self.ports.remove_entry(name)).collect();
        let mut left = Gateway::end(ended).await;
        for (name, port) in &mut ready {
            port.task.left = left.remove(name);
        }
        let of_journal = |config: &Config| {
            config.outbox.journal.clone().map(|journal| (journal, config.outbox.drop))
        };
        if of_journal(&config) != of_journal(&self.config) {
            tracing::warn!("journal settings changed; restart to apply them");
        }
        // The MQTT task ends after the ports only.
        let _ = self.updates.send(update).await;
        self.start(ready);
        if !left.is_empty() {
            // From then on nothing more comes for the ports that are gone.
            let _ = is_routed.await;
            left.into_values().for_each(task::Leftover::refuse);
        }
        self.config = config;
        Ok(changes)
    }
}
