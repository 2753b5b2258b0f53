//! What is said on the line, turn by turn: requests, their replies, and how each ends.

use super::bus::Bus;
use super::command::CommandError;
use super::commands::{PendingCommand, Plan};
use super::doubt::MOST_IN_A_ROW;
use super::member::{Ending, Question};
use super::pipeline::Wanted;
use super::step::{Reply, Step, Verdict};
use super::turn::{Awaited, Echo, Job, Phase, Turn};
use super::{Device, Publication};
use crate::base::clock::Now;
use crate::base::line::Line;
use crate::codec::decode::Decoded;
use crate::codec::frame::Framer;
use crate::codec::modbus::{Expected, Payload, Request, Scan};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// For so many time-outs a long reply may pause in all, whatever the speed is.
const PAUSES: u32 = 8;
/// So long and one character, which may be on its way, before the end of a reply reading begins again:
/// adapters on USB hand over what they have once in a millisecond.
const READ_BEFORE: Duration = Duration::from_millis(1);
/// Not shorter: it would cost more than it saves.
const SHORTEST_HOLD: Duration = Duration::from_millis(1);
/// Not longer, so that an unplugged port is noticed.
const LONGEST_HOLD: Duration = Duration::from_millis(250);

impl Device {
    /// Nothing that is read before can complete a reply: what comes meanwhile is read then, at once.
    pub fn held_until(&self) -> Option<Instant> {
        self.exchange.turn().and_then(|turn| turn.held)
    }

    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        damaged: bool,
        now: Now,
        out: &mut Vec<Publication>,
    ) {
        self.exchange.received(now.mono);
        let Some(turn) = self.exchange.waiting() else {
            return self.unasked(bytes, damaged, now, out);
        };
        turn.damaged |= damaged;
        if let Awaited::Nothing = turn.awaited {
            return self.unasked(bytes, damaged, now, out);
        }
        if !turn.receive(bytes) {
            return;
        }
        self.counts.echoes += u64::from(turn.note_echo(&mut self.echoes));
        match &turn.awaited {
            Awaited::Modbus(_) => {
                self.scan(false, now, out);
                self.exchange.go_on_waiting(now.mono);
                self.hold(now.mono);
            }
            Awaited::Frame | Awaited::OwnFrame(_) => {
                self.frames(now, out);
                self.exchange.go_on_waiting(now.mono);
            }
            Awaited::Nothing => {}
        }
    }

    /// Bytes that nobody waits for.
    fn unasked(&mut self, bytes: &[u8], damaged: bool, now: Now, out: &mut Vec<Publication>) {
        match (self.listens, damaged) {
            (true, false) => self.pipeline.push(bytes, now, out),
            (true, true) => self.pipeline.push_damaged(bytes, now, out),
            (false, _) => self.counts.stray += bytes.len() as u64,
        }
    }

    /// Takes note of when a reply that has begun can be complete: until then it need not be read.
    fn hold(&mut self, now: Instant) {
        let timing = self.exchange.timing();
        let Some(turn) = self.exchange.waiting() else { return };
        let Awaited::Modbus(expected) = &turn.awaited else { return };
        let time = expected.missing(&turn.received).map(|count| timing.time_of(count));
        // The end of the reply is read as it comes, so that the silence behind it is known.
        let held = time.and_then(|time| time.checked_sub(READ_BEFORE + timing.character));
        let held = held.filter(|held| *held >= SHORTEST_HOLD);
        turn.held = held.map(|held| now + held.min(LONGEST_HOLD));
    }

    /// Looks for the Modbus reply in what was received. `last`: nothing more will come.
    fn scan(&mut self, last: bool, now: Now, out: &mut Vec<Publication>) {
        let Some(turn) = self.exchange.waiting() else { return };
        let Awaited::Modbus(expected) = &turn.awaited else { return };
        let scan =
            if last { expected.scan_last(&turn.received) } else { expected.scan(&turn.received) };
        let (ending, foreign) = match scan {
            Scan::More { drop, foreign } => {
                let _ = turn.received.split_to(drop.min(turn.received.len()));
                self.counts.foreign += u64::from(foreign);
                return;
            }
            // A byte that came damaged is in no frame whose checksum is right, so it was noise.
            Scan::Answer { payload, len, foreign } => {
                turn.reply = turn.received.split_to(len.min(turn.received.len())).freeze();
                if turn.echo == Echo::No && !turn.is_answered_by_itself() {
                    self.echoes.get_or_insert(false);
                }
                (Ok(payload), foreign)
            }
            Scan::Exception { code, foreign, .. } => (Err(Ending::Exception(code)), foreign),
            Scan::BadChecksum { foreign, .. } => (Err(Ending::BadChecksum), foreign),
        };
        self.counts.foreign += u64::from(foreign);
        let Some(turn) = self.exchange.end() else { return };
        if ending != Err(Ending::BadChecksum) && self.is_late(&turn, ending.is_err(), now) {
            return self.say_again(turn, now, out);
        }
        match ending {
            Ok(payload) => self.answered(turn, &payload, now, out),
            Err(ending) => self.conclude(turn, ending, now),
        }
    }

    /// A Modbus answer came.
    fn answered(
        &mut self,
        mut turn: Turn,
        payload: &Payload,
        now: Now,
        out: &mut Vec<Publication>,
    ) {
        if let Job::Command(command) = &turn.job
            && let Plan::Register { member: device, register, request } = &command.plan
            && let Some(member) = self.bus.members.get(*device)
            && let Some(register) = member.registers.get(*register)
        {
            if turn.step > 0 {
                let payload = payload.of(&turn.reply);
                let mut decoded = Decoded::default();
                register.decode(payload, &mut decoded);
                let value = register.write_text(payload);
                let is_taken = value == register.write_text(&request.written());
                let (device, mappers) = (*device, &*member.mappers);
                let wanted = Wanted { device, mappers, is_read_back: true };
                self.pipeline.publish(&turn.reply, decoded, wanted, now, out);
                turn.not_taken = (!is_taken).then_some(value);
            }
            return self.go_on(turn, now, out);
        }
        if let Job::Poll(place) = &turn.job
            && let Some(member) = self.bus.members.get(place.member)
            && let Some(poll) = place.poll.and_then(|poll| member.polls.get(poll))
            && let Question::Registers(group) = &poll.what
        {
            let payload = payload.of(&turn.reply);
            let mut decoded = Decoded::default();
            for n in &group.members {
                let (register, place) = (member.registers.get(*n), member.places.get(*n));
                let (Some(register), Some(place)) = (register, place) else { continue };
                if let Some(bytes) = group.slice(*place, payload).filter(|_| register.publish) {
                    register.decode(bytes, &mut decoded);
                }
            }
            let (device, mappers) = (place.member, &*member.mappers);
            let wanted = Wanted { device, mappers, is_read_back: false };
            self.pipeline.publish(&turn.reply, decoded, wanted, now, out);
        }
        self.conclude(turn, Ending::Answered, now);
    }

    /// Looks for the awaited frame in what was received.
    pub(super) fn frames(&mut self, now: Now, out: &mut Vec<Publication>) {
        loop {
            let Some(turn) = self.exchange.waiting() else { return };
            let received = turn.received.split();
            let frame = match &mut turn.awaited {
                Awaited::OwnFrame(framer) => next_frame(framer, &received, now.mono),
                Awaited::Frame => self.pipeline.next_frame(&received, now.mono),
                Awaited::Nothing | Awaited::Modbus(_) => return,
            };
            let frame = match frame {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(()) => {
                    let Some(turn) = self.exchange.end() else { return };
                    return self.conclude(turn, Ending::BadChecksum, now);
                }
            };
            let verdict = self.verdict(&frame);
            match verdict {
                // It came unasked, and perhaps somebody wants it.
                Verdict::Foreign if self.listens => self.pipeline.take(frame, now, out),
                Verdict::Foreign => self.counts.foreign += 1,
                Verdict::Refused => {
                    let Some(turn) = self.exchange.end() else { return };
                    if self.is_late(&turn, false, now) {
                        return self.say_again(turn, now, out);
                    }
                    return self.conclude(turn, Ending::Refused, now);
                }
                Verdict::Taken(found) => {
                    let Some(mut turn) = self.exchange.end() else { return };
                    if self.is_late(&turn, false, now) {
                        return self.say_again(turn, now, out);
                    }
                    turn.found.extend(found);
                    turn.reply = frame;
                    turn.is_fresh = false;
                    return self.go_on(turn, now, out);
                }
            }
        }
    }

    /// Whether the answer that ends this turn's wait may be a late one to something else.
    fn is_late(&mut self, turn: &Turn, is_exception: bool, now: Now) -> bool {
        let member = turn.member().and_then(|member| self.bus.members.get_mut(member));
        // In a dialogue the first answer has shown that its device is in step.
        let may_be = turn.step == 0 || turn.is_command();
        member.is_some_and(|it| it.doubt.is_late(&turn.asked(), is_exception, now.mono)) && may_be
    }

    /// Says the step of a turn again, whose answer is not believed.
    fn say_again(&mut self, mut turn: Turn, now: Now, out: &mut Vec<Publication>) {
        self.counts.foreign += 1;
        if turn.doubted == MOST_IN_A_ROW {
            // Too slow to be told from late answers.
            return self.conclude(turn, Ending::NoAnswer, now);
        }
        turn.doubted += 1;
        turn.phase = Phase::Pause;
        self.go_on(turn, now, out);
    }

    /// What a frame is to the turn that waits.
    fn verdict(&mut self, frame: &[u8]) -> Verdict {
        let Some(turn) = self.exchange.waiting() else { return Verdict::Foreign };
        let reply = match &turn.job {
            Job::Command(command) => match &command.plan {
                Plan::Reply { reply, .. } => Some(&**reply),
                _ => None,
            },
            Job::Poll(_) => step_of(&self.bus, turn).and_then(|step| step.reply.as_ref()),
        };
        reply.map_or(Verdict::Foreign, |reply| reply.judge(frame))
    }

    /// Takes a turn as far as it comes without waiting for anything.
    pub(super) fn go_on(&mut self, mut turn: Turn, now: Now, out: &mut Vec<Publication>) {
        loop {
            let Some(next) = self.next_part(&turn) else {
                return self.finish_turn(turn, now, out);
            };
            match next {
                Part::Pause(pause) => {
                    turn.phase = Phase::Send;
                    if !pause.is_zero() {
                        turn.awaited = Awaited::Nothing;
                        return self.exchange.wait(turn, now.mono + pause);
                    }
                }
                Part::Send(bytes) => {
                    turn.phase = Phase::Line;
                    if let Some(bytes) = bytes {
                        turn.sent(bytes.clone());
                        // The answer to some writes is the request again.
                        if self.echoes == Some(false)
                            || self.echoes.is_none() && turn.is_answered_by_itself()
                        {
                            turn.echo = Echo::No;
                        }
                        return self.exchange.begin(turn, bytes, now.mono);
                    }
                }
                Part::Line(line) => {
                    turn.phase = Phase::Reply;
                    if let Some(line) = line.filter(|line| Some(*line) != self.set) {
                        return self.exchange.set(turn, line);
                    }
                }
                Part::Reply(awaited) => {
                    turn.phase = Phase::Done;
                    if let Some((awaited, timeout)) = awaited {
                        turn.awaited = awaited;
                        turn.has_asked = true;
                        let limit = match &turn.awaited {
                            Awaited::Frame => self.pipeline.limit(),
                            Awaited::OwnFrame(framer) => framer.limit(),
                            Awaited::Modbus(expected) => expected.answer_len(),
                            Awaited::Nothing => 0,
                        };
                        let is_next = matches!(turn.awaited, Awaited::Frame) && !turn.is_fresh;
                        if let Awaited::Frame = turn.awaited
                            && turn.is_fresh
                        {
                            self.pipeline.expect_frame();
                        }
                        let from = turn.written.max(now.mono);
                        let most = self.exchange.timing().time_of(limit);
                        // Only silence costs the time-out of a Modbus device: once its answer has begun
                        // there is time for all of it.
                        let is_modbus = matches!(turn.awaited, Awaited::Modbus(_));
                        let (patience, most) = match is_modbus {
                            true => (most, most),
                            false => (timeout, most + timeout * PAUSES),
                        };
                        self.exchange.wait_long(turn, from + timeout, patience, most);
                        // Behind a frame the next one may have been read already.
                        if is_next {
                            self.frames(now, out);
                        }
                        return;
                    }
                }
                Part::Done => {
                    turn.step += 1;
                    turn.phase = Phase::Pause;
                }
            }
        }
    }

    /// The next part of a turn's step; `None` behind the last step.
    fn next_part(&mut self, turn: &Turn) -> Option<Part> {
        if let Job::Command(command) = &turn.job {
            return self.part_of_command(turn.step, turn.phase, command);
        }
        let Job::Poll(place) = &turn.job else { return None };
        let member = self.bus.members.get(place.member)?;
        let poll = member.poll(*place)?;
        if let Question::Registers(group) = &poll.what {
            let request = group.place().read();
            let (address, timeout) = (member.address, poll.timeout);
            return match (turn.step, turn.phase) {
                (0, Phase::Send) => Some(self.ask(&request, address)),
                (0, Phase::Reply) => Some(self.await_answer(&request, address, timeout)),
                (0, phase) => Some(Part::nothing(phase)),
                _ => None,
            };
        }
        let step = step_of(&self.bus, turn)?;
        Some(match turn.phase {
            Phase::Pause => Part::Pause(step.pause),
            Phase::Send => Part::Send(step.send.as_ref().and_then(|send| {
                let value = |name: &str| {
                    let found = turn.found.iter().rev().find(|(known, _)| known == name);
                    found.map(|(_, value)| value.as_slice())
                };
                let bytes = send.render(member.checksum.as_ref(), value)?;
                Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty())
            })),
            Phase::Line => {
                Part::Line(step.line.as_ref().and_then(|change| change.line(&turn.found)))
            }
            Phase::Reply => {
                let reply = step.reply.as_ref();
                Part::Reply(reply.map(|reply| (awaited(reply, self.set.as_ref()), poll.timeout)))
            }
            Phase::Done => Part::Done,
        })
    }

    /// The next part of a command; `None` when it is done.
    fn part_of_command(
        &mut self,
        step: usize,
        phase: Phase,
        command: &PendingCommand,
    ) -> Option<Part> {
        let owner = |member: usize| self.bus.members.get(member);
        let (member, request) = match &command.plan {
            Plan::Register { member, register, request } => {
                let member = owner(*member)?;
                let place = member.registers.get(*register)?.place;
                // Nobody answers a broadcast, so there is nothing to read back.
                let request = match step {
                    0 => request.clone(),
                    1 if member.address != 0 => place.read(),
                    _ => return None,
                };
                (member, request)
            }
            Plan::Reply { .. } | Plan::Poll { .. } | Plan::Nothing if step > 0 => return None,
            Plan::Reply { member, reply, .. } if phase == Phase::Reply => {
                let timeout = owner(*member)?.timeout;
                let awaited = awaited(reply, self.set.as_ref());
                return Some(Part::Reply(Some((awaited, timeout))));
            }
            Plan::Reply { .. } | Plan::Poll { .. } | Plan::Nothing if phase == Phase::Send => {
                return Some(Part::Send(Some(command.bytes.clone())));
            }
            Plan::Reply { .. } | Plan::Poll { .. } | Plan::Nothing => {
                return Some(Part::nothing(phase));
            }
        };
        let (address, timeout) = (member.address, member.timeout);
        match phase {
            Phase::Send => Some(self.ask(&request, address)),
            Phase::Reply if address == 0 => {
                self.exchange.keep_silent_for(self.turnaround);
                Some(Part::Reply(None))
            }
            Phase::Reply => Some(self.await_answer(&request, address, timeout)),
            phase => Some(Part::nothing(phase)),
        }
    }

    fn ask(&mut self, request: &Request, address: u8) -> Part {
        self.transaction = self.transaction.wrapping_add(1);
        Part::Send(Some(request.encode(self.bus.mode, address, self.transaction).into()))
    }

    fn await_answer(&self, request: &Request, address: u8, timeout: Duration) -> Part {
        let expected = Expected::new(self.bus.mode, address, request, self.transaction);
        Part::Reply(Some((Awaited::Modbus(expected), timeout)))
    }

    /// All steps of a turn are done.
    fn finish_turn(&mut self, turn: Turn, now: Now, out: &mut Vec<Publication>) {
        if let Job::Poll(place) = &turn.job
            && turn.has_asked
            && let Some(member) = self.bus.members.get(place.member)
            && let Some(poll) = place.poll.and_then(|n| member.polls.get(n))
            && let Question::Steps(_, kind) = &poll.what
        {
            let mut clear = Vec::new();
            let decoded = kind.decode(&turn.reply, &mut clear);
            let (device, mappers) = (place.member, &*kind.mappers);
            let wanted = Wanted { device, mappers, is_read_back: false };
            self.pipeline.publish(&turn.reply, decoded, wanted, now, out);
        }
        self.conclude(turn, Ending::Answered, now);
    }

    /// A turn has ended.
    pub(super) fn conclude(&mut self, turn: Turn, ending: Ending, now: Now) {
        let is_unanswered = ending == Ending::NoAnswer && turn.has_asked;
        if is_unanswered && let Some(member) = turn.member() {
            self.bus.unanswered(member, turn.asked(), turn.written);
        }
        match turn.job {
            Job::Command(command) => {
                if is_unanswered {
                    self.bus.rest(command.plan.member(), now.mono);
                }
                self.exchange.keep_silent(turn.written + command.pause);
                self.conclude_command(*command, turn.not_taken, turn.has_asked, &ending, now);
            }
            Job::Poll(place) => {
                let round_trip = now.mono.saturating_duration_since(turn.written);
                let answered = ending != Ending::NoAnswer && turn.has_asked;
                self.bus.ended(place, &ending, turn.has_asked, now, answered.then_some(round_trip));
            }
        }
    }

    /// A command has ended: what its device said of it, or said not.
    fn conclude_command(
        &mut self,
        mut command: PendingCommand,
        not_taken: Option<String>,
        has_asked: bool,
        ending: &Ending,
        now: Now,
    ) {
        let then = match &command.plan {
            Plan::Nothing | Plan::Register { .. } => None,
            Plan::Reply { then, .. } => then.clone(),
            Plan::Poll { then, .. } => Some(then.clone()),
        };
        let member = command.plan.member();
        let member = member.and_then(|member| self.bus.members.get_mut(member));
        match ending {
            Ending::Answered => {
                if let (Some(member), Some(then)) = (member, then) {
                    member.poll_at_once(&then, now.mono);
                }
                match not_taken {
                    Some(value) => self.commands.refuse(command, CommandError::NotTaken(value)),
                    None => self.commands.sent(command, has_asked),
                }
            }
            Ending::Exception(code) => {
                let why = CommandError::Device(code.name().into_owned());
                self.commands.refuse(command, why);
            }
            Ending::Refused => {
                self.commands.refuse(command, CommandError::Device("refused by the device".into()));
            }
            Ending::BadChecksum | Ending::NoAnswer => {
                self.yields = Some(now.mono);
                let most = member.as_ref().map_or(0, |member| member.retries);
                if command.tries < most {
                    command.tries += 1;
                    self.commands.queue.push_front(command);
                } else {
                    let name = member.map_or_else(String::new, |member| member.name.clone());
                    self.commands.refuse(command, CommandError::NoAnswer(name));
                }
            }
        }
    }

    /// The time in which a reply may come is over, or a pause is.
    pub(super) fn wait_is_over(&mut self, now: Now, out: &mut Vec<Publication>) {
        match self.exchange.waiting().map(|turn| &turn.awaited) {
            Some(Awaited::Nothing) => {
                if let Some(turn) = self.exchange.end() {
                    return self.go_on(turn, now, out);
                }
            }
            Some(Awaited::Modbus(_)) => self.scan(true, now, out),
            Some(Awaited::Frame | Awaited::OwnFrame(_)) => {
                // What looked like the beginning of an echo was not one.
                if let Some(turn) = self.exchange.waiting() {
                    turn.echo = Echo::No;
                }
                self.frames(now, out);
            }
            None => {}
        }
        if self.exchange.is_unanswered(now.mono)
            && let Some(turn) = self.exchange.end()
        {
            let ending = if turn.damaged { Ending::BadChecksum } else { Ending::NoAnswer };
            self.conclude(turn, ending, now);
        }
    }
}

/// A part of a step.
enum Part {
    Pause(Duration),
    Send(Option<Bytes>),
    Line(Option<Line>),
    Reply(Option<(Awaited, Duration)>),
    Done,
}

impl Part {
    /// A part in which nothing is done.
    fn nothing(phase: Phase) -> Part {
        match phase {
            Phase::Pause => Part::Pause(Duration::ZERO),
            Phase::Send => Part::Send(None),
            Phase::Line => Part::Line(None),
            Phase::Reply => Part::Reply(None),
            Phase::Done => Part::Done,
        }
    }
}

/// Which framer finds the reply.
fn awaited(reply: &Reply, line: Option<&Line>) -> Awaited {
    match reply.framer(line) {
        Some(framer) => Awaited::OwnFrame(Box::new(framer)),
        None => Awaited::Frame,
    }
}

/// The step that a turn of a poll is in.
fn step_of<'a>(bus: &'a Bus, turn: &Turn) -> Option<&'a Step> {
    let Job::Poll(place) = &turn.job else { return None };
    match &bus.members.get(place.member)?.poll(*place)?.what {
        Question::Steps(steps, _) => steps.get(turn.step),
        Question::Registers(_) => None,
    }
}

/// The next frame of these bytes and those before; an error if a frame with a wrong checksum came.
pub(super) fn next_frame(
    framer: &mut Framer,
    bytes: &[u8],
    now: Instant,
) -> Result<Option<Bytes>, ()> {
    let bad = framer.counts().bad.checksum;
    framer.push(bytes, now);
    match framer.frame() {
        Some(frame) => Ok(Some(frame)),
        None if framer.counts().bad.checksum > bad => Err(()),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::scalar::Name;
    use crate::config::load;
    use std::path::Path;

    /// A device of 50 registers at 9600 Bd, which was just asked for them, and when its last bit was out.
    fn asked() -> (Device, Now) {
        let text = "gateway: gw\nbroker: {url: mqtt://x}\nports:\n  p:\n    path: /dev/null\n    \
                    line: 9600 8N1\n    address: 1\n    timeout: 300ms\n    \
                    registers: {label: {input: 0, type: text, length: 100}}\n";
        let (config, _) = load::parse("test", text, Path::new("/")).unwrap();
        let name: Name = "p".parse().unwrap();
        let mut device =
            Device::build(&config.ports[&name].device(&config.gateway, &name)).unwrap();
        let (now, mut out) = (Now::read(), Vec::new());
        device.coming(None, now.mono);
        device.opened(now.mono);
        assert!(device.transmit(now, &mut out).is_some());
        device.wrote(8, now, &mut out);
        (device, now.after(character() * 8))
    }

    fn character() -> Duration {
        "9600 8N1".parse::<Line>().unwrap().time_of(1.0)
    }

    #[test]
    fn silence_costs_the_time_out_and_an_answer_that_has_begun_has_time_for_all_of_it() {
        let (mut device, written) = asked();
        let timeout = Duration::from_millis(300);
        assert_eq!(device.deadline(), Some(written.mono + timeout));
        let late = written.after(timeout - Duration::from_millis(1));
        device.push(&[1, 4, 100], late, &mut Vec::new());
        assert_eq!(device.deadline(), Some(late.mono + character() * 105));
        device.push(&[0; 50], late.after(character() * 100), &mut Vec::new());
        assert_eq!(device.deadline(), Some(written.mono + timeout + character() * 105));
    }

    #[test]
    fn reading_begins_again_shortly_before_a_reply_can_be_complete() {
        let (mut device, written) = asked();
        let now = written.after(Duration::from_millis(50));
        device.push(&[1, 4], now, &mut Vec::new());
        assert_eq!(device.held_until(), None, "its length is not known yet");
        device.push(&[100], now, &mut Vec::new());
        assert_eq!(device.held_until(), Some(now.mono + character() * 101 - READ_BEFORE));
        let now = now.after(character() * 99);
        device.push(&[0; 100], now, &mut Vec::new());
        assert_eq!(device.held_until(), None, "two characters are too near");
        // What is no reply does not hold back one that may stand behind it.
        let (mut device, written) = asked();
        device.push(&[9, 4, 100], written, &mut Vec::new());
        assert_eq!(device.held_until(), None);
    }
}
