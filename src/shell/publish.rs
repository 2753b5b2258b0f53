//! `tty2mqtt pub`: publishes, and ends when the broker has it.

use super::exit::{Exit, Failure};
use super::lines::StdinLines;
use super::options::Publish;
use super::options::connection::shared;
use super::options::publish::{MAX_PAYLOAD, PayloadSource};
use super::run::{Happening, Run};
use crate::mqtt::files::at_most;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{ConnAck, Properties};
use crate::mqtt::session;
use crate::mqtt::source::{MessageId, Outcome};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// So much of the standard input is on its way at once, in messages and bytes, besides what one
/// line needs.
const WINDOW: (usize, usize) = (2000, 1 << 20);

/// What is published; `None`: one line after the other.
pub(super) fn payload(source: &PayloadSource) -> Result<Option<Bytes>, Failure> {
    Ok(Some(match source {
        PayloadSource::Message(payload) => Bytes::copy_from_slice(payload),
        PayloadSource::Empty => Bytes::new(),
        PayloadSource::File(path) => whole(&mut open(path)?, &format!("-f {}", path.display()))?,
        PayloadSource::Stdin => whole(&mut std::io::stdin().lock(), "standard input")?,
        PayloadSource::Lines => return Ok(None),
    }))
}

/// Runs the command; the link is at its begin.
pub(super) async fn publish(
    options: &Publish,
    payload: Option<Bytes>,
    run: &mut Run,
) -> Result<(), Failure> {
    let answer = run.connected(options.connection.connect_timeout).await?;
    check(options, &answer, run);
    let mut publisher = Publisher {
        options,
        properties: shared(&options.connection.properties.publish),
        run,
        pending: BTreeMap::new(),
        refused: None,
    };
    match payload {
        Some(payload) => publisher.repeat(payload).await?,
        None => publisher.lines().await?,
    }
    match publisher.refused {
        Some(failure) => Err(failure),
        None => run.leave().await,
    }
}

fn open(path: &Path) -> Result<std::fs::File, Failure> {
    std::fs::File::open(path)
        .map_err(|e| Failure::new(Exit::Local, format!("-f {}: {e}", path.display())))
}

fn whole(from: &mut dyn Read, what: &str) -> Result<Bytes, Failure> {
    let payload = at_most(from, MAX_PAYLOAD as u64);
    match payload.map_err(|e| Failure::new(Exit::Local, format!("{what}: {e}")))? {
        Some(payload) => Ok(payload.into()),
        None => {
            let text = format!("{what}: a message has at most {MAX_PAYLOAD} bytes");
            Err(Failure::new(Exit::TooLarge, text))
        }
    }
}

/// Says what this broker will not do as asked.
fn check(options: &Publish, answer: &ConnAck, run: &Run) {
    let most = answer.properties.maximum_qos().copied().unwrap_or(2);
    if options.own.topics.iter().any(|(_, qos)| qos.bits() > most) {
        run.warn(&format!("the broker takes at most QoS {most}; that is used"));
    }
    if options.own.retain && answer.properties.retain_available() == Some(&false) {
        run.warn("the broker keeps no messages; -r does nothing");
    }
}

struct Publisher<'a> {
    options: &'a Publish,
    properties: Option<Arc<Properties>>,
    run: &'a mut Run,
    /// Messages that the broker does not have yet, with their topics.
    pending: BTreeMap<MessageId, String>,
    /// Why the broker did not take the first of those that it did not take.
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
            let ticket = self.run.queue.push(message);
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
                        happening = self.run.next() => self.take(happening)?,
                        () = sleep_until(until) => break,
                    }
                }
            }
            self.push(&payload);
            while !self.pending.is_empty() {
                let happening = self.run.next().await;
                self.take(happening)?;
            }
        }
        Ok(())
    }

    async fn lines(&mut self) -> Result<(), Failure> {
        let mut lines = StdinLines::start(MAX_PAYLOAD);
        loop {
            let queue = &self.run.queue;
            let has_room = queue.len() < WINDOW.0 && queue.bytes() < WINDOW.1;
            tokio::select! {
                happening = self.run.next() => self.take(happening)?,
                line = lines.next(), if has_room => match line {
                    Some(line) => self.push(&line?),
                    None => break,
                },
            }
        }
        while !self.pending.is_empty() {
            let happening = self.run.next().await;
            self.take(happening)?;
        }
        Ok(())
    }

    fn take(&mut self, happening: Happening) -> Result<(), Failure> {
        match happening {
            Happening::Outcome(ticket, outcome) => {
                let topic = self.pending.remove(&ticket).unwrap_or_default();
                let reason = match outcome {
                    Outcome::Delivered(_) | Outcome::Replaced => return Ok(()),
                    Outcome::Refused(reason) => reason,
                    Outcome::Dropped => {
                        return Err(Failure::new(Exit::Local, "no room for the message"));
                    }
                };
                let exit = match reason.code() {
                    0x95 => Exit::TooLarge,
                    code => Exit::Refused(code),
                };
                let text = format!("the broker does not take the message for {topic}: {reason}");
                self.run.warn(&text);
                self.refused.get_or_insert(Failure::new(exit, ""));
                Ok(())
            }
            Happening::Down(error) if self.options.own.source == PayloadSource::Lines => {
                self.run.lost(&error)
            }
            // Said with the outcome.
            Happening::Event(session::Event::Refused { .. }) => Ok(()),
            other => self.run.interrupted(other),
        }
    }
}
