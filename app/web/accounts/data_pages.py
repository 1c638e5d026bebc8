"""What we hold about a person: to take along, and to have it erased."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency

from app.stores.erasure import HOLDINGS
from app.web.accounts.entering import account_of
from app.web.language import translatable
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.state import Phase
from projections.backer_ledger import PledgeLine, pledges_of
from projections.campaign_pages import CampaignPage, get_page

STAYS: Final[dict[str, str]] = {
    "parties": translatable(
        "A random id. The books name you by it and nothing else; without your name beside it, it"
        " points to nobody."
    ),
    "drafts": translatable(
        "Campaigns that you handed in, with their texts and pictures: people gave money for what"
        " they say."
    ),
    "pictures": "",
    "features": "",
    "questions": translatable("The place of questions that you asked in public. Their words go."),
    "reports": translatable("Reports that you sent, without you as their sender."),
    "staff_acts": translatable(
        "What you did for a channel, under the random id: it has to be answered for."
    ),
    "payment_methods": translatable(
        "The payment provider's name for your card, so that what was promised can be charged and"
        " what was charged can go back. It is neither the card's number nor your name."
    ),
}
"""What is said of each table of which something may stay; empty where another's words say it."""

ENDED: Final = frozenset((Phase.FAILED, Phase.CANCELLED, Phase.COMPLETED))
"""Phases in which nobody expects anything of a campaign's creator any more."""


@get("/account/data", include_in_schema=False)
async def show_data(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """What there is, what would go and what would stay."""
    return await _page(site, await site.signed_in(request))


@get("/account/data/download", include_in_schema=False)
async def download(request: PageRequest, site: NamedDependency[Site]) -> Response[bytes]:
    """Everything we hold about a person, as JSON: our tables, and their pledges from the books.

    Mails are among it, with links that still work: only for who proved who they are just now.
    """
    visitor = await site.signed_in(request)
    site.require_step_up(visitor)
    account = await account_of(site, visitor)
    whole = {
        "made_at": site.platform.clock(),
        "parties": sorted(visitor.parties),
        "held": await site.platform.stores.erasure.held_about(visitor.parties, account.mail),
        "pledges": await _pledges(site, visitor),
    }
    return Response(
        msgspec.json.format(msgspec.json.encode(whole), indent=2),
        media_type="application/json; charset=utf-8",
        headers={
            "cache-control": "no-store",
            "content-disposition": 'attachment; filename="tributary-my-data.json"',
        },
    )


@post("/account/data/delete", include_in_schema=False)
async def delete_data(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Erase the person. The books stay whole: they never knew the name."""
    visitor = await site.signed_in(request)
    site.require_step_up(visitor)
    form = await site.form(request, visitor)
    account = await account_of(site, visitor)
    if form.get("typed", "").strip().lower() != account.mail:
        return await _page(site, visitor, typed=form.get("typed", ""), fault="typed")
    await site.platform.erase_person(visitor.parties, account.mail)
    return site.page("accounts/gone.html")


async def _pledges(site: Site, visitor: Visitor) -> list[PledgeLine]:
    async with site.platform.views.connect() as connection:
        return [
            line
            for party in sorted(visitor.parties)
            for line in await pledges_of(connection, party)
        ]


async def _running(site: Site, visitor: Visitor) -> list[CampaignPage]:
    """The campaigns of which somebody still expects something of this person."""
    drafts = await site.platform.stores.drafts.of_creator(visitor.party)
    async with site.platform.views.connect() as connection:
        pages = [await get_page(connection, draft.id) for draft in drafts if draft.submitted_at]
    return [page for page in pages if page is not None and page.phase not in ENDED]


async def _page(site: Site, visitor: Visitor, *, typed: str = "", fault: str = "") -> Response[Any]:
    account = await account_of(site, visitor)
    found = await site.platform.stores.erasure.held_about(visitor.parties, account.mail)
    pledges = [line for line in await _pledges(site, visitor) if line.standing]
    return site.page(
        "accounts/data.html",
        visitor,
        status_code=422 if fault else 200,
        account=account,
        stays=[STAYS[name] for name in found if HOLDINGS[name].stays and STAYS.get(name)],
        standing=len(pledges),
        uncharged=sum(1 for line in pledges if not line.charged_minor),
        running=len(await _running(site, visitor)),
        typed=typed,
        fault=fault,
    )
