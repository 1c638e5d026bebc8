"""A backer's receipts by API: which there are of a pledge, and each as a file."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from app.api.access import ApiRequest
from app.api.addresses import reads
from app.api.paging import AtLeast
from app.api.problems import Refused
from app.api.reading import WAIT_S, wait_for_views
from app.transparency.receipts import Entry, entries_of, file_name
from app.wiring import Platform
from domain.errors import NotYourPledge, PledgeUnknown
from projections.backer_ledger import PledgeLine, pledge, statement
from projections.facts import MAX_NO

TEXT: Final = "text/plain"

Short = Annotated[
    bool,
    QueryParameter(description="The short form, as a QR code holds it: without the whole fact."),
]


class ReceiptOut(Struct, frozen=True):
    """Something that happened to a pledge; `ready`: its receipt can be had. `kind` is the line's of
    the pledge's statement, `at` ms UTC.
    """

    position: int
    at: int
    kind: str
    amount_minor: int
    ready: bool


class ReceiptsOut(Struct, frozen=True):
    """The receipts of a pledge. `key` is the log's public key, by which they are checked; take it
    from elsewhere, too. `covered` is the last position that a published checkpoint covers.
    """

    receipts: tuple[ReceiptOut, ...]
    covered: int
    key: str


async def _own(
    request: ApiRequest, platform: Platform, campaign_id: str, no: int
) -> tuple[PledgeLine, list[Entry]]:
    """A pledge of the key's owner, whom alone its receipts are for. Raises Rejection."""
    async with platform.views.connect() as connection:
        line = await pledge(connection, campaign_id, no) if 1 <= no <= MAX_NO else None
        lines = await statement(connection, campaign_id, no) if line else []
    if line is None:
        raise PledgeUnknown
    parties = await platform.stores.accounts.parties_of(request.auth.owner)
    if request.auth.role != "backer" or line.backer not in parties:
        raise NotYourPledge
    return line, entries_of(lines)


@reads(
    "/campaigns/{campaign_id:str}/pledges/{no:int}/receipts",
    "pledges:read",
    "pledges:write",
    area="Backers",
    summary="List the receipts of my pledge",
    reasons=("pledge_unknown", "not_your_pledge"),
)
async def list_receipts(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at_least: AtLeast = 0,
) -> Response[ReceiptsOut]:
    """What happened to a pledge and can be proved: that it was made, changed, charged, given back.
    For its backer alone, whoever else may see the pledge.
    """
    await wait_for_views(platform, at_least)
    _, entries = await _own(request, platform, campaign_id, no)
    covered = await asyncio.to_thread(platform.receipts.covered)
    listed = tuple(
        ReceiptOut(one.position, one.at, one.kind, one.amount_minor, one.position <= covered)
        for one in entries
    )
    return Response(ReceiptsOut(listed, covered, platform.transparency.log_key.encode()))


@reads(
    "/campaigns/{campaign_id:str}/pledges/{no:int}/receipts/{position:int}",
    "pledges:read",
    "pledges:write",
    area="Backers",
    summary="A receipt of my pledge",
    reasons=("pledge_unknown", "not_your_pledge", "not_found", "receipt_pending"),
    media=TEXT,
)
async def get_receipt(
    campaign_id: FromPath[str],
    no: FromPath[int],
    position: FromPath[int],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    short: Short = False,  # noqa: FBT002 - a query's own flag
    at_least: AtLeast = 0,
) -> Response[str]:
    """A C2SP `tlog-proof`: proves, with the log's public key alone, that this stands in the log.

    Of something that was recorded a moment ago it waits for the checkpoint that covers it, a
    bounded time. The receipt opens the whole fact, so it is for its backer alone.
    """
    await wait_for_views(platform, at_least)
    line, entries = await _own(request, platform, campaign_id, no)
    entry = next((one for one in entries if one.position == position), None)
    if entry is None:
        raise Refused("not_found")
    await platform.transparency.wait_for_async(position, WAIT_S)
    receipt = await asyncio.to_thread(
        platform.receipts.receipt, position, line.backer, line.currency
    )
    if receipt is None:
        raise Refused("receipt_pending")
    name = file_name(campaign_id, no, entry.kind)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(receipt.short if short else receipt.text, media_type=TEXT, headers=headers)


HANDLERS: Final[tuple[Any, ...]] = (list_receipts, get_receipt)
