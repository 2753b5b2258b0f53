//! Prints what is published, and comes back by itself when the broker was away:
//! `cargo run --example subscribe -- mqtt://localhost 'home/#'`; a third argument ends it after so
//! many messages.

use std::error::Error;
use std::time::Duration;
use tty2mqtt::mqtt::client::{Client, Event};
use tty2mqtt::mqtt::packet::{Properties, Reason, Subscription};
use tty2mqtt::mqtt::session::{Clean, Options};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::mqtt::transport::{Connector, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, filter, count @ ..] = &arguments[..] else {
        return Err("the broker's address and a filter, and perhaps a number of messages".into());
    };
    let connector = Connector::new(Settings::new(broker.parse()?))?;
    let filters = vec![Subscription::new(filter.parse()?, Qos::ExactlyOnce)];
    let mut left: u64 = count.first().map_or(Ok(u64::MAX), |count| count.parse())?;

    let options = Options { clean: Clean::Always, ..Options::default() };
    let (client, mut events) = Client::start(options, connector, Default::default());
    // Taken up again at each connect. The answer comes with the events, too.
    for (filter, granted) in client.subscribe(filters, Properties::NONE).await? {
        println!("{}: {granted:?}", filter.as_str());
    }
    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) => {
                println!("{} {}", message.topic, String::from_utf8_lossy(&message.payload));
                left -= 1;
            }
            Event::Down(why) => eprintln!("{why}"),
            _ => {}
        }
        if left == 0 {
            break;
        }
    }
    client.shutdown(Reason::SUCCESS, Duration::from_secs(5)).await?;
    Ok(())
}
