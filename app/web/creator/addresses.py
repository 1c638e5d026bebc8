"""The one page of a backer that is this area's: where a reward is to be sent."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from app.stores.addresses import Address
from app.web.creator.reading import shipped_rewards, title_of
from app.web.language import gettext
from app.web.site import PageRequest, Site
from app.web.visitors import Visitor
from domain.errors import NotYourPledge, PledgeUnknown
from domain.state import WON
from projections.backer_ledger import PledgeLine, pledge
from projections.campaign_pages import CampaignPage
from projections.pledges import lines_of

FIELDS: Final = (
    *("name", "phone", "country", "province", "city", "district", "street", "postal_code"),
)
_LONGEST: Final = 200
_COUNTRY: Final = re.compile(r"[A-Z]{2}").fullmatch
_PHONE: Final = re.compile(r"[+0-9][0-9 ()/-]{4,24}").fullmatch


class Place(Struct, frozen=True):
    """A pledge whose rewards are sent by post, for the person who made it."""

    visitor: Visitor
    page: CampaignPage
    line: PledgeLine


async def _place(site: Site, request: PageRequest, campaign_id: str, no: int) -> Place:
    """Raises CampaignUnknown, PledgeUnknown and NotYourPledge."""
    visitor = await site.visitor(request)
    page = await site.campaign(campaign_id)
    async with site.platform.views.connect() as connection:
        line = await pledge(connection, campaign_id, no)
    if line is None:
        raise PledgeUnknown
    if line.backer not in visitor.parties:
        raise NotYourPledge
    return Place(visitor, page, line)


def closed_because(place: Place) -> str:
    """Why no address is asked for; empty where one is."""
    shipped = shipped_rewards(place.page)
    if not any(line.reward_id in shipped for line in lines_of(place.line.lines)):
        return gettext("Nothing of this pledge is sent by post, so nobody needs your address.")
    if place.page.phase not in WON or not place.line.charged_minor:
        return gettext("Your address is asked for after success, when your pledge is charged.")
    if place.line.sent:
        return gettext("It was sent already. Ask the creator if it goes to the wrong place.")
    return ""


@get("/campaigns/{campaign_id:str}/pledges/{no:int}/address", include_in_schema=False)
async def show_address(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """The form, with the address that was given before."""
    place = await _place(site, request, campaign_id, no)
    known = await site.platform.stores.addresses.get(campaign_id, no)
    given = (
        {field: getattr(known, field) for field in FIELDS}
        if known
        else dict.fromkeys(FIELDS, "") | {"country": place.line.destination[:2]}
    )
    saved = request.query_params.get("saved") == "1"
    return await _page(site, place, given, {}, known=known, saved=saved)


async def _page(
    site: Site,
    place: Place,
    given: dict[str, str],
    errors: dict[str, str],
    *,
    known: Address | None = None,
    saved: bool = False,
) -> Response[Any]:
    return site.page(
        "creator/address.html",
        place.visitor,
        status_code=422 if errors else 200,
        page=place.page,
        line=place.line,
        title=await title_of(site.platform, place.page),
        given=given,
        errors=errors,
        known=known,
        saved=saved,
        closed=closed_because(place),
        section="me",
    )


@post("/campaigns/{campaign_id:str}/pledges/{no:int}/address", include_in_schema=False)
async def save_address(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Keep it, until it is sent."""
    place = await _place(site, request, campaign_id, no)
    form = await site.form(request, place.visitor)
    given = {field: " ".join(form.get(field, "").split())[:_LONGEST] for field in FIELDS}
    given["country"] = given["country"].upper()
    if closed_because(place):
        return await _page(site, place, given, {})
    errors = wrong(given, place.line.destination)
    if errors:
        return await _page(site, place, given, errors)
    await site.platform.stores.addresses.save(
        Address(
            campaign=campaign_id,
            no=no,
            party=place.line.backer,
            given_at=site.platform.clock(),
            **given,
        )
    )
    return site.redirect(f"/campaigns/{campaign_id}/pledges/{no}/address?saved=1")


def wrong(given: dict[str, str], destination: str) -> dict[str, str]:
    """What is wrong with an address, by field."""
    found: dict[str, str] = {}
    if not given["name"]:
        found["name"] = gettext("Write the name that stands at the door.")
    if not _COUNTRY(given["country"]):
        found["country"] = gettext("Write the country as two letters, such as CN or BR.")
    elif destination and given["country"] != destination[:2]:
        found["country"] = gettext(
            "You paid for sending to %(country)s. Ask the creator if it has to go elsewhere."
        ) % {"country": destination[:2]}
    if given["country"] == "CN" and not given["province"]:
        found["province"] = gettext("Write the province.")
    if not given["city"]:
        found["city"] = gettext("Write the city.")
    if not given["street"]:
        found["street"] = gettext("Write the street and the number.")
    if given["phone"] and not _PHONE(given["phone"]):
        found["phone"] = gettext("Write the phone number in figures.")
    elif given["country"] == "CN" and not given["phone"]:
        found["phone"] = gettext("Couriers in China need a phone number.")
    return found
