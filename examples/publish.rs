//! Publishes one message and waits until the broker has it:
//! `cargo run --example publish -- mqtt://localhost home/door open`

use std::error::Error;
use std::time::Duration;
use tty2mqtt::mqtt::client::Client;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::Reason;
use tty2mqtt::mqtt::session::Options;
use tty2mqtt::mqtt::transport::{Connector, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, topic, payload] = &arguments[..] else {
        return Err("three arguments: the broker's address, a topic, a payload".into());
    };
    let connector = Connector::new(Settings::new(broker.parse()?))?;
    let message = Message::new(topic.parse()?, payload.clone());
    // An empty identifier: the broker makes one up. Nothing waits for us while we are away.
    let options = Options { clean: tty2mqtt::mqtt::session::Clean::Always, ..Options::default() };

    let (client, _events) = Client::start(options, connector, Default::default());
    let receipt = client.publish(message).await?;
    println!("{:?}", tokio::time::timeout(Duration::from_secs(10), receipt).await??);
    client.shutdown(Reason::SUCCESS, Duration::from_secs(5)).await?;
    Ok(())
}
