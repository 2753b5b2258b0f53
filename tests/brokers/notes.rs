//! Why a broker differs: broker, feature, reason.

const SHARED: &str =
    "Shared subscriptions came with 5.0; before it `$share/…` is an ordinary filter.";
const MEMORY: &str = "Keeps everything in memory, unless a database is configured. What our client \
                      has not got rid of it sends again in the new session.";
const SILENT: &str = "amqtt does not answer a CONNECT of 5.0 and leaves the link open, where 3.1.1 \
                      wants the answer 1 (MQTT-3.1.2-2). With `version: auto` our client tries 3.1.1 \
                      after two tries of 10 s; better set `version: 3.1.1`.";
const DOWNGRADE: &str = "RabbitMQ has QoS 0 and 1 only and takes 2 for 1: it grants QoS 1, and answers \
                         our messages of QoS 2 with PUBACK, which no standard provides. Our client \
                         asks for 2, tells what was granted, and takes that PUBACK as the answer.";

const AMQP: &str = "RabbitMQ's exchange has `.` between levels and `*` for one level: its MQTT plugin makes \
                    `/` and `+` of them on the way out. So a `.` in a topic becomes a level, and a `*` a \
                    wildcard, to which nobody may publish; our client passes such a message over. The \
                    gateway keeps both out of what devices put into topics with `broker.amqp_topics: true`.";

/// What a broker does now so and now so: the table does not say which it was this time.
pub static UNSTEADY: &[(&str, &str)] = &[("amqtt", "kept session, messages missed")];

pub static NOTES: &[(&str, &str, &str)] = &[
    (
        "mosquitto",
        "taken over by the same client id",
        "With 5.0 the old link must be ended by DISCONNECT with reason 0x8E (MQTT-3.1.4-3); \
         mosquitto 2.0.11 just closes it. Our client then goes by how soon and how often that happens.",
    ),
    ("aedes", "MQTT 5.0", "aedes 1 speaks 3.1 and 3.1.1."),
    ("aedes", "shared subscription", SHARED),
    ("aedes", "after kill -9: our link, our messages of the time between arrive", MEMORY),
    ("aedes", "after kill -9: session and messages missed", MEMORY),
    ("aedes", "after kill -9: messages in flight to us", MEMORY),
    ("aedes", "after kill -9: retained message", MEMORY),
    ("amqtt", "MQTT 3.1", "amqtt speaks 3.1.1 only."),
    ("amqtt", "MQTT 5.0", SILENT),
    ("amqtt", "shared subscription", SHARED),
    (
        "amqtt",
        "kept session, messages missed",
        "Mostly it works. But messages that are published right after the client has left are \
         sometimes forgotten; and what a clean session left must not be there in a later one (3.1.1, \
         MQTT-3.1.2-6), and amqtt tells of a session then.",
    ),
    (
        "amqtt",
        "will of a silent client",
        "amqtt does nothing when the keep alive of a client has passed one and a half times \
         (3.1.1, MQTT-3.1.2-24): a client that was cut off counts as there until TCP gives up.",
    ),
    (
        "amqtt",
        "taken over by the same client id",
        "With clean sessions amqtt lets both in and keeps both links (against 3.1.1, MQTT-3.1.4-2).",
    ),
    (
        "amqtt",
        "retained will",
        "amqtt sends each client that connects the retained messages of all filters that anybody \
         has subscribed to, and once more when the client subscribes itself. For that reason \
         retained messages are tried last.",
    ),
    ("amqtt", "after kill -9: our link, our messages of the time between arrive", MEMORY),
    ("amqtt", "after kill -9: session and messages missed", MEMORY),
    ("amqtt", "after kill -9: messages in flight to us", MEMORY),
    ("amqtt", "after kill -9: retained message", MEMORY),
    (
        "RabbitMQ",
        "MQTT 5.0",
        "RabbitMQ 3.10 speaks 3.1 and 3.1.1, and closes the link at a CONNECT of 5.0; with \
         `version: auto` our client then tries 3.1.1.",
    ),
    ("RabbitMQ", "QoS 2 both ways", DOWNGRADE),
    ("RabbitMQ", "will after an abrupt end", DOWNGRADE),
    ("RabbitMQ", "shared subscription", SHARED),
    ("RabbitMQ", "topic with a dot", AMQP),
    ("RabbitMQ", "topic with a star", AMQP),
    (
        "RabbitMQ",
        "retained message by wildcard",
        "RabbitMQ looks for retained messages by the filter itself: subscribe to the very topic.",
    ),
];
