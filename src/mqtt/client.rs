//! A handle to a link that runs as a task of its own: to publish, subscribe and hear from any task.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tty2mqtt::mqtt::message::Message;
//! use tty2mqtt::mqtt::{client::{Client, Event}, session};
//! use tty2mqtt::mqtt::transport::{Connector, Settings};
//! use tty2mqtt::mqtt::packet::{Properties, Subscription};
//! use tty2mqtt::mqtt::topic::Qos;
//!
//! let connector = Connector::new(Settings::new("mqtt://localhost".parse()?))?;
//! let options = session::Options { client_id: "example".into(), ..Default::default() };
//! let (client, mut events) = Client::start(options, connector, Default::default());
//! let filters = vec![Subscription::new("home/#".parse()?, Qos::AtLeastOnce)];
//! client.subscribe(filters, Properties::NONE).await?;
//! let receipt = client.publish(Message::new("home/door".parse()?, "open")).await?;
//! println!("the broker has it: {:?}", receipt.await);
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         println!("{} {:?}", message.topic, message.payload);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod running;

use super::fifo::{self, Fifo};
use super::link::{self, Dial, Io, Link, LinkError, State};
use super::packet::{ConnAck, Disconnect, Properties, Reason, Subscription};
use super::session::{self, AckToken, Received, Session};
use super::source::Outcome;
use super::topic::{Qos, Topic, TopicFilter};
use crate::mqtt::message::Message;
use bytes::Bytes;
use running::Running;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How many calls the link's task queues before a caller has to wait.
const ORDERS: usize = 64;

/// How many events wait to be taken. Above that, QoS 0 messages are dropped and counted; others are
/// not acknowledged, so that the broker stops sending. Above twice that, only messages of QoS 1 and 2
/// are kept; while 256 of these wait, the link does not reconnect.
const EVENTS: usize = 256;

/// What a client is started with, besides the session.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How the link behaves.
    pub link: link::Options,
    /// How much may wait for the broker.
    pub queue: fifo::Bounds,
}

/// A handle to a link. When the last handle is dropped, the link ends without DISCONNECT; see
/// [`Client::shutdown`].
#[derive(Clone, Debug)]
pub struct Client {
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
}

/// What happens on the link.
#[derive(Clone, Debug)]
pub enum Event {
    /// The client connects, for the first time or again.
    Connecting,
    /// The broker accepted the connection.
    Connected(ConnAck),
    /// The broker sent a message of a subscription.
    Message(Received),
    /// A message exceeded the maximum size; this is its beginning.
    Oversize {
        /// Its topic, as far as it can be shown.
        topic: String,
        /// Bytes of it altogether, without its head.
        bytes: usize,
        /// The first of them.
        start: Bytes,
    },
    /// A message whose topic has a wildcard was passed over, with its topic.
    WildcardTopic(Option<String>),
    /// The broker answered a subscription, at the first connect and at each later one.
    Subscribed(TopicFilter, Result<Qos, Reason>),
    /// The broker answered UNSUBSCRIBE.
    Unsubscribed(TopicFilter, Reason),
    /// The broker refused a message.
    Refused(Topic, Reason),
    /// The broker sent PINGRESP.
    Pong,
    /// The broker accepted a re-authentication.
    Authenticated,
    /// This many events were dropped since the start because nobody took them. For the events that
    /// the client was started with, these are mostly messages of QoS 0; for [`Client::listen`], any.
    Lagged(u64),
    /// This many messages to the broker were dropped since the start because the queue was full.
    QueueFull(u64),
    /// The connection ended or failed. The client reconnects, unless [`State::Stopped`] follows.
    Down(Arc<LinkError>),
    /// The client waits until this time before it reconnects.
    Backoff(std::time::Instant),
    /// The link ended for good.
    Stopped,
}

/// The link's task is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MQTT client has ended")]
pub struct Ended;

/// A future of what becomes of a message. The message is sent even if the receipt is dropped.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Outcome>);

impl Future for Receipt {
    type Output = Result<Outcome, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Outcome, Ended>> {
        let outcome = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(outcome.map_err(|_| Ended))
    }
}

/// The events of a link.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// Returns the next event, or `None` when the link has ended and all events were taken.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// What the broker granted to a filter.
pub type Granted = (TopicFilter, Result<Qos, Reason>);

#[derive(Debug)]
enum Order {
    Publish(Message, oneshot::Sender<Outcome>),
    Subscribe(Vec<Subscription>, Properties, oneshot::Sender<Vec<Granted>>),
    Unsubscribe(Vec<TopicFilter>, Properties, oneshot::Sender<Vec<(TopicFilter, Reason)>>),
    Acknowledge(AckToken, Reason, Properties),
    Authenticate,
    Listen(mpsc::Sender<Event>),
    TryNow,
    Shutdown(Disconnect, Duration, oneshot::Sender<usize>),
    Abort,
}

impl Client {
    /// Starts a link to where a dialer leads, such as a [`Connector`](super::transport::Connector),
    /// as a task of the runtime that this is called in.
    pub fn start(
        options: session::Options,
        dialer: impl Dial + 'static,
        settings: Settings,
    ) -> (Client, Events) {
        let link = Link::new(Session::new(options), dialer, settings.link);
        Client::run(link, Fifo::new(settings.queue))
    }

    /// Starts a link on a stream that is connected already. The link does not reconnect.
    pub fn over(
        options: session::Options,
        stream: impl Io + 'static,
        settings: Settings,
    ) -> (Client, Events) {
        let streams = [Box::new(stream) as Box<dyn Io>];
        let options_of_link = link::Options { reconnect: false, ..settings.link };
        let link = Link::over(Session::new(options), streams, options_of_link);
        Client::run(link, Fifo::new(settings.queue))
    }

    /// Runs a given link, which sends from `queue`, as a task.
    pub fn run(link: Link, queue: Fifo) -> (Client, Events) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let (events, receiver) = mpsc::channel(EVENTS);
        let state = link.state();
        tokio::spawn(Running::new(link, queue, orders, events).run());
        (Client { orders: sender, state }, Events(receiver))
    }

    /// The state of the link.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Returns another stream of all events from now on; dropping it ends it. Messages are
    /// acknowledged when the events that the client was started with have them: a listener that is
    /// too slow misses events, and [`Event::Lagged`] tells how many.
    pub async fn listen(&self) -> Result<Events, Ended> {
        let (sender, events) = mpsc::channel(EVENTS);
        self.order(Order::Listen(sender)).await?;
        Ok(Events(events))
    }

    /// Waits until the broker has accepted the connection.
    pub async fn ready(&self) -> Result<(), Ended> {
        let mut state = self.state.clone();
        let there = |state: &State| matches!(state, State::Ready | State::Stopped);
        let ready = state.wait_for(there).await.is_ok_and(|state| *state == State::Ready);
        if ready { Ok(()) } else { Err(Ended) }
    }

    async fn order(&self, order: Order) -> Result<(), Ended> {
        self.orders.send(order).await.map_err(|_| Ended)
    }

    /// Queues a message, also while there is no connection. It waits only while the link's task is
    /// busy; the receipt tells what became of the message.
    pub async fn publish(&self, message: Message) -> Result<Receipt, Ended> {
        let (sender, outcome) = oneshot::channel();
        self.order(Order::Publish(message, sender)).await?;
        Ok(Receipt(outcome))
    }

    /// Queues a message without waiting; if it would have to wait, it returns the message.
    pub fn try_publish(&self, message: Message) -> Result<Receipt, Message> {
        let Ok(permit) = self.orders.try_reserve() else { return Err(message) };
        let (sender, outcome) = oneshot::channel();
        permit.send(Order::Publish(message, sender));
        Ok(Receipt(outcome))
    }

    /// Queues a message only if the client is connected; otherwise it returns the message.
    pub fn publish_if_ready(&self, message: Message) -> Result<Receipt, Message> {
        let ready = *self.state.borrow() == State::Ready;
        if ready { self.try_publish(message) } else { Err(message) }
    }

    /// Subscribes, now and at each connect that follows, and waits for the broker's first answer.
    pub async fn subscribe(
        &self,
        filters: Vec<Subscription>,
        properties: Properties,
    ) -> Result<Vec<Granted>, Ended> {
        let (sender, granted) = oneshot::channel();
        self.order(Order::Subscribe(filters, properties, sender)).await?;
        granted.await.map_err(|_| Ended)
    }

    /// Unsubscribes, and waits for the broker's answer. The properties are user properties (MQTT 5.0).
    pub async fn unsubscribe(
        &self,
        filters: Vec<TopicFilter>,
        properties: Properties,
    ) -> Result<Vec<(TopicFilter, Reason)>, Ended> {
        let (sender, answers) = oneshot::channel();
        self.order(Order::Unsubscribe(filters, properties, sender)).await?;
        answers.await.map_err(|_| Ended)
    }

    /// Acknowledges a message by hand, with [`session::Options::manual_ack`]. The properties are a
    /// `ReasonString` and user properties (MQTT 5.0).
    pub async fn acknowledge(
        &self,
        token: AckToken,
        reason: Reason,
        properties: Properties,
    ) -> Result<(), Ended> {
        self.order(Order::Acknowledge(token, reason, properties)).await
    }

    /// Re-authenticates with the link's `Authenticate` (MQTT 5.0).
    pub async fn authenticate_again(&self) -> Result<(), Ended> {
        self.order(Order::Authenticate).await
    }

    /// Ends the back-off: the client connects now.
    pub async fn try_now(&self) -> Result<(), Ended> {
        self.order(Order::TryNow).await
    }

    /// Sends the queued messages, for at most the grace time, then disconnects with DISCONNECT. It
    /// returns how many messages could not be delivered. `disconnect` is a reason, or a whole packet.
    pub async fn shutdown(
        &self,
        disconnect: impl Into<Disconnect>,
        grace: Duration,
    ) -> Result<usize, Ended> {
        let (sender, left) = oneshot::channel();
        self.order(Order::Shutdown(disconnect.into(), grace, sender)).await?;
        left.await.map_err(|_| Ended)
    }

    /// Ends the link at once without DISCONNECT: the broker publishes the will.
    pub async fn abort(&self) -> Result<(), Ended> {
        self.order(Order::Abort).await
    }
}
