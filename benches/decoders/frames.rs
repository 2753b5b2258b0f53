//! Cuts and decodes bytes as a port does, many times over: `frames FRAMING CHECKSUM DECODE TIMES < BYTES`. A
//! checksum `none` is none. Prints how many frames and readings there were.

use std::error::Error;
use std::io::Read;
use std::time::{Duration, Instant};
use tty2mqtt::testing::codec::decode::Decode;
use tty2mqtt::testing::codec::frame::{Framing, OwnChecksum};
use tty2mqtt::testing::config::tree;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [framing, checksum, decode, times] = &arguments[..] else {
        return Err("frames FRAMING CHECKSUM DECODE TIMES < BYTES".into());
    };
    let OwnChecksum(checksum) = tree::parse(checksum)?;
    let mut framer = tree::parse::<Framing>(framing)?.build(checksum.as_ref(), None)?;
    let decoder = tree::parse::<Decode>(decode)?.build()?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let mut at = Instant::now();
    framer.open(at);
    let (mut frames, mut readings) = (0, 0);
    for _ in 0..times.parse::<u64>()? {
        at += Duration::from_secs(1);
        framer.push(&bytes, at);
        while let Some(frame) = framer.frame() {
            frames += 1;
            readings += decoder.decode(&frame).readings.len();
        }
    }
    println!("{frames} frames, {readings} readings");
    Ok(())
}
