"""People: the one place that knows who a random id in the log is.

A party can be forgotten. Its name and mail go and its key is destroyed, with which every
commitment made under that key becomes unreadable; the id stays, as the log names it for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct
from sqlalchemy import Column, Index, LargeBinary, Table, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.party_keys import Master, master_of
from app.stores.rows import METADATA, Number, Text, in_parts, new_id, one_row, scrub

Role = Literal["backer", "creator", "staff", "treasurer", "auditor"]
"""What a party may be; the first half of `by` in an event."""

PARTIES: Final = Table(
    "parties",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("key", LargeBinary),  # wrapped by the master key
    Column("display_name", Text),
    Column("mail", Text),
    Column("created_at", Number, nullable=False),
    Column("forgotten_at", Number),
    sqlite_strict=True,
)
# Of the many backers few have an address here; an account's page asks for its own.
_HAS_MAIL: Final = PARTIES.c.mail.is_not(None)
Index("parties_by_mail", PARTIES.c.mail, sqlite_where=_HAS_MAIL, postgresql_where=_HAS_MAIL)
_GONE: Final = PARTIES.c.forgotten_at.is_not(None)
Index("parties_forgotten", PARTIES.c.forgotten_at, sqlite_where=_GONE, postgresql_where=_GONE)


class UnknownPartyError(LookupError):
    """No party has this id."""


class Party(Struct, frozen=True, kw_only=True):
    """A party as it is known now; name and mail are empty where it gave none or was forgotten."""

    id: str
    role: Role
    display_name: str
    mail: str
    created_at: int
    forgotten_at: int | None


class People:
    """The parties of this log."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def mint_backers(self, count: int, *, at: int) -> list[str]:
        """Make so many backers without names, and return their ids."""
        master = master_of(self._engine)
        rows = [new_party("backer", at, master) for _ in range(count)]
        if rows:
            async with self._engine.begin() as connection:
                await connection.execute(insert(PARTIES), rows)
        return [str(row["id"]) for row in rows]

    async def name_many(self, names: Mapping[str, str]) -> None:
        """Give parties the names under which they are shown."""
        rows = [{"party": party, "name": name} for party, name in names.items()]
        statement = (
            update(PARTIES)
            .where(PARTIES.c.id == bindparam("party"))
            .values(display_name=bindparam("name"))
        )
        if rows:
            async with self._engine.begin() as connection:
                await connection.execute(statement, rows)

    async def mint_backer(self, *, at: int) -> str:
        """Make one backer without a name, and return its id."""
        (backer_id,) = await self.mint_backers(1, at=at)
        return backer_id

    async def add_person(
        self, role: Role, *, display_name: str = "", mail: str = "", at: int
    ) -> str:
        """Add a person, and return the random id under which the log will know them."""
        row = new_party(role, at, master_of(self._engine))
        row |= {"display_name": display_name or None, "mail": mail or None}
        async with self._engine.begin() as connection:
            await connection.execute(insert(PARTIES), row)
        return str(row["id"])

    async def get(self, party_id: str) -> Party:
        """Return one party. Raises UnknownPartyError."""
        row = await one_row(self._engine, select(PARTIES).where(PARTIES.c.id == party_id))
        if row is None:
            raise UnknownPartyError(party_id)
        return Party(
            id=row["id"],
            role=row["role"],
            display_name=row["display_name"] or "",
            mail=row["mail"] or "",
            created_at=row["created_at"],
            forgotten_at=row["forgotten_at"],
        )

    async def names(self, party_ids: Iterable[str]) -> dict[str, str]:
        """Return the names of these parties by id; who has none is left out."""
        found: dict[str, str] = {}
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(party_ids))):
                rows = await connection.execute(
                    select(PARTIES.c.id, PARTIES.c.display_name).where(
                        PARTIES.c.id.in_(part), PARTIES.c.display_name.is_not(None)
                    )
                )
                found.update((row.id, row.display_name) for row in rows)
        return found

    async def change(self, party_id: str, **values: str) -> None:
        """Change a party's `display_name` or `mail`; empty takes it away. One that was forgotten
        stays so.
        """
        given = {name: value or None for name, value in values.items()}
        party = (PARTIES.c.id == party_id, PARTIES.c.forgotten_at.is_(None))
        async with self._engine.begin() as connection:
            await connection.execute(update(PARTIES).where(*party).values(given))

    async def called(self, text: str, limit: int) -> list[str]:
        """Return up to so many parties whose name holds a text."""
        query = select(PARTIES.c.id).where(PARTIES.c.display_name.icontains(text, autoescape=True))
        async with self._engine.connect() as connection:
            return list((await connection.execute(query.limit(limit))).scalars())

    async def with_mail(self, mail: str) -> list[str]:
        """The parties that gave this address when they pledged, in the order of their making."""
        query = select(PARTIES.c.id).where(PARTIES.c.mail == mail)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(PARTIES.c.created_at, PARTIES.c.id))
            return list(rows.scalars())

    async def key_of(self, party_id: str) -> bytes | None:
        """Return the key that salts commitments about this party; None once forgotten.

        Raises UnknownPartyError.
        """
        row = await one_row(self._engine, select(PARTIES.c.key).where(PARTIES.c.id == party_id))
        if row is None:
            raise UnknownPartyError(party_id)
        wrapped: bytes | None = row["key"]
        return None if wrapped is None else master_of(self._engine).unwrap(party_id, wrapped)

    async def forget(self, party_id: str, *, at: int) -> bool:
        """Erase name and mail and destroy the key; the id stays. Doing it again changes nothing.

        True when the erased bytes have left the disk too, False when a reader delays that (see
        `scrub`). Raises UnknownPartyError.
        """
        erased = {"key": None, "display_name": None, "mail": None, "forgotten_at": at}
        party = PARTIES.c.id == party_id
        async with self._engine.begin() as connection:
            await connection.execute(
                update(PARTIES).where(party, PARTIES.c.forgotten_at.is_(None)).values(erased)
            )
            known = await one_row(connection, select(PARTIES.c.id).where(party))
        if known is None:
            raise UnknownPartyError(party_id)
        return await scrub(self._engine)


def new_party(role: Role, at: int, master: Master) -> dict[str, object]:
    """The row of a party without a name, with a new key."""
    party = new_id()
    return {
        "id": party,
        "role": role,
        "key": master.new_key(party),
        "display_name": None,
        "mail": None,
        "created_at": at,
        "forgotten_at": None,
    }
