//! How old a command is, as far as anybody can know: before 5.0 a message does not say when it was
//! sent, and in 5.0 only how long it is still good for.

use std::time::Instant;

/// The time at which messages from the broker are taken to have been sent.
///
/// A message is as old as its arrival. On a link that resumed a session, the messages that the
/// broker kept come first, and look like all others: everything that arrives before the broker has
/// answered a PINGREQ, which we sent when we had nothing left to acknowledge, is as old as the end
/// of the last link.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// When the link ended on which nothing was kept any more; `None`: before this program began.
    lost: Option<Instant>,
    kept: Kept,
}

/// Whether the broker may still send what it kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kept {
    #[default]
    Nothing,
    Something,
    /// It is asked for a PINGRESP, and nothing came since.
    Asked,
}

impl Ages {
    pub(super) fn connected(&mut self, session_present: bool) {
        self.kept = if session_present { Kept::Something } else { Kept::Nothing };
    }

    pub(super) fn lost(&mut self, now: Instant) {
        // What an earlier end left at the broker is still there.
        if self.kept == Kept::Nothing {
            self.lost = Some(now);
        }
    }

    /// A message came: when it was sent at the earliest. `None`: nobody knows, as with a retained
    /// one.
    pub(super) fn came(&mut self, retain: bool, now: Instant) -> Option<Instant> {
        let since = match self.kept {
            Kept::Nothing => Some(now),
            Kept::Something | Kept::Asked => {
                self.kept = Kept::Something;
                self.lost
            }
        };
        since.filter(|_| !retain)
    }

    /// Whether the broker is to be asked for a PINGRESP, once everything is acknowledged.
    pub(super) fn wants_to_ask(&self) -> bool {
        self.kept == Kept::Something
    }

    pub(super) fn asked(&mut self) {
        self.kept = Kept::Asked;
    }

    /// PINGRESP came.
    pub(super) fn answered(&mut self) {
        if self.kept == Kept::Asked {
            self.kept = Kept::Nothing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_kept_is_as_old_as_the_end_of_the_link_until_nothing_is_left() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ages = Ages::default();
        ages.connected(true);
        assert_eq!(ages.came(false, at(1)), None, "kept since before the start");
        // The end of this link says nothing of what is left from before.
        ages.lost(at(2));
        ages.connected(true);
        assert_eq!(ages.came(false, at(3)), None);
        ages.asked();
        assert_eq!(ages.came(false, at(4)), None);
        ages.answered();
        assert!(ages.wants_to_ask(), "something came before the answer");
        ages.asked();
        ages.answered();
        assert_eq!(ages.came(false, at(5)), Some(at(5)));
        assert_eq!(ages.came(true, at(5)), None, "retained");
        ages.lost(at(6));
        ages.connected(true);
        assert_eq!(ages.came(false, at(9)), Some(at(6)));
        ages.lost(at(10));
        ages.connected(false);
        assert_eq!(ages.came(false, at(11)), Some(at(11)), "a new session");
    }
}
