//! What the gateway tells a broker of its login, at a broker that keeps each CONNECT and knows
//! SCRAM-SHA-256 from the other side.

use crate::support::gateway::Gateway;
use base64ct::{Base64, Encoding};
use bytes::{Bytes, BytesMut};
use ring::hmac::{self, HMAC_SHA256, Key};
use ring::{digest, pbkdf2};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tty2mqtt::mqtt::packet::{
    Auth, ConnAck, Connect, Decoded, Packet, Properties, Property, Reason, Version,
};

const DEADLINE: Duration = Duration::from_secs(60);
const METHOD: &str = "SCRAM-SHA-256";
const ROUNDS: u32 = 4096;

/// What one link told: its CONNECT, and the user that it proved to be.
#[derive(Debug)]
struct Told {
    connect: Connect,
    proved: Option<String>,
}

struct Scripted {
    port: u16,
    told: Receiver<Told>,
}

impl Scripted {
    /// Lets everybody in who sends no AUTH data, and who proves `password` with SCRAM.
    fn start(password: &'static str) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, told) = channel();
        std::thread::spawn(move || {
            let mut links = Vec::new();
            for stream in listener.incoming() {
                let mut peer = Peer::new(stream.unwrap());
                let Some(it) = peer.let_in(password) else { continue };
                links.push(peer);
                if sender.send(it).is_err() {
                    return;
                }
            }
        });
        Scripted { port, told }
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(DEADLINE).expect("nobody came")
    }
}

pub struct Peer {
    stream: TcpStream,
    input: BytesMut,
    version: Version,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Peer {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Peer { stream, input: BytesMut::new(), version: Version::V5 }
    }

    pub fn hears(&mut self) -> Option<Packet> {
        loop {
            if let Some(Decoded::Packet(packet)) =
                Packet::decode(&mut self.input, 1 << 20, self.version).unwrap()
            {
                return Some(packet);
            }
            let mut bytes = [0; 1024];
            let n = self.stream.read(&mut bytes).ok().filter(|n| *n > 0)?;
            self.input.extend_from_slice(&bytes[..n]);
        }
    }

    pub fn says_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn says(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes, self.version);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Lets one in who proves what he must.
    fn let_in(&mut self, password: &str) -> Option<Told> {
        let Some(Packet::Connect(connect)) = self.hears() else { return None };
        self.version = connect.version;
        let (mut proved, mut properties) = (None, Properties::NONE);
        if let Some(first) = connect.properties.auth_data() {
            let (user, last) = self.exchange(&String::from_utf8_lossy(first), password)?;
            proved = Some(user);
            properties = of_method(last);
        }
        self.says(&Packet::ConnAck(ConnAck { properties, ..ConnAck::new(false, Reason::SUCCESS) }));
        Some(Told { connect, proved })
    }

    /// RFC 5802, section 3, as the server: the user, and the last message, which proves that we know
    /// the password.
    fn exchange(&mut self, first: &str, password: &str) -> Option<(String, String)> {
        let bare = first.strip_prefix("n,,")?;
        let (user, nonce) = bare.strip_prefix("n=")?.split_once(",r=")?;
        let (user, salt) = (user.replace("=2C", ",").replace("=3D", "="), b"salt of some bytes");
        let challenge = format!("r={nonce}server,s={},i={ROUNDS}", Base64::encode_string(salt));
        let properties = of_method(challenge.clone());
        self.says(&Packet::Auth(Auth { reason: Reason::CONTINUE_AUTHENTICATION, properties }));
        let Some(Packet::Auth(answer)) = self.hears() else { return None };
        let answer = String::from_utf8_lossy(answer.properties.auth_data()?).into_owned();
        let (without_proof, proof) = answer.split_once(",p=")?;
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(ROUNDS).unwrap();
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, rounds, salt, password.as_bytes(), &mut salted);
        let signed = format!("{bare},{challenge},{without_proof}");
        let client_key = sign(&salted, "Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        let signature = sign(stored.as_ref(), &signed);
        let expected: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let last = sign(&sign(&salted, "Server Key"), &signed);
        (Base64::decode_vec(proof).ok()? == expected)
            .then(|| (user, format!("v={}", Base64::encode_string(&last))))
    }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn of_method(data: String) -> Properties {
    Properties(vec![Property::AuthMethod(METHOD.into()), Property::AuthData(Bytes::from(data))])
}

/// A gateway whose `broker` has these keys, and what it told.
fn told(broker: &Scripted, keys: &str) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "in=file,:\r\nsecond line\n").unwrap();
    let keys = keys.replace("HERE", &format!("127.0.0.1:{}", broker.port));
    // Nobody listens at port 1.
    let keys = keys.replace("AWAY", "127.0.0.1:1").replace("FILE", &file.display().to_string());
    let gateway = Gateway::start(&format!(
        "gateway: g\nbroker: {{{keys}}}\nports: {{p: {{tcp: \"127.0.0.1:1\"}}}}\n"
    ));
    let told = broker.next();
    gateway.kill();
    told
}

#[test]
fn scram_sends_no_password_however_it_is_written() {
    for (keys, password, user) in [
        ("url: 'mqtt://HERE', user: meter, password: geheim", "geheim", "meter"),
        ("url: 'mqtt://meter:geheim@HERE'", "geheim", "meter"),
        ("url: 'mqtt://me%2Cter:ge%20heim%40@HERE'", "ge heim@", "me,ter"),
        ("url: 'mqtt://other:wrong@HERE', user: meter, password: geheim", "geheim", "meter"),
        ("url: 'mqtt://meter:wrong@HERE', password: geheim", "geheim", "meter"),
        ("url: 'mqtt://HERE', user: meter, password_file: 'FILE'", "in=file,:", "meter"),
        ("url: 'mqtt://meter@HERE', password_file: 'FILE'", "in=file,:", "meter"),
        ("url: 'mqtt://meter:wrong@HERE', password_file: 'FILE'", "in=file,:", "meter"),
        ("url: 'mqtt://meter:geheim@AWAY', fallback: ['mqtt://HERE']", "geheim", "meter"),
        (
            "url: 'mqtt://AWAY', fallback: ['mqtt://AWAY', 'mqtt://HERE'], user: meter, \
             password: geheim",
            "geheim",
            "meter",
        ),
    ] {
        let broker = Scripted::start(password);
        let Told { connect, proved } = told(&broker, &format!("{keys}, auth: scram-sha-256"));
        assert_eq!((connect.user, connect.password), (None, None), "{keys}");
        assert_eq!(connect.version, Version::V5, "{keys}");
        // So the exchange went to its end, and the gateway knew what was in the file.
        assert_eq!(proved.as_deref(), Some(user), "{keys}");
    }
}

#[test]
fn keys_win_over_the_address() {
    let broker = Scripted::start("");
    for (keys, user, password) in [
        ("url: 'mqtt://in:address@HERE'", "in", "address"),
        ("url: 'mqtt://in:address@HERE', user: key, password: word", "key", "word"),
        ("url: 'mqtt://in:address@HERE', user: key", "key", "address"),
        ("url: 'mqtt://in:address@HERE', password: word", "in", "word"),
        ("url: 'mqtt://in:address@HERE', password_file: 'FILE'", "in", "in=file,:"),
        ("url: 'mqtt://in@HERE', password_file: 'FILE'", "in", "in=file,:"),
        ("url: 'mqtt://in:address@AWAY', fallback: ['mqtt://HERE'], user: key", "key", "address"),
    ] {
        let Told { connect, proved } = told(&broker, keys);
        assert_eq!(connect.user.as_deref(), Some(user), "{keys}");
        assert_eq!(connect.password.unwrap().reveal(), password.as_bytes(), "{keys}");
        assert_eq!(proved, None);
    }
}

#[test]
fn a_renewed_password_makes_a_new_link_at_a_reload_and_an_old_one_makes_none() {
    let broker = Scripted::start("");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "first").unwrap();
    let keys = format!(
        "url: 'mqtt://127.0.0.1:{}', user: u, password_file: '{}'",
        broker.port,
        file.display()
    );
    let gateway = Gateway::start(&format!(
        "gateway: g\nbroker: {{{keys}}}\nports: {{p: {{tcp: \"127.0.0.1:1\"}}}}\n"
    ));
    let password = || {
        let Told { connect, .. } = broker.next();
        String::from_utf8(connect.password.unwrap().reveal().to_vec()).unwrap()
    };
    assert_eq!(password(), "first");
    gateway.log().wait_for("connected to");
    let reload = || {
        gateway.signal(Signal::HUP);
        gateway.log().wait_for("configuration reloaded");
    };
    reload();
    std::fs::write(&file, "second").unwrap();
    reload();
    // The one between made no link.
    assert_eq!(password(), "second");
    gateway.log().wait_for("connected to");
    // A file that is gone is no reason to leave.
    std::fs::remove_file(&file).unwrap();
    reload();
    std::fs::write(&file, "third").unwrap();
    reload();
    assert_eq!(password(), "third");
    gateway.kill();
}
