"""A Bloom filter: a set that may hold something by mistake, and never lacks anything, in few bytes for each member."""

from __future__ import annotations

import struct

#: With so many bits for each member and four places, one in 400 of those that are no members is taken for one.
_BITS_EACH = 16
_PLACES = struct.Struct(">4I")
#: Four numbers of 32 bits can't name more places.
_MOST_BITS = 1 << 32


class BloomFilter:
    """Digests of 16 bytes that are evenly distributed; room for ``capacity`` of them. Two bytes are used for each.

    Any number of threads may ask while one adds.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        bits = 1 << max(10, (capacity * _BITS_EACH - 1).bit_length())
        self._mask = min(bits, _MOST_BITS) - 1
        self._bytes = bytearray((self._mask + 1) >> 3)
        #: How many were added that were not found before.
        self.size = 0

    def add(self, digest: bytes) -> None:
        """Have it found from now on."""
        if digest in self:
            return
        held, mask = self._bytes, self._mask
        for number in _PLACES.unpack(digest):
            place = number & mask
            held[place >> 3] |= 1 << (place & 7)
        self.size += 1

    def __contains__(self, digest: bytes) -> bool:
        held, mask = self._bytes, self._mask
        for number in _PLACES.unpack(digest):
            place = number & mask
            if not held[place >> 3] & 1 << (place & 7):
                return False
        return True
