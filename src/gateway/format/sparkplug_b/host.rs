//! The primary host application, whose STATE says whether it is there (sections 4.2.3 and 5.4).

use serde::Deserialize;

/// A host application that has to be there before anything is published.
#[derive(Debug)]
pub(super) struct Host {
    /// Its topic, `spBv1.0/STATE/` and its identifier.
    pub topic: String,
    /// What it said on this link.
    heard: Option<bool>,
    /// The timestamp of the STATE that counts.
    last: Option<u64>,
}

/// The payload of STATE.
#[derive(Deserialize)]
struct State {
    online: bool,
    timestamp: u64,
}

impl Host {
    pub fn new(id: &str) -> Host {
        Host { topic: format!("spBv1.0/STATE/{id}"), heard: None, last: None }
    }

    /// Takes a STATE. One that is older than another was delayed, and counts no more.
    pub fn hear(&mut self, payload: &[u8]) {
        let Ok(State { online, timestamp }) = serde_json::from_slice(payload) else { return };
        if self.last.is_none_or(|last| timestamp >= last) {
            (self.heard, self.last) = (Some(online), Some(timestamp));
        }
    }

    /// Another link, perhaps to another broker: the host may not be there.
    pub fn forget(&mut self) {
        self.heard = None;
    }

    pub fn is_online(&self) -> bool {
        self.heard == Some(true)
    }

    /// Whether it said on this link that it is offline, and not only nothing.
    pub fn is_gone(&self) -> bool {
        self.heard == Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_counts_if_it_is_no_older_than_the_last() {
        let mut host = Host::new("scada");
        assert!(!host.is_online() && !host.is_gone());
        for (payload, expected) in [
            (r#"{"online":true,"timestamp":100}"#, true),
            (r#"{"online":false,"timestamp":99}"#, true),
            (r#"{"online":false}"#, true),
            ("OFFLINE", true),
            (r#"{"online":false,"timestamp":100}"#, false),
            (r#"{"online":true,"timestamp":101,"bdSeq":3}"#, true),
        ] {
            host.hear(payload.as_bytes());
            assert_eq!((host.is_online(), host.is_gone()), (expected, !expected), "{payload}");
        }
    }
}
