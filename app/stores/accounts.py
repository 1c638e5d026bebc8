"""Accounts: people who can come back, by a mail address.

An account's id is its own party's id, under which the log knows what the person does. What was
pledged under another party, before it was known whose mail that was, joins the account through a
link in a mail: from then on the account speaks for that party, too. The log stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, RowMapping, Table, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.party_keys import master_of
from app.stores.people import PARTIES, Role, new_party
from app.stores.rows import METADATA, Number, Text, in_parts, one_row, upsert, writing

ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    Column("party", Text, primary_key=True),
    Column("mail", Text, nullable=False, unique=True),
    Column("password_hash", Text),
    Column("confirmed_at", Number),
    Column("language", Text, nullable=False),
    Column("pen_name", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    sqlite_strict=True,
)

JOINED: Final = Table(
    "joined_parties",
    METADATA,
    Column("party", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("joined_at", Number, nullable=False),
    Index("joined_by_account", "account"),
    sqlite_strict=True,
)
"""Parties other than its own for which an account speaks."""

GRANTS: Final = Table(
    "grants",
    METADATA,
    Column("party", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("granted_at", Number, nullable=False),
    Column("granted_by", Text, nullable=False),
    sqlite_strict=True,
)
"""Who may act for a channel, as what."""


class MailTakenError(Exception):
    """There is an account with this mail address."""


class UnknownAccountError(LookupError):
    """No account has this id or mail address."""


class Account(Struct, frozen=True, kw_only=True):
    """An account. `confirmed_at` (ms UTC) is when a link in a mail to its address was followed.

    `password_hash` is argon2's; empty where the person signs in by mail or passkey.
    """

    party: str
    mail: str
    password_hash: str
    confirmed_at: int | None
    language: str
    pen_name: str
    created_at: int


class Grant(Struct, frozen=True):
    """A role in a channel."""

    channel: str
    role: Role


def normal_mail(text: str) -> str:
    """The one way in which an address is kept: without spaces around it, in lower case."""
    return text.strip().lower()


class Accounts:
    """The accounts of this log and the roles they have."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open(
        self,
        mail: str,
        *,
        at: int,
        display_name: str = "",
        password_hash: str = "",
        language: str = "en",
        party: str = "",
        role: Role = "backer",
    ) -> Account:
        """Open an account, for a party that exists or a new one. Raises MailTakenError."""
        row = new_party(role, at, master_of(self._engine)) | {"display_name": display_name or None}
        account = Account(
            party=party or str(row["id"]),
            mail=normal_mail(mail),
            password_hash=password_hash,
            confirmed_at=None,
            language=language,
            pen_name="",
            created_at=at,
        )
        try:
            async with self._engine.begin() as connection:
                if not party:
                    await connection.execute(insert(PARTIES), row)
                await connection.execute(insert(ACCOUNTS), _row(account))
        except IntegrityError as fault:
            raise MailTakenError(account.mail) from fault
        return account

    async def get(self, party: str) -> Account | None:
        """The account with this id."""
        row = await one_row(self._engine, select(ACCOUNTS).where(ACCOUNTS.c.party == party))
        return None if row is None else _account(row)

    async def by_mail(self, mail: str) -> Account | None:
        """The account with this mail address."""
        query = select(ACCOUNTS).where(ACCOUNTS.c.mail == normal_mail(mail))
        row = await one_row(self._engine, query)
        return None if row is None else _account(row)

    async def of_parties(self, parties: Collection[str]) -> dict[str, Account]:
        """The account that speaks for each of these parties; who has none is left out."""
        found: dict[str, Account] = {}
        owner = JOINED.c.account
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(parties))):
                own = select(ACCOUNTS).where(ACCOUNTS.c.party.in_(part))
                for row in (await connection.execute(own)).mappings():
                    found[row["party"]] = _account(row)
                joined = (
                    select(JOINED.c.party.label("joined"), *ACCOUNTS.c)
                    .join_from(JOINED, ACCOUNTS, ACCOUNTS.c.party == owner)
                    .where(JOINED.c.party.in_(part))
                )
                for row in (await connection.execute(joined)).mappings():
                    found[row["joined"]] = _account(row)
        return found

    async def with_pen_name(self, text: str, limit: int) -> list[str]:
        """Return up to so many accounts whose pen name holds a text."""
        query = select(ACCOUNTS.c.party).where(ACCOUNTS.c.pen_name.icontains(text, autoescape=True))
        async with self._engine.connect() as connection:
            return list((await connection.execute(query.limit(limit))).scalars())

    async def parties_of(self, account: str) -> frozenset[str]:
        """Every party for which an account speaks: its own, and those that joined it."""
        query = select(JOINED.c.party).where(JOINED.c.account == account)
        async with self._engine.connect() as connection:
            joined = (await connection.execute(query)).scalars().all()
        return frozenset((account, *joined))

    async def join(self, party: str, account: str, *, at: int) -> None:
        """Let an account speak for a party; doing it again changes nothing."""
        row = {"party": party, "account": account, "joined_at": at}
        if party == account:
            return
        async with self._engine.begin() as connection:
            await connection.execute(upsert(JOINED).on_conflict_do_nothing(), row)

    async def change(self, party: str, **values: object) -> None:
        """Change some of an account's own columns. Raises UnknownAccountError, MailTakenError."""
        try:
            async with self._engine.begin() as connection:
                changed = await connection.execute(
                    update(ACCOUNTS).where(ACCOUNTS.c.party == party).values(values)
                )
        except IntegrityError as fault:
            raise MailTakenError(str(values.get("mail", ""))) from fault
        if changed.rowcount != 1:
            raise UnknownAccountError(party)

    # --- Roles -----------------------------------------------------------------------------------

    async def grant(self, party: str, channel: str, role: Role, *, by: str, at: int) -> None:
        """Give a role in a channel; giving it again changes nothing. `by` names who gave it."""
        row = {
            "party": party,
            "channel": channel,
            "role": role,
            "granted_at": at,
            "granted_by": by,
        }
        async with self._engine.begin() as connection:
            await connection.execute(upsert(GRANTS).on_conflict_do_nothing(), row)

    async def revoke(self, party: str, channel: str, role: Role) -> None:
        """Take a role away; taking it again changes nothing."""
        this = (GRANTS.c.party == party, GRANTS.c.channel == channel, GRANTS.c.role == role)
        async with self._engine.begin() as connection:
            await connection.execute(delete(GRANTS).where(*this))

    async def take(self, party: str, channel: str, role: Role) -> bool:
        """Take a role away; False, and nothing changed, where this is the last of a channel's
        staff. Of two who take each other's role at the same moment one stays.
        """
        this = (GRANTS.c.party == party, GRANTS.c.channel == channel, GRANTS.c.role == role)
        others = GRANTS.alias()
        remains = exists().where(
            others.c.channel == channel, others.c.role == "staff", others.c.party != party
        )
        async with writing(self._engine, f"staff of {channel}") as connection:
            kept = () if role != "staff" else (remains,)
            await connection.execute(delete(GRANTS).where(*this, *kept))
            still = (await connection.execute(select(GRANTS.c.party).where(*this))).scalar()
        return still is None

    async def grants_of(self, party: str) -> frozenset[Grant]:
        """The roles that a party has."""
        query = select(GRANTS.c.channel, GRANTS.c.role).where(GRANTS.c.party == party)
        async with self._engine.connect() as connection:
            return frozenset(
                Grant(row.channel, row.role) for row in await connection.execute(query)
            )

    async def holders(self, channel: str) -> list[tuple[str, Role, int, str]]:
        """(party, role, granted at, granted by) of everyone with a role in a channel."""
        query = select(GRANTS).where(GRANTS.c.channel == channel)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(GRANTS.c.role, GRANTS.c.granted_at))
            return [(row.party, row.role, row.granted_at, row.granted_by) for row in rows]


def _row(account: Account) -> dict[str, object]:
    return {
        "party": account.party,
        "mail": account.mail,
        "password_hash": account.password_hash or None,
        "confirmed_at": account.confirmed_at,
        "language": account.language,
        "pen_name": account.pen_name,
        "created_at": account.created_at,
    }


def _account(row: RowMapping) -> Account:
    return Account(
        party=row["party"],
        mail=row["mail"],
        password_hash=row["password_hash"] or "",
        confirmed_at=row["confirmed_at"],
        language=row["language"],
        pen_name=row["pen_name"],
        created_at=row["created_at"],
    )
