"""The auditor's view of the log: the facts of a channel's campaigns, newest first, in words."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Template
from msgspec import Struct

from app.log import LogRow, decode_row
from app.web.money import money
from app.web.site import PageRequest, Site
from app.web.staff import reading
from app.web.staff.frame import names_of, staff_page, titles_of
from app.web.staff.posts import AUDITORS, ChannelChoice, channel_post
from app.web.staff.words import ACTS, FACTS, word
from app.wiring import Platform
from domain.ids import is_id, party_of

SHOWN: Final = 50
READ_AT_ONCE: Final = 1_000
MOST_READ: Final = 30_000
"""Rows that one page looks through for facts that fit; then it offers to go on from there."""

_HEAD: Final = frozenset(("type", "stream", "version", "at", "by", "command_id", "channel"))

Before = Annotated[int, QueryParameter(ge=0, le=2**62)]
Tag = Annotated[str, QueryParameter(max_length=60)]
Campaign = Annotated[str, QueryParameter(max_length=64)]


class Line(Struct, frozen=True):
    """A fact with its place: what it is, about which pledge (0: none) and how much, if any.

    `fields` are the rest, as the log holds them.
    """

    position: int
    version: int
    at: int
    tag: str
    by: str
    campaign_id: str
    no: int
    amount_minor: int
    currency: str
    command_id: str
    fields: tuple[tuple[str, str], ...]


class Found(Struct, frozen=True):
    """Facts, the newest first. `next` is the position to go on before; 0: the log's beginning."""

    lines: tuple[Line, ...]
    next: int


def facts_before(
    platform: Platform, channel: str, *, before: int, campaign_id: str = "", tag: str = ""
) -> Found:
    """A channel's facts before a position (0: the end), of one campaign or kind where asked for."""
    stream = f"campaign:{campaign_id}" if campaign_id else ""
    position = (before - 1) if before else platform.log.last()[0]
    lines: list[Line] = []
    read = 0
    while position > 0 and len(lines) < SHOWN and read < MOST_READ:
        first = max(0, position - READ_AT_ONCE)
        rows = platform.log.read(first, position - first)
        read += len(rows)
        for row in reversed(rows):
            position = row.position - 1
            if (tag and row.tag != tag) or (stream and row.stream != stream):
                continue
            line = _line(row, channel)
            if line is not None:
                lines.append(line)
            if len(lines) == SHOWN:
                break
    return Found(tuple(lines), position + 1 if position > 0 else 0)


def _line(row: LogRow, channel: str) -> Line | None:
    event: Any = decode_row(row)
    if event.channel != channel:
        return None
    raw: dict[str, object] = msgspec.to_builtins(event)
    told = tuple(
        (name, _brief(value)) for name, value in raw.items() if name not in _HEAD and value != ""
    )
    return Line(
        position=row.position,
        version=row.version,
        at=row.at,
        tag=row.tag,
        by=event.by,
        campaign_id=row.stream.removeprefix("campaign:"),
        no=getattr(event, "no", 0),
        amount_minor=getattr(event, "amount_minor", 0),
        currency=getattr(event, "currency", ""),
        command_id=event.command_id,
        fields=told,
    )


def _brief(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


@get("/staff/log", include_in_schema=False)
async def show_log(
    request: PageRequest,
    site: NamedDependency[Site],
    channel: ChannelChoice = "",
    before: Before = 0,
    campaign: Campaign = "",
    tag: Tag = "",
) -> Template:
    """The channel's facts by position, filtered by campaign and kind."""
    post_ = await channel_post(site, request, *AUDITORS, channel=channel)
    campaign = campaign.strip().lower()
    wanted = campaign if is_id(campaign) else ""
    tag = tag if tag in FACTS else ""
    found = await asyncio.to_thread(
        facts_before,
        site.platform,
        post_.channel.id,
        before=before,
        campaign_id=wanted,
        tag=tag,
    )
    async with site.platform.views.connect() as connection:
        listed = await reading.by_ids(
            connection, post_.channel.id, {line.campaign_id for line in found.lines}
        )
    first = not (before or campaign or tag)
    acts = await site.platform.stores.staff_acts.of_channel(post_.channel.id) if first else []
    return await staff_page(
        site,
        post_,
        "log.html",
        "log",
        found=found,
        currencies={one.campaign_id: one.currency for one in listed.values()},
        titles=await titles_of(site, list(listed.values())),
        acts=acts,
        act_words=ACTS,
        names=await names_of(
            site,
            [*(party_of(line.by) for line in found.lines), *(party_of(act.by) for act in acts)],
        ),
        fact_words=FACTS,
        kinds=sorted(((code, word(FACTS, code)) for code in FACTS), key=lambda kind: kind[1]),
        campaign=campaign,
        tag=tag,
        before=before,
        money=money,
        last=(await asyncio.to_thread(site.platform.log.last))[0],
    )
