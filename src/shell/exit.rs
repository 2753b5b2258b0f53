//! The exit codes of `pub`, `sub` and `test`: those of mosquitto's library where it has one for the same
//! error. Codes from 128 on are MQTT 5's reason codes.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: success.
    Done,
    /// 1: an error on this machine, such as a missing file.
    Local,
    /// 2: the command line is invalid.
    Usage,
    /// 3, 4, 5 and 128 to 162: the broker refused, with this reason code of MQTT 5. 3, 4 and 5 are return
    /// codes of a CONNACK of MQTT 3.x, which are 136, 134 and 135 in MQTT 5.
    Refused(u8),
    /// 7: the broker closed the connection, and the command does not reconnect.
    Lost,
    /// 8: TLS failed, or the broker is not trusted.
    Tls,
    /// 14: no TCP connection.
    Tcp,
    /// 15: the broker's name has no address.
    Dns,
    /// 16: the proxy refused the connection.
    Proxy,
    /// 19: the broker stopped answering.
    Silent,
    /// 21: the answer is not MQTT.
    Protocol,
    /// 25: the message is larger than the broker accepts.
    TooLarge,
    /// 27: time-out.
    Timeout,
    /// 30, 31 and 32: a message of QoS 0, 1 or 2 did not come back.
    RoundTrip(u8),
    /// 130 and 143: stopped by SIGINT or SIGTERM before the end.
    Signal(u8),
}

impl Exit {
    /// The number that the process returns.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Local => 1,
            Exit::Usage => 2,
            Exit::Refused(reason) => reason,
            Exit::Lost => 7,
            Exit::Tls => 8,
            Exit::Tcp => 14,
            Exit::Dns => 15,
            Exit::Proxy => 16,
            Exit::Silent => 19,
            Exit::Protocol => 21,
            Exit::TooLarge => 25,
            Exit::Timeout => 27,
            Exit::RoundTrip(qos) => 30 + qos,
            Exit::Signal(number) => 128 + number,
        }
    }

    /// The code of a refused CONNECT. Scripts know three of MQTT 3.x's return codes from mosquitto; the other
    /// two have another meaning as an exit code.
    pub fn refused(reason: u8, is_5: bool) -> Exit {
        Exit::Refused(match (is_5, reason) {
            (false, 0x88) => 3,
            (false, 0x86) => 4,
            (false, 0x87) => 5,
            (_, reason) => reason,
        })
    }
}
