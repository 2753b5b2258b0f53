//! A message from the broker → bytes for a port.

use super::member::Member;
use super::named::{Named, NamedCommand, Owner};
use crate::base::one_by_one;
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Span, parse_hex, word_schema};
pub use crate::codec::encode::LONGEST;
use crate::codec::encode::Send;
use crate::device::mapping::{Names, Piece as Part, Slot, Template};
use crate::device::settings::DeviceSettings;
use crate::mqtt::topic::{Qos, Topic, TopicFilter, check_fit};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// A running command of one port.
#[derive(Clone, Debug)]
pub struct Command {
    /// What the MQTT task subscribes to for it.
    pub filter: TopicFilter,
    /// QoS of that subscription.
    pub qos: Qos,
    /// Whether a message that the broker kept from before is taken.
    pub retained: bool,
    /// Least time between two commands on the port.
    pub pause: Duration,
    /// A message that is older is refused.
    pub max_age: Option<Duration>,
    /// Where its result and the state that it sets are published.
    pub(super) topics: Option<CommandTopics>,
    /// Which device of the bus it is for.
    pub(super) member: Option<usize>,
    pub(super) how: How,
}

/// Where a command with a name is answered.
#[derive(Clone, Debug)]
pub(super) struct CommandTopics {
    pub(super) result: Topic,
    pub(super) state: Topic,
}

/// How a payload becomes bytes.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// By a text around it.
    Rule(Text),
    Named(Box<Named>),
    /// Into a register of the member, by its number.
    Register(usize),
}

/// The text of a command with the payload in it.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// Whether the command is made of bytes and not of text.
    hex: bool,
    pieces: Vec<Piece>,
    /// What ends the payload for the device, so that it must not be part of it.
    ends: Vec<Vec<u8>>,
}

/// The running commands of a port, or all that is wrong with them.
pub(super) fn build_all(
    device: &DeviceSettings<'_>,
    members: &[Member],
) -> Result<Vec<Command>, Vec<BuildError>> {
    let (mut commands, mut errors) = (Vec::new(), Vec::new());
    for (n, rule) in device.commands.iter().enumerate() {
        match Command::build(rule, &device.names) {
            Ok(command) => commands.push(command),
            Err(error) => errors.push(error.item(n).at("commands")),
        }
    }
    for (n, (settings, member)) in device.members.iter().zip(members).enumerate() {
        let below = |error: BuildError| match settings.key {
            Some(key) => error.at(key).at("devices"),
            None => error,
        };
        let owner = Owner {
            names: settings.names,
            address: settings.address,
            checksum: member.checksum.clone(),
            line: device.line,
            polls: settings.poll.keys().map(String::as_str).collect(),
        };
        for (name, named) in settings.commands {
            match Command::named(name, named, n, &owner) {
                Ok(command) => commands.push(command),
                Err(error) => errors.push(below(error.at(name).at("commands"))),
            }
        }
        for (at, register) in member.registers.iter().enumerate().filter(|(_, it)| it.is_writable())
        {
            match Command::register(&register.name, at, n, &owner) {
                Ok(command) => commands.push(command),
                Err(error) => errors.push(below(error.at(&register.name).at("registers"))),
            }
        }
    }
    if errors.is_empty() { Ok(commands) } else { Err(errors) }
}

/// A piece of what is written.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    Payload,
}

/// Why a command is not written. The text goes into the log and to the command's result topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The message is one that the broker kept from before.
    #[error("kept by the broker from before; set `retained: true` to take such messages")]
    Retained,
    /// The command is longer than any device takes.
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    /// The payload would end the line early and smuggle in a second command.
    #[error("the payload contains a line break or another control character")]
    Control,
    /// The payload contains what ends it for the device.
    #[error("the payload contains {0:?}, with which it would end early")]
    Ends(String),
    /// No rule of the port takes the topic: the broker keeps a subscription that a reload ended.
    #[error("the port has no command for this topic")]
    NoRule,
    /// The command does not take this payload.
    #[error("{0}")]
    Payload(String),
    /// The device refuses: a Modbus exception by its name, or what `refused` says.
    #[error("{0}")]
    Device(String),
    /// The device did not answer, so that nobody knows what became of it.
    #[error("no answer from {0}")]
    NoAnswer(String),
    /// What was read back differs from what was written.
    #[error("is {0}")]
    NotTaken(String),
    /// The message is older than its rule's `max_age`, or of unknown age.
    #[error("it is older than `max_age`")]
    TooOld,
    /// The message expiry that its sender gave it is over (MQTT 5.0, 3.3.2.3.3).
    #[error("its sender's message expiry is over")]
    Expired,
    /// The client of the control socket that asked for it does not wait any more.
    #[error("who asked for it has gone")]
    Alone,
    /// A reload took the port out of the configuration.
    #[error("the port is no longer in the configuration")]
    Removed,
    /// The gateway ends, and the broker would not send the command again.
    #[error("the gateway is ending")]
    Ending,
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

impl CommandError {
    /// The text of the command's result.
    pub fn result(&self) -> String {
        match self {
            CommandError::Device(why) => why.clone(),
            CommandError::NoAnswer(_) | CommandError::Cut => format!("unknown: {self}"),
            CommandError::NotTaken(_) => format!("not taken: {self}"),
            _ => format!("refused: {self}"),
        }
    }

    /// Why it was not done, for people who see that it was refused or failed.
    pub fn reason(&self) -> String {
        if self.is_late() { self.result() } else { self.to_string() }
    }

    /// Whether something was written before it went wrong.
    pub fn is_late(&self) -> bool {
        matches!(
            self,
            CommandError::Device(_) | CommandError::NoAnswer(_) | CommandError::NotTaken(_)
        )
    }

    /// The port is not open, for this reason if there was one.
    pub fn away(error: Option<&str>) -> CommandError {
        CommandError::Away(error.unwrap_or("not opened yet").into())
    }
}

impl Command {
    /// The running rule for a port with these names.
    pub fn build(rule: &CommandRule, names: &Names<'_>) -> Result<Command, BuildError> {
        let known = names.slots();
        let topic = rule.topic.fix(&known, &[], Some(&[]));
        let topic = topic.map_err(|error| error.at("topic"))?;
        let text = topic.as_text().unwrap_or_default();
        let filter = check_fit(text).and_then(|()| text.parse::<TopicFilter>());
        let filter = filter.map_err(|error| BuildError::from(error).at("topic"))?;
        let send = rule.send.fix(&known, &[Slot::Payload], Some(&[]));
        let send = send.map_err(|error| error.remedy(IN_RULES).at("send"))?;
        let (mut pieces, hex) = pieces(&send).map_err(|error| error.at("send"))?;
        pieces.push(Piece::Bytes(rule.terminator.as_bytes().to_vec()));
        let ends = if hex { Vec::new() } else { ends(&pieces) };
        Ok(Command {
            filter,
            qos: rule.qos,
            retained: rule.retained,
            pause: rule.pause.duration(),
            max_age: rule.max_age.map(Span::duration),
            topics: None,
            member: None,
            how: How::Rule(Text { hex, pieces, ends }),
        })
    }

    /// The running command of this name, of the member of this number.
    fn named(
        name: &str,
        settings: &NamedCommand,
        member: usize,
        owner: &Owner<'_>,
    ) -> Result<Command, BuildError> {
        let how = How::Named(Box::new(settings.build(owner)?));
        let command = Command::below(name, member, how, owner)?;
        Ok(Command {
            qos: settings.qos,
            retained: settings.retained,
            pause: settings.pause.map_or(command.pause, Span::duration),
            max_age: settings.max_age.map(Span::duration),
            ..command
        })
    }

    /// The running command that writes a register.
    fn register(
        name: &str,
        register: usize,
        member: usize,
        owner: &Owner<'_>,
    ) -> Result<Command, BuildError> {
        let command = Command::below(name, member, How::Register(register), owner)?;
        // Requests have a silence of their own.
        Ok(Command { pause: Duration::ZERO, ..command })
    }

    /// A command below the topics of its device.
    fn below(
        name: &str,
        member: usize,
        how: How,
        owner: &Owner<'_>,
    ) -> Result<Command, BuildError> {
        if name.is_empty() || name.contains(['/', '+', '#']) {
            let error = BuildError::new(format!("{name:?} is not one level of a topic"));
            return Err(error.remedy("take a name without / + #"));
        }
        let base = format!("{}/{}/{name}", owner.names.gateway, owner.names.device);
        let topic = |end: &str| -> Result<Topic, BuildError> {
            check_fit(&base)?;
            Ok(format!("{base}{end}").parse::<Topic>()?)
        };
        let topics = CommandTopics { result: topic("/result")?, state: topic("")? };
        Ok(Command {
            filter: topic("/set")?.as_str().parse()?,
            qos: Qos::default(),
            retained: false,
            pause: CommandRule::default_pause().duration(),
            max_age: None,
            topics: Some(topics),
            member: Some(member),
            how,
        })
    }

    /// When a message is too old to be written, and why: counted from when it was sent, as far as
    /// that is known, or by its own expiry. An error if it is too old for sure.
    pub fn stale(
        &self,
        since: Option<Instant>,
        expires: Option<Instant>,
    ) -> Result<Option<(Instant, CommandError)>, CommandError> {
        let of_rule = match (self.max_age, since) {
            (Some(_), None) => return Err(CommandError::TooOld),
            (Some(most), Some(since)) => Some((since + most, CommandError::TooOld)),
            (None, _) => None,
        };
        let of_sender = expires.map(|at| (at, CommandError::Expired));
        Ok(of_rule.into_iter().chain(of_sender).min_by_key(|(at, _)| *at))
    }

    /// The topic to which the payload is published as the device's assumed state.
    pub(super) fn assumed_state(&self) -> Option<Topic> {
        let is_assumed = matches!(&self.how, How::Named(named) if named.is_assumed);
        self.topics.as_ref().filter(|_| is_assumed).map(|topics| topics.state.clone())
    }

    /// Whether a message is one that the command takes at all.
    pub(super) fn admit(&self, retain: bool) -> Result<(), CommandError> {
        if retain && !self.retained { Err(CommandError::Retained) } else { Ok(()) }
    }
}

impl Text {
    /// The bytes to write for a message.
    ///
    /// In a text command the payload must not contain what ends or alters the command: control
    /// characters, and what follows the payload. With a line break, who may switch a relay could send
    /// the device anything. After `hex:` every byte is let through.
    pub(super) fn bytes(&self, payload: &[u8]) -> Result<Bytes, CommandError> {
        if !self.hex && has_control(payload) {
            return Err(CommandError::Control);
        }
        refuse_ends(payload, &self.ends)?;
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(text) => bytes.extend_from_slice(text),
                Piece::Payload if payload.len() > LONGEST => return Err(CommandError::TooLong),
                Piece::Payload => bytes.extend_from_slice(payload),
            }
            if bytes.len() > LONGEST {
                return Err(CommandError::TooLong);
            }
        }
        Ok(bytes.into())
    }
}

fn refuse_ends(payload: &[u8], ends: &[Vec<u8>]) -> Result<(), CommandError> {
    let contains = |end: &&Vec<u8>| payload.windows(end.len()).any(|part| part == **end);
    match ends.iter().find(contains) {
        Some(end) => Err(CommandError::Ends(String::from_utf8_lossy(end).into_owned())),
        None => Ok(()),
    }
}

/// Refuses a payload that may end or alter the text that it is put into as `{value}`.
pub(super) fn check_free(payload: &[u8], send: &Send) -> Result<(), CommandError> {
    if has_control(payload) {
        return Err(CommandError::Control);
    }
    let ends: Vec<Vec<u8>> = send.behind("value").map(<[u8]>::to_vec).collect();
    refuse_ends(payload, &ends)
}

/// Whether text contains what a line or a device may take for more than a character of it: control
/// characters of both ranges, as characters or as bytes, breaks of lines and paragraphs, and those
/// that change the direction of writing.
fn has_control(text: &[u8]) -> bool {
    let alters = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let is_c1 = |byte: &u8| (0x80..0xa0).contains(byte);
    let mut chunks = text.utf8_chunks();
    chunks.any(|chunk| chunk.valid().chars().any(alters) || chunk.invalid().iter().any(is_c1))
}

/// What ends the payload: the text behind it, the quotation mark or bracket that this begins with,
/// and the terminator. In quotation marks a backslash would make the end part of the payload.
fn ends(pieces: &[Piece]) -> Vec<Vec<u8>> {
    let mut ends: Vec<Vec<u8>> = Vec::new();
    for pair in pieces.windows(2) {
        let [Piece::Payload, Piece::Bytes(behind)] = pair else { continue };
        ends.push(behind.clone());
        match behind.first() {
            Some(quote @ (b'"' | b'\'')) => ends.extend([vec![*quote], vec![b'\\']]),
            Some(bracket @ (b')' | b']' | b'}' | b'>')) => ends.push(vec![*bracket]),
            _ => {}
        }
    }
    let has_payload = pieces.iter().any(|piece| matches!(piece, Piece::Payload));
    if let Some(Piece::Bytes(terminator)) = pieces.last().filter(|_| has_payload) {
        ends.push(terminator.clone());
    }
    // Blanks between two parts of a command are in many payloads.
    ends.retain(|end| end.iter().any(|byte| *byte != b' '));
    ends
}

/// Which placeholders there are in `send` of a command with a topic of its own.
const IN_RULES: &str = "there are {gateway} {port} {device} {payload}; a command with a name, \
                        `commands: {NAME: {send: …}}`, has {checksum}, too";

/// Cuts the template at `{payload}`; `hex:` in front makes the rest hexadecimal digits.
fn pieces(send: &Template) -> Result<(Vec<Piece>, bool), BuildError> {
    let mut pieces = Vec::new();
    let mut hex = false;
    let mut error = None;
    send.render(|piece| match piece {
        // `fix` lets no other placeholder through.
        Part::Slot(_) | Part::Field(_) | Part::Levels(_) => pieces.push(Piece::Payload),
        Part::Text(text) => {
            let digits = text.strip_prefix("hex:").filter(|_| pieces.is_empty());
            hex |= digits.is_some();
            if !hex {
                pieces.push(Piece::Bytes(text.into()));
                return;
            }
            match parse_hex(digits.unwrap_or(text)) {
                Ok(bytes) => pieces.push(Piece::Bytes(bytes)),
                Err(wrong) => error = Some(wrong),
            }
        }
    });
    error.map_or(Ok((pieces, hex)), Err)
}

/// The commands of a port: a map by name, or a list of rules with topics of their own.
#[derive(Clone, Debug, Default)]
pub struct CommandSettings {
    pub rules: Vec<CommandRule>,
    pub named: BTreeMap<String, NamedCommand>,
}

impl<'de> Deserialize<'de> for CommandSettings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<CommandSettings, D::Error> {
        struct ListOrMap;
        impl<'de> de::Visitor<'de> for ListOrMap {
            type Value = CommandSettings;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                items: A,
            ) -> Result<CommandSettings, A::Error> {
                let rules = one_by_one::all_items(items)?;
                Ok(CommandSettings { rules, ..CommandSettings::default() })
            }
            fn visit_map<A: de::MapAccess<'de>>(
                self,
                keys: A,
            ) -> Result<CommandSettings, A::Error> {
                let named = one_by_one::all_keys(keys)?;
                Ok(CommandSettings { named, ..CommandSettings::default() })
            }
        }
        from.deserialize_any(ListOrMap)
    }
}

word_schema!(CommandSettings, generator: {"anyOf": [
    {"type": "array", "items": generator.subschema_for::<CommandRule>()},
    {"type": "object", "additionalProperties": generator.subschema_for::<NamedCommand>()},
]});

/// A message from the broker that is written to the port.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommandRule {
    /// Topic filter to subscribe to. Placeholders: `{gateway}`, `{port}` and `{device}`.
    pub topic: Template,
    /// The bytes to write. `{payload}` is the payload of the message. After `hex:` the text is
    /// hexadecimal bytes, with the payload as bytes among them. In any other text a payload is
    /// refused that could end or change the command: one with a control character, a line break of
    /// any kind, a character that changes the direction of writing, the text after `{payload}`, the
    /// quotation mark or closing bracket that this text begins with, or the terminator.
    pub send: Template,
    /// Bytes to write after it, such as `"\r\n"`.
    #[serde(default)]
    pub terminator: ByteString,
    /// The shortest time between two commands on this port. Default: 50ms.
    #[serde(default = "CommandRule::default_pause")]
    pub pause: Span,
    /// QoS of the subscription.
    #[serde(default)]
    pub qos: Qos,
    /// `true`: also take the message that the broker has retained. By default it is ignored,
    /// because the broker would send it again at each reconnect.
    #[serde(default)]
    pub retained: bool,
    /// Messages older than this are refused, 1s to 7d. A message does not say when it was sent, so
    /// its age is the time since it reached the gateway. What the broker kept during an outage
    /// (`clean: false`) is taken as sent when the connection ended; if the gateway was restarted
    /// since, or if the broker has retained the message, its age is unknown, and it is refused.
    /// Default: any age. A message expiry of MQTT 5 holds in any case, also while the command waits
    /// here.
    #[serde(default)]
    pub max_age: Option<Span>,
}

impl CommandRule {
    fn default_pause() -> Span {
        Span::from_millis(50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(yaml: &str) -> Result<Command, BuildError> {
        let rule: CommandRule = crate::config::tree::parse(yaml).unwrap();
        Command::build(&rule, &Names { gateway: "gw", port: "p", device: "dev" })
    }

    fn bytes(command: &Command, payload: &[u8]) -> Result<Vec<u8>, CommandError> {
        let How::Rule(text) = &command.how else { panic!("{command:?}") };
        text.bytes(payload).map(|bytes| bytes.to_vec())
    }

    fn sent(yaml: &str, payload: &[u8]) -> Result<Vec<u8>, CommandError> {
        bytes(&command(yaml).unwrap(), payload)
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
        assert!(command(r#"{topic: a, send: "hex:0"}"#).unwrap_err().what.contains("hexadecimal"));
    }

    #[test]
    fn a_payload_cannot_smuggle_in_a_second_command() {
        let yaml = r#"{topic: a, send: "relay {payload}", terminator: "\n"}"#;
        assert_eq!(sent(yaml, b"on\nformat"), Err(CommandError::Control));
        assert_eq!(sent(yaml, &[b'x'; 5000]), Err(CommandError::TooLong));
    }

    #[test]
    fn a_payload_cannot_end_or_alter_its_own_command() {
        let relay = r#"{topic: a, send: "(relay {payload});", terminator: "\n"}"#;
        let ends = |text: &str| Err(CommandError::Ends(text.into()));
        assert_eq!(sent(relay, b"on);(reset"), ends(");"));
        assert_eq!(sent(relay, b"on) (reset"), ends(")"));
        assert_eq!(sent(relay, b"on;").unwrap(), b"(relay on;);\n");
        let display = r#"{topic: a, send: '(display "{payload}");'}"#;
        assert_eq!(sent(display, br#"a" b"#), ends("\""));
        assert_eq!(sent(display, br"a\"), ends("\\"));
        assert_eq!(sent(display, b"smile :)").unwrap(), br#"(display "smile :)");"#);
        let semicolon = r#"{topic: a, send: "SET {payload}", terminator: ";"}"#;
        assert_eq!(sent(semicolon, b"1;RESET"), ends(";"));
        // A part behind blanks, and the payload twice.
        let twice = r#"{topic: a, send: "x {payload} {payload} end"}"#;
        assert_eq!(sent(twice, b"a b").unwrap(), b"x a b a b end");
        assert_eq!(sent(twice, b"a end"), ends(" end"));
        let hex = r#"{topic: a, send: "hex:02 {payload} 03", terminator: "hex:0D"}"#;
        assert_eq!(sent(hex, b"\x03\x0d\x85").unwrap(), b"\x02\x03\x0d\x85\x03\x0d");
    }

    #[test]
    fn control_characters_of_all_kinds_are_refused() {
        let yaml = r#"{topic: a, send: "{payload}", terminator: "\n"}"#;
        for text in ["\0", "\x1b[", "\x7f", "\u{85}", "\u{9b}", "\u{2028}", "\u{2029}", "\u{202e}"]
        {
            assert_eq!(
                sent(yaml, format!("a{text}b").as_bytes()),
                Err(CommandError::Control),
                "{text:?}"
            );
        }
        for bytes in [b"a\x85b", b"a\x9bb", b"\xc3\x9b\x9b"] {
            assert_eq!(sent(yaml, bytes), Err(CommandError::Control), "{bytes:?}");
        }
        // Letters that have such bytes in UTF-8, and Latin-1.
        for bytes in ["\u{c0}\u{2026}".as_bytes(), b"20 \xb0C"] {
            assert!(sent(yaml, bytes).is_ok(), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_is_stale_by_its_rule_or_by_its_sender() {
        let start = Instant::now();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        let any = command("{topic: a, send: x}").unwrap();
        assert_eq!(any.stale(None, None), Ok(None));
        assert_eq!(any.stale(None, at(5)), Ok(Some((at(5).unwrap(), CommandError::Expired))));
        let fresh = command("{topic: a, send: x, max_age: 10s}").unwrap();
        assert_eq!(fresh.stale(None, None), Err(CommandError::TooOld));
        assert_eq!(fresh.stale(at(1), None), Ok(Some((at(11).unwrap(), CommandError::TooOld))));
        assert_eq!(fresh.stale(at(1), at(5)), Ok(Some((at(5).unwrap(), CommandError::Expired))));
    }

    #[test]
    fn a_message_kept_by_the_broker_is_taken_on_demand_only() {
        let command = |yaml| command(yaml).unwrap();
        let once = command("{topic: a, send: x}");
        assert_eq!(once.admit(true), Err(CommandError::Retained));
        assert!(command("{topic: a, send: x, retained: true}").admit(true).is_ok());
    }
}
