"""What a backer keeps: for each thing that happened to a pledge, a proof that it is in the log.

A receipt is a C2SP tlog-proof: the entry's index, its way to the root of a published checkpoint,
and in `extra` what opens the entry's two commitments. Who may have one is decided by who asks for
it: only the pledge's backer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from app.transparency.leaf import Leaf, Salts, commit
from app.transparency.merkle import Tiles, inclusion_proof
from app.transparency.proof import TlogProof
from app.transparency.public_part import public_part
from app.transparency.receipt_check import leaf_of
from app.transparency.receipt_extra import Extra, Opening, PublicOpening
from app.transparency.subjects import subject_of
from domain.codec import decode
from domain.events import Event
from projections.backer_ledger import StatementLine
from projections.reading import Row

LARGEST_CODE: Final = 2_900
"""Bytes that a QR code holds at the lowest level of correction (ISO/IEC 18004: 2,953), nearly."""

GIVEN: Final = frozenset(
    (
        "pledged",
        "revised",
        "withdrawn",
        "dropped",
        "released",
        "charged",
        "refunded",
        "dispute_lost",
    )
)
"""Kinds of statement lines of which there is a receipt: all that is about this pledge alone, and
the end of the campaign that released it. Fees and payouts are about many pledges at once.
"""

_FILE_WORDS: Final = {"dispute_lost": "returned", "refunded": "returned"}


class Entry(Struct, frozen=True):
    """Something that happened to a pledge and of which there is a receipt; `at` in ms UTC."""

    position: int
    at: int
    kind: str
    amount_minor: int


class Receipt(Struct, frozen=True):
    """A receipt as a file, and as the shorter text for a printed code.

    `size` is that of the checkpoint's tree. `closed` says why the whole fact is not in it: it is
    about the whole campaign, or the key of the person whom it is about was destroyed.
    """

    position: int
    size: int
    text: str
    short: str
    closed: Literal["", "campaign", "erased"]

    @property
    def code(self) -> str:
        """What a QR code holds; empty where it is too long for one."""
        return self.short if len(self.short.encode()) <= LARGEST_CODE else ""


class LeafDiffersError(Exception):
    """The tree has another leaf than the log's fact would make: one of them was changed."""


class Checkpointed(Protocol):
    """A published checkpoint."""

    @property
    def size(self) -> int:
        """Leaves of its tree."""

    @property
    def note(self) -> str:
        """The signed note, with its cosignatures."""


class Tree(Tiles, Protocol):
    """The transparency store, as receipts read it."""

    def leaf(self, index: int) -> Leaf:
        """A leaf."""

    def published_covering(self, index: int) -> Checkpointed | None:
        """The newest published checkpoint whose tree has the leaf."""

    def latest_published(self) -> Checkpointed | None:
        """The newest published checkpoint."""


class Log(Protocol):
    """The log, as receipts read it."""

    def read(self, after: int, limit: int) -> Sequence[Row]:
        """Facts after a position."""


class Receipts:
    """Makes receipts. Nothing here may be called for anybody but the pledge's backer."""

    def __init__(
        self,
        log: Log,
        tree: Tree,
        log_secret: bytes,
        keys_of: Callable[[Collection[str]], Mapping[str, bytes | None]],
    ) -> None:
        self._log = log
        self._tree = tree
        self._salts = Salts(log_secret)
        self._keys_of = keys_of

    def covered(self) -> int:
        """The last position that a published checkpoint covers; 0 before the first one."""
        published = self._tree.latest_published()
        return 0 if published is None else published.size

    def receipt(self, position: int, backer: str, currency: str) -> Receipt | None:
        """The receipt of the fact at a position, about a pledge of this backer in this currency.

        None while no published checkpoint covers it. Raises LeafDiffersError.
        """
        index = position - 1
        published = self._tree.published_covering(index)
        if published is None:
            return None
        extra, closed = self._extra(position, backer, currency)
        path = tuple(inclusion_proof(self._tree, index, published.size))
        short = extra
        if isinstance(extra, Opening):
            event = commit(extra.event_salt, extra.event.encode())
            short = PublicOpening(extra.public, extra.public_salt, event)
        return Receipt(
            position,
            published.size,
            TlogProof(index, path, published.note, extra.encode()).encode(),
            TlogProof(index, path, published.note, short.encode()).encode(),
            closed,
        )

    def _extra(
        self, position: int, backer: str, currency: str
    ) -> tuple[Extra, Literal["", "campaign", "erased"]]:
        """What opens the leaf; the whole fact only where it is about this backer."""
        row = self._log.read(position - 1, 1)[0]
        event = decode(row.tag, row.body)
        leaf = self._tree.leaf(position - 1)
        public = public_part(event, currency).encode().decode()
        salt = self._salts.public(event.stream, event.version)
        closed = PublicOpening(public, salt, leaf.event)
        if leaf_of(position, closed) != leaf:
            raise LeafDiffersError(f"the leaf of position {position} is not the log's")
        if not _is_about(event, backer):
            return closed, "campaign"
        key = self._key(backer)
        if key is None:
            return closed, "erased"
        opened = Opening(
            public,
            salt,
            row.body.decode(),
            self._salts.event(event.stream, event.version, key or None),
        )
        if leaf_of(position, opened) != leaf:
            raise LeafDiffersError(f"the leaf of position {position} is not the log's")
        return opened, ""

    def _key(self, backer: str) -> bytes | None:
        """A backer's key; empty for one who is no party of ours, None where it was destroyed."""
        return self._keys_of([backer]).get(backer, b"")


def _is_about(event: Event, backer: str) -> bool:
    """Whether a fact of a pledge of this backer is about them alone."""
    subject = subject_of(event)
    return isinstance(subject, int) or subject == backer


def entries_of(lines: Sequence[StatementLine]) -> list[Entry]:
    """The lines of a pledge's statement of which there are receipts, in their order."""
    return [
        Entry(line.position, line.at, line.kind, line.amount_minor)
        for line in lines
        if line.kind in GIVEN
    ]


def file_name(campaign_id: str, no: int, kind: str) -> str:
    """How a receipt's file is called."""
    return f"tributary-{campaign_id[:8]}-{no}-{_FILE_WORDS.get(kind, kind)}.tlog-proof"
