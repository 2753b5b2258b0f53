//! Options that make a session behave as other clients for small devices do, for those who come
//! from there. Everything stays a field that can be changed.

use super::options::{Clean, OnOversize, Options};
use crate::mqtt::packet::Version;
use std::time::Duration;

impl Options {
    /// As LuatOS's `mqtt` has it: MQTT 3.1.1, a new session each time, a keepalive of 240 s; another
    /// one is brought into the range from 15 to 600 s.
    pub fn luatos(client_id: impl Into<String>, keepalive: Option<u32>) -> Options {
        let seconds = keepalive.unwrap_or(240).clamp(15, 600);
        Options::of_old(client_id, seconds)
    }

    /// As NodeMCU's `mqtt` has it: MQTT 3.1.1, a new session each time, packets of 1024 bytes at
    /// most; of a larger message as much is told, and the rest thrown away.
    pub fn nodemcu(client_id: impl Into<String>, keepalive: u16) -> Options {
        let options = Options::of_old(client_id, keepalive.into());
        Options { largest: 1024, overflow: 1024, on_oversize: OnOversize::Tell, ..options }
    }

    /// As luamqtt has it: MQTT 3.1.1 unless 5.0 is asked for, a new session each time, a keepalive
    /// of 60 s.
    pub fn luamqtt(client_id: impl Into<String>, version: Option<Version>) -> Options {
        let options = Options::of_old(client_id, 60);
        Options { version: Some(version.unwrap_or(Version::V311)), ..options }
    }

    /// As Aiko's mqtt_lua has it: MQTT 3.1, a new session each time, a keepalive of 60 s.
    pub fn aiko(client_id: impl Into<String>) -> Options {
        Options { version: Some(Version::V31), ..Options::of_old(client_id, 60) }
    }

    /// As Barracuda's `mqttc` has it: MQTT 3.1.1, a new session each time, a keepalive of 300 s.
    pub fn barracuda(client_id: impl Into<String>) -> Options {
        Options::of_old(client_id, 300)
    }

    fn of_old(client_id: impl Into<String>, seconds: u32) -> Options {
        Options {
            client_id: client_id.into(),
            version: Some(Version::V311),
            clean: Clean::Always,
            keepalive: Duration::from_secs(seconds.into()),
            ..Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keepalive_of_luatos_has_a_range() {
        let seconds = |keepalive| Options::luatos("c", keepalive).keepalive.as_secs();
        assert_eq!([None, Some(1), Some(60), Some(3600)].map(seconds), [240, 15, 60, 600]);
    }
}
