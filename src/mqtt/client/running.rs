//! The task of a link that [`Client`](super::Client) handles send their calls to.

use super::{EVENTS, Event, Granted, Order};
use crate::base::sorted::Sorted;
use crate::mqtt::fifo::Fifo;
use crate::mqtt::link::{self, Link, State};
use crate::mqtt::packet::Reason;
use crate::mqtt::session::{self, Received, Request};
use crate::mqtt::source::{MessageId, Outcome, Source};
use crate::mqtt::topic::TopicFilter;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub(super) struct Running {
    link: Link,
    queue: Fifo,
    state: watch::Receiver<State>,
    /// Whether [`Event::Connecting`] was sent for the current attempt or link.
    trying: bool,
    /// The number in the last [`Event::QueueFull`].
    dropped: u64,
    /// Whether messages are acknowledged when their event is handed over.
    automatic: bool,
    orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<Event>,
    /// The streams of [`Client::listen`](super::Client::listen).
    listeners: Vec<Listener>,
    /// Events that `events` had no room for. Bounded: at most the receive maximum of them are messages.
    waiting: VecDeque<Event>,
    lagged: u64,
    receipts: Sorted<MessageId, oneshot::Sender<Outcome>>,
    subscribing: Sorted<Request, Awaited<Granted>>,
    unsubscribing: Sorted<Request, Awaited<(TopicFilter, Reason)>>,
    /// The call of [`Client::shutdown`](super::Client::shutdown) that waits for the end.
    leaving: Option<oneshot::Sender<usize>>,
}

/// A call whose answers arrive one by one.
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
    pub(super) fn new(
        mut link: Link,
        queue: Fifo,
        orders: mpsc::Receiver<Order>,
        events: mpsc::Sender<Event>,
    ) -> Running {
        // This task acknowledges messages, when the owner of the events has them.
        let automatic = !link.session.set_manual_ack(true);
        Running {
            state: link.state(),
            trying: false,
            dropped: 0,
            queue,
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
            link,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                event = self.link.event(&mut self.queue), if !self.is_full() => self.take(event),
                Ok(()) = self.state.changed() => self.look(),
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                () = room(&self.events), if !self.waiting.is_empty() => {
                    if let Some(event) = self.waiting.pop_front() {
                        acknowledge(&mut self.link, self.automatic, &event);
                        // There is room, or the receiver is gone.
                        let _ = self.events.try_send(event);
                    }
                }
            }
            if self.link.is_stopped() {
                break;
            }
        }
        self.link.abort();
        while let Some((id, outcome)) = self.queue.outcome() {
            self.settle(id, outcome);
        }
        let left = self.queue.len();
        if let Some(reply) = self.leaving.take() {
            let _ = reply.send(left);
        }
        // The receiver gets what it has room for.
        for event in self.waiting.drain(..) {
            let _ = self.events.try_send(event);
        }
    }

    /// Reports the start of an attempt to connect.
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

    fn take(&mut self, event: link::Event) {
        self.look();
        if let Some(event) = self.note(event) {
            let is_down = matches!(event, Event::Down(_));
            self.pass_on(event);
            if is_down {
                self.will_try_again();
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let session = &mut self.link.session;
        match order {
            Order::Publish(message, receipt) => {
                let id = self.queue.push(message);
                self.receipts.insert(id, receipt);
                let dropped = self.queue.dropped();
                if dropped > self.dropped {
                    self.dropped = dropped;
                    self.pass_on(Event::QueueFull(dropped));
                }
            }
            Order::Subscribe(filters, properties, reply) => {
                let n = filters.len();
                let request = session.subscribe(filters, &properties);
                wait_for(&mut self.subscribing, request, n, reply);
            }
            Order::Unsubscribe(filters, properties, reply) => {
                let n = filters.len();
                let request = session.unsubscribe(filters, &properties);
                wait_for(&mut self.unsubscribing, request, n, reply);
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
                let due = Instant::now() + grace;
                self.link.leave_when_sent(disconnect, Some(due.into_std()));
                self.leaving = Some(reply);
            }
            Order::Abort => self.link.abort(),
        }
    }

    fn settle(&mut self, id: MessageId, outcome: Outcome) {
        if let Some(receipt) = self.receipts.remove(id) {
            // The caller may have dropped the receipt.
            let _ = receipt.send(outcome);
        }
    }

    /// Answers the callers that wait for an event, and returns what goes to everyone.
    fn note(&mut self, event: link::Event) -> Option<Event> {
        let event = match event {
            link::Event::Session(event) => event,
            link::Event::Outcome(id, outcome) => {
                self.settle(id, outcome);
                return None;
            }
            link::Event::SourceWants | link::Event::Emptied => return None,
            link::Event::Down(why) => return Some(Event::Down(Arc::new(why))),
            link::Event::Stopped => return Some(Event::Stopped),
        };
        Some(match event {
            session::Event::Connected(answer) => Event::Connected(answer),
            session::Event::Message(message) => Event::Message(message),
            session::Event::Oversize { topic, bytes, start, .. } => {
                Event::Oversize { topic, bytes, start }
            }
            session::Event::WildcardTopic { topic } => Event::WildcardTopic(topic),
            session::Event::Subscribed { request, filter, granted } => {
                answered(&mut self.subscribing, request, (filter.clone(), granted));
                Event::Subscribed(filter, granted)
            }
            session::Event::Unsubscribed { request, filter, reason } => {
                answered(&mut self.unsubscribing, request, (filter.clone(), reason));
                Event::Unsubscribed(filter, reason)
            }
            session::Event::Refused { topic, reason, .. } => Event::Refused(topic, reason),
            session::Event::Suspected(_) | session::Event::PutOff { .. } => return None,
            session::Event::Pong => Event::Pong,
            session::Event::Authenticated => Event::Authenticated,
        })
    }

    /// While too many messages wait to be taken, the link does not reconnect: the broker would send
    /// them again, and they would come on top. A link that is up goes on, or it would not answer its
    /// broker.
    fn is_full(&self) -> bool {
        let is_message = |event: &&Event| matches!(event, Event::Message(_));
        self.waiting.len() >= EVENTS
            && self.leaving.is_none()
            && self.link.is_waiting()
            && self.waiting.iter().filter(is_message).count() >= EVENTS
    }

    /// Never waits: a link that is not polled does not answer its broker.
    fn pass_on(&mut self, event: Event) {
        self.listeners.retain_mut(|listener| listener.hears(&event));
        let is_droppable = match &event {
            Event::Message(message) => message.token.is_none(),
            Event::Pong | Event::QueueFull(_) => true,
            // The number of all others is unlimited while nobody takes them.
            _ => self.waiting.len() >= EVENTS,
        };
        if self.waiting.is_empty() {
            match self.events.try_reserve() {
                Ok(permit) => {
                    acknowledge(&mut self.link, self.automatic, &event);
                    return permit.send(event);
                }
                // The receiver is gone: nothing needs to be kept, and messages are acknowledged.
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

/// A stream of events besides the one that the client was started with.
struct Listener {
    events: mpsc::Sender<Event>,
    /// Events that it had no room for, and the number in its last [`Event::Lagged`].
    missed: u64,
    told: u64,
}

impl Listener {
    /// Hands an event over; `false` once the receiver is gone.
    fn hears(&mut self, event: &Event) -> bool {
        if self.missed > self.told && self.events.try_send(Event::Lagged(self.missed)).is_ok() {
            self.told = self.missed;
        }
        // `Lagged` comes before the events that follow the gap.
        let has_room = self.missed == self.told && self.events.try_send(event.clone()).is_ok();
        self.missed += u64::from(!has_room);
        !self.events.is_closed()
    }
}

/// Waits until there is room for an event, or the receiver is gone.
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

/// Begins to collect the answers to a call; a call without filters is answered at once.
fn wait_for<T>(
    waiting: &mut Sorted<Request, Awaited<T>>,
    request: Request,
    filters: usize,
    reply: oneshot::Sender<Vec<T>>,
) {
    if filters > 0 {
        waiting.insert(request, Awaited::new(filters, reply));
    } else {
        let _ = reply.send(Vec::new());
    }
}

/// Collects the answers to one call; the caller gets them when they are complete.
fn answered<T>(waiting: &mut Sorted<Request, Awaited<T>>, request: Request, answer: T) {
    let Some(awaited) = waiting.get_mut(request) else { return };
    awaited.answers.push(answer);
    if awaited.answers.len() >= awaited.missing
        && let Some(Awaited { answers, reply, .. }) = waiting.remove(request)
    {
        // The caller may have dropped its future.
        let _ = reply.send(answers);
    }
}
