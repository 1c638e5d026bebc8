"""A backer's own side: pledges, and what became of each one's money, line by line."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from app.api.access import ApiRequest
from app.api.addresses import reads
from app.api.exports import major_text
from app.api.paging import AtLeast, Cursor, Limit, cursor_of, key_of, listed, page_of
from app.api.reading import is_of_team, wait_for_views, works_for
from app.documents.statement import statement_pdf
from app.stores.api_keys import ApiKey
from app.web.backer.statement import entries_of, statements_of
from app.wiring import Platform
from domain.errors import NotYourPledge, PledgeUnknown
from domain.terms import Line
from projections.backer_ledger import PledgeLine, StatementLine, pledge, pledges_of, statement
from projections.campaign_pages import get_page
from projections.facts import MAX_NO
from projections.pledges import lines_of

CSV: Final = "text/csv"
PDF: Final = "application/pdf"
MOST_PLEDGES: Final = 10_000


class SharesOut(Struct, frozen=True):
    """Where a pledge's money is, in minor units: charged + owed = held + paid + fees + returned."""

    charged_minor: int
    held_minor: int
    paid_minor: int
    fees_minor: int
    returned_minor: int
    owed_minor: int


class MyPledgeOut(Struct, frozen=True):
    """A pledge as its backer sees it. `standing`: it counts as pledged."""

    campaign_id: str
    no: int
    pledge_id: str
    state: str
    standing: bool
    currency: str
    amount_minor: int
    shares: SharesOut
    made_at: int
    charged_at: int | None
    sent: bool
    received: bool
    position: int


class PledgesOut(Struct, frozen=True):
    """A page of pledges, the newest first."""

    pledges: tuple[MyPledgeOut, ...]
    next: str | None


class PledgeReadOut(Struct, frozen=True):
    """One pledge with its rewards and its statement.

    The lines of the statement up to `released` sum to what is pledged, those from `charged` on to
    what is held of it; each says what it leaves of both.
    """

    pledge: MyPledgeOut
    rewards: tuple[Line, ...]
    destination: str
    visibility: str
    decline_code: str
    statement: tuple[StatementLine, ...]


def _line_out(line: PledgeLine) -> MyPledgeOut:
    returned_minor = line.refunded_minor + line.lost_minor
    uses_minor = line.held_minor + line.paid_minor + line.fees_minor + returned_minor
    return MyPledgeOut(
        campaign_id=line.campaign_id,
        no=line.no,
        pledge_id=line.pledge_id,
        state=line.state,
        standing=line.standing,
        currency=line.currency,
        amount_minor=line.amount_minor,
        shares=SharesOut(
            line.charged_minor,
            line.held_minor,
            line.paid_minor,
            line.fees_minor,
            returned_minor,
            uses_minor - line.charged_minor,
        ),
        made_at=line.made_at,
        charged_at=line.charged_at,
        sent=line.sent,
        received=line.received,
        position=line.position,
    )


async def _mine(platform: Platform, key: ApiKey) -> list[PledgeLine]:
    """Every pledge of the people for whom the key's owner speaks, the newest first."""
    found: list[PledgeLine] = []
    parties = await platform.stores.accounts.parties_of(key.owner)
    async with platform.views.connect() as connection:
        for party in sorted(parties):
            found += await pledges_of(connection, party, MOST_PLEDGES)
    return sorted(found, key=lambda line: -line.position)


@reads(
    "/me/pledges",
    "pledges:read",
    "pledges:write",
    area="Backers",
    summary="List my pledges",
)
async def list_my_pledges(
    request: ApiRequest,
    platform: NamedDependency[Platform],
    limit: Limit = 50,
    cursor: Cursor = "",
    at_least: AtLeast = 0,
) -> Response[PledgesOut]:
    """The pledges of the key's owner over all campaigns, the newest first."""
    before = key_of(cursor, "pledges", int)
    await wait_for_views(platform, at_least)
    found = await _mine(platform, request.auth)
    rest = [line for line in found if before is None or line.position < before[0]]
    shown, following = page_of(
        request, rest, limit, lambda line: cursor_of("pledges", line.position)
    )
    return listed(PledgesOut(tuple(map(_line_out, shown)), following), following)


@reads(
    "/campaigns/{campaign_id:str}/pledges/{no:int}",
    "pledges:read",
    "pledges:write",
    "campaigns:read",
    "campaigns:write",
    "staff",
    "events:read",
    area="Backers",
    summary="Read a pledge with its statement",
    reasons=("pledge_unknown", "not_your_pledge"),
)
async def get_pledge(
    campaign_id: FromPath[str],
    no: FromPath[int],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    at_least: AtLeast = 0,
) -> Response[PledgeReadOut]:
    """One pledge: how much of it is paid to the creator, in fees, still held, and every line that
    led there. For its backer, the campaign's team and its channel.
    """
    key = request.auth
    await wait_for_views(platform, at_least)
    async with platform.views.connect() as connection:
        line = await pledge(connection, campaign_id, no) if 1 <= no <= MAX_NO else None
        page = await get_page(connection, campaign_id)
        lines = await statement(connection, campaign_id, no) if line else []
    if line is None or page is None:
        raise PledgeUnknown
    if not (works_for(key, page.channel) or is_of_team(key, page)):
        parties = await platform.stores.accounts.parties_of(key.owner)
        if key.role != "backer" or line.backer not in parties:
            raise NotYourPledge
    return Response(
        PledgeReadOut(
            pledge=_line_out(line),
            rewards=lines_of(line.lines),
            destination=line.destination,
            visibility=line.visibility,
            decline_code=line.decline_code,
            statement=tuple(lines),
        )
    )


@reads(
    "/me/statement.csv",
    "pledges:read",
    "pledges:write",
    area="Backers",
    summary="My statement as CSV",
    media=CSV,
)
async def get_statement_csv(
    request: ApiRequest, platform: NamedDependency[Platform], at_least: AtLeast = 0
) -> Response[str]:
    """Every line of every pledge's statement, the oldest pledge first; each says what it leaves
    pledged and held, so that the columns add up. Amounts are in major units, times in UTC.
    """
    await wait_for_views(platform, at_least)
    found = await _mine(platform, request.auth)
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(
        ("time", "campaign", "pledge", "what", "currency", "amount", "pledged", "held", "position")
    )
    async with platform.views.connect() as connection:
        for line in reversed(found):
            for said in await statement(connection, line.campaign_id, line.no):
                amounts = (said.amount_minor, said.pledged_minor, said.held_minor)
                rows.writerow(
                    (
                        datetime.fromtimestamp(said.at / 1000, UTC).isoformat(timespec="seconds"),
                        line.campaign_id,
                        line.no,
                        said.kind,
                        line.currency,
                        *(major_text(minor, line.currency) for minor in amounts),
                        said.position,
                    )
                )
    name = {"content-disposition": 'attachment; filename="statement.csv"'}
    return Response(out.getvalue(), media_type=CSV, headers=name)


@reads(
    "/me/statement.pdf",
    "pledges:read",
    "pledges:write",
    area="Backers",
    summary="My statement as PDF",
    media=PDF,
)
async def get_statement_pdf(
    request: ApiRequest, platform: NamedDependency[Platform], at_least: AtLeast = 0
) -> Response[bytes]:
    """The statement over all pledges, by currency, to print and keep; in the language that the
    request accepts, as the site draws it.
    """
    await wait_for_views(platform, at_least)
    parties = await platform.stores.accounts.parties_of(request.auth.owner)
    statements = await statements_of(platform, await entries_of(platform, parties))
    at, home = platform.clock(), platform.settings.public_url
    drawn = await asyncio.to_thread(statement_pdf, statements, at=at, address=home)
    name = {"content-disposition": 'attachment; filename="statement.pdf"'}
    return Response(drawn, media_type=PDF, headers=name)


HANDLERS: Final[tuple[Any, ...]] = (
    list_my_pledges,
    get_pledge,
    get_statement_csv,
    get_statement_pdf,
)
