//! A client of ours at a broker, with a deadline for everything. What fails is told as text: it
//! becomes a cell of the table.

use crate::broker::{PASSWORD, Place, USER};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::timeout;
use tty2mqtt::mqtt::client::{Client, Event, Events, Settings};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{ConnAck, Properties, Reason, Subscription, Version};
use tty2mqtt::mqtt::session::{Clean, Options, Received};
use tty2mqtt::mqtt::topic::{Qos, Topic, TopicFilter};
use tty2mqtt::mqtt::transport::{self, Connector};
use tty2mqtt::testing::outbox::Outcome;

/// For everything that a broker does.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What went wrong.
pub type Trouble = String;

pub const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

pub fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

pub fn filter(text: &str) -> TopicFilter {
    text.parse().unwrap()
}

/// The last level, which is the same in each version.
pub fn suffix(topic: &str) -> &str {
    topic.rsplit('/').next().unwrap_or_default()
}

/// A message of QoS 1.
pub fn message(name: &str, payload: impl Into<bytes::Bytes>) -> Message {
    Message::new(topic(name), payload)
}

/// How a client is known at the brokers.
pub fn options(id: &str, version: Option<Version>) -> Options {
    Options {
        client_id: id.into(),
        version,
        clean: Clean::Always,
        user: Some(USER.into()),
        password: Some(PASSWORD.to_owned().into()),
        largest: 4 << 20,
        ..Options::default()
    }
}

pub fn plain(place: &Place) -> transport::Settings {
    transport::Settings::new(format!("mqtt://127.0.0.1:{}", place.tcp).parse().unwrap())
}

pub struct Probe {
    pub client: Client,
    events: Events,
    /// What came while something else was waited for.
    seen: VecDeque<Received>,
}

impl Probe {
    /// Starts a client and waits until the broker let it in.
    pub async fn connect(
        options: Options,
        settings: transport::Settings,
        reconnect: bool,
    ) -> Result<(Probe, ConnAck), Trouble> {
        let connector = Connector::new(settings).unwrap();
        let mut behaviour = Settings::default();
        behaviour.link.reconnect = reconnect;
        behaviour.link.wait = (Duration::from_millis(50), Duration::from_millis(500));
        let (client, events) = Client::start(options, connector, behaviour);
        let mut probe = Probe { client, events, seen: VecDeque::new() };
        loop {
            match probe.event("CONNACK").await? {
                Event::Connected(answer) => return Ok((probe, answer)),
                Event::Down(error) if !reconnect => return Err(error.to_string()),
                Event::Message(message) => probe.seen.push_back(message),
                _ => {}
            }
        }
    }

    /// The next event, whatever it is.
    pub async fn event(&mut self, what: &str) -> Result<Event, Trouble> {
        match timeout(DEADLINE, self.events.next()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(format!("the link ended before {what}")),
            Err(_) => Err(format!("no {what}")),
        }
    }

    pub async fn subscribe(&mut self, name: &str, qos: Qos) -> Result<Qos, Trouble> {
        self.subscribe_as(Subscription::new(filter(name), qos), Properties::NONE).await
    }

    pub async fn subscribe_as(
        &mut self,
        subscription: Subscription,
        properties: Properties,
    ) -> Result<Qos, Trouble> {
        let granted = self.client.subscribe(vec![subscription], properties);
        let granted = timeout(DEADLINE, granted).await.map_err(|_| "no SUBACK")?;
        let Ok(granted) = granted else { return Err(self.ended().await) };
        granted[0].1.map_err(|reason| format!("subscription refused: {reason}"))
    }

    pub async fn unsubscribe(&mut self, name: &str) -> Result<Reason, Trouble> {
        let answers =
            timeout(DEADLINE, self.client.unsubscribe(vec![filter(name)], Properties::NONE)).await;
        let answers = answers.map_err(|_| "no UNSUBACK")?;
        let Ok(answers) = answers else { return Err(self.ended().await) };
        Ok(answers[0].1)
    }

    /// Publishes, and waits until the broker has it.
    pub async fn publish(&mut self, message: Message) -> Result<(), Trouble> {
        let receipt = self.client.publish(message).await;
        let Ok(receipt) = receipt else { return Err(self.ended().await) };
        match timeout(DEADLINE, receipt).await {
            Ok(Ok(Outcome::Delivered(_))) => Ok(()),
            Ok(Ok(outcome)) => Err(format!("a message of ours: {outcome:?}")),
            Ok(Err(_)) => Err(self.ended().await),
            Err(_) => Err("a message of ours is not acknowledged".into()),
        }
    }

    /// The next message.
    pub async fn message(&mut self) -> Result<Received, Trouble> {
        if let Some(message) = self.seen.pop_front() {
            return Ok(message);
        }
        loop {
            match self.event("message").await? {
                Event::Message(message) => return Ok(message),
                Event::WildcardTopic(topic) => {
                    let topic = topic.unwrap_or_default();
                    return Err(format!("comes as `{}`, passed over", suffix(&topic)));
                }
                Event::Oversize { .. } => return Err("the message is too large for us".into()),
                _ => {}
            }
        }
    }

    /// The payloads of all that comes up to this one, which is not among them.
    pub async fn until(&mut self, last: &str) -> Result<Vec<String>, Trouble> {
        let mut payloads = Vec::new();
        loop {
            let message = self.message().await?;
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            if payload == last {
                return Ok(payloads);
            }
            payloads.push(payload);
        }
    }

    /// Waits until the broker let it in once more, whatever happens before.
    pub async fn back(&mut self) -> Result<ConnAck, Trouble> {
        loop {
            match self.event("reconnect").await? {
                Event::Connected(answer) => return Ok(answer),
                Event::Message(message) => self.seen.push_back(message),
                _ => {}
            }
        }
    }

    /// Why the link ended.
    async fn ended(&mut self) -> Trouble {
        while let Ok(Some(event)) = timeout(DEADLINE, self.events.next()).await {
            if let Event::Down(error) = event {
                return error.to_string();
            }
        }
        "the link ended".into()
    }

    /// Leaves with DISCONNECT.
    pub async fn leave(mut self) -> Result<(), Trouble> {
        let left = self.client.shutdown(Reason::SUCCESS, DEADLINE);
        let left = timeout(DEADLINE, left).await.map_err(|_| "no end")?;
        left.map_err(|ended| ended.to_string())?;
        // The last words are out when the events end.
        while let Ok(Some(_)) = timeout(DEADLINE, self.events.next()).await {}
        Ok(())
    }
}
