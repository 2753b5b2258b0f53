//! The version of MQTT in which a broker is spoken to.

use crate::mqtt::packet::Version;

/// What is known of one broker's version.
#[derive(Clone, Copy, Debug)]
pub(in crate::mqtt) struct Dialect {
    version: Version,
    /// Whether no other one may be tried.
    is_fixed: bool,
    /// Whether the broker ever let us in with this version: then only its word speaks against it.
    is_settled: bool,
    /// Connects in a row, in this version, that the broker left unanswered.
    unanswered: u32,
}

impl Dialect {
    /// Nothing but what the user wants is known.
    pub(super) fn new(wanted: Option<Version>) -> Dialect {
        let (is_fixed, version) = (wanted.is_some(), wanted.unwrap_or(Version::V5));
        Dialect { version, is_fixed, is_settled: false, unanswered: 0 }
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether the next connect is in a version that the broker has not refused, if it refused the
    /// one before.
    pub(super) fn is_older(&self) -> bool {
        !self.is_fixed && self.version != Version::V5
    }

    pub(super) fn let_in(&mut self) {
        (self.is_settled, self.unanswered) = (true, 0);
    }

    /// The broker says that it does not know the version. It may be another program by now than the
    /// one that did.
    pub(super) fn unknown(&mut self) {
        self.is_settled = false;
        self.suspect();
    }

    /// The broker hung up on CONNECT, or answered something that is no MQTT. A load balancer whose
    /// broker is away does that too: behind the oldest version the newest has its turn again.
    pub(super) fn suspect(&mut self) {
        self.unanswered = 0;
        if !self.is_fixed && !self.is_settled {
            self.version = match self.version {
                Version::V5 => Version::V311,
                Version::V311 => Version::V31,
                Version::V31 => Version::V5,
            };
        }
    }

    /// The broker did not answer CONNECT. Some do not answer a version that they do not know. A slow
    /// one gets two tries, for what it answers at last is kept to.
    pub(super) fn silence(&mut self) {
        self.unanswered += 1;
        if self.unanswered >= 2 {
            self.suspect();
        }
    }
}
