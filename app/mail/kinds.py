"""The kinds of mails that people may turn off, and those that they may not."""

from __future__ import annotations

from typing import Final, Literal, get_args

from app.web.language import translatable

Kind = Literal[
    "outcome",
    "receipts",
    "payment",
    "updates",
    "deliveries",
    "refunds",
    "followed",
    "creator",
    "staff",
    "security",
]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

LOCKED: Final[frozenset[Kind]] = frozenset(("payment", "security"))
"""Cannot be turned off: money or an account would be lost in silence."""

TITLES: Final[dict[Kind, str]] = {
    "outcome": translatable("How campaigns end"),
    "receipts": translatable("Pledges and charges"),
    "payment": translatable("Payment problems"),
    "updates": translatable("Updates from creators"),
    "deliveries": translatable("Deliveries"),
    "refunds": translatable("Refunds"),
    "followed": translatable("Campaigns you follow"),
    "creator": translatable("Your own campaigns"),
    "staff": translatable("Work at a channel"),
    "security": translatable("Your payout account"),
}

TOLD: Final[dict[Kind, str]] = {
    "outcome": translatable(
        "A campaign you backed succeeds, fails, is cancelled or suspended: what is charged, and"
        " when."
    ),
    "receipts": translatable("What you pledged, and what was charged."),
    "payment": translatable(
        "Your bank declined, a pledge could not be completed, or a refund did not arrive. These"
        " mails stay on: without them you could lose a reward or money without knowing."
    ),
    "updates": translatable("News that the creator of a campaign you backed writes."),
    "deliveries": translatable("The creator says that your reward was sent."),
    "refunds": translatable("Money is on its way back to you."),
    "followed": translatable("They start, have 48 hours left, end, or have news."),
    "creator": translatable(
        "Reviews of your campaigns, help that is offered, questions, and payouts."
    ),
    "staff": translatable("Campaigns to review and payouts to approve."),
    "security": translatable(
        "Your payout account was changed. These mails stay on: they tell you if it was not you."
    ),
}
