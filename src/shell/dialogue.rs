//! `tty2mqtt test HOST`: Aiko's mqtt_test. Publishes each second, prints the messages that it receives, and
//! ends when one of them is `quit`.

use super::failure::Failure;
use super::link::ShellLink;
use super::options::Test;
use crate::base::plain::{plain, plain_bytes};
use crate::mqtt::link::Event;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Properties, Subscription};
use crate::mqtt::session;
use crate::mqtt::topic::{Qos, TopicFilter};
use std::io::{self, Write};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

pub(super) async fn dialogue(options: &Test, link: &mut ShellLink) -> Result<(), Failure> {
    let (speak, listen) = (&options.own.publish, &options.own.listen);
    // A topic is also a filter.
    if let Ok(filter) = listen.as_str().parse::<TopicFilter>() {
        let subscription = Subscription::new(filter, Qos::AtMostOnce);
        link.session().subscribe(vec![subscription], &Properties::NONE);
    }
    link.connected(options.connection.connect_timeout).await?;
    let say = |link: &mut ShellLink, what: &str| {
        let payload = format!("*** tty2mqtt test {what} ***");
        let message = Message { qos: Qos::AtMostOnce, ..Message::new(speak.clone(), payload) };
        link.publish(message);
    };
    say(link, "start");
    let mut each = interval(Duration::from_secs(1));
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    each.tick().await;
    loop {
        tokio::select! {
            _ = each.tick() => say(link, "message"),
            event = link.next() => match event {
                Ok(Event::Session(session::Event::Message(message))) => {
                    let (topic, text) = (plain(message.topic.as_str()), plain_bytes(&message.payload));
                    // A reader that went away does not end the test.
                    let _ = writeln!(io::stdout(), "Topic: {topic}, message: '{text}'");
                    link.acknowledge(&message);
                    if &message.payload[..] == b"quit" {
                        break;
                    }
                }
                Ok(Event::Session(session::Event::Subscribed { granted: Err(reason), .. })) => {
                    link.warn(&format!("the broker refuses the subscription of {listen}: {reason}"));
                }
                Ok(Event::Down(error)) => link.lost(&error)?,
                Err(failure) if failure.exit.is_signal() => break,
                other => link.interrupted(other?)?,
            },
        }
    }
    say(link, "end");
    link.leave().await
}
