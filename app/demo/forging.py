"""Four ways to cheat with the books, each carried out on a copy of the demo's log.

What is chosen lies within what a published checkpoint covers, so that somebody outside could know
better. `careful` is how somebody who knows the log would do it: nothing is left askew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal, TypeVar

from msgspec import Struct

from app.audit import tampering
from domain import events as e
from domain.codec import decode

Way = Literal["raise", "refund", "divert", "swap"]
WAYS: Final[tuple[Way, ...]] = ("raise", "refund", "divert", "swap")

TENFOLD: Final = 10
LOOKED_AT: Final = 400
"""The latest so many events of a kind are looked at for one that fits."""

MOST_WEIGHED: Final = 120
"""Among so many open pledges the largest is chosen."""

_OVER: Final = (
    "campaign.succeeded.v1",
    "campaign.failed.v1",
    "campaign.cancelled.v1",
    "campaign.suspended.v1",
    "collection.requested.v1",
)
"""What a campaign has whose pledges are no longer only promised."""

T = TypeVar("T", bound=e.Event)


class CannotForgeError(Exception):
    """The log holds nothing yet that could be forged in this way."""


class Edit(Struct, frozen=True):
    """What became of one position: the stored text before, and after; empty where it is gone."""

    position: int
    tag: str
    before: str
    after: str


class Forgery(Struct, frozen=True):
    """What was done. `campaign` was touched, `other` is whose money it was or would have been.

    The amounts, in minor units of `currency`, are what the forger is after: from, to.
    """

    campaign: str
    other: str
    currency: str
    was_minor: int
    now_minor: int
    edits: list[Edit]


def forge(copy: sqlite3.Connection, way: Way, covered: int, *, careful: bool) -> Forgery:
    """Cheat in this way within the first `covered` events. Raises CannotForgeError."""
    match way:
        case "raise":
            return _raise(copy, covered)
        case "refund":
            return _refund(copy, covered, careful=careful)
        case "divert":
            return _divert(copy, covered)
        case "swap":
            return _swap(copy, covered, careful=careful)


# --- Choosing ------------------------------------------------------------------------------------


def _latest(
    copy: sqlite3.Connection, kind: type[T], tag: str, covered: int
) -> Iterator[tuple[int, T]]:
    """The latest events of a kind with their positions, the last first."""
    rows = copy.execute(
        "SELECT position, body FROM events WHERE tag = ? AND position <= ?"
        " ORDER BY position DESC LIMIT ?",
        (tag, covered, LOOKED_AT),
    ).fetchall()
    for position, body in rows:
        event = decode(tag, body)
        assert isinstance(event, kind), "the tag says so"
        yield position, event


def _open_pledges(copy: sqlite3.Connection, covered: int) -> Iterator[tuple[int, e.PledgeMade]]:
    """The latest pledges that are promised and no more, the last first."""
    over = {
        name
        for tag in _OVER
        for (name,) in copy.execute(
            "SELECT DISTINCT s.name FROM events e JOIN streams s ON s.id = e.stream"
            " WHERE e.tag = ?",
            (tag,),
        )
    }
    for position, event in _latest(copy, e.PledgeMade, "pledge.made.v1", covered):
        if event.stream not in over and not _spoken_of(copy, event):
            yield position, event


def _spoken_of(copy: sqlite3.Connection, pledge: e.PledgeMade) -> bool:
    """Whether a later event is about this pledge."""
    later = copy.execute(
        "SELECT tag, body FROM events JOIN streams s ON s.id = stream"
        " WHERE s.name = ? AND version > ? AND tag <> 'pledge.made.v1'",
        (pledge.stream, pledge.version),
    )
    return any(getattr(decode(tag, body), "no", 0) == pledge.no for tag, body in later)


def _of_stream(
    copy: sqlite3.Connection, kind: type[T], tag: str, stream: str
) -> Iterator[tuple[int, T]]:
    rows = copy.execute(
        "SELECT position, body FROM events JOIN streams s ON s.id = stream"
        " WHERE s.name = ? AND tag = ? ORDER BY position",
        (stream, tag),
    ).fetchall()
    for position, body in rows:
        event = decode(tag, body)
        assert isinstance(event, kind), "the tag says so"
        yield position, event


def _campaign(event: e.Event) -> str:
    return event.stream.removeprefix("campaign:")


# --- The four ways -------------------------------------------------------------------------------


def _raise(copy: sqlite3.Connection, covered: int) -> Forgery:
    """Let a pledge be worth ten times as much: the campaign looks more wanted than it is."""
    bare = [
        each for each in islice(_open_pledges(copy, covered), MOST_WEIGHED) if not each[1].lines
    ]
    if not bare:
        raise CannotForgeError
    position, pledge = max(bare, key=lambda each: each[1].amount_minor)
    before = _text(copy, position)
    now_minor = pledge.amount_minor * TENFOLD
    tampering.rewrite(copy, position, amount_minor=now_minor)
    edit = Edit(position, "pledge.made.v1", before, _text(copy, position))
    return Forgery(_campaign(pledge), "", pledge.currency, pledge.amount_minor, now_minor, [edit])


def _refund(copy: sqlite3.Connection, covered: int, *, careful: bool) -> Forgery:
    """Let a refund never have been asked for or sent: the money seems to be held still."""
    for sent_at, sent in _latest(copy, e.PledgeRefunded, "pledge.refunded.v1", covered):
        asked = (
            position
            for position, each in _of_stream(
                copy, e.RefundRequested, "refund.requested.v1", sent.stream
            )
            if each.refund_id == sent.refund_id
        )
        asked_at = next(asked, None)
        if asked_at is None:
            continue
        edits = [
            Edit(asked_at, "refund.requested.v1", _text(copy, asked_at), ""),
            Edit(sent_at, "pledge.refunded.v1", _text(copy, sent_at), ""),
        ]
        for position in (sent_at, asked_at):  # the later one first: it would move up
            tampering.remove(copy, position, careful=careful)
        return Forgery(_campaign(sent), "", sent.currency, sent.amount_minor, 0, edits)
    raise CannotForgeError


def _divert(copy: sqlite3.Connection, covered: int) -> Forgery:
    """Let a campaign's creator be paid more than the campaign has, out of another one's money."""
    for sent_at, sent in _latest(copy, e.PayoutSent, "payout.sent.v1", covered):
        approved = (
            position
            for position, each in _of_stream(
                copy, e.PayoutApproved, "payout.approved.v1", sent.stream
            )
            if each.payout_id == sent.payout_id
        )
        approved_at = next(approved, None)
        victim = _still_holding(copy, sent, covered)
        if approved_at is None or victim is None:
            continue
        other, more_minor = victim
        edits = []
        for position, tag in ((approved_at, "payout.approved.v1"), (sent_at, "payout.sent.v1")):
            before = _text(copy, position)
            event = tampering.event_at(copy, position)
            assert isinstance(event, e.PayoutApproved | e.PayoutSent), "it was chosen so"
            tampering.rewrite(copy, position, amount_minor=event.amount_minor + more_minor)
            edits.append(Edit(position, tag, before, _text(copy, position)))
        now_minor = sent.amount_minor + more_minor
        return Forgery(_campaign(sent), other, sent.currency, sent.amount_minor, now_minor, edits)
    raise CannotForgeError


def _still_holding(
    copy: sqlite3.Connection, sent: e.PayoutSent, covered: int
) -> tuple[str, int] | None:
    """Another campaign that was charged in the same currency, and its largest charge of late."""
    found = [
        (charged.amount_minor, charged.stream)
        for _, charged in _latest(copy, e.PledgeCollected, "pledge.collected.v1", covered)
        if charged.stream != sent.stream and charged.currency == sent.currency
    ]
    if not found:
        return None
    amount_minor, stream = max(found)
    return stream.removeprefix("campaign:"), amount_minor


def _swap(copy: sqlite3.Connection, covered: int, *, careful: bool) -> Forgery:
    """Let who came second have been first."""
    newest: dict[str, tuple[int, e.PledgeMade]] = {}
    for position, earlier in _open_pledges(copy, covered):
        later = newest.get(earlier.stream)
        newest[earlier.stream] = position, earlier
        if later is None or later[1].backer == earlier.backer:
            continue
        if later[1].amount_minor == earlier.amount_minor:
            continue  # nobody would see a difference
        places = position, later[0]
        before = [_text(copy, place) for place in places]
        tampering.swap(copy, *places, careful=careful)
        edits = [
            Edit(place, "pledge.made.v1", text, _text(copy, place))
            for place, text in zip(places, before, strict=True)
        ]
        return Forgery(
            _campaign(earlier),
            "",
            earlier.currency,
            earlier.amount_minor,
            later[1].amount_minor,
            edits,
        )
    raise CannotForgeError


def _text(copy: sqlite3.Connection, position: int) -> str:
    return tampering.body_at(copy, position).decode(errors="replace")
