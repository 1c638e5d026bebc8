"""Why something was refused, in a sentence for people and in the page's language.

The rules say it for programs, in English; here each of their reasons has the sentence that a page
shows, with what the refusal knows (how many are left) where that helps. Reasons of the edge, which
stand on the failure page, have theirs too.
"""

from __future__ import annotations

import re
from typing import Final

from app.web.language import gettext, ngettext, translatable
from domain.errors import Rejection

SENTENCES: Final[dict[str, str]] = {
    "command_expired": translatable("That took too long, so nothing was done. Please try again."),
    "campaign_unknown": translatable("There is no campaign at this address."),
    "campaign_exists": translatable("This campaign was handed in before."),
    "not_allowed": translatable("Your role here does not allow this."),
    "other_channel": translatable("You work for another channel than this campaign's."),
    "content_invalid": translatable("Something in the form cannot be used. Please check it."),
    "wrong_phase": translatable("The campaign is at another stage by now; this is not possible."),
    "campaign_suspended": translatable(
        "The campaign is suspended while staff look into it: no pledges, charges or payouts."
    ),
    "campaign_closed": translatable("The campaign does not take pledges any more."),
    "deadline_not_reached": translatable("A campaign closes at its deadline, not before."),
    "deadline_fixed": translatable(
        "A deadline can move once, to a later time, and only before it has passed."
    ),
    "currency_mismatch": translatable("This campaign takes another currency."),
    "amount_invalid": translatable("This amount cannot be pledged. Write another one."),
    "amount_too_small": translatable(
        "The amount is less than what you chose costs with shipping. Raise it or choose less."
    ),
    "reward_unknown": translatable("This reward is not offered any more. Choose another one."),
    "reward_choice_invalid": translatable(
        "These rewards cannot be chosen together. An add-on needs a reward beside it."
    ),
    "not_shipped_there": translatable("One of the rewards is not sent to this destination."),
    "sold_out": translatable("What you chose has just sold out. Choose something else."),
    "reward_promised": translatable(
        "Somebody has chosen this reward: its price and promise stay as they are."
    ),
    "stock_below_claimed": translatable("The limit cannot be less than what is taken already."),
    "hold_not_needed": translatable("This reward has no limit, so it need not be kept for you."),
    "own_campaign": translatable("Creators and their team cannot pledge to their own campaign."),
    "pledge_unknown": translatable("There is no such pledge."),
    "pledge_id_reused": translatable(
        "This form was sent before with other content. Load the page again and repeat."
    ),
    "not_your_pledge": translatable("This pledge belongs to somebody else."),
    "pledge_not_revisable": translatable(
        "This pledge cannot be changed any more: that is possible while the campaign is live and "
        "nothing was charged."
    ),
    "pledge_not_withdrawable": translatable("This pledge cannot be cancelled now."),
    "withdrawal_period_over": translatable(
        "The time in which you could change your mind about this charge is over."
    ),
    "goal_protected": translatable(
        "On the last day nobody can take back so much that a goal which was reached is missed."
    ),
    "collection_too_early": translatable("It is too early to charge this pledge."),
    "pledge_not_collectable": translatable("Nothing can be charged for this pledge now."),
    "attempt_over": translatable("This try to charge is over."),
    "grace_not_over": translatable("The backer still has time to pay."),
    "refund_id_reused": translatable("This refund was asked for before with another amount."),
    "refund_too_large": translatable("More than what is left of this charge cannot go back."),
    "dispute_open": translatable(
        "The backer's bank has asked for this money (a chargeback). Until it decides there is no "
        "refund, so that nothing goes back twice."
    ),
    "payout_id_reused": translatable("This payout was asked for before with other content."),
    "payout_unknown": translatable("There is no such payout."),
    "payout_not_waiting": translatable("This payout was decided before."),
    "payout_too_early": translatable(
        "Nothing is paid out before the campaign has succeeded and the agreed wait is over."
    ),
    "payouts_frozen": translatable(
        "Something in this campaign's books is being looked into. Until it is settled nothing is "
        "paid out."
    ),
    "payout_in_flight": translatable(
        "An approved payout is on its way. Wait until its fate is known."
    ),
    "plan_needed": translatable(
        "Less than the goal was charged. Payouts wait until the creator has said what will be "
        "done with it."
    ),
    "account_not_ready": translatable(
        "There is no verified payout account, or a new one is still in its waiting time."
    ),
    "self_approval": translatable(
        "Nobody approves a payout that they or their own team asked for. A treasurer of the "
        "channel has to do it."
    ),
    "reserve_held": translatable(
        "A first-time creator's reserve stays here until deliveries are confirmed or its time is "
        "over."
    ),
    "nothing_to_pay": translatable("There is nothing to pay out of these pledges."),
    "milestone_order": translatable("Milestones are paid once each, in their order."),
    "debt_too_small": translatable("The creator owes less than this."),
    "not_collected": translatable("Only what was charged can be sent or received."),
    "need_unknown": translatable("There is no such request or offer of help."),
    "offer_decided": translatable("This offer was decided before."),
    "discrepancy_unknown": translatable("There is no such open question in the books."),
    "resolution_invalid": translatable("The question in the books cannot be settled in this way."),
    "id_reused": translatable("This was sent before with other content. Load the page again."),
}
"""The sentence of each reason of the rules."""

EDGE_SENTENCES: Final[dict[str, str]] = {
    "body_invalid": translatable("What was sent is not what this address takes."),
    "request_invalid": translatable("This address cannot be read. Check it for mistakes."),
    "payment_method_unknown": translatable("You have no such payment method."),
    "key_missing": translatable("This address is for programs with a valid key."),
    "scope_missing": translatable("This key may not do this."),
    "idempotency_key_reused": translatable(
        "This repetition key was used before, for something else."
    ),
    "role_missing": translatable(
        "This is for people with a role in the channel that your account does not have."
    ),
    "signature_invalid": translatable("The news was not signed by the payment provider."),
    "form_refused": translatable(
        "This form is too old or was sent from another site. Load the page again and repeat."
    ),
    "not_found": translatable("There is nothing at this address."),
    "method_not_allowed": translatable("This address exists, but not for this kind of request."),
    "too_large": translatable("That is more than this address takes."),
    "media_type_unsupported": translatable("This address does not take files of this kind."),
    "last_of_staff": translatable(
        "This is the last of the channel's staff. Give the role to another first."
    ),
    "precondition_required": translatable("Load the page again before you change it."),
    "precondition_failed": translatable(
        "This was changed in another place meanwhile. Load the page again and repeat."
    ),
    "rate_limited": translatable("Too many requests came in a short time. Wait a little."),
    "engine_busy": translatable(
        "Very many people are here at the moment. Nothing was done: try again shortly."
    ),
    "not_recorded": translatable("It could not be recorded. Nothing was done: try again."),
    "outcome_unknown": translatable(
        "We do not know yet whether it was recorded. Send the same page again: it is done only "
        "once."
    ),
    "unavailable": translatable(
        "A part of the server cannot be reached at the moment. Please try again shortly."
    ),
    "views_behind": translatable("It is recorded. This page will show it in a moment."),
    "receipt_pending": translatable("It is recorded. Its receipt is here in a moment."),
    "failed": translatable("Something broke on our side. It was noted."),
}
"""The sentences of the edge's own reasons that a page can show."""

_SAYS_MORE: Final[dict[str, str]] = {
    "The deadline has passed.": translatable(
        "The deadline has passed: what was promised stands and will be charged."
    ),
    "It was charged after success.": translatable(
        "The campaign succeeded and your pledge was charged. Ask the creator for a refund."
    ),
    "The campaign has closed: what was promised stands.": translatable(
        "The campaign has closed: what was promised stands."
    ),
    "The pledge is withdrawn.": translatable("This pledge was cancelled before."),
    "The pledge is collecting.": translatable(
        "This pledge is being charged at this moment. Look again in a minute."
    ),
    "The pledge is unknown.": translatable(
        "We're asking your bank about this pledge. It can be changed once the bank has answered."
    ),
    "The pledge is dropped.": translatable(
        "This pledge ended because its payment was not completed."
    ),
    "The pledge is released.": translatable("This pledge ended without a charge."),
    "While the campaign is live it is the backer who withdraws.": translatable(
        "While the campaign is live only backers themselves can cancel their pledges."
    ),
}
"""Sentences of the rules that say more than their reason."""

_LEFT: Final = re.compile(r"Only (\d+) left")


def said(rejection: Rejection) -> str:
    """Why a rule refuses, in the page's language; in its own words where we have none."""
    detail = str(rejection)
    left = _LEFT.match(detail)
    if left and int(left[1]):
        number = int(left[1])
        return ngettext(
            "Only %(n)s is left of what you chose.",
            "Only %(n)s are left of what you chose.",
            number,
        ) % {"n": number}
    known = _SAYS_MORE.get(detail) or SENTENCES.get(rejection.reason)
    return gettext(known) if known else detail


def reason_said(reason: str, fallback: str = "") -> str:
    """What a reason means, in the page's language: for the failure page, which knows no more."""
    sentence = SENTENCES.get(reason) or EDGE_SENTENCES.get(reason)
    return gettext(sentence) if sentence else fallback
