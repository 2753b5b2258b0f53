//! SUBSCRIBE (3.8).

use super::property::Place;
use super::wire::{self, Reader, put_binary};
use super::{Header, PacketError, PacketId, Properties, Version};
use crate::mqtt::topic::{Qos, TopicFilter};
use bytes::{BufMut, BytesMut};

pub(super) const KIND: u8 = 8;

const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;

/// A client subscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The packet identifier, which SUBACK repeats.
    pub id: PacketId,
    /// The subscriptions; at least one (3.8.3).
    pub filters: Vec<Subscription>,
    /// The properties; only in 5.0.
    pub properties: Properties,
}

/// A topic filter and its subscription options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic filter.
    pub filter: TopicFilter,
    /// The highest QoS of the messages.
    pub qos: Qos,
    /// No Local: the client does not get its own messages. From 5.0 on.
    pub no_local: bool,
    /// Retain As Published: messages keep the RETAIN flag that they were published with. From 5.0
    /// on.
    pub retain_as_published: bool,
    /// Which retained messages are sent at the subscription. From 5.0 on.
    pub retain_handling: RetainHandling,
}

/// Which retained messages are sent at a subscription (3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// All.
    #[default]
    Send,
    /// All, if the subscription is new.
    SendIfNew,
    /// None.
    DoNotSend,
}

impl Subscription {
    /// With the options of 3.1.1.
    pub fn new(filter: TopicFilter, qos: Qos) -> Subscription {
        Subscription {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }

    fn read(body: &mut Reader, version: Version) -> Result<Subscription, PacketError> {
        let filter: TopicFilter = body.text()?.parse()?;
        let options = body.u8()?;
        let allowed = if version.is_5() { 0b0011_1111 } else { 0b0000_0011 };
        let qos = wire::qos(options & 0b11)?;
        let retain_handling = match options >> 4 & 0b11 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(PacketError::Protocol("retain handling 3")),
        };
        let no_local = options & NO_LOCAL != 0;
        if options & !allowed != 0 {
            return Err(PacketError::Value("the subscription options cannot be"));
        }
        if no_local && filter.is_shared() {
            return Err(PacketError::Protocol("no local on a shared subscription"));
        }
        let retain_as_published = options & RETAIN_AS_PUBLISHED != 0;
        Ok(Subscription { filter, qos, no_local, retain_as_published, retain_handling })
    }

    fn options(&self, version: Version) -> u8 {
        if !version.is_5() {
            return self.qos.bits();
        }
        let no_local = if self.no_local && !self.filter.is_shared() { NO_LOCAL } else { 0 };
        let as_published = if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        self.qos.bits() | no_local | as_published | (self.retain_handling as u8) << 4
    }

    /// Its length in SUBSCRIBE in bytes.
    pub(crate) fn len(&self) -> usize {
        self.filter.as_str().len() + 3
    }
}

impl Subscribe {
    pub(super) fn read(body: &mut Reader, version: Version) -> Result<Subscribe, PacketError> {
        let id = body.id()?;
        let properties = Properties::read(body, version, Place::Subscribe)?;
        let mut filters = Vec::new();
        while !body.is_empty() {
            filters.push(Subscription::read(body, version)?);
        }
        if filters.is_empty() {
            return Err(PacketError::Protocol("SUBSCRIBE without a filter"));
        }
        Ok(Subscribe { id, filters, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut, version: Version) {
        let filters: usize = self.filters.iter().map(Subscription::len).sum();
        Header::write(KIND, 0b0010, 2 + self.properties.len(version) + filters, out);
        out.put_u16(self.id.get());
        self.properties.write(out, version);
        for subscription in &self.filters {
            put_binary(out, subscription.filter.as_str().as_bytes());
            out.put_u8(subscription.options(version));
        }
    }
}
