"""What the desk reads of the views besides `creator_desk`: a campaign's pledges, by filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.web.backer.names import names_of
from app.web.public.campaign_view import in_language
from app.wiring import Platform
from domain.state import Status
from projections.campaign_pages import CampaignPage
from projections.facts import MAX_NO, pledge_key
from projections.pledges import CAMPAIGNS, NO_LINES, PLEDGES, PledgeRow, lines_of

PAGE_ROWS: Final = 50
EXPORT_ROWS: Final = 1_000
"""How many pledges an export holds in memory at a time."""
MOST_NAMED: Final = 500
"""How many people a search by name may find before it asks to be narrowed."""

_P: Final = PLEDGES.table.c
_RETURNED: Final = _P.refunded_minor + _P.lost_minor

STATES: Final = (
    *("made", "collecting", "unknown", "action_required", "failed", "collected"),
    *("refund_requested", "partly_refunded", "refunded", "disputed"),
    *("withdrawn", "dropped", "released"),
)
"""Where a pledge can stand, in the order of its life."""

DELIVERY: Final = ("to_send", "sent", "received")


class Filter(Struct, frozen=True, kw_only=True):
    """Which pledges are wanted; what is empty is any. `name` is part of a shown name."""

    state: str = ""
    reward: str = ""
    country: str = ""
    delivery: str = ""
    name: str = ""

    @property
    def query(self) -> dict[str, str]:
        """What of it is set, for an address."""
        return {field: value for field in self.__struct_fields__ if (value := getattr(self, field))}


class BackerLine(Struct, frozen=True):
    """A pledge with the name its backer shows; empty where they show none.

    `sends` says whether something of it is sent by post.
    """

    row: PledgeRow
    name: str
    sends: bool
    rewards: tuple[tuple[str, int], ...]


async def campaign_key(connection: AsyncConnection, campaign_id: str) -> int:
    """What the views call a campaign; 0 for an unknown one."""
    wanted = select(CAMPAIGNS.table.c.key).where(CAMPAIGNS.table.c.campaign_id == campaign_id)
    return int((await connection.execute(wanted)).scalar() or 0)


def _state(state: str) -> list[ColumnElement[bool]]:
    """What `PledgeRow.state` says, as conditions."""
    quiet = (_P.disputed_minor == 0, _P.pending_minor == 0)
    match state:
        case "disputed":
            return [_P.disputed_minor > 0]
        case "refund_requested":
            return [_P.disputed_minor == 0, _P.pending_minor > 0]
        case "refunded":
            return [*quiet, _P.charged_minor > 0, _P.charged_minor <= _RETURNED]
        case "partly_refunded":
            return [*quiet, _P.refunded_minor > 0, _P.charged_minor > _RETURNED]
        case "collected":
            return [
                *quiet,
                _P.charged_minor > 0,
                _P.refunded_minor == 0,
                _P.charged_minor > _RETURNED,
            ]
        case _:
            return [_P.charged_minor == 0, _P.status == state]


def _delivery(delivery: str) -> list[ColumnElement[bool]]:
    match delivery:
        case "to_send":
            return [
                _P.status == str(Status.COLLECTED),
                _P.sent == 0,
                _P.lines != NO_LINES,
                _P.charged_minor > _RETURNED,
            ]
        case "sent":
            return [_P.sent == 1, _P.received == 0]
        case _:
            return [_P.received == 1]


def _wanted(key: int, wanted: Filter, named: Collection[str] | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [_P.key.between(pledge_key(key, 0), pledge_key(key, MAX_NO))]
    if wanted.state in STATES:
        found += _state(wanted.state)
    if wanted.reward:
        found.append(_P.lines.contains(f'"{wanted.reward}"', autoescape=True))
    if wanted.country:
        found.append(
            (_P.destination == wanted.country)
            | _P.destination.startswith(f"{wanted.country}-", autoescape=True)
        )
    if wanted.delivery in DELIVERY:
        found += _delivery(wanted.delivery)
    if named is not None:
        found.append(_P.pledge_id.in_(named))
    return found


async def _named(platform: Platform, campaign_id: str, wanted: Filter) -> list[str] | None:
    """The pledges of a campaign that show a name which holds what is asked for.

    None where nothing is asked. Nobody is found by a name that their pledge does not show: neither
    who shows none, nor who shows another one.
    """
    text = wanted.name
    if not text:
        return None
    stores = platform.stores
    found = await stores.shown_names.called(text, MOST_NAMED)
    people = await stores.people.called(text, MOST_NAMED)
    pens = await stores.accounts.with_pen_name(text, MOST_NAMED)
    async with platform.views.connect() as connection:
        key = await campaign_key(connection, campaign_id)
        here = _P.key.between(pledge_key(key, 0), pledge_key(key, MAX_NO))
        query = select(PLEDGES.table).where(here, _P.backer.in_([*people, *pens]))
        rows = [PledgeRow(*row) for row in await connection.execute(query)]
        listed = select(_P.pledge_id).where(
            here, _P.pledge_id.in_(found), _P.visibility != "hidden"
        )
        found = list((await connection.execute(listed)).scalars())
    names = await names_of(platform, rows)
    matching = [pledge_id for pledge_id, name in names.items() if text.lower() in name.lower()]
    return [*found, *matching]


async def pledges_where(
    platform: Platform,
    campaign_id: str,
    wanted: Filter,
    *,
    before: int = 0,
    after: int | None = None,
    limit: int = PAGE_ROWS,
) -> list[PledgeRow]:
    """Pledges of a campaign: with `before` or neither the newest first, with `after` upwards."""
    named = await _named(platform, campaign_id, wanted)
    async with platform.views.connect() as connection:
        key = await campaign_key(connection, campaign_id)
        query: Select[Any] = select(PLEDGES.table).where(*_wanted(key, wanted, named))
        if before:
            query = query.where(_P.key < pledge_key(key, before))
        if after:
            query = query.where(_P.key > pledge_key(key, after))
        order = _P.key.desc() if after is None else _P.key
        return [
            PledgeRow(*row) for row in await connection.execute(query.order_by(order).limit(limit))
        ]


async def count_where(platform: Platform, campaign_id: str, wanted: Filter) -> tuple[int, int]:
    """(pledges, their amounts together) of what a filter finds."""
    named = await _named(platform, campaign_id, wanted)
    async with platform.views.connect() as connection:
        key = await campaign_key(connection, campaign_id)
        sums = select(func.count(), func.coalesce(func.sum(_P.amount_minor), 0))
        row = (await connection.execute(sums.where(*_wanted(key, wanted, named)))).one()
        return int(row[0]), int(row[1])


async def every_pledge(
    platform: Platform, campaign_id: str, wanted: Filter
) -> AsyncIterator[list[PledgeRow]]:
    """All pledges that a filter finds, in their order, EXPORT_ROWS at a time."""
    named = await _named(platform, campaign_id, wanted)
    after = -1
    while True:
        async with platform.views.connect() as connection:
            key = await campaign_key(connection, campaign_id)
            query = select(PLEDGES.table).where(*_wanted(key, wanted, named), _P.key > after)
            found = await connection.execute(query.order_by(_P.key).limit(EXPORT_ROWS))
            rows = [PledgeRow(*row) for row in found]
        if not rows:
            return
        yield rows
        after = rows[-1].key


async def countries(platform: Platform, campaign_id: str) -> list[str]:
    """The destinations to which pledges of a campaign are sent."""
    async with platform.views.connect() as connection:
        key = await campaign_key(connection, campaign_id)
        query = select(_P.destination).where(*_wanted(key, Filter(), None), _P.destination != "")
        return sorted((await connection.execute(query.distinct())).scalars())


# --- Names ---------------------------------------------------------------------------------------


def shipped_rewards(page: CampaignPage) -> frozenset[str]:
    """The rewards of a campaign that are sent by post."""
    return frozenset(reward.reward_id for reward in page.rewards if reward.shipping)


async def backer_lines(
    platform: Platform, page: CampaignPage, rows: Collection[PledgeRow]
) -> list[BackerLine]:
    """Pledges with the names that their backers show."""
    names = await names_of(platform, rows)
    shipped = shipped_rewards(page)
    return [
        BackerLine(
            row,
            names.get(row.pledge_id, ""),
            any(line.reward_id in shipped for line in lines_of(row.lines)),
            tuple((line.reward_id, line.quantity) for line in lines_of(row.lines)),
        )
        for row in rows
    ]


async def reward_titles(platform: Platform, page: CampaignPage) -> dict[str, str]:
    """The titles of a campaign's rewards by id."""
    texts = await platform.stores.content.get_many({reward.text for reward in page.rewards} - {""})
    return {
        reward.reward_id: in_language(texts.get(reward.text, {}), "title")
        for reward in page.rewards
    }


def told_rewards(line: BackerLine, titles: dict[str, str]) -> str:
    """What a pledge chose, on one line of a file."""
    return "; ".join(
        f"{pieces} \N{MULTIPLICATION SIGN} {titles.get(reward_id) or reward_id}"
        for reward_id, pieces in line.rewards
    )


async def title_of(platform: Platform, page: CampaignPage) -> str:
    """A campaign's title."""
    texts = await platform.stores.content.get_many({page.text} - {""})
    return in_language(texts.get(page.text, {}), "title")
