"""The double-entry books: every posting in the order of the log, and each account's balance.

What is posted is what `domain.ledger.postings` says. An entry that does not sum to zero is not
written: the follower stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Index, Select, UniqueConstraint, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.codec import tag_of
from domain.ledger import Posting, postings
from projections.facts import Fact
from projections.new_pledges import Together
from projections.pledge_book import PledgeBook
from projections.pledges import CAMPAIGNS
from projections.rows import Rows, Shape, append_to, table

MOST_LINES: Final = 16
"""An entry has fewer lines than this; account numbers are made of position and line."""


class AccountRow(Struct, array_like=True, gc=False):
    """An account in one currency: debits positive. Its number is where it was first posted to.

    `campaign` is the key of the campaign that it belongs to, 0 for the platform's own.
    """

    name: str
    currency: str
    number: int
    campaign: int
    balance_minor: int


class EntryRow(Struct, array_like=True, gc=False):
    """What moved money, at its position in the log."""

    position: int
    campaign: int
    at: int
    tag: str


class PlaceRow(Struct, array_like=True, gc=False):
    """Where to find a campaign's entries: its key, and the position of each."""

    campaign: int
    position: int


class PostingRow(Struct, array_like=True, gc=False):
    """A line of an entry: a debit (+) or credit (-)."""

    position: int
    line: int
    account: int
    amount_minor: int


ACCOUNTS: Final = Shape(
    "journal_accounts",
    AccountRow,
    ["name", "currency"],
    UniqueConstraint("number"),
    Index("journal_accounts_by_campaign", "campaign"),
)
ENTRIES: Final = table("journal_entries", EntryRow, ["position"])
PLACES: Final = table("journal_by_campaign", PlaceRow, ["campaign", "position"])
POSTINGS: Final = table("journal_postings", PostingRow, ["position", "line"])

_append_entries: Final = append_to(ENTRIES)
_append_places: Final = append_to(PLACES)
_append_postings: Final = append_to(POSTINGS)


class UnbalancedEntryError(Exception):
    """The postings of a fact do not sum to zero."""


class Journal:
    """The projection."""

    name: Final = "journal"
    version: Final = 1
    tables: Final = (ACCOUNTS.table, ENTRIES, PLACES, POSTINGS)

    def begin(self, conn: Connection, _book: PledgeBook) -> JournalFold:
        """Begin a batch."""
        return JournalFold(conn)


class JournalFold:
    """The entries that a batch adds to the books."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._accounts = Rows(ACCOUNTS, conn)
        self._entries: list[tuple[int, int, int, str]] = []
        self._postings: list[tuple[int, int, int, int]] = []

    def fold(self, facts: Sequence[Fact], _made: Iterable[Together]) -> None:
        """Post what moved money. Raises UnbalancedEntryError."""
        entries = [(fact, lines) for fact in facts if (lines := postings(fact.event))]
        self._accounts.load({line.account for _, lines in entries for line in lines})
        used: dict[tuple[str, str], AccountRow] = {}
        for fact, lines in entries:
            _require_balance(fact, lines)
            event, position = fact.event, fact.position
            self._entries.append((position, fact.campaign, event.at, tag_of(event)))
            for number, line in enumerate(lines):
                name, amount_minor, currency = line
                account = used.get((name, currency))
                if account is None:
                    account = used[name, currency] = self._account(fact, number, line)
                    self._accounts.put(account)
                account.balance_minor += amount_minor
                self._postings.append((position, number, account.number, amount_minor))

    def _account(self, fact: Fact, number: int, line: Posting) -> AccountRow:
        known = self._accounts.get((line.account, line.currency))
        if known is not None:
            return known
        campaign_id = fact.event.stream.removeprefix("campaign:")
        own = campaign_id in line.account
        first_place = fact.position * MOST_LINES + number
        return AccountRow(line.account, line.currency, first_place, fact.campaign if own else 0, 0)

    def write(self) -> None:
        """Write entries and balances."""
        self._accounts.write()
        _append_entries.write(self._conn, self._entries)
        places = sorted((campaign, position) for position, campaign, _, _ in self._entries)
        _append_places.write(self._conn, places)
        _append_postings.write(self._conn, self._postings)


def _require_balance(fact: Fact, lines: Sequence[Posting]) -> None:
    sums: dict[str, int] = {}
    for _, amount_minor, currency in lines:
        sums[currency] = sums.get(currency, 0) + amount_minor
    if any(sums.values()):
        raise UnbalancedEntryError(f"position {fact.position}: an entry sums to {sums}, not to 0")
    assert len(lines) < MOST_LINES, "an entry has more lines than an account number can tell apart"


# --- Reading -------------------------------------------------------------------------------------


class Balance(Struct, frozen=True):
    """An account's balance in minor units: debits positive, credits negative."""

    account: str
    currency: str
    balance_minor: int


class EntryLine(Struct, frozen=True):
    """A line of an entry."""

    account: str
    amount_minor: int
    currency: str


class Entry(Struct, frozen=True):
    """What a fact posted. Its lines sum to zero per currency."""

    position: int
    at: int
    tag: str
    campaign_id: str
    lines: tuple[EntryLine, ...]


async def balances(conn: AsyncConnection, campaign_id: str | None = None) -> list[Balance]:
    """Every account's balance by name; of one campaign, those of its own accounts."""
    accounts, campaigns = ACCOUNTS.table.c, CAMPAIGNS.table.c
    wanted = select(accounts.name, accounts.currency, accounts.balance_minor)
    if campaign_id is not None:
        key = select(campaigns.key).where(campaigns.campaign_id == campaign_id)
        wanted = wanted.where(accounts.campaign == key.scalar_subquery())
    ordered = wanted.order_by(accounts.name, accounts.currency)
    return [Balance(*found) for found in await conn.execute(ordered)]


async def entries(
    conn: AsyncConnection, campaign_id: str | None = None, after: int = 0, limit: int = 100
) -> list[Entry]:
    """Entries after a position, in the order of the log."""
    headers = (await conn.execute(_headers(campaign_id, after, limit))).all()
    if not headers:
        return []
    lines: dict[int, list[EntryLine]] = {header.position: [] for header in headers}
    accounts = ACCOUNTS.table.c
    wanted = (
        select(POSTINGS.c.position, accounts.name, POSTINGS.c.amount_minor, accounts.currency)
        .join_from(POSTINGS, ACCOUNTS.table, accounts.number == POSTINGS.c.account)
        .where(POSTINGS.c.position.in_(lines))
        .order_by(POSTINGS.c.position, POSTINGS.c.line)
    )
    for position, *line in await conn.execute(wanted):
        lines[position].append(EntryLine(*line))
    return [
        Entry(position, at, tag, of_campaign, tuple(lines[position]))
        for position, at, tag, of_campaign in headers
    ]


def _headers(campaign_id: str | None, after: int, limit: int) -> Select[Any]:
    campaigns = CAMPAIGNS.table.c
    wanted = (
        select(ENTRIES.c.position, ENTRIES.c.at, ENTRIES.c.tag, campaigns.campaign_id)
        .join_from(ENTRIES, CAMPAIGNS.table, campaigns.key == ENTRIES.c.campaign)
        .where(ENTRIES.c.position > after)
    )
    if campaign_id is not None:
        key = select(campaigns.key).where(campaigns.campaign_id == campaign_id)
        own = select(PLACES.c.position).where(
            PLACES.c.campaign == key.scalar_subquery(), PLACES.c.position > after
        )
        wanted = wanted.where(ENTRIES.c.position.in_(own.order_by(PLACES.c.position).limit(limit)))
    return wanted.order_by(ENTRIES.c.position).limit(limit)
