"""What a creator should do next: one step with its date, and a queue of what else waits."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from app.web.creator.outlook import Outlook
from app.web.language import gettext, ngettext
from app.web.money import money
from domain.state import Phase
from domain.terms import DAY_MS
from projections.campaign_pages import CampaignPage
from projections.creator_desk import Desk

SILENCE_DAYS = 7
"""After so many days without news backers begin to wonder."""
SOON_DAYS = 14
"""So many days before an estimated delivery the desk speaks of it."""


class NextStep(Struct, frozen=True):
    """The one thing to do next. `due_at` is ms UTC, None where it has no date."""

    what: str
    why: str
    due_at: int | None
    path: str
    button: str


class Waiting(Struct, frozen=True):
    """A line of the queue, and how many wait in it."""

    what: str
    count: int
    path: str


def next_step(
    page: CampaignPage, desk: Desk, ahead: Outlook, *, questions: int, now: int
) -> NextStep:
    """The first thing in the order of what backers would miss most."""
    return next(_steps(page, desk, ahead, questions, now))


def _steps(
    page: CampaignPage, desk: Desk, ahead: Outlook, questions: int, now: int
) -> Iterator[NextStep]:
    at = f"/desk/{page.campaign_id}"
    if page.suspended:
        yield NextStep(
            gettext("Wait for the channel."),
            gettext("The campaign is suspended while staff look into it."),
            None,
            f"{at}/deeds",
            gettext("See who did what"),
        )
    if "plan_needed" in ahead.obstacles and page.phase == Phase.SETTLED:
        yield NextStep(
            gettext("Say what you do with less money."),
            gettext("Less than the goal was charged: payouts wait for your plan."),
            None,
            f"{at}/course#plan",
            gettext("Write the plan"),
        )
    if questions:
        yield NextStep(
            ngettext("Answer a question.", "Answer %(n)s questions.", questions) % {"n": questions},
            gettext("Backers read the answers, too."),
            None,
            f"/campaigns/{page.campaign_id}#questions",
            gettext("Answer"),
        )
    offers = _offers(page)
    if offers:
        yield NextStep(
            ngettext("Decide on an offer of help.", "Decide on %(n)s offers of help.", offers)
            % {"n": offers},
            gettext("Somebody waits to hear whether you take it."),
            None,
            f"{at}/rewards#needs",
            gettext("Decide"),
        )
    yield from _by_phase(page, desk, ahead, now, at)


def _by_phase(
    page: CampaignPage, desk: Desk, ahead: Outlook, now: int, at: str
) -> Iterator[NextStep]:
    news_at = max((update.at for update in page.updates), default=0)
    update = (f"{at}/updates", gettext("Write an update"))
    if page.phase == Phase.LIVE and not page.pledges:
        yield NextStep(
            gettext("Send the link to five friends."),
            gettext("No pledges yet. The first ones come from people who know you."),
            page.deadline_at,
            f"/campaigns/{page.campaign_id}",
            gettext("Open the page"),
        )
    elif page.phase == Phase.LIVE:
        since_at = max(news_at, page.launched_at or now)
        if now > since_at + SILENCE_DAYS * DAY_MS:
            yield NextStep(
                gettext("Tell your backers how it goes."),
                gettext("They have not heard from you for a week."),
                None,
                *update,
            )
        yield NextStep(
            gettext("Nothing has to be done now."),
            gettext("Pledges come in until the last day."),
            page.deadline_at,
            f"/campaigns/{page.campaign_id}",
            gettext("Open the page"),
        )
    elif page.phase in (Phase.SUCCEEDED, Phase.SETTLED):
        yield from _after_success(page, desk, ahead, now, at)
    elif page.phase == Phase.COMPLETED:
        yield from _to_deliver(page, desk, now, at, always=True)
        yield NextStep(
            gettext("Nothing is left to do."),
            gettext("Nothing is held any more and nothing is owed: these books are closed."),
            None,
            *update,
        )
    else:
        if news_at < page.deadline_at:
            yield NextStep(
                gettext("Tell your backers what happens now."),
                gettext("What was charged goes back; a word from you goes a long way."),
                None,
                *update,
            )
        yield NextStep(
            gettext("Nothing is left to do."),
            gettext("What was charged goes back by itself."),
            None,
            *update,
        )


def _after_success(
    page: CampaignPage, desk: Desk, ahead: Outlook, now: int, at: str
) -> Iterator[NextStep]:
    news_at = max((update.at for update in page.updates), default=0)
    if news_at < page.deadline_at:
        yield NextStep(
            gettext("Thank your backers."),
            gettext("It succeeded: say what happens next, and when."),
            page.deadline_at + SILENCE_DAYS * DAY_MS,
            f"{at}/updates",
            gettext("Write an update"),
        )
    yield from _to_deliver(page, desk, now, at, always=False)
    waiting = any(payout.state == "requested" for payout in desk.payouts)
    if not ahead.obstacles and not waiting and ahead.next_minor:
        yield NextStep(
            gettext("Request a payout."),
            gettext("%(amount)s can be paid to you.")
            % {"amount": money(ahead.free_minor, page.currency)},
            None,
            f"{at}/payouts",
            gettext("Look at it"),
        )
    yield from _to_deliver(page, desk, now, at, always=True)
    if "too_early" in ahead.obstacles:
        yield NextStep(
            gettext("Wait for the first payout."),
            gettext("It can be requested from this day on."),
            ahead.payable_from_at,
            f"{at}/payouts",
            gettext("Look at it"),
        )
    yield NextStep(
        gettext("Nothing has to be done now."),
        gettext("Keep your backers posted while you work."),
        None,
        f"{at}/updates",
        gettext("Write an update"),
    )


def _to_deliver(
    page: CampaignPage, desk: Desk, now: int, at: str, *, always: bool
) -> Iterator[NextStep]:
    """Rewards to send: those whose month is near or past, or with `always` any."""
    owed = {row.reward_id: row.pledges for row in desk.deliveries if row.pledges}
    dues = [
        reward.delivery_at
        for reward in page.rewards
        if reward.reward_id in owed and reward.delivery_at
    ]
    due_at = min(dues, default=None)
    near = due_at is not None and due_at < now + SOON_DAYS * DAY_MS
    if owed and (near or always):
        yield NextStep(
            gettext("Send the rewards, and mark what is sent."),
            gettext("Backers see that it is on its way."),
            due_at,
            f"{at}/deliveries",
            gettext("Open the delivery list"),
        )


def _offers(page: CampaignPage) -> int:
    return sum(offer.state == "offered" for need in page.needs for offer in need.offers)


def waiting_for(
    page: CampaignPage, desk: Desk, ahead: Outlook, *, questions: int, problems: int
) -> list[Waiting]:
    """Everything that waits for the creator, each with its place; what is empty is left out."""
    at = f"/desk/{page.campaign_id}"
    parcels = max((row.pledges for row in desk.deliveries), default=0)
    failed = sum(refund.state == "failed" for refund in desk.refunds)
    came_back = sum(payout.state in ("failed", "returned") for payout in desk.payouts)
    open_disputes = sum(dispute.state == "open" for dispute in desk.disputes)
    offers = _offers(page)
    payable = int(not ahead.obstacles and bool(ahead.next_minor))
    found = [
        Waiting(
            gettext("Questions to answer"), questions, f"/campaigns/{page.campaign_id}#questions"
        ),
        Waiting(gettext("Offers of help"), offers, f"{at}/rewards#needs"),
        Waiting(gettext("Payments that failed"), problems, f"{at}/backers?state=failed"),
        Waiting(gettext("Rewards to send"), parcels, f"{at}/deliveries"),
        Waiting(gettext("Refunds that did not go through"), failed, f"{at}/refunds"),
        Waiting(gettext("Chargebacks"), open_disputes, f"{at}/refunds"),
        Waiting(gettext("Payouts that came back"), came_back, f"{at}/payouts"),
        Waiting(gettext("Payout to request"), payable, f"{at}/payouts"),
        Waiting(
            gettext("Plan to write"), int("plan_needed" in ahead.obstacles), f"{at}/course#plan"
        ),
    ]
    return [waiting for waiting in found if waiting.count]
