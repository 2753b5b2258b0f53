//! `tty2mqtt test --self-check`: every step to a broker and back, each with its time, its exit code and a
//! sentence.

use super::exit::Exit;
use super::failure::{self, Failure};
use super::link::ShellLink;
use super::options::Test;
use super::start;
use crate::mqtt::link::{self, Event, Io, Link};
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Properties, Reason, Subscription, Version};
use crate::mqtt::session::{self, Session};
use crate::mqtt::source::Outcome;
use crate::mqtt::topic::{Qos, Topic, TopicFilter};
use crate::mqtt::transport::{Connector, Stage};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Limit for a message to the broker and back.
const ROUND_TRIP: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct CheckStep {
    name: &'static str,
    time: Duration,
    result: Result<String, Failure>,
}

fn words(result: &Result<String, Failure>) -> &str {
    result.as_ref().unwrap_or_else(|failure| &failure.text)
}

/// The results of all steps up to the first that failed.
#[derive(Debug)]
pub(super) struct CheckReport {
    broker: String,
    steps: Vec<CheckStep>,
}

impl CheckReport {
    pub(super) fn exit(&self) -> Exit {
        let failed = self.steps.iter().find_map(|step| step.result.as_ref().err());
        failed.map_or(Exit::DONE, |failure| failure.exit)
    }

    /// For people: a line for each step.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n", self.broker);
        for CheckStep { name, time, result } in &self.steps {
            let word = if result.is_ok() { "ok" } else { "FAILED" };
            let sentence = words(result);
            let ms = time.as_secs_f64() * 1000.0;
            let _ = writeln!(text, "  {name:<9} {word:<6} {ms:>8.1} ms  {sentence}");
        }
        let verdict = match self.exit() {
            Exit::DONE => "everything works",
            _ => "the steps after it were not tried",
        };
        let _ = writeln!(text, "{verdict}");
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let step = |CheckStep { name, time, result }: &CheckStep| {
            let ms = (time.as_secs_f64() * 10_000.0).round() / 10.0;
            json!({"step": name, "ok": result.is_ok(), "ms": ms, "text": words(result)})
        };
        let steps: Vec<Value> = self.steps.iter().map(step).collect();
        let exit = self.exit();
        let ok = exit == Exit::DONE;
        let report = json!({"broker": self.broker, "ok": ok, "exit": exit.0, "steps": steps});
        format!("{report}\n")
    }

    async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Option<T> {
        let begin = Instant::now();
        let result = work.await;
        let time = begin.elapsed();
        let (value, result) = match result {
            Ok((value, text)) => (Some(value), Ok(text)),
            Err(failure) => (None, Err(failure)),
        };
        self.steps.push(CheckStep { name, time, result });
        value
    }
}

/// Takes all steps; an error comes before the first of them.
pub(super) async fn check(options: &Test) -> Result<CheckReport, Failure> {
    let mut connection = options.connection.clone();
    let older = match connection.session.version {
        Some(_) => &[][..],
        None => &[Version::V311, Version::V31],
    };
    connection.session.version.get_or_insert(Version::V5);
    let mut older = older.iter();
    loop {
        let session = start::session(&connection)?;
        let connector = start::connector(&connection, session.has_credentials())?;
        let mut report = CheckReport { broker: connector.broker().to_string(), steps: Vec::new() };
        let is_known = take_all(options, session, connector, &mut report).await;
        match older.next() {
            Some(version) if !is_known => connection.session.version = Some(*version),
            _ => return Ok(report),
        }
    }
}

/// Takes the steps with one version of MQTT; `false` if the broker does not support it.
async fn take_all(
    options: &Test,
    session: Session,
    connector: Connector,
    report: &mut CheckReport,
) -> bool {
    let version = session.version();
    let url = connector.broker();
    let is_open = session.has_credentials() && !url.is_tls() && !url.is_local();
    let Some(stream) = connect(connector, report).await else { return true };
    let link_options = link::Options { reconnect: false, ..link::Options::default() };
    let link = Link::over(session, [stream], link_options);
    let Ok(mut link) = ShellLink::new(link, options.connection.timeout, options.connection.quiet)
    else {
        return true;
    };
    let login = async {
        let answer = link.connected(options.connection.connect_timeout).await?;
        let kept = if answer.session_present { ", and the broker kept the session" } else { "" };
        let open = if is_open { "; without TLS others can read the password" } else { "" };
        Ok(((), format!("connected with MQTT {version}{kept}{open}")))
    };
    if report.step("login", login).await.is_none() {
        let unknown = Exit(Reason::UNSUPPORTED_PROTOCOL_VERSION.code());
        return ![unknown, Exit::LOST, Exit::PROTOCOL].contains(&report.exit());
    }
    round_trips(options, &mut link, report).await;
    link.end().await;
    true
}

async fn connect(mut connector: Connector, report: &mut CheckReport) -> Option<Box<dyn Io>> {
    let host = connector.broker().host.clone();
    let mut marks = vec![];
    let mut mark = |stage| marks.push((stage, Instant::now()));
    let result = connector.connect(&mut mark).await;
    let end = Instant::now();
    let mut steps: Vec<CheckStep> = Vec::new();
    for (n, (stage, begin)) in marks.iter().enumerate() {
        let time = marks.get(n + 1).map_or(end, |(_, next)| *next) - *begin;
        let (name, sentence) = sentence(*stage, &host);
        match steps.last_mut().filter(|step| step.name == name) {
            Some(step) => step.time += time,
            None => steps.push(CheckStep { name, time, result: Ok(sentence) }),
        }
    }
    let failure = result.as_ref().err().map(failure::of_connect);
    match (steps.last_mut(), failure) {
        (Some(step), Some(failure)) => step.result = Err(failure),
        (None, Some(failure)) => {
            steps.push(CheckStep { name: "tcp", time: Duration::ZERO, result: Err(failure) });
        }
        _ => {}
    }
    report.steps.extend(steps);
    let stream = result.ok()?;
    if let (Some(fault), Some(step)) =
        (stream.distrust, report.steps.iter_mut().find(|step| step.name == "tls"))
    {
        step.result = Ok(format!("encrypted, but not trusted: {fault}"));
    }
    Some(stream.io)
}

fn sentence(stage: Stage, host: &str) -> (&'static str, String) {
    match stage {
        Stage::Resolving => ("name", format!("{host} has an address")),
        Stage::Connecting => ("tcp", "the TCP connection is open".into()),
        Stage::Tls => ("tls", "the certificate is valid and from a trusted authority".into()),
        Stage::WaitingForClock => ("clock", "this machine's clock is set".into()),
    }
}

/// A message to the broker and back with each QoS.
async fn round_trips(options: &Test, link: &mut ShellLink, report: &mut CheckReport) -> Option<()> {
    let text = format!("{}/{}", options.own.publish, start::unique());
    let (topic, filter) = match (text.parse::<Topic>(), text.parse::<TopicFilter>()) {
        (Ok(topic), Ok(filter)) => (topic, filter),
        // With one level more the topic may be too long.
        _ => return None,
    };
    let subscription = Subscription::new(filter, Qos::ExactlyOnce);
    let request = link.session().subscribe(vec![subscription], &Properties::NONE);
    let subscribed = async {
        loop {
            match link.next().await? {
                Event::Session(session::Event::Subscribed { request: of, granted, .. })
                    if of == request =>
                {
                    return granted.map_err(|reason| {
                        let text =
                            format!("the broker refuses the subscription of {topic}: {reason}");
                        Failure::new(Exit(reason.code()), text)
                    });
                }
                other => link.interrupted(other)?,
            }
        }
    };
    let subscribed = async {
        let granted = within(subscribed, Exit::TIMEOUT, "SUBACK").await?;
        Ok((granted, format!("the broker grants QoS {} on {topic}", granted.bits())))
    };
    let granted = report.step("subscribe", subscribed).await?;
    for (qos, name) in
        [(Qos::AtMostOnce, "qos 0"), (Qos::AtLeastOnce, "qos 1"), (Qos::ExactlyOnce, "qos 2")]
    {
        let trip = async {
            let came =
                within(round_trip(link, &topic, qos), Exit::round_trip(qos.bits()), "message");
            let came = came.await?;
            let expected = qos.min(granted);
            let text = match came == expected {
                true if came == qos => "there and back".into(),
                _ => format!("there and back; it came with QoS {}", came.bits()),
            };
            Ok(((), text))
        };
        report.step(name, trip).await?;
    }
    Some(())
}

/// Publishes a message and waits for it and for its acknowledgement. Returns the QoS with which it came.
async fn round_trip(link: &mut ShellLink, topic: &Topic, qos: Qos) -> Result<Qos, Failure> {
    let payload = format!("self-check {}", qos.bits());
    let message = Message { qos, ..Message::new(topic.clone(), payload.clone()) };
    let ticket = link.publish(message);
    let (mut came, mut is_acknowledged) = (None, false);
    loop {
        if let (Some(came), true) = (came, is_acknowledged) {
            return Ok(came);
        }
        match link.next().await? {
            Event::Outcome(of, Outcome::Delivered(_)) if of == ticket => is_acknowledged = true,
            Event::Outcome(of, Outcome::Refused(reason)) if of == ticket => {
                let text = format!("the broker refuses the message: {reason}");
                return Err(Failure::new(Exit::round_trip(qos.bits()), text));
            }
            Event::Session(session::Event::Message(message)) => {
                link.acknowledge(&message);
                if message.payload == payload.as_bytes() {
                    came = Some(message.qos);
                }
            }
            other => link.interrupted(other)?,
        }
    }
}

async fn within<T>(
    work: impl Future<Output = Result<T, Failure>>,
    exit: Exit,
    what: &str,
) -> Result<T, Failure> {
    timeout(ROUND_TRIP, work).await.unwrap_or_else(|_| {
        Err(Failure::new(exit, format!("no {what} within {} s", ROUND_TRIP.as_secs())))
    })
}
