"""Deflate, as small as it gets: a router's flash is worth the seconds.

zopfli finds a smaller stream that every inflate reads; its version is pinned in scripts/deps, so the
bytes are the same everywhere.
"""

from __future__ import annotations

import functools
import struct
import zlib

import zopfli.zlib

ITERATIONS = 5
"""Fifteen, its default, save 200 bytes of a megabyte."""


@functools.cache
def deflate(content: bytes) -> bytes:
    """RFC 1951, without any header. Remembered: packages for several architectures share files."""
    # Between the two bytes of zlib's header and the four of its checksum.
    stream: bytes = zopfli.zlib.compress(content, numiterations=ITERATIONS)
    return stream[2:-4]


def gzip(content: bytes) -> bytes:
    """RFC 1952, without name and time."""
    header = struct.pack("<3sBIBB", b"\x1f\x8b\x08", 0, 0, 2, 3)
    return header + deflate(content) + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
