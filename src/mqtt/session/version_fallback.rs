//! Which CONNECT a broker accepts: in which version of MQTT, and with how much of the will.

use super::will::WillLimit;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Reason, Version};

/// So many connects in a row that the broker left without an answer are no accident: the will may be
/// the cause. Three, because each version has its turn before.
const HANG_UPS: u32 = 3;

/// The same for a broker that has let us in with the whole will before. It is more likely a load
/// balancer whose broker is away.
const HANG_UPS_OF_HOST: u32 = 10;

/// So many links in a row have to begin with an end at the whole will, and go on with the guess, before
/// the guess counts as known. After an outage chance alone may do that once.
const GUESSES: u8 = 3;

/// What is known of one broker.
#[derive(Clone, Copy, Debug)]
pub(in crate::mqtt) struct VersionFallback {
    pub(super) version: Version,
    /// Whether no other version may be tried.
    is_fixed: bool,
    /// Whether the broker ever accepted this version: then only its CONNACK can rule it out.
    is_settled: bool,
    /// Connects in a row, in this version, that the broker left unanswered.
    unanswered: u32,
    /// Connects in a row that it hung up on.
    hang_ups: u32,
    /// Whether it hung up on every kind of CONNECT since it let us in, so that there is no hurry to
    /// try them again.
    pub(super) tried_all: bool,
    /// What of the will the next CONNECT has.
    pub(super) will: WillLimit,
    /// Whether the broker itself, or a second experience, spoke against more of the will.
    will_is_settled: bool,
    /// What the broker took where it had hung up on more, and on how many links in a row. That may
    /// have been chance, so the next link asks for the whole will again.
    guess: Option<(WillLimit, u8)>,
    /// What it accepted of the will last.
    told: WillLimit,
}

impl VersionFallback {
    pub(super) fn new(wanted: Option<Version>) -> VersionFallback {
        let (is_fixed, version) = (wanted.is_some(), wanted.unwrap_or(Version::V5));
        VersionFallback {
            version,
            is_fixed,
            is_settled: false,
            unanswered: 0,
            hang_ups: 0,
            tried_all: false,
            will: WillLimit::WHOLE,
            will_is_settled: false,
            guess: None,
            told: WillLimit::WHOLE,
        }
    }

    /// The broker accepted CONNECT. `Some`: with another part of the will than before.
    pub(super) fn let_in(&mut self) -> Option<WillLimit> {
        (self.is_settled, self.unanswered, self.hang_ups) = (true, 0, 0);
        self.tried_all = false;
        let used = self.will;
        if used == WillLimit::WHOLE {
            self.guess = None;
        } else if !self.will_is_settled {
            let times =
                self.guess.filter(|(guess, _)| *guess == used).map_or(0, |(_, times)| times);
            self.guess = Some((used, times + 1));
            self.will_is_settled = times + 1 >= GUESSES;
            self.will = if self.will_is_settled { used } else { WillLimit::WHOLE };
        }
        (std::mem::replace(&mut self.told, used) != used).then_some(used)
    }

    /// The broker says that it does not know the version. It may be another program by now than the
    /// one that did. Whether there is an older one to try.
    pub(super) fn on_unknown_version(&mut self) -> bool {
        self.is_settled = false;
        self.unanswered = 0;
        self.turn_to_older();
        !self.is_fixed && self.version != Version::V5
    }

    /// The broker gives a reason why it does not let us in. Whether it may be the will, so that
    /// another CONNECT is worth a try.
    pub(super) fn on_refused(&mut self, reason: Reason, will: Option<&Message>) -> bool {
        let Some(less) = will.and_then(|will| self.will.after(reason, will)) else { return false };
        (self.will, self.will_is_settled) = (less, true);
        true
    }

    /// The broker hung up on CONNECT, or answered something that is no MQTT. A load balancer whose
    /// broker is away does that too: behind the oldest version the newest has its turn again. A
    /// broker of 3.x also hangs up on a will that it does not take. Whether the next CONNECT is one
    /// that it has not hung up on.
    pub(super) fn on_close(&mut self, will: Option<&Message>) -> bool {
        self.unanswered = 0;
        self.hang_ups += 1;
        let most = if self.is_settled { HANG_UPS_OF_HOST } else { HANG_UPS };
        if self.hang_ups < most {
            // By turns, so that what works directly behind what does not is some proof.
            return match self.guess.filter(|_| !self.will_is_settled) {
                Some((guess, _)) if self.will == WillLimit::WHOLE => {
                    self.will = guess;
                    true
                }
                Some(_) => {
                    self.will = WillLimit::WHOLE;
                    false
                }
                None => self.turn_to_older(),
            };
        }
        let is_free = !self.is_fixed && !self.is_settled;
        match will.and_then(|will| self.will.next(will)) {
            Some(less) => {
                // Where 5.0 is understood, the broker says what is wrong with the will.
                self.version = if is_free { Version::V311 } else { self.version };
                (self.will, self.will_is_settled) = (less, false);
                true
            }
            None => {
                self.version = if is_free { Version::V5 } else { self.version };
                (self.will, self.guess, self.hang_ups) = (WillLimit::WHOLE, None, 0);
                self.tried_all = true;
                false
            }
        }
    }

    /// Whether there was another version to turn to, before the newest has its turn again.
    fn turn_to_older(&mut self) -> bool {
        if self.is_fixed || self.is_settled {
            return false;
        }
        self.version = match self.version {
            Version::V5 => Version::V311,
            Version::V311 => Version::V31,
            Version::V31 => Version::V5,
        };
        self.version != Version::V5
    }

    /// The broker did not answer CONNECT. Some do not answer a version that they do not know. A slow
    /// one gets two tries, for what it answers at last is kept to.
    pub(super) fn on_timeout(&mut self, will: Option<&Message>) {
        self.unanswered += 1;
        if self.unanswered >= 2 {
            self.on_close(will);
        }
    }
}
