"""A backer's statement over all campaigns: opening, each line, closing, for each currency."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence

from msgspec import Struct

from app.web.backer.wording import line_kind
from app.web.dates import machine
from app.web.language import gettext
from app.web.money import major
from app.web.public.campaign_view import in_language
from app.wiring import Platform
from domain.money import EXPONENTS
from projections.backer_ledger import PROMISES, PledgeLine, pledges_of, statement
from projections.campaign_pages import get_page

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Before a CSV file: without it spreadsheets read its Chinese as something else."""

_RISKY = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would take for a formula."""


class Row(Struct, frozen=True):
    """A line of a statement, with what it leaves pledged and held over all pledges in its currency.

    A line about the promise changes what is pledged, any other what is held.
    """

    at: int
    position: int
    campaign_id: str
    title: str
    no: int
    pledge_id: str
    kind: str
    amount_minor: int
    pledged_minor: int
    held_minor: int


class Statement(Struct, frozen=True):
    """Everything in one currency, in the order of the log. It opens with nothing."""

    currency: str
    rows: tuple[Row, ...]

    @property
    def pledged_minor(self) -> int:
        """What is pledged in the end."""
        return self.rows[-1].pledged_minor if self.rows else 0

    @property
    def held_minor(self) -> int:
        """What is held in the end."""
        return self.rows[-1].held_minor if self.rows else 0


class Entry(Struct, frozen=True):
    """A pledge in a list, with its campaign's title."""

    line: PledgeLine
    title: str


class Total(Struct, frozen=True):
    """What a backer's pledges come to in one currency, in minor units."""

    currency: str
    pledged_minor: int
    charged_minor: int
    paid_minor: int
    fees_minor: int
    returned_minor: int
    held_minor: int


async def entries_of(platform: Platform, parties: Collection[str]) -> list[Entry]:
    """Every pledge of a person, under whichever of their ids, the newest first."""
    lines: list[PledgeLine] = []
    texts: dict[str, str] = {}
    async with platform.views.connect() as connection:
        for party in sorted(parties):
            lines.extend(await pledges_of(connection, party))
        for campaign_id in {line.campaign_id for line in lines}:
            page = await get_page(connection, campaign_id)
            texts[campaign_id] = page.text if page else ""
    known = await platform.stores.content.get_many(set(texts.values()) - {""})
    lines.sort(key=lambda line: -line.position)
    titles = {
        campaign_id: in_language(known.get(text, {}), "title")
        for campaign_id, text in texts.items()
    }
    return [Entry(line, titles[line.campaign_id]) for line in lines]


def totals(lines: Sequence[PledgeLine]) -> tuple[Total, ...]:
    """Add pledges up by currency. What was left, dropped or not charged is no pledge any more."""
    found = []
    for currency in sorted({line.currency for line in lines}):
        mine = [line for line in lines if line.currency == currency]
        standing = [line for line in mine if line.standing]
        found.append(
            Total(
                currency,
                sum(line.amount_minor for line in standing),
                sum(line.charged_minor for line in mine),
                sum(line.paid_minor for line in mine),
                sum(line.fees_minor for line in mine),
                sum(line.refunded_minor + line.lost_minor for line in mine),
                sum(line.held_minor for line in mine),
            )
        )
    return tuple(found)


async def statements_of(platform: Platform, entries: Sequence[Entry]) -> list[Statement]:
    """The lines of all these pledges together, by currency."""
    found: dict[str, list[Row]] = {}
    async with platform.views.connect() as connection:
        for entry in entries:
            line = entry.line
            for said in await statement(connection, line.campaign_id, line.no):
                row = Row(
                    at=said.at,
                    position=said.position,
                    campaign_id=line.campaign_id,
                    title=entry.title,
                    no=line.no,
                    pledge_id=line.pledge_id,
                    kind=said.kind,
                    amount_minor=said.amount_minor,
                    pledged_minor=0,
                    held_minor=0,
                )
                found.setdefault(line.currency, []).append(row)
    return [Statement(currency, _added_up(rows)) for currency, rows in sorted(found.items())]


def _added_up(rows: list[Row]) -> tuple[Row, ...]:
    # Lines of one fact keep the order in which it wrote them: the sort is stable.
    pledged_minor = held_minor = 0
    summed = []
    for row in sorted(rows, key=lambda row: row.position):
        if row.kind in PROMISES:
            pledged_minor += row.amount_minor
        else:
            held_minor += row.amount_minor
        summed.append(
            Row(
                row.at,
                row.position,
                row.campaign_id,
                row.title,
                row.no,
                row.pledge_id,
                row.kind,
                row.amount_minor,
                pledged_minor,
                held_minor,
            )
        )
    return tuple(summed)


def as_csv(statements: Sequence[Statement]) -> str:
    """The statements as a table for spreadsheets: amounts as decimals and in minor units."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\r\n").writerow
    write(
        (
            gettext("Time (UTC)"),
            gettext("Campaign"),
            gettext("Number"),
            gettext("What"),
            gettext("Currency"),
            gettext("Amount"),
            gettext("Pledged after it"),
            gettext("Held after it"),
            "amount_minor",
            "pledged_minor",
            "held_minor",
            "decimals",
            "kind",
            "campaign_id",
            "pledge_id",
            "position",
        )
    )
    for one in statements:
        currency, digits = one.currency, EXPONENTS.get(one.currency, 0)
        nothing = _decimal(0, currency)
        opening = ("", "", "", gettext("Opening"), currency, "", nothing, nothing, "", 0, 0, digits)
        write((*opening, "opening", "", "", ""))
        for row in one.rows:
            write(
                (
                    machine(row.at),
                    _safe(row.title),
                    row.no,
                    line_kind(row.kind),
                    currency,
                    _decimal(row.amount_minor, currency),
                    _decimal(row.pledged_minor, currency),
                    _decimal(row.held_minor, currency),
                    row.amount_minor,
                    row.pledged_minor,
                    row.held_minor,
                    digits,
                    row.kind,
                    row.campaign_id,
                    row.pledge_id,
                    row.position,
                )
            )
        pledged, held = one.pledged_minor, one.held_minor
        closing = ("", "", "", gettext("Closing"), currency, "", _decimal(pledged, currency))
        closed = (_decimal(held, currency), "", pledged, held, digits, "closing", "", "", "")
        write((*closing, *closed))
    return BOM + text.getvalue()


def _decimal(amount_minor: int, currency: str) -> str:
    """An amount with a point, whatever the language: `-12.50`."""
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{major(abs(amount_minor), currency)}"


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_RISKY) else text
