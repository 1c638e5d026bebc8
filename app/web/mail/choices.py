"""Which mails a person gets: the link in each mail, and the page of their account."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from app.mail.kinds import KINDS, LOCKED, TITLES, TOLD, Kind
from app.mail.links import EndFollow, Off
from app.web.mail.following import titles_of
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor


@get("/mail/off/{token:str}", include_in_schema=False)
async def show_off(token: FromPath[str], site: NamedDependency[Site]) -> Response[Any]:
    """Ask before anything ends: mail scanners open every link."""
    return await _off_page(site, token, done="")


@post("/mail/off/{token:str}", include_in_schema=False, status_code=200)
async def take_off(
    token: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """End mails of a kind, or have them again.

    Mail programs post here by themselves, without a session (RFC 8058): the signed token alone
    says what ends, and it was sent to nobody but that person.
    """
    mail = site.platform.mail
    form = await request.form()
    on = form.get("on") == "yes"
    match mail.links.read_off_link(token):
        case Off(party=party, kind=kind):
            if on:
                await mail.choices.turn_on(party, kind)
            else:
                await mail.choices.turn_off(party, kind, at=site.platform.clock())
        case EndFollow(follow_id=follow_id):
            await mail.follows.end(follow_id)
        case None:
            pass
    return await _off_page(site, token, done="on" if on else "off")


async def _off_page(site: Site, token: str, *, done: str) -> Response[Any]:
    link = site.platform.mail.links.read_off_link(token)
    kind = link.kind if isinstance(link, Off) else "followed"
    if link is None or kind not in KINDS:
        return site.page("mail/dead_link.html", status_code=404)
    return site.page(
        "mail/off.html",
        token=token,
        title=TITLES[kind],
        told=TOLD[kind],
        one_campaign=isinstance(link, EndFollow),
        done=done,
        headers={"cache-control": "no-store", "referrer-policy": "no-referrer"},
    )


@get("/account/mail", include_in_schema=False)
async def show_choices(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Every kind of mails with its switch, and the campaigns that the person follows."""
    visitor = await site.signed_in(request)
    return await _choices_page(site, visitor, saved="saved" in request.query_params)


@post("/account/mail", include_in_schema=False)
async def take_choices(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Keep what is wanted; kinds that are not on the page stay as they are."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    mail = site.platform.mail
    wanted = form.all("wanted")
    if not set(wanted) <= set(KINDS):
        raise NotFoundException
    for kind in _offered(visitor):
        if kind in LOCKED:
            continue
        if kind in wanted:
            await mail.choices.turn_on(visitor.party, kind)
        else:
            await mail.choices.turn_off(visitor.party, kind, at=site.platform.clock())
    return site.redirect("/account/mail?saved=yes", visitor)


def _offered(visitor: Visitor) -> list[Kind]:
    """The kinds that a person can get at all."""
    return [kind for kind in KINDS if kind != "staff" or visitor.works_here]


async def _choices_page(site: Site, visitor: Visitor, *, saved: bool) -> Response[Any]:
    mail = site.platform.mail
    followed = await mail.follows.of_party(visitor.party)
    return site.page(
        "mail/choices.html",
        visitor,
        kinds=_offered(visitor),
        titles=TITLES,
        told=TOLD,
        locked=LOCKED,
        off=await mail.choices.off(visitor.party),
        followed=[
            (campaign_id, title) for campaign_id, title in (await titles_of(site, followed)).items()
        ],
        saved=saved,
    )
