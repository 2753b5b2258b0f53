//! Why a broker differs: broker, feature, reason.

const SHARED: &str = "Shared subscriptions were introduced in 5.0; before that `$share/…` is an \
                      ordinary filter.";
const MEMORY: &str = "The broker keeps everything in memory, unless a database is configured. Our client \
         retransmits unacknowledged messages in the new session.";
const SILENT: &str = "amqtt does not answer a CONNECT of 5.0 and leaves the connection open, although \
         3.1.1 requires return code 1 (MQTT-3.1.2-2). With `version: auto` our client tries \
         3.1.1 after two attempts of 10 s; setting `version: 3.1.1` is better.";
const DOWNGRADE: &str = "RabbitMQ has QoS 0 and 1 only and treats 2 as 1: it grants QoS 1, and answers \
         messages of QoS 2 with PUBACK, which no version of the standard allows. Our client \
         requests 2, reports what was granted, and accepts that PUBACK as the \
         acknowledgement.";

const AMQP: &str = "RabbitMQ's exchange uses `.` between levels and `*` for one level, and its MQTT \
         plugin translates them to `/` and `+` on delivery. So a `.` in a topic becomes a \
         level separator, and a `*` a wildcard, to which nobody may publish; our client skips \
         such a message. With `broker.amqp_topics: true` the gateway replaces both in the \
         parts of topics that devices fill in.";

/// Results that differ from run to run: the table does not say which it was this time.
pub static UNSTEADY: &[(&str, &str)] = &[("amqtt", "kept session, messages missed")];

pub static NOTES: &[(&str, &str, &str)] = &[
    (
        "mosquitto",
        "taken over by the same client id",
        "With 5.0 the broker must end the old connection by DISCONNECT with reason 0x8E \
         (MQTT-3.1.4-3); mosquitto 2.0.11 only closes it. Our client then recognises the \
         takeover by how soon and how often connections end.",
    ),
    ("aedes", "MQTT 5.0", "aedes 1 supports 3.1 and 3.1.1."),
    ("aedes", "shared subscription", SHARED),
    ("aedes", "after kill -9: our link, our messages of the time between arrive", MEMORY),
    ("aedes", "after kill -9: session and messages missed", MEMORY),
    ("aedes", "after kill -9: messages in flight to us", MEMORY),
    ("aedes", "after kill -9: retained message", MEMORY),
    ("amqtt", "MQTT 3.1", "amqtt supports 3.1.1 only."),
    ("amqtt", "MQTT 5.0", SILENT),
    ("amqtt", "shared subscription", SHARED),
    (
        "amqtt",
        "kept session, messages missed",
        "Usually it works. But messages that are published right after the client has \
         disconnected are sometimes lost. And state of a clean session must not be reused in \
         a later session (3.1.1, MQTT-3.1.2-6), but amqtt reports a present session.",
    ),
    (
        "amqtt",
        "will of a silent client",
        "amqtt does nothing after one and a half times the keep-alive of a client (3.1.1, \
         MQTT-3.1.2-24): it regards a disconnected client as connected until TCP gives up.",
    ),
    (
        "amqtt",
        "taken over by the same client id",
        "With clean sessions amqtt accepts both and keeps both connections (against 3.1.1, \
         MQTT-3.1.4-2).",
    ),
    (
        "amqtt",
        "retained will",
        "amqtt sends to each client that connects the retained messages of all filters that \
         any client has subscribed to, and again when the client itself subscribes. For that \
         reason retained messages are tested last.",
    ),
    ("amqtt", "after kill -9: our link, our messages of the time between arrive", MEMORY),
    ("amqtt", "after kill -9: session and messages missed", MEMORY),
    ("amqtt", "after kill -9: messages in flight to us", MEMORY),
    ("amqtt", "after kill -9: retained message", MEMORY),
    (
        "RabbitMQ",
        "MQTT 5.0",
        "RabbitMQ 3.10 supports 3.1 and 3.1.1, and closes the connection at a CONNECT of 5.0; \
         with `version: auto` our client then tries 3.1.1.",
    ),
    ("RabbitMQ", "QoS 2 both ways", DOWNGRADE),
    ("RabbitMQ", "will after an abrupt end", DOWNGRADE),
    ("RabbitMQ", "shared subscription", SHARED),
    ("RabbitMQ", "topic with a dot", AMQP),
    ("RabbitMQ", "topic with a star", AMQP),
    (
        "RabbitMQ",
        "retained message by wildcard",
        "RabbitMQ looks up retained messages by the text of the filter: subscribe to the \
         exact topic.",
    ),
];
