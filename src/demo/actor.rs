//! The task of one simulated device: plugs itself in, sends, answers, and is unplugged.

use super::sensors::{Expected, Sensor, answer};
use crate::testing::pty::Pty;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    /// Plugged in, silent.
    Standby,
    /// Sends.
    On,
    /// Unplugged.
    Off,
}

pub(super) async fn act(
    sensor: &'static Sensor,
    link: PathBuf,
    mut power: watch::Receiver<Power>,
    done: mpsc::Sender<Expected>,
) {
    let mut n = 0;
    loop {
        let pty = match Pty::open().and_then(|pty| pty.link(&link).map(|()| pty)) {
            Ok(pty) => pty,
            Err(error) => return tracing::error!("{}: {error}", link.display()),
        };
        if power.wait_for(|power| *power == Power::On).await.is_err() {
            return;
        }
        let _ = pace(&pty, sensor, sensor.greeting.as_bytes()).await;
        // A device boots for a while. A frame that was under way when the port was opened would
        // rightly be taken for the rest of one.
        let mut next = Instant::now() + Duration::from_millis(100);
        let mut input = Vec::new();
        let mut buffer = [0; 256];
        loop {
            let state = *power.borrow_and_update();
            tokio::select! {
                changed = power.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                read = pty.read(&mut buffer) => {
                    input.extend_from_slice(&buffer[..read.unwrap_or_default()]);
                    while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = input.drain(..=end).collect();
                        let line = String::from_utf8_lossy(&line);
                        if let Some((reply, expected)) = answer(line.trim()) {
                            let _ = done.send(expected).await;
                            let _ = pace(&pty, sensor, &reply).await;
                        }
                    }
                }
                () = sleep_until(next), if state == Power::On => {
                    next += Duration::from_millis(sensor.interval);
                    let (frame, messages) = (sensor.frame)(n);
                    n += 1;
                    for message in messages {
                        let _ = done.send(message).await;
                    }
                    let _ = pace(&pty, sensor, &frame).await;
                }
            }
            if *power.borrow() == Power::Off {
                break;
            }
        }
        drop(pty);
        let _ = std::fs::remove_file(&link);
        if power.wait_for(|power| *power != Power::Off).await.is_err() {
            return;
        }
    }
}

/// Writes at the line's real speed, ten milliseconds' worth at a time.
async fn pace(pty: &Pty, sensor: &Sensor, bytes: &[u8]) -> io::Result<()> {
    let (baud, bits) = sensor.line;
    let chunk = (baud / bits / 100).max(1) as usize;
    let mut next = Instant::now();
    for piece in bytes.chunks(chunk) {
        sleep_until(next).await;
        next += Duration::from_micros(
            piece.len() as u64 * u64::from(bits) * 1_000_000 / u64::from(baud),
        );
        pty.write_all(piece).await?;
    }
    Ok(())
}
