"""Batches of openings: what is published so that anyone can add up a campaign's numbers.

An opening shows what one leaf committed to: the text of an event's public part and the salt. The
batches of a campaign go on from each other; each claims the campaign's totals after it. Byte by
byte: docs/formats.md.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from app.transparency.public_part import Totals
from domain.ids import is_id

PLATFORM: Final = "platform"
"""Stands for the campaign in batches of entries that belong to none."""

MOST_OPENINGS: Final = 5_000
"""In one batch; more are cut into several."""

FEWEST_BACKERS: Final = 5
"""So many different backers' entries wait before any is opened, while a campaign goes on."""

Known = TypeVar("Known")


class OpeningsError(ValueError):
    """Bytes are no batch of openings, or no list of them."""


class Claim(Struct, frozen=True):
    """A campaign's numbers, as its page shows them, in minor units of its currency.

    charged + owed + written_off = held + paid + fees + returned.
    """

    pledged: int = 0
    pledges: int = 0
    charged: int = 0
    held: int = 0
    paid: int = 0
    returned: int = 0
    fees: int = 0
    owed: int = 0
    written_off: int = 0

    @property
    def reconciles(self) -> bool:
        """Whether both sides are the same."""
        sources = self.charged + self.owed + self.written_off
        return sources == self.held + self.paid + self.fees + self.returned


NUMBERS: Final = Claim.__struct_fields__
"""The names of the numbers, in order."""


def claim_of(totals: Totals) -> Claim:
    """The numbers that public parts add up to."""
    return Claim(**{name: getattr(totals, name) for name in NUMBERS})


class Opening(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a leaf's first commitment commits to: SHA-256(salt ‖ public) is what the leaf says.

    `salt` is base64, `public` the text of the public part.
    """

    position: int
    salt: str
    public: str


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """Openings of one campaign, in order. `after_version` entries of it were opened before,
    `totals` are its numbers when its last entry here was recorded, at `up_to_position`.
    """

    campaign: str
    batch: int
    after_version: int
    up_to_position: int
    currency: str
    totals: Claim
    openings: list[Opening]


class Listed(Struct, frozen=True):
    """What there is of one campaign: batches 1 to `batches`, with so many entries, the last of them
    at `up_to_position`.
    """

    campaign: str
    batches: int
    entries: int
    up_to_position: int


class Index(Struct, frozen=True):
    """Every campaign of which something is opened. All that was due is, up to `position`."""

    position: int
    campaigns: list[Listed]


class LiveTotals(Struct, frozen=True):
    """What a campaign's page shows. `position` is where the campaign last changed."""

    campaign: str
    phase: str
    position: int
    currency: str
    totals: Claim


class Live(Struct, frozen=True):
    """What the pages of all campaigns show as of one position of the log."""

    position: int
    campaigns: list[LiveTotals]


_encoder: Final = msgspec.json.Encoder()
_batches: Final = msgspec.json.Decoder(Batch)
_indexes: Final = msgspec.json.Decoder(Index)
_lives: Final = msgspec.json.Decoder(Live)


def is_campaign(text: str) -> bool:
    """Whether a text may name a campaign in an address and in a file's name."""
    return text == PLATFORM or is_id(text)


def batch_path(campaign: str, batch: int) -> str:
    """Where a batch is found below the log's address."""
    return f"openings/{campaign}/{batch}"


def encode(value: Batch | Index | Live) -> bytes:
    """The bytes that are served."""
    return _encoder.encode(value)


def decode_batch(data: bytes) -> Batch:
    """Read a batch; raises OpeningsError."""
    return _decoded(_batches, data)


def decode_index(data: bytes) -> Index:
    """Read the list of what is opened; raises OpeningsError."""
    index = _decoded(_indexes, data)
    for listed in index.campaigns:
        if not is_campaign(listed.campaign):
            raise OpeningsError("a campaign is named by a UUID in lower case")
        if not 0 < listed.batches <= listed.entries:
            raise OpeningsError("a campaign has at least one batch, and each one entry or more")
    return index


def decode_live(data: bytes) -> Live:
    """Read what the pages show; raises OpeningsError."""
    return _decoded(_lives, data)


def _decoded(decoder: msgspec.json.Decoder[Known], data: bytes) -> Known:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise OpeningsError(str(fault)) from fault
