//! The link of a command, with everything else that it waits for: signals and the end of its time.

use super::exit::Exit;
use super::failure::{self, Failure, TIMED_OUT};
use crate::base::plain::plain;
use crate::mqtt::fifo::{Bounds, Fifo};
use crate::mqtt::link::{Event, Link, LinkError};
use crate::mqtt::message::Message;
use crate::mqtt::packet::{ConnAck, Reason};
use crate::mqtt::session::{self, Received, Session, SessionError};
use crate::mqtt::source::MessageId;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

#[derive(Debug)]
pub(super) struct ShellLink {
    link: Link,
    /// Messages without an outcome yet.
    pub(super) queue: Fifo,
    due: Option<Instant>,
    interrupt: Signal,
    terminate: Signal,
    quiet: bool,
}

impl ShellLink {
    /// Takes a link that was not polled yet. `timeout` runs from now on.
    pub(super) fn new(link: Link, timeout: Option<Duration>, quiet: bool) -> io::Result<ShellLink> {
        // The commands themselves limit what waits.
        let bytes = usize::MAX / 2;
        let mut queue = Fifo::new(Bounds { messages: usize::MAX, bytes });
        queue.try_once();
        Ok(ShellLink {
            link,
            queue,
            due: timeout.map(|time| Instant::now() + time),
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quiet,
        })
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.link.session
    }

    /// Queues a message; [`Event::Outcome`] follows.
    pub(super) fn publish(&mut self, message: Message) -> MessageId {
        self.queue.push(message)
    }

    pub(super) fn acknowledge(&mut self, message: &Received) {
        if let Some(token) = message.token {
            self.link.session.acknowledge(token, Reason::SUCCESS);
        }
    }

    /// The next event; an error at SIGINT, at SIGTERM and when the command's time is over. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Event, Failure> {
        let due = self.due.filter(|_| !self.link.is_parting());
        tokio::select! {
            _ = self.interrupt.recv() => Err(Failure::new(Exit::signal(2), "")),
            _ = self.terminate.recv() => Err(Failure::new(Exit::signal(15), "")),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                Err(Failure::new(Exit::TIMEOUT, TIMED_OUT))
            }
            event = self.link.event(&mut self.queue) => Ok(event),
        }
    }

    /// Waits for CONNACK. If any version of MQTT will do, each is tried once, from the newest to the oldest.
    pub(super) async fn connected(&mut self, timeout: Duration) -> Result<ConnAck, Failure> {
        let due = Instant::now() + timeout;
        let mut tried = self.link.session.version();
        loop {
            let event = tokio::select! {
                event = self.next() => event?,
                () = sleep_until(due) => {
                    let text = format!("not connected within {} s", timeout.as_secs_f32());
                    return Err(Failure::new(Exit::TIMEOUT, text));
                }
            };
            match event {
                Event::Session(session::Event::Connected(answer)) => return Ok(answer),
                Event::Down(error) => {
                    let next = self.link.session.version();
                    if next >= tried {
                        return Err(failure::of_link(&error, tried));
                    }
                    tried = next;
                    self.link.try_now();
                }
                other => self.interrupted(other)?,
            }
        }
    }

    /// An error for those events that end any command.
    pub(super) fn interrupted(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Stopped => Err(Failure::new(Exit::LOST, "the link ended")),
            Event::Down(error) => Err(self.failure(&error)),
            _ => Ok(()),
        }
    }

    /// An error if reconnecting is useless after this one.
    pub(super) fn lost(&mut self, error: &LinkError) -> Result<(), Failure> {
        let hopeless = match error {
            LinkError::Session(SessionError::Disconnected(disconnect)) => {
                disconnect.reason == Reason::SESSION_TAKEN_OVER
            }
            LinkError::Session(error) => error.needs_operator(),
            _ => false,
        };
        if hopeless || self.link.is_stopped() {
            return Err(self.failure(error));
        }
        self.warn(&format!("{}; trying again", self.failure(error).text));
        Ok(())
    }

    fn failure(&self, error: &LinkError) -> Failure {
        failure::of_link(error, self.link.session.version())
    }

    pub(super) fn warn(&self, text: &str) {
        if !self.quiet {
            eprintln!("tty2mqtt: {}", plain(text));
        }
    }

    /// Writes what is left, then DISCONNECT, and waits until the link has ended.
    pub(super) async fn leave(&mut self) -> Result<(), Failure> {
        if self.link.is_ready() {
            self.link.leave_when_sent(Reason::SUCCESS, None);
        } else {
            self.link.leave(Reason::SUCCESS);
        }
        loop {
            match self.next().await {
                Ok(Event::Stopped | Event::Down(_)) => return Ok(()),
                // DISCONNECT is on its way; the broker's reaction changes nothing, nor does a signal.
                Err(_) if self.link.is_parting() => return Ok(()),
                Ok(_) => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// After a failure: DISCONNECT, if there is a link.
    pub(super) async fn end(&mut self) {
        self.due = None;
        self.link.leave(Reason::SUCCESS);
        while !matches!(self.next().await, Ok(Event::Stopped | Event::Down(_))) {}
    }
}
