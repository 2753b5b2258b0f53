//! Wires tasks, threads and channels together.
//!
//! Two threads: the caller's runs the ports, because a tty's kernel buffer overflows after a third
//! of a second; `mqtt` runs the link, because a TLS handshake on a slow router takes longer. They
//! meet in bounded channels only. A third has the journal, if there is one, and opens it too.

mod build;
pub mod discovery;
#[cfg(feature = "formats")]
pub mod format;
#[cfg(not(feature = "formats"))]
#[path = "gateway/no_format.rs"]
pub mod format;
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
use crate::device::Newcomer;
use crate::mqtt::packet::{RetainHandling, Subscription};
use crate::outbox::inlet;
use crate::port;
use crate::port::task;
use build::{PortRoutes, ReadyPort};
use discovery::Announcement;
use format::Format;
use numbers::Numbers;
use serde::{Deserialize, Serialize};
use status::Program;
use std::io;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, LocalSet};

use uplink::{Route, UplinkConfig, UplinkEnds, UplinkUpdate};

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
    Directory(oneshot::Sender<Directory>),
}

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Ports that were not there before.
    pub added: Vec<String>,
    /// Ports that are no longer there.
    pub removed: Vec<String>,
    /// Ports that were closed and opened again, because something about them changed.
    pub restarted: Vec<String>,
    /// Whether another link to the broker is made.
    pub broker: bool,
    /// Whether the control socket has another path, which takes effect at the next start.
    pub restart_needed: bool,
    /// What is valid in the configuration, but most likely not meant.
    pub warnings: Vec<String>,
}

/// Who can be asked in a running gateway.
#[derive(Clone, Debug)]
pub struct Directory {
    pub gateway: Name,
    /// By their names.
    pub ports: Vec<(Name, PortHandle)>,
    pub uplink: mpsc::Sender<uplink::UplinkRequest>,
}

#[derive(Clone, Debug)]
pub struct PortHandle {
    pub asks: mpsc::Sender<task::PortRequest>,
    /// For commands, with the filters of their topics; `None`: it has no commands.
    pub commands: Option<Route>,
}

/// Runs the gateway until the channel of requests closes: then the ports end, what they left is sent,
/// the broker is told, and the number of messages that could not be delivered is returned.
///
/// Must run in a current-thread runtime of its own: it is the ports' thread.
pub async fn run(
    config: Config,
    program: Program,
    mut requests: mpsc::Receiver<GatewayRequest>,
) -> Result<usize, StartError> {
    let serve = async {
        let mut gateway = Gateway::new(&config, program);
        gateway.apply(config).await?;
        while let Some(request) = requests.recv().await {
            // Who asked may have gone.
            match request {
                GatewayRequest::Reload(config, reply) => {
                    drop(reply.send(gateway.apply(*config).await));
                }
                GatewayRequest::Directory(reply) => {
                    gateway.directory().map(|directory| reply.send(directory).ok());
                }
            }
        }
        Ok(gateway.stop().await)
    };
    LocalSet::new().run_until(serve).await
}

/// The ports that run, and the rest of the configuration.
struct Gateway {
    /// What is in effect, without the ports; nothing before the first configuration is.
    config: Option<Config>,
    intake: inlet::Sender,
    numbers: Numbers,
    /// In the order of their names. Few, so not a map, which would be 5 KB of code.
    ports: Vec<RunningPort>,
    updates: mpsc::Sender<UplinkUpdate>,
    /// For the fields that only frames name.
    newcomers: mpsc::Sender<Newcomer>,
    uplink: mpsc::Sender<uplink::UplinkRequest>,
    /// The MQTT task's ends of the channels, until it starts, and where it reports to `left`.
    ends: Option<(UplinkEnds, oneshot::Sender<usize>)>,
    /// How many messages the MQTT task could not deliver.
    left: oneshot::Receiver<usize>,
}

struct RunningPort {
    name: Name,
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
    /// A gateway in which nothing runs yet.
    fn new(config: &Config, program: Program) -> Gateway {
        let (intake, outlet) = inlet::channel(config.bounds().1);
        let (updates, updated) = mpsc::channel(1);
        let (uplink, requests) = mpsc::channel(uplink::REQUESTS);
        let (newcomers, met) = mpsc::channel(uplink::NEWCOMERS);
        let (undelivered, left) = oneshot::channel();
        let ends = UplinkEnds { outlet, updates: updated, newcomers: met, requests, program };
        Gateway {
            config: None,
            intake,
            numbers: Numbers::default(),
            ports: Vec::new(),
            updates,
            newcomers,
            uplink,
            ends: Some((ends, undelivered)),
            left,
        }
    }

    /// Builds ports of a configuration; none runs yet.
    fn build(&mut self, config: &Config, names: &[Name]) -> Result<Vec<ReadyPort>, StartError> {
        let build = |name: &Name| {
            let is_there = |name: &Name| {
                self.ports.iter().any(|port| port.name == *name) || config.ports.contains_key(name)
            };
            let number = self.numbers.of(name, is_there);
            let intake = self.intake.of_port(number);
            build::port(config, name, &config.ports[name], intake, &self.newcomers)
                .map_err(|errors| StartError::of_port(name, errors))
        };
        names.iter().map(build).collect()
    }

    /// Must be called within the [`LocalSet`].
    fn start(&mut self, ready: Vec<ReadyPort>) {
        for ReadyPort { routes, asks, stop, task } in ready {
            let name = task.name.clone();
            let mut opener = port::Opener::new(task.settings.clone());
            let open = async move || opener.open().await;
            let task = tokio::task::spawn_local(task::run(task, open));
            let at = self.ports.partition_point(|port| port.name < name);
            self.ports.insert(at, RunningPort { name, routes, asks, stop, task });
        }
    }

    /// Ends ports and waits until they have let go of their devices. Returns the commands that wait
    /// for each.
    async fn end(ports: Vec<RunningPort>) -> Vec<(Name, task::Leftover)> {
        let stopped = ports.into_iter().map(|RunningPort { name, stop, task, .. }| {
            drop(stop);
            (name, task)
        });
        let mut left = Vec::new();
        // All are told to stop before the first is waited for.
        for (name, task) in stopped.collect::<Vec<_>>() {
            // A port that panicked has ended too.
            left.extend(task.await.ok().map(|of_port| (name, of_port)));
        }
        left
    }

    /// Ends all that runs. Returns how many messages could not be delivered.
    async fn stop(self) -> usize {
        let Gateway { config, intake, ports, updates, left, .. } = self;
        let broker_keeps = config.is_some_and(|config| config.broker.keeps_commands());
        for (_, of_port) in Gateway::end(ports).await {
            of_port.end(broker_keeps);
        }
        // The MQTT task ends when nothing can come from a port any more.
        drop((intake, updates));
        left.await.unwrap_or_default()
    }

    /// Who can be asked, once a configuration is in effect.
    fn directory(&self) -> Option<Directory> {
        let handle = |port: &RunningPort| {
            let commands = port.routes.route();
            (port.name.clone(), PortHandle { asks: port.asks.clone(), commands })
        };
        Some(Directory {
            gateway: self.config.as_ref()?.gateway.clone(),
            ports: self.ports.iter().map(handle).collect(),
            uplink: self.uplink.clone(),
        })
    }

    /// Puts a configuration into effect, the first as any other. Ports that it does not change never
    /// notice.
    async fn apply(&mut self, config: Config) -> Result<Changes, StartError> {
        // Off this thread: all devices are built for it, and a tty waits.
        let (config, announcement) = match config.home_assistant {
            Some(_) => tokio::task::spawn_blocking(move || {
                let announcement = Announcement::of(&config, env!("CARGO_PKG_VERSION"));
                (config, announcement)
            })
            .await
            .map_err(io::Error::other)?,
            None => (config, None),
        };
        let before = self.config.as_ref();
        let is_same = |keys: &[&str]| before.is_some_and(|it| it.is_same(&config, keys));
        let is_renamed = before.is_none_or(|it| it.gateway != config.gateway);
        let other_topics =
            before.is_none_or(|it| it.broker.amqp_topics != config.broker.amqp_topics);
        // Ports look for new fields only where these are announced.
        let other_announcement = before.is_none_or(|it| it.announces() != config.announces());
        let other_words = !is_same(&["status"]) || !is_same(&["format"]);
        let all_change = is_renamed || other_topics || other_announcement || other_words;
        let is_running = |name: &Name| self.ports.iter().any(|port| port.name == *name);
        let is_kept =
            |name: &Name| !all_change && is_running(name) && is_same(&["ports", name.as_str()]);
        let new: Vec<_> = config.ports.keys().filter(|name| !is_kept(name)).cloned().collect();
        let is_gone = |name: &&Name| !config.ports.contains_key(name) || new.contains(name);
        let running = self.ports.iter().map(|port| &port.name);
        let old: Vec<_> = running.filter(is_gone).cloned().collect();
        let names = |names: &[Name], are: &dyn Fn(&Name) -> bool| {
            names.iter().filter(|name| are(name)).map(Name::to_string).collect()
        };
        let other_will = before.map(topics::will) != Some(topics::will(&config));
        let changes = Changes {
            added: names(&new, &|name| !old.contains(name)),
            removed: names(&old, &|name| !new.contains(name)),
            restarted: names(&old, &|name| new.contains(name)),
            broker: is_renamed || other_will || !is_same(&["broker"]) || !is_same(&["format"]),
            restart_needed: before.is_some() && !is_same(&["control"]),
            warnings: Vec::new(),
        };
        let other_journal = before
            .is_some_and(|it| build::journal_settings(it) != build::journal_settings(&config));

        let mut ready = self.build(&config, &new)?;
        for port in &mut ready {
            // What waits for a port waits on for its next task.
            let is_before = |it: &&RunningPort| it.name == port.task.name && !it.task.is_finished();
            if let Some(before) = self.ports.iter().find(is_before) {
                port.routes.inbox = before.routes.inbox.clone();
            }
        }
        let kept = self.ports.iter().filter(|port| !old.contains(&port.name));
        let kept = kept.map(|port| &port.routes);
        let all = kept.chain(ready.iter().map(|port| &port.routes));
        let (routes, mut subscriptions) = all_of(all.clone());
        let of_discovery = announcement.iter().flat_map(Announcement::subscriptions);
        of_discovery.for_each(|wanted| want(&mut subscriptions, &wanted));
        let format = Format::of(&config, all.flat_map(|port| port.facts.clone()).collect());
        if let Some(format) = &format {
            subscriptions = format.subscriptions();
        }
        let link = if changes.broker { Some(build::link(&config, &subscriptions)?) } else { None };
        let uplink_config = UplinkConfig {
            routes,
            subscriptions,
            topics: build::topics(&config),
            format,
            ports: self.numbers.names(),
            interval: config.status_interval().duration(),
            bounds: config.bounds().0,
            grace: config.grace.duration(),
            broker_keeps: config.broker.keeps_commands(),
            announcement,
        };

        let ended = self.ports.extract_if(.., |port| old.contains(&port.name)).collect();
        let mut left = Gateway::end(ended).await;
        for port in &mut ready {
            let at = left.iter().position(|(name, _)| *name == port.task.name);
            port.task.left = at.map(|at| left.swap_remove(at).1);
        }
        if other_journal {
            tracing::warn!("journal settings changed; restart to apply them");
        }
        let (routed, is_routed) = oneshot::channel();
        match (self.ends.take(), link) {
            (Some(ends), Some(link)) => build::start_mqtt(ends, &config, link, uplink_config)?,
            // The MQTT task ends after the ports only.
            (_, link) => {
                let update = UplinkUpdate { link, config: uplink_config, routed };
                let _ = self.updates.send(update).await;
            }
        }
        self.start(ready);
        if !left.is_empty() {
            // From then on nothing more comes for the ports that are gone.
            let _ = is_routed.await;
            left.into_iter().for_each(|(_, of_port)| of_port.refuse());
        }
        // The ports are built. What they may have of registers is needed no more.
        self.config = Some(Config { ports: Default::default(), ..config });
        Ok(changes)
    }
}
