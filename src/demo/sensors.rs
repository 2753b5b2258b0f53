//! Simulated devices: what they send, and what must come of it at the broker.

use crc::{CRC_16_MODBUS, Crc};

/// A message that must arrive: topic and payload.
pub type Expected = (String, String);

/// A simulated device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensor {
    /// An Arduino that prints values with commas.
    Weather,
    /// A PMS5003 dust sensor.
    Dust,
    /// A Modbus RTU energy meter.
    Meter,
    /// An Aiko node with a relay.
    Node,
}

impl Sensor {
    /// All of them, with the name of their port in `config/demo.yaml`.
    pub const ALL: [(&'static str, Sensor); 4] = [
        ("weather", Sensor::Weather),
        ("dust", Sensor::Dust),
        ("meter", Sensor::Meter),
        ("node", Sensor::Node),
    ];

    /// Bits per second of its line, and bits per character.
    pub fn line(self) -> (u32, u32) {
        match self {
            Sensor::Weather | Sensor::Dust => (9600, 10),
            Sensor::Meter => (19_200, 11),
            Sensor::Node => (38_400, 10),
        }
    }

    /// Milliseconds from one frame to the next.
    pub fn interval(self) -> u64 {
        match self {
            Sensor::Weather => 300,
            Sensor::Dust => 700,
            Sensor::Meter => 500,
            Sensor::Node => 400,
        }
    }

    /// What it sends when it gets power, before its first frame.
    pub fn greeting(self) -> &'static [u8] {
        match self {
            Sensor::Weather => b"\r\n",
            Sensor::Node => b"; Aiko node 0.4\r\n",
            Sensor::Dust | Sensor::Meter => b"",
        }
    }

    /// Its `n`th frame, and the messages that it must become.
    pub fn frame(self, n: u32) -> (Vec<u8>, Vec<Expected>) {
        let wave =
            |period: u32, height: u32| (n % period).abs_diff(period / 2) * 2 * height / period;
        let message = |topic: &str, payload: String| (format!("demo/{topic}"), payload);
        match self {
            Sensor::Weather => {
                let (whole, cents) = (20 + wave(40, 6), n * 7 % 100);
                let humidity = 40 + wave(60, 20);
                let line = format!("{n},{whole}.{cents:02},{humidity}\r\n");
                let json = format!(
                    "{{\"n\":{n},\"temperature\":{whole}.{cents:02},\"humidity\":{humidity}}}"
                );
                (line.into(), vec![message("weather", json)])
            }
            Sensor::Dust => {
                let values = [n % 1000, wave(30, 40) + 3, wave(30, 60) + 5].map(|v| v as u16);
                let mut frame = vec![0x42, 0x4D, 0, 28];
                let data = [1, 2, 3, values[0], values[1], values[2], 9, 8, 7, 6, 5, 4, 0];
                frame.extend(data.iter().flat_map(|v: &u16| v.to_be_bytes()));
                let sum: u16 = frame.iter().map(|byte| u16::from(*byte)).sum();
                frame.extend(sum.to_be_bytes());
                let fields = ["pm1_0", "pm2_5", "pm10"].into_iter().zip(values);
                let messages = fields
                    .map(|(field, v)| message(&format!("dust/{field}"), format!("{v} µg/m³")));
                (frame, messages.collect())
            }
            Sensor::Meter => {
                let energy = 1_234_500 + n * 3;
                let mut frame = vec![1, 3, 4];
                frame.extend(energy.to_be_bytes());
                let crc = Crc::<u16>::new(&CRC_16_MODBUS).checksum(&frame);
                frame.extend(crc.to_le_bytes());
                let value = format!("{}.{:02}", energy / 100, energy % 100);
                (frame, vec![message("meter/energy", value)])
            }
            Sensor::Node => {
                let light = 300 + wave(50, 400) + n % 3;
                let line = format!("(node node ? (count {n}) (light {light} lux))\r\n");
                let messages = vec![
                    message("node/count", n.to_string()),
                    message("node/light", light.to_string()),
                ];
                (line.into(), messages)
            }
        }
    }

    /// What it answers to a command, and the message that must come of it.
    pub fn answer(self, command: &str) -> Option<(Vec<u8>, Expected)> {
        let state = command.strip_prefix("(relay ")?.strip_suffix(");")?;
        let line = format!("(node node ? (relay {state}))\r\n");
        Some((line.into(), ("demo/node/relay".into(), state.into())))
    }
}
