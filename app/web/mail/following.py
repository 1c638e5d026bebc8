"""Following a campaign: signed in with one click, else by a mail address that confirms it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.stores.accounts import normal_mail
from app.web.accounts.limits import may_write_to
from app.web.language import current
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.terms import DAY_MS
from projections.campaign_pages import CampaignPage

LONGEST_ADDRESS: Final = 254
"""RFC 5321, 4.5.3.1."""


@get("/campaigns/{campaign_id:str}/follow", include_in_schema=False)
async def show_follow(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Ask for a mail address."""
    visitor = await site.visitor(request)
    return await _form_page(site, visitor, await site.campaign(campaign_id))


@post("/campaigns/{campaign_id:str}/follow", include_in_schema=False, status_code=200)
async def follow(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Follow at once where somebody is signed in, else write to the address that was typed.

    The answer is the same whether the address follows already: it is nobody else's to know.
    """
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    page = await site.campaign(campaign_id)
    mail, at = site.platform.mail, site.platform.clock()
    if visitor.signed_in:
        await mail.follows.follow(page.campaign_id, visitor.party, language=current(), at=at)
        return _followed(site, visitor, request, page, follows=True)
    address = normal_mail(form.get("mail", ""))
    if not _is_address(address):
        return await _form_page(site, visitor, page, typed=form.get("mail", ""), fault="mail")
    asked = await mail.follows.ask(page.campaign_id, address, language=current(), at=at)
    if asked.confirmed_at is None and await may_write_to(site, address):
        await mail.post(
            name="follow_confirm",
            to=address,
            language=current(),
            dedupe_key=f"{asked.id}/{at // DAY_MS}",
            title=await _title(site, page),
            confirm_path=mail.links.confirm_follow_link(asked.id),
        )
    return await _form_page(site, visitor, page, typed=address, is_sent=True)


@post("/campaigns/{campaign_id:str}/unfollow", include_in_schema=False, status_code=200)
async def unfollow(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Follow no more."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    page = await site.campaign(campaign_id)
    await site.platform.mail.follows.unfollow(page.campaign_id, visitor.party)
    if form.get("back") == "account":
        return site.redirect("/account/mail", visitor)
    return _followed(site, visitor, request, page, follows=False)


@get("/follow/{token:str}", include_in_schema=False)
async def show_confirm(token: FromPath[str], site: NamedDependency[Site]) -> Response[Any]:
    """Ask before it counts: mail scanners open every link."""
    return await _confirm_page(site, token, is_done=False)


@post("/follow/{token:str}", include_in_schema=False, status_code=200)
async def take_confirm(token: FromPath[str], site: NamedDependency[Site]) -> Response[Any]:
    """The address follows from now on."""
    mail = site.platform.mail
    link = mail.links.read_confirm_follow_link(token)
    if link is not None:
        await mail.follows.confirm(link.follow_id, at=site.platform.clock())
    return await _confirm_page(site, token, is_done=True)


async def _confirm_page(site: Site, token: str, *, is_done: bool) -> Response[Any]:
    mail = site.platform.mail
    link = mail.links.read_confirm_follow_link(token)
    asked = None if link is None else await mail.follows.get(link.follow_id)
    if asked is None:
        return site.page("mail/dead_link.html", status_code=404)
    page = await site.any_campaign(asked.campaign)
    return site.page(
        "mail/following.html",
        token=token,
        page=page,
        title=await _title(site, page),
        is_done=is_done,
        off_path=mail.links.end_follow_link(asked.id),
        headers={"cache-control": "no-store", "referrer-policy": "no-referrer"},
    )


def _followed(
    site: Site, visitor: Visitor, request: PageRequest, page: CampaignPage, *, follows: bool
) -> Response[Any]:
    """Back to the campaign's page; a script of ours gets the button alone."""
    if request.headers.get("hx-request") == "true":
        return site.page(
            "mail/follow_part.html", visitor, campaign_id=page.campaign_id, follows=follows
        )
    return site.redirect(f"/campaigns/{page.campaign_id}", visitor)


async def _form_page(
    site: Site,
    visitor: Visitor,
    page: CampaignPage,
    *,
    typed: str = "",
    fault: str = "",
    is_sent: bool = False,
) -> Response[Any]:
    return site.page(
        "mail/follow.html",
        visitor,
        status_code=422 if fault else 200,
        page=page,
        title=await _title(site, page),
        typed=typed[:LONGEST_ADDRESS],
        fault=fault,
        is_sent=is_sent,
        follows=await site.platform.mail.follows.follows(page.campaign_id, visitor.party),
    )


async def _title(site: Site, page: CampaignPage) -> str:
    return (await titles_of(site, [page.campaign_id]))[page.campaign_id]


async def titles_of(site: Site, campaign_ids: Collection[str]) -> dict[str, str]:
    """The titles of campaigns in the page's language, in the order that is given."""
    cards = await site.platform.news.facts.cards(campaign_ids)
    return {
        campaign_id: cards[campaign_id].get(current(), cards[campaign_id][""]).title
        for campaign_id in campaign_ids
        if campaign_id in cards
    }


def _is_address(address: str) -> bool:
    """Whether mail could be sent there: whether it is read tells only the link in it."""
    local, _, host = address.rpartition("@")
    fits = bool(local) and "." in host and len(address) <= LONGEST_ADDRESS
    return fits and not any(c.isspace() or c in '<>,;:\\"()[]' for c in address)
