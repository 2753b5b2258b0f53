//! `tty2mqtt pub`: publishes, and ends when the broker has the messages.

use super::exit::Exit;
use super::failure::Failure;
use super::lines;
use super::link::ShellLink;
use super::options::Publish;
use super::options::connection::shared;
use super::options::publish::{MAX_PAYLOAD, PayloadSource};
use crate::base::sorted::Sorted;
use crate::mqtt::files::at_most;
use crate::mqtt::link::Event;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{ConnAck, Properties};
use crate::mqtt::source::{MessageId, Outcome};
use bytes::Bytes;
use std::io::Read;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Limits of the messages and bytes that are read from the standard input before the broker has them; one
/// line may exceed that of bytes.
const WINDOW: (usize, usize) = (2000, 1 << 20);

/// The payload; `None` stands for the lines of the standard input.
pub(super) fn payload(source: &PayloadSource) -> Result<Option<Bytes>, Failure> {
    Ok(Some(match source {
        PayloadSource::Message(payload) => Bytes::copy_from_slice(payload),
        PayloadSource::Empty => Bytes::new(),
        PayloadSource::File(path) => {
            let what = format!("-f {}", path.display());
            let mut file = std::fs::File::open(path).map_err(|e| Failure::local(&what, e))?;
            whole(&mut file, &what)?
        }
        PayloadSource::Stdin => whole(&mut std::io::stdin().lock(), "standard input")?,
        PayloadSource::Lines => return Ok(None),
    }))
}

pub(super) async fn publish(
    options: &Publish,
    payload: Option<Bytes>,
    link: &mut ShellLink,
) -> Result<(), Failure> {
    let answer = link.connected(options.connection.connect_timeout).await?;
    check(options, &answer, link);
    let mut publisher = Publisher {
        options,
        properties: shared(&options.connection.properties.publish),
        link,
        pending: Sorted::default(),
        refused: None,
    };
    match payload {
        Some(payload) => publisher.repeat(payload).await?,
        None => publisher.lines().await?,
    }
    match publisher.refused {
        Some(failure) => Err(failure),
        None => link.leave().await,
    }
}

fn whole(from: &mut dyn Read, what: &str) -> Result<Bytes, Failure> {
    let payload = at_most(from, MAX_PAYLOAD as u64);
    match payload.map_err(|e| Failure::local(what, e))? {
        Some(payload) => Ok(payload.into()),
        None => {
            let text = format!("{what}: a message has at most {MAX_PAYLOAD} bytes");
            Err(Failure::new(Exit::TOO_LARGE, text))
        }
    }
}

/// Warns of what this broker does not support.
fn check(options: &Publish, answer: &ConnAck, link: &ShellLink) {
    let most = answer.properties.maximum_qos().copied().unwrap_or(2);
    if options.own.topics.iter().any(|(_, qos)| qos.bits() > most) {
        link.warn(&format!("the broker supports at most QoS {most}, which is used"));
    }
    if options.own.retain && answer.properties.retain_available() == Some(&false) {
        link.warn("the broker does not support retained messages; -r has no effect");
    }
}

struct Publisher<'a> {
    options: &'a Publish,
    properties: Option<Arc<Properties>>,
    link: &'a mut ShellLink,
    /// Messages that are not acknowledged yet, with their topics.
    pending: Sorted<MessageId, String>,
    /// Why the broker refused a message, of several the first one.
    refused: Option<Failure>,
}

impl Publisher<'_> {
    fn push(&mut self, payload: &Bytes) {
        for (topic, qos) in &self.options.own.topics {
            let message = Message {
                qos: *qos,
                retain: self.options.own.retain,
                properties: self.properties.clone(),
                ..Message::new(topic.clone(), payload.clone())
            };
            let ticket = self.link.publish(message);
            self.pending.insert(ticket, topic.to_string());
        }
    }

    async fn repeat(&mut self, payload: Bytes) -> Result<(), Failure> {
        for n in 0..self.options.own.repeat {
            let delay = self.options.own.repeat_delay;
            if n > 0 && !delay.is_zero() {
                let until = Instant::now() + delay;
                loop {
                    tokio::select! {
                        event = self.link.next() => self.take(event?)?,
                        () = sleep_until(until) => break,
                    }
                }
            }
            self.push(&payload);
            self.settle().await?;
        }
        Ok(())
    }

    /// Waits for all acknowledgements.
    async fn settle(&mut self) -> Result<(), Failure> {
        while !self.pending.is_empty() {
            let event = self.link.next().await?;
            self.take(event)?;
        }
        Ok(())
    }

    async fn lines(&mut self) -> Result<(), Failure> {
        let mut lines = lines::of_stdin(MAX_PAYLOAD);
        loop {
            let queue = &self.link.queue;
            let has_room = queue.len() < WINDOW.0 && queue.bytes() < WINDOW.1;
            tokio::select! {
                event = self.link.next() => self.take(event?)?,
                line = lines.recv(), if has_room => match line {
                    Some(line) => self.push(&line?),
                    None => break,
                },
            }
        }
        self.settle().await
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Outcome(ticket, outcome) => {
                let topic = self.pending.remove(ticket).unwrap_or_default();
                let reason = match outcome {
                    Outcome::Delivered(_) | Outcome::Replaced => return Ok(()),
                    Outcome::Refused(reason) => reason,
                    Outcome::Dropped => {
                        return Err(Failure::new(Exit::LOCAL, "no room for the message"));
                    }
                };
                let exit = match reason.code() {
                    0x95 => Exit::TOO_LARGE,
                    code => Exit(code),
                };
                let text = format!("the broker does not take the message for {topic}: {reason}");
                self.link.warn(&text);
                self.refused.get_or_insert(Failure::new(exit, ""));
                Ok(())
            }
            Event::Down(error) if self.options.own.source == PayloadSource::Lines => {
                self.link.lost(&error)
            }
            other => self.link.interrupted(other),
        }
    }
}
