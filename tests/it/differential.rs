//! Our codec against that of the crate `mqtt-protocol-core`: the same bytes for the same packets,
//! and the same verdict about bytes that are nearly a packet. Numbers are sections of MQTT 5.0.
//! And our reader of YAML against serde_yaml.

mod classes;
mod packets;
mod theirs;
mod yaml;

use bytes::BytesMut;
use classes::{CLASSES, disagreement};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tty2mqtt::mqtt::packet::{Decoded, Packet, Version};

fn encode(packet: &Packet, version: Version) -> Vec<u8> {
    let mut out = BytesMut::new();
    packet.encode(&mut out, version);
    out.to_vec()
}

fn decode(bytes: &[u8], version: Version) -> Result<Packet, String> {
    let mut buffer = BytesMut::from(bytes);
    match Packet::decode(&mut buffer, usize::MAX, version) {
        Ok(Some(Decoded::Packet(packet))) if buffer.is_empty() => Ok(packet),
        Ok(_) => Err("not one packet".into()),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// The same cases in every run; `PROPTEST_CASES` asks for more.
fn runner() -> TestRunner {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.rng_seed = RngSeed::Fixed(5);
        config.cases = 2000;
    }
    TestRunner::new(config)
}

fn versions() -> impl Strategy<Value = Version> {
    prop::sample::select(vec![Version::V311, Version::V5])
}

fn versioned() -> impl Strategy<Value = (Version, Packet)> {
    versions().prop_flat_map(|version| (Just(version), packets::packet(version)))
}

#[test]
fn the_same_packet_has_the_same_bytes() {
    runner()
        .run(&versioned(), |(version, packet)| {
            let ours = encode(&packet, version);
            let theirs = theirs::encode(&packet, version);
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(decode(&theirs, version), Ok(packet));
            prop_assert_eq!(theirs::decode(&ours, version), Ok(theirs));
            Ok(())
        })
        .unwrap();
}

/// One change of a packet's body; the remaining length is made to fit.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Flip(usize, u8),
    Remove(usize),
    Insert(usize, u8),
    Cut(usize),
    /// The four bits beside the type of a PUBLISH.
    Flags(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let special = prop::sample::select(b"\x00\x01\x02\x03\x7F\x80\xFF+#/\x26\x0B\x1F".to_vec());
    let byte = || prop_oneof![special.clone(), any::<u8>()];
    // Most of what there is to break stands at the front.
    let at = || prop_oneof![0..12_usize, 0..100_usize];
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        at().prop_map(Change::Remove),
        (at(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        at().prop_map(Change::Cut),
        (0..16_u8).prop_map(Change::Flags),
    ]
}

fn changed(packet: &[u8], changes: &[Change]) -> Vec<u8> {
    let header = 1 + packet[1..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let (mut kind, mut body) = (packet[0], packet[header..].to_vec());
    for change in changes {
        let len = body.len();
        match *change {
            Change::Set(at, byte) if at < len => body[at] = byte,
            Change::Flip(at, bit) if at < len => body[at] ^= 1 << bit,
            Change::Remove(at) if at < len => drop(body.remove(at)),
            Change::Insert(at, byte) if at <= len => body.insert(at, byte),
            Change::Cut(at) => body.truncate(at),
            Change::Flags(flags) if kind >> 4 == 3 => kind = 0x30 | flags,
            _ => {}
        }
    }
    let mut out = vec![kind];
    let mut len = body.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend(body);
    out
}

#[test]
fn what_is_nearly_a_packet_has_the_same_verdict() {
    let changes = prop::collection::vec(change(), 1..3);
    runner()
        .run(&(versioned(), changes), |((version, packet), changes)| {
            let bytes = changed(&encode(&packet, version), &changes);
            if let Some(verdicts) = disagreement(&bytes, version) {
                let listed = CLASSES.iter().any(|class| class.fits(version, &verdicts));
                prop_assert!(listed, "{version} {bytes:02X?}: {verdicts:?}");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_listed_disagreement_is_one() {
    for class in CLASSES {
        let version = class.version;
        let verdicts = disagreement(class.example, version);
        let verdicts = verdicts.unwrap_or_else(|| panic!("no longer deviates: {}", class.why));
        let first = CLASSES.iter().find(|class| class.fits(version, &verdicts));
        let first = first.unwrap_or_else(|| panic!("{verdicts:?}: {}", class.why));
        assert_eq!(first.why, class.why, "{verdicts:?}");
    }
}
