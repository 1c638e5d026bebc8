"""Who gets a mail: from the ids that the log knows to addresses and languages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.accounts import ACCOUNTS, JOINED, Accounts, normal_mail
from app.stores.follows import Follow
from app.stores.people import PARTIES
from app.stores.rows import in_parts, packed, phrased

UNKNOWN_LANGUAGE: Final = ""

_REACHABLE: Final = phrased("""
    SELECT {pack} value {packed} FROM {strings}
    WHERE EXISTS (SELECT 1 FROM accounts WHERE party = value)
    OR EXISTS (SELECT 1 FROM joined_parties WHERE party = value)
    OR EXISTS (SELECT 1 FROM parties WHERE id = value AND mail IS NOT NULL)""")
_parties: Final = msgspec.json.Decoder(list[tuple[str]])


class Person(Struct, frozen=True):
    """Somebody with an address. `key` is their account's id, or their party's where they have
    none. `language` is empty where they never chose one. `parties` are all they speak for.
    """

    key: str
    address: str
    language: str
    parties: frozenset[str]


class Recipients:
    """Finds people."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._accounts = Accounts(engine)

    async def of(self, parties: Collection[str]) -> dict[str, Person]:
        """The person behind each party; who has no address, or was forgotten, is left out."""
        accounts = await self._accounts.of_parties(parties)
        spoken_for = await self._spoken_for({account.party for account in accounts.values()})
        found = {
            party: Person(account.party, account.mail, account.language, spoken_for[account.party])
            for party, account in accounts.items()
            if account.mail
        }
        without = [party for party in parties if party not in accounts]
        for party, (address, language) in (await self._addresses(without)).items():
            found[party] = Person(party, normal_mail(address), language, frozenset((party,)))
        return found

    async def reachable(self, parties: Collection[str]) -> set[str]:
        """Those of many parties who may have an address: all others are not looked at further."""
        statement = _REACHABLE[self._engine.dialect.name]
        async with self._engine.connect() as connection:
            found = await connection.execute(statement, {"packed": packed(parties)})
            return {party for (party,) in _parties.decode(found.scalar_one())}

    async def following(self, follows: Collection[Follow]) -> dict[int, Person]:
        """The person behind each follow, by its number."""
        accounts = await self.of([follow.party for follow in follows if follow.party])
        found = {}
        for follow in follows:
            if not follow.party:
                found[follow.number] = Person(
                    follow.id, follow.address, follow.language, frozenset()
                )
            elif follow.party in accounts:
                found[follow.number] = accounts[follow.party]
        return found

    async def _spoken_for(self, accounts: Collection[str]) -> Mapping[str, frozenset[str]]:
        found = {account: {account} for account in accounts}
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(accounts)):
                query = select(JOINED.c.account, JOINED.c.party).where(JOINED.c.account.in_(part))
                for row in await connection.execute(query):
                    found[row.account].add(row.party)
        return {account: frozenset(parties) for account, parties in found.items()}

    async def _addresses(self, parties: Collection[str]) -> dict[str, tuple[str, str]]:
        """(address, language) of parties that gave an address without proving it. It may be that
        of an account which they have not joined: that knows the language.
        """
        found: dict[str, tuple[str, str]] = {}
        same = ACCOUNTS.c.mail == PARTIES.c.mail
        async with self._engine.connect() as connection:
            for part in in_parts(sorted(set(parties))):
                query = (
                    select(PARTIES.c.id, PARTIES.c.mail, ACCOUNTS.c.language)
                    .join_from(PARTIES, ACCOUNTS, same, isouter=True)
                    .where(PARTIES.c.id.in_(part), PARTIES.c.mail.is_not(None))
                )
                for row in await connection.execute(query):
                    found[row.id] = row.mail, row.language or UNKNOWN_LANGUAGE
        return found
