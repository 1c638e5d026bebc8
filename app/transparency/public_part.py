"""The public part of an event: which of a campaign's numbers it changed, by how much, on which day.

It names no person and no pledge. The leaves commit to it, and its openings are published per
campaign, so that anybody adds up every published total. Byte by byte: docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from domain import events as e

Kind = Literal[
    "pledged",
    "revised",
    "withdrawn",
    "collected",
    "returned",
    "fee",
    "paid_out",
    "owed",
    "written_off",
]
"""What a change is of. `withdrawn` is every pledge that left, by whoever's will; `returned` are
refunds and lost disputes; `fee` and `owed` may fall again, `paid_out` too where money came back.
"""

CAMPAIGN: Final = "campaign:"
"""How the stream of a campaign begins; all other streams are the platform's own."""

DAY_MS: Final = 86_400_000


class PublicPartError(ValueError):
    """Bytes that are no public part, or not in its one encoding."""


class Change(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One number's change: in minor units, and in the number of pledges (0 where it has none)."""

    kind: Kind
    minor: int
    pledges: int


class PublicPart(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`campaign` is the campaign's id, empty for the platform's own events; `currency` is empty
    where nothing changed; `day` is the event's, in UTC (ISO 8601).
    """

    campaign: str
    currency: str
    day: str
    changes: tuple[Change, ...]

    def encode(self) -> bytes:
        """The one encoding: what is committed to and published."""
        return _encoder.encode(self)


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(PublicPart)


def parse_public_part(data: bytes) -> PublicPart:
    """Read a public part; raises PublicPartError."""
    try:
        part = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise PublicPartError(f"not a public part: {fault}") from fault
    if part.encode() != data:
        raise PublicPartError("not the one encoding of a public part")
    return part


def public_part(event: e.Event, currency: str) -> PublicPart:
    """What an event changes. `currency` is the campaign's, for the facts that do not carry it."""
    rule = _CHANGES.get(type(event))
    moved = () if rule is None else tuple(change for change in rule(event) if change.minor)
    return PublicPart(
        campaign_of(event.stream),
        (getattr(event, "currency", "") or currency) if moved else "",
        day_of(event.at),
        moved,
    )


def moves_money(event: e.Event) -> bool:
    """Whether facts of this kind can change a number, so that their currency is to be known."""
    return type(event) in _CHANGES


def campaign_of(stream: str) -> str:
    """The id of the campaign whose stream this is; empty for a stream of the platform's own."""
    return stream[len(CAMPAIGN) :] if stream.startswith(CAMPAIGN) else ""


def day_of(at: int) -> str:
    """The UTC day of a time (ms), such as 2026-11-24."""
    return _day(at // DAY_MS)


@lru_cache(maxsize=1024)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_MS // 1000, UTC).date().isoformat()


def pledged_bytes(event: e.PledgeMade) -> bytes:
    """The encoded public part of a new pledge, which is most of all facts: a third of the work."""
    return (
        f'{{"campaign":"{event.stream[len(CAMPAIGN) :]}","currency":"{event.currency}",'
        f'"day":"{day_of(event.at)}","changes":[["pledged",{event.amount_minor},1]]}}'
    ).encode()


# --- Adding up -----------------------------------------------------------------------------------


class Totals(Struct):
    """The sums of public parts, of one campaign or of all in one currency; minor units.

    The words are those of `domain.figures.Figures`.
    """

    pledged: int = 0
    pledges: int = 0
    charged: int = 0
    returned: int = 0
    fees: int = 0
    paid: int = 0
    owed: int = 0
    written_off: int = 0

    @property
    def held(self) -> int:
        """What is kept for the campaign: all that came in and did not go out."""
        sources = self.charged + self.owed + self.written_off
        return sources - self.paid - self.fees - self.returned

    def add(self, part: PublicPart) -> None:
        """Add an event's changes."""
        for change in part.changes:
            name = _TOTALS[change.kind]
            setattr(self, name, getattr(self, name) + change.minor)
            self.pledges += change.pledges


_TOTALS: Final[dict[Kind, str]] = {
    "pledged": "pledged",
    "revised": "pledged",
    "withdrawn": "pledged",
    "collected": "charged",
    "returned": "returned",
    "fee": "fees",
    "paid_out": "paid",
    "owed": "owed",
    "written_off": "written_off",
}


# --- What each fact changes ----------------------------------------------------------------------

_Changes = tuple[Change, ...]


def _made(event: e.PledgeMade) -> _Changes:
    return (Change("pledged", event.amount_minor, 1),)


def _revised(event: e.PledgeRevised) -> _Changes:
    return (Change("revised", event.amount_minor - event.was_minor, 0),)


def _left(event: e.PledgeWithdrawn | e.PledgeDropped | e.PledgeReleased) -> _Changes:
    return (Change("withdrawn", -event.amount_minor, -1),)


def _released(event: e.CampaignFailed | e.CampaignCancelled) -> _Changes:
    return (Change("withdrawn", -event.released_minor, -event.released),)


def _collected(event: e.PledgeCollected) -> _Changes:
    return (Change("collected", event.amount_minor, 0), _fee(event))


def _fee(event: e.PledgeCollected | e.FeesCharged) -> Change:
    return Change("fee", event.platform_fee_minor + event.processing_fee_minor, 0)


def _fees_charged(event: e.FeesCharged) -> _Changes:
    return (_fee(event),)


def _returned(event: e.PledgeRefunded | e.DisputeLost) -> _Changes:
    reversed_minor = event.platform_fee_reversed_minor + event.processing_fee_reversed_minor
    return (
        Change("returned", event.amount_minor, 0),
        Change("fee", -reversed_minor, 0),
        Change("owed", event.receivable_minor, 0),
    )


def _payout_sent(event: e.PayoutSent) -> _Changes:
    return (
        Change("paid_out", event.amount_minor - event.debt_minor, 0),
        Change("owed", -event.debt_minor, 0),
    )


def _payout_returned(event: e.PayoutReturned) -> _Changes:
    return (
        Change("paid_out", event.debt_minor - event.amount_minor, 0),
        Change("owed", event.debt_minor, 0),
    )


def _repaid(event: e.DebtRepaid) -> _Changes:
    return (Change("paid_out", -event.amount_minor, 0), Change("owed", -event.amount_minor, 0))


def _written_off(event: e.DebtWrittenOff) -> _Changes:
    return (Change("owed", -event.amount_minor, 0), Change("written_off", event.amount_minor, 0))


_CHANGES: Final[dict[type[e.Event], Callable[[Any], _Changes]]] = {
    e.PledgeMade: _made,
    e.PledgeRevised: _revised,
    e.PledgeWithdrawn: _left,
    e.PledgeDropped: _left,
    e.PledgeReleased: _left,
    e.CampaignFailed: _released,
    e.CampaignCancelled: _released,
    e.PledgeCollected: _collected,
    e.FeesCharged: _fees_charged,
    e.PledgeRefunded: _returned,
    e.DisputeLost: _returned,
    e.PayoutSent: _payout_sent,
    e.PayoutReturned: _payout_returned,
    e.DebtRepaid: _repaid,
    e.DebtWrittenOff: _written_off,
}

NEEDS_CURRENCY: Final = frozenset(
    cls for cls in _CHANGES if "currency" not in cls.__struct_fields__
)
"""The facts whose currency is only known from their campaign's launch."""
