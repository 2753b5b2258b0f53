//! The same with the client alone, over a TCP stream that the program makes itself: sessions, both
//! directions of all QoS, the outbox, reconnects. It subscribes, publishes with QoS 2, and prints
//! what comes.

use std::time::Duration;
use tokio::net::TcpStream;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::link::{self, Dial, Dialed, Io, Link};
use tty2mqtt::mqtt::packet::{Properties, Reason, Subscription};
use tty2mqtt::mqtt::session::{self, Session};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::mqtt::transport::{ConnectError, Stage};
use tty2mqtt::mqtt::fifo::Fifo;

struct Tcp(String);

impl Dial for Tcp {
    fn dial<'a>(&'a mut self, _: &'a mut (dyn FnMut(Stage) + Send)) -> Dialed<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(&self.0).await;
            let stream = stream.map_err(|error| ConnectError::Other(error.into()))?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_default();
    let topic = arguments.next().unwrap_or_default();
    let mut session = Session::new(session::Options::default());
    let filters = vec![Subscription::new(topic.parse()?, Qos::ExactlyOnce)];
    session.subscribe(filters, &Properties::NONE);
    let mut queue = Fifo::default();
    let mut link = Link::new(session, Tcp(address), link::Options::default());
    let message = Message { qos: Qos::ExactlyOnce, ..Message::new(topic.parse()?, "hello") };
    queue.push(message);
    let mut event = tokio::time::timeout(Duration::from_secs(5), link.event(&mut queue)).await;
    while let Ok(what) = event {
        if let link::Event::Session(session::Event::Message(message)) = what {
            println!("{}", String::from_utf8_lossy(&message.payload));
        }
        event = tokio::time::timeout(Duration::from_secs(5), link.event(&mut queue)).await;
    }
    link.leave(Reason::SUCCESS);
    while !link.is_stopped() {
        link.event(&mut queue).await;
    }
    Ok(())
}
