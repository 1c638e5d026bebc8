"""What we hold about a person, and how it goes when they ask.

Every table of `people.db` stands here: with the columns that say whose a row is and what becomes
of it, or with the reason why it is about nobody. A test fails for a table that does not.

The log is not touched: it names people only by random ids, and keeps them. With the person's row
in `parties` goes the key of the commitments about them, so that those become unreadable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Table, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.stores.content import CONTENT
from app.stores.drafts import DRAFTS
from app.stores.people import Role
from app.stores.pictures import PICTURES
from app.stores.rows import METADATA, scrub
from app.stores.sealed import Sealed

Fate = Literal["deleted", "blanked", "kept"]
"""What becomes of a row about a person: it goes; what is about them in it goes; it stays."""


class Holding(Struct, frozen=True, kw_only=True):
    """A table that may hold something about people.

    A row is about a person where one of `parties` is an id of theirs, one of `actors` such an id
    with a role before it (`staff:…`), or one of `mails` their address. With `unless` a row stays in
    which that column is set. `blank` is what is written over a blanked row. `secret` columns are
    proofs, never shown.
    """

    parties: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()
    fate: Fate = "deleted"
    unless: str = ""
    blank: Mapping[str, object] = {}
    secret: tuple[str, ...] = ()

    @property
    def stays(self) -> bool:
        """Whether something of it may stay."""
        return self.fate != "deleted" or bool(self.unless)


HOLDINGS: Final[Mapping[str, Holding]] = {
    # The random id stays, without a name: the log names it.
    "parties": Holding(
        parties=("id",),
        mails=("mail",),
        fate="blanked",
        blank={"display_name": None, "mail": None, "key": None},
        secret=("key",),
    ),
    "accounts": Holding(parties=("party",), mails=("mail",), secret=("password_hash",)),
    "joined_parties": Holding(parties=("party", "account")),
    "grants": Holding(parties=("party",)),
    "sessions": Holding(parties=("party",), secret=("token_hash",)),
    "api_keys": Holding(parties=("owner",), secret=("secret_hash",)),
    "passkeys": Holding(parties=("party",), secret=("public_key",)),
    "mail_tokens": Holding(
        parties=("party", "joins"),
        mails=("mail",),
        secret=("token_hash", "password_hash", "browser_mark"),
    ),
    "mails": Holding(parties=("party",), mails=("address",)),
    "mail_choices": Holding(parties=("party",)),
    "follows": Holding(parties=("party",), mails=("address",)),
    "sealed": Holding(parties=("party",), secret=("body",)),
    "shown_names": Holding(parties=("party",)),
    "checkouts": Holding(parties=("party",)),
    # A campaign that was handed in stays: people gave money for what it says.
    "drafts": Holding(
        parties=("creator",),
        unless="submitted_at",
    ),
    "pictures": Holding(
        parties=("put_by",),
        actors=("put_by",),
        fate="kept",
    ),
    "questions": Holding(
        parties=("party",),
        fate="blanked",
        blank={"body": "", "hidden_at": 0, "hidden_reason": "erased", "party": ""},
    ),
    # A report stays without its sender.
    "reports": Holding(
        parties=("party",),
        mails=("mail",),
        fate="blanked",
        blank={"party": "", "mail": "", "source": ""},
    ),
    # What was done for a channel stays, under the random id: it has to be answered for.
    "staff_acts": Holding(
        actors=("by",),
        fate="kept",
    ),
    # What staff picked to be shown first names them by the random id only.
    "features": Holding(parties=("by",), actors=("by",), fate="kept"),
    # With the provider's name for a card pledges are charged, and money goes back. It holds neither
    # the card's number nor its owner's name.
    "payment_methods": Holding(
        parties=("party",),
        fate="kept",
    ),
}
"""Every table about people, by its name."""

IMPERSONAL: Final[Mapping[str, str]] = {
    "content": "texts and pictures by their hash; whose they are stands elsewhere",
    "channels": "institutions",
    "master": "what tells whether the master key is still the same",
    "repeats": "plans by the hash of a key; they name random ids and texts' hashes",
    "passkey_challenges": "random numbers by the hash of a cookie, for five minutes",
    "attempts": "keyed hashes, for a day",
    "card_tries": "keyed hashes, for a day",
    "mail_news": "a position in the log",
}
"""Every other table, and why it is about nobody."""


class Erasure:
    """Everything that `people.db` holds about a person."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def held_about(
        self, parties: Collection[str], mail: str
    ) -> dict[str, list[dict[str, object]]]:
        """Every row about a person, by table; without proofs, bytes in hex."""
        found: dict[str, list[dict[str, object]]] = {}
        async with self._engine.connect() as connection:
            for table, holding in _known_tables():
                query = select(table).where(_about(table, holding, parties, mail))
                rows = (await connection.execute(query)).mappings().all()
                if rows:
                    found[table.name] = [
                        {
                            name: _readable(value)
                            for name, value in row.items()
                            if name not in holding.secret
                        }
                        for row in rows
                    ]
        for entry in await Sealed(self._engine).of_parties(parties):
            found.setdefault(f"sealed_{entry.kind}", []).append(
                {"ref": entry.ref, "at": entry.at, "told": _readable(entry.body)}
            )
        return found

    async def erase(self, parties: Collection[str], mail: str, *, at: int) -> bool:
        """Erase a person: every row about them meets its fate, at once or not at all.

        True when the erased bytes have left the disk too, False when a reader delays that (see
        `scrub`).
        """
        async with self._engine.begin() as connection:
            await _erase_drawings(connection, parties)
            for table, holding in _known_tables():
                these = _about(table, holding, parties, mail)
                if holding.fate == "deleted":
                    if holding.unless:
                        these &= table.c[holding.unless].is_(None)
                    await connection.execute(delete(table).where(these))
                elif holding.fate == "blanked":
                    blank = dict(holding.blank)
                    if "hidden_at" in blank:
                        blank["hidden_at"] = at
                    if table.name == "parties":
                        await _blank_parties(connection, table, blank, parties, mail, at)
                    else:
                        await connection.execute(update(table).where(these).values(blank))
        return await scrub(self._engine)


async def _blank_parties(
    connection: AsyncConnection,
    table: Table,
    blank: Mapping[str, object],
    parties: Collection[str],
    mail: str,
    at: int,
) -> None:
    """Forget the person's own parties; of others that gave this address, only the address."""
    await connection.execute(
        update(table).where(table.c.id.in_(parties)).values(**blank, forgotten_at=at)
    )
    if mail:
        await connection.execute(update(table).where(table.c.mail == mail).values(mail=None))


async def _erase_drawings(connection: AsyncConnection, parties: Collection[str]) -> None:
    """Erase the pictures of drafts that were never handed in, every size of them."""
    drafts = select(DRAFTS.c.id).where(
        DRAFTS.c.creator.in_(parties), DRAFTS.c.submitted_at.is_(None)
    )
    these = PICTURES.c.draft.in_(drafts)
    sizes = select(PICTURES.c.hash, PICTURES.c.small, PICTURES.c.middle).where(these)
    hashes = {found for row in await connection.execute(sizes) for found in row}
    await connection.execute(delete(CONTENT).where(CONTENT.c.hash.in_(hashes)))
    await connection.execute(delete(PICTURES).where(these))


def _known_tables() -> Iterator[tuple[Table, Holding]]:
    for name, holding in HOLDINGS.items():
        if name in METADATA.tables:
            yield METADATA.tables[name], holding


def _about(
    table: Table, holding: Holding, parties: Collection[str], mail: str
) -> ColumnElement[bool]:
    actors = [f"{role}:{party}" for party in parties for role in get_args(Role)]
    conditions: list[ColumnElement[bool]] = []
    conditions += [table.c[column].in_(parties) for column in holding.parties]
    conditions += [table.c[column].in_(actors) for column in holding.actors]
    if mail:
        conditions += [table.c[column] == mail for column in holding.mails]
    return or_(*conditions)


def _readable(value: Any) -> object:  # noqa: ANN401 - whatever a column holds
    """A value as JSON can say it: bytes are a document of ours, or shown in hex."""
    if not isinstance(value, bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value.hex()
