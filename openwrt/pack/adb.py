"""ADB, the binary format of apk-tools 3, as its doc/apk-v3.5.scd and src/adb.{h,c} describe it.

All numbers are little-endian. A value is a 32-bit word: its type in the high four bits, a small number
or the offset of something larger in the others. Offsets count from the begin of the database, which
starts with a header of eight bytes: two version bytes, two reserved ones and the root value.
"""

from __future__ import annotations

import struct

NULL = 0
INT = 0x1 << 28
INT32 = 0x2 << 28
BLOB8 = 0x8 << 28
BLOB16 = 0x9 << 28
BLOB32 = 0xA << 28
ARRAY = 0xD << 28
OBJECT = 0xE << 28

BLOCK_ADB = 0
BLOCK_SIGNATURE = 1
BLOCK_DATA = 2


class Database:
    """A database that is being written: values first, what holds them after."""

    def __init__(self) -> None:
        self._bytes = bytearray(8)
        self._known: dict[tuple[int, bytes], int] = {}

    def blob(self, content: bytes | str, *, shared: bool = True) -> int:
        """A string of bytes. The same one is stored once, unless it is not to be `shared`."""
        if isinstance(content, str):
            content = content.encode()
        length = len(content)
        if length == 0:
            return NULL
        for kind, form in ((BLOB8, "<B"), (BLOB16, "<H"), (BLOB32, "<I")):
            width = struct.calcsize(form)
            if length < 1 << (8 * width):
                return kind | self._store(struct.pack(form, length) + content, width, shared)
        raise ValueError(f"{length} bytes are too long")

    def number(self, value: int) -> int:
        """A number below 2^32."""
        if value < 1 << 28:
            return INT | value
        return INT32 | self._store(struct.pack("<I", value), 4)

    def array(self, values: list[int]) -> int:
        """Values of one kind; none are NULL."""
        return ARRAY | self._slots(values) if values else NULL

    def object(self, fields: dict[int, int]) -> int:
        """Values by the number of their field; those that are missing are NULL."""
        present = {number: value for number, value in fields.items() if value != NULL}
        if not present:
            return NULL
        return OBJECT | self._slots([present.get(number, NULL) for number in range(1, max(present) + 1)])

    def offset(self, value: int) -> int:
        """Where the content of a short blob begins in what `finish` returns."""
        return (value & 0x0FFFFFFF) + 1

    def finish(self, root: int) -> bytearray:
        """The database with its root."""
        struct.pack_into("<I", self._bytes, 4, root)
        return self._bytes

    def _slots(self, values: list[int]) -> int:
        # The first slot says how many there are, itself included.
        return self._store(struct.pack(f"<{len(values) + 1}I", len(values) + 1, *values), 4)

    def _store(self, content: bytes, alignment: int, shared: bool = True) -> int:
        key = (alignment, content)
        if shared and key in self._known:
            return self._known[key]
        self._bytes += bytes(-len(self._bytes) % alignment)
        offset = len(self._bytes)
        self._bytes += content
        if shared:
            self._known[key] = offset
        return offset


def block(kind: int, content: bytes) -> bytes:
    """A block of a file: its type and length in a word, its content, zeros up to a multiple of eight."""
    size = 4 + len(content)
    return struct.pack("<I", kind << 30 | size) + content + bytes(-size % 8)
