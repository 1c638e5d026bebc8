"""How a pledge stands: what happened, what happens next and when, and where its money is."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.web import dates
from app.web.backer.wording import charge_sentence, decline_said
from app.web.language import gettext
from app.web.money import money
from app.web.public.campaign_view import CampaignView
from domain.state import Campaign, Phase
from domain.terms import DAY_MS
from projections.backer_ledger import PledgeLine, StatementLine
from projections.facts import pledge_key
from projections.pledges import CAMPAIGNS, DISPUTES, REFUNDS, DisputeRow, RefundRow

CHANGEABLE: Final = frozenset(("made",))
CARD_MATTERS: Final = frozenset(("made", "failed", "action_required"))
"""States in which another payment method can be given."""

WITHDRAWABLE: Final = frozenset(("made", "failed", "action_required", "collected"))
"""States in which leaving may be possible; the rules decide."""

_HAPPENED: Final = frozenset(
    ("charged", "paid", "paid_back", "refunded", "dispute_lost", "revised")
)


class Attempt(Struct, frozen=True):
    """The last try to charge a pledge, as the rules know it; `next_at` is 0 where none is due."""

    number: int = 0
    failed_at: int = 0
    kept_until: int = 0
    next_at: int = 0


class Moment(Struct, frozen=True):
    """A dated step of a pledge's way. `at` 0: it has no date."""

    at: int
    said: str
    when: Literal["past", "now", "next"]


class Notice(Struct, frozen=True):
    """The sentence at the top; `kind` is its colour."""

    kind: Literal["", "good", "warn"]
    said: str


def attempt_of(state: Campaign, no: int) -> Attempt:
    """What the rules remember of the last try."""
    pledge = state.pledge(no)
    if pledge is None or not pledge.failed_at:
        return Attempt()
    terms = state.bound.terms
    after = terms.retry_after_days
    next_at = 0
    if pledge.retryable and 1 <= pledge.attempt <= len(after):
        next_at = pledge.failed_at + after[pledge.attempt - 1] * DAY_MS
    kept_until = pledge.failed_at + terms.grace_days * DAY_MS
    return Attempt(
        pledge.attempt, pledge.failed_at, kept_until, next_at if next_at < kept_until else 0
    )


def may_leave(line: PledgeLine, view: CampaignView, now: int) -> bool:
    """Whether cancelling is worth offering."""
    page = view.page
    if line.state == "made":
        return page.phase == Phase.LIVE and now < page.deadline_at
    if line.state == "collected":
        if view.terms.collect_at != "pledge" or line.charged_at is None:
            return False
        return now < line.charged_at + view.terms.withdrawal_days * DAY_MS
    return line.state in WITHDRAWABLE


def may_change(line: PledgeLine, view: CampaignView, now: int) -> bool:
    """Whether the pledge itself can be changed."""
    page = view.page
    running = page.phase == Phase.LIVE and not page.suspended and now < page.deadline_at
    return line.state in CHANGEABLE and running


# --- In words ------------------------------------------------------------------------------------


def notice(line: PledgeLine, view: CampaignView, attempt: Attempt, *, asked: bool) -> Notice:
    """How the pledge stands, in a sentence or two. `asked`: the bank waits for the backer."""
    page, currency = view.page, line.currency
    amount = money(line.amount_minor, currency)
    facts = {"amount": amount, "held": money(line.held_minor, currency)}
    match line.state:
        case "made" if page.suspended:
            said = gettext(
                "The campaign is suspended at the moment: nothing is charged until it goes on."
            )
            return Notice("warn", said)
        case "made" if page.phase == Phase.LIVE:
            return Notice("", charge_sentence(page, view.terms, amount))
        case "made":
            return Notice(
                "", gettext("The goal was met. %(amount)s is about to be charged.") % facts
            )
        case "collecting":
            return Notice("", gettext("%(amount)s is being charged.") % facts)
        case "unknown":
            said = gettext("We're asking your bank. Don't pay again; you won't be charged twice.")
            return Notice("", said)
        case "action_required" if asked:
            said = gettext("Your bank wants you to confirm this payment of %(amount)s.")
            return Notice("warn", said % facts)
        case "action_required":
            said = gettext("Your answer is with the bank. This page shows what came of it.")
            return Notice("", said)
        case "failed":
            return Notice("warn", _declined(line, attempt))
        case "dropped":
            said = gettext(
                "The payment was not completed, so the pledge ended. You were not charged."
            )
            return Notice("", said)
        case "withdrawn" if line.charged_minor == 0:
            said = gettext("You left this campaign. You were not charged.")
            return Notice("", said)
        case "withdrawn":
            return Notice("", gettext("You left this campaign. Your money goes back to you."))
        case "released" if page.phase == Phase.FAILED:
            return Notice("", gettext("Goal missed. You were not charged."))
        case "released":
            return Notice("", gettext("The campaign was called off. You were not charged."))
        case "refund_requested":
            return Notice("", gettext("A refund is on its way to your card."))
        case "refunded":
            return Notice("good", gettext("All of it went back to you."))
        case "partly_refunded":
            back = {"amount": money(line.refunded_minor, currency)}
            said = gettext("%(amount)s of it went back to you.") % back
            return _with_debt(said, line) if page.phase == Phase.CANCELLED else Notice("good", said)
        case "collected" if page.phase == Phase.CANCELLED and line.paid_minor > 0:
            return _with_debt(gettext("The campaign was called off."), line)
        case "disputed":
            said = gettext(
                "Your bank asked for the money back (a chargeback) and has not decided yet. Until "
                "then no refund is sent, so that nothing goes back twice."
            )
            return Notice("warn", said)
        case _:
            return Notice("good", gettext("You were charged %(amount)s.") % facts)


def _with_debt(said: str, line: PledgeLine) -> Notice:
    """Of a campaign that was called off: what its creator had got of this pledge, and kept."""
    if line.paid_minor <= 0:
        return Notice("good", said)
    owed = gettext(
        "%(paid)s was paid to the creator before and has not come back: the creator owes it to you."
    )
    return Notice("warn", f"{said} {owed % {'paid': money(line.paid_minor, line.currency)}}")


def _declined(line: PledgeLine, attempt: Attempt) -> str:
    why = decline_said(line.decline_code)
    if attempt.kept_until:
        kept = gettext(
            "Your bank declined. Your pledge is kept until %(when)s. Use another card or cancel "
            "free."
        ) % {"when": dates.minute(attempt.kept_until)}
    else:
        kept = gettext("Your bank declined. Use another card or cancel free.")
    return f"{kept} {why}"


def timeline(
    line: PledgeLine,
    view: CampaignView,
    statement: list[StatementLine],
    attempt: Attempt,
    deliveries: list[int],
) -> list[Moment]:
    """What happened to a pledge and what comes next, in the order of time."""
    found = [Moment(row.at, _happened(row, line.currency), "past") for row in _told(statement)]
    if attempt.failed_at and line.state == "failed":
        found.append(Moment(attempt.failed_at, gettext("Your bank declined the charge."), "past"))
    found.extend(_coming(line, view, attempt, deliveries))
    order = {"past": 0, "now": 1, "next": 2}
    return sorted(found, key=lambda moment: (order[moment.when], moment.at))


def _told(statement: list[StatementLine]) -> list[StatementLine]:
    return [row for number, row in enumerate(statement) if number == 0 or row.kind in _HAPPENED]


def _happened(row: StatementLine, currency: str) -> str:
    said = {
        "pledged": gettext("You pledged %(amount)s."),
        "revised": gettext("You changed your pledge to %(pledged)s."),
        "charged": gettext("%(amount)s was charged to you."),
        "paid": gettext("%(amount)s of it was paid to the creator."),
        "paid_back": gettext("%(amount)s came back from the creator's bank."),
        "refunded": gettext("%(amount)s went back to you."),
        "dispute_lost": gettext("Your bank took %(amount)s back for you."),
    }[row.kind]
    return said % {
        "amount": money(abs(row.amount_minor), currency),
        "pledged": money(row.pledged_minor, currency),
    }


def _coming(
    line: PledgeLine, view: CampaignView, attempt: Attempt, deliveries: list[int]
) -> list[Moment]:
    page, terms = view.page, view.terms
    amount = {"amount": money(line.amount_minor, line.currency)}
    found: list[Moment] = []
    if line.state == "made" and page.phase == Phase.LIVE:
        if terms.collect_at == "success":
            closes = gettext("The campaign closes. If its goal is met, %(amount)s is charged.")
            found.append(Moment(page.deadline_at, closes % amount, "next"))
        else:
            found.append(Moment(0, gettext("%(amount)s is about to be charged.") % amount, "now"))
    elif line.state in ("made", "collecting"):
        found.append(Moment(0, gettext("%(amount)s is being charged.") % amount, "now"))
    elif line.state == "unknown":
        found.append(Moment(0, gettext("We wait for your bank's answer."), "now"))
    elif line.state == "action_required":
        found.append(Moment(0, gettext("Your bank waits for your confirmation."), "now"))
    elif line.state == "failed":
        if attempt.next_at:
            found.append(Moment(attempt.next_at, gettext("We try the same card again."), "next"))
        ends = gettext("The last moment to pay. After it your pledge ends without a charge.")
        found.append(Moment(attempt.kept_until, ends, "next"))
    elif line.state == "refund_requested":
        found.append(Moment(0, gettext("The refund is on its way to your card."), "now"))
    elif line.state == "disputed":
        found.append(Moment(0, gettext("Your bank decides about the chargeback."), "now"))
    if line.standing and page.phase not in (Phase.FAILED, Phase.CANCELLED):
        found.extend(_after_success(line, view, deliveries))
    return found


def _after_success(line: PledgeLine, view: CampaignView, deliveries: list[int]) -> list[Moment]:
    page, terms = view.page, view.terms
    found: list[Moment] = []
    if line.charged_at and terms.collect_at == "pledge" and page.phase == Phase.LIVE:
        until = line.charged_at + terms.withdrawal_days * DAY_MS
        found.append(Moment(until, gettext("Until then you can change your mind."), "next"))
    if not line.paid_minor and line.state != "refunded":
        pays = page.deadline_at + terms.payout_delay_days * DAY_MS
        found.append(Moment(pays, gettext("From then on the creator can be paid."), "next"))
    if line.received:
        found.append(Moment(0, gettext("You confirmed that your reward arrived."), "past"))
    elif line.sent:
        found.append(Moment(0, gettext("Your reward is on its way, says the creator."), "now"))
    elif deliveries and line.state != "refunded":
        sends = gettext("Estimated delivery of your reward.")
        found.append(Moment(max(deliveries), sends, "next"))
    return found


def shares(line: PledgeLine, statement: list[StatementLine]) -> list[str]:
    """Where the charged money is: a phrase for each payout, the fees, what went back, the rest."""
    currency = line.currency
    found = []
    for row in statement:
        facts = {"amount": money(abs(row.amount_minor), currency), "day": dates.day(row.at)}
        if row.kind == "paid":
            found.append(gettext("%(amount)s paid to the creator on %(day)s") % facts)
        elif row.kind == "paid_back":
            found.append(gettext("%(amount)s of that came back on %(day)s") % facts)
        elif row.kind in ("refunded", "dispute_lost"):
            found.append(gettext("%(amount)s returned to you on %(day)s") % facts)
    if line.fees_minor:
        found.append(gettext("%(amount)s fees") % {"amount": money(line.fees_minor, currency)})
    held = {"amount": money(line.held_minor, currency)}
    found.append(gettext("%(amount)s still held") % held)
    return found


# --- Refunds and chargebacks ---------------------------------------------------------------------


class Fate(Struct, frozen=True):
    """A refund or chargeback of a pledge."""

    at: int
    said: str
    amount_minor: int


async def fates(conn: AsyncConnection, campaign_id: str, no: int) -> list[Fate]:
    """Every refund and chargeback of a pledge, with how it stands, the oldest first."""
    campaigns = CAMPAIGNS.table.c
    wanted = select(campaigns.key).where(campaigns.campaign_id == campaign_id)
    campaign = (await conn.execute(wanted)).scalar()
    if campaign is None:
        return []
    key = pledge_key(campaign, no)
    refunds, disputes = REFUNDS.table, DISPUTES.table
    found = []
    for row in await conn.execute(select(refunds).where(refunds.c.pledge == key)):
        refund = RefundRow(*row)
        found.append(Fate(refund.at, _refund_said(refund), refund.amount_minor))
    for row in await conn.execute(select(disputes).where(disputes.c.pledge == key)):
        dispute = DisputeRow(*row)
        found.append(Fate(dispute.at, _dispute_said(dispute), dispute.amount_minor))
    return sorted(found, key=lambda fate: fate.at)


def _refund_said(refund: RefundRow) -> str:
    match refund.state:
        case "sent":
            said = gettext("Refund sent to your card on %(day)s")
            return said % {"day": dates.day(refund.ended_at or refund.at)}
        case "failed":
            return gettext(
                "Refund could not be sent: the card did not take it. The money is still here and "
                "the creator has been told."
            )
        case _:
            return gettext("Refund on its way to your card")


def _dispute_said(dispute: DisputeRow) -> str:
    match dispute.state:
        case "won":
            return gettext("Chargeback: your bank decided that the charge stands")
        case "lost":
            return gettext("Chargeback: your bank gave you the money back")
        case _:
            return gettext("Chargeback: your bank has not decided yet")
