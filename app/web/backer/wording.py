"""What a backer reads about a pledge: what is charged and when, where it stands, what became of it.

Whole sentences, each translated as one; amounts and dates are put into them as they are written
in the page's language.
"""

from __future__ import annotations

from typing import Final

from app.web import dates
from app.web.language import gettext, translatable
from app.web.money import money
from domain.terms import Terms
from projections.campaign_pages import CampaignPage

AMOUNT: Final = "{amount}"
"""What stands for the amount in a sentence that a script completes while somebody types."""

_LINES: Final[dict[str, str]] = {
    "pledged": translatable("promised"),
    "revised": translatable("promise changed"),
    "withdrawn": translatable("withdrawn"),
    "dropped": translatable("payment not completed"),
    "released": translatable("not charged"),
    "charged": translatable("charged to you"),
    "fees": translatable("fees"),
    "fees_reversed": translatable("fees given back"),
    "paid": translatable("paid to creator"),
    "paid_back": translatable("payout came back"),
    "refunded": translatable("returned to you"),
    "dispute_lost": translatable("returned by your bank"),
    "owed_by_creator": translatable("owed by the creator"),
}

_DECLINES: Final[dict[str, str]] = {
    "insufficient_funds": translatable("The bank says that there is not enough money on the card."),
    "card_lost": translatable("The bank says that this card was reported lost."),
    "card_expired": translatable("The bank says that this card has expired."),
    "confirmation_expired": translatable("The payment was not confirmed in time."),
    "confirmation_refused": translatable("The payment was refused on the bank's page."),
    "cancelled": translatable("The payment was taken back before it was confirmed."),
    "no_payment_method": translatable("There is no card for this pledge."),
    "no_such_method": translatable("The bank does not know this card any more."),
}
_DECLINED: Final = translatable("The bank gave no reason.")


def charge_sentence(page: CampaignPage, terms: Terms, amount: str) -> str:
    """What will be charged for a new pledge of `amount` (as it is written), and when."""
    facts = {
        "amount": amount,
        "nothing": money(0, page.currency),
        "day": dates.day(page.deadline_at),
        "days": dates.in_days(terms.withdrawal_days),
    }
    if page.phase != "live":
        sentence = gettext("The campaign has ended. %(amount)s is charged today.")
    elif terms.collect_at != "pledge":
        sentence = gettext("%(nothing)s today. %(amount)s on %(day)s, only if the goal is met.")
    elif page.model == "all_or_nothing":
        sentence = gettext(
            "%(amount)s today. If the goal is missed on %(day)s, all of it goes back to you."
        )
    else:
        sentence = gettext("%(amount)s today. You can change your mind for %(days)s.")
    return sentence % facts


def charge_rule(page: CampaignPage, terms: Terms) -> str:
    """When pledges to this campaign are charged."""
    facts = {
        "day": dates.day(page.deadline_at),
        "days": dates.in_days(terms.withdrawal_days),
    }
    if page.phase != "live":
        sentence = gettext("The campaign has ended. A late pledge is charged today.")
    elif terms.collect_at != "pledge":
        sentence = gettext(
            "Nothing is charged today. Pledges are charged on %(day)s, only if the goal is met."
        )
    elif page.model == "all_or_nothing":
        sentence = gettext("Charged today. If the goal is missed, all of it goes back to you.")
    else:
        sentence = gettext(
            "Charged today. The campaign keeps what it raises; you can change your mind for "
            "%(days)s."
        )
    return sentence % facts


def line_kind(kind: str) -> str:
    """What a line of a statement is about."""
    return gettext(_LINES.get(kind, kind))


def decline_said(code: str) -> str:
    """Why a charge was declined."""
    return gettext(_DECLINES.get(code, _DECLINED))
