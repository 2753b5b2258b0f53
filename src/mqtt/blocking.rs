//! The client for programs without tokio: the link runs on a thread of its own, and calls block.
//! They must not be made from within an asynchronous task.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tty2mqtt::mqtt::message::Message;
//! use tty2mqtt::mqtt::{blocking::Client, session};
//! use tty2mqtt::mqtt::packet::Reason;
//! use tty2mqtt::mqtt::transport::{Connector, Settings};
//!
//! let connector = Connector::new(Settings::new("mqtt://localhost".parse()?))?;
//! let options = session::Options { client_id: "example".into(), ..Default::default() };
//! let (client, _events) = Client::start(options, connector, Default::default())?;
//! let outcome = client.publish(Message::new("home/door".parse()?, "open"))?;
//! println!("{outcome:?}");
//! client.shutdown(Reason::SUCCESS, Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```

use super::client::{self, Ended, Event, Granted, Receipt, Settings};
use super::link::State;
use super::packet::{Disconnect, Properties, Reason, Subscription};
use super::session;
use super::topic::TopicFilter;
use super::transport::Connector;
use crate::mqtt::message::Message;
use crate::mqtt::source::Outcome;
use std::io;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

/// A handle to a link. The link ends when all handles are gone.
#[derive(Clone, Debug)]
pub struct Client {
    client: client::Client,
    runtime: Handle,
}

/// The events of a link, one after the other; they end when the link has ended.
#[derive(Debug)]
pub struct Events {
    events: client::Events,
    runtime: Handle,
}

impl Client {
    /// Starts a link on a thread of its own.
    pub fn start(
        options: session::Options,
        connector: Connector,
        settings: Settings,
    ) -> io::Result<(Client, Events)> {
        let own = Builder::new_current_thread().enable_all().build()?;
        let runtime = own.handle().clone();
        let (client, events) = {
            let _inside = runtime.enter();
            client::Client::start(options, connector, settings)
        };
        let mut state = client.state();
        std::thread::Builder::new().name("mqtt".into()).spawn(move || {
            // The state changes as long as the link is there.
            own.block_on(async { while state.changed().await.is_ok() {} });
            // A look-up that hangs must not hold up the end.
            own.shutdown_background();
        })?;
        Ok((Client { client, runtime: runtime.clone() }, Events { events, runtime }))
    }

    /// How the link stands.
    pub fn state(&self) -> State {
        self.client.state().borrow().clone()
    }

    /// Waits until the broker has let us in; `false` if it did not in this time.
    pub fn ready(&self, within: Duration) -> Result<bool, Ended> {
        match self.runtime.block_on(async { timeout(within, self.client.ready()).await }) {
            Ok(ready) => ready.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Hands a message over and waits for what becomes of it.
    pub fn publish(&self, message: Message) -> Result<Outcome, Ended> {
        self.runtime.block_on(async { self.client.publish(message).await?.await })
    }

    /// Hands a message over; gives it back where that would have to wait.
    pub fn try_publish(&self, message: Message) -> Result<Receipt, Message> {
        self.client.try_publish(message)
    }

    /// Subscribes, now and at each connect that follows, and waits for the broker's answer.
    pub fn subscribe(
        &self,
        filters: Vec<Subscription>,
        properties: Properties,
    ) -> Result<Vec<Granted>, Ended> {
        self.runtime.block_on(self.client.subscribe(filters, properties))
    }

    /// Gives filters up, and waits for the broker's answer.
    pub fn unsubscribe(
        &self,
        filters: Vec<TopicFilter>,
        properties: Properties,
    ) -> Result<Vec<(TopicFilter, Reason)>, Ended> {
        self.runtime.block_on(self.client.unsubscribe(filters, properties))
    }

    /// Sends what waits, at most for a grace time, then leaves with DISCONNECT. Returns how many
    /// messages could not be delivered.
    pub fn shutdown(
        &self,
        disconnect: impl Into<Disconnect>,
        grace: Duration,
    ) -> Result<usize, Ended> {
        self.runtime.block_on(self.client.shutdown(disconnect, grace))
    }
}

impl Events {
    /// The next one, if it comes in this time.
    pub fn next_within(&mut self, time: Duration) -> Option<Event> {
        self.runtime.block_on(async { timeout(time, self.events.next()).await.ok()? })
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.runtime.block_on(self.events.next())
    }
}
