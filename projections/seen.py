"""Which backers a campaign may have had before: asked for every new pledge, without a query.

A page counts backers, not pledges, so of each new pledge somebody must say whether its backer has
another one in the campaign. Hardly ever that is so; a Bloom filter in memory tells for nearly all
of them that it is not, and only the others are looked up.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

Numbers = NDArray[np.uint64]

LEAST: Final = 1 << 16
"""Pledges that the first layer is made for."""

GROWTH: Final = 8
"""By how much each further layer is larger."""

BITS_EACH: Final = 16
"""Bits for each pledge: with two of them set, one in seventy asked is looked up in vain."""

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_AGAIN: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_HALF: Final = np.uint64(32)
_BYTE: Final = np.uint64(3)
_REST: Final = np.uint64(7)
_ONE: Final = np.uint64(1)

_LAST_SEGMENT: Final = "SELECT max(segment) FROM pledges_by_backer"
_STORED: Final = """
    SELECT json_group_array(bits), json_group_array(pledge >> 28)
    FROM pledges_by_backer WHERE segment = ?"""
_numbers: Final = msgspec.json.Decoder(list[int])


def bits_of_all(random_ids: list[str]) -> Numbers:
    """The first 32 bits of UUIDs; see `pledges.bits_of`."""
    heads = "".join([random_id[:8] for random_id in random_ids])
    return np.frombuffer(bytes.fromhex(heads), ">u4").astype(np.uint64)


class SeenBackers:
    """A filter that grows by layers: what was added to one stays there."""

    def __init__(self) -> None:
        self._layers: list[NDArray[np.uint8]] = []
        self._room = 0
        self._next = LEAST

    def load(self, conn: Connection) -> None:
        """Learn what the views have."""
        last = conn.exec_driver_sql(_LAST_SEGMENT).scalar_one()
        if last is None:
            return
        parts = []
        for segment in range(last + 1):
            bits, campaigns = conn.exec_driver_sql(_STORED, (segment,)).one()
            parts.append(
                (
                    np.array(_numbers.decode(bits), np.uint64),
                    np.array(_numbers.decode(campaigns), np.int64),
                )
            )
        count = sum(len(bits) for bits, _ in parts)
        while self._next < 2 * count:
            self._next *= GROWTH
        for bits, campaigns in parts:
            self.add(bits, campaigns)

    def may_know(self, bits: Numbers, campaigns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each (bits of a backer, campaign's key) whether it may have been added before."""
        found = np.zeros(len(bits), np.bool_)
        mixed = _mixed(bits, campaigns)
        for layer in self._layers:
            here = np.ones(len(bits), np.bool_)
            for place in _places(mixed, layer):
                here &= (layer[place >> _BYTE] >> (place & _REST)).astype(np.uint8) & 1 == 1
            found |= here
        return found

    def add(self, bits: Numbers, campaigns: NDArray[np.int64]) -> None:
        """Know these from now on."""
        if not len(bits):
            return
        if self._room < len(bits):
            while self._next < len(bits):
                self._next *= GROWTH
            self._layers.append(np.zeros(self._next * BITS_EACH // 8, np.uint8))
            self._room = self._next
            self._next *= GROWTH
        self._room -= len(bits)
        layer = self._layers[-1]
        for place in _places(_mixed(bits, campaigns), layer):
            flags = (_ONE << (place & _REST)).astype(np.uint8)
            np.bitwise_or.at(layer, place >> _BYTE, flags)


def _mixed(bits: Numbers, campaigns: NDArray[np.int64]) -> Numbers:
    keys = campaigns.astype(np.uint64)
    mixed = (keys << _HALF ^ bits ^ keys) * _MIX
    return (mixed ^ mixed >> _HALF) * _MIX_AGAIN


def _places(mixed: Numbers, layer: NDArray[np.uint8]) -> tuple[Numbers, Numbers]:
    """Two bits of a layer, whose number of bits is a power of two."""
    most = np.uint64(len(layer) * 8 - 1)
    return mixed >> _HALF & most, mixed * _MIX >> _HALF & most
