"""Passing a campaign on: the picture that a link shows elsewhere, and a QR code of the address."""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from typing import Any, Final

import segno
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.web.language import gettext
from app.web.money import money
from app.web.public.campaign_view import campaign_view
from app.web.public.card_picture import Telling, draw
from app.web.public.numbers import bar_of
from app.web.site import PageRequest, Site

MOST_CARDS: Final = 256
AGE_S: Final = 300
"""How long others may keep the picture of a campaign that moves."""

NOT_MODIFIED: Final = 304
_STEP: Final = 0.5
"""A card is drawn anew when the bar has moved by so many percent."""

_cards: OrderedDict[str, tuple[str, bytes]] = OrderedDict()


@get("/campaigns/{campaign_id:str}/card.png", include_in_schema=False)
async def show_card(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The picture that a link to a campaign shows: title, amount, bar, river; 1200 by 630."""
    page = await site.campaign(campaign_id)
    view = await campaign_view(site.platform, page, now=site.platform.clock())
    bar = bar_of(page)
    told = Telling(
        title=view.title,
        creator=view.creator,
        amount=money(page.pledged_minor, page.currency, coded=True),
        of_goal=gettext("pledged of %(goal)s") % {"goal": money(page.goal_minor, page.currency)},
        promised=round(bar.promised / _STEP) * _STEP,
        charged=round(bar.charged / _STEP) * _STEP,
        goal=bar.goal,
        ridges=view.cover.ridges,
        trunk=view.river.trunk,
        streams=tuple(
            (stream.path, stream.width) for stream in view.river.streams if not stream.leaves
        ),
        branches=tuple((branch.name, branch.path) for branch in view.river.branches),
    )
    mark = told.mark
    kept = _cards.get(campaign_id)
    if kept is None or kept[0] != mark:
        kept = mark, await asyncio.to_thread(draw, told)
        _cards[campaign_id] = kept
        while len(_cards) > MOST_CARDS:
            _cards.popitem(last=False)
    headers = {"etag": f'"{mark}"', "cache-control": f"public, max-age={AGE_S}"}
    if f'"{mark}"' in request.headers.get("if-none-match", ""):
        return Response(None, status_code=NOT_MODIFIED, headers=headers)
    return Response(kept[1], media_type="image/png", headers=headers)


@get("/campaigns/{campaign_id:str}/qr.svg", include_in_schema=False)
async def show_qr(campaign_id: FromPath[str], site: NamedDependency[Site]) -> Response[Any]:
    """The page's address as a QR code (ISO/IEC 18004)."""
    page = await site.campaign(campaign_id)
    address = f"{site.platform.settings.public_url}/campaigns/{page.campaign_id}"
    out = io.BytesIO()
    code = segno.make(address, error="m", micro=False)
    code.save(out, kind="svg", scale=4, border=2, svgclass=None, lineclass=None, light="#fff")
    headers = {"cache-control": "public, max-age=86400"}
    return Response(out.getvalue(), media_type="image/svg+xml", headers=headers)
