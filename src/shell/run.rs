//! A link with all that a command waits for: what happens on it, what became of messages, signals,
//! the end of the time.

use super::exit::{Exit, Failure};
use crate::base::plain::plain;
use crate::mqtt::fifo::{self, Fifo};
use crate::mqtt::link::{self, Link, LinkError, State};
use crate::mqtt::packet::{ConnAck, Properties, Reason, Version};
use crate::mqtt::session::{self, SessionError};
use crate::mqtt::source::{MessageId, Outcome, Source};
use crate::mqtt::transport::ConnectError;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// So often a link that is up is looked at although nothing happens: its deadlines are no finer.
const TICK: Duration = Duration::from_millis(100);

/// As mosquitto says it.
pub(super) const TIMED_OUT: &str = "Timed out";

/// What a command waits for.
#[derive(Debug)]
pub(super) enum Happening {
    /// On the session.
    Event(session::Event),
    /// The link ended, or did not come about.
    Down(LinkError),
    /// The link will not come back.
    Stopped,
    /// This became of a message.
    Outcome(MessageId, Outcome),
    /// Everything was written.
    Written,
    /// SIGINT or SIGTERM, by number.
    Signal(u8),
    /// The time is up.
    Timeout,
}

/// A link with all that a command waits for.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) link: Link,
    /// Messages on their way: the commands themselves see to it that they are few.
    pub(super) queue: Fifo,
    state: watch::Receiver<State>,
    until: Option<Instant>,
    interrupt: Signal,
    terminate: Signal,
    /// Prints no error.
    pub(super) quiet: bool,
}

impl Run {
    /// Begins at once; `timeout` counts from now.
    pub(super) fn new(link: Link, timeout: Option<Duration>, quiet: bool) -> io::Result<Run> {
        let bytes = usize::MAX / 2;
        let bounds = fifo::Bounds { messages: usize::MAX, bytes, ..fifo::Bounds::default() };
        let mut queue = Fifo::new(bounds);
        queue.try_once();
        Ok(Run {
            state: link.state(),
            link,
            queue,
            until: timeout.map(|time| Instant::now() + time),
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quiet,
        })
    }

    /// What happens next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Happening {
        self.step(false).await
    }

    /// The same, and [`Happening::Written`] when nothing waits to be written.
    pub(super) async fn next_or_written(&mut self) -> Happening {
        self.step(true).await
    }

    async fn step(&mut self, until_written: bool) -> Happening {
        loop {
            let tick = self.tick();
            let Run { link, queue, until, interrupt, terminate, .. } = self;
            if let Some((ticket, outcome)) = queue.outcome() {
                return Happening::Outcome(ticket, outcome);
            }
            if link.is_stopped() {
                return Happening::Stopped;
            }
            let until = *until;
            // What becomes of messages is no event of the link: it is looked at after each step.
            let happens = poll_fn(|cx| {
                let polled = {
                    let event = pin!(link.event(queue));
                    event.poll(cx)
                };
                match polled {
                    Poll::Ready(link::Event::Session(event)) => {
                        Poll::Ready(Some(Happening::Event(event)))
                    }
                    Poll::Ready(link::Event::Outcome(id, outcome)) => {
                        Poll::Ready(Some(Happening::Outcome(id, outcome)))
                    }
                    Poll::Ready(link::Event::SourceWants | link::Event::Emptied) => {
                        Poll::Ready(None)
                    }
                    Poll::Ready(link::Event::Down(error)) => {
                        Poll::Ready(Some(Happening::Down(error)))
                    }
                    Poll::Ready(link::Event::Stopped) => Poll::Ready(Some(Happening::Stopped)),
                    Poll::Pending => match queue.outcome() {
                        Some((ticket, outcome)) => {
                            Poll::Ready(Some(Happening::Outcome(ticket, outcome)))
                        }
                        None if until_written && link.session.output().is_empty() => {
                            Poll::Ready(Some(Happening::Written))
                        }
                        None => Poll::Pending,
                    },
                }
            });
            let happening = tokio::select! {
                _ = interrupt.recv() => Some(Happening::Signal(2)),
                _ = terminate.recv() => Some(Happening::Signal(15)),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    Some(Happening::Timeout)
                }
                happening = happens => happening,
                // The link's own timers end with each look at it.
                () = sleep(tick) => None,
            };
            if let Some(happening) = happening {
                return happening;
            }
        }
    }

    /// When the link is to be looked at again if nothing happens.
    fn tick(&self) -> Duration {
        match &*self.state.borrow() {
            State::Disconnected => Duration::from_millis(1),
            State::Backoff { until, .. } => {
                until.saturating_duration_since(Instant::now().into_std())
                    + Duration::from_millis(1)
            }
            _ => TICK,
        }
    }

    /// Waits until the broker lets us in. A version that it does not know is no end where any will
    /// do.
    pub(super) async fn connected(
        &mut self,
        connect_timeout: Duration,
    ) -> Result<ConnAck, Failure> {
        let due = Instant::now() + connect_timeout;
        let mut tried = self.link.session.version();
        loop {
            let happening = tokio::select! {
                happening = self.next() => happening,
                () = sleep_until(due) => {
                    let text = format!("not connected within {} s", connect_timeout.as_secs_f32());
                    return Err(Failure::new(Exit::Timeout, text));
                }
            };
            match happening {
                Happening::Event(session::Event::Connected(answer)) => return Ok(answer),
                Happening::Down(error) => {
                    // From the newest version down to the oldest, each once.
                    let next = self.link.session.version();
                    if next >= tried {
                        return Err(link_failure(&error, tried));
                    }
                    tried = next;
                    self.link.try_now();
                }
                other => self.interrupted(other)?,
            }
        }
    }

    /// The happenings that end a command at any time.
    pub(super) fn interrupted(&mut self, happening: Happening) -> Result<(), Failure> {
        match happening {
            Happening::Signal(number) => Err(Failure::new(Exit::Signal(number), "")),
            Happening::Timeout => Err(Failure::new(Exit::Timeout, TIMED_OUT)),
            Happening::Stopped => Err(Failure::new(Exit::Lost, "the link ended")),
            Happening::Down(error) => Err(self.failure(&error)),
            _ => Ok(()),
        }
    }

    /// A link that ended: whether to go on, because it will come back.
    pub(super) fn lost(&mut self, error: &LinkError) -> Result<(), Failure> {
        let hopeless = match error {
            LinkError::Session(SessionError::Disconnected(d)) => {
                d.reason == Reason::SESSION_TAKEN_OVER
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

    pub(super) fn failure(&self, error: &LinkError) -> Failure {
        link_failure(error, self.link.session.version())
    }

    /// Says what is not quite as it was asked for.
    pub(super) fn warn(&self, text: &str) {
        if !self.quiet {
            eprintln!("tty2mqtt: {}", plain(text));
        }
    }

    /// Writes what is left, says DISCONNECT and waits for its end.
    pub(super) async fn leave(&mut self) -> Result<(), Failure> {
        loop {
            match self.next_or_written().await {
                Happening::Written => break,
                Happening::Stopped | Happening::Down(_) => return Ok(()),
                other => self.interrupted(other)?,
            }
        }
        self.link.leave(Reason::SUCCESS);
        loop {
            match self.next().await {
                // It was said, whatever the broker makes of it.
                Happening::Stopped | Happening::Down(_) | Happening::Signal(_) => return Ok(()),
                _ => {}
            }
        }
    }

    /// Ends in good order after a failure, as far as there is a link.
    pub(super) async fn end(&mut self) {
        self.until = None;
        self.link.leave(Reason::SUCCESS);
        while !matches!(self.next().await, Happening::Stopped | Happening::Down(_)) {}
    }
}

/// What a failed link means for a command.
pub(super) fn link_failure(error: &LinkError, version: Version) -> Failure {
    let exit = match error {
        LinkError::Connect(error) => return connect_failure(error),
        LinkError::Session(error) => match error {
            SessionError::Refused(answer) => {
                let text = match why(&answer.properties) {
                    Some(words) => {
                        format!("the broker does not let us in: {} ({words})", answer.reason)
                    }
                    None => format!("the broker does not let us in: {}", answer.reason),
                };
                let text = format!("{text}{}", remedy(answer.reason));
                return Failure::new(
                    Exit::refused(answer.reason.code(), version == Version::V5),
                    text,
                );
            }
            SessionError::Disconnected(bye) if bye.reason.is_error() => {
                Exit::Refused(bye.reason.code())
            }
            SessionError::Disconnected(_) => Exit::Lost,
            SessionError::NoConnAck => Exit::Timeout,
            SessionError::NoPingResp | SessionError::NoAnswer => Exit::Silent,
            SessionError::Packet(_) | SessionError::Protocol(..) => Exit::Protocol,
            SessionError::TooLong(_) => Exit::Usage,
            SessionError::Auth(_) => Exit::Refused(Reason::NOT_AUTHORIZED.code()),
        },
        LinkError::Closed
        | LinkError::BetterBroker
        | LinkError::Asked
        | LinkError::Io(_)
        | LinkError::ThrownOut { .. } => Exit::Lost,
        LinkError::Stuck => Exit::Silent,
        LinkError::Password { .. } => Exit::Local,
    };
    Failure::new(exit, in_options(&error.to_string()))
}

/// What a failed connect means for a command.
pub(super) fn connect_failure(error: &ConnectError) -> Failure {
    let exit = match error {
        ConnectError::NoBroker => Exit::Usage,
        ConnectError::Lookup { .. } | ConnectError::NoAddress { .. } => Exit::Dns,
        ConnectError::Proxy { .. } => Exit::Proxy,
        ConnectError::TlsFile(_)
        | ConnectError::Tls { .. }
        | ConnectError::NoTls
        | ConnectError::UntrustedWithCredentials { .. } => Exit::Tls,
        ConnectError::WebSocket { .. } => Exit::Protocol,
        ConnectError::Deadline { .. } => Exit::Timeout,
        _ => Exit::Tcp,
    };
    Failure::new(exit, in_options(&error.to_string()))
}

fn why(properties: &Properties) -> Option<&str> {
    properties.reason_string().map(String::as_str)
}

fn remedy(reason: Reason) -> &'static str {
    match reason {
        Reason::UNSUPPORTED_PROTOCOL_VERSION => "; try another -V, or -V auto",
        Reason::CLIENT_IDENTIFIER_NOT_VALID => "; try another -i, or before MQTT 5 a shorter -k",
        Reason::BAD_USER_NAME_OR_PASSWORD => "; see -u and --password-file",
        Reason::NOT_AUTHORIZED => {
            "; does it want -u and a password, or another -i or --will-topic?"
        }
        Reason::QOS_NOT_SUPPORTED | Reason::RETAIN_NOT_SUPPORTED => "; it does not take the will",
        _ => "",
    }
}

/// The texts of link and transport name keys of the configuration; here they are options.
fn in_options(text: &str) -> String {
    const NAMES: [(&str, &str); 18] = [
        ("`tls.verify: none`", "--insecure"),
        ("`tls.ca_file`", "--cafile"),
        ("`tls.cert_file`", "--cert"),
        ("`tls.fingerprint`", "--fingerprint"),
        ("`cert_file` and `key_file`", "--cert and --key"),
        ("`cert_file`", "--cert"),
        ("`key_file`", "--key"),
        ("`key_password_file`", "--key-password-file"),
        ("`bind_device`", "--bind-device"),
        ("`local_address`", "-A"),
        ("`proxy`", "--proxy"),
        ("`broker.url`", "-h"),
        ("Set `broker.client_id` to one of our own", "Give one of your own with -i"),
        ("set `broker.client_id` to one of our own", "give one of your own with -i"),
        ("`broker.client_id`", "-i"),
        ("`broker.version`", "-V"),
        ("`broker.keepalive`", "-k"),
        ("`broker.will`", "--will-topic"),
    ];
    NAMES.iter().fold(text.to_owned(), |text, (key, option)| text.replace(key, option))
}
