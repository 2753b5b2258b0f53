//! What a link remembers of each of several brokers.

use super::Dial;
use crate::mqtt::auth::Login;
use crate::mqtt::session::{Known, Session};
use crate::mqtt::url::BrokerUrl;

/// The maximum number of brokers to remember: a dialer may find new ones without end.
const MOST: usize = 16;

/// What is remembered of the brokers that were tried.
pub(super) struct Brokers {
    /// The broker of the last attempt.
    current: Option<BrokerUrl>,
    /// The broker that last accepted the connection.
    host: Option<BrokerUrl>,
    /// The others.
    known: Vec<(BrokerUrl, Known)>,
}

impl Brokers {
    /// `first` is the broker of the first attempt, if it has an address.
    pub(super) fn new(first: Option<BrokerUrl>) -> Brokers {
        Brokers { current: first, host: None, known: Vec::new() }
    }

    pub(super) fn current(&self) -> Option<&BrokerUrl> {
        self.current.as_ref()
    }

    /// The current broker accepted the connection.
    pub(super) fn let_in(&mut self) {
        self.host.clone_from(&self.current);
    }

    /// Gives the session what belongs to the dialer's broker: login, protocol version, suspects. Each
    /// broker has a session of its own.
    pub(super) fn take_over(&mut self, dialer: &dyn Dial, session: &mut Session) {
        let Some(broker) = dialer.broker() else { return };
        let login = Login { user: broker.user.clone(), password: broker.password.clone() };
        session.set_login_of_broker((login != Login::default()).then_some(login));
        if self.current.as_ref() != Some(broker) {
            let at = self.known.iter().position(|(known, _)| known == broker);
            let before = session.change_broker(at.map(|at| self.known.remove(at).1));
            if let Some(other) = self.current.replace(broker.clone()) {
                if self.known.len() >= MOST {
                    self.known.remove(0);
                }
                self.known.push((other, before));
            }
        }
        session.set_elsewhere(self.host.as_ref().is_some_and(|host| host != broker));
    }
}
