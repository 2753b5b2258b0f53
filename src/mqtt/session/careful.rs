//! A link on which it shows which message the broker does not take: it begins anew, and one message at
//! a time is in flight.

use super::Session;
use crate::outbox::Ticket;

/// What a link is careful about.
#[derive(Debug)]
pub(super) struct Careful {
    of: Ticket,
    /// So many others may be taken before it. It may be gone from the outbox, and never come.
    others: u8,
}

const MANY: u8 = 100;

impl Session {
    /// The next link is careful, until the broker has taken a certain message, or many others.
    pub(in crate::mqtt) fn set_careful(&mut self, of: Option<Ticket>) {
        self.careful = of.map(|of| Careful { of, others: MANY });
    }

    /// Whether the message in flight is alone there, and the broker has answered something before it
    /// on this link.
    pub(in crate::mqtt) fn is_alone(&self) -> bool {
        self.careful.is_some() && self.round_trip().is_some()
    }

    /// The broker has taken a message.
    pub(super) fn care_less(&mut self, taken: Option<Ticket>) {
        let Some(careful) = &mut self.careful else { return };
        careful.others = careful.others.saturating_sub(1);
        if careful.others == 0 || taken == Some(careful.of) {
            self.careful = None;
            self.flights.set_window(self.window);
        }
    }
}
