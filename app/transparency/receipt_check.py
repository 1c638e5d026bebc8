"""Checks a receipt with nothing but the log's public key: no network, no database, no trust in us.

Five points, each of which holds, does not, or was not checked. The page /receipts/check does
the same in the browser (`app/web/static/js/receipt_check.js`), with the same reasons; a test holds
the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from app.transparency.checkpoint import Checkpoint, parse_checkpoint_text
from app.transparency.leaf import Leaf, commit
from app.transparency.merkle import ProofError, leaf_hash, verify_inclusion
from app.transparency.note import Note, NoteError, Signed, VerifierKey, parse_note, signatures_of
from app.transparency.proof import HEADER, TlogProof, parse_proof
from app.transparency.public_part import (
    PublicPart,
    PublicPartError,
    parse_public_part,
    public_part,
)
from app.transparency.receipt_extra import Extra, ExtraError, Opening, PublicOpening, parse_extra
from domain import events as e
from domain.codec import CorruptEventError, UnknownEventError, decode

T = TypeVar("T")

Name = Literal["form", "signature", "witnesses", "entry", "event"]
"""What is looked at: that it is a whole receipt; that the log signed its checkpoint; who witnessed
that; that the entry opened here is in the tree; that the fact says what its public part says.
"""

AFTER_FORM: Final[tuple[Name, ...]] = ("signature", "witnesses", "entry", "event")

Told = (
    e.PledgeMade
    | e.PledgeRevised
    | e.PledgeWithdrawn
    | e.PledgeDropped
    | e.PledgeReleased
    | e.PledgeCollected
    | e.PledgeRefunded
    | e.DisputeLost
)
"""The facts about one pledge of which its backer gets a receipt."""


TOLD_KINDS: Final[Mapping[type[e.Event], str]] = {
    e.PledgeMade: "pledged",
    e.PledgeRevised: "revised",
    e.PledgeWithdrawn: "withdrawn",
    e.PledgeDropped: "dropped",
    e.PledgeReleased: "released",
    e.PledgeCollected: "charged",
    e.PledgeRefunded: "refunded",
    e.DisputeLost: "dispute_lost",
}
"""How a backer's statement calls each of them."""

LAST_DAY_MS: Final = 253_402_214_400_000
"""31 December 9999: no later day can be written."""

_AROUND: Final = " \t\r\n\N{ZERO WIDTH NO-BREAK SPACE}"


class Wrong(Exception):  # noqa: N818 - what was found, not a fault of ours
    """A point does not hold; `reason` names why, as the page does."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Point(Struct, frozen=True):
    """One point; `ok` is None where it was not checked, and `reason` says why."""

    name: Name
    ok: bool | None
    reason: str = ""


class Facts(Struct, frozen=True):
    """What a receipt says, proved or not. `event` is None in the short form."""

    index: int
    checkpoint: Checkpoint
    witnessed: tuple[Signed, ...]
    public: PublicPart | None
    event: Told | None


class Verdict(Struct, frozen=True):
    """The points in their order, and what was read; `facts` are None where nothing could be."""

    points: tuple[Point, ...]
    facts: Facts | None

    @property
    def proved(self) -> bool:
        """Whether the receipt proves what it says."""
        return all(point.ok is not False for point in self.points)

    @property
    def is_receipt(self) -> bool:
        """Whether it is a receipt at all, be it a bad one."""
        return self.points[0].reason != "not_a_receipt"


class _Read(NamedTuple):
    proof: TlogProof
    note: Note
    checkpoint: Checkpoint


def normal(text: str) -> str:
    """What people paste: without what stands around it, with one kind of line end."""
    return text.replace("\r\n", "\n").strip(_AROUND) + "\n"


def check_receipt(
    text: str,
    log_key: VerifierKey,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int | None = None,
) -> Verdict:
    """Check a receipt against the log's key. Of the witnesses `quorum` must have cosigned; all of
    them where it is not said.
    """
    points: list[Point] = []

    def look(name: Name, check: Callable[[], T]) -> T | None:
        try:
            found = check()
        except Wrong as wrong:
            points.append(Point(name, ok=False, reason=wrong.reason))
            return None
        points.append(Point(name, ok=True))
        return found

    whole = look("form", lambda: _whole(normal(text)))
    if whole is None:
        points += [Point(name, None, "not_read") for name in AFTER_FORM]
        return Verdict(tuple(points), None)
    read, extra = whole
    look("signature", lambda: _check_signature(read, log_key))
    witnessed: tuple[Signed, ...] = ()
    if witnesses:
        needed = len(witnesses) if quorum is None else quorum
        cosigned = look("witnesses", lambda: _witnessed(read, log_key, witnesses, needed))
        witnessed = cosigned or ()
    else:
        points.append(Point("witnesses", None, "none_named"))
    look("entry", lambda: _check_entry(read, extra))
    public, event = None, None
    if points[-1].ok:
        public, event = _say(extra, points)
    else:
        points.append(Point("event", None, "not_read"))
    return Verdict(
        tuple(points), Facts(read.proof.index, read.checkpoint, witnessed, public, event)
    )


# --- The five points -----------------------------------------------------------------------------


def _read(text: str) -> _Read:
    if text.split("\n", 1)[0] != HEADER:
        raise Wrong("not_a_receipt")
    try:
        proof = parse_proof(text)
        note = parse_note(proof.checkpoint)
        return _Read(proof, note, parse_checkpoint_text(note.text))
    except ValueError as fault:
        raise Wrong("damaged") from fault


def _whole(text: str) -> tuple[_Read, Extra]:
    """The proof, and what opens its entry: only with both is it a whole receipt."""
    read = _read(text)
    try:
        return read, parse_extra(read.proof.extra)
    except ExtraError as fault:
        raise Wrong("contents") from fault


def _check_signature(read: _Read, key: VerifierKey) -> None:
    if read.checkpoint.origin != key.name:
        raise Wrong("other_log")
    try:
        signed = signatures_of(read.note, (key,))
    except NoteError as fault:
        raise Wrong("signature_wrong") from fault
    if not signed:
        raise Wrong("not_signed")


def _witnessed(
    read: _Read, log_key: VerifierKey, witnesses: Sequence[VerifierKey], quorum: int
) -> tuple[Signed, ...]:
    try:
        signed = signatures_of(read.note, witnesses)
    except NoteError as fault:
        raise Wrong("witness_wrong") from fault
    # A public key counts once, whatever names it bears, and the log's own is no witness.
    counted = {one.key.public: one for one in reversed(signed) if one.key.public != log_key.public}
    if len(counted) < quorum:
        raise Wrong("too_few_witnesses")
    return tuple(reversed(counted.values()))


def _check_entry(read: _Read, extra: Extra) -> None:
    """Compute from what opens the entry that the entry is in the tree."""
    index, tree = read.proof.index, read.checkpoint
    hashed = leaf_hash(leaf_of(index + 1, extra).encode())
    try:
        verify_inclusion(hashed, index, tree.size, read.proof.hashes, tree.root)
    except ProofError as fault:
        raise Wrong("not_included") from fault


def leaf_of(position: int, extra: Extra) -> Leaf:
    """The entry that these openings belong to."""
    match extra:
        case Opening():
            event = commit(extra.event_salt, extra.event.encode())
        case PublicOpening():
            event = extra.event_commitment
    return Leaf(position, commit(extra.public_salt, extra.public.encode()), event)


def _say(extra: Extra, points: list[Point]) -> tuple[PublicPart | None, Told | None]:
    """What the opened entry says; the last point is whether it says the same twice."""
    public, event = None, None
    try:
        public = parse_public_part(extra.public.encode())
        if isinstance(extra, PublicOpening):
            points.append(Point("event", None, "closed"))
            return public, None
        event = told(extra.event)
        require_same(event, public)
    except PublicPartError:
        points.append(Point("event", ok=False, reason="public_unreadable"))
    except Wrong as wrong:
        points.append(Point("event", ok=False, reason=wrong.reason))
    else:
        points.append(Point("event", ok=True))
    return public, event


def told(text: str) -> Told:
    """The fact in a receipt. Raises Wrong."""
    body = text.encode()
    try:
        tag = _tags.decode(body).get("type")
        event = decode(str(tag), body)
    except (msgspec.MsgspecError, CorruptEventError, RecursionError) as fault:
        raise Wrong("event_unreadable") from fault
    except UnknownEventError as fault:
        raise Wrong("event_unknown") from fault
    if not isinstance(event, Told):
        raise Wrong("event_unknown")
    if not 0 <= event.at <= LAST_DAY_MS:
        raise Wrong("event_unreadable")
    return event


_tags: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any])


def require_same(event: Told, public: PublicPart) -> None:
    """Raise Wrong where the fact itself says otherwise than its public part."""
    own = public_part(event, public.currency)
    for name in ("campaign", "currency", "day", "changes"):
        if getattr(own, name) != getattr(public, name):
            raise Wrong(f"differs_{name}")


# --- Without checking ----------------------------------------------------------------------------


def read_receipt(text: str) -> Facts | None:
    """What a receipt says, with nothing of it verified; None where it cannot be read."""
    try:
        read = _read(normal(text))
    except Wrong:
        return None
    public, event = None, None
    with suppress(ExtraError, PublicPartError, Wrong):
        extra = parse_extra(read.proof.extra)
        public = parse_public_part(extra.public.encode())
        event = told(extra.event) if isinstance(extra, Opening) else None
    return Facts(read.proof.index, read.checkpoint, (), public, event)
