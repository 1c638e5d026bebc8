"""From stored events to leaves.

`leaf_of` says what a leaf is, for one event. `LeafMaker` makes the same for a batch of thousands,
at a tenth of the processor's time: the follower does so beside the engine, at the engine's rate.
HMAC is written out (RFC 2104) so that the secret's own part is hashed once, not for every salt.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from app.transparency.leaf import EVENT, POSITION_BYTES, PUBLIC, SALT_BYTES, Leaf, Salts, commit
from app.transparency.public_part import CAMPAIGN, day_of, moves_money, pledged_bytes, public_part
from domain import events as e
from projections.reading import Body, Reading

_BLOCK_BYTES: Final = 64
_INNER: Final = 0x36
_OUTER: Final = 0x5C
_TO_INNER: Final = bytes(byte ^ _INNER for byte in range(256))
_TO_OUTER: Final = bytes(byte ^ _OUTER for byte in range(256))
_KEY_BYTES: Final = 32
_INNER_REST: Final = bytes([_INNER]) * (_BLOCK_BYTES - _KEY_BYTES)
_OUTER_REST: Final = bytes([_OUTER]) * (_BLOCK_BYTES - _KEY_BYTES)
_NOBODY: Final[Mapping[str, int]] = {}
_INNER_EVENT: Final = _INNER_REST + EVENT


def leaf_of(
    salts: Salts,
    position: int,
    event: e.Event,
    body: Body,
    currency: str,
    key: bytes | None,
) -> Leaf:
    """The leaf of one event, by the key of the person it is about; None: about nobody of ours.

    `currency` is its campaign's. An event after which its person was erased, and whose leaf was
    made later still, has no leaf that could be computed here: its salt was drawn and thrown away.
    """
    stream, version = event.stream, event.version
    public = public_part(event, currency).encode()
    return Leaf(
        position,
        commit(salts.public(stream, version), public),
        commit(salts.event(stream, version, key), bytes(body)),
    )


class LeafMaker:
    """Makes the leaves of batches. `log_secret` has 32 bytes, as every person's key."""

    def __init__(self, log_secret: bytes) -> None:
        assert len(log_secret) == _KEY_BYTES, "app.keys gives keys of this length"
        inner = log_secret.translate(_TO_INNER) + _INNER_REST
        self._public = sha256(inner + PUBLIC)
        self._event = sha256(inner + EVENT)
        self._outer = sha256(log_secret.translate(_TO_OUTER) + _OUTER_REST)

    def leaves(
        self,
        reading: Reading,
        parties: Sequence[str | None],
        keys: Mapping[str, bytes | None],
        currencies: Mapping[str, str],
        erased: Mapping[str, int] = _NOBODY,
    ) -> list[bytes]:
        """The encoded leaves of these facts.

        `parties` says whom each is about; `keys` has the keys of those who are ours, None where
        it was destroyed; `currencies` has those of the streams whose facts need it. `erased` says
        at which position such a person's erasure is recorded: what comes after is about nobody.
        """
        made = []
        public_inner, event_inner, outer = self._public, self._event, self._outer
        for position, event, body, party in zip(
            reading.positions, reading.events, reading.bodies, parties, strict=True
        ):
            place = f"{event.stream}\0{event.version}".encode()
            state = public_inner.copy()
            state.update(place)
            salting = outer.copy()
            salting.update(state.digest())
            if type(event) is e.PledgeMade:
                public = sha256(salting.digest() + pledged_bytes(event)).digest()
            else:
                public = sha256(salting.digest() + _public_bytes(event, currencies)).digest()
            if party is not None and party in keys and erased.get(party, position) >= position:
                key = keys[party]
                if key is None:
                    salt = secrets.token_bytes(SALT_BYTES)
                else:
                    inner = sha256(key.translate(_TO_INNER) + _INNER_EVENT + place).digest()
                    salt = sha256(key.translate(_TO_OUTER) + _OUTER_REST + inner).digest()
            else:
                state = event_inner.copy()
                state.update(place)
                salting = outer.copy()
                salting.update(state.digest())
                salt = salting.digest()
            stored = sha256(salt)
            stored.update(body)
            made.append(position.to_bytes(POSITION_BYTES) + public + stored.digest())
        return made


def _public_bytes(event: e.Event, currencies: Mapping[str, str]) -> bytes:
    if moves_money(event):
        return public_part(event, currencies.get(event.stream, "")).encode()
    stream = event.stream
    campaign = stream[len(CAMPAIGN) :] if stream.startswith(CAMPAIGN) else ""
    return (
        f'{{"campaign":"{campaign}","currency":"","day":"{day_of(event.at)}","changes":[]}}'
    ).encode()
