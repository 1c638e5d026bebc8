"""The outbox of a demo: mails are read here instead of being sent."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from app.mail.rendering import Paragraph, paragraphs
from app.stores.mails import KeptMail
from app.web.site import Site

PER_PAGE: Final = 50
LAST_PAGE: Final = 1_000


@get("/outbox", include_in_schema=False)
async def show_outbox(
    site: NamedDependency[Site],
    page: Annotated[int, QueryParameter(ge=1, le=LAST_PAGE)] = 1,
) -> Template:
    """The newest mails, each with whom it is to."""
    _only_in_demo(site)
    offset = (page - 1) * PER_PAGE
    found = await site.platform.mail.mails.newest(PER_PAGE + 1, offset)
    return site.page(
        "mail/outbox.html",
        mails=found[:PER_PAGE],
        page=page,
        has_more=len(found) > PER_PAGE,
        headers={"cache-control": "no-store"},
    )


@get("/outbox/{mail_id:str}", include_in_schema=False)
async def show_mail(mail_id: FromPath[str], site: NamedDependency[Site]) -> Template:
    """One mail; its links lead to this very server."""
    _only_in_demo(site)
    mail = await site.platform.mail.mails.get(mail_id)
    if mail is None or not mail.text:
        raise NotFoundException
    return site.page(
        "mail/one.html",
        mail=mail,
        paragraphs=_paragraphs(site, mail),
        public_url=site.platform.settings.public_url,
        headers={"cache-control": "no-store"},
    )


def _paragraphs(site: Site, mail: KeptMail) -> tuple[Paragraph, ...]:
    """What a mail says, but for its last line, the link that turns its kind off: `off_path`."""
    text = mail.text.rpartition("\n--\n")[0] if mail.off_path else mail.text
    return paragraphs(text, site.platform.settings.public_url)


def _only_in_demo(site: Site) -> None:
    """Elsewhere the page is not there at all: it would show everybody's mails."""
    if not site.platform.settings.demo:
        raise NotFoundException
