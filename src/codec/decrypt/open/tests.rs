//! Published frames with their keys, and some that were made.

use super::super::*;
use crate::codec::decode::Decode;
use crate::config::tree;

/// Of a Kaifa meter in Tirol (fneur/smart-meter-tirol, doc/EXAMPLE.md): encrypted, not authenticated.
const TIROL: &[u8] =
    b"\xDB\x08\x4B\x46\x4D\x10\x10\x00\x00\x23\x82\x01\x09\x21\x00\x29\x5B\x9A\xEF\xC1\
    \x54\x6E\x64\x4A\x2C\x9E\x32\xED\xD4\x2C\xBD\x0F\x1B\x94\x5B\x19\x4D\x08\x68\x85\
    \xC4\xD8\xDF\x86\xDD\x52\xCB\x5B\x44\x88\x54\xA6\xD5\x48\xD5\xD2\x70\x73\x9B\x2A\
    \x16\x9D\x05\xB0\x13\xF9\x01\x50\x70\x08\x9D\x3C\x5F\xA4\x5C\xA0\x5E\x92\x30\x9A\
    \x64\x5C\xC8\x3D\x7D\xA4\x0F\xBC\x8F\x4C\xF9\xC2\x25\xAF\xA6\x9A\x25\xFF\x0B\x2A\
    \xC9\xC2\x74\x45\x50\xAB\xA5\x3C\xE9\x14\x3F\xD1\x0B\x0A\xD8\x5F\xD3\x0B\xD6\xB6\
    \xDF\xFE\xE6\x5F\x82\x04\xDC\x9C\x50\x67\xCA\x73\xB6\x2E\x29\x9A\x39\xD5\x0A\xA7\
    \x30\xB2\xB9\xAE\x38\x36\xBC\x2F\x34\x90\xFB\x41\xBE\x5B\x6F\x93\x0D\x84\x95\x29\
    \x76\x36\x9D\xD7\xDA\xBB\xB5\xA4\x35\x4A\xEC\xA1\xD2\x48\x6C\xFF\x2E\xB0\xC6\x20\
    \x63\x80\xBA\x50\x1D\x12\x2A\xF7\x5D\x71\x6D\x30\x92\xC3\x96\x05\x06\xA1\x5E\x06\
    \xFA\xB0\xEE\x5B\x7D\xFA\x3C\x2C\xDF\x0C\xAF\xD0\x51\xB8\x8E\x44\xB8\xB9\xFB\x88\
    \x65\xF2\x0C\xB8\x9D\x11\x43\xCD\xC7\xEF\xEB\x07\xFB\x4C\x48\x98\xE7\x64\xE9\xE3\
    \xA3\x2D\xDC\x3D\x1F\xB4\x69\x61\xCE\x96\x2B\x2C\x78\x05\x0C\x96\x59\x8C\x7E\x4D\
    \x26\x65\x80\x43\xF9\xCB\xCA\x78\x18\x9B\xD0\x1B\x13\x9F\x8A\xE0\xF7\x39";

/// Made, with Python's cryptography: a telegram as Luxembourg's P1 port has it.
const LUXEMBOURG: &[u8] =
    b"\xDB\x08\x53\x41\x47\x67\x00\x0B\x1E\x05\x82\x00\x57\x30\x00\x00\x03\xE9\x29\x0D\
    \x37\x2A\x73\x2D\xA2\x2F\x78\x0E\xE8\x86\x27\x56\xBC\xB5\x8C\xCC\xC5\xC2\xD5\xF5\
    \xC5\x12\x3D\xD3\x12\x67\xE7\x29\x5D\x81\x15\x63\x47\x47\x1A\x8F\xED\x76\x53\x5D\
    \x4C\x69\x0F\x50\x7B\x74\x29\x78\x1B\x49\x45\x5B\xB3\xD9\xB1\xEE\xF4\xBC\x31\x59\
    \x8F\xE8\xFE\xB8\xC5\xE7\xF6\xFC\x07\x8C\x42\x97\xC9\x2F\x5E\x87\x77\xD1\x25\xB0";

/// Made, with Python's cryptography: a telegram of the M-Bus with one encrypted block in mode 5.
const M_BUS: &[u8] =
    b"\x68\x23\x23\x68\x08\x05\x72\x78\x56\x34\x12\x24\x23\x28\x04\x2A\x00\x10\x05\xDB\
    \x98\xB4\xED\x82\x82\x78\x85\x25\xC7\xA3\x9C\xB5\x49\xF4\xB9\x02\x5A\x67\x01\xF4\
    \x16";

fn key(digits: &str) -> KeyFile {
    KeyFile { file: "key".into(), digits: Ok(digits.to_owned().into()) }
}

fn opener(digits: &str, auth_key: Option<&str>) -> Opener {
    Decrypt { key: key(digits), auth_key: auth_key.map(key) }.build().unwrap()
}

const OF_TIROL: &str = "101112131415161718191A1B1C1D1E1F";
const OF_LUXEMBOURG: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const AUTHENTICATION: &str = "00112233445566778899AABBCCDDEEFF";
const OF_M_BUS: &str = "000102030405060708090a0b0c0d0e0f";

/// `field=value unit` of what a decoder reads in a frame that a key opens.
fn opened(yaml: &str, opener: &Opener, frame: &[u8]) -> Vec<String> {
    let decoder = tree::parse::<Decode>(yaml).unwrap().build().unwrap();
    let clear = opener.open(frame).unwrap();
    let decoded = decoder.decode(&clear);
    assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
    let shown = decoded.readings.iter().map(|reading| {
        format!("{}={} {}", reading.field, reading.value.as_str(), reading.unit.unwrap_or(""))
    });
    shown.map(|text| text.trim_end().to_owned()).collect()
}

#[test]
fn a_push_that_is_encrypted_only() {
    let opener = opener(OF_TIROL, None);
    let expected = [
        "time=2021-07-19T15:46:35+02:00",
        "0-0:1.0.0=2021-07-19T15:46:35+02:00",
        "0-0:96.1.0=1KFM0100000035",
        "0-0:42.0.0=KFM1100100000035",
        "1-0:32.7.0=230.8 V",
        "1-0:31.7.0=0.00 A",
        "1-0:1.7.0=0 W",
        "1-0:2.7.0=0 W",
        "1-0:1.8.0=9108 Wh",
        "1-0:2.8.0=0 Wh",
        "1-0:3.8.0=96 varh",
        "1-0:4.8.0=9 varh",
    ];
    assert_eq!(opened("dlms", &opener, TIROL), expected);
    let behind_llc = [b"\xE6\xE7\x00", TIROL].concat();
    assert_eq!(opened("dlms", &opener, &behind_llc), expected);
}

#[test]
fn a_telegram_that_is_encrypted_and_authenticated() {
    for auth_key in [Some(AUTHENTICATION), None] {
        let opener = opener(OF_LUXEMBOURG, auth_key);
        let clear = opener.open(LUXEMBOURG).unwrap();
        assert!(clear.starts_with(b"/Lux5\\253663629_D\r\n"));
        assert!(clear.ends_with(b"1-0:1.8.0(000123.456*kWh)\r\n!64C4\r\n"));
        let yaml = "{obis: {fields: [{name: energy, from: 1.8.0, unit: kWh}]}}";
        assert_eq!(opened(yaml, &opener, LUXEMBOURG), ["energy=123.456 kWh"]);
    }
}

/// IEC 62056-5-3, example of a glo-get-request: with the tag of 12 bytes.
#[test]
fn the_cipher_of_the_standard() {
    let auth_key = "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF";
    let opener = opener(OF_M_BUS, Some(auth_key));
    let nonce = b"MMM\x00\x00\xBC\x61\x4E\x01\x23\x45\x67";
    let clear = b"\xC0\x01\x00\x00\x08\x00\x00\x01\x00\x00\xFF\x02\x00";
    let sealed = b"\x41\x13\x12\xFF\x93\x5A\x47\x56\x68\x27\xC4\x67\xBC";
    assert_eq!(opener.cipher.counter_mode(nonce, sealed), clear);
    let mut added = vec![0x30];
    added.extend(key(auth_key).key().unwrap());
    let tag = opener.cipher.tag(nonce, &added, sealed);
    assert_eq!(tag[..12], *b"\x7D\x82\x5C\x3B\xE4\xA7\x7C\x3F\xCC\x05\x6B\x6B");
}

#[test]
fn records_of_the_m_bus_in_mode_5() {
    let opener = opener(OF_M_BUS, None);
    let yaml = "{mbus: {fields: [energy, volume, flow_temperature]}}";
    let expected = ["energy=1527000 Wh", "volume=148.01 m³", "flow_temperature=35.9 °C"];
    assert_eq!(opened(yaml, &opener, M_BUS), expected);
    // One whose checksum the port has taken away, and a damaged one.
    assert_eq!(opened(yaml, &opener, &M_BUS[..M_BUS.len() - 2]), expected);
    let mut damaged = M_BUS.to_vec();
    damaged[37] ^= 1;
    let decoder = tree::parse::<Decode>(yaml).unwrap().build().unwrap();
    assert!(decoder.decode(&opener.open(&damaged).unwrap()).readings.is_empty());
    // Telegrams in clear are taken as they are.
    let clear = b"\x68\x06\x06\x68\x08\x01\x78\x01\x13\x05\x9A\x16";
    assert_eq!(opener.open(clear).unwrap(), clear);
    assert!(opener.open(&M_BUS[..30]).is_err());
}

#[test]
fn a_wrong_key_opens_nothing() {
    let wrong = opener("00000000000000000000000000000000", Some(AUTHENTICATION));
    for frame in [TIROL, LUXEMBOURG, M_BUS] {
        assert_eq!(wrong.open(frame), Err("what the key opens"));
    }
    assert_eq!(opener(OF_LUXEMBOURG, Some(OF_TIROL)).open(LUXEMBOURG), Err("what the key opens"));
}

#[test]
fn a_damaged_byte_of_an_authenticated_frame_is_found() {
    let opener = opener(OF_LUXEMBOURG, Some(AUTHENTICATION));
    for at in 0..LUXEMBOURG.len() {
        let mut frame = LUXEMBOURG.to_vec();
        frame[at] ^= 0x10;
        assert!(opener.open(&frame).is_err(), "{at}");
        assert!(opener.open(&LUXEMBOURG[..at]).is_err(), "{at}");
    }
}

#[test]
fn a_key_is_32_hexadecimal_digits() {
    let build = |digits: &str| Decrypt { key: key(digits), auth_key: None }.build();
    assert!(build(&format!(" {OF_TIROL}\t")).is_ok());
    for wrong in ["", &OF_TIROL[1..], &format!("{OF_TIROL}0"), &OF_TIROL.replace('A', "G")] {
        let error = build(wrong).unwrap_err().to_string();
        assert!(error.starts_with("key.file: what stands in it is no key"), "{error}");
        assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
    }
    let missing = KeyFile { digits: Err("it is away".into()), ..key("") };
    let error = Decrypt { key: missing, auth_key: None }.build().unwrap_err().to_string();
    assert!(error.starts_with("key.file: cannot read key: it is away"), "{error}");
}
