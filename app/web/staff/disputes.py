"""What does not add up by itself: chargebacks, reports that fit nothing, refunds refused."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Template

from app.stores.rows import new_id
from app.web.language import gettext
from app.web.site import PageRequest, Site
from app.web.staff import reading
from app.web.staff.frame import (
    Refusal,
    carried_out,
    identity,
    names_of,
    refusal,
    staff_page,
    titles_of,
)
from app.web.staff.posts import ALL, AtLeast, ChannelChoice, Done, Post, campaign_post, channel_post
from app.web.staff.words import (
    CODES,
    DISCREPANCIES,
    DISPUTE_STATES,
    REFUND_CAUSES,
    RESOLUTIONS,
    word,
)
from domain.commands import Command, RequestRefund, ResolveDiscrepancy, WithdrawPledge
from domain.errors import NotAllowed, Rejection
from domain.events import RefundCause, Resolution
from domain.ids import party_of

FITTING: Final[dict[int, tuple[Resolution, ...]]] = {
    1: ("returned",),
    -1: ("returned", "written_off"),
    0: ("noted",),
}
"""Which resolutions fit money that came in, that went out, or none: as the rules have it."""


def fitting(amount_minor: int) -> tuple[Resolution, ...]:
    """The resolutions that fit a discrepancy over so much money."""
    return FITTING[(amount_minor > 0) - (amount_minor < 0)]


@get("/staff/disputes", include_in_schema=False)
async def show_disputes(
    request: PageRequest,
    site: NamedDependency[Site],
    channel: ChannelChoice = "",
    at_least: AtLeast = 0,
    done: Done = "",
) -> Template:
    """Everything of the channel that waits for a person or a bank."""
    post_ = await channel_post(site, request, *ALL, channel=channel)
    if at_least:
        await site.platform.follower.wait_for_async(at_least, 2.0)
    return await _page(site, post_, done=done)


@post("/staff/disputes/{campaign_id:str}/discrepancy", include_in_schema=False)
async def resolve_discrepancy(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Settle a report that fitted nothing; payouts of its campaign may go on after it."""
    post_, page = await campaign_post(site, request, campaign_id, "staff", "treasurer")
    form = await site.form(request, post_.visitor)
    site.require_step_up(post_.visitor)
    resolution = form.get("resolution", "")
    if resolution not in RESOLUTIONS:
        return await _page(site, post_, refused=Refusal(gettext("Choose how it is settled."), 422))
    by = post_.actor("treasurer", "staff")
    command = ResolveDiscrepancy(
        **identity(post_, campaign_id, by),
        discrepancy_id=form.get("discrepancy", ""),
        resolution=resolution,  # type: ignore[arg-type]  # one of RESOLUTIONS
    )
    try:
        if post_.is_own(page):
            raise NotAllowed("The creator's team does not settle its own discrepancies.")
        outcome = await site.submit(command)
    except Rejection as rejected:
        return await _page(site, post_, refused=refusal(rejected))
    address = f"/staff/disputes?channel={post_.channel.id}"
    return carried_out(site, address, "settled", outcome)


@post("/staff/disputes/{campaign_id:str}/refund", include_in_schema=False)
async def ask_again(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Ask the provider once more for a refund that it refused, for the same cause and sum."""
    post_, _ = await campaign_post(site, request, campaign_id, "staff")
    form = await site.form(request, post_.visitor)
    async with site.platform.views.connect() as connection:
        lines = await reading.refused_refunds(connection, post_.channel.id)
    mine = [
        line
        for line in lines
        if line.row.refund_id == form.get("refund", "") and line.campaign.campaign_id == campaign_id
    ]
    if not mine:
        raise NotFoundException
    try:
        outcome = await site.submit(again(post_, mine[0]))
    except Rejection as rejected:
        return await _page(site, post_, refused=refusal(rejected))
    return carried_out(site, f"/staff/disputes?channel={post_.channel.id}", "asked", outcome)


def again(post_: Post, line: reading.RefundLine) -> Command:
    """The command that asks anew. A withdrawal is repeated as one; it refunds all that is left."""
    about = identity(post_, line.campaign.campaign_id, post_.actor("staff"))
    if line.row.cause == "withdrawn":
        return WithdrawPledge(**about, pledge_id=line.pledge_id)
    cause: RefundCause = line.row.cause  # type: ignore[assignment]  # a row copies the fact's
    # Of a campaign that has ended all that can goes back, however much that is by now.
    everything = cause in {"failed", "cancelled"}
    amount_minor = 0 if everything else min(line.row.amount_minor, line.returnable_minor)
    return RequestRefund(
        **about, no=line.row.no, refund_id=new_id(), amount_minor=amount_minor, cause=cause
    )


async def _page(
    site: Site, post_: Post, *, done: str = "", refused: Refusal | None = None
) -> Template:
    at = post_.channel.id
    async with site.platform.views.connect() as connection:
        disputes = await reading.disputes(connection, at, ("open",))
        decided = await reading.disputes(connection, at, ("won", "lost"))
        unsettled = await reading.discrepancies(connection, at, open_=True)
        settled = await reading.discrepancies(connection, at, open_=False)
        refunds = await reading.refused_refunds(connection, at)
    campaigns = [
        *(line.campaign for line in (*disputes, *decided)),
        *(line.campaign for line in (*unsettled, *settled)),
        *(line.campaign for line in refunds),
    ]
    listed = {found.campaign_id: found for found in campaigns}
    return await staff_page(
        site,
        post_,
        "disputes.html",
        "disputes",
        done=done,
        refused=refused,
        disputes=disputes,
        decided=decided,
        unsettled=unsettled,
        settled=settled,
        refunds=refunds,
        titles=await titles_of(site, list(listed.values())),
        names=await names_of(
            site,
            [
                *(party_of(line.row.resolved_by) for line in settled),
                *(party_of(line.row.by) for line in refunds),
            ],
        ),
        fitting=lambda amount: [(code, word(RESOLUTIONS, code)) for code in fitting(amount)],
        dispute_words=DISPUTE_STATES,
        discrepancy_words=DISCREPANCIES,
        resolution_words=RESOLUTIONS,
        refund_words=REFUND_CAUSES,
        code_words=CODES,
    )
