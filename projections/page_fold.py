"""How a batch of facts changes the campaign pages; `campaign_pages` reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Index

from domain import events as e
from domain.figures import Figures, apply
from domain.state import Phase
from domain.terms import Line, Reward, Submission
from projections.facts import Fact, day_of
from projections.new_pledges import Together
from projections.pledge_book import PledgeBook
from projections.pledges import NO_LINES, PledgeRow, Standing, lines_of
from projections.rows import Rows, Shape, Sums, Totals, add_to, append_to, table

PARTS: Final = 1000
"""More than the rewards and needs that one fact can bring; their order is made of position and
place."""


class PageRow(Figures, array_like=True, gc=False):
    """A campaign as it stands, with its figures; times ms UTC, flags 0 or 1.

    `text` and `plan` are salted hashes; `terms` is JSON. `sent` and `received` count deliveries, as
    the creator and as the backers say. `position` is where the campaign last changed.
    """

    campaign: int = 0
    campaign_id: str = ""
    channel: str = ""
    creator: str = ""
    phase: str = ""
    suspended: int = 0
    late_open: int = 0
    model: str = ""
    currency: str = ""
    goal_minor: int = 0
    deadline_at: int = 0
    launched_at: int | None = None
    text: str = ""
    plan: str = ""
    terms: str = ""
    backers: int = 0
    pledged_at_deadline_minor: int | None = None
    sent: int = 0
    received: int = 0
    position: int = 0


class RewardRow(Struct, array_like=True, gc=False):
    """A reward with the pieces that pledges claim and checkouts hold. `shipping` is JSON."""

    campaign: int
    reward_id: str
    place: int
    price_minor: int
    stock_limit: int | None
    delivery_at: int | None
    add_on: int
    text: str
    shipping: str
    claimed: int = 0
    held: int = 0


class NeedRow(Struct, array_like=True, gc=False):
    """Something other than money that is asked for."""

    campaign: int
    need_id: str
    place: int
    quantity: int
    text: str


class MilestoneRow(Struct, array_like=True, gc=False):
    """A stage of the work and the share of the money, in basis points, that follows it."""

    campaign: int
    milestone_id: str
    place: int
    share_bps: int
    text: str


class MemberRow(Struct, array_like=True, gc=False):
    """A party of a campaign's side: its creator or one of the team."""

    campaign: int
    party: str
    is_creator: int


class StoryRow(Struct, array_like=True, gc=False):
    """A change of the texts after the launch: the hashes of what stood there, and of what stands
    there since.
    """

    campaign: int
    position: int
    at: int
    before: str
    after: str


class OfferRow(Struct, array_like=True, gc=False):
    """Help in kind; state is offered, accepted, declined or received."""

    campaign: int
    offer_id: str
    position: int
    need_id: str
    party: str
    quantity: int
    state: str = "offered"


class HoldRow(Struct, array_like=True, gc=False):
    """Pieces that a checkout holds now; `lines` is JSON."""

    campaign: int
    hold_id: str
    lines: str


class UpdateRow(Struct, array_like=True, gc=False):
    """News; `text` is its salted hash."""

    campaign: int
    position: int
    update_id: str
    at: int
    text: str


class DayRow(Struct, array_like=True, gc=False):
    """By how much a UTC day changed what is pledged, and what was charged on it."""

    campaign: int
    day: int
    pledged_minor: int
    pledges: int
    charged_minor: int


_PAGES: Final = Shape(
    "campaign_pages",
    PageRow,
    ["campaign"],
    Index("campaign_pages_by_phase", "phase", "campaign"),
    Index("campaign_pages_by_channel", "channel", "campaign"),
)
_REWARDS: Final = Shape("campaign_rewards", RewardRow, ["campaign", "reward_id"])
_NEEDS: Final = Shape("campaign_needs", NeedRow, ["campaign", "need_id"])
_MILESTONES: Final = Shape("campaign_milestones", MilestoneRow, ["campaign", "milestone_id"])
_MEMBERS: Final = Shape(
    "campaign_members",
    MemberRow,
    ["campaign", "party"],
    Index("campaign_members_by_party", "party", "campaign"),
)
_OFFERS: Final = Shape("campaign_offers", OfferRow, ["campaign", "offer_id"])
_HOLDS: Final = Shape("campaign_holds", HoldRow, ["campaign", "hold_id"])
_DAYS: Final = Totals("campaign_days", DayRow, ["campaign", "day"])

PAGES: Final = _PAGES.table
REWARDS: Final = _REWARDS.table
NEEDS: Final = _NEEDS.table
MILESTONES: Final = _MILESTONES.table
MEMBERS: Final = _MEMBERS.table
OFFERS: Final = _OFFERS.table
HOLDS: Final = _HOLDS.table
DAYS: Final = _DAYS.table
UPDATES: Final = table("campaign_updates", UpdateRow, ["campaign", "position"])
STORIES: Final = table("campaign_stories", StoryRow, ["campaign", "position"])

_PLEDGED, _PLEDGES, _BACKERS, _POSITION = range(4)
_more_pledges: Final = add_to(
    PAGES, ["campaign"], ["pledged_minor", "pledges", "backers"], last="position"
)
_more_stock: Final = add_to(REWARDS, ["campaign", "reward_id"], ["claimed", "held"])
_append_updates: Final = append_to(UPDATES)
_append_stories: Final = append_to(STORIES)
_lines: Final = msgspec.json.Decoder(tuple[Line, ...])
_json: Final = msgspec.json.Encoder()


class CampaignPages:
    """The projection."""

    name: Final = "campaign_pages"
    version: Final = 2
    tables: Final = (
        *(PAGES, REWARDS, NEEDS, MILESTONES, MEMBERS, OFFERS, HOLDS, UPDATES, STORIES, DAYS),
    )

    def begin(self, conn: Connection, book: PledgeBook) -> PagesFold:
        """Begin a batch."""
        return PagesFold(conn, book)


class PagesFold:
    """The pages that a batch changes."""

    def __init__(self, conn: Connection, book: PledgeBook) -> None:
        self._conn = conn
        self.pages = Rows(_PAGES, conn)
        self.rewards = Rows(_REWARDS, conn)
        self.needs = Rows(_NEEDS, conn)
        self.milestones = Rows(_MILESTONES, conn)
        self.members = Rows(_MEMBERS, conn)
        self.offers = Rows(_OFFERS, conn)
        self.holds = Rows(_HOLDS, conn)
        self.updates: list[tuple[int, int, str, int, str]] = []
        self.stories: list[tuple[int, int, int, str, str]] = []
        self._days = Sums(_DAYS, conn)
        self._stock: dict[tuple[int, str], list[int]] = {}
        self._more: dict[int, list[int]] = {}
        book.standing_changed.append(self._pledge_changed)
        book.made_together.append(self._made_together)
        book.backers_changed.append(self._backers_changed)

    def fold(self, facts: Sequence[Fact], made: Iterable[Together]) -> None:
        """Change the pages as the facts say, in their order."""
        for some in made:
            more = self._more_of(some.campaign)
            more[_PLEDGED] += some.amount_minor
            more[_PLEDGES] += some.pledges
            more[_POSITION] = max(more[_POSITION], some.position)
            self._days.add((some.campaign, some.day), some.amount_minor, some.pledges)
        self.pages.load({fact.campaign for fact in facts})
        touched: dict[int, PageRow] = {}
        for fact in facts:
            event, campaign = fact.event, fact.campaign
            page = touched.get(campaign)
            if page is None:
                page = touched[campaign] = self.pages.get(campaign) or _new_page(fact)
            kind = type(event)
            if kind is e.PledgeMade:
                pass  # it ends a hold; its figures are in the sums
            elif kind in _MOVES:
                pledged, pledges = page.pledged_minor, page.pledges
                charged = page.charged_minor
                apply(page, event)
                self._days.add(
                    (campaign, day_of(event.at)),
                    page.pledged_minor - pledged,
                    page.pledges - pledges,
                    page.charged_minor - charged,
                )
            else:
                apply(page, event)
            change = _CHANGES.get(kind)
            if change is not None:
                change(self, page, fact, event)
            page.position = fact.position
        for page in touched.values():
            self.pages.put(page)

    def _pledge_changed(self, row: PledgeRow, was: Standing | None, now: Standing) -> None:
        if was is not None and was.claims_stock and was.lines != NO_LINES:
            self.take(row.campaign, lines_of(was.lines), claimed=-1)
        if now.claims_stock and now.lines != NO_LINES:
            self.take(row.campaign, lines_of(now.lines), claimed=1)

    def _made_together(self, some: Together) -> None:
        if some.lines != NO_LINES:
            self.take(some.campaign, lines_of(some.lines), claimed=some.pledges)

    def _backers_changed(self, campaign: int, change: int) -> None:
        self._more_of(campaign)[_BACKERS] += change

    def _more_of(self, campaign: int) -> list[int]:
        """What is added to a page that need not be read for it."""
        more = self._more.get(campaign)
        if more is None:
            more = self._more[campaign] = [0, 0, 0, 0]
        return more

    def take(
        self, campaign: int, lines: Sequence[Line], *, claimed: int = 0, held: int = 0
    ) -> None:
        """Count the lines of so many pledges as claimed or held; of fewer than 0: not any more."""
        for line in lines:
            stock = self._stock.setdefault((campaign, line.reward_id), [0, 0])
            stock[0] += claimed * line.quantity
            stock[1] += held * line.quantity

    def release(self, hold: HoldRow) -> None:
        """End a hold."""
        self.holds.drop(hold)
        self.take(hold.campaign, _lines.decode(hold.lines), held=-1)

    def write(self) -> None:
        """Write the pages."""
        self._add_stock()
        self._add_more()
        for rows in (
            *(self.pages, self.rewards, self.needs, self.milestones, self.members),
            *(self.offers, self.holds),
        ):
            rows.write()
        _append_updates.write(self._conn, sorted(self.updates))
        _append_stories.write(self._conn, sorted(self.stories))
        self._days.write()

    def _add_stock(self) -> None:
        """Count stock on the rewards, without reading those that nothing else changes."""
        more = []
        for (campaign, reward_id), (claimed, held) in sorted(self._stock.items()):
            reward = self.rewards.here((campaign, reward_id))
            if reward is None:
                more.append((campaign, reward_id, claimed, held))
            else:
                reward.claimed += claimed
                reward.held += held
                self.rewards.put(reward)
        changed = _more_stock.write(self._conn, more)
        assert changed == len(more), "a pledge names a reward that was never offered"

    def _add_more(self) -> None:
        """The same for the pages."""
        others = []
        for campaign, more in sorted(self._more.items()):
            page = self.pages.here(campaign)
            if page is None:
                others.append((campaign, *more))
            else:
                page.pledged_minor += more[_PLEDGED]
                page.pledges += more[_PLEDGES]
                page.backers += more[_BACKERS]
                page.position = max(page.position, more[_POSITION])
                self.pages.put(page)
        changed = _more_pledges.write(self._conn, others)
        assert changed == len(others), "a pledge is of a campaign"


def _new_page(fact: Fact) -> PageRow:
    bare = fact.event.stream.removeprefix("campaign:")
    return PageRow(campaign=fact.campaign, campaign_id=bare, channel=fact.event.channel)


_MOVES: Final = frozenset(
    (
        e.PledgeRevised,
        e.PledgeWithdrawn,
        e.PledgeDropped,
        e.PledgeReleased,
        e.PledgeCollected,
        e.CampaignFailed,
        e.CampaignCancelled,
    )
)
"""Facts that a day's progress counts, beside new pledges."""


# --- What each fact changes, beside the figures --------------------------------------------------


def _submitted(
    fold: PagesFold, page: PageRow, fact: Fact, event: e.CampaignSubmitted | e.CampaignResubmitted
) -> None:
    bound = event.submission
    page.phase = Phase.SUBMITTED.value
    page.creator = bound.creator
    page.model = bound.model
    page.currency = bound.currency
    page.goal_minor = bound.goal_minor
    page.deadline_at = bound.deadline_at
    page.text = bound.text
    page.terms = _json.encode(bound.terms).decode()
    _empty(fold.rewards, fact.campaign)
    _empty(fold.needs, fact.campaign)
    _empty(fold.milestones, fact.campaign)
    _empty(fold.members, fact.campaign)
    _offer(fold, fact, bound)


_Part = TypeVar("_Part", bound=Struct)


def _empty(parts: Rows[_Part], campaign: int) -> None:
    parts.load([campaign])
    for part in parts.group(campaign):
        parts.drop(part)


def _offer(fold: PagesFold, fact: Fact, bound: Submission) -> None:
    for place, reward in enumerate(bound.rewards):
        fold.rewards.put(_reward_row(fact, place, reward))
    for place, need in enumerate(bound.needs):
        row = NeedRow(fact.campaign, need.need_id, place, need.quantity, need.text)
        fold.needs.put(row)
    for place, stage in enumerate(bound.milestones):
        fold.milestones.put(
            MilestoneRow(fact.campaign, stage.milestone_id, place, stage.share_bps, stage.text)
        )
    for party in sorted({bound.creator, *bound.team}):
        fold.members.put(MemberRow(fact.campaign, party, int(party == bound.creator)))


def _reward_row(fact: Fact, place: int, reward: Reward) -> RewardRow:
    return RewardRow(
        fact.campaign,
        reward.reward_id,
        fact.position * PARTS + place,
        reward.price_minor,
        reward.limit,
        reward.delivery_at,
        int(reward.add_on),
        reward.text,
        _json.encode(reward.shipping).decode(),
    )


def _launched(_: PagesFold, page: PageRow, __: Fact, event: e.CampaignLaunched) -> None:
    page.phase = Phase.LIVE.value
    page.launched_at = event.at
    page.model = event.model
    page.currency = event.currency
    page.goal_minor = event.goal_minor
    page.deadline_at = event.deadline_at
    page.terms = _json.encode(event.terms).decode()


def _deadline_extended(_: PagesFold, page: PageRow, __: Fact, event: e.DeadlineExtended) -> None:
    page.deadline_at = event.deadline_at


def _suspended(_: PagesFold, page: PageRow, __: Fact, ___: e.CampaignSuspended) -> None:
    page.suspended = 1


def _resumed(_: PagesFold, page: PageRow, __: Fact, ___: e.CampaignResumed) -> None:
    page.suspended = 0


def _late_opened(_: PagesFold, page: PageRow, __: Fact, ___: e.LatePledgesOpened) -> None:
    page.late_open = 1


def _late_closed(fold: PagesFold, page: PageRow, _: Fact, __: e.LatePledgesClosed) -> None:
    page.late_open = 0
    _drop_holds(fold, page)


def _succeeded(fold: PagesFold, page: PageRow, _: Fact, event: e.CampaignSucceeded) -> None:
    page.phase = Phase.SUCCEEDED.value
    page.pledged_at_deadline_minor = event.pledged_minor
    _drop_holds(fold, page)


def _failed(fold: PagesFold, page: PageRow, _: Fact, event: e.CampaignFailed) -> None:
    page.phase = Phase.FAILED.value
    page.late_open = 0
    page.pledged_at_deadline_minor = event.pledged_minor
    _drop_holds(fold, page)


def _cancelled(fold: PagesFold, page: PageRow, _: Fact, __: e.CampaignCancelled) -> None:
    page.phase = Phase.CANCELLED.value
    page.late_open = 0
    _drop_holds(fold, page)


def _drop_holds(fold: PagesFold, page: PageRow) -> None:
    fold.holds.load([page.campaign])
    for hold in fold.holds.group(page.campaign):
        fold.release(hold)


def _phase(phase: Phase) -> Callable[[PagesFold, PageRow, Fact, Any], None]:
    def change(_: PagesFold, page: PageRow, __: Fact, ___: e.Event) -> None:
        page.phase = phase.value

    return change


def _reopened(_: PagesFold, page: PageRow, __: Fact, ___: e.Event) -> None:
    """Money moves again after the campaign was completed."""
    if page.phase == Phase.COMPLETED:
        page.phase = Phase.SETTLED.value


def _update_posted(fold: PagesFold, _: PageRow, fact: Fact, event: e.UpdatePosted) -> None:
    fold.updates.append((fact.campaign, fact.position, event.update_id, event.at, event.text))


def _story_changed(fold: PagesFold, page: PageRow, fact: Fact, event: e.StoryChanged) -> None:
    fold.stories.append((fact.campaign, fact.position, event.at, page.text, event.text))
    page.text = event.text


def _plan_updated(_: PagesFold, page: PageRow, __: Fact, event: e.PlanUpdated) -> None:
    page.plan = event.text


def _reward_added(fold: PagesFold, _: PageRow, fact: Fact, event: e.RewardAdded) -> None:
    fold.rewards.put(_reward_row(fact, 0, event.reward))


def _reward(fold: PagesFold, fact: Fact, reward_id: str) -> RewardRow:
    row = fold.rewards.get((fact.campaign, reward_id))
    assert row is not None, "a fact changes a reward that was never offered"
    return row


def _reward_changed(fold: PagesFold, _: PageRow, fact: Fact, event: e.RewardChanged) -> None:
    was = _reward(fold, fact, event.reward.reward_id)
    row = _reward_row(fact, 0, event.reward)
    row.place, row.claimed, row.held = was.place, was.claimed, was.held
    fold.rewards.put(row)


def _stock_changed(fold: PagesFold, _: PageRow, fact: Fact, event: e.RewardStockChanged) -> None:
    row = _reward(fold, fact, event.reward_id)
    row.stock_limit = event.limit
    fold.rewards.put(row)


def _need_offered(fold: PagesFold, _: PageRow, fact: Fact, event: e.NeedOffered) -> None:
    offer = OfferRow(
        fact.campaign, event.offer_id, fact.position, event.need_id, event.party, event.quantity
    )
    fold.offers.put(offer)


_AnyDecision = e.NeedAccepted | e.NeedDeclined | e.NeedReceived


def _offer_becomes(state: str) -> Callable[[PagesFold, PageRow, Fact, _AnyDecision], None]:
    def change(fold: PagesFold, _: PageRow, fact: Fact, event: _AnyDecision) -> None:
        offer = fold.offers.get((fact.campaign, event.offer_id))
        assert offer is not None, "a fact decides an offer that was never made"
        offer.state = state
        fold.offers.put(offer)

    return change


def _hold_placed(fold: PagesFold, _: PageRow, fact: Fact, event: e.HoldPlaced) -> None:
    fold.holds.put(HoldRow(fact.campaign, event.hold_id, _json.encode(event.lines).decode()))
    fold.take(fact.campaign, event.lines, held=1)


def _hold_ended(
    fold: PagesFold, _: PageRow, fact: Fact, event: e.HoldLapsed | e.PledgeMade
) -> None:
    if event.hold_id:
        hold = fold.holds.get((fact.campaign, event.hold_id))
        if hold is not None:  # else it ended with the campaign's phase
            fold.release(hold)


def _marked(_: PagesFold, page: PageRow, __: Fact, event: e.DeliveryMarked) -> None:
    page.sent += len(event.nos)


def _received(_: PagesFold, page: PageRow, __: Fact, ___: e.DeliveryReceived) -> None:
    page.received += 1


_CHANGES: Final[dict[type[e.Event], Callable[[PagesFold, PageRow, Fact, Any], None]]] = {
    e.CampaignSubmitted: _submitted,
    e.CampaignReturned: _phase(Phase.RETURNED),
    e.CampaignResubmitted: _submitted,
    e.CampaignApproved: _phase(Phase.APPROVED),
    e.CampaignLaunched: _launched,
    e.CampaignSuspended: _suspended,
    e.CampaignResumed: _resumed,
    e.DeadlineExtended: _deadline_extended,
    e.CampaignSucceeded: _succeeded,
    e.CampaignFailed: _failed,
    e.CampaignCancelled: _cancelled,
    e.CampaignSettled: _phase(Phase.SETTLED),
    e.CampaignCompleted: _phase(Phase.COMPLETED),
    e.LatePledgesOpened: _late_opened,
    e.LatePledgesClosed: _late_closed,
    e.UpdatePosted: _update_posted,
    e.StoryChanged: _story_changed,
    e.PlanUpdated: _plan_updated,
    e.RewardAdded: _reward_added,
    e.RewardChanged: _reward_changed,
    e.RewardStockChanged: _stock_changed,
    e.NeedOffered: _need_offered,
    e.NeedAccepted: _offer_becomes("accepted"),
    e.NeedDeclined: _offer_becomes("declined"),
    e.NeedReceived: _offer_becomes("received"),
    e.HoldPlaced: _hold_placed,
    e.HoldLapsed: _hold_ended,
    e.PledgeMade: _hold_ended,
    e.DeliveryMarked: _marked,
    e.DeliveryReceived: _received,
    e.RefundRequested: _reopened,
    e.DisputeOpened: _reopened,
    e.PayoutReturned: _reopened,
}
"""What changes a page beside its figures."""
