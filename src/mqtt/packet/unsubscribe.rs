//! UNSUBSCRIBE (3.10).

use super::property::Place;
use super::wire::{Reader, put_binary};
use super::{Header, PacketError, PacketId, Properties, Version};
use crate::mqtt::topic::TopicFilter;
use bytes::{BufMut, BytesMut};

pub(super) const KIND: u8 = 10;

/// A client unsubscribes from topic filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The packet identifier, which UNSUBACK repeats.
    pub id: PacketId,
    /// The topic filters, exactly as they were subscribed to; at least one (3.10.3).
    pub filters: Vec<TopicFilter>,
    /// The properties; only in 5.0.
    pub properties: Properties,
}

impl Unsubscribe {
    pub(super) fn read(body: &mut Reader, version: Version) -> Result<Unsubscribe, PacketError> {
        let id = body.id()?;
        let properties = Properties::read(body, version, Place::Unsubscribe)?;
        let mut filters = Vec::new();
        while !body.is_empty() {
            filters.push(body.text()?.parse()?);
        }
        if filters.is_empty() {
            return Err(PacketError::Protocol("UNSUBSCRIBE without a filter"));
        }
        Ok(Unsubscribe { id, filters, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut, version: Version) {
        let filters: usize = self.filters.iter().map(|filter| filter.as_str().len() + 2).sum();
        Header::write(KIND, 0b0010, 2 + self.properties.len(version) + filters, out);
        out.put_u16(self.id.get());
        self.properties.write(out, version);
        for filter in &self.filters {
            put_binary(out, filter.as_str().as_bytes());
        }
    }
}
