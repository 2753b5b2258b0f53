//! Simulated devices: what they send, and what must come of it at the broker.

use crc::{CRC_16_MODBUS, Crc};

/// A message that must arrive: topic and payload.
pub type Expected = (String, String);

#[derive(Debug)]
pub struct Sensor {
    /// Of its port in `config/demo.yaml`.
    pub name: &'static str,
    /// Bits per second of its line, and bits per character.
    pub line: (u32, u32),
    /// Milliseconds from one frame to the next.
    pub interval: u64,
    /// What it sends when it gets power, before its first frame.
    pub greeting: &'static str,
    /// Its `n`th frame, and the messages that it must become.
    pub frame: fn(n: u32) -> (Vec<u8>, Vec<Expected>),
}

pub static SENSORS: [Sensor; 4] = [
    Sensor { name: "weather", line: (9600, 10), interval: 300, greeting: "\r\n", frame: weather },
    Sensor { name: "dust", line: (9600, 10), interval: 700, greeting: "", frame: dust },
    Sensor { name: "meter", line: (19_200, 11), interval: 500, greeting: "", frame: meter },
    Sensor {
        name: "node",
        line: (38_400, 10),
        interval: 400,
        greeting: "; Aiko node 0.4\r\n",
        frame: node,
    },
];

/// Up and down again within `period` frames.
pub(super) fn wave(n: u32, period: u32, height: u32) -> u32 {
    (n % period).abs_diff(period / 2) * 2 * height / period
}

pub(super) fn message(topic: &str, payload: String) -> Expected {
    (format!("demo/{topic}"), payload)
}

/// An Arduino that prints values with commas.
fn weather(n: u32) -> (Vec<u8>, Vec<Expected>) {
    let (whole, cents) = (20 + wave(n, 40, 6), n * 7 % 100);
    let humidity = 40 + wave(n, 60, 20);
    let line = format!("{n},{whole}.{cents:02},{humidity}\r\n");
    let json = format!("{{\"n\":{n},\"temperature\":{whole}.{cents:02},\"humidity\":{humidity}}}");
    (line.into(), vec![message("weather", json)])
}

/// A PMS5003 dust sensor.
fn dust(n: u32) -> (Vec<u8>, Vec<Expected>) {
    let values = [n % 1000, wave(n, 30, 40) + 3, wave(n, 30, 60) + 5].map(|v| v as u16);
    let mut frame = vec![0x42, 0x4D, 0, 28];
    let data = [1, 2, 3, values[0], values[1], values[2], 9, 8, 7, 6, 5, 4, 0];
    frame.extend(data.iter().flat_map(|v: &u16| v.to_be_bytes()));
    let sum: u16 = frame.iter().map(|byte| u16::from(*byte)).sum();
    frame.extend(sum.to_be_bytes());
    let fields = ["pm1_0", "pm2_5", "pm10"].into_iter().zip(values);
    let messages = fields.map(|(field, v)| message(&format!("dust/{field}"), format!("{v} µg/m³")));
    (frame, messages.collect())
}

/// A Modbus RTU energy meter.
fn meter(n: u32) -> (Vec<u8>, Vec<Expected>) {
    let energy = 1_234_500 + n * 3;
    let mut frame = vec![1, 3, 4];
    frame.extend(energy.to_be_bytes());
    let crc = Crc::<u16>::new(&CRC_16_MODBUS).checksum(&frame);
    frame.extend(crc.to_le_bytes());
    let value = format!("{}.{:02}", energy / 100, energy % 100);
    (frame, vec![message("meter/energy", value)])
}

/// An Aiko node with a relay.
fn node(n: u32) -> (Vec<u8>, Vec<Expected>) {
    let light = 300 + wave(n, 50, 400) + n % 3;
    let line = format!("(node node ? (count {n}) (light {light} lux))\r\n");
    let messages =
        vec![message("node/count", n.to_string()), message("node/light", light.to_string())];
    (line.into(), messages)
}

/// What the node answers to a command, and the message that must come of it.
pub fn answer(command: &str) -> Option<(Vec<u8>, Expected)> {
    let state = command.strip_prefix("(relay ")?.strip_suffix(");")?;
    let line = format!("(node node ? (relay {state}))\r\n");
    Some((line.into(), message("node/relay", state.into())))
}
