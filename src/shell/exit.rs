//! The exit codes of `pub`, `sub` and `test`: those of mosquitto's library where it has one for the same
//! error. Codes from 128 on are MQTT 5's reason codes.

/// How a command ended; the number is that of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    pub const DONE: Exit = Exit(0);
    /// An error on this machine, such as a missing file.
    pub const LOCAL: Exit = Exit(1);
    /// The command line is invalid.
    pub const USAGE: Exit = Exit(2);
    /// The broker closed the connection, and the command does not reconnect.
    pub const LOST: Exit = Exit(7);
    /// TLS failed, or the broker is not trusted.
    pub const TLS: Exit = Exit(8);
    pub const TCP: Exit = Exit(14);
    /// The broker's name has no address.
    pub const DNS: Exit = Exit(15);
    /// The proxy refused the connection.
    pub const PROXY: Exit = Exit(16);
    /// The broker stopped answering.
    pub const SILENT: Exit = Exit(19);
    /// The answer is not MQTT.
    pub const PROTOCOL: Exit = Exit(21);
    /// The message is larger than the broker accepts.
    pub const TOO_LARGE: Exit = Exit(25);
    pub const TIMEOUT: Exit = Exit(27);

    /// 3, 4, 5 and 128 to 162: the broker refused CONNECT, with this reason code of MQTT 5. Scripts know
    /// three of MQTT 3.x's return codes from mosquitto; the other two have another meaning as an exit code.
    pub fn refused(reason: u8, is_5: bool) -> Exit {
        Exit(match (is_5, reason) {
            (false, 0x88) => 3,
            (false, 0x86) => 4,
            (false, 0x87) => 5,
            (_, reason) => reason,
        })
    }

    /// 30, 31 and 32: a message of QoS 0, 1 or 2 did not come back.
    pub fn round_trip(qos: u8) -> Exit {
        Exit(30 + qos)
    }

    /// 130 and 143: SIGINT or SIGTERM stopped the command before its end.
    pub fn signal(number: u8) -> Exit {
        Exit(128 + number)
    }

    pub fn is_signal(self) -> bool {
        [Exit::signal(2), Exit::signal(15)].contains(&self)
    }
}
