//! Packets that are nothing but a packet identifier: PUBACK (3.4), UNSUBACK (3.11).

use super::wire::Reader;
use super::{Header, PacketError, PacketId};
use bytes::{BufMut, BytesMut};

pub(super) const PUBACK: u8 = 4;
pub(super) const UNSUBACK: u8 = 11;

pub(super) fn read(body: &mut Reader) -> Result<PacketId, PacketError> {
    body.id()
}

pub(super) fn write(kind: u8, id: PacketId, out: &mut BytesMut) {
    Header::write(kind, 0, 2, out);
    out.put_u16(id.get());
}
