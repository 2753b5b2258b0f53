//! Who is asked next: the poll that is longest due, and no device that may be dead twice before the
//! others had their turn. Sans-io.

use super::doubt::Asked;
use super::member::{Ending, Member, MemberSettings, Question};
use crate::base::clock::Now;
use crate::base::line::Line;
use crate::base::path::BuildError;
use crate::codec::modbus::Mode;
use crate::device::mapping::Mapper;
use std::fmt;
use std::time::{Duration, Instant};

/// All devices on a line that are asked.
#[derive(Debug)]
pub(super) struct Bus {
    pub(super) mode: Mode,
    pub(super) members: Vec<Member>,
    /// When a device that may be dead was last asked.
    probed: Option<Instant>,
    /// How many polls in a row were behind their time by an interval or more.
    late: u32,
    /// Whether that was said.
    is_behind: bool,
    notices: Vec<Notice>,
}

/// A poll of a member, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) member: usize,
    /// `None` for the steps of `startup`.
    pub(super) poll: Option<usize>,
}

/// Something that the log is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A device refused to have these registers read together; from now on they are read apart.
    Split { device: String, registers: String, why: String },
    /// Polls are skipped again and again: the line has no time for all that is asked.
    Behind,
}

/// So many polls in a row of which one at least was skipped each time mean that the line cannot keep
/// up; fewer may be the time-outs of a device that is away.
const BEHIND: u32 = 20;

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, registers, why) = match self {
            Notice::Split { device, registers, why } => (device, registers, why),
            Notice::Behind => {
                return f.write_str(
                    "the line is too slow for its polls, so that some are skipped (`skipped` counts \
                     them); make `interval` longer, or ask for less",
                );
            }
        };
        write!(
            f,
            "{device}: it refuses to have {registers} read together ({why}); they are read apart"
        )
    }
}

impl Bus {
    pub(super) fn build(
        mode: Mode,
        members: &[MemberSettings<'_>],
        line: Option<&Line>,
    ) -> Result<Bus, Vec<BuildError>> {
        let (mut built, mut errors) = (Vec::new(), Vec::new());
        for settings in members {
            let below = |error: BuildError| match settings.key {
                Some(key) => error.at(key).at("devices"),
                None => error,
            };
            match Member::build(settings, mode, line) {
                Ok(member) => built.push(member),
                Err(all) => errors.extend(all.into_iter().map(below)),
            }
        }
        let bus = Bus {
            mode,
            members: built,
            probed: None,
            late: 0,
            is_behind: false,
            notices: Vec::new(),
        };
        if errors.is_empty() { Ok(bus) } else { Err(errors) }
    }

    /// The line was opened.
    pub(super) fn opened(&mut self, now: Instant) {
        self.probed = None;
        for member in &mut self.members {
            member.opened(now);
        }
    }

    /// The line is away, and not only for a moment.
    pub(super) fn unreachable(&mut self) {
        self.members.iter_mut().for_each(Member::unreachable);
    }

    /// Every poll, when it is or was due, and whether its device may be dead.
    fn all(&self) -> impl Iterator<Item = (Instant, bool, Place)> {
        self.members.iter().enumerate().flat_map(|(m, member)| {
            let first = member.startup.iter().filter(|_| member.is_new).map(|poll| (poll, None));
            let polls = member.polls.iter().filter(|_| !member.is_new).enumerate();
            let polls = first.chain(polls.map(|(p, poll)| (poll, Some(p))));
            polls.filter_map(move |(poll, p)| {
                let due = poll.recurrence.due()?;
                let due = member.rest.map_or(due, |rest| due.max(rest));
                Some((due, member.may_be_dead(), Place { member: m, poll: p }))
            })
        })
    }

    /// Whether anything is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.all().any(|(due, ..)| due <= now)
    }

    /// What is asked now, if anything is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<Place> {
        let (mut live, mut probe) = (None::<(Instant, Place)>, None::<(Instant, Place)>);
        for (due, may_be_dead, place) in self.all().filter(|(due, ..)| *due <= now) {
            let best = if may_be_dead { &mut probe } else { &mut live };
            if best.is_none_or(|(other, _)| due < other) {
                *best = Some((due, place));
            }
        }
        let next = match (live, probe) {
            // Those that waited while a dead one was asked come before another one.
            (Some(live), Some(probe)) => {
                let waited = self.probed.is_some_and(|probed| live.0 <= probed);
                if waited || live.0 <= probe.0 { live } else { probe }
            }
            (live, probe) => live.or(probe)?,
        };
        Some(next.1)
    }

    /// When the next poll is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.all().map(|(due, ..)| due).min()
    }

    pub(super) fn for_amqp(&mut self) {
        for member in &mut self.members {
            member.mappers.iter_mut().for_each(Mapper::for_amqp);
            for poll in &mut member.polls {
                if let Question::Steps(_, kind) = &mut poll.what {
                    kind.mappers.iter_mut().for_each(Mapper::for_amqp);
                }
            }
        }
    }

    /// A device has not answered what it was asked at `at`.
    pub(super) fn unanswered(&mut self, member: usize, asked: Asked, at: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            member.unanswered_request(asked, at);
        }
    }

    /// A device that has not answered a command is not polled for a while.
    pub(super) fn rest(&mut self, member: Option<usize>, now: Instant) {
        if let Some(member) = member.and_then(|member| self.members.get_mut(member)) {
            member.rest_from(now);
        }
    }

    /// A poll ended so. `has_asked`: an answer was awaited.
    pub(super) fn ended(
        &mut self,
        place: Place,
        ending: &Ending,
        has_asked: bool,
        now: Now,
        round_trip: Option<Duration>,
    ) {
        let Some(member) = self.members.get_mut(place.member) else { return };
        let Some(n) = place.poll else {
            let Some(startup) = &mut member.startup else { return };
            startup.ended(*ending == Ending::Answered, now);
            // When it has failed as often as `retries` allows, the device is asked all the same.
            member.is_new = startup.will_retry();
            let timeout = startup.timeout;
            if has_asked {
                member.ended(ending, now, round_trip, timeout);
            }
            return;
        };
        let Some(poll) = member.polls.get_mut(n) else { return };
        let timeout = poll.timeout;
        let (mut skipped, mut is_split) = (0, false);
        match (ending, &poll.what) {
            (Ending::Exception(code), Question::Registers(group))
                if code.may_be_split() && group.members.len() > 1 =>
            {
                if let Some(parts) = group.split(&member.places) {
                    // Parts that are refused, too, are no news.
                    if !poll.is_part {
                        let end = group.start + (group.count - 1);
                        self.notices.push(Notice::Split {
                            device: member.name.clone(),
                            registers: format!("{} {} to {end}", group.table.word(), group.start),
                            why: code.name().into_owned(),
                        });
                    }
                    let parts = parts.map(|group| poll.part(group, now.mono));
                    member.polls.splice(n..=n, parts);
                    is_split = true;
                } else {
                    skipped = poll.ended(true, now);
                }
            }
            // An exception is an answer; the same request gets it again.
            (Ending::Answered | Ending::Exception(_) | Ending::Refused, _) => {
                skipped = poll.ended(true, now)
            }
            (Ending::BadChecksum | Ending::NoAnswer, _) => skipped = poll.ended(false, now),
        }
        member.status.skipped += skipped;
        self.late = if skipped > 0 { self.late.saturating_add(1) } else { 0 };
        if self.late == BEHIND && !std::mem::replace(&mut self.is_behind, true) {
            self.notices.push(Notice::Behind);
        }
        if is_split {
            member.was_split(ending, now, round_trip);
        } else if has_asked {
            member.ended(ending, now, round_trip, timeout);
        }
        if *ending == Ending::NoAnswer {
            self.probed = Some(now.mono);
        }
    }

    pub(super) fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::modbus::{ByteOrder, Join};
    use crate::device::mapping::Names;
    use crate::device::poll::PollSettings;
    use crate::device::settings::MemberSettings;
    use std::collections::BTreeMap;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_line_that_is_too_slow_is_told_once_and_a_time_out_now_and_then_is_not() {
        let poll: PollSettings =
            crate::config::tree::parse("{interval: 1s, send: x}").expect("a poll");
        let polls = BTreeMap::from([("state".to_owned(), poll)]);
        let settings = MemberSettings {
            names: Names { gateway: "gw", port: "p", device: "p" },
            key: None,
            address: None,
            interval: None,
            timeout: None,
            retries: None,
            misses: None,
            align: false,
            byte_order: ByteOrder::default(),
            join: Join::default(),
            registers: &BTreeMap::new(),
            fields: &BTreeMap::new(),
            poll: &polls,
            startup: &[],
            commands: &BTreeMap::new(),
            framing: None,
            port_framing: None,
            decrypt: None,
            decode: None,
            messages: None,
            checksum: None,
        };
        let mut bus = Bus::build(Mode::Rtu, &[settings], None).unwrap();
        let mut now = Now::read();
        bus.opened(now.mono);
        let mut answer = |bus: &mut Bus, after: Duration| {
            now = now.after(after);
            let place = bus.next(now.mono).expect("a poll is due");
            bus.ended(place, &Ending::Answered, true, now, None);
        };
        for _ in 0..100 {
            answer(&mut bus, 3 * SECOND);
            answer(&mut bus, SECOND);
        }
        assert_eq!(bus.notices(), []);
        (0..100).for_each(|_| answer(&mut bus, 3 * SECOND));
        assert_eq!(bus.notices(), [Notice::Behind]);
        assert!(bus.members[0].status.skipped >= 200);
    }
}
