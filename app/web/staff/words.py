"""The codes of the log in words, for the channel's desk: causes, states, facts, acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.web.language import gettext, translatable
from app.web.refusals import said
from domain.errors import Rejection

SUSPEND_CAUSES: Final[Mapping[str, str]] = {
    "report": translatable("Reports are being looked into"),
    "payment_risk": translatable("Unusual payments are being looked into"),
    "identity": translatable("Who is behind it is unclear"),
    "rights": translatable("Somebody else's work or name may be used"),
    "forbidden": translatable("It may offer something that is not allowed here"),
    "creator_asked": translatable("The creator asked for a pause"),
}
CANCEL_CAUSES: Final[Mapping[str, str]] = {
    "cannot_deliver": translatable("It cannot be delivered"),
    "creator_asked": translatable("The creator asked for it"),
    "deception": translatable("Backers were deceived"),
    "forbidden": translatable("It offers something that is not allowed here"),
    "rights": translatable("It uses somebody else's work or name"),
    "legal": translatable("The law demands it"),
}
REFUSE_CAUSES: Final[Mapping[str, str]] = {
    "account_unclear": translatable("The payout account is not clear"),
    "milestone_not_shown": translatable("The milestone has not been shown to be reached"),
    "plan_unclear": translatable("What happens with the money is not clear"),
    "open_disputes": translatable("Chargebacks are still open"),
    "asked_in_error": translatable("It was asked for by mistake"),
    "other": translatable("Another reason, told to the creator directly"),
}
RESOLUTIONS: Final[Mapping[str, str]] = {
    "returned": translatable("The money went back to where it came from"),
    "written_off": translatable("The platform bears it"),
    "noted": translatable("No money was involved: noted"),
}
OUTCOMES: Final[Mapping[str, str]] = {
    "nothing_wrong": translatable("Nothing was found wrong"),
    "creator_told": translatable("The creator was asked to change something"),
    "taken_down": translatable("Something was taken down"),
    "suspended": translatable("The campaign was suspended"),
    "duplicate": translatable("The same was reported before"),
}
REPORT_REASONS: Final[Mapping[str, str]] = {
    "untrue": translatable("It says something untrue"),
    "forbidden": translatable("It offers something forbidden"),
    "not_theirs": translatable("It uses somebody else's work or name"),
    "hateful": translatable("It is hateful"),
    "personal_data": translatable("It shows somebody's personal data"),
    "other": translatable("Something else"),
}
PHASES: Final[Mapping[str, str]] = {
    "submitted": translatable("Waits for review"),
    "returned": translatable("Returned to the creator"),
    "approved": translatable("Approved"),
    "live": translatable("Live"),
    "succeeded": translatable("Succeeded"),
    "settled": translatable("Every pledge settled"),
    "completed": translatable("Completed"),
    "failed": translatable("Goal missed"),
    "cancelled": translatable("Called off"),
}
PAYOUT_STATES: Final[Mapping[str, str]] = {
    "requested": translatable("Waits for approval"),
    "refused": translatable("Refused"),
    "approved": translatable("Approved, on its way"),
    "sent": translatable("Sent"),
    "failed": translatable("Could not be sent"),
    "returned": translatable("Came back from the bank"),
}
DISPUTE_STATES: Final[Mapping[str, str]] = {
    "open": translatable("The bank decides"),
    "won": translatable("Won: the money came back"),
    "lost": translatable("Lost: the backer has the money"),
}
OFFER_STATES: Final[Mapping[str, str]] = {
    "offered": translatable("Waits for an answer"),
    "accepted": translatable("Accepted"),
    "declined": translatable("Declined"),
    "received": translatable("Arrived"),
}
MODELS: Final[Mapping[str, str]] = {
    "all_or_nothing": translatable("All or nothing"),
    "flexible": translatable("Keeps what it raises"),
}
DISCREPANCIES: Final[Mapping[str, str]] = {
    "collected_unexpectedly": translatable("Charged though nobody asked for it"),
    "collected_amount_differs": translatable("Another amount was charged than asked for"),
    "declined_after_success": translatable("Declined after it had been charged"),
    "refunded_unexpectedly": translatable("Refunded though nobody asked for it"),
    "disputed_unexpectedly": translatable("A chargeback that fits no charge"),
    "paid_out_unexpectedly": translatable("Paid out though nobody approved it"),
    "payout_returned_unexpectedly": translatable("Came back from an account that was not paid"),
}
REFUND_CAUSES: Final[Mapping[str, str]] = {
    "withdrawn": translatable("The backer left"),
    "failed": translatable("The goal was missed"),
    "cancelled": translatable("The campaign was called off"),
    "goodwill": translatable("Goodwill"),
    "not_delivered": translatable("Not delivered"),
}
ROLES: Final[Mapping[str, str]] = {
    "staff": translatable("Staff"),
    "treasurer": translatable("Treasurer"),
    "auditor": translatable("Auditor"),
    "creator": translatable("Creator"),
    "backer": translatable("Backer"),
    "system": translatable("Our own processes"),
    "provider": translatable("The payment provider"),
}
ROLE_MEANINGS: Final[Mapping[str, str]] = {
    "staff": translatable("Reviews, suspends, settles reports, gives roles"),
    "treasurer": translatable("Approves money out, never what they asked for themselves"),
    "auditor": translatable("Reads everything, changes nothing"),
}
WORK: Final[Mapping[str, str]] = {
    "close": translatable("Close at the deadline"),
    "lapse": translatable("End checkouts"),
    "page": translatable("Plan charges and refunds"),
    "collect": translatable("Charge pledges"),
    "drop": translatable("End unpaid pledges"),
    "cancel": translatable("Cancel charges under way"),
    "give_back": translatable("Ask for refunds"),
    "refund": translatable("Send refunds"),
    "return": translatable("Send stray money back"),
    "payout": translatable("Send payouts"),
}
ACTS: Final[Mapping[str, str]] = {
    "report_settled": translatable("settled a report"),
    "text_taken_down": translatable("took a text down"),
    "picture_taken_down": translatable("took a picture down"),
    "question_hidden": translatable("hid a question"),
    "campaign_featured": translatable("featured a campaign"),
    "campaign_unfeatured": translatable("ended featuring a campaign"),
    "role_given": translatable("gave a role"),
    "role_taken": translatable("took a role away"),
}
CODES: Final[Mapping[str, str]] = {
    "revoked": translatable("Taken back before it was sent"),
    "account_closed": translatable("The account is closed"),
    "account_invalid": translatable("The account does not exist"),
    "card_expired": translatable("The card has expired"),
    "insufficient_funds": translatable("Not enough money on the account"),
    "do_not_honour": translatable("The bank said no"),
    "refund_refused": translatable("The provider refused the refund"),
}

FACTS: Final[Mapping[str, str]] = {
    "campaign.submitted.v1": translatable("Handed in for review"),
    "campaign.returned.v1": translatable("Returned with remarks"),
    "campaign.resubmitted.v1": translatable("Handed in again"),
    "campaign.approved.v1": translatable("Approved"),
    "campaign.launched.v1": translatable("Went live"),
    "campaign.suspended.v1": translatable("Suspended"),
    "campaign.resumed.v1": translatable("Suspension lifted"),
    "campaign.deadline_extended.v1": translatable("Deadline moved"),
    "campaign.succeeded.v1": translatable("Closed with success"),
    "campaign.failed.v1": translatable("Closed, goal missed"),
    "campaign.cancelled.v1": translatable("Called off"),
    "campaign.settled.v1": translatable("Every pledge settled"),
    "campaign.completed.v1": translatable("Completed: nothing held, nothing owed"),
    "campaign.late_pledges_opened.v1": translatable("Late pledges opened"),
    "campaign.late_pledges_closed.v1": translatable("Late pledges closed"),
    "campaign.story_changed.v1": translatable("Story changed after the launch"),
    "campaign.plan_updated.v1": translatable("Plan for less money updated"),
    "update.posted.v1": translatable("Update posted"),
    "reward.added.v1": translatable("Reward added"),
    "reward.changed.v1": translatable("Reward changed"),
    "reward.stock_changed.v1": translatable("Stock of a reward changed"),
    "need.offered.v1": translatable("Help offered"),
    "need.accepted.v1": translatable("Offer of help accepted"),
    "need.declined.v1": translatable("Offer of help declined"),
    "need.received.v1": translatable("Help arrived"),
    "hold.placed.v1": translatable("Checkout keeps rewards"),
    "hold.lapsed.v1": translatable("Checkout ended"),
    "pledge.made.v1": translatable("Pledge made"),
    "pledge.revised.v1": translatable("Pledge changed by its backer"),
    "pledge.withdrawn.v1": translatable("Pledge withdrawn by its backer"),
    "pledge.payment_method_replaced.v1": translatable("Another payment method given"),
    "collection.requested.v1": translatable("Charge asked for"),
    "pledge.collected.v1": translatable("Charged"),
    "collection.action_required.v1": translatable("The bank wants a confirmation"),
    "collection.unknown.v1": translatable("No answer to a charge: its fate is unknown"),
    "collection.failed.v1": translatable("Charge declined"),
    "pledge.dropped.v1": translatable("Payment not completed: the pledge ended"),
    "pledge.released.v1": translatable("Not charged: the campaign had ended"),
    "fees.charged.v1": translatable("Fees charged"),
    "refund.requested.v1": translatable("Refund asked for"),
    "pledge.refunded.v1": translatable("Refunded"),
    "refund.failed.v1": translatable("Refund refused by the provider"),
    "dispute.opened.v1": translatable("Chargeback opened"),
    "dispute.won.v1": translatable("Chargeback won"),
    "dispute.lost.v1": translatable("Chargeback lost"),
    "delivery.marked.v1": translatable("Rewards sent, says the creator"),
    "delivery.received.v1": translatable("Reward received, says the backer"),
    "payout_account.verified.v1": translatable("Payout account verified"),
    "payout.requested.v1": translatable("Payout asked for"),
    "payout.approved.v1": translatable("Payout approved"),
    "payout.refused.v1": translatable("Payout refused"),
    "payout.sent.v1": translatable("Payout sent"),
    "payout.failed.v1": translatable("Payout could not be sent"),
    "payout.returned.v1": translatable("Payout came back"),
    "debt.repaid.v1": translatable("Debt repaid by the creator"),
    "debt.written_off.v1": translatable("Debt written off"),
    "discrepancy.recorded.v1": translatable("A report from outside that fits nothing"),
    "discrepancy.resolved.v1": translatable("Discrepancy settled"),
}

_SAID_HERE: Final[Mapping[str, str]] = {
    "The creator's team does not approve its own campaign.": translatable(
        "You are of this campaign's team. Somebody else of the channel has to review it."
    ),
    "The creator's team does not verify its own account.": translatable(
        "You are of this campaign's team. Somebody else of the channel has to verify its account."
    ),
    "The creator's team does not settle its own discrepancies.": translatable(
        "You are of this campaign's team. Somebody else of the channel has to settle this."
    ),
    "The account was changed since: request the payout again.": translatable(
        "The payout account was changed since this was asked for. The creator has to ask again."
    ),
    "The campaign is suspended already.": translatable("The campaign is suspended already."),
    "The campaign is not suspended.": translatable("The campaign is not suspended."),
    "An earlier milestone's payout came back.": translatable(
        "The payout of an earlier milestone came back. That one comes first."
    ),
    "It is on its way: suspend the campaign first.": translatable(
        "It is on its way. Only while the campaign is suspended or its payouts are frozen can an "
        "approved payout be taken back."
    ),
}
"""What the rules say to staff in more words than their reason."""


def why(rejection: Rejection) -> str:
    """Why the rules refuse, in the page's language."""
    sentence = _SAID_HERE.get(str(rejection))
    return gettext(sentence) if sentence else said(rejection)


def word(words: Mapping[str, str], code: str) -> str:
    """A code in words; one that we have no words for, with spaces for underscores."""
    sentence = words.get(code)
    return gettext(sentence) if sentence else code.replace("_", " ")


def options(words: Mapping[str, str]) -> list[tuple[str, str]]:
    """(code, words) of every code, in their order, for a list to choose from."""
    return [(code, gettext(sentence)) for code, sentence in words.items()]
