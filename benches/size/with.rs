//! The same with the client: it subscribes, publishes with QoS 2, and prints what comes.

use std::time::Duration;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::client::{Client, Event};
use tty2mqtt::mqtt::packet::{Properties, Reason, Subscription};
use tty2mqtt::mqtt::session::Options;
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::mqtt::transport::{Connector, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let broker = arguments.next().unwrap_or_default().parse()?;
    let topic = arguments.next().unwrap_or_default();
    let connector = Connector::new(Settings::new(broker))?;
    let (client, mut events) = Client::start(Options::default(), connector, Default::default());
    let filters = vec![Subscription::new(topic.parse()?, Qos::ExactlyOnce)];
    client.subscribe(filters, Properties::NONE).await?;
    let message = Message { qos: Qos::ExactlyOnce, ..Message::new(topic.parse()?, "hello") };
    client.publish(message).await?.await?;
    let mut event = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
    while let Ok(Some(what)) = event {
        if let Event::Message(message) = what {
            println!("{}", String::from_utf8_lossy(&message.payload));
        }
        event = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
    }
    client.shutdown(Reason::SUCCESS, Duration::from_secs(5)).await?;
    Ok(())
}
