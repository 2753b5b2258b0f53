//! Wires tasks, threads and channels together.
//!
//! Two threads: the caller's runs the ports, because a tty's kernel buffer overflows after a third
//! of a second; `mqtt` runs the link, because a TLS handshake on a slow router takes longer. They
//! meet in two bounded channels only.

use crate::backoff;
use crate::command;
use crate::config::scalar::Name;
use crate::config::{Auth, Config, Port};
use crate::intake::{self, Intake};
use crate::mqtt::auth::Scram;
use crate::mqtt::link::{self, Link};
use crate::mqtt::packet::{Properties, Subscription, Version};
use crate::mqtt::session::{self, Session};
use crate::mqtt::transport::Connector;
use crate::outbox::Outbox;
use crate::pipeline::{BuildError, Pipeline};
use crate::serial;
use crate::serial::port::{self, INBOX, PortTask};
use crate::status::{self, Topics};
use crate::uplink::{self, Route, Uplink};
use std::io;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

/// Why the gateway did not start. The configuration's own mistakes were found before.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port whose settings contradict each other.
    #[error("ports.{port}: {}", list(.errors))]
    Port {
        /// The port.
        port: Name,
        /// What is wrong.
        errors: Vec<BuildError>,
    },
    /// No thread or no event loop could be had.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

fn list(errors: &[BuildError]) -> String {
    errors.iter().map(BuildError::to_string).collect::<Vec<_>>().join("; ")
}

/// Runs the gateway until `stop` resolves: then the ports end, what they left is sent, the broker
/// is told, and the number of messages that could not be delivered is returned.
///
/// Must run in a current-thread runtime of its own: it is the ports' thread.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<usize, StartError> {
    let topics = Topics::of(&config.gateway);
    let (intake, outlet) = intake::channel(intake::two_seconds_of(&config));
    let (stopper, stopped) = watch::channel(());
    let mut tasks = Vec::new();
    let mut routes = Vec::new();
    let mut subscriptions = Vec::new();
    for (number, (name, port)) in (1_u16..).zip(&config.ports) {
        let intake = intake.of_port(number);
        let (task, route, filters) = build(&config, name, port, &intake, &stopped)
            .map_err(|errors| StartError::Port { port: name.clone(), errors })?;
        tasks.push((task, port.clone()));
        routes.extend(route);
        subscriptions.extend(filters);
    }
    drop((intake, stopped));

    let broker = &config.broker;
    let mut session = Session::new(session_options(&config, &topics));
    session.subscribe(subscriptions, &Properties::NONE);
    if broker.auth == Auth::ScramSha256 {
        let (user, password) = session.take_login();
        session
            .set_auth(Box::new(Scram::new(user.unwrap_or_default(), password.unwrap_or_default())));
    }
    let connector = Connector::new(broker.transport()).map_err(io::Error::other)?;
    let options = link::Options {
        password_file: broker.password_file.clone(),
        gather: Some(GATHER),
        ..link::Options::default()
    };
    let mut outbox = Outbox::new(&config.outbox);
    outbox.share(config.ports.len());
    let left = start_mqtt(Uplink {
        link: Link::new(session, outbox, connector, options),
        outlet,
        routes,
        topics,
        ports: config.ports.keys().map(Name::to_string).collect(),
        interval: config.status.interval.duration(),
    })?;

    let local = LocalSet::new();
    let mut ports = JoinSet::new();
    for (task, port) in tasks {
        let open = async move || serial::open(&port).await;
        ports.spawn_local_on(port::run(task, open), &local);
    }
    local
        .run_until(async {
            stop.await;
            drop(stopper);
            while ports.join_next().await.is_some() {}
        })
        .await;
    Ok(left.await.unwrap_or_default())
}

/// The MQTT thread has nothing else to do, and gathers acknowledgements for so long.
const GATHER: Duration = Duration::from_millis(1);

/// Starts the MQTT task on a thread of its own; the receiver gets what [`uplink::run`] returns.
fn start_mqtt(uplink: Uplink) -> io::Result<oneshot::Receiver<usize>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().name("mqtt".into()).spawn(move || {
        // Nobody listens any more when the process is ending anyhow.
        let _ = sender.send(runtime.block_on(uplink::run(uplink)));
        // A name look-up that hangs must not hold up the end.
        runtime.shutdown_background();
    })?;
    Ok(receiver)
}

fn build(
    config: &Config,
    name: &Name,
    port: &Port,
    intake: &Intake,
    stop: &watch::Receiver<()>,
) -> Result<(PortTask, Option<Route>, Vec<Subscription>), Vec<BuildError>> {
    let pipeline = Pipeline::build(&config.gateway, name, port)?;
    let commands = command::build_all(&config.gateway, name, port)?;
    let topics = Topics::of(&config.gateway);
    let (sender, inbox) = mpsc::channel(INBOX);
    let filters = commands.iter().map(|command| command.filter.clone()).collect();
    let subscriptions =
        commands.iter().map(|command| Subscription::new(command.filter.clone(), command.qos));
    let subscriptions = subscriptions.collect();
    let route = Route { filters, inbox: sender, report: topics.commands(name) };
    let task = PortTask {
        name: name.to_string(),
        pipeline,
        commands,
        inbox,
        intake: intake.clone(),
        status_topic: topics.port(name),
        command_topic: topics.commands(name),
        interval: config.status.interval.duration(),
        stop: stop.clone(),
    };
    let route = (!route.filters.is_empty()).then_some(route);
    Ok((task, route, subscriptions))
}

fn session_options(config: &Config, topics: &Topics) -> session::Options {
    let broker = &config.broker;
    let client_id =
        broker.client_id.clone().unwrap_or_else(|| format!("tty2mqtt-{}", config.gateway));
    session::Options {
        client_id,
        clean: broker.clean,
        keepalive: broker.keepalive.duration(),
        user: broker.user.clone().or_else(|| broker.url.user.clone()),
        password: broker.password.clone().or_else(|| broker.url.password.clone()),
        will: Some(status::gateway(topics, false)),
        inflight: broker.inflight,
        // An older one has no exchange, and would let us in without a proof.
        version: match broker.auth {
            Auth::Password => broker.version.0,
            Auth::ScramSha256 => Some(Version::V5),
        },
        session_expiry: broker.session_expiry.duration(),
        manual_ack: true,
        first_id: backoff::random() as u16,
        ..session::Options::default()
    }
}
