"""Reporting a campaign to the staff of its channel. A report is read by people and acts never."""

from __future__ import annotations

import re
from typing import Any, Final, get_args

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.stores.reports import LONGEST, REASONS, Reason, TooManyReportsError
from app.web.accounts.limits import client_of
from app.web.backer.abuse import mark
from app.web.language import gettext, translatable
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from app.web.visitors import Form, Visitor
from projections.campaign_pages import CampaignPage

SENTENCES: Final[dict[Reason, str]] = {
    "untrue": translatable("What it says is not true"),
    "forbidden": translatable("It offers what is forbidden or dangerous"),
    "not_theirs": translatable("It uses somebody else's work or name"),
    "hateful": translatable("It incites hatred or violence"),
    "personal_data": translatable("It shows somebody's personal data"),
    "other": translatable("Something else"),
}
"""What can be wrong, as the form says it."""

SHORTEST: Final = 10
TRAP: Final = "website"
"""A field that people do not see; what fills it in is a program."""

_MAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+", re.ASCII).fullmatch
_LONGEST_MAIL: Final = 254
_UNPROCESSABLE: Final = 422
_TOO_MANY: Final = 429


@get("/campaigns/{campaign_id:str}/report", include_in_schema=False)
async def show_report(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """The form."""
    visitor = await site.visitor(request)
    page = await site.campaign(campaign_id)
    return await _page(site, page, visitor, {}, {})


@post("/campaigns/{campaign_id:str}/report", include_in_schema=False)
async def take_report(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Keep a report for the channel's staff."""
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    page = await site.campaign(campaign_id)
    typed = {name: form.get(name, "").strip() for name in ("reason", "body", "mail")}
    faults = _faults(form, typed, visitor)
    if faults:
        return await _page(site, page, visitor, typed, faults, status_code=_UNPROCESSABLE)
    if not form.get(TRAP):
        reason = next(known for known in REASONS if known == typed["reason"])
        try:
            await site.platform.stores.reports.send(
                campaign_id=campaign_id,
                channel=page.channel,
                reason=reason,
                body=typed["body"],
                source=_source(site, request, visitor),
                party=visitor.party if visitor.signed_in else "",
                mail="" if visitor.signed_in else typed["mail"],
                at=site.platform.clock(),
            )
        except TooManyReportsError:
            said = gettext("Several reports came from here within an hour. Try again later.")
            return await _page(site, page, visitor, typed, {"": said}, status_code=_TOO_MANY)
    return await _page(site, page, visitor, {}, {}, sent=True)


def _source(site: Site, request: PageRequest, visitor: Visitor) -> str:
    """Whose reports are counted together: a person's, else those from one place on the network,
    which is kept as a keyed hash.
    """
    if visitor.party:
        return f"party:{visitor.party}"
    return f"address:{mark(site.platform, 'report', client_of(request))}"


def _faults(form: Form, typed: dict[str, str], visitor: Visitor) -> dict[str, str]:
    faults = {}
    if typed["reason"] not in get_args(Reason):
        faults["reason"] = gettext("Choose what is wrong.")
    if not SHORTEST <= len(typed["body"]) <= LONGEST:
        faults["body"] = gettext("Describe it in a few sentences, so that somebody can check it.")
    mail = typed["mail"]
    if not visitor.signed_in and (len(mail) > _LONGEST_MAIL or not _MAIL(mail)):
        faults["mail"] = gettext("Write a mail address such as name@example.org.")
    return faults if not form.get(TRAP) else {}


async def _page(
    site: Site,
    page: CampaignPage,
    visitor: Visitor,
    typed: dict[str, str],
    faults: dict[str, str],
    *,
    status_code: int = 200,
    sent: bool = False,
) -> Response[Any]:
    texts = await site.platform.stores.content.get_many({page.text} - {""})
    return site.page(
        "public/report.html",
        visitor,
        status_code=status_code,
        page=page,
        title=in_language(texts.get(page.text, {}), "title"),
        reasons=SENTENCES,
        typed=typed,
        faults=faults,
        sent=sent,
        trap=TRAP,
        section="discover",
    )
