//! A message from the broker → bytes for a port.

use crate::config::scalar::{Name, parse_hex};
use crate::config::{CommandRule, Port};
use crate::map::{Names, Slot, Template};
use crate::mqtt::topic::{Qos, TopicFilter, check_fit};
use crate::pipeline::BuildError;
use bytes::Bytes;
use std::time::Duration;

/// The longest command in bytes. A device's input buffer is smaller by far; a broker must not make
/// us hold more.
const LONGEST: usize = 4096;

/// A running command rule of one port.
#[derive(Clone, Debug)]
pub struct Command {
    /// What the MQTT task subscribes to for it.
    pub filter: TopicFilter,
    /// QoS of that subscription.
    pub qos: Qos,
    /// Whether a message that the broker kept from before is taken.
    pub retained: bool,
    /// Least time between two commands on the port.
    pub between: Duration,
    /// Whether the command is made of bytes and not of text.
    hex: bool,
    pieces: Vec<Piece>,
}

/// The running rules of a port, or all that is wrong with them.
pub fn build_all(
    gateway: &Name,
    name: &Name,
    port: &Port,
) -> Result<Vec<Command>, Vec<BuildError>> {
    let names = Names::of(gateway, name, port);
    let (mut commands, mut errors) = (Vec::new(), Vec::new());
    for (n, rule) in port.commands.iter().enumerate() {
        match Command::build(rule, &names) {
            Ok(command) => commands.push(command),
            Err(why) => errors.push(BuildError { key: format!("commands[{n}]"), why }),
        }
    }
    if errors.is_empty() { Ok(commands) } else { Err(errors) }
}

/// A piece of what is written.
#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Payload,
}

/// Why a command is not written. The text goes into the log and to the command's result topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The message is one that the broker kept from before.
    #[error("kept by the broker from before; set `retained: true` to take such messages")]
    Retained,
    /// Longer than any device takes.
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    /// The payload would end the line early and smuggle in a second command.
    #[error("the payload contains a line break or another control character")]
    Control,
    /// The port is not open.
    #[error("the port is away: {0}")]
    Away(String),
    /// More commands wait than the port's queue holds.
    #[error("too many commands are waiting")]
    QueueFull,
    /// The device took no bytes for a long time (flow control, a dead adapter).
    #[error("the port takes no bytes")]
    Stuck,
    /// The port went away while the command was being written.
    #[error("the port went away in the middle of it")]
    Cut,
}

impl Command {
    /// The running rule for a port with these names.
    pub fn build(rule: &CommandRule, names: &Names<'_>) -> Result<Command, String> {
        let known = names.slots();
        let topic = rule.topic.fix(&known, &[]).map_err(|e| format!("topic: {e}"))?;
        let text = topic.as_text().unwrap_or_default();
        let filter = check_fit(text).and_then(|()| text.parse::<TopicFilter>());
        let filter = filter.map_err(|e| format!("topic: {e}"))?;
        let send = rule.send.fix(&known, &[Slot::Payload]).map_err(|e| format!("send: {e}"))?;
        let (mut pieces, hex) = pieces(&send).map_err(|e| format!("send: {e}"))?;
        pieces.push(Piece::Bytes(rule.terminator.as_bytes().to_vec()));
        Ok(Command {
            filter,
            qos: rule.qos,
            retained: rule.retained,
            between: rule.between.duration(),
            hex,
            pieces,
        })
    }

    /// The bytes to write for a message.
    ///
    /// In a text command the payload must not contain control characters: with a line break, who
    /// may switch a relay could send the device anything. After `hex:` every byte is let through.
    pub fn bytes(&self, payload: &[u8], retain: bool) -> Result<Bytes, Refused> {
        if retain && !self.retained {
            return Err(Refused::Retained);
        }
        if !self.hex && payload.iter().any(u8::is_ascii_control) {
            return Err(Refused::Control);
        }
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(text) => bytes.extend_from_slice(text),
                Piece::Payload if payload.len() > LONGEST => return Err(Refused::TooLong),
                Piece::Payload => bytes.extend_from_slice(payload),
            }
            if bytes.len() > LONGEST {
                return Err(Refused::TooLong);
            }
        }
        Ok(bytes.into())
    }
}

/// Cuts the template at `{payload}`; `hex:` in front makes the rest hexadecimal digits.
fn pieces(send: &Template) -> Result<(Vec<Piece>, bool), String> {
    let mut pieces = Vec::new();
    let mut hex = false;
    let mut error = None;
    send.render(|piece| match piece {
        Err(_) => pieces.push(Piece::Payload),
        Ok(text) => {
            let digits = text.strip_prefix("hex:").filter(|_| pieces.is_empty());
            hex |= digits.is_some();
            if !hex {
                pieces.push(Piece::Bytes(text.into()));
                return;
            }
            match parse_hex(digits.unwrap_or(text)) {
                Ok(bytes) => pieces.push(Piece::Bytes(bytes)),
                Err(e) => error = Some(e.to_string()),
            }
        }
    });
    error.map_or(Ok((pieces, hex)), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(yaml: &str) -> Result<Command, String> {
        let rule: CommandRule = crate::config::tree::parse(yaml).unwrap();
        Command::build(&rule, &Names { gateway: "gw", port: "p", device: "dev" })
    }

    fn sent(yaml: &str, payload: &[u8]) -> Result<Vec<u8>, Refused> {
        command(yaml).unwrap().bytes(payload, false).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn the_commands_of_the_aiko_gateway() {
        let relay =
            r#"{topic: "{gateway}/{device}/relay", send: "(relay {payload});", terminator: "\n"}"#;
        assert_eq!(command(relay).unwrap().filter.as_str(), "gw/dev/relay");
        assert_eq!(sent(relay, b"on").unwrap(), b"(relay on);\n");
        let display = r#"{topic: a, send: '(display "{payload}");'}"#;
        assert_eq!(sent(display, b"hello").unwrap(), br#"(display "hello");"#);
    }

    #[test]
    fn hexadecimal_bytes_around_the_payload() {
        let yaml = r#"{topic: a, send: "hex:02 {payload} 03", terminator: "hex:0D"}"#;
        assert_eq!(sent(yaml, b"\x00A").unwrap(), b"\x02\x00A\x03\x0d");
        assert!(command(r#"{topic: a, send: "hex:0"}"#).unwrap_err().contains("hexadecimal"));
    }

    #[test]
    fn a_payload_cannot_smuggle_in_a_second_command() {
        let yaml = r#"{topic: a, send: "relay {payload}", terminator: "\n"}"#;
        assert_eq!(sent(yaml, b"on\nformat"), Err(Refused::Control));
        assert_eq!(sent(yaml, &[b'x'; 5000]), Err(Refused::TooLong));
    }

    #[test]
    fn a_message_kept_by_the_broker_is_taken_on_demand_only() {
        let command = |yaml| command(yaml).unwrap();
        let once = command("{topic: a, send: x}");
        assert_eq!(once.bytes(b"", true), Err(Refused::Retained));
        assert!(command("{topic: a, send: x, retained: true}").bytes(b"", true).is_ok());
    }
}
