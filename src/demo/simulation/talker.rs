//! A device that says what it says in its cases: by itself, and as answers.

use crate::base::line::Line;
use crate::device::cases::{Exchange, Said, Told};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Talker {
    /// The device's own speed and format.
    home: Line,
    /// Those that hold now.
    pub(super) line: Line,
    /// What it sends by itself, again and again.
    unasked: Vec<Said>,
    /// The next of these, and when.
    next: Option<(usize, Instant)>,
    requests: Vec<Request>,
    /// What was heard of a request that is not complete, and when.
    heard: Vec<u8>,
    heard_at: Option<Instant>,
    /// Answers under way.
    answers: VecDeque<(Instant, Line, Vec<u8>)>,
    chance: u32,
}

/// What is written to a device, and what it answers, each time the next one.
#[derive(Debug)]
struct Request {
    bytes: Vec<u8>,
    is_command: bool,
    answers: Vec<Vec<Said>>,
    next: usize,
}

/// Bytes that it says at once.
pub(super) struct Saying {
    pub(super) line: Line,
    pub(super) bytes: Vec<u8>,
}

/// From one time that it sends all it has to the next, at least.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// After this silence a new request begins.
const SILENCE: Duration = Duration::from_millis(200);

/// A request that is so long is found behind other bytes, too.
const UNMISTAKABLE: usize = 4;

/// More than any request has.
const MOST: usize = 4096;

impl Talker {
    pub(super) fn new(line: Line) -> Talker {
        Talker {
            home: line,
            line,
            unasked: Vec::new(),
            next: None,
            requests: Vec::new(),
            heard: Vec::new(),
            heard_at: None,
            answers: VecDeque::new(),
            chance: 1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unasked.is_empty() && !self.requests.iter().any(|request| request.has_answers())
    }

    /// What it says in its cases. One that is asked sends nothing by itself.
    pub(super) fn learn(&mut self, told: Vec<Told>, is_asked: bool, first: Instant) {
        for Told { unasked, exchanges, .. } in told {
            if !is_asked && self.unasked.is_empty() {
                self.unasked = unasked;
            }
            exchanges.into_iter().for_each(|exchange| self.learn_one(exchange));
        }
        self.next = (!self.unasked.is_empty()).then_some((0, first));
    }

    /// The commands of a device whose registers are read.
    pub(super) fn learn_commands(&mut self, told: Vec<Told>) {
        let all = told.into_iter().flat_map(|told| told.exchanges);
        // Modbus itself does these.
        let is_other = |exchange: &Exchange| {
            !matches!(exchange.request.get(1), Some(1..=6 | 15 | 16)) && exchange.is_command
        };
        all.filter(is_other).for_each(|exchange| self.learn_one(exchange));
    }

    fn learn_one(&mut self, exchange: Exchange) {
        let Exchange { request, is_command, answers } = exchange;
        match self.requests.iter_mut().find(|known| known.bytes == request) {
            // At the end of a case a request is left without its answer.
            Some(_) if answers.is_empty() => {}
            Some(known) if known.has_answers() => known.answers.push(answers),
            Some(known) => known.answers = vec![answers],
            None => self.requests.push(Request {
                bytes: request,
                is_command,
                answers: vec![answers],
                next: 0,
            }),
        }
    }

    /// Whether it was for this device.
    pub(super) fn hear(&mut self, bytes: &[u8], speed: u32, now: Instant) -> bool {
        if self.heard_at.is_none_or(|at| now.saturating_duration_since(at) > SILENCE)
            || self.heard.len() > MOST
        {
            self.heard.clear();
        }
        self.heard_at = Some(now);
        self.heard.extend_from_slice(bytes);
        let Some(answers) = self.answers_to_heard() else { return false };
        self.heard.clear();
        if speed == self.home.baud {
            self.line = self.home;
        }
        let mut at = now;
        for Said { after, line, bytes } in answers {
            self.line = line.unwrap_or(self.line);
            // In cases all bytes come at once, when the last one of them is complete.
            at += after.saturating_sub(self.line.time_of(bytes.len() as f32));
            self.answers.push_back((at, self.line, bytes));
        }
        true
    }

    /// What is answered to what was heard, if that is a request.
    fn answers_to_heard(&mut self) -> Option<Vec<Said>> {
        let heard = &self.heard;
        let is_whole = |request: &Request| {
            request.bytes == *heard
                || request.bytes.len() >= UNMISTAKABLE && heard.ends_with(&request.bytes)
        };
        let is_alike = |request: &Request| request.is_command && is_alike(&request.bytes, heard);
        let whole = self.requests.iter().position(is_whole);
        let at = whole.or_else(|| self.requests.iter().position(is_alike))?;
        let request = self.requests.get_mut(at)?;
        let answers = request.answers.get(request.next)?.clone();
        request.next = (request.next + 1) % request.answers.len();
        Some(answers)
    }

    /// What it says now.
    pub(super) fn say(&mut self, now: Instant) -> Option<Saying> {
        if self.answers.front().is_some_and(|(at, ..)| *at <= now)
            && let Some((_, line, bytes)) = self.answers.pop_front()
        {
            return Some(Saying { line, bytes });
        }
        let (n, _) = self.next.filter(|(_, at)| *at <= now)?;
        let Said { bytes, .. } = self.unasked.get(n)?;
        let bytes = bytes.clone();
        // It begins again when all of it is out.
        let end = now + self.line.time_of(bytes.len() as f32);
        self.next = match self.unasked.get(n + 1) {
            Some(next) => Some((n + 1, now + next.after)),
            None => Some((0, end.max(now + INTERVAL) + INTERVAL / 5)),
        };
        Some(Saying { line: self.line, bytes })
    }

    /// One time in so many a byte is another one.
    pub(super) fn damage(&mut self, bytes: &mut [u8], one_in: u32) {
        // The constants of Numerical Recipes; the high bits are the better ones.
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let drawn = self.chance >> 8;
        if drawn.is_multiple_of(one_in)
            && let Some(len @ 1..) = u32::try_from(bytes.len()).ok()
            && let Some(byte) = bytes.get_mut((drawn / one_in % len) as usize)
        {
            *byte ^= 0x11;
        }
    }
}

impl Request {
    fn has_answers(&self) -> bool {
        self.answers.iter().any(|answers| !answers.is_empty())
    }
}

/// Whether two commands differ in their values only.
fn is_alike(known: &[u8], heard: &[u8]) -> bool {
    let same = known.iter().zip(heard).take_while(|(a, b)| a == b).count();
    known.len() == heard.len() && same >= 2 && same * 3 >= known.len()
}
