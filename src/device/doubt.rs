//! Whether an answer may be a late one, to an earlier request of the same device. Sans-io.

use crate::codec::modbus::Expected;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Requests that a device has not answered in time, and may still answer.
///
/// A serial slave answers one request after the other, and no frame on a serial line says to which
/// request it is the answer. So the first answer after a time-out is believed only if the same was asked
/// before, or if it cannot be the answer to what was asked before. Otherwise it is asked again at once:
/// late answers follow each other as the requests did, and between time-outs there is a rest. What
/// comes more quickly than that is an answer in time. A device that stalls for longer than the rest and
/// then answers several requests at once can still be mistaken.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// With the time of each.
    asked: Vec<(Asked, Instant)>,
    /// When the last of them was asked.
    last: Option<Instant>,
    /// The rest behind each of them.
    rest: Duration,
    /// How many were asked without a rest between them: the last ones, and at most.
    in_a_row: u8,
    most_in_a_row: u8,
    /// How many answers have come without a rest between them since the last time-out, and since when.
    answers: u8,
    answered: Option<Instant>,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The bytes that were written.
    pub(super) sent: Bytes,
    /// The Modbus answer that they await; any frame without.
    pub(super) expected: Option<Expected>,
}

/// More different requests than this are not remembered.
const MOST: usize = 8;
/// After this time a request that was not answered is lost.
const LOST: Duration = Duration::from_secs(60);
/// More late answers than this are not expected one behind the other.
pub(super) const MOST_IN_A_ROW: u8 = 4;

impl Asked {
    /// Whether an answer to the other one would be taken for an answer to this one.
    fn takes_answers_to(&self, other: &Asked, is_exception: bool) -> bool {
        match (&self.expected, &other.expected) {
            (Some(this), Some(other)) => this.takes_answers_to(other, is_exception),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Doubt {
    /// A request whose last bit was out at `at` was not answered in time, nor will be for `rest`.
    pub(super) fn unanswered(&mut self, asked: Asked, at: Instant, rest: Duration) {
        let is_next = self.last.is_some_and(|last| at < last + rest);
        // What was answered since may not have been answered yet, if those answers were late ones.
        let more = self.answers.saturating_add(1);
        self.in_a_row = if is_next { self.in_a_row.saturating_add(more) } else { more };
        self.most_in_a_row = self.most_in_a_row.max(self.in_a_row).min(MOST_IN_A_ROW);
        (self.last, self.rest) = (Some(at), rest);
        (self.answers, self.answered) = (0, None);
        self.asked.retain(|(other, _)| other.sent != asked.sent);
        if self.asked.len() == MOST {
            self.asked.remove(0);
        }
        self.asked.push((asked, at));
    }

    /// An answer came: whether it may be a late one to something else.
    pub(super) fn is_late(&mut self, asked: &Asked, is_exception: bool, now: Instant) -> bool {
        self.asked.retain(|(_, at)| now < *at + LOST);
        let asked_before = self.asked.iter().map(|(asked, _)| asked);
        let mut mistakable =
            asked_before.filter(|it| asked.takes_answers_to(it, is_exception)).peekable();
        if self.answered.is_some_and(|at| now < at + self.rest) {
            self.answers = self.answers.saturating_add(1);
        } else {
            (self.answers, self.answered) = (1, Some(now));
        }
        if mistakable.peek().is_none() || self.answers > self.most_in_a_row {
            *self = Doubt::default();
            return false;
        }
        !mistakable.all(|it| it.sent == asked.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::modbus::{Mode, Request, Table};

    const SECOND: Duration = Duration::from_secs(1);

    fn asked(mode: Mode, start: u16, count: u16) -> Asked {
        let request = Request::Read { table: Table::Input, start, count };
        let expected = Some(Expected::new(mode, 1, &request, start));
        Asked { sent: request.encode(mode, 1, start).into(), expected }
    }

    #[test]
    fn the_first_answer_to_another_question_is_not_believed_the_second_one_at_once_is() {
        let (a, b, now) = (asked(Mode::Rtu, 0, 2), asked(Mode::Rtu, 2, 2), Instant::now());
        let mut doubt = Doubt::default();
        assert!(!doubt.is_late(&a, false, now));
        doubt.unanswered(a.clone(), now, SECOND);
        assert!(doubt.is_late(&b, false, now + SECOND));
        // As late as the answer to a second request would be.
        assert!(doubt.is_late(&b, false, now + 2 * SECOND));
        assert!(!doubt.is_late(&b, false, now + 5 * SECOND / 2));
        assert!(!doubt.is_late(&b, false, now + 9 * SECOND));
    }

    #[test]
    fn the_same_question_and_one_with_another_answer_are_believed() {
        let (a, b, now) = (asked(Mode::Rtu, 0, 2), asked(Mode::Rtu, 2, 2), Instant::now());
        let mut doubt = Doubt::default();
        doubt.unanswered(a.clone(), now, SECOND);
        assert!(!doubt.is_late(&a, false, now + SECOND));
        // The answer to the second try may still come.
        assert!(doubt.is_late(&b, false, now + 3 * SECOND));
        assert!(!doubt.is_late(&b, false, now + 61 * SECOND), "it is lost");
        doubt.unanswered(a.clone(), now, SECOND);
        doubt.unanswered(b, now + 4 * SECOND, SECOND);
        assert!(doubt.is_late(&a, true, now + 5 * SECOND), "one of two was asked");
        doubt.unanswered(a.clone(), now + 6 * SECOND, SECOND);
        assert!(!doubt.is_late(&asked(Mode::Rtu, 0, 3), false, now + 7 * SECOND));
        assert!(!doubt.is_late(&a, false, now + 7 * SECOND), "what was before is answered or lost");
    }

    #[test]
    fn the_transaction_of_modbus_tcp_leaves_no_doubt() {
        let (a, b, now) = (asked(Mode::Tcp, 0, 2), asked(Mode::Tcp, 2, 2), Instant::now());
        let mut doubt = Doubt::default();
        doubt.unanswered(a, now, SECOND);
        assert!(!doubt.is_late(&b, false, now));
    }
}
