//! Which of several brokers is which.

use super::Dial;
use crate::mqtt::auth::Login;
use crate::mqtt::session::{Quarantine, Session, VersionFallback};
use crate::mqtt::url::BrokerUrl;

/// What is known of so many brokers is remembered; a dialer may find ever new ones.
const MOST: usize = 16;

/// What is remembered of the brokers that were tried.
pub(super) struct Brokers {
    /// The broker of the last try.
    current: Option<BrokerUrl>,
    /// The one that let us in last.
    host: Option<BrokerUrl>,
    /// The others.
    known: Vec<(BrokerUrl, VersionFallback, Quarantine)>,
}

impl Brokers {
    /// `first` is the one to begin with, if it has an address.
    pub(super) fn new(first: Option<BrokerUrl>) -> Brokers {
        Brokers { current: first, host: None, known: Vec::new() }
    }

    pub(super) fn current(&self) -> Option<&BrokerUrl> {
        self.current.as_ref()
    }

    /// The current one let us in.
    pub(super) fn let_in(&mut self) {
        self.host.clone_from(&self.current);
    }

    /// Each broker may know us by another name, speak another version, and has a session of its own.
    pub(super) fn take_over(&mut self, dialer: &dyn Dial, session: &mut Session) {
        let Some(broker) = dialer.broker() else { return };
        let login = Login { user: broker.user.clone(), password: broker.password.clone() };
        session.set_login_of_broker((login != Login::default()).then_some(login));
        if self.current.as_ref() != Some(broker) {
            let at = self.known.iter().position(|(known, ..)| known == broker);
            let known = at.map(|at| self.known.remove(at));
            let (fallback, quarantine) = known.map(|(_, d, s)| (d, s)).unzip();
            let before = session.change_fallback(fallback);
            let quarantine = session.change_quarantine(quarantine);
            if let Some(other) = self.current.replace(broker.clone()) {
                if self.known.len() >= MOST {
                    self.known.remove(0);
                }
                self.known.push((other, before, quarantine));
            }
        }
        session.set_elsewhere(self.host.as_ref().is_some_and(|host| host != broker));
    }
}
