//! How a link begins: CONNECT, AUTH and CONNACK, and what follows from them (3.1, 3.2, 4.12).

use super::event::{Event, SessionError};
use super::keepalive::KeepAlive;
use super::options::Limits;
use super::will::WillLimit;
use super::{Session, State, protocol};
use crate::mqtt::packet::{Auth, ConnAck, Packet, Properties, Property, Reason, Version};
use crate::mqtt::source::Source;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// How long the broker may take to answer CONNECT.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

impl Session {
    /// A link is up: asks the broker to let us in.
    ///
    /// # Errors
    /// [`SessionError::TooLong`], or what the exchange that proves who we are says.
    pub fn connect(&mut self, now: Instant) -> Result<(), SessionError> {
        let mut connect = self.options.connect(self.version(), !self.was_connected);
        connect.clean |= self.begins_anew();
        let login = self.login();
        if !self.auth.as_ref().is_some_and(|auth| auth.hides_login()) {
            (connect.user, connect.password) = (login.user.clone(), login.password.clone());
        }
        connect.will = connect.will.and_then(|will| self.fallback.will.of(will));
        self.is_other = false;
        self.method_is_named = self.version() == Version::V5 && self.auth.is_some();
        if self.method_is_named
            && let Some(auth) = &mut self.auth
        {
            connect.properties.0.push(Property::AuthMethod(auth.method().into()));
            connect.properties.0.push(Property::AuthData(auth.start(&login)?));
        }
        if let Some(what) = connect.too_long() {
            return Err(SessionError::TooLong(what));
        }
        let keepalive = KeepAlive::new(self.options.keepalive, now);
        self.state = State::Connecting { due: now + CONNECT_DEADLINE, keepalive };
        self.watch.asked = Some(now);
        self.put(&Packet::Connect(connect));
        Ok(())
    }

    /// A broker that does not let us in may do so with another CONNECT: in an older version, or with
    /// a smaller will.
    pub(super) fn fall_back(&mut self, error: &SessionError) {
        let will = self.options.adaptable_will();
        self.is_other = match error {
            SessionError::Refused(answer)
                if answer.reason == Reason::UNSUPPORTED_PROTOCOL_VERSION =>
            {
                self.fallback.on_unknown_version()
            }
            SessionError::Refused(answer) => self.fallback.on_refused(answer.reason, will),
            SessionError::Packet(_) => self.fallback.on_close(will),
            _ => false,
        };
    }

    /// Whether the next CONNECT differs from the one that failed in what the broker did not take, or
    /// may not have taken: in an older version, or with a smaller will.
    pub fn has_another_way(&self) -> bool {
        self.is_other
    }

    /// The same, and that way was not tried yet since the broker let us in last.
    pub fn has_untried_way(&self) -> bool {
        self.is_other && !self.fallback.tried_all
    }

    /// Whether a connect that failed with this is worth to be repeated at once, because the broker
    /// said what it does not take and the next one has it no more.
    pub fn tries_again_at_once(&self, error: &SessionError) -> bool {
        self.is_other && matches!(error, SessionError::Refused(_))
    }

    /// What of the will the broker has taken, if that is another part than before.
    pub fn will_news(&mut self) -> Option<WillLimit> {
        self.will_news.take()
    }

    pub(super) fn connected(
        &mut self,
        mut answer: ConnAck,
        source: &mut dyn Source,
    ) -> Result<(), SessionError> {
        let State::Connecting { mut keepalive, .. } = self.state else {
            return Err(protocol("a second CONNACK"));
        };
        if answer.reason.is_error() {
            return Err(SessionError::Refused(answer));
        }
        let asked_for_none =
            self.begins_anew() || self.options.connect(self.version(), !self.was_connected).clean;
        if answer.session_present && asked_for_none {
            return Err(protocol("a session where a new one was asked for"));
        }
        if self.version() == Version::V31 {
            // Its CONNACK does not tell. What is repeated with DUP does no harm if it was lost.
            answer.session_present = self.was_connected && !asked_for_none;
        }
        let properties = &answer.properties;
        if self.version() == Version::V5
            && let Some(auth) = &mut self.auth
            && properties.auth_method().is_some()
        {
            auth.finish(properties.auth_data().map(Bytes::as_ref))?;
        }
        if let Some(seconds) = properties.server_keep_alive() {
            keepalive.interval = Duration::from_secs(u64::from(*seconds));
        }
        // It stands for an empty one only (3.2.2.3.7): under another than ours we would not find our
        // session again.
        if let Some(client_id) = properties.assigned_client_id()
            && self.options.client_id.is_empty()
        {
            self.options.client_id.clone_from(client_id);
        }
        self.state = State::Up(keepalive);
        let news = self.fallback.let_in().filter(|_| self.options.will.is_some());
        self.will_news = news.or(self.will_news);
        self.was_connected = true;
        if std::mem::take(&mut self.is_elsewhere) {
            // Its identifiers stand for other messages.
            self.inbound.forget();
        }
        self.limits = Limits::of(properties);
        let window = properties.receive_maximum().copied().unwrap_or(u16::MAX);
        self.in_flight.set_window(self.options.inflight.min(window));
        let aliases = properties.topic_alias_maximum().copied().unwrap_or(0);
        self.aliases.start(if self.options.own_aliases { aliases } else { 0 });
        if !answer.session_present {
            // The broker knows nothing of what was in flight: it is sent anew, under new
            // identifiers and without DUP, in its old order.
            self.in_flight.forget();
            self.inbound.forget();
            source.requeue();
        }
        source.connected();
        self.tell(Event::Connected(answer));
        Ok(())
    }

    pub(super) fn authenticate(&mut self, step: Auth) -> Result<(), SessionError> {
        let Some(auth) = &mut self.auth else {
            return Err(protocol("AUTH that nobody asked for"));
        };
        let data = step.properties.auth_data().map(Bytes::as_ref);
        let up = matches!(self.state, State::Up(_));
        if step.reason == Reason::SUCCESS && up {
            auth.finish(data)?;
            self.tell(Event::Authenticated);
            return Ok(());
        }
        if step.reason != Reason::CONTINUE_AUTHENTICATION
            || step.properties.auth_method().map(String::as_str) != Some(auth.method())
        {
            return Err(protocol("AUTH that does not go on with the exchange"));
        }
        let answer = auth.answer(data.unwrap_or_default())?;
        let method = auth.method().to_owned();
        self.put_auth(Reason::CONTINUE_AUTHENTICATION, method, answer);
        Ok(())
    }

    /// Proves anew who we are, on the link that stands (4.12.1).
    pub fn authenticate_again(&mut self) -> Result<(), SessionError> {
        let login = self.login();
        if let (State::Up(_), true, Some(auth)) =
            (&self.state, self.method_is_named, &mut self.auth)
        {
            let (method, data) = (auth.method().to_owned(), auth.start(&login)?);
            self.put_auth(Reason::RE_AUTHENTICATE, method, data);
        }
        Ok(())
    }

    fn put_auth(&mut self, reason: Reason, method: String, data: Bytes) {
        let properties = Properties(vec![Property::AuthMethod(method), Property::AuthData(data)]);
        self.put(&Packet::Auth(Auth { reason, properties }));
    }
}
