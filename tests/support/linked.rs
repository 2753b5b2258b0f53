//! A link and the outbox that it sends from.

use std::ops::{Deref, DerefMut};
use tty2mqtt::mqtt::link::{self, Dial, Event, Io, Options};
use tty2mqtt::mqtt::session::Session;
use tty2mqtt::testing::outbox::Outbox;

/// A link with its source.
#[derive(Debug)]
pub struct Link {
    pub link: link::Link,
    pub outbox: Outbox,
}

impl Link {
    pub fn new(
        session: Session,
        outbox: Outbox,
        dialer: impl Dial + 'static,
        options: Options,
    ) -> Link {
        Link { link: link::Link::new(session, dialer, options), outbox }
    }

    pub fn over(
        session: Session,
        outbox: Outbox,
        streams: impl IntoIterator<Item = Box<dyn Io>>,
        options: Options,
    ) -> Link {
        Link { link: link::Link::over(session, streams, options), outbox }
    }

    pub async fn event(&mut self) -> Event {
        self.link.event(&mut self.outbox).await
    }
}

impl Deref for Link {
    type Target = link::Link;

    fn deref(&self) -> &link::Link {
        &self.link
    }
}

impl DerefMut for Link {
    fn deref_mut(&mut self) -> &mut link::Link {
        &mut self.link
    }
}
