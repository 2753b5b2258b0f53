//! A handle to a link that runs as a task of its own: to publish, subscribe and hear from any task.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tty2mqtt::message::Message;
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

use super::link::{self, Io, Link, LinkError, State};
use super::packet::{ConnAck, Disconnect, Properties, Reason, Subscription};
use super::session::{self, Received, Request, Session, Token};
use super::sorted::Sorted;
use super::topic::{Qos, Topic, TopicFilter};
use super::transport::Connector;
use crate::config::OutboxBounds;
use crate::message::Message;
use crate::outbox::{Outbox, Outcome, Ticket};
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

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
    pub outbox: OutboxBounds,
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
    Acknowledge(Token, Reason, Properties),
    Authenticate,
    Listen(mpsc::Sender<Event>),
    TryNow,
    Shutdown(Disconnect, Duration, oneshot::Sender<usize>),
    Abort,
}

impl Client {
    /// Starts a link as a task of the runtime that this is called in.
    pub fn start(
        options: session::Options,
        connector: Connector,
        settings: Settings,
    ) -> (Client, Events) {
        let link = Link::new(
            Session::new(options),
            Outbox::new(&settings.outbox),
            connector,
            settings.link,
        );
        Client::run(link)
    }

    /// The same on a stream that is connected already. There is no other one after it.
    pub fn over(
        options: session::Options,
        stream: impl Io + 'static,
        settings: Settings,
    ) -> (Client, Events) {
        let streams = [Box::new(stream) as Box<dyn Io>];
        let options_of_link = link::Options { reconnect: false, ..settings.link };
        let outbox = Outbox::new(&settings.outbox);
        Client::run(Link::over(Session::new(options), outbox, streams, options_of_link))
    }

    /// The same with a link that was made before.
    pub fn run(mut link: Link) -> (Client, Events) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let (events, receiver) = mpsc::channel(EVENTS);
        let state = link.state();
        let dropped = link.outbox.counts().dropped;
        link.outbox.follow();
        // Messages are acknowledged when they are in the hands of the one who takes events.
        let automatic = !link.session.set_manual_ack(true);
        let running = Running {
            link,
            state: state.clone(),
            trying: false,
            dropped,
            automatic,
            orders,
            events,
            listeners: Vec::new(),
            waiting: VecDeque::new(),
            lagged: 0,
            receipts: Sorted::default(),
            subscribing: Sorted::default(),
            unsubscribing: Sorted::default(),
            leaving: None,
        };
        tokio::spawn(running.run());
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
    pub async fn acknowledge(&self, token: Token, reason: Reason) -> Result<(), Ended> {
        self.acknowledge_with(token, reason, Properties::NONE).await
    }

    /// The same with a `ReasonString` and user properties, in 5.0.
    pub async fn acknowledge_with(
        &self,
        token: Token,
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

struct Running {
    link: Link,
    state: watch::Receiver<State>,
    /// Whether [`Event::Connecting`] was told of the link that there is, or will be.
    trying: bool,
    /// As many drops of the outbox were told.
    dropped: u64,
    /// Whether messages are acknowledged when they were handed on.
    automatic: bool,
    orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<Event>,
    /// Who listens besides.
    listeners: Vec<Listener>,
    /// Events that found no room yet. Bounded: of messages only as many as may be unacknowledged.
    waiting: VecDeque<Event>,
    lagged: u64,
    receipts: Sorted<Ticket, oneshot::Sender<Outcome>>,
    subscribing: Sorted<Request, Awaited<Granted>>,
    unsubscribing: Sorted<Request, Awaited<(TopicFilter, Reason)>>,
    leaving: Option<(Disconnect, Instant, oneshot::Sender<usize>)>,
}

/// The answers to one call, which come one by one.
struct Awaited<T> {
    missing: usize,
    answers: Vec<T>,
    reply: oneshot::Sender<Vec<T>>,
}

impl<T> Awaited<T> {
    fn new(missing: usize, reply: oneshot::Sender<Vec<T>>) -> Awaited<T> {
        Awaited { missing, answers: Vec::new(), reply }
    }
}

impl Running {
    async fn run(mut self) {
        loop {
            let leaving = self.leaving.as_ref().filter(|_| !self.link.is_parting());
            let grace = leaving.map(|(_, due, _)| *due);
            tokio::select! {
                event = self.link.event(), if !self.is_full() => {
                    self.look();
                    let event = self.note(event);
                    let stopped = self.link.is_stopped();
                    let is_down = matches!(event, Some(Event::Down(_)));
                    if let Some(event) = event {
                        self.pass_on(event);
                    }
                    if stopped {
                        break;
                    }
                    if is_down {
                        self.will_try_again();
                    }
                }
                Ok(()) = self.state.changed() => self.look(),
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                () = room(&self.events), if !self.waiting.is_empty() => {
                    if let Some(event) = self.waiting.pop_front() {
                        acknowledge(&mut self.link, self.automatic, &event);
                        // There is room, or nobody listens any more.
                        let _ = self.events.try_send(event);
                    }
                }
                () = sleep_until(grace.unwrap_or_else(Instant::now)), if grace.is_some() => {}
            }
            while let Some((ticket, outcome)) = self.link.outbox.outcome() {
                if let Some(receipt) = self.receipts.remove(ticket) {
                    // Who does not want to know has dropped it.
                    let _ = receipt.send(outcome);
                }
            }
            if !self.stay() {
                break;
            }
        }
        self.link.abort();
        let left = self.link.outbox.len();
        if let Some((_, _, reply)) = self.leaving.take() {
            let _ = reply.send(left);
        }
        // Whoever waits for events has what there is room for.
        for event in self.waiting.drain(..) {
            let _ = self.events.try_send(event);
        }
    }

    /// Tells that a link comes about.
    fn look(&mut self) {
        let idle = matches!(
            &*self.state.borrow_and_update(),
            State::Disconnected | State::Backoff { .. } | State::Stopped
        );
        if !idle && !std::mem::replace(&mut self.trying, true) {
            self.pass_on(Event::Connecting);
        }
    }

    fn will_try_again(&mut self) {
        self.trying = false;
        let until = match &*self.state.borrow_and_update() {
            State::Backoff { until, .. } => *until,
            _ => return,
        };
        self.pass_on(Event::Backoff(until));
    }

    /// `false`: the end has come, and without a link there is nothing to be said.
    fn stay(&mut self) -> bool {
        let Some((disconnect, due, _)) = &self.leaving else { return true };
        let ready = *self.state.borrow() == State::Ready;
        if self.link.is_parting() {
            return true;
        }
        if self.link.outbox.is_empty() && (ready || !self.is_busy()) || Instant::now() >= *due {
            self.link.leave_with(disconnect.clone());
        }
        !self.link.is_stopped()
    }

    /// Whether somebody still waits for an answer of the broker.
    fn is_busy(&self) -> bool {
        !self.subscribing.is_empty() || !self.unsubscribing.is_empty()
    }

    fn obey(&mut self, order: Order) {
        let session = &mut self.link.session;
        match order {
            Order::Publish(message, receipt) => {
                let ticket = self.link.outbox.push(message);
                self.receipts.insert(ticket, receipt);
                let dropped = self.link.outbox.counts().dropped;
                if dropped > self.dropped {
                    self.dropped = dropped;
                    self.pass_on(Event::QueueFull(dropped));
                }
            }
            Order::Subscribe(filters, properties, reply) => {
                let n = filters.len();
                let request = session.subscribe(filters, &properties);
                if n > 0 {
                    self.subscribing.insert(request, Awaited::new(n, reply));
                } else {
                    let _ = reply.send(Vec::new());
                }
            }
            Order::Unsubscribe(filters, properties, reply) => {
                let n = filters.len();
                let request = session.unsubscribe_with(filters, &properties);
                if n > 0 {
                    self.unsubscribing.insert(request, Awaited::new(n, reply));
                } else {
                    let _ = reply.send(Vec::new());
                }
            }
            Order::Acknowledge(token, reason, properties) => {
                session.acknowledge_with(token, reason, properties);
            }
            Order::Authenticate => {
                if let Err(error) = session.authenticate_again() {
                    tracing::warn!("{error}");
                }
            }
            Order::Listen(events) => {
                self.listeners.push(Listener { events, missed: 0, told: 0 });
            }
            Order::TryNow => self.link.try_now(),
            Order::Shutdown(disconnect, grace, reply) => {
                self.leaving = Some((disconnect, Instant::now() + grace, reply));
            }
            Order::Abort => self.link.abort(),
        }
    }

    /// Answers those who wait for an event; what of it is to be told to all.
    fn note(&mut self, event: link::Event) -> Option<Event> {
        let event = match event {
            link::Event::Session(event) => event,
            link::Event::Drained => return None,
            link::Event::Down(why) => return Some(Event::Down(Arc::new(why))),
            link::Event::Stopped => return Some(Event::Stopped),
        };
        Some(match event {
            session::Event::Connected(answer) => Event::Connected(answer),
            session::Event::Message(message) => Event::Message(message),
            session::Event::Oversize { topic, bytes, start, .. } => {
                Event::Oversize { topic, bytes, start }
            }
            session::Event::Subscribed { request, filter, granted } => {
                answered(&mut self.subscribing, request, (filter.clone(), granted));
                Event::Subscribed(filter, granted)
            }
            session::Event::Unsubscribed { request, filter, reason } => {
                answered(&mut self.unsubscribing, request, (filter.clone(), reason));
                Event::Unsubscribed(filter, reason)
            }
            session::Event::Refused { topic, reason } => Event::Refused(topic, reason),
            session::Event::Pong => Event::Pong,
            session::Event::Authenticated => Event::Authenticated,
        })
    }

    /// Messages that nobody takes hold up the next link: what the broker repeats on it would come
    /// on top of them. A link that is up goes on, or it would not answer its broker.
    fn is_full(&self) -> bool {
        let is_message = |event: &&Event| matches!(event, Event::Message(_));
        self.waiting.len() >= EVENTS
            && self.link.is_waiting()
            && self.waiting.iter().filter(is_message).count() >= EVENTS
    }

    /// Never waits: a link that is not polled does not answer its broker.
    fn pass_on(&mut self, event: Event) {
        self.listeners.retain_mut(|listener| listener.hears(&event));
        let is_droppable = match &event {
            Event::Message(message) => message.token.is_none(),
            Event::Pong | Event::QueueFull(_) => true,
            // Of these there may be any number, as long as nobody takes them.
            _ => self.waiting.len() >= EVENTS,
        };
        if self.waiting.is_empty() {
            match self.events.try_reserve() {
                Ok(permit) => {
                    acknowledge(&mut self.link, self.automatic, &event);
                    return permit.send(event);
                }
                // Nobody takes events: nothing needs to be kept, and no message is in anybody's way.
                Err(mpsc::error::TrySendError::Closed(())) => {
                    return acknowledge(&mut self.link, self.automatic, &event);
                }
                Err(mpsc::error::TrySendError::Full(())) => {}
            }
        }
        if is_droppable {
            self.lagged += 1;
            self.waiting.retain(|event| !matches!(event, Event::Lagged(_)));
            self.waiting.push_back(Event::Lagged(self.lagged));
        } else {
            self.waiting.push_back(event);
        }
    }
}

/// Somebody who listens besides the one who started the client.
struct Listener {
    events: mpsc::Sender<Event>,
    /// Events that found no room, and as many as it was told of.
    missed: u64,
    told: u64,
}

impl Listener {
    /// `false` once it is gone.
    fn hears(&mut self, event: &Event) -> bool {
        if self.missed > self.told && self.events.try_send(Event::Lagged(self.missed)).is_ok() {
            self.told = self.missed;
        }
        // What was missed comes before what follows.
        let has_room = self.missed == self.told && self.events.try_send(event.clone()).is_ok();
        self.missed += u64::from(!has_room);
        !self.events.is_closed()
    }
}

/// Waits until an event can be sent, or nobody is there to take it.
async fn room(events: &mpsc::Sender<Event>) {
    let _ = events.reserve().await;
}

fn acknowledge(link: &mut Link, automatic: bool, event: &Event) {
    if let Event::Message(Received { token: Some(token), .. }) = event
        && automatic
    {
        link.session.acknowledge(*token, Reason::SUCCESS);
    }
}

/// Collects the answers to one call; the caller gets them when they are complete.
fn answered<T>(waiting: &mut Sorted<Request, Awaited<T>>, request: Request, answer: T) {
    let Some(awaited) = waiting.get_mut(request) else { return };
    awaited.answers.push(answer);
    if awaited.answers.len() >= awaited.missing
        && let Some(Awaited { answers, reply, .. }) = waiting.remove(request)
    {
        // Who does not want to know has dropped it.
        let _ = reply.send(answers);
    }
}
