"""Receipts of a small log of its own: good ones, damaged ones, and those of a log that lies."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.transparency.checkpoint import Checkpoint
from app.transparency.leaf import Salts, commit
from app.transparency.merkle import MemoryTiles, inclusion_proof, leaf_hash, root_at
from app.transparency.note import COSIGNATURE, ED25519, SigningKey
from app.transparency.proof import TlogProof, parse_proof
from app.transparency.public_part import public_part
from app.transparency.receipt_check import TOLD_KINDS, leaf_of
from app.transparency.receipt_extra import Extra, Opening, PublicOpening
from domain.codec import decode
from domain.events import TAGS, AnyEvent

GOLDEN: Final = Path(__file__).parent.parent / "golden"
TOLD_TAGS: Final = tuple(TAGS[kind] for kind in TOLD_KINDS)
SIZE: Final = 1_000
PLACE: Final = 421
"""Where the receipt's entry stands."""


def seeded(name: str, type: int = ED25519) -> SigningKey:  # noqa: A002 - as in SigningKey
    """A key that is the same each time."""
    return SigningKey(name, type, sha256(name.encode()).digest())


LOG: Final = seeded("crowd.example.org/log")
OTHER_LOG: Final = seeded("other.example.org/log")
WITNESSES: Final = tuple(seeded(f"w{n}.example.org", COSIGNATURE) for n in (1, 2))
SALTS: Final = Salts(b"l" * 32)
PERSON: Final = b"p" * 32


def golden(tag: str) -> AnyEvent:
    """A fact of this kind."""
    return decode(tag, (GOLDEN / f"{tag}.json").read_bytes())


def opening(body: bytes, public: str | None = None) -> Opening:
    """What opens a fact; with `public`, a log that says otherwise than the fact."""
    event = msgspec.json.decode(body)
    if public is None:
        known = decode(event["type"], body)
        public = public_part(known, getattr(known, "currency", "EUR")).encode().decode()
    stream, version = str(event["stream"]), int(event["version"])
    return Opening(
        public,
        SALTS.public(stream, version),
        body.decode(),
        SALTS.event(stream, version, PERSON),
    )


def short_of(full: Opening) -> PublicOpening:
    """The same without the fact."""
    event = commit(full.event_salt, full.event.encode())
    return PublicOpening(full.public, full.public_salt, event)


def receipt(
    extra: Extra,
    *,
    index: int = PLACE,
    size: int = SIZE,
    key: SigningKey = LOG,
    witnesses: tuple[SigningKey, ...] = WITNESSES,
) -> str:
    """A receipt of a log that holds this entry at its place."""
    leaves = [sha256(b"other %d" % n).digest() for n in range(size)]
    leaves[index] = leaf_hash(leaf_of(index + 1, extra).encode())
    tiles = MemoryTiles(leaves)
    text = Checkpoint(key.verifier.name, size, root_at(tiles, size)).text
    cosigned = "".join(one.sign(text, 1_790_000_000) for one in witnesses)
    note = f"{text}\n{key.sign(text)}{cosigned}"
    path = tuple(inclusion_proof(tiles, index, size))
    return TlogProof(index, path, note, extra.encode()).encode()


def good(tag: str = "pledge.made.v1", *, short: bool = False) -> str:
    """A receipt that proves what it says."""
    full = opening((GOLDEN / f"{tag}.json").read_bytes())
    return receipt(short_of(full) if short else full)


class Case(Struct, frozen=True):
    """A receipt and the point at which it fails; empty where it holds."""

    name: str
    text: str
    fails: str


# --- Damage --------------------------------------------------------------------------------------


def damaged() -> list[Case]:
    """Two hundred receipts, each with one thing changed after it was made."""
    full, short = good(), good(short=True)
    named = [
        Case(f"{change.__name__} {kind}", change(text), fails)
        for kind, text in (("full", full), ("short", short))
        for change, fails in _CHANGES
    ]
    flips = _flipped(full, 200 - len(named))
    return [*named, *flips]


def _flipped(text: str, count: int) -> Iterator[Case]:
    """One letter changed for another, anywhere but in the lines of the witnesses."""
    chance = random.Random(5)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    end = text.index("\n\u2014 w1.")
    made = 0
    while made < count:
        place = chance.randrange(end)
        letter = chance.choice(letters)
        if text[place] in letters and text[place] != letter:
            made += 1
            yield Case(f"letter {place}", text[:place] + letter + text[place + 1 :], "any")


def _with(text: str, **changes: Any) -> str:  # noqa: ANN401 - the fields of a proof
    return msgspec.structs.replace(parse_proof(text), **changes).encode()


def _extra(text: str, change: Callable[[dict[str, Any]], None]) -> str:
    found = msgspec.json.decode(parse_proof(text).extra)
    change(found)
    return _with(text, extra=msgspec.json.encode(found))


def _line(text: str, number: int, change: Callable[[str], str]) -> str:
    lines = text.split("\n")
    lines[number] = change(lines[number])
    return "\n".join(lines)


def another_header(text: str) -> str:  # noqa: D103 - its name says it; so with all below
    return text.replace("@v1", "@v2", 1)


def no_checkpoint(text: str) -> str:  # noqa: D103
    return text.partition("\n\n")[0]


def cut_short(text: str) -> str:  # noqa: D103
    return text[: len(text) // 2]


def next_index(text: str) -> str:  # noqa: D103
    return _with(text, index=PLACE + 1)


def index_beyond(text: str) -> str:  # noqa: D103
    return text.replace(f"index {PLACE}", f"index {SIZE}")


def index_with_zero(text: str) -> str:  # noqa: D103
    return text.replace(f"index {PLACE}", f"index 0{PLACE}")


def hash_missing(text: str) -> str:  # noqa: D103
    return _with(text, hashes=parse_proof(text).hashes[:-1])


def hash_added(text: str) -> str:  # noqa: D103
    return _with(text, hashes=(*parse_proof(text).hashes, bytes(32)))


def hashes_swapped(text: str) -> str:  # noqa: D103
    first, second, *rest = parse_proof(text).hashes
    return _with(text, hashes=(second, first, *rest))


def hash_too_short(text: str) -> str:  # noqa: D103
    return _line(text, 3, lambda _: b64encode(bytes(31)).decode())


def larger_size(text: str) -> str:  # noqa: D103
    return text.replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n")


def another_log(text: str) -> str:  # noqa: D103
    return text.replace("\ncrowd.example.org", "\ncloud.example.org")


def signed_by_another(text: str) -> str:  # noqa: D103
    proof = parse_proof(text)
    said = proof.checkpoint.partition("\n\n")[0] + "\n"
    stranger = SigningKey(LOG.verifier.name, ED25519, bytes(32))
    return _with(text, checkpoint=f"{said}\n{stranger.sign(said)}")


def signature_of_another_text(text: str) -> str:  # noqa: D103
    proof = parse_proof(text)
    said = proof.checkpoint.partition("\n\n")[0] + "\n"
    return _with(text, checkpoint=f"{said}\n{LOG.sign('crowd.example.org/log' + chr(10))}")


def witness_lines_gone(text: str) -> str:  # noqa: D103
    return text[: text.index("\u2014 w1.")]


def witness_wrong(text: str) -> str:  # noqa: D103
    said = parse_proof(text).checkpoint.partition("\n\n")[0] + "\n"
    right = WITNESSES[0].sign(said, 1_790_000_000)
    return text.replace(right, WITNESSES[0].sign(f"{said}more\n", 1_790_000_000))


def other_amount(text: str) -> str:  # noqa: D103
    def change(extra: dict[str, Any]) -> None:
        extra["public"] = extra["public"].replace("pledged", "revised")

    return _extra(text, change)


def other_salt(text: str) -> str:  # noqa: D103
    return _extra(text, lambda extra: extra.update(public_salt=b64encode(bytes(32)).decode()))


def short_salt(text: str) -> str:  # noqa: D103
    return _extra(text, lambda extra: extra.update(public_salt=b64encode(bytes(31)).decode()))


def field_added(text: str) -> str:  # noqa: D103
    return _extra(text, lambda extra: extra.update(more=1))


def other_version(text: str) -> str:  # noqa: D103
    return _extra(text, lambda extra: extra.update(v=2))


def spaced(text: str) -> str:  # noqa: D103
    return _with(text, extra=parse_proof(text).extra.replace(b":", b": ", 1))


def no_extra(text: str) -> str:  # noqa: D103
    return _with(text, extra=b"")


def not_json(text: str) -> str:  # noqa: D103
    return _with(text, extra=b"\xff{}")


def with_carriage_returns(text: str) -> str:  # noqa: D103 - what a mail program does
    return text.replace("\n", "\r\n")


def with_space_around(text: str) -> str:  # noqa: D103 - what people paste
    return f"\N{ZERO WIDTH NO-BREAK SPACE}\n  {text.strip()}  \n\n"


def an_unknown_signature(text: str) -> str:  # noqa: D103 - passed over, as the standard says
    said = parse_proof(text).checkpoint.partition("\n\n")[0] + "\n"
    return text + seeded("somebody.example.org").sign(said)


_CHANGES: Final[tuple[tuple[Callable[[str], str], str], ...]] = (
    (another_header, "form"),
    (no_checkpoint, "form"),
    (cut_short, "form"),
    (next_index, "entry"),
    (index_beyond, "form"),
    (index_with_zero, "form"),
    (hash_missing, "entry"),
    (hash_added, "entry"),
    (hashes_swapped, "entry"),
    (hash_too_short, "form"),
    (larger_size, "signature"),
    (another_log, "signature"),
    (signed_by_another, "signature"),
    (signature_of_another_text, "signature"),
    (witness_lines_gone, "witnesses"),
    (witness_wrong, "witnesses"),
    (other_amount, "entry"),
    (other_salt, "entry"),
    (short_salt, "form"),
    (field_added, "form"),
    (other_version, "form"),
    (spaced, "form"),
    (no_extra, "form"),
    (not_json, "form"),
    (with_carriage_returns, ""),
    (with_space_around, ""),
    (an_unknown_signature, ""),
)


# --- Lies ----------------------------------------------------------------------------------------


def lies() -> list[Case]:
    """Receipts that are whole and signed, of a log that says of a fact what the fact does not."""
    body = (GOLDEN / "pledge.made.v1.json").read_bytes()
    true = opening(body).public
    fact = msgspec.json.decode(body)
    amount = fact["amount_minor"]
    told = {
        "differs_changes": true.replace(f'"pledged",{amount}', f'"pledged",{amount + 1}'),
        "differs_currency": true.replace(fact["currency"], "QQQ"),
        "differs_day": _other_day(true),
        "differs_campaign": true.replace(fact["stream"].removeprefix("campaign:"), "another"),
        "public_unreadable": true.replace(":", ": ", 1),
    }
    assert all(public != true for public in told.values())
    cases = [Case(name, receipt(opening(body, public)), "event") for name, public in told.items()]
    bodies = {
        "event_unreadable": (body.replace(b'"at":', b'"at":"x","was":'), true),
        "event_unknown": ((GOLDEN / "refund.failed.v1.json").read_bytes(), true),
    }
    return cases + [
        Case(name, receipt(opening(said, public)), "event")
        for name, (said, public) in bodies.items()
    ]


def _other_day(public: str) -> str:
    found = msgspec.json.decode(public)
    return public.replace(found["day"], "1999-12-31")
