//! Checks what a `format` leaves no room for.

use crate::base::path::Path;
use crate::config::load::Found;
use crate::config::{Config, Format, Switch};
use crate::mqtt::session::Clean;

pub(super) fn check(config: &Config, found: &mut Found<'_>) {
    let Some(format) = &config.format else { return };
    let word = format.word();
    if !cfg!(feature = "formats") {
        let remedy = "install the package tty2mqtt, not tty2mqtt-mini";
        return found.add(["format"], "this build has no formats", remedy);
    }
    let leave_out = "leave it out";
    if let Some(Switch::On(_)) = &config.broker.will {
        let what = format!("with `format: {word}` the will is the death of the gateway");
        found.add(["broker", "will"], what, leave_out);
    }
    let is_sparkplug = matches!(format, Format::SparkplugB(_));
    if is_sparkplug && config.broker.clean != Clean::Always {
        let what = format!("`format: {word}` begins each connection with a clean session");
        found.add(["broker", "clean"], what, leave_out);
    }
    if is_sparkplug && config.broker.amqp_topics {
        let what = "RabbitMQ takes the dot in `spBv1.0` for a slash: no host application finds it";
        found.add(["broker", "amqp_topics"], what, "use a broker that leaves topics as they are");
    }
    if config.announces() {
        let what = format!("it reads topics, and `format: {word}` has others");
        let remedy = "leave it out, or leave `format` out";
        found.add(["home_assistant"], what, remedy);
    }
    for (name, port) in &config.ports {
        let path = Path::from(["ports", name.as_str()]);
        if port.mappings().next().is_some() {
            let what = format!("`format: {word}` makes the messages");
            let remedy = "leave it out; `publish: false` of a field keeps it to itself";
            // It is found where it stands: of the port, or of its frames.
            let own = path.key("messages");
            let place = if port.messages.is_some() { own } else { path.key("frames") };
            found.add(place, what, remedy);
        }
        if !port.commands.rules.is_empty() {
            let what = format!("`format: {word}` has no topics of one's own for commands");
            let remedy = "give each a name: `commands: {relay: {send: …}}`";
            found.add(path.key("commands"), what, remedy);
        }
    }
}
