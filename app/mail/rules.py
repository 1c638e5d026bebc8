"""Which facts are told in mails, by which template, to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec import Struct

from app.mail.kinds import Kind
from domain import events as e
from domain.events import AnyEvent

# --- To whom -------------------------------------------------------------------------------------


class Backer(Struct, frozen=True):
    """The backer of one pledge."""

    no: int


class Creator(Struct, frozen=True):
    """The campaign's creator."""


class Channel(Struct, frozen=True):
    """Everybody with this role in the campaign's channel, but who caused the fact."""

    role: str


class Backers(Struct, frozen=True):
    """Everybody whose pledge was neither withdrawn nor dropped; `keeping`: nor returned whole."""

    keeping: bool = False


class BackersOf(Struct, frozen=True):
    """The backers of these pledges."""

    nos: tuple[int, ...]


class Followers(Struct, frozen=True):
    """Everybody who follows the campaign."""


Few: TypeAlias = Backer | Creator | Channel
Crowd: TypeAlias = Backers | BackersOf | Followers
"""Groups that are seen to page by page."""


class Note(Struct, frozen=True):
    """A mail that a fact leads to: `templates/mail/<template>.txt`, for these people."""

    template: str
    kind: Kind
    to: Few | Crowd

    @property
    def to_crowd(self) -> bool:
        """Whether this may be more people than one transaction should hold."""
        return isinstance(self.to, (Backers, BackersOf, Followers))


# --- Which facts ---------------------------------------------------------------------------------

Notes: TypeAlias = tuple[Note, ...]


def _about_pledge(template: str, kind: Kind) -> Callable[[Any], Notes]:
    def notes(event: Any) -> Notes:  # noqa: ANN401 - whichever event has a pledge's number
        return (Note(template, kind, Backer(event.no)),)

    return notes


def _always(*notes: Note) -> Callable[[Any], Notes]:
    return lambda _event: notes


def _ended(template: str) -> Callable[[Any], Notes]:
    return _always(
        Note("creator_ended", "creator", Creator()),
        Note(template, "outcome", Backers()),
        Note("followed_ended", "followed", Followers()),
    )


def _account_verified(event: e.PayoutAccountVerified) -> Notes:
    return (Note("payout_account_changed", "security", Creator()),) if event.changed else ()


def _delivered(event: e.DeliveryMarked) -> Notes:
    return (Note("delivery_sent", "deliveries", BackersOf(tuple(sorted(event.nos)))),)


_SUBMITTED: Final = _always(Note("campaign_submitted", "staff", Channel("staff")))

RULES: Final[dict[type[AnyEvent], Callable[[Any], Notes]]] = {
    e.CampaignSubmitted: _SUBMITTED,
    e.CampaignResubmitted: _SUBMITTED,
    e.CampaignReturned: _always(Note("campaign_returned", "creator", Creator())),
    e.CampaignApproved: _always(Note("campaign_approved", "creator", Creator())),
    e.CampaignLaunched: _always(Note("followed_launched", "followed", Followers())),
    e.CampaignSuspended: _always(
        Note("creator_suspended", "creator", Creator()),
        Note("campaign_suspended", "outcome", Backers(keeping=True)),
    ),
    e.CampaignResumed: _always(
        Note("creator_resumed", "creator", Creator()),
        Note("campaign_resumed", "outcome", Backers(keeping=True)),
    ),
    e.CampaignSucceeded: _ended("campaign_succeeded"),
    e.CampaignFailed: _ended("campaign_failed"),
    e.CampaignCancelled: _ended("campaign_cancelled"),
    e.UpdatePosted: _always(
        Note("update_posted", "updates", Backers(keeping=True)),
        Note("followed_update", "followed", Followers()),
    ),
    e.NeedOffered: _always(Note("need_offered", "creator", Creator())),
    e.PledgeMade: _about_pledge("pledge_made", "receipts"),
    e.PledgeCollected: _about_pledge("pledge_charged", "receipts"),
    e.CollectionFailed: _about_pledge("payment_problem", "payment"),
    e.CollectionActionRequired: _about_pledge("payment_problem", "payment"),
    e.PledgeDropped: _about_pledge("pledge_dropped", "payment"),
    e.PledgeRefunded: _about_pledge("refund_sent", "refunds"),
    e.RefundFailed: _about_pledge("refund_failed", "payment"),
    e.DeliveryMarked: _delivered,
    e.PayoutAccountVerified: _account_verified,
    e.PayoutRequested: _always(Note("payout_requested", "staff", Channel("treasurer"))),
    e.PayoutApproved: _always(Note("payout_approved", "creator", Creator())),
    e.PayoutRefused: _always(Note("payout_refused", "creator", Creator())),
    e.PayoutSent: _always(Note("payout_sent", "creator", Creator())),
    e.PayoutFailed: _always(Note("payout_failed", "creator", Creator())),
    e.PayoutReturned: _always(Note("payout_failed", "creator", Creator())),
}
"""What is not named here is told by the site's pages alone."""


def notes_of(event: AnyEvent) -> Notes:
    """The mails that a fact leads to: those to few people first, then each crowd's."""
    rule = RULES.get(type(event))
    found = rule(event) if rule is not None else ()
    return tuple(sorted(found, key=lambda note: note.to_crowd))
