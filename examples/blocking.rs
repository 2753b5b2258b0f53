//! Sends a message to itself and waits for it, without a word of asynchronous code:
//! `cargo run --example blocking -- mqtt://localhost`

use std::error::Error;
use std::time::Duration;
use tty2mqtt::mqtt::blocking::Client;
use tty2mqtt::mqtt::client::Event;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Properties, Reason, Subscription};
use tty2mqtt::mqtt::session::{Clean, Options};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::mqtt::transport::{Connector, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    let broker = std::env::args().nth(1).ok_or("the broker's address is missing")?;
    let connector = Connector::new(Settings::new(broker.parse()?))?;
    let options = Options { clean: Clean::Always, ..Options::default() };

    let (client, mut events) = Client::start(options, connector, Default::default())?;
    if !client.ready(Duration::from_secs(10))? {
        return Err(format!("no broker: {}", client.state()).into());
    }
    let filter = Subscription::new("example/blocking".parse()?, Qos::AtLeastOnce);
    client.subscribe(vec![filter], Properties::NONE)?;
    let outcome = client.publish(Message::new("example/blocking".parse()?, "hello"))?;
    println!("{outcome:?}");
    while let Some(event) = events.next_within(Duration::from_secs(5)) {
        if let Event::Message(message) = event {
            println!("{} {}", message.topic, String::from_utf8_lossy(&message.payload));
            break;
        }
    }
    client.shutdown(Reason::SUCCESS, Duration::from_secs(5))?;
    Ok(())
}
