"""The treasurer's desk: payouts to decide, what is on its way, what came back, and debts."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Template
from msgspec import Struct

from app.api.reading import told
from app.web.language import gettext
from app.web.money import parse_amount
from app.web.public.campaign_view import in_language
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
from app.web.staff.words import CODES, PAYOUT_STATES, REFUSE_CAUSES, options, why
from domain.campaign import decide
from domain.commands import (
    ApprovePayout,
    RecordRepayment,
    RefusePayout,
    RevokePayout,
    WriteOffDebt,
)
from domain.errors import Rejection, SelfApproval
from domain.events import PayoutApproved
from domain.ids import is_code, is_reference, party_of
from domain.paying_out import payout_share, reserve_minor
from domain.state import Campaign, Payout
from projections.campaign_pages import CampaignPage
from projections.creator_desk import desk
from projections.pledges import PayoutRow

DONE_STATES: Final = ("sent", "refused", "failed", "returned")
SOMEBODY: Final = "00000000-0000-4000-8000-000000000000"
"""A treasurer who is nobody: to ask the rules what a payout would move, whoever approves it."""


class Foreseen(Struct, frozen=True, kw_only=True):
    """What approving a payout now would do, counted by the rules themselves; minor units.

    `amount_minor` is taken from `giving` of `asked` pledges, `debt_minor` of it settles what the
    creator owes. `hindered` says why nobody could approve it now, `self_hindered` why this person
    could not; empty where they could.
    """

    amount_minor: int
    debt_minor: int
    giving: int
    asked: int
    excepted: int
    reserve_minor: int
    owed_minor: int
    account_id: str
    account_usable_at: int
    frozen: bool
    held_minor: int
    paid_minor: int
    fees_minor: int
    returned_minor: int
    charged_minor: int
    on_the_way_minor: int
    written_off_minor: int
    hindered: str
    self_hindered: str

    @property
    def cash_minor(self) -> int:
        """What would be sent to the creator's account."""
        return self.amount_minor - self.debt_minor


def foresee(state: Campaign, post_: Post, payout_id: str, at: int) -> Foreseen | None:
    """Ask the rules what an approval would do; None for an unknown payout. Changes nothing."""
    payout = state.payouts.get(payout_id)
    if payout is None:
        return None
    decided = _would(state, post_, payout_id, at)
    approved = decided if isinstance(decided, PayoutApproved) else None
    excepted = set(payout.except_nos)
    pledges = [p for p in state.pledges[payout.from_no - 1 : payout.to_no] if p.no not in excepted]
    shares = [payout_share(p, payout.numerator, payout.denominator) for p in pledges]
    figures = state.figures
    return Foreseen(
        amount_minor=approved.amount_minor if approved else sum(shares),
        debt_minor=approved.debt_minor if approved else min(sum(shares), figures.owed_minor),
        giving=sum(share > 0 for share in shares),
        asked=len(pledges),
        excepted=len(excepted),
        reserve_minor=reserve_minor(state, at),
        owed_minor=figures.owed_minor,
        account_id=payout.account_id,
        account_usable_at=state.account_usable_at,
        frozen=state.frozen,
        held_minor=figures.held_minor,
        paid_minor=figures.paid_minor,
        fees_minor=figures.fees_minor,
        returned_minor=figures.returned_minor,
        charged_minor=figures.charged_minor,
        on_the_way_minor=figures.on_the_way_minor,
        written_off_minor=figures.written_off_minor,
        hindered=why(decided) if isinstance(decided, Rejection) else "",
        self_hindered=why(SelfApproval()) if concerns(state, payout, post_) else "",
    )


def _would(state: Campaign, post_: Post, payout_id: str, at: int) -> PayoutApproved | Rejection:
    about = identity(post_, state.campaign_id, f"treasurer:{SOMEBODY}")
    command = ApprovePayout(**about, payout_id=payout_id)
    try:
        (event,) = decide(state, command, at)
    except Rejection as rejected:
        return rejected
    assert isinstance(event, PayoutApproved), "an approval is one fact"
    return event


def concerns(state: Campaign, payout: Payout, post_: Post) -> bool:
    """Whether somebody asked for a payout or is of the creator's team, under any of their ids."""
    parties = post_.visitor.parties
    return party_of(payout.requested_by) in parties or any(map(state.is_team, parties))


# --- The desk ------------------------------------------------------------------------------------


@get("/staff/payouts", include_in_schema=False)
async def show_payouts(
    request: PageRequest, site: NamedDependency[Site], channel: ChannelChoice = ""
) -> Template:
    """What waits for a treasurer, what is on its way, what is done, and who owes."""
    post_ = await channel_post(site, request, *ALL, channel=channel)
    async with site.platform.views.connect() as connection:
        at = post_.channel.id
        requested = await reading.payouts(connection, at, ("requested",), oldest=True)
        approved = await reading.payouts(connection, at, ("approved",))
        ended = await reading.payouts(connection, at, DONE_STATES)
        debts = await reading.in_debt(connection, at)
    lines = [*requested, *approved, *ended]
    foreseen = {
        line.row.payout_id: await _foreseen(
            site, post_, line.campaign.campaign_id, line.row.payout_id
        )
        for line in requested
    }
    return await staff_page(
        site,
        post_,
        "payouts.html",
        "payouts",
        requested=requested,
        approved=approved,
        ended=ended,
        debts=debts,
        foreseen=foreseen,
        titles=await titles_of(site, [*(line.campaign for line in lines), *debts]),
        names=await names_of(
            site,
            [
                *(party_of(line.row.by) for line in lines),
                *(party_of(line.row.decided_by) for line in lines),
            ],
        ),
        payout_words=PAYOUT_STATES,
        code_words={**REFUSE_CAUSES, **CODES},
    )


@get("/staff/payouts/{campaign_id:str}/{payout_id:str}", include_in_schema=False)
async def show_payout(
    campaign_id: FromPath[str],
    payout_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: AtLeast = 0,
    done: Done = "",
) -> Template:
    """One payout: who asked, what it would move, and the books before and after."""
    post_, page = await campaign_post(site, request, campaign_id, *ALL, at_least=at_least)
    return await _page(site, post_, page, payout_id, done=done)


@post("/staff/payouts/{campaign_id:str}/{payout_id:str}/approve", include_in_schema=False)
async def approve(
    campaign_id: FromPath[str],
    payout_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Set the money aside, by a treasurer who proved a moment ago who they are."""
    post_, page = await campaign_post(site, request, campaign_id, "treasurer")
    await site.form(request, post_.visitor)
    site.require_step_up(post_.visitor)
    try:
        foreseen = await _foreseen(site, post_, campaign_id, payout_id)
        if foreseen is not None and foreseen.self_hindered:
            raise SelfApproval
        by = post_.actor("treasurer")
        outcome = await site.submit(
            ApprovePayout(**identity(post_, campaign_id, by), payout_id=payout_id)
        )
    except Rejection as rejected:
        return await _page(site, post_, page, payout_id, refused=refusal(rejected))
    return carried_out(site, _address(campaign_id, payout_id), "paid", outcome)


@post("/staff/payouts/{campaign_id:str}/{payout_id:str}/refuse", include_in_schema=False)
async def refuse(
    campaign_id: FromPath[str],
    payout_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Refuse it, for a cause from the list."""
    post_, page = await campaign_post(site, request, campaign_id, "treasurer")
    form = await site.form(request, post_.visitor)
    cause = form.get("cause", "")
    if cause not in REFUSE_CAUSES:
        fault = gettext("Choose why it is refused.")
        return await _page(
            site, post_, page, payout_id, refused=Refusal(fault, 422), errors={"cause": fault}
        )
    by = post_.actor("treasurer")
    try:
        outcome = await site.submit(
            RefusePayout(**identity(post_, campaign_id, by), payout_id=payout_id, cause=cause)
        )
    except Rejection as rejected:
        return await _page(site, post_, page, payout_id, refused=refusal(rejected))
    return carried_out(site, _address(campaign_id, payout_id), "refused", outcome)


@post("/staff/payouts/{campaign_id:str}/{payout_id:str}/revoke", include_in_schema=False)
async def revoke(
    campaign_id: FromPath[str],
    payout_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
) -> Response[Any]:
    """Take an approved payout back while a suspension or discrepancy keeps it from being sent."""
    post_, page = await campaign_post(site, request, campaign_id, "treasurer", "staff")
    await site.form(request, post_.visitor)
    by = post_.actor("treasurer", "staff")
    try:
        outcome = await site.submit(
            RevokePayout(**identity(post_, campaign_id, by), payout_id=payout_id)
        )
    except Rejection as rejected:
        return await _page(site, post_, page, payout_id, refused=refusal(rejected))
    return carried_out(site, _address(campaign_id, payout_id), "revoked", outcome)


def _address(campaign_id: str, payout_id: str) -> str:
    return f"/staff/payouts/{campaign_id}/{payout_id}"


async def _foreseen(site: Site, post_: Post, campaign_id: str, payout_id: str) -> Foreseen | None:
    at = site.platform.clock()
    return await asyncio.to_thread(
        site.platform.engine.inspect,
        campaign_id,
        lambda state: foresee(state, post_, payout_id, at),
    )


async def _page(
    site: Site,
    post_: Post,
    page: CampaignPage,
    payout_id: str,
    *,
    done: str = "",
    refused: Refusal | None = None,
    errors: dict[str, str] | None = None,
) -> Template:
    async with site.platform.views.connect() as connection:
        found = await desk(connection, page.campaign_id)
    rows = {row.payout_id: row for row in found.payouts} if found else {}
    row = rows.get(payout_id)
    foreseen = await _foreseen(site, post_, page.campaign_id, payout_id)
    if row is None or foreseen is None:
        raise NotFoundException
    hashes = [page.text, page.plan, *(milestone.text for milestone in page.milestones)]
    texts = await site.platform.stores.content.get_many(set(hashes) - {""})
    return await staff_page(
        site,
        post_,
        "payout.html",
        "payouts",
        done=done,
        refused=refused,
        page=page,
        row=row,
        foreseen=foreseen,
        title=in_language(texts.get(page.text, {}), "title"),
        plan=told(texts, page.plan, "body"),
        milestone=_milestone(page, row, texts),
        errors=errors or {},
        names=await names_of(site, [party_of(row.by), party_of(row.decided_by), page.creator]),
        causes=options(REFUSE_CAUSES),
        payout_words=PAYOUT_STATES,
        code_words={**REFUSE_CAUSES, **CODES},
        revocable=page.suspended or foreseen.frozen,
    )


def _milestone(
    page: CampaignPage, row: PayoutRow, texts: dict[str, dict[str, object]]
) -> tuple[int, int, str] | None:
    """(which, of how many, its title) of the milestone that a payout is for."""
    for number, milestone in enumerate(page.milestones, start=1):
        if milestone.milestone_id == row.milestone_id:
            return number, len(page.milestones), in_language(texts.get(milestone.text, {}), "title")
    return None


# --- Debts ---------------------------------------------------------------------------------------


@get("/staff/debts/{campaign_id:str}", include_in_schema=False)
async def show_debt(
    campaign_id: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    at_least: AtLeast = 0,
    done: Done = "",
) -> Template:
    """What a campaign's creator owes, and what can be done about it."""
    post_, page = await campaign_post(site, request, campaign_id, *ALL, at_least=at_least)
    return await _debt_page(site, post_, page, done=done)


@post("/staff/debts/{campaign_id:str}/repaid", include_in_schema=False)
async def record_repayment(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Book a repayment that arrived; one transfer is booked once."""
    post_, page = await campaign_post(site, request, campaign_id, "treasurer", "staff")
    form = await site.form(request, post_.visitor)
    site.require_step_up(post_.visitor)
    typed = {name: form.get(name, "").strip() for name in ("amount", "provider", "reference")}
    amount_minor = parse_amount(typed["amount"], page.currency)
    errors = {}
    if not amount_minor:
        errors["amount"] = gettext("Write the amount in figures, such as 1,200.50.")
    if not is_code(typed["provider"]):
        errors["provider"] = gettext("Name the provider as the books do, such as %(name)s.") % {
            "name": site.platform.provider.name
        }
    if not typed["reference"] or not is_reference(typed["reference"]):
        errors["reference"] = gettext("Write the transfer's reference: letters, digits and . : / -")
    if errors:
        refused = Refusal(next(iter(errors.values())), 422)
        return await _debt_page(site, post_, page, refused=refused, errors=errors, typed=typed)
    by = post_.actor("treasurer", "staff")
    try:
        outcome = await site.submit(
            RecordRepayment(
                **identity(post_, campaign_id, by),
                amount_minor=amount_minor or 0,
                provider=typed["provider"],
                reference=typed["reference"],
            )
        )
    except Rejection as rejected:
        return await _debt_page(site, post_, page, refused=refusal(rejected), typed=typed)
    return carried_out(site, f"/staff/debts/{campaign_id}", "repaid", outcome)


@post("/staff/debts/{campaign_id:str}/write-off", include_in_schema=False)
async def write_off(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Let the platform bear some of it."""
    post_, page = await campaign_post(site, request, campaign_id, "treasurer")
    form = await site.form(request, post_.visitor)
    site.require_step_up(post_.visitor)
    typed = {"written_off": form.get("written_off", "").strip()}
    amount_minor = parse_amount(typed["written_off"], page.currency)
    if not amount_minor:
        fault = gettext("Write the amount in figures, such as 1,200.50.")
        errors = {"written_off": fault}
        return await _debt_page(
            site, post_, page, refused=Refusal(fault, 422), errors=errors, typed=typed
        )
    by = post_.actor("treasurer")
    try:
        outcome = await site.submit(
            WriteOffDebt(**identity(post_, campaign_id, by), amount_minor=amount_minor)
        )
    except Rejection as rejected:
        return await _debt_page(site, post_, page, refused=refusal(rejected), typed=typed)
    return carried_out(site, f"/staff/debts/{campaign_id}", "written_off", outcome)


async def _debt_page(
    site: Site,
    post_: Post,
    page: CampaignPage,
    *,
    done: str = "",
    refused: Refusal | None = None,
    errors: dict[str, str] | None = None,
    typed: dict[str, str] | None = None,
) -> Template:
    def look(state: Campaign) -> int:
        on_its_way = (p.debt_minor for p in state.payouts.values() if p.state == "approved")
        return state.figures.owed_minor - sum(on_its_way)

    open_minor = await asyncio.to_thread(site.platform.engine.inspect, page.campaign_id, look)
    texts = await site.platform.stores.content.get_many([page.text])
    async with site.platform.views.connect() as connection:
        found = await desk(connection, page.campaign_id)
    deeds = [deed for deed in found.deeds if deed.tag.startswith("debt.")] if found else []
    blank = {"amount": "", "provider": site.platform.provider.name, "reference": ""}
    return await staff_page(
        site,
        post_,
        "debt.html",
        "payouts",
        done=done,
        refused=refused,
        page=page,
        title=in_language(texts.get(page.text, {}), "title"),
        open_minor=open_minor,
        deeds=deeds,
        names=await names_of(site, [page.creator, *(party_of(deed.by) for deed in deeds)]),
        errors=errors or {},
        typed={**blank, "written_off": "", **(typed or {})},
    )
