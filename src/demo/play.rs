//! The play: devices on virtual ports, the gateway, a broker, a subscriber, and some accidents.

use super::actor::{Power, act};
use super::bus::{self, Bus};
use super::sensors::{Expected, SENSORS};
use super::tally::Tally;
use crate::base::backoff;
use crate::base::clock::{Now, Stamp};
use crate::base::command_line::CliError;
use crate::base::plain::plain;
use crate::config::{Config, load};
use crate::gateway::status::{Crashes, Program};
use crate::gateway::{self, GatewayRequest};
use crate::mqtt::client::{self, Client, Event, Events};
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Properties, Subscription};
use crate::mqtt::session::{self, Clean, Received};
use crate::mqtt::topic::{Qos, Topic};
use crate::mqtt::transport::{Connector, Settings};
use crate::mqtt::url::{BrokerUrl, Scheme};
use crate::testing::server::Server;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// The configuration that the demo runs.
pub const CONFIG: &str = include_str!("../../config/demo.yaml");

/// How long the demo waits for the broker at the start, and for the last messages at the end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The device whose plug is pulled, and how long it stays out.
const UNPLUGGED: (&str, Duration) = ("weather", Duration::from_secs(2));

/// Where the result of a written register comes.
const RESULT: &str = "demo/heating/setpoint/result";

/// A line for the user. A reader that went away (`| head`) does not stop the demo.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn say(text: &str) {
    print(&format!("--- {text}"));
}

fn cannot_start(source: io::Error) -> CliError {
    CliError::Io { what: "the demo cannot start".into(), source }
}

/// Plays until `time` is over or `stop` resolves. Without a `broker` the demo brings its own.
pub async fn play(
    time: Option<Duration>,
    broker: Option<BrokerUrl>,
    stop: impl Future<Output = ()>,
) -> Result<Tally, CliError> {
    let (url, server) = match broker {
        Some(url) => (url, None),
        None => {
            let server = Server::start().await.map_err(cannot_start)?;
            let address = server.address();
            let url = BrokerUrl::new(Scheme::Mqtt, address.ip().to_string(), address.port());
            (url, Some(server))
        }
    };
    let folder = Folder::new().map_err(cannot_start)?;
    let (mut config, _) = load::parse("config/demo.yaml", CONFIG, &folder.0)?;
    config.broker.url = url.clone();
    print(
        "Four simulated devices speak on virtual serial ports, at the speed of real lines, to the \
         real\ngateway, which also asks three more on a simulated RS-485 bus. A subscriber of its \
         own, over its own\nconnection, prints each message: time, topic, payload. Ctrl-C ends it.\n",
    );
    print(&format!(
        "The gateway has the broker at {url}; `tty2mqtt demo --config` prints the rest.\n"
    ));

    let (subscriber, events) = subscribe(&url).await?;
    let (done, tallied) = mpsc::channel(64);
    let mut actors = Vec::new();
    for sensor in &SENSORS {
        let (power, switch) = watch::channel(Power::Standby);
        let link = folder.0.join("dev").join(sensor.name);
        tokio::spawn(act(sensor, link, switch, done.clone()));
        actors.push(Actor { name: sensor.name, power, opens: 0 });
    }
    let bus = Bus::start(&folder.0.join("dev").join(bus::PORT), &done).map_err(cannot_start)?;
    drop(done);
    let mut play = Play {
        tally: Tally::default(),
        actors,
        bus,
        subscriber,
        events,
        tallied,
        server,
        relay_on: false,
        setpoint: "22.5",
        awaits_result: false,
    };

    say("starting the gateway");
    let (requests, left) = start_gateway(config).map_err(cannot_start)?;
    play.run(time, stop).await;
    let counts = play.bus.counts();
    say(&format!(
        "the bus carried {} requests, {} of them after too short a silence",
        counts.requests, counts.violations
    ));
    say("stopping the gateway");
    drop(requests);
    let left = left.await.unwrap_or_default();
    if left > 0 {
        say(&format!("the gateway could not deliver {left} messages"));
    }
    Ok(play.tally)
}

/// A folder for the ports' names that goes when the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Folder> {
        let name = format!("tty2mqtt-demo-{}-{:08x}", std::process::id(), backoff::random());
        let path = std::env::temp_dir().join(name);
        // Fails if somebody else was there before us.
        std::fs::create_dir(&path)?;
        std::fs::create_dir(path.join("dev"))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts the real gateway, on threads of its own. It ends when the sender is dropped, and tells how many
/// messages are left.
fn start_gateway(
    config: Config,
) -> io::Result<(mpsc::Sender<GatewayRequest>, oneshot::Receiver<usize>)> {
    let (requests, receiver) = mpsc::channel(1);
    let (sender, left) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("ports".into()).spawn(move || {
        let program = Program { started: Now::read(), crashes: Crashes::default() };
        match runtime.block_on(gateway::run(config, program, receiver)) {
            Ok(left) => drop(sender.send(left)),
            Err(error) => tracing::error!("{error}"),
        }
    })?;
    Ok((requests, left))
}

/// A client of its own, over a connection of its own: sees what any subscriber sees.
async fn subscribe(url: &BrokerUrl) -> Result<(Client, Events), CliError> {
    let options = session::Options {
        client_id: format!("tty2mqtt-demo-{:08x}", backoff::random()),
        // While the link is broken, the broker keeps what comes.
        clean: Clean::First,
        keepalive: Duration::from_secs(30),
        user: url.user.clone(),
        password: url.password.clone(),
        ..session::Options::default()
    };
    let connector = Connector::new(Settings::new(url.clone()));
    let connector = connector.map_err(|error| cannot_start(io::Error::other(error)))?;
    let (client, events) = Client::start(options, connector, client::Settings::default());
    let filter = "demo/#".parse().map_err(|error| cannot_start(io::Error::other(error)))?;
    let filters = vec![Subscription::new(filter, Qos::AtLeastOnce)];
    let subscribed = client.subscribe(filters, Properties::NONE);
    match tokio::time::timeout(PATIENCE, subscribed).await {
        Ok(Ok(_)) => Ok((client, events)),
        _ => Err(CliError::Failed(format!(
            "no message came back from the broker at {url} within 20 s"
        ))),
    }
}

/// A device, as the director sees it.
struct Actor {
    name: &'static str,
    power: watch::Sender<Power>,
    /// How often its port was opened, by the gateway's status.
    opens: u64,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// The relay of the node is switched.
    Relay,
    /// A register on the bus is written.
    Setpoint,
    /// A device on the bus stops answering, or answers again.
    Die,
    Revive,
    Unplug,
    RestartBroker,
}

/// When it happens, in milliseconds.
const SCRIPT: [(u64, Scene); 8] = [
    (2_000, Scene::Relay),
    (2_500, Scene::Die),
    (4_000, Scene::Unplug),
    (5_000, Scene::Setpoint),
    (7_000, Scene::Revive),
    (8_000, Scene::Setpoint),
    (9_000, Scene::Relay),
    // No command follows: the broker keeps none for the gateway, whose session is clean.
    (11_000, Scene::RestartBroker),
];

struct Play {
    tally: Tally,
    actors: Vec<Actor>,
    bus: Bus,
    subscriber: Client,
    events: Events,
    tallied: mpsc::Receiver<Expected>,
    server: Option<Server>,
    relay_on: bool,
    /// What the next command to the heating says.
    setpoint: &'static str,
    /// Whether the result of a command to the heating is awaited.
    awaits_result: bool,
}

impl Play {
    /// From the first scene to the last straggler.
    async fn run(&mut self, time: Option<Duration>, stop: impl Future<Output = ()>) {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut stop = std::pin::pin!(stop);
        let mut script = SCRIPT.iter().peekable();
        // The last messages need time to arrive.
        let mut end = time.map(|time| start + time.saturating_sub(Duration::from_secs(1)));
        let mut unplugging = false;
        let mut plug_in = None;
        let mut ending = false;
        let mut stopped = false;
        let mut silent = false;
        loop {
            let scene = script.peek().map(|(millis, _)| at(*millis)).filter(|_| !ending);
            tokio::select! {
                biased;
                () = &mut stop, if !stopped => {
                    stopped = true;
                    end = Some(Instant::now()).filter(|_| !ending).or(end);
                }
                Some(expected) = self.tallied.recv() => self.tally.expect(expected),
                Some(event) = self.events.next() => {
                    if let Event::Message(message) = event {
                        self.arrived(&message);
                    }
                }
                () = due(scene) => match script.next() {
                    Some((_, Scene::Relay)) => self.switch_relay(),
                    Some((_, Scene::Setpoint)) => self.write_setpoint(),
                    Some((_, Scene::Die)) => {
                        say(&format!("{} stops answering; the others are asked on", bus::DYING));
                        self.bus.let_answer(false);
                    }
                    Some((_, Scene::Revive)) => {
                        say(&format!("{} answers again as soon as it is asked", bus::DYING));
                        self.bus.let_answer(true);
                    }
                    // Its plug is pulled when all that it sent has arrived, see below.
                    Some((_, Scene::Unplug)) => {
                        self.power(UNPLUGGED.0, Power::Standby);
                        unplugging = true;
                    }
                    Some((_, Scene::RestartBroker)) => self.restart_broker().await,
                    None => {}
                },
                () = due(plug_in) => {
                    plug_in = None;
                    let name = UNPLUGGED.0;
                    say(&format!("putting the plug of {name} back; it gets another number"));
                    self.power(name, Power::Standby);
                }
                () = due(end) => {
                    if ending {
                        break;
                    }
                    ending = true;
                    end = Some(Instant::now() + PATIENCE);
                    say("the devices stop; waiting for what is still on its way");
                    for actor in &self.actors {
                        actor.power.send_if_modified(|power| {
                            std::mem::replace(power, Power::Standby) == Power::On
                        });
                    }
                }
            }
            // A command that is under way needs its device.
            if ending && !silent && !self.awaits_result {
                self.bus.fall_silent();
                silent = true;
            }
            let all_here = self.tally.missing() == 0 && self.tallied.is_empty();
            if all_here && std::mem::take(&mut unplugging) {
                let (name, time) = UNPLUGGED;
                say(&format!("pulling the plug of {name}"));
                self.power(name, Power::Off);
                plug_in = Some(Instant::now() + time);
            }
            if silent && all_here {
                break;
            }
        }
    }

    fn switch_relay(&mut self) {
        self.relay_on = !self.relay_on;
        self.command("demo/node/relay/set", if self.relay_on { "on" } else { "off" });
    }

    /// The gateway writes the register, reads it back, and tells the result.
    fn write_setpoint(&mut self) {
        let next = if self.setpoint == "22.5" { "19.0" } else { "22.5" };
        let value = std::mem::replace(&mut self.setpoint, next);
        if self.command("demo/heating/setpoint/set", value) {
            self.tally.expect((RESULT.into(), "done".into()));
            self.awaits_result = true;
        }
    }

    /// Returns whether the command is on its way.
    fn command(&self, topic: &str, payload: &'static str) -> bool {
        say(&format!("publishing the command {topic} {payload}"));
        let Ok(topic) = topic.parse::<Topic>() else { return false };
        let fits = self.subscriber.try_publish(Message::new(topic, payload)).is_ok();
        if !fits {
            say("the command did not fit into the queue");
        }
        fits
    }

    async fn restart_broker(&self) {
        match &self.server {
            Some(server) => {
                say("restarting the broker: every connection breaks");
                server.restart(true, Duration::from_millis(1500)).await;
            }
            None => say("restart your broker if you like: nothing will be lost"),
        }
    }

    fn power(&self, name: &str, power: Power) {
        if let Some(actor) = self.actors.iter().find(|actor| actor.name == name) {
            let _ = actor.power.send(power);
        }
    }

    fn arrived(&mut self, message: &Received) {
        let topic = message.topic.as_str();
        let payload = String::from_utf8_lossy(&message.payload);
        self.awaits_result &= topic != RESULT;
        let time = Stamp(Now::read().wall).to_string();
        let time = time.get(11..23).unwrap_or_default();
        let shown: String = payload.chars().take(100).collect();
        let more = match payload.len() {
            bytes if shown.len() < bytes => format!("… ({bytes} bytes)"),
            _ => String::new(),
        };
        print(&plain(&format!("{time}  {topic:<24} {shown}{more}")));
        if !self.tally.arrive(topic, &payload)
            && let Some(port) = topic.strip_prefix("demo/status/ports/")
        {
            self.port_changed(port, &payload);
        }
    }

    /// A device speaks as soon as the gateway has its port open, as its status says.
    fn port_changed(&mut self, port: &str, status: &str) {
        let Ok(status) = serde_json::from_str::<serde_json::Value>(status) else { return };
        let opens = status["opens"].as_u64().unwrap_or_default();
        if let Some(actor) = self.actors.iter_mut().find(|actor| actor.name == port)
            && status["state"] == "open"
            && opens > actor.opens
        {
            actor.opens = opens;
            let _ = actor.power.send(Power::On);
        }
    }
}

/// Waits until a time that may never come.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
