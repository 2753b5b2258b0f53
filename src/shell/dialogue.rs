//! `tty2mqtt test HOST`: Aiko's mqtt_test. Publishes each second, prints what it hears, and ends
//! when that is `quit`.

use super::exit::Failure;
use super::options::Test;
use super::run::{Happening, Run};
use crate::base::plain::{plain, plain_bytes};
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Properties, Reason, Subscription};
use crate::mqtt::session::Event;
use crate::mqtt::topic::{Qos, TopicFilter};
use std::io::{self, Write};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Runs the command; the link is at its begin.
pub(super) async fn dialogue(options: &Test, run: &mut Run) -> Result<(), Failure> {
    let (speak, listen) = (&options.own.publish, &options.own.listen);
    // A topic is a filter, too.
    if let Ok(filter) = listen.as_str().parse::<TopicFilter>() {
        let subscription = Subscription::new(filter, Qos::AtMostOnce);
        run.link.session.subscribe(vec![subscription], &Properties::NONE);
    }
    run.connected(options.connection.connect_timeout).await?;
    let say = |run: &mut Run, what: &str| {
        let payload = format!("*** tty2mqtt test {what} ***");
        let message = Message { qos: Qos::AtMostOnce, ..Message::new(speak.clone(), payload) };
        run.queue.push(message);
    };
    say(run, "start");
    let mut each = interval(Duration::from_secs(1));
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    each.tick().await;
    loop {
        tokio::select! {
            _ = each.tick() => say(run, "message"),
            happening = run.next() => match happening {
                Happening::Event(Event::Message(message)) => {
                    let (topic, text) = (plain(message.topic.as_str()), plain_bytes(&message.payload));
                    // A reader that went away does not end the test.
                    let _ = writeln!(io::stdout(), "Topic: {topic}, message: '{text}'");
                    if let Some(token) = message.token {
                        run.link.session.acknowledge(token, Reason::SUCCESS);
                    }
                    if &message.payload[..] == b"quit" {
                        break;
                    }
                }
                Happening::Event(Event::Subscribed { granted: Err(reason), .. }) => {
                    run.warn(&format!("the broker refuses the subscription of {listen}: {reason}"));
                }
                Happening::Down(error) => run.lost(&error)?,
                Happening::Signal(_) => break,
                other => run.interrupted(other)?,
            },
        }
    }
    say(run, "end");
    run.leave().await
}
