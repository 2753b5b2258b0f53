//! The recorded vectors, as `mqtt-packet.js` writes them.

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::Value;
use tty2mqtt::mqtt::packet::Version;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Parse,
    Generate,
    Mirror,
    None,
}

#[derive(Deserialize)]
pub struct Vector {
    pub name: String,
    pub kind: Kind,
    version: Option<String>,
    #[serde(default)]
    pub chunks: Vec<Chunk>,
    pub source: Option<Value>,
    pub packet: Option<Value>,
    pub bytes: Option<Hex>,
    pub error: Option<String>,
}

#[derive(Deserialize)]
pub struct Chunk {
    pub bytes: Option<Hex>,
    pub left: Option<usize>,
    pub packets: Option<usize>,
    pub errors: Option<usize>,
}

/// Bytes in hexadecimal, and so many zeros behind them.
#[derive(Deserialize)]
pub struct Hex {
    hex: String,
    zeros: usize,
}

impl Vector {
    pub fn version(&self) -> Result<Version, String> {
        let text = self.version.as_deref().unwrap_or("3.1.1");
        text.parse().map_err(|error| format!("{error}"))
    }
}

impl Hex {
    pub fn get(&self) -> BytesMut {
        let digits = |n: usize| u8::from_str_radix(&self.hex[n..n + 2], 16).unwrap();
        let mut bytes = BytesMut::with_capacity(self.hex.len() / 2 + self.zeros);
        bytes.extend((0..self.hex.len()).step_by(2).map(digits));
        bytes.resize(self.hex.len() / 2 + self.zeros, 0);
        bytes
    }
}

pub fn all() -> Vec<Vector> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/foreign/mqtt-packet.jsonl");
    let lines = std::fs::read_to_string(path).unwrap_or_else(|error| {
        panic!("{path}: {error}\n`make deps` fetches the vectors and makes this file")
    });
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
