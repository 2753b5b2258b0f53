//! How much of the will a broker takes.

use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::topic::Qos;
use std::fmt;

/// What is left of the will in CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WillLimit {
    /// It goes with this QoS at most, and retained only where `retain` is set.
    UpTo {
        /// The highest QoS.
        qos: Qos,
        /// Whether it may be retained.
        retain: bool,
    },
    /// It is left out.
    Without,
}

impl WillLimit {
    /// The will goes as it is.
    pub const WHOLE: WillLimit = WillLimit::UpTo { qos: Qos::ExactlyOnce, retain: true };

    /// What is left of a will.
    pub(super) fn of(self, will: Message) -> Option<Message> {
        let WillLimit::UpTo { qos, retain } = self else { return None };
        Some(Message { qos: will.qos.min(qos), retain: will.retain && retain, ..will })
    }

    /// What a broker may still take that refused this much of a will for a reason; `None`: the
    /// reason has nothing to do with the will.
    pub(super) fn after(self, reason: Reason, will: &Message) -> Option<WillLimit> {
        let WillLimit::UpTo { qos: most, retain } = self else { return None };
        let qos = will.qos.min(most);
        match reason {
            // 3.2.2.3.4 and .5: a will with a higher QoS, or retained, is refused so.
            Reason::QOS_NOT_SUPPORTED if qos == Qos::ExactlyOnce => {
                Some(WillLimit::UpTo { qos: Qos::AtLeastOnce, retain })
            }
            Reason::QOS_NOT_SUPPORTED if qos == Qos::AtLeastOnce => {
                Some(WillLimit::UpTo { qos: Qos::AtMostOnce, retain })
            }
            Reason::RETAIN_NOT_SUPPORTED if will.retain && retain => {
                Some(WillLimit::UpTo { qos: most, retain: false })
            }
            // Its topic, its payload, or CONNECT as a whole (3.2.2.2).
            Reason::QOS_NOT_SUPPORTED
            | Reason::RETAIN_NOT_SUPPORTED
            | Reason::TOPIC_NAME_INVALID
            | Reason::PAYLOAD_FORMAT_INVALID
            | Reason::PACKET_TOO_LARGE => Some(WillLimit::Without),
            _ => None,
        }
    }

    /// The next smaller one, for a broker that does not say what is wrong with this: first without
    /// retain, then of QoS 0, then both, then none. `None` behind the last.
    pub(super) fn next(self, will: &Message) -> Option<WillLimit> {
        let up_to = |qos, retain| WillLimit::UpTo { qos, retain };
        let steps = [
            WillLimit::WHOLE,
            up_to(Qos::ExactlyOnce, false),
            up_to(Qos::AtMostOnce, true),
            up_to(Qos::AtMostOnce, false),
            WillLimit::Without,
        ];
        let now = self.of(will.clone())?;
        let at = steps.iter().position(|step| step.of(will.clone()).as_ref() == Some(&now));
        let smaller = steps.into_iter().skip(at.map_or(0, |at| at + 1));
        smaller.into_iter().find(|step| step.of(will.clone()).as_ref() != Some(&now))
    }
}

impl fmt::Display for WillLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WillLimit::UpTo { qos, retain } = self else { return f.write_str("without a will") };
        f.write_str("with a will")?;
        if *qos < Qos::ExactlyOnce {
            write!(f, " of QoS {}", qos.bits())?;
        }
        f.write_str(if *retain { "" } else { " that is not retained" })
    }
}
