//! `line SPEED BURST-MS SLAVES`: a simulated RS-485 line on a virtual serial port, with meters of 30 values at
//! the addresses from 1 on. Prints the port; then answers lines on its standard input: `counts`, `dead N`,
//! `alive N`, `stop`.

use std::io::{self, BufRead};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tty2mqtt::testing::bus::{Fault, Played, SimulatedBus, Slave};
use tty2mqtt::testing::codec::modbus::{Mode, Table};

/// What an Eastron SDM630 has: 0x00 to 0x55 with values at 29 places, and one at 0x156.
fn exists(address: u16) -> bool {
    address < 0x56 || (0x156..0x158).contains(&address)
}

/// Values that show where they come from: slave * 10000 + address + n / 8, another n for each reading.
fn meter(unit: u8) -> Slave {
    let readings = AtomicU32::new(0);
    Slave::new(unit).by(move |table, address| {
        if table == Table::Holding {
            return (address < 8).then_some(0);
        }
        if table != Table::Input || !exists(address) {
            return None;
        }
        let n = match address {
            0 => readings.fetch_add(1, Ordering::Relaxed) + 1,
            _ => readings.load(Ordering::Relaxed),
        };
        let place = u32::from(unit) * 10_000 + u32::from(address & !1);
        // Exact: at most 320,342 and eighths of it.
        let value = (place as f32 + (n % 4) as f32 / 8.0).to_bits();
        Some(if address % 2 == 0 { (value >> 16) as u16 } else { value as u16 })
    })
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let mut next = || arguments.next().and_then(Result::ok);
    let (Some(speed), Some(burst), Some(slaves)) = (next(), next(), next()) else {
        return Err(io::Error::other("line SPEED BURST-MS SLAVES"));
    };
    let slaves = (1..=slaves).map(|unit| meter(unit as u8)).collect();
    let mut bus = SimulatedBus::new(1, Mode::Rtu, slaves);
    (bus.speed, bus.bits) = (speed, 10);
    bus.burst = Duration::from_millis(u64::from(burst));
    let played = Played::start(bus)?;
    println!("{}", played.path().display());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let word = words.next();
        let unit = words.next().and_then(|unit| unit.parse().ok()).unwrap_or(0);
        let mut bus = played.bus();
        match (word, bus.slave(unit)) {
            (Some("counts"), _) => {
                let heard: u64 = bus.slaves.iter().map(|slave| slave.requests).sum();
                let counts = &bus.counts;
                println!(
                    "{} {heard} {} {} {}",
                    counts.requests,
                    counts.violations,
                    counts.collisions,
                    counts.least_silence.unwrap_or_default().as_micros()
                );
            }
            (Some("dead"), Some(slave)) => slave.fail(&[Fault::Dead]),
            (Some("alive"), Some(slave)) => slave.fail(&[]),
            _ => break,
        }
    }
    Ok(())
}
