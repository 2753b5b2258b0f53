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

/// How many calls wait for the link's task before a caller has to.
const ORDERS: usize = 64;

/// How many events wait to be taken. Beyond that QoS 0 messages are dropped and counted; others are
/// not acknowledged, so that the broker stops sending. Beyond twice that everything but messages of
/// QoS 1 and 2 is dropped, and with so many of these there is no new link.
const EVENTS: usize = 256;

/// What a client is started with, besides the session.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How the link behaves.
    pub link: link::Options,
    /// How much may wait for the broker.
    pub queue: fifo::Bounds,
}

/// A handle to a link. The link ends without a word when the last handle goes; see
/// [`Client::shutdown`].
#[derive(Clone, Debug)]
pub struct Client {
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
}

/// What the link tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// It tries to come about, for the first time or again.
    Connecting,
    /// The broker took us in.
    Connected(ConnAck),
    /// A message of a subscription.
    Message(Received),
    /// Of a message larger than we take, its beginning.
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
    /// The broker answered a subscription, at the first connect and at each that follows.
    Subscribed(TopicFilter, Result<Qos, Reason>),
    /// The broker answered that a filter is given up.
    Unsubscribed(TopicFilter, Reason),
    /// The broker does not take a message.
    Refused(Topic, Reason),
    /// The broker answered a ping.
    Pong,
    /// The broker accepted a new proof of who we are.
    Authenticated,
    /// So many events were dropped since the start, because they were not taken: messages of QoS 0
    /// most of all; of one who listens besides, any.
    Lagged(u64),
    /// So many messages of ours were dropped since the start, because too many waited.
    QueueFull(u64),
    /// The link ended, or did not come about. It tries again, unless [`State::Stopped`] follows.
    Down(Arc<LinkError>),
    /// When it tries again.
    Backoff(std::time::Instant),
    /// The link ended for good.
    Stopped,
}

/// The link's task is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MQTT client has ended")]
pub struct Ended;

/// What becomes of a message, as a future. Dropping it changes nothing.
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
    /// The next one; `None` when the link has ended and all were taken.
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

    /// The same on a stream that is connected already. There is no other one after it.
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

    /// The same with a link that was made before, and what it sends from.
    pub fn run(link: Link, queue: Fifo) -> (Client, Events) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let (events, receiver) = mpsc::channel(EVENTS);
        let state = link.state();
        tokio::spawn(Running::new(link, queue, orders, events).run());
        (Client { orders: sender, state }, Events(receiver))
    }

    /// How the link stands.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Hears of everything from now on, beside those who do already; dropping the events ends it.
    /// Messages are acknowledged when the one has them who started the client: who is too slow here
    /// misses what finds no room, and is told how much.
    pub async fn listen(&self) -> Result<Events, Ended> {
        let (sender, events) = mpsc::channel(EVENTS);
        self.order(Order::Listen(sender)).await?;
        Ok(Events(events))
    }

    /// Waits until the broker has let us in.
    pub async fn ready(&self) -> Result<(), Ended> {
        let mut state = self.state.clone();
        let there = |state: &State| matches!(state, State::Ready | State::Stopped);
        let ready = state.wait_for(there).await.is_ok_and(|state| *state == State::Ready);
        if ready { Ok(()) } else { Err(Ended) }
    }

    async fn order(&self, order: Order) -> Result<(), Ended> {
        self.orders.send(order).await.map_err(|_| Ended)
    }

    /// Hands a message over, also while there is no link. Waits only while the link's task is busy;
    /// the receipt tells what became of it.
    pub async fn publish(&self, message: Message) -> Result<Receipt, Ended> {
        let (sender, outcome) = oneshot::channel();
        self.order(Order::Publish(message, sender)).await?;
        Ok(Receipt(outcome))
    }

    /// The same without waiting; gives the message back where it would have to.
    pub fn try_publish(&self, message: Message) -> Result<Receipt, Message> {
        let Ok(permit) = self.orders.try_reserve() else { return Err(message) };
        let (sender, outcome) = oneshot::channel();
        permit.send(Order::Publish(message, sender));
        Ok(Receipt(outcome))
    }

    /// Publishes only if the broker is there right now, and gives the message back if it is not:
    /// nothing waits for a link.
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

    /// Gives filters up, and waits for the broker's answer.
    pub async fn unsubscribe(
        &self,
        filters: Vec<TopicFilter>,
    ) -> Result<Vec<(TopicFilter, Reason)>, Ended> {
        self.unsubscribe_with(filters, Properties::NONE).await
    }

    /// The same with user properties, in 5.0.
    pub async fn unsubscribe_with(
        &self,
        filters: Vec<TopicFilter>,
        properties: Properties,
    ) -> Result<Vec<(TopicFilter, Reason)>, Ended> {
        let (sender, answers) = oneshot::channel();
        self.order(Order::Unsubscribe(filters, properties, sender)).await?;
        answers.await.map_err(|_| Ended)
    }

    /// Acknowledges a message by hand, with [`session::Options::manual_ack`].
    pub async fn acknowledge(&self, token: AckToken, reason: Reason) -> Result<(), Ended> {
        self.acknowledge_with(token, reason, Properties::NONE).await
    }

    /// The same with a `ReasonString` and user properties, in 5.0.
    pub async fn acknowledge_with(
        &self,
        token: AckToken,
        reason: Reason,
        properties: Properties,
    ) -> Result<(), Ended> {
        self.order(Order::Acknowledge(token, reason, properties)).await
    }

    /// Proves anew who we are, with the link's `Authenticate`.
    pub async fn authenticate_again(&self) -> Result<(), Ended> {
        self.order(Order::Authenticate).await
    }

    /// Skips the wait for the next try.
    pub async fn try_now(&self) -> Result<(), Ended> {
        self.order(Order::TryNow).await
    }

    /// Sends what waits, at most for a grace time, then leaves with DISCONNECT. Returns how many
    /// messages could not be delivered.
    pub async fn shutdown(&self, reason: Reason, grace: Duration) -> Result<usize, Ended> {
        self.shutdown_with(Disconnect::new(reason), grace).await
    }

    /// The same with properties, in 5.0.
    pub async fn shutdown_with(
        &self,
        disconnect: Disconnect,
        grace: Duration,
    ) -> Result<usize, Ended> {
        let (sender, left) = oneshot::channel();
        self.order(Order::Shutdown(disconnect, grace, sender)).await?;
        left.await.map_err(|_| Ended)
    }

    /// Ends the link at once, without a word: the broker publishes the will.
    pub async fn abort(&self) -> Result<(), Ended> {
        self.order(Order::Abort).await
    }
}
