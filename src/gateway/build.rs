//! What a configuration is made into, before any of it runs.

use super::StartError;
use crate::base::backoff;
use crate::base::path::BuildError;
use crate::base::scalar::Name;
use crate::config::{self, Auth, Config, Status, Switch};
use crate::device::{Device, Newcomer};
use crate::gateway::format::{Facts, Format};
use crate::gateway::machine;
use crate::gateway::topics::{self, Topics};
use crate::gateway::uplink::{self, Route, UplinkConfig, UplinkEnds};
use crate::mqtt::auth::Login;
use crate::mqtt::link::{self, Link};
use crate::mqtt::packet::{Properties, RetainHandling, Subscription, Version};
use crate::mqtt::session::{self, Session};
use crate::mqtt::topic::{Topic, TopicFilter};
use crate::mqtt::transport::Connector;
use crate::outbox::Outbox;
use crate::outbox::inlet;
use crate::outbox::journal::{self, Journal};
use crate::port::settings::Port;
use crate::port::task::{self, Inbox, PortTask};
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// What the MQTT task must know of a port.
pub(super) struct PortRoutes {
    filters: Vec<TopicFilter>,
    pub(super) inbox: Inbox,
    report: Topic,
    pub(super) subscriptions: Vec<Subscription>,
    /// Of its devices, where a `format` announces them.
    pub(super) facts: Vec<Facts>,
}

impl PortRoutes {
    /// Where its commands go; `None`: it has none.
    pub(super) fn route(&self) -> Option<Route> {
        (!self.filters.is_empty()).then(|| Route {
            filters: self.filters.clone(),
            inbox: self.inbox.clone(),
            report: self.report.clone(),
        })
    }
}

pub(super) struct ReadyPort {
    pub(super) routes: PortRoutes,
    pub(super) asks: mpsc::Sender<task::PortRequest>,
    pub(super) stop: watch::Sender<()>,
    pub(super) task: PortTask,
}

/// What the journal is opened with.
pub(super) fn journal_settings(config: &Config) -> Option<journal::Settings> {
    let journal = config.outbox.journal.clone()?;
    Some(journal::Settings { journal, drop: config.outbox.drop })
}

/// Starts the journal if there is one: it is opened while all else begins.
fn journal(config: &Config, ports: &[String], outbox: &mut Outbox) -> io::Result<Option<Journal>> {
    let Some(settings) = journal_settings(config) else { return Ok(None) };
    outbox.await_journal(Instant::now());
    Ok(Some(journal::open(settings, ports.to_vec())?))
}

/// The link to the broker of a configuration.
pub(super) fn link(config: &Config, subscriptions: &[Subscription]) -> Result<Link, StartError> {
    let broker = &config.broker;
    let mut session = Session::new(session_options(config));
    session.subscribe(subscriptions.to_vec(), &Properties::NONE);
    #[cfg(feature = "tls")]
    if broker.auth == Auth::ScramSha256 {
        session.set_auth(Box::<crate::mqtt::auth::Scram>::default());
    }
    let connector = Connector::new(broker.transport()).map_err(io::Error::other)?;
    let options = link::Options {
        password_file: broker.password_file.clone(),
        gather: Some(GATHER),
        // It was left because the primary host application is not there, and no probe would see that it is.
        failback: if config.waits_for_host() { NEVER } else { link::Options::default().failback },
        ..link::Options::default()
    };
    Ok(Link::new(session, connector, options))
}

/// A broker that sends too many commands at once holds up our readings for no longer than this:
/// their acknowledgements come behind the commands.
const HOLD: Duration = Duration::from_secs(1);

/// As good as never, and still a time that every clock can be set to.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How long the link gathers acknowledgements; the MQTT thread has nothing else to do.
const GATHER: Duration = Duration::from_millis(1);

/// Starts the MQTT task on a thread of its own.
pub(super) fn start_mqtt(
    (ends, undelivered): (UplinkEnds, oneshot::Sender<usize>),
    config: &Config,
    link: Link,
    uplink_config: UplinkConfig,
) -> io::Result<()> {
    let mut outbox = Outbox::new(&uplink_config.bounds);
    outbox.share(config.ports.len());
    let journal = journal(config, &uplink_config.ports, &mut outbox)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("mqtt".into()).spawn(move || {
        let left = runtime.block_on(uplink::run(ends, uplink_config, link, outbox, journal));
        // Nobody listens any more when the process is ending anyhow.
        let _ = undelivered.send(left);
        // A name look-up that hangs must not hold up the end.
        runtime.shutdown_background();
    })?;
    Ok(())
}

pub(super) fn port(
    config: &Config,
    name: &Name,
    port: &Port,
    intake: inlet::Sender,
    newcomers: &mpsc::Sender<Newcomer>,
) -> Result<ReadyPort, Vec<BuildError>> {
    let formatted = match &config.format {
        Some(format) => {
            let mapping = Format::mapping(format, config).map_err(|error| vec![error])?;
            Some(port.with_messages(&mapping))
        }
        None => None,
    };
    let port = formatted.as_ref().unwrap_or(port);
    let of_device = port.device(&config.gateway, name);
    let mut device = Device::build(&of_device)?;
    if config.broker.amqp_topics {
        device.for_amqp();
    }
    if config.announces() {
        device.tell_newcomers(&of_device);
    }
    let commands = device.rules();
    // A format reads what the ports say of themselves, whether it is published or not.
    let topics = match &config.format {
        Some(_) => Topics::with(&config.gateway, &Switch::On(Status::default())),
        None => topics(config),
    };
    let (inbox, inbox_end) = task::inbox();
    let (asks, asked) = mpsc::channel(task::REQUESTS);
    let (stop, stopped) = watch::channel(());
    let filters: Vec<_> = commands.iter().map(|command| command.filter.clone()).collect();
    let subscriptions = commands.iter().map(|command| Subscription {
        // What the broker kept from before is not even sent where it would be ignored.
        retain_handling: if command.retained {
            RetainHandling::Send
        } else {
            RetainHandling::DoNotSend
        },
        ..Subscription::new(command.filter.clone(), command.qos)
    });
    let subscriptions = subscriptions.collect();
    let report = topics.commands(name);
    let topics = topics.of_port(name, &device);
    let facts = match &config.format {
        Some(_) => Facts::of_port(device.outlines(&of_device), &topics),
        None => Vec::new(),
    };
    let routes = PortRoutes { filters, inbox, report, subscriptions, facts };
    let task = PortTask {
        name: name.clone(),
        settings: port.without_devices(),
        device,
        inbox: inbox_end,
        left: None,
        requests: asked,
        intake,
        newcomers: config.announces().then(|| newcomers.clone()),
        topics,
        interval: config.status_interval().duration(),
        stop: stopped,
    };
    Ok(ReadyPort { routes, asks, stop, task })
}

/// The topics of what the gateway says about itself. With a `format` it says that in another way.
pub(super) fn topics(config: &Config) -> Topics {
    let status = if config.format.is_some() { &Switch::Off } else { &config.status };
    Topics::with(&config.gateway, status)
}

fn session_options(config: &Config) -> session::Options {
    let broker = &config.broker;
    let client_id = broker.client_id.clone();
    let client_id = client_id.unwrap_or_else(|| machine::client_id(config.gateway.as_str()));
    let Login { user, password } = broker.login();
    session::Options {
        client_id,
        clean: broker.clean,
        keepalive: broker.keepalive(),
        user,
        password,
        // A format has its own, and gives it to the session.
        will: topics::will(config).filter(|_| config.format.is_none()),
        always_will: matches!(config.format, Some(config::Format::SparkplugB(_))),
        inflight: broker.inflight,
        // MQTT 3.1.1 has no AUTH packet: the broker would accept us without proving who it is.
        version: match broker.auth {
            Auth::Password => broker.version.0,
            Auth::ScramSha256 => Some(Version::V5),
        },
        session_expiry: broker.session_expiry.duration(),
        manual_ack: true,
        hold: Some(HOLD),
        first_id: backoff::random() as u16,
        ..session::Options::default()
    }
}
