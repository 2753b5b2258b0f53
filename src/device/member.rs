//! A device that is asked: what for, and how it answers.

use super::bus::Place;
use super::doubt::{Asked, Doubt};
use super::exchange::Timing;
use super::named::NamedCommand;
use super::poll::{PollSettings, Recurrence};
use super::step::{Step, StepSettings};
use crate::base::clock::Now;
use crate::base::line::Line;
use crate::base::path::BuildError;
use crate::base::scalar::Span;
use crate::codec::checksum::Summer;
use crate::codec::frame::Checksum;
use crate::codec::modbus::{
    self, ByteOrder, Exception, Group, Join, Mode, Register, RegisterSettings, plan, register,
};
use crate::device::mapping::{Mapper, Mapping, Names};
use crate::device::pipeline::Kind;
use crate::device::settings::{Decode, Decrypt, FieldOverride, Framing};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// What the settings say of a device that is asked: of the port's only one, or of one under `devices`.
#[derive(Clone, Copy, Debug)]
pub struct MemberSettings<'a> {
    pub names: Names<'a>,
    /// Its key under `devices`; none where the port's own keys describe it.
    pub key: Option<&'a str>,
    /// Its address on the bus.
    pub address: Option<u8>,
    pub interval: Option<Span>,
    pub timeout: Option<Span>,
    pub retries: Option<u8>,
    pub misses: Option<u8>,
    pub align: bool,
    pub byte_order: ByteOrder,
    pub join: Join,
    pub registers: &'a BTreeMap<String, RegisterSettings>,
    pub fields: &'a BTreeMap<String, FieldOverride>,
    pub poll: &'a BTreeMap<String, PollSettings>,
    pub startup: &'a [StepSettings],
    pub commands: &'a BTreeMap<String, NamedCommand>,
    /// Framing of its replies, where it is not that of the port.
    pub framing: Option<&'a Framing>,
    pub port_framing: Option<&'a Framing>,
    pub decrypt: Option<&'a Decrypt>,
    pub decode: Option<&'a Decode>,
    pub messages: Option<&'a [Mapping]>,
    pub checksum: Option<&'a Checksum>,
}

impl MemberSettings<'_> {
    pub const INTERVAL: Duration = Duration::from_secs(10);
    pub const TIMEOUT: Duration = Duration::from_millis(500);
    pub const RETRIES: u8 = 2;
    pub const MISSES: u8 = 3;

    fn timeout(&self) -> Duration {
        self.timeout.map_or(MemberSettings::TIMEOUT, Span::duration)
    }

    fn retries(&self) -> u8 {
        self.retries.unwrap_or(MemberSettings::RETRIES)
    }

    /// Whether it has registers, polls or steps of `startup`.
    pub fn is_asked(&self) -> bool {
        !self.registers.is_empty() || !self.poll.is_empty() || !self.startup.is_empty()
    }
}

/// A device that is asked.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) address: u8,
    pub(super) polls: Vec<Poll>,
    /// The steps of `startup`.
    pub(super) startup: Option<Poll>,
    /// Whether `startup` has still to be gone through.
    pub(super) is_new: bool,
    pub(super) registers: Vec<Register>,
    pub(super) places: Vec<modbus::Place>,
    pub(super) mappers: Vec<Mapper>,
    pub(super) checksum: Option<Summer>,
    pub(super) status: MemberStatus,
    /// How long it may take to answer a command, and how often that is repeated.
    pub(super) timeout: Duration,
    pub(super) retries: u8,
    /// Failures in a row after which it is offline.
    most_misses: u32,
    misses: u32,
    /// Unanswered requests in a row.
    pub(super) unanswered: u32,
    /// Until then it is not asked: most late answers come in this time.
    pub(super) rest: Option<Instant>,
    pub(super) doubt: Doubt,
}

/// What a device is asked.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) name: String,
    pub(super) what: Question,
    pub(super) timeout: Duration,
    pub(super) recurrence: Recurrence,
    retries: u8,
    /// Failed tries since the last success or interval.
    tries: u8,
    /// Whether its device refused to have more read together.
    pub(super) is_part: bool,
}

/// What is written and awaited in a poll.
#[derive(Debug)]
pub(super) enum Question {
    /// Registers that are read together.
    Registers(Group),
    /// One step, or a dialogue of several; the last reply is read so.
    Steps(Vec<Step>, Box<Kind>),
}

/// How long a poll takes on the line at least, and how often it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTime {
    pub time: Duration,
    pub interval: Duration,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Answered,
    Exception(Exception),
    /// An answer came whose checksum is wrong.
    BadChecksum,
    /// The device said that it refuses.
    Refused,
    NoAnswer,
}

/// The state of a device that ended so.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Answered => f.write_str("up"),
            Ending::Exception(exception) => write!(f, "exception {exception}"),
            Ending::BadChecksum => f.write_str("bad checksum"),
            Ending::Refused => f.write_str("refused"),
            Ending::NoAnswer => f.write_str("no answer"),
        }
    }
}

/// How a device is, as far as its answers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberStatus {
    /// How the last request ended; nothing before the first.
    pub last: Option<Ending>,
    /// Whether it answers. Nothing until it was asked often enough to know.
    pub online: Option<bool>,
    /// When it last answered.
    pub answered: Option<Now>,
    /// Time from the last bit of the last request to the end of its answer.
    pub round_trip: Option<Duration>,
    pub requests: u64,
    pub answers: u64,
    pub no_answer: u64,
    pub exceptions: u64,
    pub bad_checksum: u64,
    pub refused: u64,
    /// Polls left out because the bus could not keep up.
    pub skipped: u64,
    /// Whether its line is away for good, so that it cannot answer.
    pub away: bool,
    /// Grows with each change of `last`, `online` or `away`.
    pub changes: u64,
}

impl Member {
    pub(super) fn build(
        settings: &MemberSettings<'_>,
        mode: Mode,
        line: Option<&Line>,
    ) -> Result<Member, Vec<BuildError>> {
        let mut errors = Vec::new();
        let address = settings.address.unwrap_or_else(|| {
            if !settings.registers.is_empty() {
                let error = BuildError::new("registers are read from an address");
                errors.push(error.remedy("add the device's `address`, 1 to 247"));
            }
            0
        });
        // SL 2.2 reserves 248 to 255; devices that are alone on their line answer there, too.
        let is_shared = settings.key.is_some();
        if mode != Mode::Tcp && !settings.registers.is_empty() && address > 247 && is_shared {
            let error = BuildError::new(format!("{address} is not a Modbus address"));
            errors.push(error.remedy("write 1 to 247, or 0 to write to all devices").at("address"));
        }
        let registers = settings.registers.iter().map(|(name, it)| (name.as_str(), it));
        let registers = register::build_all(registers, settings.byte_order).unwrap_or_else(|all| {
            errors.extend(all.into_iter().map(|error| error.at("registers")));
            Vec::new()
        });
        let mut member = Member {
            name: settings.names.device.to_owned(),
            address,
            polls: Vec::new(),
            startup: None,
            is_new: true,
            places: registers.iter().map(|register| register.place).collect(),
            registers,
            mappers: Vec::new(),
            checksum: None,
            status: MemberStatus::default(),
            timeout: settings.timeout(),
            retries: settings.retries(),
            most_misses: settings.misses.unwrap_or(MemberSettings::MISSES).max(1).into(),
            misses: 0,
            unanswered: 0,
            rest: None,
            doubt: Doubt::default(),
        };
        match settings.checksum.map(Checksum::build).transpose() {
            Ok(checksum) => member.checksum = checksum,
            Err(error) => errors.push(error.at("checksum")),
        }
        let standard = [Mapping::standard()];
        let names: Vec<&str> = settings.registers.keys().map(String::as_str).collect();
        // They are of the registers alone: polls and frames have their own, with placeholders of their own.
        let messages = if names.is_empty() { &[] } else { settings.messages.unwrap_or(&standard) };
        for (n, mapping) in messages.iter().enumerate() {
            match mapping.build(&settings.names, Some(&names)) {
                Ok(mapper) => member.mappers.push(mapper),
                Err(error) => errors.push(error.item(n).at("messages")),
            }
        }
        // All devices take what is written to address 0, and none of them answers.
        let is_broadcast = settings.address == Some(0) && mode != Mode::Tcp;
        if is_broadcast && let Some(register) = member.registers.iter().find(|it| !it.is_writable())
        {
            let error = BuildError::new("nobody answers at address 0");
            let error = error.remedy("add `write`, or take the address of one device");
            errors.push(error.at(&register.name).at("registers"));
        } else if !is_broadcast {
            member.plan_registers(settings);
        }
        for (name, poll) in settings.poll {
            match build_poll(name, poll, settings, line) {
                Ok(poll) => member.polls.push(poll),
                Err(all) => errors.extend(all.into_iter().map(|e| e.at(name).at("poll"))),
            }
        }
        if !settings.startup.is_empty() {
            let own =
                PollSettings { dialogue: settings.startup.to_vec(), ..PollSettings::default() };
            match build_poll("startup", &own, settings, line) {
                Ok(poll) => member.startup = Some(poll),
                Err(all) => errors.extend(all.into_iter().map(|mut error| {
                    let path = std::mem::take(&mut error.path.0);
                    error.path.0 = path.into_iter().skip(1).collect();
                    error.at("startup")
                })),
            }
        }
        if errors.is_empty() { Ok(member) } else { Err(errors) }
    }

    /// Registers of one interval are read together, as far as `join` allows.
    fn plan_registers(&mut self, settings: &MemberSettings<'_>) {
        let interval = interval(settings, None);
        let mut by_interval: BTreeMap<Duration, Vec<usize>> = BTreeMap::new();
        for (n, register) in self.registers.iter().enumerate() {
            let own = register.interval.map_or(interval, Span::duration);
            by_interval.entry(own).or_default().push(n);
        }
        for (interval, registers) in by_interval {
            let places: Vec<modbus::Place> = registers.iter().map(|n| self.places[*n]).collect();
            for mut group in plan(&places, settings.join) {
                for member in &mut group.members {
                    *member = registers[*member];
                }
                self.polls.push(self.read(group, interval, settings));
            }
        }
    }

    fn read(&self, group: Group, interval: Duration, settings: &MemberSettings<'_>) -> Poll {
        Poll {
            name: format!("{} {}", group.table.word(), group.start),
            what: Question::Registers(group),
            timeout: settings.timeout(),
            recurrence: Recurrence::new(interval, settings.align),
            retries: settings.retries(),
            tries: 0,
            is_part: false,
        }
    }

    pub(super) fn poll(&self, place: Place) -> Option<&Poll> {
        match place.poll {
            Some(n) => self.polls.get(n),
            None => self.startup.as_ref(),
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        !self.polls.is_empty() || self.startup.is_some()
    }

    /// The poll of this name is due, whatever its phase says.
    pub(super) fn poll_at_once(&mut self, name: &str, now: Instant) {
        if let Some(poll) = self.polls.iter_mut().find(|poll| poll.name == name) {
            poll.recurrence.at_once(now);
        }
    }

    /// The line was opened: everything is due, and the device may be another one.
    pub(super) fn opened(&mut self, now: Instant) {
        self.is_new = self.startup.is_some();
        (self.rest, self.unanswered, self.doubt) = (None, 0, Doubt::default());
        if std::mem::take(&mut self.status.away) {
            self.status.changes += 1;
        }
        for poll in self.polls.iter_mut().chain(&mut self.startup) {
            poll.tries = 0;
            poll.recurrence.start(now);
        }
    }

    /// Whether it left the last request unanswered, so that asking it may cost a time-out.
    pub(super) fn may_be_dead(&self) -> bool {
        self.unanswered > 0
    }

    /// It has not answered what it was asked at `at`.
    pub(super) fn unanswered_request(&mut self, asked: Asked, at: Instant) {
        self.doubt.unanswered(asked, at, rest(1, self.timeout));
    }

    /// It is not polled until a late answer to a command is not to be expected any more.
    pub(super) fn rest_from(&mut self, now: Instant) {
        self.rest = self.rest.max(Some(now + rest(1, self.timeout)));
    }

    /// It refused a request that is made in parts from now on, which is no failure.
    pub(super) fn was_split(&mut self, ending: &Ending, now: Now, round_trip: Option<Duration>) {
        self.count(ending, now, round_trip, Duration::ZERO);
    }

    /// Takes note of how a request ended.
    pub(super) fn ended(
        &mut self,
        ending: &Ending,
        now: Now,
        round_trip: Option<Duration>,
        timeout: Duration,
    ) {
        self.count(ending, now, round_trip, timeout);
        let was = self.status.online;
        if *ending == Ending::Answered {
            self.misses = 0;
            self.status.online = Some(true);
        } else {
            self.misses = self.misses.saturating_add(1);
            if self.misses >= self.most_misses {
                self.status.online = Some(false);
            }
        }
        self.status.changes += u64::from(self.status.online != was);
    }

    fn count(
        &mut self,
        ending: &Ending,
        now: Now,
        round_trip: Option<Duration>,
        timeout: Duration,
    ) {
        let status = &mut self.status;
        status.requests += 1;
        match ending {
            Ending::Answered => status.answers += 1,
            Ending::Exception(_) => status.exceptions += 1,
            Ending::BadChecksum => status.bad_checksum += 1,
            Ending::Refused => status.refused += 1,
            Ending::NoAnswer => status.no_answer += 1,
        }
        status.changes += u64::from(status.last.as_ref() != Some(ending));
        status.last = Some(ending.clone());
        if *ending == Ending::NoAnswer {
            self.unanswered = self.unanswered.saturating_add(1);
            self.rest = Some(now.mono + rest(self.unanswered, timeout));
        } else {
            (self.unanswered, self.rest) = (0, None);
            status.answered = Some(now);
            status.round_trip = round_trip.or(status.round_trip);
        }
    }

    /// The line is away for good: it cannot answer.
    pub(super) fn unreachable(&mut self) {
        if self.status.online != Some(false) || !self.status.away {
            (self.status.online, self.status.away) = (Some(false), true);
            self.status.changes += 1;
        }
    }
}

impl Poll {
    /// A try ended. Returns how many of its turns were skipped.
    pub(super) fn ended(&mut self, is_good: bool, now: Now) -> u64 {
        if !is_good && self.tries < self.retries {
            self.tries += 1;
            // The others that are due come first.
            self.recurrence.at_once(now.mono);
            return 0;
        }
        self.tries = 0;
        self.recurrence.done(now)
    }

    /// The time of its requests, of its answers as far as their length is known, and of the silences
    /// behind both. Nothing where the line's speed is not known.
    pub(super) fn line_time(&self, mode: Mode, timing: Timing) -> Option<LineTime> {
        if timing.character.is_zero() || mode == Mode::Tcp {
            return None;
        }
        let (bytes, frames, pauses) = match &self.what {
            Question::Registers(group) => {
                let place = group.place();
                let count = usize::from(place.count);
                let data = if place.table.is_bits() { count.div_ceil(8) } else { 2 * count };
                // Address, function and checksum; and the request's start and count, the answer's
                // number of bytes (Modbus Application Protocol V1.1b3, 6.1 to 6.4).
                let (request, answer) = (8, 5 + data);
                let bytes = match mode {
                    Mode::Ascii => 2 * (request - 1 + answer - 1) + 6,
                    Mode::Rtu | Mode::Tcp => request + answer,
                };
                (bytes, 2, Duration::ZERO)
            }
            Question::Steps(steps, _) => {
                let sent = |step: &Step| step.send.as_ref()?.render(None, |_| None);
                let sent: Vec<_> = steps.iter().filter_map(sent).collect();
                let replies = steps.iter().filter(|step| step.reply.is_some()).count();
                // A reply has a byte at least.
                let bytes = sent.iter().map(Vec::len).sum::<usize>() + replies;
                (bytes, sent.len() + replies, steps.iter().map(|step| step.pause).sum())
            }
        };
        let silences = timing.silence.saturating_mul(u32::try_from(frames).unwrap_or(u32::MAX));
        let time = timing.time_of(bytes) + silences + pauses;
        Some(LineTime { time, interval: self.recurrence.interval() })
    }

    /// Whether it is tried again before its next interval.
    pub(super) fn will_retry(&self) -> bool {
        self.tries > 0
    }

    /// A poll that asks for a part of what this one asks for.
    pub(super) fn part(&self, group: Group, now: Instant) -> Poll {
        let mut recurrence = self.recurrence;
        recurrence.at_once(now);
        Poll {
            name: format!("{} {}", group.table.word(), group.start),
            what: Question::Registers(group),
            timeout: self.timeout,
            recurrence,
            retries: self.retries,
            tries: 0,
            is_part: true,
        }
    }
}

/// How long a device rests after this number of unanswered requests in a row: first until a late answer
/// cannot be expected any more, then ever longer.
fn rest(unanswered: u32, timeout: Duration) -> Duration {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);
    let first = (3 * timeout).max(FIRST);
    let times = 1_u32.checked_shl(unanswered.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(times).min(LONGEST.max(first))
}

pub(super) fn interval(settings: &MemberSettings<'_>, own: Option<Span>) -> Duration {
    own.or(settings.interval).map_or(MemberSettings::INTERVAL, Span::duration)
}

fn build_poll(
    name: &str,
    poll: &PollSettings,
    settings: &MemberSettings<'_>,
    line: Option<&Line>,
) -> Result<Poll, Vec<BuildError>> {
    let mut errors = Vec::new();
    let mut steps = Vec::new();
    let mut known = vec!["address".to_owned()];
    let framing = settings.framing.or(settings.port_framing);
    let check = |step: &Step, known: &[String]| -> Result<(), BuildError> {
        let Some(send) = &step.send else { return Ok(()) };
        if send.has_checksum() && settings.checksum.is_none() {
            let error = BuildError::new("{checksum} needs the `checksum` of the device");
            return Err(error.at("send"));
        }
        match send.slots().find(|slot| !known.iter().any(|known| known == slot)) {
            Some(unknown) => Err(BuildError::new(format!("unknown placeholder \"{{{unknown}}}\""))
                .remedy(format!("there are {{checksum}} {{{}}}", known.join("} {")))
                .at("send")),
            None => Ok(()),
        }
    };
    match (&poll.send, &poll.dialogue[..]) {
        (Some(send), []) => match poll.reply.build(framing, line) {
            Ok(reply) => {
                let step = Step::of(send, reply);
                errors.extend(check(&step, &known).err());
                steps.push(step);
            }
            Err(error) => errors.push(error.at("reply")),
        },
        (None, []) => {
            let error = BuildError::new("it is not said what is asked");
            errors.push(error.remedy("add `send`, or a `dialogue`"));
        }
        (None, dialogue) => {
            for (n, step) in dialogue.iter().enumerate() {
                match step.build(framing, line) {
                    Ok(built) => {
                        errors
                            .extend(check(&built, &known).err().map(|e| e.item(n).at("dialogue")));
                        steps.push(built);
                    }
                    Err(error) => errors.push(error.item(n).at("dialogue")),
                }
                known.extend(step.groups());
            }
        }
        (Some(_), _) => {
            let error = BuildError::new("`send` and `dialogue` exclude each other");
            errors.push(error.remedy("make `send` the first step of the dialogue").at("send"));
        }
    }
    for reply in steps.iter_mut().filter_map(|step| step.reply.as_mut()) {
        if let Err(error) = reply.framed_as(settings.framing, settings.checksum, line) {
            errors.push(error);
        }
    }
    for send in steps.iter_mut().filter_map(|step| step.send.as_mut()) {
        *send = send.with_address(settings.address);
    }
    let default = Decode::default();
    let decode = poll.decode.as_ref().or(settings.decode).unwrap_or(&default);
    let messages = poll.messages.as_deref().or(settings.messages);
    match Kind::build(&Default::default(), decode, messages, &settings.names, settings.decrypt) {
        Ok(kind) if errors.is_empty() => Ok(Poll {
            name: name.to_owned(),
            what: Question::Steps(steps, Box::new(kind)),
            timeout: poll.timeout.map_or(settings.timeout(), Span::duration),
            recurrence: Recurrence::new(interval(settings, poll.interval), settings.align),
            retries: poll.retries.unwrap_or(settings.retries()),
            tries: 0,
            is_part: false,
        }),
        kind => Err(kind.err().into_iter().flatten().chain(errors).collect()),
    }
}
