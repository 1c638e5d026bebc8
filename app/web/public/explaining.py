"""Every number of a page can be asked about: which events make it, page by page."""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter

from app.audit.explain import Explanation, Number, Shown
from app.audit.kept import KEPT
from app.web.language import gettext, translatable
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from projections.campaign_pages import CampaignPage

A_PAGE: Final = 100

NAMES: Final[dict[Number, str]] = {
    "pledged": translatable("Pledged"),
    "charged": translatable("Charged"),
    "held": translatable("Held for this campaign"),
    "paid": translatable("Paid to creator"),
    "returned": translatable("Returned"),
    "fees": translatable("Fees"),
    "owed": translatable("Owed by the creator"),
}

MEANINGS: Final[dict[Number, str]] = {
    "pledged": translatable(
        "What backers have promised and not taken back. No money has moved by that alone."
    ),
    "charged": translatable("What was taken from backers' cards and accounts."),
    "held": translatable("Charged money that still belongs to this campaign's backers or creator."),
    "paid": translatable("Money that was sent to the creator, after debts taken from it."),
    "returned": translatable("What went back to backers: refunds, and chargebacks that were lost."),
    "fees": translatable("What platform and payment cost, less what was given back."),
    "owed": translatable(
        "What went back to backers after it had been paid out: the creator has to repay it."
    ),
}

KINDS: Final[dict[str, str]] = {
    "pledge.made": translatable("A pledge was made"),
    "pledge.revised": translatable("A pledge was changed"),
    "pledge.withdrawn": translatable("A pledge was withdrawn by its backer"),
    "pledge.dropped": translatable("A pledge was dropped: its payment was not completed"),
    "pledge.released": translatable("A pledge was released: it is not charged"),
    "pledge.collected": translatable("A pledge was charged"),
    "campaign.failed": translatable("The goal was missed: all open pledges were released"),
    "campaign.cancelled": translatable("The campaign was called off: open pledges were released"),
    "fees.charged": translatable("The fees were taken"),
    "pledge.refunded": translatable("A refund went to a backer"),
    "dispute.opened": translatable("A backer's bank asked for money back"),
    "dispute.won": translatable("A chargeback was decided for the campaign"),
    "dispute.lost": translatable("A chargeback was lost: the money went back"),
    "payout.approved": translatable("A payout was approved"),
    "payout.sent": translatable("A payout was sent to the creator"),
    "payout.failed": translatable("A payout did not arrive"),
    "payout.returned": translatable("A payout came back"),
    "debt.repaid": translatable("The creator repaid a debt"),
    "debt.written_off": translatable("The platform bore a debt of the creator"),
    "discrepancy.recorded": translatable("The payment provider reported money that fits nothing"),
    "discrepancy.resolved": translatable("An open question in the books was settled"),
}
"""What happened, by the tag of the event without its version."""


def said_of(tag: str) -> str:
    """What an event is, in words; its tag where it has none."""
    return gettext(KINDS.get(tag.rpartition(".")[0], tag))


@get("/campaigns/{campaign_id:str}/explain/{number:str}", include_in_schema=False)
async def show_explanation(
    campaign_id: FromPath[str],
    number: FromPath[str],
    request: PageRequest,
    site: NamedDependency[Site],
    leaf: Annotated[int, QueryParameter(ge=1, le=100_000)] = 1,
) -> Response[Any]:
    """The events behind a number, the newest first; the last page holds the first events."""
    visitor = await site.visitor(request)
    page = await site.campaign(campaign_id)
    known = next((name for name in get_args(Number) if name == number), None)
    if known is None:
        raise NotFoundException
    found = await explanation(site, page, known)
    leaves = max(1, -(-len(found.changes) // A_PAGE))
    if leaf > leaves:
        raise NotFoundException
    end = len(found.changes) - (leaf - 1) * A_PAGE
    shown = found.changes[max(0, end - A_PAGE) : end][::-1]
    texts = await site.platform.stores.content.get_many({page.text} - {""})
    return site.page(
        "public/explain.html",
        visitor if visitor.party else None,
        page=page,
        title=in_language(texts.get(page.text, {}), "title"),
        number=known,
        names=NAMES,
        meaning=MEANINGS[known],
        found=found,
        shown=[(change, said_of(change.kind)) for change in shown],
        leaf=leaf,
        leaves=leaves,
        section="discover",
    )


async def explanation(site: Site, page: CampaignPage, number: Number) -> Explanation:
    """A number's events up to where the page has read the log; kept, as they never change."""
    shown = Shown(getattr(page, f"{number}_minor"), page.position)
    settings = site.platform.settings
    log = settings.database_url or settings.log_path
    return await KEPT.explained(log, page.campaign_id, number, shown)
