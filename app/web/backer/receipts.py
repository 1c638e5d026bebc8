"""A backer's receipts: what is in the log of a pledge, as files and codes to check."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Template
from msgspec import Struct

from app.transparency.receipts import Entry, Receipt, entries_of, file_name
from app.web.backer.pledge_page import own_pledge
from app.web.backer.receipt_card import (
    brought,
    check_command,
    code_svg,
    inline_code,
    receipt_card,
)
from app.web.discover.finding import reader
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from projections.backer_ledger import PledgeLine, statement
from projections.campaign_pages import get_page

MEDIA_TYPE: Final = "text/plain"


class Asked(Struct, frozen=True):
    """One of a backer's own receipts: None while no published checkpoint covers it."""

    line: PledgeLine
    entry: Entry
    receipt: Receipt | None

    @property
    def file_name(self) -> str:
        """How its file is called."""
        return file_name(self.line.campaign_id, self.line.no, self.entry.kind)


@get("/campaigns/{campaign_id:str}/pledges/{no:int}/receipts", include_in_schema=False)
async def show_receipts(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
    turn: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
) -> Template:
    """The list of a pledge's receipts and the card of the first, parts of its page. `turn`: how
    often they were asked for.
    """
    visitor = await site.visitor(request)
    line = await own_pledge(site, visitor, campaign_id, no)
    async with site.platform.views.connect() as connection:
        entries = entries_of(await statement(connection, campaign_id, no))
    return site.page(
        "receipts/news.html",
        visitor,
        line=line,
        card=await receipt_card(site, line, entries),
        entries=entries,
        turn=turn,
        covered=await asyncio.to_thread(site.platform.receipts.covered),
        fault=site.platform.transparency.fault,
    )


@get(
    "/campaigns/{campaign_id:str}/pledges/{no:int}/receipts/{position:int}",
    include_in_schema=False,
)
async def show_receipt(
    campaign_id: FromPath[str],
    no: FromPath[int],
    position: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Template:
    """One receipt: what it proves and what not, its file, and its code to print."""
    asked = await _asked(request, site, campaign_id, no, position)
    platform, receipt = site.platform, asked.receipt
    key = platform.transparency.log_key
    return site.page(
        "receipts/receipt.html",
        await site.visitor(request),
        line=asked.line,
        entry=asked.entry,
        receipt=receipt,
        title=await _title(site, campaign_id),
        fault=platform.transparency.fault,
        file_name=asked.file_name,
        key=key.encode(),
        origin=key.name,
        quorum=platform.transparency.quorum,
        command=check_command(
            asked.file_name,
            key.encode(),
            [one.vkey for one in platform.settings.witnesses],
            platform.transparency.quorum,
        ),
        brought=brought(receipt),
        qr=await asyncio.to_thread(inline_code, receipt),
    )


@get(
    "/campaigns/{campaign_id:str}/pledges/{no:int}/receipts/{position:int}/receipt.tlog-proof",
    include_in_schema=False,
)
async def receipt_file(
    campaign_id: FromPath[str],
    no: FromPath[int],
    position: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """The receipt to keep."""
    asked = await _asked(request, site, campaign_id, no, position)
    if asked.receipt is None:
        return _not_yet()
    return _document(asked.receipt.text.encode(), MEDIA_TYPE, asked.file_name)


@get(
    "/campaigns/{campaign_id:str}/pledges/{no:int}/receipts/{position:int}/code.svg",
    include_in_schema=False,
)
async def receipt_code(
    campaign_id: FromPath[str],
    no: FromPath[int],
    position: FromPath[int],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """The receipt's short form as a picture; 404 where it is too long for one."""
    asked = await _asked(request, site, campaign_id, no, position)
    if asked.receipt is None:
        return _not_yet()
    if not asked.receipt.code:
        raise NotFoundException
    name = asked.file_name.replace(".tlog-proof", ".svg")
    return _document(code_svg(asked.receipt.code).encode(), "image/svg+xml", name)


async def _asked(
    request: PageRequest, site: Site, campaign_id: str, no: int, position: int
) -> Asked:
    """The receipt of a visitor's own pledge; another's is as if it were not there."""
    visitor = await site.visitor(request)
    line = await own_pledge(site, visitor, campaign_id, no)
    async with site.platform.views.connect() as connection:
        entries = entries_of(await statement(connection, campaign_id, no))
    entry = next((one for one in entries if one.position == position), None)
    if entry is None:
        raise NotFoundException
    receipt = await asyncio.to_thread(
        site.platform.receipts.receipt, position, line.backer, line.currency
    )
    return Asked(line, entry, receipt)


async def _title(site: Site, campaign_id: str) -> str:
    async with site.platform.views.connect() as connection:
        page = await get_page(connection, campaign_id)
    texts = await site.platform.stores.content.get_many({page.text} if page else set())
    return in_language(texts.get(page.text, {}), "title") if page else ""


def _not_yet() -> Response[Any]:
    headers = {"retry-after": "1", "cache-control": "no-store"}
    return Response("", status_code=503, media_type=MEDIA_TYPE, headers=headers)


def _document(body: bytes, media_type: str, name: str) -> Response[Any]:
    return Response(
        body,
        media_type=media_type,
        headers={
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{name}"',
            "vary": "cookie",
        },
    )


@get("/receipts/check", include_in_schema=False)
async def show_check(request: PageRequest, site: NamedDependency[Site]) -> Template:
    """Where anybody checks a receipt, in their own browser."""
    platform = site.platform
    key, quorum = platform.transparency.log_key, platform.transparency.quorum
    witnesses = [one.vkey for one in platform.settings.witnesses] if quorum else []
    *earlier, _ = await asyncio.to_thread(platform.transparency.store.trees)
    return site.page(
        "receipts/check.html",
        await reader(request, site),
        key=key.encode(),
        origin=key.name,
        witnesses="\n".join(witnesses),
        quorum=quorum or "",
        earlier=[tree.vkey for tree in earlier],
    )
