//! SCRAM-SHA-256 (RFC 5802, RFC 7677): proves that both sides know the password, and sends it to
//! nobody. User names and passwords are taken as they are; those beyond ASCII must be normalised
//! already (SASLprep).

use super::{AuthError, Authenticate, Login};
use crate::base::secret::Secret;
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use ring::hmac::{self, HMAC_SHA256, Key};
use ring::{digest, pbkdf2};
use std::num::NonZeroU32;

/// Rounds of hashing that a broker may ask for. Fewer would make the password easy to guess
/// (RFC 7677, 4); more would block a slow processor: 200,000 take a MIPS about ten seconds.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=200_000;

/// Without channel binding (RFC 5802, 6): `n,,` and its base64.
const HEADER: &str = "n,,";
const HEADER_BASE64: &str = "biws";

/// SCRAM-SHA-256 with the user name and the password of the link's broker.
#[derive(Debug)]
pub struct Scram {
    /// The password of the current exchange.
    password: Secret,
    nonce: fn() -> [u8; 18],
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    /// Our first message without its header.
    Started(String),
    /// The signature that the broker must send.
    Proved([u8; 32]),
}

impl Default for Scram {
    fn default() -> Scram {
        Scram { password: Secret::default(), nonce: random, state: State::Idle }
    }
}

impl Authenticate for Scram {
    fn method(&self) -> &str {
        "SCRAM-SHA-256"
    }

    fn hides_login(&self) -> bool {
        true
    }

    fn start(&mut self, login: &Login) -> Result<Bytes, AuthError> {
        self.password = login.password.clone().unwrap_or_default();
        let user =
            login.user.as_deref().unwrap_or_default().replace('=', "=3D").replace(',', "=2C");
        let nonce = Base64::encode_string(&(self.nonce)());
        let first = format!("n={user},r={nonce}");
        let message = format!("{HEADER}{first}");
        self.state = State::Started(first);
        Ok(message.into())
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Bytes, AuthError> {
        let State::Started(first) = std::mem::replace(&mut self.state, State::Idle) else {
            return Err(AuthError::Malformed("a challenge that was not its turn"));
        };
        let server_first = utf8(challenge)?;
        let mut fields = server_first.split(',');
        let nonce = field(fields.next(), "r=")?;
        let salt = field(fields.next(), "s=")?;
        let rounds = field(fields.next(), "i=")?;
        let own = first.rsplit_once("r=").map_or("", |(_, own)| own);
        if !nonce.starts_with(own) || nonce.len() <= own.len() {
            return Err(AuthError::Malformed("the nonce does not go on with ours"));
        }
        let salt = Base64::decode_vec(salt).map_err(|_| AuthError::Malformed("the salt"))?;
        let rounds = rounds.parse().map_err(|_| AuthError::Malformed("the count of rounds"))?;
        if !ROUNDS.contains(&rounds) {
            return Err(AuthError::Unacceptable("the broker asks for too few or too many rounds"));
        }
        let without_proof = format!("c={HEADER_BASE64},r={nonce}");
        let signed = format!("{first},{server_first},{without_proof}");
        let salted = self.salted(&salt, rounds);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let signature = sign(stored_key.as_ref(), signed.as_bytes());
        let mut proof = client_key;
        proof.iter_mut().zip(signature).for_each(|(byte, other)| *byte ^= other);
        self.state = State::Proved(sign(&sign(&salted, b"Server Key"), signed.as_bytes()));
        Ok(format!("{without_proof},p={}", Base64::encode_string(&proof)).into())
    }

    fn finish(&mut self, last: Option<&[u8]>) -> Result<(), AuthError> {
        let State::Proved(expected) = std::mem::replace(&mut self.state, State::Idle) else {
            return Err(AuthError::Impostor);
        };
        let signature = field(utf8(last.unwrap_or_default())?.split(',').next(), "v=")?;
        match Base64::decode_vec(signature) {
            Ok(signature) if signature == expected => Ok(()),
            _ => Err(AuthError::Impostor),
        }
    }
}

impl Scram {
    fn salted(&self, salt: &[u8], rounds: u32) -> [u8; 32] {
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(rounds).unwrap_or(NonZeroU32::MIN);
        let password = self.password.reveal();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password, &mut salted);
        salted
    }
}

fn random() -> [u8; 18] {
    let mut nonce = [0; 18];
    // If the system has no random numbers, the broker's half of the nonce still is unique.
    let _ = getrandom::fill(&mut nonce);
    nonce
}

fn sign(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut signature = [0; 32];
    let tag = hmac::sign(&Key::new(HMAC_SHA256, key), text);
    signature.copy_from_slice(tag.as_ref());
    signature
}

fn utf8(bytes: &[u8]) -> Result<&str, AuthError> {
    std::str::from_utf8(bytes).map_err(|_| AuthError::Malformed("it is no text"))
}

fn field<'a>(field: Option<&'a str>, name: &'static str) -> Result<&'a str, AuthError> {
    field.and_then(|field| field.strip_prefix(name)).ok_or(AuthError::Malformed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    fn example() -> Scram {
        let nonce = || {
            let mut nonce = [0; 18];
            let text = Base64::decode_vec("rOprNGfwEbeRWgbNEkqO").unwrap();
            nonce[..15].copy_from_slice(&text);
            nonce
        };
        Scram { nonce, ..Scram::default() }
    }

    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn login() -> Login {
        Login { user: Some("user".into()), password: Some("pencil".to_owned().into()) }
    }

    /// Our nonces have 18 bytes, the standard's example has 15.
    fn started() -> Scram {
        let mut scram = example();
        scram.password = login().password.unwrap();
        scram.state = State::Started("n=user,r=rOprNGfwEbeRWgbNEkqO".into());
        scram
    }

    #[test]
    fn the_exchange_of_rfc_7677() {
        assert_eq!(example().start(&login()).unwrap(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqOAAAA");
        let mut scram = started();
        let answer = scram.answer(CHALLENGE.as_bytes()).unwrap();
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        scram.finish(Some(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).unwrap();
    }

    #[test]
    fn a_broker_that_does_not_know_the_password_is_an_impostor() {
        let other: &[u8] = b"v=AAriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        for last in [Some(other), Some(b"v=".as_slice())] {
            let mut scram = started();
            scram.answer(CHALLENGE.as_bytes()).unwrap();
            assert_eq!(scram.finish(last), Err(AuthError::Impostor));
        }
        // One that is content at once has proved nothing.
        let mut scram = example();
        scram.start(&login()).unwrap();
        assert_eq!(scram.finish(None), Err(AuthError::Impostor));
    }

    #[test]
    fn a_challenge_that_cannot_be_ends_it() {
        for challenge in [
            "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            "",
        ] {
            assert!(started().answer(challenge.as_bytes()).is_err(), "{challenge}");
        }
    }
}
