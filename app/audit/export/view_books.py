"""What the read models say that each account holds: four of their tables, each by its own sums.

The journal keeps a balance of each account and, apart from it, every posting; the campaign pages
keep what is held, on its way and owed for each campaign; the pledges keep what is left of each. All
is read in one transaction, so it is of one position.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from app.audit.live_views import checkpoints
from app.audit.reader import CannotAudit, open_for_reading
from domain import ledger
from projections import pledges
from projections.campaign_pages import PAGES
from projections.facts import MAX_NO, NO_BITS
from projections.journal import ACCOUNTS, ENTRIES, MOST_LINES, PLACES, POSTINGS
from projections.pledges import CAMPAIGNS, PLEDGES
from projections.runner import PLEDGES as PLEDGES_NAME
from projections.runner import PROJECTIONS


class Account(NamedTuple):
    """An account that the journal posted to: in which currencies, and since when (ms UTC)."""

    name: str
    currencies: tuple[str, ...]
    opened_at: int


class Balance(NamedTuple):
    """What an account holds in minor units, debits positive, and the table that says so.

    A `whole` balance is of all accounts under this name.
    """

    account: str
    currency: str
    amount_minor: int
    view: str
    whole: bool = False


class ViewBooks(Struct, frozen=True):
    """The books as views have them at a position, by name."""

    position: int
    accounts: list[Account]
    balances: list[Balance]

    @property
    def currencies(self) -> list[str]:
        """Every currency that was posted in."""
        return sorted({each for account in self.accounts for each in account.currencies})


def standing(path: Path, log_id: str) -> int:
    """The position where the views stand. Raises CannotAudit as `books_of` does."""
    with closing(open_for_reading(path)) as views:
        return _standing(views, log_id)


def books_of(path: Path, log_id: str, campaigns: Sequence[str] = ()) -> ViewBooks:
    """Read the books from a file of views: what some campaigns posted, or all.

    Raises CannotAudit where the views do not stand at one position of this log, or were written by
    another version of Tributary.
    """
    with closing(open_for_reading(path)) as views:
        views.execute("BEGIN")
        position = _standing(views, log_id)
        ask = _asking(views, campaigns)
        posted = list(_posted(ask))
        accounts = _accounts(views, {balance[:2] for balance in posted})
        found = [*_kept(ask), *posted, *_shown(ask), *_left(ask)]
    known = {(account.name, currency) for account in accounts for currency in account.currencies}
    # Nothing in an account that is not there needs no saying: a page without money, for example.
    balances = [each for each in found if each.amount_minor or each[:2] in known]
    return ViewBooks(position, accounts, sorted(balances))


_VERSIONS: Final = {PLEDGES_NAME: pledges.VERSION} | {
    each.name: each.version for each in PROJECTIONS
}


def _standing(views: sqlite3.Connection, log_id: str) -> int:
    stands = checkpoints(views, log_id)
    if any(_VERSIONS.get(name) != version for name, version, _ in stands):
        raise CannotAudit(
            "The views were written by another version of Tributary: run `tributary rebuild`."
        )
    positions = {checkpoint.position for checkpoint in stands}
    if len(positions) > 1:
        raise CannotAudit("The views do not all stand at one position: run `tributary rebuild`.")
    return positions.pop()


# --- The accounts --------------------------------------------------------------------------------

_ACCOUNTS: Final = f"""
    SELECT a.name, a.currency, e.at FROM {ACCOUNTS.table.name} a
    JOIN {ENTRIES.name} e ON e.position = a.number / {MOST_LINES}
    ORDER BY a.name, a.currency"""  # noqa: S608 - names of ours


def _accounts(views: sqlite3.Connection, posted: set[tuple[str, str]]) -> list[Account]:
    """Those that were posted to, and over a campaign's own the one that holds them."""
    found: dict[str, Account] = {}
    for name, currency, at in views.execute(_ACCOUNTS):
        if (name, currency) not in posted:
            continue
        campaign, _, own = name.rpartition(":")
        for each in (campaign, name) if own in _OF_CAMPAIGN else (name,):
            _, currencies, opened_at = found.get(each, Account(each, (), at))
            found[each] = Account(
                each, (*dict.fromkeys((*currencies, currency)),), min(opened_at, at)
            )
    return sorted(found.values())


_OF_CAMPAIGN: Final = ("Held", "Payout")


# --- Their balances ------------------------------------------------------------------------------

_Ask = Callable[[str, str], Iterator[Any]]
"""Answers a query in which `{of}` stands for the choice of campaigns by a column."""

_KEYS: Final = f"""
    SELECT json_group_array(key) FROM {CAMPAIGNS.table.name}
    WHERE campaign_id IN (SELECT value FROM json_each(?))"""  # noqa: S608 - a name of ours


def _asking(views: sqlite3.Connection, campaigns: Sequence[str]) -> _Ask:
    if not campaigns:
        return lambda query, _: views.execute(query.format(of=""))
    ((keys,),) = views.execute(_KEYS, (msgspec.json.encode(campaigns).decode(),))
    of = "WHERE {} IN (SELECT value FROM json_each(?))"
    return lambda query, column: views.execute(query.format(of=of.format(column)), (keys,))


_KEPT: Final = f"SELECT name, currency, balance_minor FROM {ACCOUNTS.table.name} {{of}}"  # noqa: S608 - the same


def _kept(ask: _Ask) -> Iterator[Balance]:
    """Each account's balance; of some campaigns, those of their own accounts."""
    for name, currency, balance_minor in ask(_KEPT, "campaign"):
        yield Balance(name, currency, balance_minor, "journal_accounts")


_POSTED: Final = f"""
    SELECT a.name, a.currency, sums.amount_minor FROM (
        SELECT p.account AS number, sum(p.amount_minor) AS amount_minor
        FROM {PLACES.name} b CROSS JOIN {POSTINGS.name} p ON p.position = b.position
        {{of}} GROUP BY p.account
    ) sums JOIN {ACCOUNTS.table.name} a ON a.number = sums.number"""  # noqa: S608 - the same


def _posted(ask: _Ask) -> Iterator[Balance]:
    """The sum of each account's postings."""
    for name, currency, amount_minor in ask(_POSTED, "b.campaign"):
        yield Balance(name, currency, amount_minor, "journal_postings")


_SHOWN: Final = f"""
    SELECT c.campaign_id, c.currency, ifnull(held_minor, 0), ifnull(on_the_way_minor, 0),
        ifnull(owed_minor, 0), ifnull(suspense_minor, 0), ifnull(charged_minor + owed_minor
            + written_off_minor - paid_minor - fees_minor - returned_minor, 0)
    FROM {CAMPAIGNS.table.name} c LEFT JOIN {PAGES.name} p ON p.campaign = c.key
    {{of}}"""  # noqa: S608 - the same


def _shown(ask: _Ask) -> Iterator[Balance]:
    """What pages show as held, twice: as it stands there, and as their other figures leave it."""
    suspense: Counter[str] = Counter()
    for campaign, currency, held, on_the_way, owed, suspended, rest in ask(_SHOWN, "c.key"):
        whole, _, _ = ledger.held(campaign).rpartition(":")
        yield Balance(whole, currency, -held, "campaign_pages", whole=True)
        yield Balance(whole, currency, -rest, "campaign_pages, its other figures", whole=True)
        yield Balance(ledger.payout(campaign), currency, -on_the_way, "campaign_pages")
        yield Balance(ledger.receivable(campaign), currency, owed, "campaign_pages")
        suspense[currency] += suspended
    for currency, amount_minor in suspense.items():
        yield Balance(ledger.SUSPENSE, currency, -amount_minor, "campaign_pages")


_LEFT: Final = f"""
    SELECT c.campaign_id, c.currency,
        ifnull(sum(p.platform_fee_minor - p.platform_reversed_minor), 0),
        ifnull(sum(p.processing_fee_minor - p.processing_reversed_minor), 0),
        ifnull(sum(p.charged_minor - p.paid_minor - p.drawn_minor), 0)
    FROM {CAMPAIGNS.table.name} c LEFT JOIN {PLEDGES.table.name} p
        ON p.key BETWEEN (c.key << {NO_BITS}) AND (c.key << {NO_BITS} | {MAX_NO})
    {{of}} GROUP BY c.key"""  # noqa: S608 - the same


def _left(ask: _Ask) -> Iterator[Balance]:
    """What is left of the pledges, and the fees that they bore."""
    platform: Counter[str] = Counter()
    processing: Counter[str] = Counter()
    for campaign, currency, of_platform, of_processing, rest in ask(_LEFT, "c.key"):
        held = rest - of_platform - of_processing
        yield Balance(ledger.held(campaign), currency, -held, "pledges")
        platform[currency] += of_platform
        processing[currency] += of_processing
    for account, fees in ((ledger.PLATFORM_FEE, platform), (ledger.PROCESSING_FEE, processing)):
        for currency, amount_minor in fees.items():
            yield Balance(account, currency, -amount_minor, "pledges")
