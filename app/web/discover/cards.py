"""Campaigns in a list: just what a card shows, for a page of them by one query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.web.confluence import MOST_STREAMS, BranchName, Confluence, confluence
from app.web.cover import Cover, cover
from app.web.public.campaign_view import CLOSED, in_language, language_of
from app.wiring import Platform
from projections.facts import iso_day
from projections.page_fold import DAYS, PAGES
from projections.pledges import CAMPAIGNS

_STREAMS: Final = 9
_STROKE: Final = 7.0
_FINE: Final = 1.5
_HUNDRED: Final = 100


class CardPage(Struct, frozen=True, kw_only=True):
    """A campaign as far as cards and lists need it; amounts in minor units, times ms UTC."""

    campaign_id: str
    channel: str
    creator: str
    phase: str
    suspended: bool
    model: str
    currency: str
    goal_minor: int
    deadline_at: int
    launched_at: int
    text: str
    pledged_minor: int
    backers: int
    pledged_at_deadline_minor: int | None
    charged_minor: int
    held_minor: int
    paid_minor: int
    returned_minor: int
    fees_minor: int
    sent: int
    received: int
    position: int


class Card(Struct, frozen=True):
    """A campaign on a list. `picture` is the hash of its cover, empty where it is drawn; `lang`
    what HTML should say of its title, empty where that is in the page's language.
    """

    page: CardPage
    title: str
    blurb: str
    creator: str
    category: str
    percent: int
    cover: Cover
    river: Confluence
    picture: str
    lang: str


_DAYS: Final = msgspec.json.Decoder(list[tuple[int, int]])
_FIELDS: Final = CardPage.__struct_fields__
_CARDS: Final[Select[Any]] = select(
    *(PAGES.c[name] for name in _FIELDS),
    select(func.json_group_array(func.json_array(DAYS.c.day, DAYS.c.pledged_minor)))
    .where(DAYS.c.campaign == PAGES.c.campaign)
    .scalar_subquery(),
)


async def cards_of(
    platform: Platform, campaign_ids: Sequence[str], *, large: bool = False
) -> list[Card]:
    """The cards of these campaigns, in this order; one that is unknown is left out. `large` draws
    their rivers for a picture as wide as the page.
    """
    if not campaign_ids:
        return []
    async with platform.views.connect() as connection:
        rows = await _rows(connection, campaign_ids)
    texts = await platform.stores.content.get_many({page.text for page, _ in rows} - {""})
    names = await platform.stores.people.names(page.creator for page, _ in rows)
    found = {
        page.campaign_id: _card(
            page, days, texts.get(page.text, {}), names.get(page.creator, ""), large=large
        )
        for page, days in rows
    }
    return [found[campaign_id] for campaign_id in campaign_ids if campaign_id in found]


async def pages_of(connection: AsyncConnection, campaign_ids: Iterable[str]) -> list[CardPage]:
    """The figures of these campaigns, in any order."""
    return [page for page, _ in await _rows(connection, list(campaign_ids))]


async def _rows(
    connection: AsyncConnection, campaign_ids: Sequence[str]
) -> list[tuple[CardPage, list[tuple[str, int]]]]:
    keys = select(CAMPAIGNS.table.c.key).where(CAMPAIGNS.table.c.campaign_id.in_(campaign_ids))
    rows = await connection.execute(_CARDS.where(PAGES.c.campaign.in_(keys)))
    return [(_page(row), _days(row[-1])) for row in rows]


def _page(row: Row[Any]) -> CardPage:
    values = dict(zip(_FIELDS, row, strict=False))
    return CardPage(**values | {"suspended": bool(values["suspended"])})


def _days(packed: str) -> list[tuple[str, int]]:
    return [(iso_day(day), change_minor) for day, change_minor in sorted(_DAYS.decode(packed))]


def _card(
    page: CardPage,
    days: Sequence[tuple[str, int]],
    document: dict[str, object],
    creator: str,
    *,
    large: bool,
) -> Card:
    category = _text(document, "category")
    split: dict[BranchName, int] = {
        "held": page.held_minor,
        "paid": page.paid_minor,
        "fees": page.fees_minor,
        "returned": page.returned_minor,
    }
    return Card(
        page=page,
        title=in_language(document, "title"),
        blurb=in_language(document, "blurb"),
        creator=creator,
        category=category,
        percent=page.pledged_minor * _HUNDRED // page.goal_minor,
        cover=cover(page.campaign_id, category),
        river=confluence(
            days,
            page.goal_minor,
            split=split if page.phase in CLOSED else None,
            most=MOST_STREAMS if large else _STREAMS,
            least_stroke=_FINE if large else _STROKE,
        ),
        picture=_text(document, "cover"),
        lang=language_of(document),
    )


def _text(document: dict[str, object], part: str) -> str:
    value = document.get(part, "")
    return value if isinstance(value, str) else ""
