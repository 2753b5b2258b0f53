//! The trial of a new link. A serial server that cannot serve the gateway accepts the connection,
//! says why and closes it; one that speaks telnet mixes its own bytes with those of the device.

use crate::base::clock::Now;
use crate::port::open::LinkKind;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// A link that lasts for this time has passed its trial.
pub(super) const LASTS: Duration = Duration::from_secs(1);

/// A server that sends this many bytes is not saying why it closes: the link has passed.
const WORDS: usize = 1024;

/// At most this many bytes of what a server said are quoted.
const QUOTED: usize = 128;

/// A telnet option is negotiated as IAC, one of WILL, WON'T, DO and DON'T, and the number of the
/// option. (RFC 854)
const IAC: u8 = 0xFF;
const WILL: u8 = 0xFB;
const DONT: u8 = 0xFE;

/// Assigned options have numbers up to this one. (IANA, Telnet Options)
const LAST_OPTION: u8 = 49;

/// The bytes that were read during a trial, one entry for each read.
pub(super) type Held = Vec<(Now, Vec<u8>)>;

/// Holds back what is read until the link has passed. Sans-io.
#[derive(Debug)]
struct Trial {
    link: LinkKind,
    size: usize,
    held: Held,
}

impl Trial {
    /// Takes the bytes of one read. `Some`: the trial is over, and this is its result.
    fn read(&mut self, bytes: &[u8], now: Now) -> Option<Result<(), String>> {
        self.size += bytes.len();
        self.held.push((now, bytes.to_vec()));
        match self.link {
            // On a tty only the device sends: its first byte proves the link.
            LinkKind::Tty | LinkKind::MarkedTty => Some(Ok(())),
            LinkKind::Network if is_telnet(&self.first_bytes(3)) => Some(Err(
                "the other end speaks telnet, which would get into the readings; write `telnet://` \
                 or `rfc2217://` before its address"
                    .into(),
            )),
            LinkKind::Network | LinkKind::Telnet => (self.size >= WORDS).then_some(Ok(())),
        }
    }

    /// The link ended during the trial. Returns the reason to log.
    fn ended(&self, end: io::Result<()>) -> String {
        let how = match end {
            Ok(()) => "the other end closed it at once".to_owned(),
            Err(error) => format!("it broke at once: {error}"),
        };
        let words = self.first_bytes(QUOTED);
        match String::from_utf8_lossy(&words).trim() {
            "" => how,
            words => format!("{how}, saying {words:?}"),
        }
    }

    fn first_bytes(&self, n: usize) -> Vec<u8> {
        self.held.iter().flat_map(|(_, bytes)| bytes).take(n).copied().collect()
    }
}

fn is_telnet(first: &[u8]) -> bool {
    matches!(first, [IAC, WILL..=DONT, ..=LAST_OPTION, ..])
}

/// Reads until the trial is over. Returns what was read, or why the link failed.
pub(super) async fn pass(
    stream: &mut (impl AsyncRead + Unpin),
    link: LinkKind,
) -> Result<Held, String> {
    let mut trial = Trial { link, size: 0, held: Held::new() };
    let until = Instant::now() + LASTS;
    let mut buffer = [0; WORDS];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(read) = timeout(left, stream.read(&mut buffer)).await else {
            return Ok(trial.held);
        };
        match read {
            Ok(0) => return Err(trial.ended(Ok(()))),
            Ok(n) => match trial.read(&buffer[..n], Now::read()) {
                Some(Ok(())) => return Ok(trial.held),
                Some(Err(why)) => return Err(why),
                None => {}
            },
            Err(error) => return Err(trial.ended(Err(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Trial {
        Trial { link: LinkKind::Network, size: 0, held: Held::new() }
    }

    #[test]
    fn telnet_is_noticed_in_any_split_and_binary_devices_are_not_taken_for_it() {
        // What ser2net 4.3.11 sends first with `telnet,tcp` and with `telnet(rfc2217),tcp`.
        for hello in [
            &b"\xFF\xFB\x03\xFF\xFD\x03\xFF\xFB\x01\xFF\xFE\x01\xFF\xFD\x00\xFF\xFB\x00"[..],
            b"\xFF\xFB\x03\xFF\xFD\x03\xFF\xFB\x01\xFF\xFE\x01\xFF\xFD\x00\xFF\xFB\x00\xFF\xFD,",
            b"\xFF\xFC\x01",
        ] {
            for size in 1..=hello.len() {
                let mut trial = network();
                let verdicts = hello.chunks(size).map(|read| trial.read(read, Now::read()));
                let found = verdicts.flatten().next();
                assert!(matches!(found, Some(Err(_))), "{size}: {found:?}");
            }
        }
        for device in
            [&b"\xFF\xFF\xFB\x01"[..], b"\xFF\xFB\xFF\xFE", b"\x01\xFF\xFB\x01", b"\xFF\xFB"]
        {
            assert_eq!(network().read(device, Now::read()), None, "{device:?}");
        }
    }

    #[test]
    fn last_words_are_quoted_without_what_steers_a_terminal_and_cut() {
        let mut trial = network();
        trial.read(b"Port already ", Now::read());
        trial.read(b"in use\r\n", Now::read());
        let why = trial.ended(Ok(()));
        assert_eq!(why, r#"the other end closed it at once, saying "Port already in use""#);
        let mut trial = network();
        trial.read(b"\x1b[2J", Now::read());
        trial.read(&[b'x'; 500], Now::read());
        let why = trial.ended(Ok(()));
        assert!(why.contains(r"\u{1b}[2Jxxx") && why.len() < 200, "{why}");
        assert_eq!(network().ended(Ok(())), "the other end closed it at once");
    }
}
