"""Offering help in kind: what a campaign wants besides money."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.stores.rows import new_id
from app.web.language import gettext
from app.web.public.campaign_view import in_language
from app.web.refusals import said
from app.web.site import PageRequest, Site
from domain.commands import OfferNeed
from domain.errors import Rejection
from domain.ids import is_id
from domain.terms import MAX_PIECES
from projections.campaign_pages import CampaignPage

_DIGITS: Final = re.compile(r"\d{1,10}", re.ASCII).fullmatch
_UNPROCESSABLE: Final = 422
_CONFLICT: Final = 409


@post("/campaigns/{campaign_id:str}/needs/{need_id:str}/offer", include_in_schema=False)
async def offer_help(
    campaign_id: FromPath[str],
    need_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """A signed-in person offers so many of what is wanted; the creator decides on it.

    The offer's id comes with the form: sending it twice offers once.
    """
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    page = await site.campaign(campaign_id)
    typed = form.get("quantity", "").strip()
    offer_id = form.get("offer_id", "")
    quantity = int(typed) if _DIGITS(typed) else 0
    names = await _names(site, page, need_id)
    answer: dict[str, Any] = {"page": page, "need_id": need_id, "typed": typed, **names}
    if not 1 <= quantity <= MAX_PIECES:
        fault = gettext("Write how many you offer, in figures, such as 2.")
        answer |= {"status_code": _UNPROCESSABLE, "offer_id": offer_id, "fault": fault}
        return site.page("public/offered.html", visitor, **answer)
    command = OfferNeed(
        campaign_id=campaign_id,
        by=f"backer:{visitor.party}",
        command_id=new_id(),
        offer_id=offer_id if is_id(offer_id) else new_id(),
        need_id=need_id,
        quantity=quantity,
    )
    answer |= {"offer_id": "", "fault": ""}
    try:
        await site.submit(command)
    except Rejection as refused:
        answer |= {"status_code": _CONFLICT, "fault": said(refused)}
        return site.page("public/offered.html", visitor, **answer)
    return site.page("public/offered.html", visitor, **answer)


async def _names(site: Site, page: CampaignPage, need_id: str) -> dict[str, str]:
    """What the campaign and the need are called."""
    text = next((need.text for need in page.needs if need.need_id == need_id), "")
    texts = await site.platform.stores.content.get_many({page.text, text} - {""})
    return {
        "title": in_language(texts.get(page.text, {}), "title"),
        "need": in_language(texts.get(text, {}), "title"),
    }
