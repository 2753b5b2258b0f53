//! `peer PATH SPEED BROKER-PORT INTERVAL-MS`: the 30 values of the line, read by tokio-modbus in two groups and
//! published by rumqttc at QoS 1, as one would write it.

use rumqttc::{AsyncClient, MqttOptions, QoS};
use std::time::Duration;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_modbus::prelude::*;

/// First address, number of registers, and where each value stands.
const GROUPS: [(u16, u16, &[u16]); 2] = [
    (
        0x00,
        86,
        &[
            0x00, 0x02, 0x04, 0x06, 0x08, 0x0A, 0x0C, 0x0E, 0x10, 0x12, 0x14, 0x16, 0x18, 0x1A,
            0x1C, 0x1E, 0x20, 0x22, 0x24, 0x2A, 0x2E, 0x30, 0x34, 0x38, 0x3C, 0x46, 0x48, 0x4A,
            0x54,
        ],
    ),
    (0x156, 2, &[0x156]),
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let speed: u32 = arguments[2].parse().unwrap();
    let silence = match speed {
        ..=19_200 => Duration::from_nanos(35_000_000_000 / u64::from(speed)),
        _ => Duration::from_micros(1750),
    };
    let mut options = MqttOptions::new("peer", "127.0.0.1", arguments[3].parse().unwrap());
    options.set_keep_alive(Duration::from_secs(60));
    let (client, mut events) = AsyncClient::new(options, 1000);
    tokio::spawn(async move {
        loop {
            if events.poll().await.is_err() {
                sleep(Duration::from_secs(1)).await;
            }
        }
    });
    let port = tokio_serial::SerialStream::open(&tokio_serial::new(&arguments[1], speed)).unwrap();
    let mut bus = rtu::attach_slave(port, Slave(1));
    let mut due = interval(Duration::from_millis(arguments[4].parse().unwrap()));
    let mut last = Instant::now();
    loop {
        due.tick().await;
        for (start, count, places) in GROUPS {
            tokio::time::sleep_until(last + silence).await;
            let answer =
                timeout(Duration::from_millis(500), bus.read_input_registers(start, count)).await;
            last = Instant::now();
            let Ok(Ok(Ok(words))) = answer else { continue };
            for place in places {
                let at = usize::from(place - start);
                let value = f32::from_bits(u32::from(words[at]) << 16 | u32::from(words[at + 1]));
                let topic = format!("bench/line/r{place:03x}");
                client.publish(topic, QoS::AtLeastOnce, false, value.to_string()).await.unwrap();
            }
        }
    }
}
