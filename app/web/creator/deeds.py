"""Who did what and when: the log's facts about a campaign, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from app.web.language import gettext, translatable
from app.web.money import money
from app.wiring import Platform
from domain.events import BESIDE_CAMPAIGNS, TAGS
from domain.ids import party_of, role_of
from projections.desk_fold import DeedRow

SENTENCES: Final[dict[str, str]] = {
    "campaign.submitted": translatable("Handed in the campaign"),
    "campaign.returned": translatable("Sent it back with remarks"),
    "campaign.resubmitted": translatable("Handed it in again"),
    "campaign.approved": translatable("Approved it"),
    "campaign.launched": translatable("Launched it"),
    "campaign.suspended": translatable("Suspended it"),
    "campaign.resumed": translatable("Lifted the suspension"),
    "campaign.deadline_extended": translatable("Moved the deadline"),
    "campaign.succeeded": translatable("The deadline passed: it succeeded"),
    "campaign.failed": translatable("The deadline passed: the goal was missed"),
    "campaign.cancelled": translatable("Called the campaign off"),
    "campaign.settled": translatable("Every pledge is settled"),
    "campaign.completed": translatable("Nothing is held or owed any more: completed"),
    "campaign.late_pledges_opened": translatable("Opened late pledges"),
    "campaign.late_pledges_closed": translatable("Closed late pledges"),
    "update.posted": translatable("Posted an update"),
    "campaign.story_changed": translatable("Changed the story"),
    "campaign.plan_updated": translatable("Published a plan"),
    "reward.added": translatable("Added a reward"),
    "reward.changed": translatable("Changed a reward"),
    "reward.stock_changed": translatable("Changed the stock of a reward"),
    "need.offered": translatable("Offered help"),
    "need.accepted": translatable("Accepted an offer of help"),
    "need.declined": translatable("Declined an offer of help"),
    "need.received": translatable("Said that the offered help arrived"),
    "pledge.withdrawn": translatable("Withdrew pledge no. %(no)s of %(amount)s"),
    "pledge.dropped": translatable("Payment not completed: pledge no. %(no)s of %(amount)s left"),
    "pledge.released": translatable("Pledge no. %(no)s of %(amount)s was let go"),
    "pledge.revised": translatable("Pledge no. %(no)s was changed to %(amount)s"),
    "pledge.payment_method_replaced": translatable("Another card for pledge no. %(no)s"),
    "fees.charged": translatable("Fees were charged"),
    "refund.requested": translatable("Asked to refund %(amount)s of pledge no. %(no)s"),
    "pledge.refunded": translatable("%(amount)s went back for pledge no. %(no)s"),
    "refund.failed": translatable("The refund for pledge no. %(no)s did not go through"),
    "dispute.opened": translatable("Chargeback of %(amount)s for pledge no. %(no)s"),
    "dispute.won": translatable("Chargeback for pledge no. %(no)s won"),
    "dispute.lost": translatable("Chargeback of %(amount)s for pledge no. %(no)s lost"),
    "delivery.marked": translatable("Marked rewards as sent"),
    "delivery.received": translatable("Confirmed that the reward of pledge no. %(no)s arrived"),
    "payout_account.verified": translatable("Verified the payout account"),
    "payout.requested": translatable("Requested a payout"),
    "payout.approved": translatable("Approved a payout of %(amount)s"),
    "payout.refused": translatable("Refused a payout"),
    "payout.sent": translatable("A payout of %(amount)s was sent"),
    "payout.failed": translatable("A payout of %(amount)s did not go through"),
    "payout.returned": translatable("A payout of %(amount)s came back"),
    "debt.repaid": translatable("%(amount)s of what is owed was repaid"),
    "debt.written_off": translatable("%(amount)s of what is owed was written off"),
    "discrepancy.recorded": translatable("The bank reported something that does not fit"),
    "discrepancy.resolved": translatable("Settled what the bank had reported"),
    "hold.placed": translatable("A reward was kept for a checkout"),
    "hold.lapsed": translatable("A checkout ended"),
    "pledge.made": translatable("Pledge no. %(no)s of %(amount)s was made"),
    "collection.requested": translatable("The bank was asked to charge pledge no. %(no)s"),
    "pledge.collected": translatable("%(amount)s was charged for pledge no. %(no)s"),
    "collection.action_required": translatable("The bank asks the backer of pledge no. %(no)s"),
    "collection.unknown": translatable("The bank did not answer about pledge no. %(no)s"),
    "collection.failed": translatable("The card for pledge no. %(no)s was declined"),
}
"""A sentence for every fact, by its tag without the version."""

ROLES: Final[dict[str, str]] = {
    "backer": translatable("A backer"),
    "creator": translatable("The creator's team"),
    "staff": translatable("The channel"),
    "treasurer": translatable("The channel's treasurer"),
    "auditor": translatable("An auditor"),
    "system": translatable("Tributary"),
    "provider": translatable("The bank"),
}

_FOLLOWS: Final = frozenset(
    (
        *("campaign.succeeded", "campaign.failed", "campaign.settled", "campaign.completed"),
        *("fees.charged", "pledge.released", "pledge.dropped"),
    )
)
"""Facts that follow from the rules, whoever's report they followed on."""


class Deed(Struct, frozen=True):
    """A line of "who did what"."""

    at: int
    who: str
    what: str
    position: int


def plain_tag(tag: str) -> str:
    """A tag without its version."""
    return tag.rpartition(".v")[0]


async def told_deeds(
    platform: Platform, rows: Sequence[DeedRow], team: frozenset[str], currency: str
) -> list[Deed]:
    """The deeds in sentences. Team members stand by name; a backer's name is theirs to show, so
    none of them is named here, nor anybody of the channel.
    """
    names = await platform.stores.people.names(
        party for row in rows if (party := party_of(row.by)) in team
    )
    return [
        Deed(row.at, _who(row, team, names), _what(row, currency), row.position) for row in rows
    ]


def _who(row: DeedRow, team: frozenset[str], names: dict[str, str]) -> str:
    if plain_tag(row.tag) in _FOLLOWS:
        return _role("system")
    party = party_of(row.by)
    if party in team and names.get(party):
        return names[party]
    return _role("creator" if party in team else role_of(row.by))


def _role(role: str) -> str:
    said = ROLES[role]
    return gettext(said)


def _what(row: DeedRow, currency: str) -> str:
    said = SENTENCES.get(plain_tag(row.tag))
    if said is None:
        return row.tag
    return gettext(said) % {"no": row.no, "amount": money(row.amount_minor, currency)}


ALL_TAGS: Final = frozenset(
    plain_tag(tag) for kind, tag in TAGS.items() if kind not in BESIDE_CAMPAIGNS
)
"""Every fact about a campaign that there is; a test compares it with the sentences."""
