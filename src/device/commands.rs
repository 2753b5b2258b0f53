//! The commands of a device: what waits to be written, for how long, and what becomes of each.

use super::command::{Command, CommandError, How};
use super::inbound::{Inbound, Receipt, Respond};
use super::member::Member;
use super::step::Reply;
use crate::codec::modbus::{Mode, Request};
use crate::mqtt::message::Message;
use crate::mqtt::topic::Topic;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Commands {
    pub(super) rules: Vec<Command>,
    pub(super) queue: VecDeque<PendingCommand>,
    pub(super) line: Line,
    /// How long commands wait for a line that is not open.
    patience: Duration,
    /// What keeps the line away.
    why: Option<String>,
    concluded: Vec<Concluded>,
}

/// The line, as commands see it.
#[derive(Debug)]
pub(super) enum Line {
    Open,
    /// The line is about to open: commands wait.
    Coming {
        until: Instant,
    },
    /// The line has been away for so long that commands are refused.
    Away,
}

/// A command that was made of a message and is not written in full.
#[derive(Debug)]
pub(super) struct PendingCommand {
    pub(super) topic: Topic,
    pub(super) receipt: Receipt,
    /// What is written first, all of it.
    pub(super) bytes: Bytes,
    /// Least time between it and the next one.
    pub(super) pause: Duration,
    /// When it becomes too late to begin, and why.
    pub(super) stale: Option<(Instant, CommandError)>,
    pub(super) plan: Plan,
    /// The payload of its message, for the state that it sets.
    payload: Bytes,
    /// How often it was written without an answer.
    pub(super) tries: u8,
    report: Report,
}

/// What is awaited when a command was written.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    Nothing,
    /// A frame that `reply` recognises; the poll `then` follows, if there is one.
    Reply {
        member: usize,
        reply: Box<Reply>,
        then: Option<String>,
    },
    /// Nothing is awaited, and a poll follows.
    Poll {
        member: usize,
        then: String,
    },
    /// The answer to a Modbus request that writes a register of the member; then it is read back.
    Register {
        member: usize,
        register: usize,
        request: Request,
    },
}

impl Plan {
    /// The device that is to answer.
    pub(super) fn member(&self) -> Option<usize> {
        match self {
            Plan::Nothing => None,
            Plan::Reply { member, .. }
            | Plan::Poll { member, .. }
            | Plan::Register { member, .. } => Some(*member),
        }
    }
}

/// Where the result of a command goes, and the state that it sets.
#[derive(Clone, Debug, Default)]
struct Report {
    result: Option<Topic>,
    state: Option<Topic>,
    respond: Option<Respond>,
}

/// What became of a command: its bytes when it was written, or why it was refused. Its owner reports
/// that, and then acknowledges the message.
#[derive(Debug)]
pub struct Concluded {
    pub topic: Topic,
    pub receipt: Receipt,
    pub result: Result<Bytes, CommandError>,
    /// Whether its device said that it is done.
    pub has_answered: bool,
    /// What is published besides: the result, and the state that was set.
    pub messages: Vec<Message>,
}

impl Report {
    /// What is published of a command with this payload. `has_answered`: the device said that it is done.
    fn messages(
        self,
        payload: Bytes,
        result: Result<(), &CommandError>,
        has_answered: bool,
    ) -> Vec<Message> {
        let text = match result {
            Ok(()) if has_answered => "done".to_owned(),
            Ok(()) => "sent".to_owned(),
            Err(why) => why.result(),
        };
        let state = self.state.filter(|_| result.is_ok()).map(|topic| Message::new(topic, payload));
        let result = match (self.respond, self.result) {
            (Some(respond), _) => Some(respond.message(text)),
            (None, Some(topic)) => Some(Message::new(topic, text)),
            (None, None) => None,
        };
        state.into_iter().chain(result).collect()
    }
}

/// What is written for a payload, and awaited then.
fn make(
    command: &Command,
    payload: &Bytes,
    members: &[Member],
) -> Result<(Bytes, Plan), CommandError> {
    let text = || {
        let text = std::str::from_utf8(payload);
        text.map_err(|_| CommandError::Payload("it is not text in UTF-8".into()))
    };
    let member = command.member.unwrap_or_default();
    match &command.how {
        How::Rule(rule) => Ok((rule.bytes(payload)?, Plan::Nothing)),
        How::Named(named) => {
            let plan = match (&named.reply, &named.then) {
                (Some(reply), then) => {
                    Plan::Reply { member, reply: Box::new(reply.clone()), then: then.clone() }
                }
                (None, Some(then)) => Plan::Poll { member, then: then.clone() },
                (None, None) => Plan::Nothing,
            };
            Ok((named.bytes(text()?)?, plan))
        }
        How::Register(register) => {
            let found = members.get(member).and_then(|member| member.registers.get(*register));
            let running = found.ok_or(CommandError::NoRule)?;
            let request = running.encode(text()?);
            let request = request.map_err(|why| CommandError::Payload(why.to_string()))?;
            // The frame is made when it is written; this one has the same length.
            let bytes = request.encode(Mode::Rtu, 0, 0).into();
            Ok((bytes, Plan::Register { member, register: *register, request }))
        }
    }
}

impl PendingCommand {
    pub(super) fn concluded(
        self,
        result: Result<(), CommandError>,
        has_answered: bool,
    ) -> Concluded {
        let PendingCommand { topic, receipt, bytes, payload, report, .. } = self;
        let messages = report.messages(payload, result.as_ref().map(|_| ()), has_answered);
        Concluded { topic, receipt, result: result.map(|()| bytes), has_answered, messages }
    }

    /// Why it must not be written any more, unless it has begun.
    pub(super) fn is_over(&self, now: Instant) -> Option<CommandError> {
        if self.receipt.is_abandoned() {
            return Some(CommandError::Alone);
        }
        self.stale.as_ref().filter(|(at, _)| *at <= now).map(|(_, why)| why.clone())
    }
}

impl Commands {
    pub(super) fn new(rules: Vec<Command>, patience: Duration) -> Commands {
        let (queue, concluded) = (VecDeque::new(), Vec::new());
        Commands { rules, queue, line: Line::Away, patience, why: None, concluded }
    }

    /// The line is about to be opened: commands wait for it.
    pub(super) fn coming(&mut self, now: Instant) {
        self.line = Line::Coming { until: now + self.patience };
    }

    /// The line is not open, or could not be opened.
    pub(super) fn closed(&mut self, why: &str, now: Instant) {
        self.why = Some(why.to_owned());
        if let Line::Open = self.line {
            self.coming(now);
        }
    }

    /// Makes a message into commands, one for each rule that wants it.
    pub(super) fn take(&mut self, inbound: Inbound, members: &[Member], now: Instant) {
        let Inbound { topic, payload, retain, since, expires, respond, receipt } = inbound;
        let mut is_wanted = false;
        for rule in self.rules.iter().filter(|rule| rule.filter.matches(topic.as_str())) {
            is_wanted = true;
            let made = match self.line {
                Line::Away => Err(CommandError::away(self.why.as_deref())),
                Line::Open | Line::Coming { .. } => {
                    rule.admit(retain).and_then(|()| make(rule, &payload, members))
                }
            };
            let made = made.and_then(|made| Ok((made, rule.stale(since, expires)?)));
            let (topic, receipt) = (topic.clone(), receipt.share());
            let report = Report {
                result: rule.topics.as_ref().map(|topics| topics.result.clone()),
                state: rule.assumed_state(),
                respond: respond.clone(),
            };
            match made {
                Ok(((bytes, plan), stale)) if !bytes.is_empty() => {
                    self.queue.push_back(PendingCommand {
                        topic,
                        receipt,
                        bytes,
                        pause: rule.pause,
                        stale,
                        plan,
                        payload: payload.clone(),
                        tries: 0,
                        report,
                    });
                }
                // Nothing to write is written at once.
                made => {
                    let result = made.map(|((bytes, _), _)| bytes);
                    let messages =
                        report.messages(payload.clone(), result.as_ref().map(|_| ()), false);
                    let has_answered = false;
                    let concluded = Concluded { topic, receipt, result, has_answered, messages };
                    self.concluded.push(concluded);
                }
            }
        }
        if !is_wanted {
            let result = Err(CommandError::NoRule);
            let (receipt, has_answered, messages) = (receipt.share(), false, Vec::new());
            self.concluded.push(Concluded { topic, receipt, result, has_answered, messages });
        }
        receipt.acknowledge();
        self.expire(now);
    }

    /// The next command to write. Those in front of it that are too old are refused.
    pub(super) fn next(&mut self, now: Instant) -> Option<PendingCommand> {
        while let Some(command) = self.queue.pop_front() {
            match command.is_over(now) {
                Some(why) => self.refuse(command, why),
                None => return Some(command),
            }
        }
        None
    }

    /// Refuses what has waited for too long for the line. Returns whether the line is away from now on.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let is_over = matches!(self.line, Line::Coming { until } if until <= now);
        if is_over {
            self.line = Line::Away;
            for command in std::mem::take(&mut self.queue) {
                self.refuse(command, CommandError::away(self.why.as_deref()));
            }
        }
        is_over
    }

    pub(super) fn refuse(&mut self, command: PendingCommand, why: CommandError) {
        self.concluded.push(command.concluded(Err(why), false));
    }

    /// A command was written in full. `has_answered`: its device says that it is done.
    pub(super) fn sent(&mut self, command: PendingCommand, has_answered: bool) {
        self.concluded.push(command.concluded(Ok(()), has_answered));
    }

    /// What became of commands since the last call.
    pub(super) fn concluded(&mut self) -> Vec<Concluded> {
        std::mem::take(&mut self.concluded)
    }
}

#[cfg(test)]
mod tests {
    use crate::base::clock::Now;
    use crate::device::command::{CommandError, CommandRule};
    use crate::device::inbound::{Inbound, Receipt};
    use crate::device::mapping::Names;
    use crate::device::settings::{DeviceSettings, Framing, Mode};
    use crate::device::{Device, Transmit, Unwritten};
    use std::collections::BTreeMap;
    use std::time::Duration;

    const PAUSE: Duration = Duration::from_millis(50);
    const MAX_AGE: Duration = Duration::from_secs(60);
    const WAIT: Duration = Duration::from_secs(30);
    const STUCK: Duration = Duration::from_secs(10);
    const TICK: Duration = Duration::from_nanos(1);

    /// A device that writes the payload of each command and a `;`, on a clock that only the test
    /// moves.
    struct Bench {
        device: Device,
        now: Now,
    }

    impl Bench {
        fn new() -> Bench {
            let rule = "{topic: t, send: '{payload}', terminator: ';', max_age: 60s}";
            let rule: CommandRule = crate::config::tree::parse(rule).unwrap();
            let settings = DeviceSettings {
                names: Names { gateway: "gw", port: "p", device: "dev" },
                line: None,
                framing: &Framing::default(),
                checksum: None,
                decrypt: None,
                decode: None,
                messages: None,
                frames: &[],
                fields: &BTreeMap::new(),
                commands: &[rule],
                command_wait: WAIT,
                members: Vec::new(),
                mode: Mode::Rtu,
                silence: None,
                turnaround: Duration::ZERO,
                echo: None,
            };
            Bench { device: Device::build(&settings).unwrap(), now: Now::read() }
        }

        /// A device on an open line.
        fn open() -> Bench {
            let mut bench = Bench::new();
            bench.device.coming(None, bench.now.mono);
            bench.device.opened(bench.now.mono);
            bench
        }

        fn command(&mut self, payload: &'static str) {
            let inbound = Inbound {
                topic: "t".parse().unwrap(),
                payload: payload.into(),
                retain: false,
                since: Some(self.now.mono),
                expires: None,
                respond: None,
                receipt: Receipt::default(),
            };
            self.device.command(inbound, self.now.mono);
        }

        fn transmit(&mut self) -> Option<String> {
            let transmit = self.device.transmit(self.now, &mut Vec::new())?;
            let Transmit::Write(bytes) = transmit else { panic!("{transmit:?}") };
            Some(String::from_utf8(bytes.to_vec()).unwrap())
        }

        fn wrote(&mut self, n: usize) {
            self.device.wrote(n, self.now, &mut Vec::new());
        }

        /// Lets time pass, and the device do what is due then.
        fn after(&mut self, time: Duration) {
            self.now = self.now.after(time);
            self.device.timeout(self.now, &mut Vec::new());
        }

        /// How long it is until the device's deadline.
        fn due(&self) -> Option<Duration> {
            self.device.deadline().map(|due| due - self.now.mono)
        }

        /// What became of commands: what was written, or why it was not.
        fn concluded(&mut self) -> Vec<Result<String, CommandError>> {
            let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            self.device.concluded().into_iter().map(|it| it.result.map(text)).collect()
        }

        /// Another device, which takes over what this one has not written.
        fn replaced(mut self) -> Bench {
            let left: Unwritten = self.device.stop();
            let mut next = Bench { now: self.now, ..Bench::new() };
            next.device.coming(Some(left), next.now.mono);
            next
        }
    }

    fn written(text: &str) -> Result<String, CommandError> {
        Ok(text.to_owned())
    }

    #[test]
    fn a_pause_stands_between_two_commands() {
        let mut bench = Bench::open();
        bench.command("a");
        bench.command("b");
        assert!(!bench.device.wants_command());
        assert_eq!(bench.transmit().unwrap(), "a;");
        bench.wrote(2);
        assert_eq!(bench.concluded(), [written("a;")]);
        assert_eq!((bench.transmit(), bench.due()), (None, Some(PAUSE)));
        bench.after(PAUSE - TICK);
        assert_eq!((bench.transmit(), bench.due()), (None, Some(TICK)));
        bench.after(TICK);
        assert_eq!(bench.transmit().unwrap(), "b;");
        bench.wrote(2);
        // Nothing waits for the end of this pause.
        assert_eq!(bench.due(), None);
        assert!(bench.device.wants_command());
    }

    #[test]
    fn a_write_that_the_line_does_not_take_is_given_up_and_the_next_one_begins() {
        let mut bench = Bench::open();
        bench.command("abc");
        bench.command("d");
        assert_eq!(bench.transmit().unwrap(), "abc;");
        assert_eq!(bench.due(), Some(STUCK));
        bench.after(STUCK - TICK);
        bench.wrote(1);
        assert_eq!((bench.transmit().unwrap().as_str(), bench.due()), ("bc;", Some(STUCK)));
        bench.after(STUCK - TICK);
        assert!(bench.concluded().is_empty());
        bench.after(TICK);
        assert_eq!(bench.concluded(), [Err(CommandError::Stuck)]);
        assert_eq!((bench.transmit().unwrap().as_str(), bench.due()), ("d;", Some(STUCK)));
    }

    #[test]
    fn when_the_line_closes_what_is_half_written_is_refused_and_what_has_not_begun_waits() {
        let mut bench = Bench::open();
        bench.command("a");
        bench.command("b");
        bench.transmit().unwrap();
        bench.wrote(1);
        bench.device.closed("unplugged", bench.now.mono);
        assert_eq!(bench.concluded(), [Err(CommandError::Cut)]);
        bench.device.opened(bench.now.mono);
        assert_eq!(bench.transmit().unwrap(), "b;");
        // Not a byte of this one was taken: it is written from its beginning.
        bench.device.closed("unplugged", bench.now.mono);
        assert!(bench.concluded().is_empty());
        bench.device.opened(bench.now.mono);
        assert_eq!(bench.transmit().unwrap(), "b;");
        bench.wrote(2);
        assert_eq!(bench.concluded(), [written("b;")]);
    }

    #[test]
    fn a_close_does_not_shorten_a_pause() {
        let mut bench = Bench::open();
        bench.command("a");
        bench.command("b");
        bench.transmit().unwrap();
        bench.wrote(2);
        bench.device.closed("unplugged", bench.now.mono);
        bench.device.opened(bench.now.mono);
        assert_eq!((bench.transmit(), bench.due()), (None, Some(PAUSE)));
        let mut next = bench.replaced();
        next.device.opened(next.now.mono);
        assert_eq!((next.transmit(), next.due()), (None, Some(PAUSE)));
        next.after(PAUSE);
        assert_eq!(next.transmit().unwrap(), "b;");
    }

    #[test]
    fn commands_wait_for_a_line_that_is_coming_and_are_refused_when_it_stays_away() {
        let mut bench = Bench::open();
        bench.command("a");
        bench.device.closed("unplugged", bench.now.mono);
        assert_eq!((bench.transmit(), bench.due()), (None, Some(WAIT)));
        assert!(!bench.device.wants_command(), "messages wait where they are counted");
        // A try that fails does not begin the wait again; its reason is the one that is told.
        bench.after(WAIT / 2);
        bench.device.closed("not there", bench.now.mono);
        assert_eq!(bench.due(), Some(WAIT / 2));
        bench.after(WAIT / 2 - TICK);
        assert!(bench.concluded().is_empty());
        bench.after(TICK);
        assert_eq!(bench.concluded(), [Err(CommandError::Away("not there".into()))]);
        assert_eq!(bench.due(), None);
        // From now on each is refused at once, until the line is open.
        assert!(bench.device.wants_command());
        bench.command("b");
        assert_eq!(bench.concluded(), [Err(CommandError::Away("not there".into()))]);
        bench.device.opened(bench.now.mono);
        bench.command("c");
        assert_eq!(bench.transmit().unwrap(), "c;");
    }

    #[test]
    fn each_close_gives_commands_the_whole_wait() {
        let mut bench = Bench::open();
        bench.command("a");
        bench.device.closed("unplugged", bench.now.mono);
        bench.after(WAIT - TICK);
        bench.device.opened(bench.now.mono);
        bench.device.closed("unplugged", bench.now.mono);
        assert_eq!(bench.due(), Some(WAIT));
        bench.after(WAIT - TICK);
        assert!(bench.concluded().is_empty());
        bench.after(TICK);
        assert_eq!(bench.concluded(), [Err(CommandError::Away("unplugged".into()))]);
    }

    #[test]
    fn the_age_of_a_command_goes_on_while_the_line_is_away() {
        for (late, expected) in [(TICK, Some("a;")), (Duration::ZERO, None)] {
            let mut bench = Bench::open();
            bench.command("a");
            bench.device.closed("unplugged", bench.now.mono);
            bench.after(WAIT - TICK);
            bench.device.opened(bench.now.mono);
            bench.device.closed("unplugged", bench.now.mono);
            bench.after(WAIT - TICK);
            bench.device.opened(bench.now.mono);
            bench.after(MAX_AGE - 2 * (WAIT - TICK) - late);
            assert_eq!(bench.transmit().as_deref(), expected);
            let refused: &[_] = if late.is_zero() { &[Err(CommandError::TooOld)] } else { &[] };
            assert_eq!(bench.concluded(), refused);
        }
    }

    #[test]
    fn a_command_that_has_begun_does_not_grow_too_old_and_one_that_has_not_does() {
        for (taken, expected) in [(1, Some(";")), (0, None)] {
            let mut bench = Bench::open();
            bench.command("a");
            bench.after(MAX_AGE - TICK);
            assert_eq!(bench.transmit().unwrap(), "a;");
            bench.wrote(taken);
            bench.after(TICK);
            assert_eq!(bench.transmit().as_deref(), expected);
            let refused: &[_] = if taken == 0 { &[Err(CommandError::TooOld)] } else { &[] };
            assert_eq!(bench.concluded(), refused);
        }
    }
}
