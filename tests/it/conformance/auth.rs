//! The authentication exchange (4.12).

use crate::support::talk::{Said, Talk, options};
use bytes::Bytes;
use tty2mqtt::mqtt::auth::{AuthError, Authenticate, Login};
use tty2mqtt::mqtt::packet::{Auth, ConnAck, Packet, Properties, Property, Reason, Subscription};
use tty2mqtt::mqtt::topic::Qos::AtMostOnce;

/// Says back what it is asked; content with everything but `no`.
#[derive(Debug)]
struct Method;

impl Authenticate for Method {
    fn method(&self) -> &str {
        "method"
    }
    fn start(&mut self, _: &Login) -> Result<Bytes, AuthError> {
        Ok(Bytes::from_static(b"hello"))
    }
    fn answer(&mut self, challenge: &[u8]) -> Result<Bytes, AuthError> {
        Ok(Bytes::copy_from_slice(challenge))
    }
    fn finish(&mut self, last: Option<&[u8]>) -> Result<(), AuthError> {
        if last == Some(b"no") { Err(AuthError::Impostor) } else { Ok(()) }
    }
}

fn step(reason: Reason, method: &str) -> Said {
    let properties = Properties(vec![
        Property::AuthMethod(method.into()),
        Property::AuthData(Bytes::from_static(b"1")),
    ]);
    Auth { reason, properties }.into()
}

#[test]
fn mqtt_3_1_2_30_nothing_but_auth_before_connack() {
    let mut talk = Talk::new(options());
    talk.session.set_auth(Box::new(Method));
    talk.publish("a", AtMostOnce);
    talk.session
        .subscribe(vec![Subscription::new("t".parse().unwrap(), AtMostOnce)], &Properties::NONE);
    let connect = talk.knock();
    assert_eq!(connect.properties.auth_method().unwrap(), "method");
    assert!(talk.hears().is_empty());
    talk.say(step(Reason::CONTINUE_AUTHENTICATION, "method")).unwrap();
    let [Packet::Auth(auth)] = &talk.hear()[..] else { panic!() };
    assert_eq!(auth.reason, Reason::CONTINUE_AUTHENTICATION);
    assert_eq!(auth.properties.auth_method().unwrap(), "method");
    assert_eq!(&auth.properties.auth_data().unwrap()[..], b"1");
    assert!(talk.hears().is_empty());
    let properties = Properties(vec![Property::AuthMethod("method".into())]);
    talk.say(ConnAck { session_present: false, reason: Reason::SUCCESS, properties }.into())
        .unwrap();
    assert_eq!(talk.hears(), ["SUBSCRIBE 1", "PUBLISH a 0"]);
}

#[test]
fn mqtt_4_12_0_5_the_method_stays_the_same() {
    let mut talk = Talk::new(options());
    talk.session.set_auth(Box::new(Method));
    talk.knock();
    assert!(talk.say(step(Reason::CONTINUE_AUTHENTICATION, "other")).is_err());
}

#[test]
fn mqtt_4_12_0_6_no_auth_where_no_method_was_named() {
    let mut talk = Talk::new(options());
    talk.knock();
    assert!(talk.say(step(Reason::CONTINUE_AUTHENTICATION, "method")).is_err());
    let mut talk = Talk::up(Vec::new());
    assert!(talk.say(step(Reason::CONTINUE_AUTHENTICATION, "method")).is_err());
}

#[test]
fn mqtt_4_12_0_7_without_a_method_we_send_no_auth() {
    let mut talk = Talk::up(Vec::new());
    talk.session.authenticate_again().unwrap();
    assert!(talk.hears().is_empty());
    // It counts from the next connect on.
    talk.session.set_auth(Box::new(Method));
    talk.session.authenticate_again().unwrap();
    assert!(talk.hears().is_empty());
}

#[test]
fn mqtt_4_12_1_1_authenticating_again_has_the_same_method() {
    let mut talk = Talk::new(options());
    talk.session.set_auth(Box::new(Method));
    talk.connect(false, vec![Property::AuthMethod("method".into())]).unwrap();
    talk.session.authenticate_again().unwrap();
    let [Packet::Auth(auth)] = &talk.hear()[..] else { panic!() };
    assert_eq!(auth.reason, Reason::RE_AUTHENTICATE);
    assert_eq!(auth.properties.auth_method().unwrap(), "method");
    talk.say(step(Reason::SUCCESS, "method")).unwrap();
    // Other things may go on meanwhile and behind it.
    talk.publish("a", AtMostOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 0"]);
}

#[test]
fn mqtt_4_12_1_2_the_link_ends_if_authenticating_again_fails() {
    let mut talk = Talk::new(options());
    talk.session.set_auth(Box::new(Method));
    talk.connect(false, vec![Property::AuthMethod("method".into())]).unwrap();
    talk.session.authenticate_again().unwrap();
    talk.hear();
    let properties = Properties(vec![
        Property::AuthMethod("method".into()),
        Property::AuthData(Bytes::from_static(b"no")),
    ]);
    assert!(talk.say(Auth { reason: Reason::SUCCESS, properties }.into()).is_err());
    talk.publish("a", AtMostOnce);
    assert!(!talk.hears().iter().any(|said| said.starts_with("PUBLISH")));
}
