"""What mails say of a campaign, a pledge, and when money moves."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.mail.rules import Backers, BackersOf
from app.stores.content import Content
from domain.state import Status
from domain.terms import Terms
from projections.campaign_pages import PAGES
from projections.facts import pledge_key
from projections.pledges import BY_BACKER, CAMPAIGNS, PLEDGES, PledgeRow, found_by
from projections.views import Views

GONE: Final = (Status.WITHDRAWN, Status.DROPPED)
"""Pledges whose backers have left: what becomes of the campaign is not their news."""

ROWS_PER_QUERY: Final = 400

_terms: Final = msgspec.json.Decoder(Terms)


class Card(Struct, frozen=True, kw_only=True):
    """A campaign as a mail tells of it, in one language; times ms UTC, amounts minor units.

    `at_pledge`: pledges are charged when they are made.
    """

    id: str
    key: int
    channel: str
    creator: str
    title: str
    language: str
    currency: str
    model: str
    phase: str
    goal_minor: int
    pledged_minor: int
    deadline_at: int
    launched_at: int | None
    terms: Terms

    @property
    def path(self) -> str:
        """Its page."""
        return f"/campaigns/{self.id}"

    @property
    def at_pledge(self) -> bool:
        """Whether pledges are charged when they are made."""
        return self.terms.collect_at == "pledge"


class Pledge(Struct, frozen=True, kw_only=True):
    """A pledge as a mail tells of it; amounts in minor units."""

    no: int
    backer: str
    status: str
    amount_minor: int
    charged_minor: int
    paid_minor: int
    has_rewards: bool


class Mine(Struct, frozen=True):
    """Everything that one person has in a campaign."""

    pledges: tuple[Pledge, ...]

    @property
    def amount_minor(self) -> int:
        """What was promised."""
        return sum(pledge.amount_minor for pledge in self.pledges)

    @property
    def charged_minor(self) -> int:
        """What was charged of it."""
        return sum(pledge.charged_minor for pledge in self.pledges)

    @property
    def uncharged_minor(self) -> int:
        """What was promised and not charged."""
        return sum(pledge.amount_minor for pledge in self.pledges if not pledge.charged_minor)

    @property
    def paid_minor(self) -> int:
        """What was paid to the creator of it."""
        return sum(pledge.paid_minor for pledge in self.pledges)

    @property
    def first(self) -> Pledge:
        """The earliest."""
        return self.pledges[0]


def plain(markdown: str) -> str:
    """A text as a mail shows it: pictures as their descriptions, headings without their marks."""
    text = _PICTURE.sub(r"\1", markdown.replace("\r\n", "\n"))
    return _HEADING.sub("", text).strip()


_PICTURE: Final = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")
_HEADING: Final = re.compile(r"^#{1,6} +", re.MULTILINE)


class CampaignFacts:
    """Reads campaigns and pledges for mails. Titles are in the language that is asked for."""

    def __init__(self, views: Views, content: Content) -> None:
        self._views = views
        self._content = content

    async def cards(self, campaign_ids: Collection[str]) -> dict[str, dict[str, Card]]:
        """The card of each of these campaigns, by language; the language `""` is its own."""
        wanted = select(PAGES).where(PAGES.c.campaign_id.in_(sorted(campaign_ids)))
        async with self._views.connect() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        texts = await self._content.get_many(row["text"] for row in rows)
        found: dict[str, dict[str, Card]] = {}
        for row in rows:
            own = texts.get(row["text"], {})
            card = Card(
                id=row["campaign_id"],
                key=row["campaign"],
                channel=row["channel"],
                creator=row["creator"],
                title=_title(own),
                language=str(own.get("language", "en")),
                currency=row["currency"],
                model=row["model"],
                phase=row["phase"],
                goal_minor=row["goal_minor"],
                pledged_minor=row["pledged_minor"],
                deadline_at=row["deadline_at"],
                launched_at=row["launched_at"],
                terms=_terms.decode(row["terms"]) if row["terms"] else Terms(),
            )
            found[card.id] = {"": card} | {
                language: msgspec.structs.replace(card, title=title)
                for language, title in _titles(own).items()
            }
        return found

    async def text(self, content_hash: str, language: str) -> tuple[str, str]:
        """(title, body) of an update or of remarks; empty where they were taken down."""
        found = (await self._content.get_many([content_hash])).get(content_hash, {})
        translations = found.get("translations")
        own = translations.get(language, {}) if isinstance(translations, dict) else {}
        said = found | own if isinstance(own, dict) else found
        return str(said.get("title", "")), plain(str(said.get("body", "")))

    async def pledges(self, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], Pledge]:
        """Pledges by (campaign's key, no)."""
        keys = sorted({pledge_key(campaign, no) for campaign, no in wanted})
        found = {}
        async with self._views.connect() as connection:
            for start in range(0, len(keys), ROWS_PER_QUERY):
                part = keys[start : start + ROWS_PER_QUERY]
                for row in await _rows(connection, PLEDGES.table.c.key.in_(part)):
                    found[row.campaign, row.no] = _pledge(row)
        return found

    async def page(
        self, campaign: int, to: Backers | BackersOf, *, after: int, limit: int
    ) -> tuple[list[Pledge], int | None]:
        """The next pledges of a crowd, and the last `no` that was looked at; None at the end."""
        pledges = PLEDGES.table.c
        if isinstance(to, BackersOf):
            nos = [no for no in to.nos if no > after][:limit]
            found = await self.pledges([(campaign, no) for no in nos])
            return [found[campaign, no] for no in nos if (campaign, no) in found], (
                nos[-1] if len(nos) == limit else None
            )
        first, last = pledge_key(campaign, after) + 1, pledge_key(campaign + 1, 0)
        wanted = (pledges.key >= first) & (pledges.key < last)
        async with self._views.connect() as connection:
            rows = await _rows(connection, wanted, limit)
        told = [
            _pledge(row)
            for row in rows
            if row.status not in GONE and not (to.keeping and row.all_returned)
        ]
        return told, rows[-1].no if len(rows) == limit else None

    async def of_backers(
        self, campaign: int, backers: Collection[str]
    ) -> Mapping[str, tuple[Pledge, ...]]:
        """Each backer's pledges in a campaign, in their order, but for those that were left."""
        found: dict[str, list[Pledge]] = {}
        first, last = pledge_key(campaign, 0), pledge_key(campaign + 1, 0)
        several = sorted(backers)
        pledges = PLEDGES.table.c
        async with self._views.connect() as connection:
            for start in range(0, len(several), ROWS_PER_QUERY):
                part = several[start : start + ROWS_PER_QUERY]
                own = found_by(BY_BACKER, part).where(
                    BY_BACKER.c.pledge >= first, BY_BACKER.c.pledge < last
                )
                wanted = pledges.key.in_(own) & pledges.backer.in_(part)
                for row in await _rows(connection, wanted):
                    if row.status not in GONE:
                        found.setdefault(row.backer, []).append(_pledge(row))
        return {backer: tuple(own) for backer, own in found.items()}

    async def keys(self, campaign_ids: Collection[str]) -> dict[str, int]:
        """The keys of campaigns."""
        campaigns = CAMPAIGNS.table.c
        wanted = select(campaigns.campaign_id, campaigns.key).where(
            campaigns.campaign_id.in_(sorted(campaign_ids))
        )
        async with self._views.connect() as connection:
            return {row.campaign_id: row.key for row in await connection.execute(wanted)}


async def _rows(
    connection: AsyncConnection, wanted: ColumnElement[bool], limit: int | None = None
) -> list[PledgeRow]:
    ordered = select(PLEDGES.table).where(wanted).order_by(PLEDGES.table.c.key).limit(limit)
    return [PledgeRow(*row) for row in await connection.execute(ordered)]


def _pledge(row: PledgeRow) -> Pledge:
    return Pledge(
        no=row.no,
        backer=row.backer,
        status=row.status,
        amount_minor=row.amount_minor,
        charged_minor=row.charged_minor,
        paid_minor=row.paid_minor,
        has_rewards=row.lines != "[]",
    )


def _title(document: Mapping[str, object]) -> str:
    title = document.get("title")
    return title if isinstance(title, str) else ""


def _titles(document: Mapping[str, object]) -> dict[str, str]:
    """A campaign's titles in the languages into which it was translated."""
    translations = document.get("translations")
    if not isinstance(translations, dict):
        return {}
    return {
        str(language): _title(text)
        for language, text in translations.items()
        if isinstance(text, dict) and _title(text)
    }
